//! Where a chat template comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ChatTemplate;
use crate::error::Result;
use crate::formats::folder::{TEMPLATE_FILE, TEMPLATE_JSON_FILE, TOKENIZER_CONFIG_FILE};
use crate::formats::gguf::Metadata;
use crate::formats::json::Json;
use crate::formats::mapped;
use crate::note::Note;
use crate::tokenizer::side_files::{SideFiles, SpecialTexts};

impl ChatTemplate {
    /// The template of a GGUF file, if it has one.
    pub fn from_gguf(metadata: &Metadata) -> Result<Option<Self>> {
        let Some(source) = metadata.text("tokenizer.chat_template")? else { return Ok(None) };
        let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
        let mut named = BTreeMap::new();
        for (name, key) in [
            ("bos_token", "bos_token_id"),
            ("eos_token", "eos_token_id"),
            ("unk_token", "unknown_token_id"),
            ("pad_token", "padding_token_id"),
        ] {
            // An id that is none names no token; the tokenizer says so where it matters.
            let id = metadata.integer(&format!("tokenizer.ggml.{key}")).ok().flatten();
            let text = id.and_then(|id| usize::try_from(id).ok()).and_then(|id| tokens.get(id).copied());
            named.extend(text.map(|text| (name.to_owned(), text.to_owned())));
        }
        let special = SpecialTexts { named, additional: Vec::new() };
        Ok(Some(Self::new(metadata.path().to_owned(), Ok(source.to_owned()), special, Vec::new())))
    }

    /// The template of a Hugging Face folder, if it has one: `chat_template.jinja`, `chat_template` of
    /// `tokenizer_config.json`, or that of `chat_template.json`, in this order, as transformers' tokenizers have it. Of
    /// several the one with the name `default`.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>> {
        let mut found: Vec<(PathBuf, std::result::Result<String, String>)> = Vec::new();
        let path = folder.join(TEMPLATE_FILE);
        if let Some(source) = mapped::read_small_if_present(&path)? {
            found.push((path, Ok(source)));
        }
        for file in [TOKENIZER_CONFIG_FILE, TEMPLATE_JSON_FILE] {
            let path = folder.join(file);
            if mapped::exists(&path)
                && let Some(source) = of_json(&Json::read(&path)?)?
            {
                found.push((path, source));
            }
        }
        let mut found = found.into_iter();
        let Some((path, source)) = found.next() else { return Ok(None) };
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let notes = found.filter(|(_, other)| *other != source).map(|(other, _)| {
            let said = format!(
                "{} has another one, which is not used: {} goes before it",
                name(&other),
                name(&path)
            );
            Note::new("chat template", said)
        });
        let notes = notes.collect();
        Ok(Some(Self::new(path, source, SideFiles::read(folder)?.special, notes)))
    }

    fn new(
        path: PathBuf,
        source: std::result::Result<String, String>,
        special: SpecialTexts,
        mut notes: Vec<Note>,
    ) -> Self {
        if source.as_ref().is_ok_and(|source| source.contains("strftime_now")) {
            let said = "it asks for the time, which is given in UTC: prompts differ from day to day";
            notes.push(Note::new("chat template", said));
        }
        Self { path, source, special, notes }
    }
}

/// `chat_template` of an object: a text, or several by their names, as a list or as an object.
fn of_json(json: &Json) -> Result<Option<std::result::Result<String, String>>> {
    let bad = |got: &str| json.malformed("chat_template", "a string, or several with names", got);
    let mut names = Vec::new();
    let default = match json.value("chat_template") {
        None => return Ok(None),
        Some(Value::String(source)) => return Ok(Some(Ok(source.clone()))),
        Some(Value::Array(list)) => {
            let mut default = None;
            for entry in list {
                let (Some(name), Some(source)) = (entry["name"].as_str(), entry["template"].as_str()) else {
                    return Err(bad("an entry without `name` and `template`"));
                };
                names.push(name);
                // The last of a name counts, as in a dict of Python.
                default = if name == "default" { Some(source) } else { default };
            }
            default
        }
        Some(Value::Object(map)) => {
            names.extend(map.keys().map(String::as_str));
            match map.get("default") {
                Some(Value::String(source)) => Some(source.as_str()),
                Some(_) => return Err(bad("`default`, which is no string")),
                None => None,
            }
        }
        Some(_) => return Err(bad("neither")),
    };
    Ok(Some(default.map(str::to_owned).ok_or_else(|| match names.is_empty() {
        true => "none".to_owned(),
        false => format!("none of it, but {}", names.join(", ")),
    })))
}
