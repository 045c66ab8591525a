//! A result folder of any kind.

use std::path::{Path, PathBuf};

use lm_infinite_runtime::files::resolve;

use super::RunInfo;
use super::kinds::Kind;
use super::manifest::Manifest;
use super::move_up::recover;
use super::staging::Staging;
use super::storable::{AnyStorable, Storable};
use super::store::RUN;
use super::target;
use crate::error::{Error, Result};

/// A folder with a result: what it is, how it came about, and which files in it belong to it.
///
/// Files that the manifest does not name are somebody else's, and are neither read nor replaced nor removed.
#[derive(Clone, Debug)]
pub struct ResultFolder {
    path: PathBuf,
    manifest: Manifest,
}

impl ResultFolder {
    /// Opens what lies at `path`, of this version or of an earlier one. A result that was about to be put in place when its
    /// process was killed is put in place first.
    ///
    /// # Errors
    /// No result folder; one of a later version or of an unknown kind; a damaged `run.json`.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::input(format!("`{}`", path.display()), reason));
        if !path.exists() {
            return refuse("there is no such folder; the folder of a result is expected");
        }
        if !path.is_dir() {
            return refuse("it is no folder; the folder of a result is expected");
        }
        recover(path)?;
        if !path.join(RUN).exists() {
            return match target::unfinished(path) {
                Some(command) => refuse(&format!(
                    "an unfinished run is in it; it has a result when it has been gone on with, by `{command} --resume`"
                )),
                None => refuse("it holds no result: no `run.json` is in it"),
            };
        }
        Ok(Self { path: path.to_owned(), manifest: Manifest::read(path)? })
    }

    /// Writes `outcome` to `path`, whole, in place of an older result of the same kind. Links at the end of `path` are
    /// followed. Files that are not the older result's stay where they are.
    ///
    /// # Errors
    /// A path that holds something else than a folder, a result of another kind, or a file of another's that this result
    /// would have to replace; a file that cannot be written. What was there before is then still there.
    pub fn write<T: Storable>(path: &Path, outcome: &T, info: &RunInfo) -> Result<Self> {
        Self::write_any(path, outcome, info)
    }

    /// As [`ResultFolder::write`], of whatever type.
    pub(super) fn write_any(path: &Path, outcome: &dyn AnyStorable, info: &RunInfo) -> Result<Self> {
        let place = resolve(path)?;
        let own = target::own_files(&place, outcome)?;
        let staging = Staging::new(&place, &own)?;
        outcome.write(staging.path())?;
        outcome.draw(info, staging.path())?;
        let info = RunInfo { kind: outcome.kind().to_owned(), ..info.clone() };
        let files = staging.seal(&info, &[])?;
        staging.commit(&own, &files)?;
        Self::open(path)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it came about.
    pub fn info(&self) -> &RunInfo {
        &self.manifest.info
    }

    /// What `run.json` calls its kind.
    pub fn kind(&self) -> &str {
        &self.manifest.info.kind
    }

    /// Its kind with an article, in a sentence.
    pub fn named(&self) -> String {
        self.manifest.named()
    }

    /// Names of the files that belong to it.
    pub fn files(&self) -> &[String] {
        &self.manifest.info.files
    }

    /// Digest of the model.
    pub fn digest(&self) -> Option<&str> {
        self.manifest.info.model.sha256.as_deref()
    }

    pub(super) fn registered(&self) -> &'static Kind {
        self.manifest.kind
    }

    /// Reads the result.
    ///
    /// # Errors
    /// A result of another kind; a file that is missing or damaged.
    pub fn read<T: Storable>(&self) -> Result<T> {
        if self.manifest.kind.name != T::KIND {
            let reason = format!("it holds {}; {} is needed here", self.named(), T::NAMED);
            return Err(Error::input(format!("`{}`", self.path.display()), reason));
        }
        T::read(&self.path)
    }

    /// Draws figures and reports again, from what the folder holds. Returns their paths.
    ///
    /// # Errors
    /// A file that is missing, damaged, or cannot be written.
    pub fn redraw(&self) -> Result<Vec<PathBuf>> {
        let outcome = (self.registered().read)(&self.path)?;
        self.add(|into| outcome.draw(self.info(), into))
    }

    /// Adds what `draw` writes into a folder of its own to the files of this result, all or nothing. Returns their paths.
    ///
    /// # Errors
    /// As `draw`; a file of the same name that is not this result's.
    pub fn add(&self, draw: impl FnOnce(&Path) -> Result<Vec<PathBuf>>) -> Result<Vec<PathBuf>> {
        let place = resolve(&self.path)?;
        target::only_files(&place, self.files())?;
        let staging = Staging::inside(&place)?;
        let drawn = draw(staging.path())?;
        let manifest = staging.seal(self.info(), self.files())?;
        staging.commit(self.files(), &manifest)?;
        Ok(drawn.iter().filter_map(|path| path.file_name()).map(|name| self.path.join(name)).collect())
    }
}
