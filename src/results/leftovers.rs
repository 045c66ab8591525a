//! What killed processes and replaced results leave behind is removed; files of others are kept.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::manifest::Manifest;
use super::move_up::OLDER;
use super::store::RUN;

/// Removes folders that killed processes have left in `parent` under a name that begins so. `target` is the folder that
/// they were to become or have taken the place of.
pub(super) fn remove_abandoned(parent: &Path, begin: &str, target: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Process and count.
        let numbers = name.strip_prefix(begin).and_then(|rest| rest.split_once('-'));
        let ours = numbers.is_some_and(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u64>().is_ok());
        if !ours || !path.is_dir() {
            continue;
        }
        // Whoever builds in it holds its lock.
        let Ok(folder) = File::open(&path) else { continue };
        if let Err(TryLockError::WouldBlock | TryLockError::Error(_)) = folder.try_lock() {
            continue;
        }
        if path.join(RUN).is_file() {
            remove_older(&path, target);
        } else {
            // Nothing but ours was ever in it.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Removes a result that another has taken the place of. What somebody has put there at the last moment goes to `target`.
/// A failure leaves a hidden folder behind, which the next one to write here removes.
pub(super) fn remove_older(older: &Path, target: &Path) {
    let (Ok(manifest), Ok(entries)) = (Manifest::read(older), fs::read_dir(older)) else { return };
    let own = manifest.info.files;
    for name in entries.flatten().map(|entry| entry.file_name()) {
        if name != OLDER && !own.iter().any(|own| name == own.as_str()) {
            let to = target.join(&name);
            if fs::symlink_metadata(&to).is_ok() || fs::rename(older.join(&name), to).is_err() {
                return;
            }
        }
    }
    for name in own.iter().filter(|name| *name != RUN) {
        let _ = fs::remove_file(older.join(name));
    }
    let _ = fs::remove_file(older.join(OLDER));
    let _ = fs::remove_file(older.join(RUN));
    let _ = fs::remove_dir(older);
}
