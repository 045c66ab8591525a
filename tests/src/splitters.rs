//! Splitters of byte-level vocabularies, against the models' own tokenizers and against another engine for expressions.

use std::collections::BTreeMap;

use candle_core::quantized::GgmlDType;
use lm_infinite::tokenizer::Tokenizer;
use serde::Deserialize;

use crate::fixtures::{TinyConfig, TinyLlama};
use crate::support::{golden, load};

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    /// By name, the parts of each text.
    parts: BTreeMap<String, Vec<Vec<String>>>,
}

fn tokenizer(pre: &str) -> Tokenizer {
    let mut file = TinyLlama::random(TinyConfig::default(), 2).gguf(GgmlDType::F32);
    file.set("tokenizer.ggml.pre", pre);
    file.remove("tokenizer.ggml.add_bos_token");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    file.write(&path);
    load(&path).tokenizer
}

#[test]
fn texts_are_split_as_families_split_them() {
    let text = std::fs::read_to_string(golden("splitters/splitters.json")).expect("read");
    let golden: Golden = serde_json::from_str(&text).expect("JSON");
    assert!(golden.parts.len() > 30 && golden.texts.len() > 20);
    let mut wrong = Vec::new();
    for (name, parts) in &golden.parts {
        let tokenizer = tokenizer(name);
        assert_eq!(parts.len(), golden.texts.len());
        for (text, expected) in golden.texts.iter().zip(parts) {
            let got = tokenizer.words(text).expect("words");
            if got != *expected {
                wrong.push(format!("{name}: {text:?}\n  expected {expected:?}\n  got      {got:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_text_begins_with_bos_where_its_family_does() {
    for (pre, begins) in
        [("llama-bpe", true), ("tekken", true), ("chameleon", true), ("gpt-4o", false), ("qwen2", false)]
    {
        assert_eq!(tokenizer(pre).adds_bos(), begins, "{pre}");
    }
}
