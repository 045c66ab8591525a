//! The folder of an unfinished run: what is to be gone on with, and one process at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// The path of `file` in `folder`, which an unfinished run has; a sentence calls that `what`.
///
/// # Errors
/// Where there is no such run to go on with.
pub fn file_to_resume(folder: &Path, file: &str, what: &str) -> Result<PathBuf> {
    let path = folder.join(file);
    if path.is_file() {
        return Ok(path);
    }
    let reason = if folder.join("run.json").is_file() {
        format!("the {what} in it is finished: its result can be read, and there is nothing to go on with")
    } else {
        format!("no unfinished {what} is here; begin one with `--out`")
    };
    Err(Error::input(format!("`{}`", folder.display()), reason))
}

/// Held as long as a run runs, so that no other process goes on with it at the same time.
#[derive(Clone, Debug)]
pub struct FolderLock {
    _file: Option<Arc<File>>,
}

impl FolderLock {
    /// Makes `folder`, if it is not there, and takes it. Where a file system knows no locks, nothing is known of others.
    ///
    /// # Errors
    /// A folder that cannot be made; one that another process has taken.
    pub fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let file = File::open(folder).ok();
        if let Some(Err(TryLockError::WouldBlock)) = file.as_ref().map(File::try_lock) {
            return Err(Error::input(
                format!("`{}`", folder.display()),
                "another process is running this run",
            ));
        }
        Ok(Self { _file: file.map(Arc::new) })
    }
}
