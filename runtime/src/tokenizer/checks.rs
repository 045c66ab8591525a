//! What the `tokenizers` crate takes for granted in a `tokenizer.json`: where it does not hold, the library stops the
//! program, or encodes one text in two ways.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::charsmap::CharsMap;
use crate::error::{Error, Result};

/// Refuses models that the library stumbles over when it reads or uses them.
pub(super) fn check_model(path: &Path, json: &Value) -> Result<()> {
    check_ids(path, json)?;
    check_dropout(path, json)?;
    check_merges(path, json)?;
    check_tables(path, &json["normalizer"], "normalizer")
}

/// Refuses tables of replacements that the library cannot read, or that texts lead out of: it indexes without a look at bounds, and
/// takes memory by a number that stands in the table.
fn check_tables(path: &Path, step: &Value, field: &str) -> Result<()> {
    const TABLE: &str = "precompiled_charsmap";
    if let Some(steps) = step.as_array() {
        let mut steps = steps.iter().enumerate();
        return steps.try_for_each(|(at, step)| check_tables(path, step, &format!("{field}[{at}]")));
    }
    let Some(fields) = step.as_object() else { return Ok(()) };
    if let Some(table) = fields.get(TABLE).or((step["type"] == "Precompiled").then_some(&Value::Null)) {
        let refuse = |got: String| {
            Err(Error::malformed(
                path,
                format!("{field}.{TABLE}"),
                "a table of replacements of SentencePiece",
                got,
            ))
        };
        let bytes = match table.as_str().map(|table| STANDARD.decode(table)) {
            Some(Ok(bytes)) => bytes,
            Some(Err(e)) => return refuse(format!("a text that is no base64: {e}")),
            None => return refuse(table.to_string()),
        };
        if let Err(got) = CharsMap::read(&bytes).and_then(|table| table.check_every_text()) {
            return refuse(got);
        }
    }
    fields.iter().try_for_each(|(name, part)| check_tables(path, part, &format!("{field}.{name}")))
}

/// Refuses steps around the model that the library stumbles over when it uses them. They are checked as the library
/// writes them, because it reads them in more than one form.
pub(super) fn check_steps(path: &Path, inner: &tokenizers::Tokenizer) -> Result<()> {
    let written = |step: serde_json::Result<Value>| {
        step.map_err(|e| Error::malformed(path, "tokenizer", "one that can be written again", e))
    };
    check_decoder(path, &written(serde_json::to_value(inner.get_decoder()))?)?;
    check_post_processor(path, &written(serde_json::to_value(inner.get_post_processor()))?)
}

/// Refuses two tokens with one id: which of them a text becomes would depend on the order of a hash table.
fn check_ids(path: &Path, json: &Value) -> Result<()> {
    let Some(vocabulary) = json["model"]["vocab"].as_object() else { return Ok(()) };
    let mut token_of = HashMap::with_capacity(vocabulary.len());
    for (token, id) in vocabulary {
        let Some(id) = id.as_u64() else { continue };
        if let Some(other) = token_of.insert(id, token) {
            return Err(Error::malformed(
                path,
                "model.vocab",
                "an id of its own for each token",
                format!("{id} for {other:?} and for {token:?}"),
            ));
        }
    }
    Ok(())
}

/// Refuses merges that are left out at random, as in the training with BPE dropout (arXiv 1910.13267).
fn check_dropout(path: &Path, json: &Value) -> Result<()> {
    let dropout = &json["model"]["dropout"];
    if dropout.is_null() || dropout.as_f64() == Some(0.0) {
        return Ok(());
    }
    Err(Error::malformed(path, "model.dropout", "null: a text has one tokenization", dropout))
}

/// Refuses BPE merges whose parts or union are no tokens; the library assumes that a union is no longer than the
/// longest token.
fn check_merges(path: &Path, json: &Value) -> Result<()> {
    let model = &json["model"];
    let (Some(vocabulary), Some(merges)) = (model["vocab"].as_object(), model["merges"].as_array()) else {
        return Ok(());
    };
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default();
    for (rank, merge) in merges.iter().enumerate() {
        let bad = |expected: &str| Error::malformed(path, format!("merges[{rank}]"), expected, merge);
        let pair = match merge {
            Value::String(text) if text.starts_with("#version") => continue,
            Value::String(text) => text.split_once(' '),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(left), Value::String(right)] => Some((left.as_str(), right.as_str())),
                _ => None,
            },
            _ => None,
        };
        let (left, right) = pair.ok_or_else(|| bad("two tokens"))?;
        let tail = right
            .strip_prefix(prefix)
            .ok_or_else(|| bad("a second token with the prefix of continuations"))?;
        if !vocabulary.contains_key(left)
            || !vocabulary.contains_key(right)
            || !vocabulary.contains_key(&format!("{left}{tail}"))
        {
            return Err(bad("two tokens of the vocabulary whose union is one"));
        }
    }
    Ok(())
}

/// Refuses decoders that strip the end of tokens: the library indexes before the start of shorter ones.
fn check_decoder(path: &Path, decoder: &Value) -> Result<()> {
    if decoder["type"] == "Strip" && decoder["stop"].as_u64() != Some(0) {
        return Err(Error::malformed(path, "decoder.stop", "0", &decoder["stop"]));
    }
    let steps = decoder["decoders"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().try_for_each(|step| check_decoder(path, step))
}

/// Refuses templates with a special token that they do not define.
fn check_post_processor(path: &Path, processor: &Value) -> Result<()> {
    for list in ["single", "pair"] {
        for part in processor[list].as_array().map(Vec::as_slice).unwrap_or_default() {
            let Some(id) = part["SpecialToken"]["id"].as_str() else { continue };
            if processor["special_tokens"].get(id).is_none() {
                let field = format!("post_processor.{list}");
                return Err(Error::malformed(path, field, "tokens of post_processor.special_tokens", id));
            }
        }
    }
    let steps = processor["processors"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().try_for_each(|step| check_post_processor(path, step))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(checked: Result<()>) -> String {
        checked.expect_err("refused").to_string()
    }

    #[test]
    fn models_with_two_tokenizations_of_one_text_are_refused() {
        let model = |model: Value| check_model(Path::new("tokenizer.json"), &json!({"model": model}));
        assert!(model(json!({"vocab": {"a": 0, "b": 1}, "merges": [], "dropout": null})).is_ok());
        assert!(model(json!({"vocab": {"a": 0}, "merges": [], "dropout": 0.0})).is_ok());
        let twice = refusal(model(json!({"vocab": {"a": 3, "b": 1, "c": 3}, "merges": []})));
        assert!(
            twice.contains(
                r#"model.vocab: expected an id of its own for each token, got 3 for "a" and for "c""#
            )
        );
        let dropout = refusal(model(json!({"vocab": {"a": 0}, "merges": [], "dropout": 0.1})));
        assert!(dropout.contains("model.dropout: expected null"), "{dropout}");
        let merge = refusal(model(json!({"vocab": {"a": 0, "b": 1}, "merges": ["a b"]})));
        assert!(
            merge.contains("merges[0]: expected two tokens of the vocabulary whose union is one"),
            "{merge}"
        );
    }

    #[test]
    fn tables_that_the_library_cannot_follow_are_refused() {
        let table = |table: Value| {
            let step = json!({"type": "Precompiled", "precompiled_charsmap": table});
            let steps = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, step]});
            check_model(Path::new("tokenizer.json"), &json!({"model": {}, "normalizer": steps}))
        };
        // Lengths of tries: none, more than there is, and one unit that leads out of it.
        for (bad, words) in [
            (json!("AAAA"), "the length of a trie is missing"),
            (json!("/////wAAAAA="), "a trie of 4294967295 bytes"),
            (json!("BAAAAAAAAAA="), "leads to 255"),
            (json!("BAAAAAAAAAB="), "a text that is no base64"),
            (json!(7), "got 7"),
            (json!(null), "got null"),
        ] {
            let said = refusal(table(bad));
            assert!(
                said.contains("normalizer.normalizers[1].precompiled_charsmap") && said.contains(words),
                "{said}"
            );
        }
        let missing = json!({"model": {}, "normalizer": {"type": "Precompiled"}});
        assert!(refusal(check_model(Path::new("tokenizer.json"), &missing)).contains("got null"));
    }

    #[test]
    fn steps_that_the_library_cannot_use_are_refused() {
        let path = Path::new("tokenizer.json");
        let strip = |stop: usize| json!({"type": "Strip", "content": " ", "start": 1, "stop": stop});
        let sequence = |step: Value| json!({"type": "Sequence", "decoders": [{"type": "Fuse"}, step]});
        assert!(check_decoder(path, &sequence(strip(0))).is_ok());
        assert!(check_decoder(path, &Value::Null).is_ok());
        assert!(
            refusal(check_decoder(path, &sequence(strip(1)))).contains("decoder.stop: expected 0, got 1")
        );
        let template = |tokens: Value| {
            let single =
                [json!({"SpecialToken": {"id": "<s>", "type_id": 0}}), json!({"Sequence": {"id": "A"}})];
            let template = json!({"type": "TemplateProcessing", "single": single, "special_tokens": tokens});
            json!({"type": "Sequence", "processors": [template]})
        };
        assert!(check_post_processor(path, &template(json!({"<s>": {"ids": [1]}}))).is_ok());
        let missing = refusal(check_post_processor(path, &template(json!({}))));
        assert!(
            missing
                .contains("post_processor.single: expected tokens of post_processor.special_tokens, got <s>")
        );
    }
}
