//! Tokenizers from a Hugging Face folder: `tokenizer.json`, with what `tokenizer_config.json`, `generation_config.json`
//! and `config.json` add to it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::checks;
use super::chunks::Cut;
use super::sentencepiece::crosses_a_space;
use super::{Specials, Tokenizer};
use crate::error::{Error, Result};
use crate::formats::folder::{CONFIG_FILE, GENERATION_CONFIG_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE};
use crate::formats::json::Json;
use crate::formats::mapped;

impl Tokenizer {
    /// The tokenizer of a folder whose model's embedding has `rows` rows.
    ///
    /// BOS: `add_bos_token` of `tokenizer_config.json` decides; without it, the post-processor of `tokenizer.json`. An
    /// EOS that a post-processor appends is left out, because texts are continued here.
    pub fn from_folder(folder: &Path, rows: usize) -> Result<Self> {
        let path = folder.join(TOKENIZER_FILE);
        let text = mapped::read_small(&path)?;
        let json: Value =
            serde_json::from_str(&text).map_err(|e| Error::malformed(&path, "file", "a JSON object", e))?;
        checks::check_model(&path, &json)?;
        let mut inner = tokenizers::Tokenizer::from_bytes(&text).map_err(|e| {
            Error::malformed(&path, "tokenizer", "one that the tokenizers library can read", e)
        })?;
        checks::check_steps(&path, &inner)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| Error::malformed(&path, "truncation", "none", e))?;
        let special = specials(folder, &inner)?;
        Ok(Self::assemble(inner, None, cut(&json), special, rows))
    }
}

/// Special tokens and the rule about BOS.
fn specials(folder: &Path, inner: &tokenizers::Tokenizer) -> Result<Specials> {
    let read = |name: &str| {
        let path = folder.join(name);
        if mapped::exists(&path) { Json::read(&path).map(Some) } else { Ok(None) }
    };
    let tokenizer_config = read(TOKENIZER_CONFIG_FILE)?;
    let generation_config = read(GENERATION_CONFIG_FILE)?;
    let model_config = read(CONFIG_FILE)?;

    let named = |key: &str| {
        let text = special_text(tokenizer_config.as_ref()?.value(key)?)?;
        inner.token_to_id(&text)
    };
    let mut stop = BTreeSet::new();
    let mut numbered = |key: &str| -> Result<Option<u32>> {
        let mut first = None;
        for config in [&generation_config, &model_config].into_iter().flatten() {
            let ids = ids(config, key)?;
            first = first.or(ids.first().copied());
            if key == "eos_token_id" {
                stop.extend(ids);
            }
        }
        Ok(first)
    };
    let (numbered_bos, numbered_eos) = (numbered("bos_token_id")?, numbered("eos_token_id")?);

    let added = bos_of_post_processor(inner);
    let stated =
        tokenizer_config.as_ref().map(|config| config.boolean("add_bos_token")).transpose()?.flatten();
    Ok(Specials {
        bos: added.or_else(|| named("bos_token")).or(numbered_bos),
        eos: named("eos_token").or(numbered_eos),
        adds_bos: stated.unwrap_or(added.is_some()),
        stop,
    })
}

/// Text of a special token, which is a string or an object around one.
pub(super) fn special_text(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned)
}

/// One id or a list of ids.
fn ids(config: &Json, key: &str) -> Result<Vec<u32>> {
    let id = |value: &Value| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| config.malformed(key, "a token id or a list of them", value))
    };
    match config.value(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(id).collect(),
        Some(value) => Ok(vec![id(value)?]),
    }
}

/// The token that the post-processor puts in front of a text.
fn bos_of_post_processor(inner: &tokenizers::Tokenizer) -> Option<u32> {
    let plain = inner.encode_fast("a", false).ok()?;
    let processed = inner.encode_fast("a", true).ok()?;
    let (plain, processed) = (plain.get_ids(), processed.get_ids());
    let first = *processed.first()?;
    (processed.get(1..)?.starts_with(plain) && plain.first() != Some(&first)).then_some(first)
}

/// Where texts may be cut, for the kinds of tokenizers that are known.
fn cut(json: &Value) -> Cut {
    let pieces_cross = || match json["model"]["vocab"].as_object() {
        Some(vocabulary) => vocabulary.keys().any(|piece| crosses_a_space(piece)),
        None => true,
    };
    let steps = |value: &Value, list: &str| match value["type"].as_str() {
        None => Vec::new(),
        Some("Sequence") => value[list].as_array().cloned().unwrap_or_default(),
        Some(_) => vec![value.clone()],
    };
    let kinds = |steps: &[Value]| -> Vec<String> {
        steps.iter().map(|step| step["type"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let normalizers = steps(&json["normalizer"], "normalizers");
    let splitters = steps(&json["pre_tokenizer"], "pretokenizers");
    let normalizer_kinds = kinds(&normalizers);
    let is_bpe = json["model"]["type"].as_str().is_none_or(|kind| kind == "BPE");
    let composes = normalizer_kinds.iter().all(|kind| kind == "NFC");

    // Byte-level BPE: every expression in use ends a word before a space.
    if is_bpe && composes && splitters.last().is_some_and(|last| last["type"] == "ByteLevel") {
        let known = splitters.iter().all(|step| match step["type"].as_str() {
            Some("Digits") => true,
            Some("ByteLevel") => step["use_regex"] != Value::Bool(false) || splitters.len() > 1,
            Some("Split") => {
                step["pattern"]["Regex"].as_str().is_some_and(|regex| regex.contains(r" ?[^\s\p{L}\p{N}]+"))
            }
            _ => false,
        });
        return if known { Cut::BeforeSpace } else { Cut::Never };
    }
    // SentencePiece BPE as converted: `▁` in front, spaces to `▁`, and no splitting.
    let replaces_spaces = |step: &Value| step["pattern"]["String"] == " " && step["content"] == "▁";
    let prepends = |step: &Value| step["type"] == "Prepend" && step["prepend"] == "▁";
    match (normalizers.as_slice(), splitters.is_empty()) {
        ([first, second], true)
            if is_bpe && prepends(first) && replaces_spaces(second) && !pieces_cross() =>
        {
            Cut::InsteadOfSpace
        }
        _ => Cut::Never,
    }
}
