//! The folder that pulled models are kept in.

use std::path::{Path, PathBuf};

use super::KnownModel;
use crate::error::{Error, Result};

/// Environment variable that names another folder.
pub const VARIABLE: &str = "LM_INFINITE_CACHE";

/// The folder that pulled models are kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
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
        Self { root: root.into() }
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
