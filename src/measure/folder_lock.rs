//! One process at a time in the folder of an unfinished run.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

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
