//! New files inside a result folder become the result: each is moved up into the folder, and the older result's go. The
//! steps may be interrupted anywhere and are finished by whoever opens the folder next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lm_infinite_runtime::files::sync_folder;

use super::info::is_plain_name;
use super::store::{RUN, from_json};
use crate::error::{Error, Result};

/// New files that are about to be moved up.
pub(super) const COMMIT: &str = ".lm-infinite-commit";
/// In it: names of the older result's files that the new one does not have, as JSON.
pub(super) const OLDER: &str = ".lm-infinite-older";

/// Finishes what a killed process had begun to put into `folder`.
///
/// # Errors
/// Where the folder cannot be written.
pub(super) fn recover(folder: &Path) -> Result<()> {
    for step in steps(folder)? {
        step.take().map_err(Error::io(folder))?;
    }
    Ok(())
}

/// One step of moving new files up. Each may be taken twice.
#[derive(Debug)]
pub(super) enum Step {
    /// A file of the older result that the new one does not have.
    Remove(PathBuf),
    Move(PathBuf, PathBuf),
    /// The folder that held the new files, and the one that holds them now.
    Finish(PathBuf, PathBuf),
}

impl Step {
    pub fn take(&self) -> io::Result<()> {
        let done = match self {
            Self::Remove(file) => fs::remove_file(file),
            Self::Move(from, to) => fs::rename(from, to),
            Self::Finish(commit, folder) => {
                settle(folder);
                let _ = fs::remove_file(commit.join(OLDER));
                fs::remove_dir(commit)
            }
        };
        match done {
            // Another process has done it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

/// What is left to do for the new files in `folder`.
pub(super) fn steps(folder: &Path) -> Result<Vec<Step>> {
    let commit = folder.join(COMMIT);
    if !commit.is_dir() {
        return Ok(Vec::new());
    }
    let mut steps = Vec::new();
    // Without its `run.json` all others have been moved.
    if commit.join(RUN).is_file() {
        let older: Vec<String> = from_json(&commit.join(OLDER))?;
        if let Some(name) = older.iter().find(|name| !is_plain_name(name)) {
            return Err(Error::malformed(commit.join(OLDER), "names", "names of files", name));
        }
        steps.extend(older.iter().map(|name| Step::Remove(folder.join(name))));
        let mut names = Vec::new();
        for entry in fs::read_dir(&commit).map_err(Error::io(&commit))? {
            names.push(entry.map_err(Error::io(&commit))?.file_name());
        }
        names.retain(|name| name != RUN && name != OLDER);
        names.sort();
        names.push(RUN.into());
        steps.extend(names.iter().map(|name| Step::Move(commit.join(name), folder.join(name))));
    }
    steps.push(Step::Finish(commit, folder.to_owned()));
    Ok(steps)
}

/// Flushes the names in `folder`. What was renamed is in its place even where the file system cannot flush folders; there, its
/// own order has to do.
pub(super) fn settle(folder: &Path) {
    let _ = sync_folder(folder);
}
