//! `vocab.json` and `merges.txt`: byte-level BPE as GPT-2 wrote it, without a `tokenizer.json`. How a text is split before
//! merging stands in neither; it follows from the class of the tokenizer.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::side_files::SideFiles;
use crate::error::{Error, Result};
use crate::formats::folder::{CONFIG_FILE, MERGES_FILE, VOCABULARY_FILE};
use crate::formats::json::Json;
use crate::formats::mapped;
use crate::note::Note;

/// Splits of Qwen2, as its tokenizer's published code has them; GPT-2's own are built into the library.
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|",
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// The two files as the object that a `tokenizer.json` would hold, the class that was taken, and what was assumed.
pub(super) fn read(folder: &Path, side: &SideFiles) -> Result<(Value, &'static str, Vec<Note>)> {
    let mut notes = Vec::new();
    let class = class(folder, side, &mut notes)?;
    let vocabulary = vocabulary(&folder.join(VOCABULARY_FILE))?;
    let merges = merges(&folder.join(MERGES_FILE), &mut notes)?;
    let prefix = match &side.config {
        Some(config) => config.boolean("add_prefix_space")?.unwrap_or(false),
        None => false,
    };
    let bytes = |prefix: bool, splits: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": prefix,
        "trim_offsets": true, "use_regex": splits})
    };
    let (normalizer, splitter) = match class {
        "Qwen2Tokenizer" => {
            let split = json!({"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": false});
            let steps = json!({"type": "Sequence", "pretokenizers": [split, bytes(prefix, false)]});
            (json!({"type": "NFC"}), steps)
        }
        _ => (Value::Null, bytes(prefix, true)),
    };
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": splitter, "post_processor": null, "decoder": bytes(true, true),
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": merges},
    });
    Ok((json, class, notes))
}

/// Which kind of tokenizer it is: by `tokenizer_class`, or else by the model's type.
fn class(folder: &Path, side: &SideFiles, notes: &mut Vec<Note>) -> Result<&'static str> {
    let config_path = folder.join(CONFIG_FILE);
    let config = if mapped::exists(&config_path) { Some(Json::read(&config_path)?) } else { None };
    let model = config.as_ref().map(|config| config.text("model_type")).transpose()?.flatten();
    let known = match (side.class(), model) {
        (Some("GPT2Tokenizer"), _) => Some("GPT2Tokenizer"),
        (Some("Qwen2Tokenizer"), _) => Some("Qwen2Tokenizer"),
        // A class of no kind of its own: the model decides.
        (Some("PreTrainedTokenizer") | None, Some(model)) if model.starts_with("qwen") => {
            Some("Qwen2Tokenizer")
        }
        (Some("PreTrainedTokenizer") | None, Some("gpt2" | "gptj" | "gpt_neo" | "gpt_neox" | "opt")) => {
            Some("GPT2Tokenizer")
        }
        (Some("PreTrainedTokenizer") | None, _) => None,
        (Some(other), _) => {
            let detail = format!(
                "{}: from {VOCABULARY_FILE} and {MERGES_FILE} alone, supported are GPT2Tokenizer and Qwen2Tokenizer; \
                 a tokenizer.json would say how it splits",
                folder.display()
            );
            return Err(Error::unsupported(format!("tokenizer class `{other}`"), detail));
        }
    };
    Ok(known.unwrap_or_else(|| {
        let said = "neither tokenizer_config.json nor the model's type says how texts are split before merging; \
                    they are split as GPT-2 does";
        notes.push(Note::warning(MERGES_FILE, said));
        "GPT2Tokenizer"
    }))
}

/// Texts and ids.
fn vocabulary(path: &Path) -> Result<Map<String, Value>> {
    let text = mapped::read_small(path)?;
    let map: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|e| Error::malformed(path, "file", "an object: token → id", e))?;
    if map.is_empty() {
        return Err(Error::malformed(path, "file", "at least one token", "none"));
    }
    let is_id = |value: &Value| value.as_u64().is_some_and(|id| u32::try_from(id).is_ok());
    match map.iter().find(|(_, id)| !is_id(id)) {
        Some((token, id)) => Err(Error::malformed(path, format!("{token:?}"), "an id", id)),
        None => Ok(map),
    }
}

/// Pairs, the first to be merged first.
fn merges(path: &Path, notes: &mut Vec<Note>) -> Result<Vec<[String; 2]>> {
    let text = mapped::read_small(path)?;
    let mut merges = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || (number == 0 && line.starts_with("#version")) {
            continue;
        }
        if number == 0 {
            let said = "does not begin with a line `#version`: its first line is taken as a merge, which transformers \
                        leaves out";
            notes.push(Note::warning(MERGES_FILE, said));
        }
        let pair = line.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty());
        let (left, right) = pair.filter(|(_, right)| !right.contains(' ')).ok_or_else(|| {
            Error::malformed(
                path,
                format!("line {}", number + 1),
                "two tokens with a space between them",
                format!("{line:?}"),
            )
        })?;
        merges.push([left.to_owned(), right.to_owned()]);
    }
    Ok(merges)
}
