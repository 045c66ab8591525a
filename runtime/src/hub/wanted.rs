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

/// What of `repository` is missing in the folder of its snapshot, `None` where nothing of it was ever fetched; said of a cache. A
/// repository of GGUF files is asked for by the name of one, which this says, too.
pub(super) fn lacking(snapshot: Option<&Path>, repository: &Repository) -> String {
    let Some(folder) = snapshot.filter(|folder| folder.is_dir()) else {
        return "has nothing of it".to_owned();
    };
    if let Some(file) = &repository.file {
        let all = parts(file).unwrap_or_else(|| BTreeSet::from([file.clone()]));
        let missing: Vec<String> = all.into_iter().filter(|part| !folder.join(part).is_file()).collect();
        let others = gguf_files(folder);
        let has = if others.is_empty() { String::new() } else { format!("; it has {}", others.join(", ")) };
        return format!("does not have {}{has}", missing.join(", "));
    }
    match gguf_files(folder).as_slice() {
        [first, ..] if !folder.join(CONFIG_FILE).is_file() => {
            format!("has .gguf files of it: name one, as in hf:{}:{first}", repository.named())
        }
        _ => "does not have all of it".to_owned(),
    }
}

/// Names of the GGUF files that lie in `folder`.
fn gguf_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".gguf")).collect();
    names.sort();
    names
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
    fn what_is_missing_and_what_is_there_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |text: &str| Repository::parse(text).expect("a repository");
        let lacks = |text: &str| lacking(Some(folder.path()), &of(text));
        assert_eq!(lacking(None, &of("a/b")), "has nothing of it");
        assert_eq!(lacking(Some(&folder.path().join("none")), &of("a/b:x.gguf")), "has nothing of it");
        assert_eq!(lacks("a/b:x.gguf"), "does not have x.gguf");
        assert_eq!(lacks("a/b"), "does not have all of it");
        for name in ["z.gguf", "x-00001-of-00002.gguf"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        assert_eq!(
            lacks("a/b:x-00001-of-00002.gguf"),
            "does not have x-00002-of-00002.gguf; it has x-00001-of-00002.gguf, z.gguf"
        );
        assert_eq!(lacks("a/b@v1"), "has .gguf files of it: name one, as in hf:a/b@v1:x-00001-of-00002.gguf");
        std::fs::write(folder.path().join(CONFIG_FILE), "{}").expect("written");
        assert_eq!(lacks("a/b"), "does not have all of it");
    }

    #[test]
    fn parts_are_counted() {
        assert_eq!(parts("x.gguf"), None);
        assert_eq!(parts("x-1-of-2.gguf"), None);
        let three = parts("a/x-y-00002-of-00003.gguf").expect("parts");
        assert_eq!(three.len(), 3);
        assert!(three.contains("a/x-y-00001-of-00003.gguf") && three.contains("a/x-y-00003-of-00003.gguf"));
    }
}
