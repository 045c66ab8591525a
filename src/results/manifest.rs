//! What a folder says that it holds, in this version's words or an earlier one's.

use std::fs;
use std::path::Path;

use super::RunInfo;
use super::kinds::Kind;
use super::storable::named;
use super::store::RUN;
use crate::error::{Error, Result};

/// `run.json` of a folder. Where it is of format 1, its kind and its files are those that its other files tell.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub info: RunInfo,
    pub kind: &'static Kind,
}

impl Manifest {
    /// Reads `folder`.
    ///
    /// # Errors
    /// As [`RunInfo::read`]; a kind that is not known or cannot be told.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut info = RunInfo::read(folder)?;
        let kind = Kind::find(&info.kind, folder)?;
        if info.kind.is_empty() {
            let outcome = (kind.read)(folder)?;
            info.kind = outcome.kind().to_owned();
            info.files = files_of_format_1(folder, outcome.more_files(), kind)?;
        }
        Ok(Self { info, kind })
    }

    /// The kind with an article, in a sentence.
    pub fn named(&self) -> String {
        named(self.kind.named, &self.info.kind, self.kind.name)
    }
}

/// The files of a folder that lists none: those that its kind may have, `names`, and figures of single heads.
fn files_of_format_1(folder: &Path, mut names: Vec<String>, kind: &Kind) -> Result<Vec<String>> {
    names.extend(kind.files.iter().map(|&name| name.to_owned()));
    names.push(RUN.to_owned());
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let name = entry.map_err(Error::io(folder))?.file_name().to_string_lossy().into_owned();
        if crate::figures::is_of_a_head(&name) {
            names.push(name);
        }
    }
    names.sort();
    names.dedup();
    names.retain(|name| folder.join(name).is_file());
    Ok(names)
}
