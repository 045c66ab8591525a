//! Tokenizers from a Hugging Face folder: `tokenizer.json`, `tokenizer.model`, or `vocab.json` with `merges.txt`, with what
//! the files beside them, `generation_config.json` and `config.json` add to it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tokenizers::PreTokenizerWrapper;

use super::chunks::Cut;
use super::normalization::Normalization;
use super::segmentation::Segmentation;
use super::sentencepiece::crosses_a_space;
use super::side_files::SideFiles;
use super::{Specials, Tokenizer, checks, duplicates, merges_file, sentencepiece_file};
use crate::error::{Error, Result};
use crate::formats::folder::{
    CONFIG_FILE, GENERATION_CONFIG_FILE, MERGES_FILE, SENTENCEPIECE_FILE, TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE, VOCABULARY_FILE,
};
use crate::formats::json::Json;
use crate::formats::{mapped, sentencepiece_model};
use crate::note::Note;

/// Classes of transformers' tokenizers that put a BOS in front unless they are told not to.
const ADD_BOS: [&str; 4] = ["LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer"];

/// Files that hold a vocabulary in a form that is not read.
const OTHERS: [&str; 6] = [
    "tekken.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.tiktoken",
    "qwen.tiktoken",
    "vocab.txt",
];

/// A vocabulary, before the files beside it.
struct Source {
    inner: tokenizers::Tokenizer,
    segmentation: Option<Segmentation>,
    normalization: Option<Normalization>,
    cut: Cut,
    /// Special tokens as the vocabulary's own file numbers them.
    bos: Option<u32>,
    eos: Option<u32>,
    /// Whose special tokens are taken where no file names them.
    class: Option<String>,
    /// Is a BOS put first, unless `tokenizer_config.json` says otherwise?
    adds_bos: bool,
    notes: Vec<Note>,
}

impl Tokenizer {
    /// The tokenizer of a folder whose model's embedding has `rows` rows.
    ///
    /// Of several vocabularies `tokenizer.json` is taken, then `tokenizer.model`, then `vocab.json` with `merges.txt`; where
    /// they disagree a note says so. Tokens that stand only in files beside it are tokens, too.
    ///
    /// BOS: `add_bos_token` of `tokenizer_config.json` decides; without it, the post-processor of `tokenizer.json`, or the
    /// class of the tokenizer. An EOS that a post-processor appends is left out, because texts are continued here.
    ///
    /// # Errors
    /// A folder without a vocabulary; files that are not what their names say.
    pub fn from_folder(folder: &Path, rows: usize) -> Result<Self> {
        let mut side = SideFiles::read(folder)?;
        let mut source = Source::read(folder, &side)?;
        if let Some(class) = &source.class {
            side.take_defaults(class, |text| source.inner.token_to_id(text).is_some());
        }
        let failed = |e: tokenizers::Error| {
            Error::malformed(folder, "added tokens", "tokens that the tokenizers library can add", e)
        };
        let mut notes = source.notes;
        notes.extend(side.add_to(&mut source.inner).map_err(failed)?);
        notes.extend(put_spaces_as_asked(&mut source.inner, &side)?);
        let added = bos_of_post_processor(&source.inner);
        let named = |key: &str| source.inner.token_to_id(side.special.named.get(key)?);
        let numbered = Numbered::read(folder)?;
        let stated =
            side.config.as_ref().map(|config| config.boolean("add_bos_token")).transpose()?.flatten();
        let special = Specials {
            bos: added.or_else(|| named("bos_token")).or(source.bos).or(numbered.bos),
            eos: named("eos_token").or(source.eos).or(numbered.eos),
            adds_bos: stated.unwrap_or(added.is_some() || source.adds_bos),
            stop: numbered.stop,
        };
        let mut tokenizer = Self::assemble(source.inner, source.segmentation, source.cut, special, rows);
        tokenizer.normalization = source.normalization;
        tokenizer.notes = notes;
        Ok(tokenizer)
    }
}

impl Source {
    fn read(folder: &Path, side: &SideFiles) -> Result<Self> {
        let has = |name: &str| mapped::exists(&folder.join(name));
        let plain_bytes = has(VOCABULARY_FILE) && has(MERGES_FILE);
        if has(TOKENIZER_FILE) {
            let path = folder.join(TOKENIZER_FILE);
            let text = mapped::read_small(&path)?;
            let json: Value = serde_json::from_str(&text)
                .map_err(|e| Error::malformed(&path, "file", "a JSON object", e))?;
            let inner = from_json(&path, &json, &text)?;
            let class = side.class().map(str::to_owned);
            return Ok(Self {
                notes: disagreements(folder, &inner),
                cut: cut(&json),
                adds_bos: class.as_deref().is_some_and(|class| ADD_BOS.contains(&class)),
                class,
                inner,
                segmentation: None,
                normalization: None,
                bos: None,
                eos: None,
            });
        }
        let byte_level = matches!(side.class(), Some("GPT2Tokenizer" | "Qwen2Tokenizer"));
        if has(SENTENCEPIECE_FILE) && !(plain_bytes && byte_level) {
            let sentencepiece_file::Read { inner, segmentation, normalization, cut, bos, eos, notes } =
                sentencepiece_file::read(folder, side)?;
            let class = side.class().unwrap_or("LlamaTokenizer").to_owned();
            return Ok(Self {
                inner,
                segmentation: Some(segmentation),
                normalization,
                cut,
                bos,
                eos,
                class: Some(class),
                adds_bos: true,
                notes,
            });
        }
        if plain_bytes {
            let (json, class, notes) = merges_file::read(folder, side)?;
            let path = folder.join(MERGES_FILE);
            let inner = from_json(&path, &json, &json.to_string())?;
            return Ok(Self {
                cut: cut(&json),
                inner,
                segmentation: None,
                normalization: None,
                bos: None,
                eos: None,
                class: Some(class.to_owned()),
                adds_bos: false,
                notes,
            });
        }
        let expected =
            format!("{TOKENIZER_FILE}, {SENTENCEPIECE_FILE}, or {VOCABULARY_FILE} with {MERGES_FILE}");
        let got = match (has(VOCABULARY_FILE), has(MERGES_FILE), OTHERS.iter().find(|name| has(name))) {
            (true, false, _) => format!("{VOCABULARY_FILE} without {MERGES_FILE}"),
            (false, true, _) => format!("{MERGES_FILE} without {VOCABULARY_FILE}"),
            (_, _, Some(other)) => format!("{other}, which is not read"),
            _ => "none of them".to_owned(),
        };
        Err(Error::malformed(folder, "tokenizer", expected, got))
    }
}

/// The tokenizer that `json`, whose text is `text`, describes.
fn from_json(path: &Path, json: &Value, text: &str) -> Result<tokenizers::Tokenizer> {
    checks::check_model(path, json)?;
    duplicates::check(path, text)?;
    let mut inner = tokenizers::Tokenizer::from_bytes(text)
        .map_err(|e| Error::malformed(path, "tokenizer", "one that the tokenizers library can read", e))?;
    checks::check_steps(path, &inner)?;
    inner.with_padding(None);
    inner.with_truncation(None).map_err(|e| Error::malformed(path, "truncation", "none", e))?;
    Ok(inner)
}

/// What vocabularies that are not used say otherwise. One that cannot be read says nothing.
fn disagreements(folder: &Path, inner: &tokenizers::Tokenizer) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut compare = |file: &str, pieces: &mut dyn Iterator<Item = (String, u64)>| {
        let others = pieces.filter(|(text, id)| inner.token_to_id(text).map(u64::from) != Some(*id)).count();
        if others > 0 {
            let said = format!(
                "{file} has {others} tokens that {TOKENIZER_FILE}, which goes before it, does not have at their ids"
            );
            notes.push(Note::new("tokenizer", said));
        }
    };
    let path = folder.join(SENTENCEPIECE_FILE);
    if mapped::exists(&path)
        && let Ok(model) = sentencepiece_model::read(&path)
    {
        let texts = model.pieces.into_iter().map(|piece| piece.piece.unwrap_or_default());
        compare(SENTENCEPIECE_FILE, &mut texts.zip(0..));
    }
    let path = folder.join(VOCABULARY_FILE);
    if mapped::exists(&path)
        && let Ok(vocabulary) = Json::read(&path)
    {
        let ids = vocabulary.entries().filter_map(|(text, id)| Some((text.to_owned(), id.as_u64()?)));
        compare(VOCABULARY_FILE, &mut ids.collect::<Vec<_>>().into_iter());
    }
    notes
}

/// transformers gives a byte-level splitter the `add_prefix_space` of `tokenizer_config.json`, where it is absent `false`,
/// whatever `tokenizer.json` says.
fn put_spaces_as_asked(inner: &mut tokenizers::Tokenizer, side: &SideFiles) -> Result<Option<Note>> {
    let stated = side.config.as_ref().map(|config| config.boolean("add_prefix_space")).transpose()?.flatten();
    let asked = stated.unwrap_or(false);
    let Some(PreTokenizerWrapper::ByteLevel(bytes)) = inner.get_pre_tokenizer() else { return Ok(None) };
    let mut bytes = *bytes;
    if bytes.add_prefix_space == asked {
        return Ok(None);
    }
    let said = format!(
        "{TOKENIZER_FILE} says {}, {TOKENIZER_CONFIG_FILE} {}: taken is {asked}, as in transformers",
        bytes.add_prefix_space,
        if stated.is_some() { "says otherwise" } else { "says nothing" }
    );
    bytes.add_prefix_space = asked;
    inner.with_pre_tokenizer(Some(bytes));
    Ok(Some(Note::warning("add_prefix_space", said)))
}

/// Special tokens that the configurations give by their ids.
struct Numbered {
    bos: Option<u32>,
    eos: Option<u32>,
    /// All that end a text.
    stop: BTreeSet<u32>,
}

impl Numbered {
    fn read(folder: &Path) -> Result<Self> {
        let mut numbered = Self { bos: None, eos: None, stop: BTreeSet::new() };
        for name in [GENERATION_CONFIG_FILE, CONFIG_FILE] {
            let path = folder.join(name);
            if mapped::exists(&path) {
                let config = Json::read(&path)?;
                numbered.bos = numbered.bos.or(ids(&config, "bos_token_id")?.first().copied());
                let eos = ids(&config, "eos_token_id")?;
                numbered.eos = numbered.eos.or(eos.first().copied());
                numbered.stop.extend(eos);
            }
        }
        Ok(numbered)
    }
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
