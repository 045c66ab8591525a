//! Hugging Face's cache as the `huggingface_hub` library of Python lays it out, so that models that other programs have
//! downloaded are found, and they find ours:
//!
//! ```text
//! models--ORG--NAME/refs/REVISION             the commit of a branch or tag
//!                   snapshots/COMMIT/FILE     a link to the blob, or the file itself
//!                   blobs/ETAG                the content
//! ```

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::repository::{Repository, is_commit};
use crate::error::{Error, Result};

/// What the environment says of Hugging Face, by the variables of its own library.
#[derive(Clone, Debug)]
pub(crate) struct HuggingFace {
    /// The folder of repositories: `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
    pub cache: PathBuf,
    /// `HF_HUB_OFFLINE`: nothing is asked of the network.
    pub offline: bool,
    /// `HF_ENDPOINT`: the server.
    #[cfg_attr(not(feature = "hf"), expect(dead_code, reason = "only downloads ask for it"))]
    pub endpoint: String,
    /// `HF_TOKEN`, or what stands in the file that `huggingface-cli login` writes.
    #[cfg_attr(not(feature = "hf"), expect(dead_code, reason = "only downloads ask for it"))]
    pub token: Option<String>,
}

/// The value of the first of these variables that is set and not empty.
fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Is one of these variables set to what counts as true?
fn is_set(names: &[&str]) -> bool {
    variable(names)
        .is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str()))
}

impl HuggingFace {
    /// Reads the environment.
    ///
    /// # Errors
    /// A user without a home folder where no variable names one.
    pub fn from_environment() -> Result<Self> {
        let home = match (variable(&["HF_HOME"]), variable(&["XDG_CACHE_HOME"])) {
            (Some(home), _) => Some(PathBuf::from(home)),
            (None, Some(caches)) => Some(Path::new(&caches).join("huggingface")),
            (None, None) => {
                directories::BaseDirs::new().map(|user| user.home_dir().join(".cache/huggingface"))
            }
        };
        let home = home.ok_or_else(|| {
            Error::input("cache of Hugging Face", "this user has no home folder; set HF_HOME")
        })?;
        let token = variable(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).or_else(|| {
            let path = variable(&["HF_TOKEN_PATH"]).map_or_else(|| home.join("token"), PathBuf::from);
            fs::read_to_string(path).ok()
        });
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let endpoint = variable(&["HF_ENDPOINT"]).unwrap_or_else(|| "https://huggingface.co".to_owned());
        Ok(Self {
            cache: variable(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
                .map_or_else(|| home.join("hub"), PathBuf::from),
            offline: is_set(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// The folder of a repository.
    pub fn folder(&self, repository: &Repository) -> RepositoryFolder {
        RepositoryFolder(self.cache.join(format!("models--{}", repository.id.replace('/', "--"))))
    }
}

/// The folder of one repository in a cache.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryFolder(PathBuf);

impl RepositoryFolder {
    /// `path`, if it is such a folder.
    pub fn at(path: &Path) -> Option<Self> {
        let is_one =
            path.join("snapshots").is_dir() && (path.join("refs").is_dir() || path.join("blobs").is_dir());
        is_one.then(|| Self(path.to_owned()))
    }

    /// Where the content of files lies.
    #[cfg_attr(not(feature = "hf"), expect(dead_code, reason = "only downloads ask for it"))]
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// Where the commit of a branch or tag is noted.
    pub fn reference(&self, revision: &str) -> PathBuf {
        self.0.join("refs").join(revision)
    }

    /// Where the files of a commit are.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.0.join("snapshots").join(commit)
    }

    /// The commit that the cache knows for a revision.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.reference(revision)).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// The snapshot that is meant where no revision is named: that of `main`, or the only one.
    ///
    /// # Errors
    /// No snapshot, or several and no `main` among them.
    pub fn default_snapshot(&self) -> Result<PathBuf> {
        if let Some(snapshot) =
            self.commit("main").map(|commit| self.snapshot(&commit)).filter(|path| path.is_dir())
        {
            return Ok(snapshot);
        }
        let snapshots = self.0.join("snapshots");
        let entries = fs::read_dir(&snapshots).map_err(Error::io(&snapshots))?;
        let mut found: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
        found.sort();
        match found.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Error::malformed(snapshots, "folder", "a snapshot", "none")),
            several => {
                let got = format!("{} without refs/main; give the path of one of them", several.len());
                Err(Error::malformed(snapshots, "folder", "one snapshot", got))
            }
        }
    }
}
