//! Writing files so that a reader sees the old one or the new one, never half of one.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `bytes` to `path` by way of a temporary neighbour: written, flushed to disk, renamed.
///
/// # Errors
/// Where the file or its folder cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // Nothing to lose: the old file is untouched.
        let _ = std::fs::remove_file(&temporary);
        Error::io(path)(e)
    })
}

/// [`write_whole`] for what is too large to be held: `write` is given the path of the temporary neighbour and writes it.
///
/// # Errors
/// What `write` returns, and where the file cannot be flushed or renamed.
pub fn write_whole_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(name);
    let commit = || -> std::io::Result<()> {
        OpenOptions::new().write(true).open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_folder_of(path)
    };
    write(&temporary).and_then(|()| commit().map_err(Error::io(path))).inspect_err(|_| {
        // Nothing to lose: the old file is untouched.
        let _ = std::fs::remove_file(&temporary);
    })
}

/// Flushes the entry of `path` in its folder, so that the file is found by this name after a loss of power. Where folders
/// cannot be opened (Windows), the file system's own journal has to do.
pub fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}
