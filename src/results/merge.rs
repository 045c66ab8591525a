//! Shards of one run, joined.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::folder::ResultFolder;
use super::target;
use crate::error::{Error, Result};

/// What came of a merge.
#[derive(Clone, Debug)]
pub struct Merged {
    /// In words.
    pub summary: String,
    /// As `--json` prints it.
    pub data: Value,
}

/// Joins the results in `folders`, all shards of one run in any order, into one at `target`, which `command` is noted in.
///
/// # Errors
/// As [`Storable::merge`](super::Storable::merge) and [`ResultFolder::write`]; results of several kinds.
pub fn merge_folders(folders: &[PathBuf], target: &Path, command: &[String]) -> Result<Merged> {
    let opened = folders.iter().map(|folder| ResultFolder::open(folder)).collect::<Result<Vec<_>>>()?;
    let Some(first) = opened.first() else {
        return Err(Error::input("merge", "there is no folder to merge"));
    };
    if let Some(other) = opened.iter().find(|folder| folder.kind() != first.kind()) {
        let (a, b) = (first.named(), other.named());
        let reason = format!("it holds {b}, and `{}` holds {a}", first.path().display());
        return Err(Error::input(format!("`{}`", other.path().display()), reason));
    }
    let parts = opened.iter().map(|folder| (folder.path().to_owned(), folder.info().clone()));
    let (whole, mut info) = (first.registered().merge)(parts.collect())?;
    info.command = command.to_vec();
    target::check_any(target, whole.as_ref())?;
    ResultFolder::write_any(target, whole.as_ref(), &info)?;
    Ok(Merged { summary: whole.summary(), data: whole.to_json(target) })
}
