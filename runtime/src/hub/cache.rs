//! The folder that pulled models are kept in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::known::KnownModel;
use crate::error::{Error, Result};

/// Environment variable that names another folder.
pub const VARIABLE: &str = "LM_INFINITE_CACHE";

/// What happens while a model is fetched.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A step in words.
    Said(&'a str),
    /// A file comes next, of which the bytes are told.
    File {
        /// Its name.
        name: &'a str,
        /// Which of the files it is, from 1 on.
        number: usize,
        /// How many files there are.
        of: usize,
        /// Its length.
        bytes: u64,
    },
    /// So many bytes of a file of `total` bytes are here.
    Bytes {
        /// Bytes so far.
        done: u64,
        /// Bytes in the end.
        total: u64,
    },
}

/// What is told of progress.
type Listener = dyn Fn(Progress<'_>) + Send + Sync;

/// What is asked whether to end.
type Cancelled = dyn Fn() -> bool + Send + Sync;

/// Why nothing came of a pull that was ended.
pub(super) const CANCELLED: &str = "cancelled";

/// The folder that pulled models are kept in.
#[derive(Clone)]
pub struct Cache {
    root: PathBuf,
    progress: Option<Arc<Listener>>,
    cancelled: Option<Arc<Cancelled>>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Cache {
    /// The folder that `LM_INFINITE_CACHE` names, or the user's cache folder as the system has it.
    pub fn open() -> Result<Self> {
        if let Some(root) = std::env::var_os(VARIABLE).filter(|root| !root.is_empty()) {
            return Ok(Self::at(root));
        }
        let folders = directories::ProjectDirs::from("", "", "lm-infinite").ok_or_else(|| {
            Error::input("cache folder", format!("this user has no home folder; set {VARIABLE}"))
        })?;
        Ok(Self::at(folders.cache_dir()))
    }

    /// A cache in `root`, which is created when something is pulled.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), progress: None, cancelled: None }
    }

    /// The same, and `progress` is told what happens while a model is fetched.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// The same, and what is fetched ends with an error soon after `cancelled` holds.
    #[must_use]
    pub fn with_cancel(mut self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.cancelled = Some(Arc::new(cancelled));
        self
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.as_ref().is_some_and(|cancelled| cancelled())
    }

    pub(super) fn tell(&self, what: Progress<'_>) {
        if let Some(progress) = &self.progress {
            progress(what);
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where `model` is kept.
    pub fn path_of(&self, model: &KnownModel) -> PathBuf {
        self.root.join(model.file)
    }
}
