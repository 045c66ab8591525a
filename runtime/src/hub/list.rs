//! The models that have a name: those that are compiled in, and those that can be pulled.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::cache::Cache;
use super::known::KNOWN;
use crate::formats::embedded::EMBEDDED;

/// A line of `models list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedModel {
    /// What users write.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// SPDX expression.
    pub licence: &'static str,
    /// Length of its files.
    pub bytes: u64,
    /// Is it compiled in, or in the cache with the right length?
    pub present: bool,
    /// Where in the cache it is or would be; `None` of one that is compiled in.
    pub path: Option<PathBuf>,
}

/// All models that have a name, and which of them can be used at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Listing(pub Vec<ListedModel>);

/// Lists the models that are compiled in, then those that can be pulled.
pub fn list(cache: &Cache) -> Listing {
    let embedded = EMBEDDED.iter().map(|model| ListedModel {
        name: model.name,
        description: model.description,
        licence: model.licence,
        bytes: model.bytes(),
        present: true,
        path: None,
    });
    let known = KNOWN.iter().map(|known| {
        let path = cache.path_of(known);
        ListedModel {
            name: known.name,
            description: known.description,
            licence: known.licence,
            bytes: known.bytes,
            present: std::fs::metadata(&path).is_ok_and(|file| file.len() == known.bytes),
            path: Some(path),
        }
    });
    Listing(embedded.chain(known).collect())
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for model in &self.0 {
            let ListedModel { name, description, licence, bytes, present, path } = model;
            writeln!(f, "{name}  {description} ({licence}, {bytes} bytes)")?;
            match (path, present) {
                (None, _) => writeln!(f, "    built in")?,
                (Some(path), true) => writeln!(f, "    {}", path.display())?,
                (Some(_), false) => {
                    writeln!(f, "    not downloaded; run `lm-infinite models pull {name}`")?;
                }
            }
        }
        Ok(())
    }
}
