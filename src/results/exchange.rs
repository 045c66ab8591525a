//! Two folders change places: where that can be done, and how.

use std::fs;
use std::io;
use std::path::Path;

#[cfg(unix)]
use lm_infinite_runtime::files::folder_of;

/// Does `target` hold nothing but `own`, and can a folder beside take its place?
pub(super) fn can_be_exchanged(target: &Path, own: &[String]) -> bool {
    let only_own = fs::read_dir(target).is_ok_and(|mut entries| {
        entries.all(|entry| {
            entry.is_ok_and(|entry| {
                let name = entry.file_name();
                own.iter().any(|own| name == own.as_str())
                    && entry.file_type().is_ok_and(|kind| kind.is_file())
            })
        })
    });
    // Who works in a folder would be left in the old one.
    let real = target.canonicalize().ok();
    let worked_in =
        real.as_ref().is_none_or(|real| std::env::current_dir().is_ok_and(|here| here.starts_with(real)));
    only_own && !worked_in && !is_mount_point(target)
}

#[cfg(unix)]
fn is_mount_point(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(folder) != device(folder_of(folder))
}

#[cfg(not(unix))]
fn is_mount_point(_: &Path) -> bool {
    false
}

/// Lets two folders change places, in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives `to` the permissions of `from`, where that may be done.
pub(super) fn keep_permissions(from: &Path, to: &Path) {
    if let Ok(metadata) = fs::metadata(from) {
        // Who may not change them gets those of a new folder.
        let _ = fs::set_permissions(to, metadata.permissions());
    }
}

#[cfg(test)]
mod tests {
    use super::super::ResultFolder;
    use super::super::tests::{bench, example};
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_exchanged_is_written_into() {
        let (info, _) = example();
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = scratch.path().join("r");
        ResultFolder::write(&folder, &bench(1), &info).expect("writes");
        let own = ResultFolder::open(&folder).expect("opens").files().to_vec();
        assert!(can_be_exchanged(&folder, &own));
        fs::write(folder.join("notes.md"), "mine").expect("written");
        assert!(!can_be_exchanged(&folder, &own), "a file of another's");
        assert!(!can_be_exchanged(Path::new("."), &[]), "where this process works");
        if cfg!(target_os = "linux") {
            assert!(!can_be_exchanged(Path::new("/proc"), &[]), "a mount point, and not empty");
            assert!(is_mount_point(Path::new("/proc")) && !is_mount_point(&folder));
        }
    }
}
