//! Where a result may be written: asked before the work, so that no hour of it is lost to a folder that cannot take it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lm_infinite_runtime::files::{folder_of, resolve};

use super::manifest::Manifest;
use super::move_up::recover;
use super::staging::foreign;
use super::storable::{AnyStorable, Storable, named};
use super::store::RUN;
use crate::calibrate;
use crate::error::{Error, Result};
use crate::long_run;
use crate::passkey;

/// The folder that a run will write to.
///
/// A name that was not asked for is made and taken at once, so that no other run, begun in the same second, can have it;
/// if nothing is written to it, it is removed again.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    claimed: bool,
}

impl Target {
    /// `out`, if a result of `T` may be written there, or a new folder in `results`, named by `model` and the time.
    ///
    /// # Errors
    /// As [`check`], and where no folder can be made.
    pub fn new<T: Storable>(out: Option<&Path>, model: &str) -> Result<Self> {
        match out {
            Some(path) => {
                check::<T>(path, T::KIND)?;
                Ok(Self { path: path.to_owned(), claimed: false })
            }
            None => Self::claim(&default_folder(model)),
        }
    }

    /// Makes `path`, or `path-2`, `path-3` and so on where that is taken.
    fn claim(path: &Path) -> Result<Self> {
        let parent = folder_of(path);
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        for count in 1_u64.. {
            let mut name = path.as_os_str().to_owned();
            if count > 1 {
                name.push(format!("-{count}"));
            }
            let path = PathBuf::from(name);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, claimed: true }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(path)(e)),
            }
        }
        Err(Error::input(format!("`{}`", path.display()), "every name like it is taken"))
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if self.claimed {
            // Removes nothing but an empty folder.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// `results/MODEL-DATE-TIME`, with what a file name cannot hold replaced.
pub fn default_folder(model: &str) -> PathBuf {
    let name = Path::new(model).file_name().map_or(model.into(), |name| name.to_string_lossy());
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(safe).collect();
    Path::new("results").join(format!(
        "{}-{}",
        name.trim_start_matches('.'),
        Timestamp::now().strftime("%Y%m%d-%H%M%S")
    ))
}

/// Refuses a path that a result of `T` that is called `kind` ([`Storable::kind`]) cannot be written to.
///
/// # Errors
/// What is no folder; a result of another kind; an unfinished long run; a file of the result's name that is somebody
/// else's.
pub fn check<T: Storable>(path: &Path, kind: &str) -> Result<()> {
    check_kind(path, kind, &named(T::NAMED, kind, T::KIND), T::FILES)
}

/// The command that goes on with the unfinished run in `folder`, if there is one.
pub(super) fn unfinished(folder: &Path) -> Option<&'static str> {
    match folder {
        folder if long_run::Workspace::is_begun(folder) => Some("perplexity"),
        folder if calibrate::Workspace::is_begun(folder) => Some("calibrate"),
        folder if passkey::Answers::are_begun(folder) => Some("passkey"),
        _ => None,
    }
}

/// As [`check`], of whatever type.
pub(super) fn check_any(path: &Path, outcome: &dyn AnyStorable) -> Result<()> {
    check_kind(path, outcome.kind(), &outcome.named(), outcome.files())
}

fn check_kind(path: &Path, kind: &str, named: &str, files: &[&str]) -> Result<()> {
    let place = resolve(path)?;
    if let Some(command) = unfinished(&place) {
        let folder = path.display();
        let reason = format!(
            "an unfinished run is here; go on with it by `{command} --resume {folder}` and the options that it was begun with, or \
             choose another folder"
        );
        return Err(Error::input(format!("`{folder}`"), reason));
    }
    own_files_of_kind(&place, kind, named, files).map(|_| ())
}

/// The files in `place` that `outcome` may replace: those of an older result of its kind.
///
/// # Errors
/// As [`check`], but for the unfinished run.
pub(super) fn own_files(place: &Path, outcome: &dyn AnyStorable) -> Result<Vec<String>> {
    own_files_of_kind(place, outcome.kind(), &outcome.named(), outcome.files())
}

/// As [`own_files`]. `words` is how a sentence names the kind, and `files` are files that its result will have.
fn own_files_of_kind(place: &Path, kind: &str, words: &str, files: &[&str]) -> Result<Vec<String>> {
    let refuse = |reason: String| Err(Error::input(format!("result folder `{}`", place.display()), reason));
    match fs::metadata(place) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(place)(e)),
        Ok(metadata) if !metadata.is_dir() => return refuse("it exists and is no folder".into()),
        Ok(_) if place.canonicalize().is_ok_and(|real| real.file_name().is_none()) => {
            return refuse("it is the root of a file system; choose a folder in it".into());
        }
        Ok(_) => {}
    }
    recover(place)?;
    let own = if fs::symlink_metadata(place.join(RUN)).is_ok() {
        let older = match Manifest::read(place) {
            Ok(older) => older,
            Err(reason) => {
                return refuse(format!("it holds something else, which is left as it is ({reason})"));
            }
        };
        if older.info.kind != kind {
            let older = older.named();
            return refuse(format!(
                "it holds {older}, which {words} would be mixed with; choose another folder, or remove that result first"
            ));
        }
        older.info.files
    } else {
        Vec::new()
    };
    only_files(place, &own)?;
    for name in files.iter().chain([&RUN]) {
        let taken = fs::symlink_metadata(place.join(name)).is_ok();
        if taken && !own.iter().any(|own| own == name) {
            return Err(foreign(place, name));
        }
    }
    Ok(own)
}

/// Refuses a result folder in which somebody has put a link, a device or a folder in place of a file.
pub(super) fn only_files(place: &Path, own: &[String]) -> Result<()> {
    for name in own {
        let path = place.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.file_type().is_file()) {
            let reason = "it is a link, a folder or a device in place of a result's file, which would have to be replaced";
            return Err(Error::input(format!("`{}`", path.display()), reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_not_asked_for_never_clash() {
        let folder = tempfile::tempdir().expect("a folder");
        let wanted = folder.path().join("results").join("tiny-20240531-120000");
        let all: Vec<Target> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Target::claim(&wanted).expect("a folder"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let mut paths: Vec<PathBuf> = all.iter().map(|target| target.path().to_owned()).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 8);
        assert!(paths.iter().all(|path| path.is_dir()) && paths.contains(&wanted));
        fs::write(paths[3].join("run.json"), "{}").expect("written");
        drop(all);
        let left: Vec<_> = fs::read_dir(folder.path().join("results")).expect("a folder").flatten().collect();
        assert_eq!(
            left.iter().map(fs::DirEntry::path).collect::<Vec<_>>(),
            [paths[3].clone()],
            "empty ones go"
        );
    }
}
