//! What stands beside the vocabulary of a Hugging Face folder: `tokenizer_config.json` with its `added_tokens_decoder`,
//! `special_tokens_map.json`, `added_tokens.json`. Which of them counts is as in transformers 4.57: where
//! `tokenizer_config.json` has `added_tokens_decoder`, the other two do not; otherwise `special_tokens_map.json` goes before
//! `tokenizer_config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tokenizers::AddedToken;

use crate::error::Result;
use crate::formats::folder::{ADDED_TOKENS_FILE, SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE};
use crate::formats::json::Json;
use crate::formats::mapped;
use crate::note::Note;

/// The special tokens that have a name, in the order in which transformers adds them.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The list of those that have none.
const ADDITIONAL: &str = "additional_special_tokens";

/// What the classes of transformers' tokenizers call their special tokens where no file does.
const DEFAULTS: [(&str, &[(&str, &str)]); 4] = [
    ("LlamaTokenizer", &[("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")]),
    ("CodeLlamaTokenizer", &[("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")]),
    (
        "GPT2Tokenizer",
        &[("bos_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>")],
    ),
    (
        "Qwen2Tokenizer",
        &[("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>"), ("pad_token", "<|endoftext|>")],
    ),
];

/// Texts of the special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SpecialTexts {
    /// Those with a name: `bos_token` and the like.
    pub named: BTreeMap<String, String>,
    /// Those without.
    pub additional: Vec<String>,
}

/// What the files beside a vocabulary say.
pub(super) struct SideFiles {
    /// `tokenizer_config.json`, if it is there.
    pub config: Option<Json>,
    /// The special tokens.
    pub special: SpecialTexts,
    /// Flags of special tokens whose file gives them.
    flags: BTreeMap<String, AddedToken>,
    /// Tokens by the ids that the files give them, and the file.
    added: BTreeMap<u64, (AddedToken, &'static str)>,
    /// Where two files disagree.
    notes: Vec<Note>,
}

impl SideFiles {
    /// Reads them all; a file that is not there says nothing.
    pub fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            if mapped::exists(&path) { Json::read(&path).map(Some) } else { Ok(None) }
        };
        let config = read(TOKENIZER_CONFIG_FILE)?;
        let mut side = Self {
            config: None,
            special: SpecialTexts::default(),
            flags: BTreeMap::new(),
            added: BTreeMap::new(),
            notes: Vec::new(),
        };
        if let Some(config) = &config {
            side.take_special(config, false)?;
        }
        let decoder =
            config.as_ref().map(|config| config.object("added_tokens_decoder")).transpose()?.flatten();
        let (map, list) = (read(SPECIAL_TOKENS_FILE)?, read(ADDED_TOKENS_FILE)?);
        match decoder {
            Some(decoder) => {
                for (key, value) in decoder.entries() {
                    let id = key.parse().map_err(|_| decoder.malformed(key, "a token id as key", key))?;
                    let token = added_token(&decoder, key, value, None)?;
                    side.added.insert(id, (token, "added_tokens_decoder of tokenizer_config.json"));
                }
                side.compare(map.as_ref(), list.as_ref())?;
            }
            None => {
                if let Some(map) = &map {
                    side.take_special(map, true)?;
                }
                for (text, id) in list.iter().flat_map(Json::entries) {
                    let expected = "the id of a token";
                    let id = id.as_u64().ok_or_else(|| {
                        list.as_ref().map_or_else(
                            || crate::error::Error::input(ADDED_TOKENS_FILE, expected),
                            |list| list.malformed(text, expected, id),
                        )
                    })?;
                    let special = side.is_special(text);
                    side.added.insert(id, (AddedToken::from(text, special), ADDED_TOKENS_FILE));
                }
            }
        }
        side.config = config;
        Ok(side)
    }

    /// Takes the special tokens of `json`; those that are there already are replaced, and a note says so.
    fn take_special(&mut self, json: &Json, goes_before: bool) -> Result<()> {
        for name in NAMES {
            let Some(value) = json.value(name) else { continue };
            // transformers of old wrote `false` for none.
            if *value == Value::Bool(false) {
                continue;
            }
            let token = added_token(json, name, value, Some(true))?;
            let text = token.content.clone();
            if !value.is_string() {
                self.flags.insert(text.clone(), token);
            }
            if let Some(other) = self.special.named.insert(name.to_owned(), text.clone())
                && goes_before
                && other != text
            {
                let said = format!(
                    "{TOKENIZER_CONFIG_FILE} says {other:?}, {SPECIAL_TOKENS_FILE} {text:?}: the latter is taken"
                );
                self.notes.push(Note::warning(name, said));
            }
        }
        match json.value(ADDITIONAL) {
            None => {}
            Some(Value::Array(list)) => {
                for value in list {
                    let token = added_token(json, ADDITIONAL, value, Some(true))?;
                    let text = token.content.clone();
                    if !value.is_string() {
                        self.flags.insert(text.clone(), token);
                    }
                    if !self.special.additional.contains(&text) {
                        self.special.additional.push(text);
                    }
                }
            }
            Some(other) => return Err(json.malformed(ADDITIONAL, "a list of tokens", other)),
        }
        Ok(())
    }

    /// Says where files that do not count say something else.
    fn compare(&mut self, map: Option<&Json>, list: Option<&Json>) -> Result<()> {
        let not_used = "which is not used: tokenizer_config.json has `added_tokens_decoder`";
        if let Some(map) = map {
            for name in NAMES {
                let Some(value) = map.value(name).filter(|value| **value != Value::Bool(false)) else {
                    continue;
                };
                let text = added_token(map, name, value, Some(true))?.content;
                if self.special.named.get(name) != Some(&text) {
                    let said = format!("{SPECIAL_TOKENS_FILE} says {text:?}, {not_used}");
                    self.notes.push(Note::warning(name, said));
                }
            }
        }
        for (text, id) in list.iter().flat_map(|list| list.entries()) {
            let ours = id.as_u64().and_then(|id| self.added.get(&id));
            if ours.is_none_or(|(token, _)| token.content != text) {
                let said = format!("{ADDED_TOKENS_FILE} gives id {id} to {text:?}, {not_used}");
                self.notes.push(Note::warning("added tokens", said));
            }
        }
        Ok(())
    }

    /// The class of transformers' tokenizers that the configuration names, without `Fast`.
    pub fn class(&self) -> Option<&str> {
        let class = self.config.as_ref()?.value("tokenizer_class")?.as_str()?;
        Some(class.strip_suffix("Fast").unwrap_or(class))
    }

    /// Names the special tokens that class `class` has by default, as far as `is_token` knows them.
    pub fn take_defaults(&mut self, class: &str, is_token: impl Fn(&str) -> bool) {
        let defaults = DEFAULTS.iter().find(|(name, _)| *name == class).map_or(&[][..], |(_, texts)| texts);
        for (name, text) in defaults.iter().filter(|(_, text)| is_token(text)) {
            let silent = self.config.as_ref().is_none_or(|config| !config.has(name));
            if silent && !self.special.named.contains_key(*name) {
                self.special.named.insert((*name).to_owned(), (*text).to_owned());
            }
        }
    }

    /// Is `text` a special token by its name?
    fn is_special(&self, text: &str) -> bool {
        self.special.named.values().chain(&self.special.additional).any(|special| special == text)
    }

    /// Adds the tokens of these files to `inner`, as transformers does: in the order of their ids, then the special tokens
    /// that stand nowhere else. A token of the vocabulary keeps its id; a new one has the next free one. Returns the notes.
    ///
    /// # Errors
    /// Tokens that the library cannot add.
    pub fn add_to(&mut self, inner: &mut tokenizers::Tokenizer) -> tokenizers::Result<Vec<Note>> {
        // Those of the vocabulary's own file go before added_tokens.json, not before `added_tokens_decoder`.
        let own = inner.get_added_tokens_decoder();
        let decoder = self.added.values().any(|(_, file)| *file != ADDED_TOKENS_FILE);
        if !decoder {
            self.added.retain(|id, _| !u32::try_from(*id).is_ok_and(|id| own.contains_key(&id)));
        }
        let known = |text: &str| own.values().find(|token| token.content == text);
        let mut stated = Vec::new();
        let mut tokens: Vec<AddedToken> = Vec::new();
        for (&id, (token, file)) in &self.added {
            let special = token.special || self.is_special(&token.content);
            tokens.push(token.clone().special(special));
            stated.push((id, token.content.clone(), *file));
        }
        for text in
            NAMES.iter().filter_map(|name| self.special.named.get(*name)).chain(&self.special.additional)
        {
            if tokens.iter().any(|token| token.content == *text) {
                continue;
            }
            match known(text) {
                // A token that has a special name is special, with the flags that it has.
                Some(token) if !decoder => tokens.push(token.clone().special(true)),
                Some(_) => {}
                None => {
                    let token = self.flags.get(text).cloned().unwrap_or_else(|| AddedToken::from(text, true));
                    tokens.push(token.special(true));
                }
            }
        }
        let new: Vec<String> = tokens
            .iter()
            .filter(|token| inner.token_to_id(&token.content).is_none())
            .map(|token| format!("{:?}", token.content))
            .collect();
        inner.add_tokens(tokens)?;
        if !new.is_empty() {
            let shown = if new.len() > 8 { format!("{}, …", new[..8].join(", ")) } else { new.join(", ") };
            let said = format!(
                "{} that the vocabulary does not have were added, as transformers does: {shown}",
                new.len()
            );
            self.notes.push(Note::new("added tokens", said));
        }
        for (id, text, file) in stated {
            let given = inner.token_to_id(&text);
            if given.map(u64::from) != Some(id) {
                let given = given.map_or_else(|| "none".to_owned(), |given| given.to_string());
                let said =
                    format!("{file} gives it id {id}; it has {given}, as in transformers' fast tokenizers");
                self.notes.push(Note::warning(format!("added token {text:?}"), said));
            }
        }
        Ok(std::mem::take(&mut self.notes))
    }
}

/// A token as side files write it: its text, or an object with `content` and flags. `special` in place of what the object
/// says.
fn added_token(json: &Json, key: &str, value: &Value, special: Option<bool>) -> Result<AddedToken> {
    let bad = || json.malformed(key, "the text of a token, or an object with its `content`", value);
    if let Some(text) = value.as_str() {
        return Ok(AddedToken::from(text, special.unwrap_or(false)));
    }
    let text = value["content"].as_str().ok_or_else(bad)?;
    let flag = |name: &str| match &value[name] {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        other => Err(json.malformed(key, format!("`{name}` that is true or false"), other)),
    };
    let special = match special {
        Some(special) => special,
        None => flag("special")?.unwrap_or(false),
    };
    Ok(AddedToken::from(text, special)
        .single_word(flag("single_word")?.unwrap_or(false))
        .lstrip(flag("lstrip")?.unwrap_or(false))
        .rstrip(flag("rstrip")?.unwrap_or(false))
        .normalized(flag("normalized")?.unwrap_or(!special)))
}
