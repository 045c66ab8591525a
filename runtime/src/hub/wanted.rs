//! Which files of a repository a model needs, and whether a folder has them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::repository::Repository;
use crate::error::Result;
use crate::formats::folder::{
    ADDED_TOKENS_FILE, CONFIG_FILE, GENERATION_CONFIG_FILE, MERGES_FILE, SENTENCEPIECE_FILE,
    SPECIAL_TOKENS_FILE, TEMPLATE_FILE, TEMPLATE_JSON_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE,
    VOCABULARY_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE,
};
use crate::formats::safetensors;

/// Files that are taken if the repository has them.
pub(super) const BESIDE: [&str; 6] = [
    TOKENIZER_CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    SPECIAL_TOKENS_FILE,
    ADDED_TOKENS_FILE,
    TEMPLATE_FILE,
    TEMPLATE_JSON_FILE,
];

/// Forms of a vocabulary, the first before the others.
pub(super) const VOCABULARIES: [&[&str]; 3] =
    [&[TOKENIZER_FILE], &[SENTENCEPIECE_FILE], &[VOCABULARY_FILE, MERGES_FILE]];

/// The model in `folder`, if all is there that `repository` asks for: the folder, or the file of it. `None` where something
/// is missing.
pub(super) fn complete(folder: &Path, repository: &Repository) -> Result<Option<PathBuf>> {
    let has = |name: &str| folder.join(name).is_file();
    if let Some(file) = &repository.file {
        let all = parts(file).map_or_else(|| has(file), |parts| parts.iter().all(|part| has(part)));
        return Ok(all.then(|| folder.join(file)));
    }
    if has(CONFIG_FILE) && VOCABULARIES.iter().any(|files| files.iter().all(|name| has(name))) {
        let index = folder.join(WEIGHTS_INDEX_FILE);
        let weights = has(WEIGHTS_FILE)
            || (index.is_file() && safetensors::shards_of_index(&index)?.iter().all(|shard| has(shard)));
        return Ok(weights.then(|| folder.to_owned()));
    }
    Ok(None)
}

/// The names of all parts, if `file` is one part of several: `name-00001-of-00003.gguf`.
pub(super) fn parts(file: &str) -> Option<BTreeSet<String>> {
    let stem = file.strip_suffix(".gguf")?;
    let (front, count) = stem.rsplit_once("-of-")?;
    let (name, number) = front.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(count) || !digits(number) {
        return None;
    }
    let of: u32 = count.parse().ok()?;
    Some((1..=of).map(|part| format!("{name}-{part:05}-of-{count}.gguf")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted() {
        assert_eq!(parts("x.gguf"), None);
        assert_eq!(parts("x-1-of-2.gguf"), None);
        let three = parts("a/x-y-00002-of-00003.gguf").expect("parts");
        assert_eq!(three.len(), 3);
        assert!(three.contains("a/x-y-00001-of-00003.gguf") && three.contains("a/x-y-00003-of-00003.gguf"));
    }
}
