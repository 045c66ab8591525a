//! Models of Hugging Face: from its cache if it has all of one, else from the network into that cache.

use std::path::PathBuf;

use super::cache::Cache;
use super::hf_cache::HuggingFace;
use super::repository::Repository;
use super::wanted;
use crate::error::{Error, Result};

/// The folder of `repository` with everything that loading needs, or the file of it that is asked for.
pub(super) fn fetch(repository: &Repository, cache: &Cache) -> Result<PathBuf> {
    let hub = HuggingFace::from_environment()?;
    let folder = hub.folder(repository);
    if let Some(commit) = folder.commit(&repository.revision)
        && let Some(found) = wanted::complete(&folder.snapshot(&commit), repository)?
    {
        return Ok(found);
    }
    if hub.offline {
        let cached = folder.commit(&repository.revision).map(|commit| folder.snapshot(&commit));
        let lacks = wanted::lacking(cached.as_deref(), repository);
        let reason = format!("HF_HUB_OFFLINE is set, and the cache {} {lacks}", hub.cache.display());
        return Err(Error::input(format!("model `{repository}`"), reason));
    }
    download(repository, cache, &hub)
}

#[cfg(not(feature = "hf"))]
fn download(repository: &Repository, _: &Cache, hub: &HuggingFace) -> Result<PathBuf> {
    let detail = format!(
        "this program was built without the feature `hf`, and the cache {} does not have all of {repository}",
        hub.cache.display()
    );
    Err(Error::unsupported("downloading", detail))
}

#[cfg(feature = "hf")]
fn download(repository: &Repository, cache: &Cache, hub: &HuggingFace) -> Result<PathBuf> {
    use std::collections::BTreeSet;

    use super::client::Client;
    use crate::formats::folder::{CONFIG_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
    use crate::formats::safetensors;

    let refuse = |reason: String| Error::input(format!("model `{repository}`"), reason);
    let client = Client::new(hub, cache);
    let folder = hub.folder(repository);
    let listing = client.list(repository).map_err(|reason| {
        let cached = folder.commit(&repository.revision).map(|commit| folder.snapshot(&commit));
        let lacks = wanted::lacking(cached.as_deref(), repository);
        refuse(format!("the cache {} {lacks}, and it could not be asked for: {reason}", hub.cache.display()))
    })?;
    let commit = &listing.commit;
    let named: BTreeSet<&str> = listing.files().collect();
    let has = |name: &str| named.contains(name);
    let bring = |files: &[&str], before: usize, of: usize| -> Result<PathBuf> {
        let mut last = PathBuf::new();
        for (at, file) in files.iter().enumerate() {
            let place = [before + at + 1, of];
            let fetched = client.fetch(repository, commit, &folder, file, place);
            last = fetched.map_err(|reason| refuse(format!("{file}: {reason}")))?;
        }
        Ok(last)
    };
    let target = match &repository.file {
        Some(file) => {
            if !has(file) {
                let others: Vec<&str> =
                    named.iter().copied().filter(|name| name.ends_with(".gguf")).collect();
                return Err(refuse(format!(
                    "the repository has no {file}; its .gguf files are {}",
                    or_none(&others)
                )));
            }
            let parts = wanted::parts(file).unwrap_or_else(|| BTreeSet::from([file.clone()]));
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            bring(&parts, 0, parts.len())?;
            folder.snapshot(commit).join(file)
        }
        None => {
            if !has(CONFIG_FILE) {
                return Err(refuse(without_config(repository, &named)));
            }
            let vocabulary = wanted::VOCABULARIES.iter().find(|files| files.iter().all(|file| has(file)));
            let Some(vocabulary) = vocabulary else {
                let reason =
                    "the repository has no tokenizer.json, tokenizer.model, or vocab.json with merges.txt";
                return Err(refuse(reason.to_owned()));
            };
            let small = [CONFIG_FILE].into_iter().chain(vocabulary.iter().copied());
            let mut files: Vec<&str> =
                small.chain(wanted::BESIDE.into_iter().filter(|name| has(name))).collect();
            if has(WEIGHTS_FILE) {
                files.push(WEIGHTS_FILE);
                bring(&files, 0, files.len())?;
            } else if has(WEIGHTS_INDEX_FILE) {
                let index = bring(&[WEIGHTS_INDEX_FILE], 0, files.len() + 1)?;
                let shards = safetensors::shards_of_index(&index)?;
                files.extend(shards.iter().map(String::as_str));
                bring(&files, 1, files.len() + 1)?;
            } else {
                return Err(refuse(safetensors::without_weights(named.iter().copied())));
            }
            folder.snapshot(commit)
        }
    };
    if !repository.is_commit() {
        let reference = folder.reference(&repository.revision);
        let parent = reference.parent().map_or_else(PathBuf::new, PathBuf::from);
        std::fs::create_dir_all(&parent).map_err(Error::io(&parent))?;
        std::fs::write(&reference, commit).map_err(Error::io(&reference))?;
    }
    Ok(target)
}

/// What to do about a repository that is no folder of Hugging Face's own kind.
#[cfg(feature = "hf")]
fn without_config(repository: &Repository, named: &std::collections::BTreeSet<&str>) -> String {
    let files: Vec<&str> = named.iter().copied().filter(|name| name.ends_with(".gguf")).collect();
    match files.as_slice() {
        [] => "the repository has no config.json".to_owned(),
        [first, ..] => {
            let named = repository.named();
            format!(
                "the repository has no config.json, but .gguf files: name one, as in hf:{named}:{first}; there are {}",
                or_none(&files)
            )
        }
    }
}

#[cfg(feature = "hf")]
fn or_none(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
