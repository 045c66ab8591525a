//! How a result gets into its place: it is built in a folder of its own, flushed to disk, and put in place as a whole.
//!
//! A folder that is not there, is empty, or holds the older result and nothing else is replaced by one rename, in which old
//! and new change places. Otherwise (somebody else's files lie there; the folder is a mount point or where this process
//! works; the system cannot exchange folders) the new files are built inside, under [`COMMIT`]: from the moment at which
//! their folder has this name they are the result, and whoever opens the folder next finishes what a killed process had
//! begun ([`recover`]). `run.json` is the last to move.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lm_infinite_runtime::files::folder_of;

use super::RunInfo;
use super::exchange::{can_be_exchanged, exchange, keep_permissions};
use super::info::VERSION;
use super::leftovers::{remove_abandoned, remove_older};
use super::move_up::{COMMIT, OLDER, recover, settle};
use super::store::{RUN, to_json};
use crate::error::{Error, Result};

/// How the names of folders under construction begin, inside of a result folder.
const PARTIAL: &str = ".lm-infinite-partial-";

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A folder under construction; removed if it is dropped before it is put in place.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
    /// Beside `target`, and not in it.
    beside: bool,
    /// Nothing but what was written here is in it.
    ours: bool,
    /// Held while this is under construction, so that others see that it is.
    _lock: Option<File>,
}

impl Staging {
    /// Begins a folder that will become `target`, or be put into it, where the files `own` may be replaced.
    pub fn new(target: &Path, own: &[String]) -> Result<Self> {
        if !target.exists() {
            let parent = folder_of(target);
            fs::create_dir_all(parent).map_err(Error::io(parent))?;
            return Self::beside(target).map_err(Error::io(parent));
        }
        recover(target)?;
        if can_be_exchanged(target, own)
            && let Ok(staging) = Self::beside(target)
        {
            return Ok(staging);
        }
        Self::inside(target)
    }

    fn beside(target: &Path) -> io::Result<Self> {
        let name =
            target.file_name().ok_or_else(|| io::Error::other("expected a path that ends in a name"))?;
        let begin = format!(".{}.partial-", name.to_string_lossy());
        remove_abandoned(folder_of(target), &begin, target);
        Self::begin(folder_of(target), &begin, target, true)
    }

    /// Begins a folder whose files will be put into `target`, which exists.
    pub fn inside(target: &Path) -> Result<Self> {
        remove_abandoned(target, PARTIAL, target);
        Self::begin(target, PARTIAL, target, false).map_err(Error::io(target))
    }

    fn begin(parent: &Path, begin: &str, target: &Path, beside: bool) -> io::Result<Self> {
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{begin}{}-{count}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {
                    let folder = File::open(&path).ok();
                    let taken = folder.as_ref().map(File::try_lock);
                    // One who cleans up may have taken it for abandoned between the two.
                    if matches!(taken, Some(Err(TryLockError::WouldBlock))) || !path.exists() {
                        continue;
                    }
                    return Ok(Self { path, target: target.to_owned(), beside, ours: true, _lock: folder });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of what was written.
    pub fn files(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(Error::io(&self.path))? {
            let entry = entry.map_err(Error::io(&self.path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Waits until everything is on disk.
    pub fn flush(&self) -> Result<()> {
        for name in self.files()? {
            let path = self.path.join(name);
            File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io(&path))?;
        }
        settle(&self.path);
        Ok(())
    }

    /// Writes `run.json` beside what lies in the staging folder, with all of it and `more` as manifest, and flushes
    /// everything to disk. Returns the manifest.
    pub fn seal(&self, info: &RunInfo, more: &[String]) -> Result<Vec<String>> {
        let mut files = self.files()?;
        files.extend(more.iter().cloned());
        files.push(RUN.to_owned());
        files.sort();
        files.dedup();
        let info = RunInfo { files: files.clone(), format_version: VERSION, ..info.clone() };
        to_json(&self.path().join(RUN), &info, true)?;
        self.flush()?;
        Ok(files)
    }

    /// Puts the files in place of `own`, the files of the older result, and removes those of them that `manifest` does not
    /// name. Files of others stay.
    ///
    /// # Errors
    /// A file in the target that has the name of a new one and is none of `own`; as the system says. The older result is
    /// then still there.
    pub fn commit(mut self, own: &[String], manifest: &[String]) -> Result<()> {
        if self.beside && self.take_place(own)? {
            return Ok(());
        }
        for name in self.files()? {
            let taken = fs::symlink_metadata(self.target.join(&name)).is_ok();
            if taken && !own.contains(&name) {
                return Err(foreign(&self.target, &name));
            }
        }
        let older: Vec<&String> = own.iter().filter(|name| !manifest.contains(name)).collect();
        to_json(&self.path.join(OLDER), &older, false)?;
        self.flush()?;
        // One who was killed after this rename has the rest done for him; one who is at it now is nearly done.
        recover(&self.target)?;
        fs::rename(&self.path, self.target.join(COMMIT)).map_err(Error::io(&self.target))?;
        settle(&self.target);
        recover(&self.target)
    }

    /// Takes the place of the target in one step, if the target holds nothing else.
    fn take_place(&mut self, own: &[String]) -> Result<bool> {
        let target = &self.target;
        let is_empty = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
        if !target.exists() || is_empty {
            keep_permissions(target, &self.path);
            if fs::rename(&self.path, target).is_ok() {
                settle(folder_of(target));
                return Ok(true);
            }
            // Somebody has put something there in the meantime, or the system does not replace empty folders.
            fs::create_dir_all(target).map_err(Error::io(target))?;
            return Ok(false);
        }
        if !can_be_exchanged(target, own) {
            return Ok(false);
        }
        keep_permissions(target, &self.path);
        if exchange(&self.path, target).is_err() {
            return Ok(false);
        }
        self.ours = false;
        settle(folder_of(target));
        remove_older(&self.path, target);
        Ok(true)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.ours {
            // After a commit nothing of this name is left. A failure here has no one to tell.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The error for a file that is in the way and is not ours.
pub(super) fn foreign(folder: &Path, name: &str) -> Error {
    let what = format!("`{}`", folder.join(name).display());
    Error::input(
        what,
        "it is not of the result that is to be written here, which has a file of this name; rename it, or choose another folder",
    )
}

#[cfg(test)]
mod tests {
    use super::super::move_up::steps;
    use super::super::tests::{bench, example};
    use super::super::{ResultFolder, Storable};
    use super::*;
    use crate::bench::BenchResult;

    /// Everything in `folder` by name, folders of making left out.
    fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut all: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry"))
            .filter(|entry| entry.path().is_file())
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, fs::read(entry.path()).expect("a file"))
            })
            .collect();
        all.sort();
        all
    }

    fn hidden(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count()
    }

    /// As [`ResultFolder::write`] until all is flushed, and then as a process that is killed: nothing is cleaned up.
    fn write_and_die(folder: &Path, length: usize, own: &[String]) -> PathBuf {
        let (info, _) = example();
        let staging = Staging::inside(folder).expect("begins");
        bench(length).write(staging.path()).expect("writes");
        Storable::draw(&bench(length), &info, staging.path()).expect("draws");
        let mut files = staging.files().expect("a folder");
        files.push(RUN.into());
        let info = RunInfo { kind: "bench".into(), files: files.clone(), ..info };
        to_json(&staging.path().join(RUN), &info, true).expect("writes");
        let older: Vec<&String> = own.iter().filter(|name| !files.contains(name)).collect();
        to_json(&staging.path().join(OLDER), &older, false).expect("writes");
        let path = staging.path.clone();
        // The lock goes with the process, the folder does not.
        let mut staging = staging;
        staging.ours = false;
        path
    }

    #[test]
    fn whoever_dies_while_files_move_up_has_the_rest_done_for_him() {
        let (info, _) = example();
        for dies_after in 0.. {
            let scratch = tempfile::tempdir().expect("a folder");
            let folder = scratch.path().join("r");
            ResultFolder::write(&folder, &bench(100), &info).expect("writes");
            let mut own = ResultFolder::open(&folder).expect("opens").files().to_vec();
            own.push("older.csv".into());
            fs::write(folder.join("older.csv"), "1").expect("written");
            fs::write(folder.join("notes.md"), "mine").expect("written");
            let before = contents(&folder);
            let partial = write_and_die(&folder, 200, &own);
            assert_eq!(contents(&folder), before, "nothing has been touched yet");
            fs::rename(&partial, folder.join(COMMIT)).expect("renamed");
            let steps = steps(&folder).expect("reads");
            for step in steps.iter().take(dies_after) {
                step.take().expect("takes");
            }
            let opened = ResultFolder::open(&folder).expect("opens");
            assert_eq!(opened.read::<BenchResult>().expect("reads"), bench(200), "{dies_after}");
            let names: Vec<String> = contents(&folder).into_iter().map(|(name, _)| name).collect();
            let mut expected = opened.files().to_vec();
            expected.push("notes.md".into());
            expected.sort();
            assert_eq!((names, hidden(&folder)), (expected, 0), "{dies_after}");
            // Steps that were taken already are taken again by a process that had read them before.
            for step in &steps {
                step.take().expect("takes");
            }
            if dies_after > steps.len() {
                assert!(steps.len() > 8, "{}", steps.len());
                return;
            }
        }
    }

    #[test]
    fn what_was_never_put_in_place_is_removed_by_the_next_and_what_is_being_made_is_not() {
        let (info, _) = example();
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = scratch.path().join("r");
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("notes.md"), "mine").expect("written");
        fs::create_dir(folder.join(".lm-infinite-partial-mine")).expect("made");
        let dead = write_and_die(&folder, 1, &[]);
        let alive = Staging::inside(&folder).expect("begins");
        save_in(alive.path());
        assert!(!dead.exists(), "beginning has removed it");
        ResultFolder::write(&folder, &bench(2), &info).expect("writes");
        assert!(alive.path().join("half").is_file(), "its process lives");
        assert!(folder.join("notes.md").is_file() && folder.join(".lm-infinite-partial-mine").is_dir());
        drop(alive);
        assert_eq!(hidden(&folder), 1);

        // Beside: an older result whose place was taken, in which somebody has put a file at the last moment.
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = scratch.path().join("r");
        ResultFolder::write(&folder, &bench(1), &info).expect("writes");
        let older = scratch.path().join(format!(".r.partial-{}-4", std::process::id()));
        ResultFolder::write(&older, &bench(3), &info).expect("writes");
        fs::write(older.join("notes.md"), "mine").expect("written");
        ResultFolder::write(&folder, &bench(4), &info).expect("writes");
        assert!(!older.exists() && hidden(scratch.path()) == 0);
        assert_eq!(fs::read_to_string(folder.join("notes.md")).expect("moved"), "mine");
    }

    fn save_in(folder: &Path) {
        fs::write(folder.join("half"), "written").expect("written");
    }
}
