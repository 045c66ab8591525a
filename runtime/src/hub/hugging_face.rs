//! Repositories of Hugging Face, through its own cache, so that models which other programs have downloaded are found.

use std::path::PathBuf;

use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{CacheRepo, Repo};

use super::cache::{Cache, Progress};
use crate::error::{Error, Result};
use crate::formats::folder::{
    CONFIG_FILE, GENERATION_CONFIG_FILE, TEMPLATE_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
};
use crate::formats::safetensors;

/// Files that are taken if the repository has them.
const OPTIONAL: [&str; 3] = [TOKENIZER_CONFIG_FILE, GENERATION_CONFIG_FILE, TEMPLATE_FILE];

/// The folder of `repository` (`org/name`, checked) with everything that loading needs.
pub(super) fn fetch(repository: &str, cache: &Cache) -> Result<PathBuf> {
    let refuse = |reason: String| Error::input(format!("model `hf:{repository}`"), reason);
    let repo = Repo::model(repository.to_owned());
    let cached = hf_hub::Cache::from_env().repo(repo.clone());
    let api = ApiBuilder::from_env().build().map_err(|e| refuse(e.to_string()))?.repo(repo);
    // Without a connection there is no list of files; then the cache has to have them.
    let remote: std::result::Result<Vec<String>, String> = api
        .info()
        .map(|info| info.siblings.into_iter().map(|sibling| sibling.rfilename).collect())
        .map_err(|e| e.to_string());
    let source = Source { api, cached, remote, cache };

    let config = source.get(CONFIG_FILE).map_err(refuse)?;
    source.get(TOKENIZER_FILE).map_err(refuse)?;
    for name in OPTIONAL {
        if source.has(name) {
            source.get(name).map_err(refuse)?;
        }
    }
    if source.has(WEIGHTS_FILE) {
        source.get(WEIGHTS_FILE).map_err(refuse)?;
    } else {
        let index = source.get(WEIGHTS_INDEX_FILE).map_err(refuse)?;
        for shard in safetensors::shards_of_index(&index)? {
            source.get(&shard).map_err(refuse)?;
        }
    }
    config.parent().map(PathBuf::from).ok_or_else(|| refuse("the cache has no folder for it".into()))
}

/// A repository and what is known of it.
struct Source<'a> {
    cache: &'a Cache,
    api: ApiRepo,
    cached: CacheRepo,
    /// Names of the files of the repository, or why they are not known.
    remote: std::result::Result<Vec<String>, String>,
}

impl Source<'_> {
    fn has(&self, name: &str) -> bool {
        match &self.remote {
            Ok(files) => files.iter().any(|file| file == name),
            Err(_) => self.cached.get(name).is_some(),
        }
    }

    fn get(&self, name: &str) -> std::result::Result<PathBuf, String> {
        if let Some(path) = self.cached.get(name) {
            return Ok(path);
        }
        match &self.remote {
            Err(e) => Err(format!("{name} is not in the cache, and huggingface could not be reached: {e}")),
            Ok(_) if !self.has(name) => Err(format!("the repository has no {name}")),
            Ok(_) => {
                let download = Download { cache: self.cache, done: 0, total: 0 };
                self.api.download_with_progress(name, download).map_err(|e| format!("{name}: {e}"))
            }
        }
    }
}

/// Tells a cache what the hub's client tells.
struct Download<'a> {
    cache: &'a Cache,
    done: u64,
    total: u64,
}

impl hf_hub::api::Progress for Download<'_> {
    fn init(&mut self, size: usize, filename: &str) {
        self.total = size as u64;
        self.cache.tell(Progress::Said(&format!("downloading {filename}")));
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        self.cache.tell(Progress::Bytes { done: self.done, total: self.total });
    }

    fn finish(&mut self) {}
}
