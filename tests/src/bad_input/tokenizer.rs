//! Tokenizers, in both formats, and chat templates.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{refused_folder, refused_gguf, tiny};
use crate::fixtures::{Value, write_json};

const FILE: &str = "tokenizer.json";

#[track_caller]
fn refused_json(change: impl Fn(&mut Json), parts: &[&str]) {
    let changed = |folder: &Path| {
        let mut json = tiny().vocabulary.tokenizer_json();
        change(&mut json);
        write_json(&folder.join(FILE), &json);
    };
    refused_folder(changed, &[&[FILE], parts].concat());
}

#[test]
fn missing() {
    refused_folder(|folder| std::fs::remove_file(folder.join(FILE)).expect("removed"), &[FILE]);
    for key in ["tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"] {
        refused_gguf(|file| file.remove(key), &[key, "no such key"]);
    }
}

#[test]
fn not_a_tokenizer() {
    for text in ["", "{}", "[]", "{\"model\": {\"type\": \"Oracle\"}}"] {
        refused_folder(|folder| std::fs::write(folder.join(FILE), text).expect("written"), &[FILE]);
    }
    refused_json(
        |json| drop(json["model"].as_object_mut().expect("a model").remove("vocab")),
        &["tokenizer"],
    );
    refused_json(|json| json["pre_tokenizer"] = json!({"type": "Split", "pattern": {"Regex": "("}}), &[]);
}

#[test]
fn bad_merges() {
    // Longer than every token together: the library would write past the longest one.
    let long = "x".repeat(500);
    for merge in
        [json!(["h", "zz"]), json!(["e", "h"]), json!(["h"]), json!("h e e"), json!(5), json!([&long, "h"])]
    {
        refused_json(|json| json["model"]["merges"][1] = merge.clone(), &["merges[1]"]);
    }
    refused_json(
        |json| json["model"]["continuing_subword_prefix"] = json!("##########"),
        &["merges[0]", "prefix"],
    );
    for (merge, part) in [("he", "a space"), ("h zz", "vocabulary"), ("e h", "union"), ("", "a space")] {
        let merges = Value::Texts(vec!["Ġ t".into(), merge.into()]);
        refused_gguf(|file| file.set("tokenizer.ggml.merges", merges), &["tokenizer.ggml.merges[1]", part]);
    }
}

#[test]
fn unknown_models_and_splitters() {
    refused_gguf(|file| file.set("tokenizer.ggml.model", "rwkv"), &["rwkv", "`gpt2` and `llama`"]);
    refused_gguf(
        |file| file.set("tokenizer.ggml.pre", "no-such-splitter"),
        &["no-such-splitter", "smollm", "llama-bpe", "qwen2", "tekken"],
    );
    refused_gguf(|file| file.set("tokenizer.ggml.pre", "gemma4"), &["gemma4", "not one of bytes"]);
}

#[test]
fn token_lists_that_do_not_fit() {
    let many = Value::Texts((0..300).map(|i| format!("token {i}")).collect());
    refused_gguf(|file| file.set("tokenizer.ggml.tokens", many), &["tokenizer.ggml.tokens", "rows", "300"]);
    refused_gguf(|file| file.set("tokenizer.ggml.tokens", Value::Texts(vec![])), &["tokenizer.ggml.tokens"]);
    let ints = || Value::Ints(vec![1; 3]);
    refused_gguf(|file| file.set("tokenizer.ggml.token_type", ints()), &["token_type", "got 3"]);
    refused_gguf(|file| file.set("tokenizer.ggml.tokens", ints()), &["tokens", "strings", "array"]);
    refused_gguf(|file| file.set("tokenizer.ggml.eos_token_id", 100_000), &["eos_token_id", "100000"]);
    refused_gguf(|file| file.set("tokenizer.ggml.bos_token_id", Value::I32(-2)), &["bos_token_id", "-2"]);
}

#[test]
fn sentencepiece_scores() {
    refused_gguf(|file| file.set("tokenizer.ggml.model", "llama"), &["tokenizer.ggml.scores", "no such key"]);
    let count = tiny().vocabulary.tokens.len();
    for (scores, part) in [(vec![0.0; 3], "got 3"), (vec![f32::NAN; count], "NaN")] {
        let change = |file: &mut crate::fixtures::GgufFile| {
            file.set("tokenizer.ggml.model", "llama");
            file.set("tokenizer.ggml.scores", Value::Floats(scores));
        };
        refused_gguf(change, &["tokenizer.ggml.scores", part]);
    }
}

#[test]
fn token_ids_that_are_none() {
    let generation = |folder: &Path| {
        write_json(&folder.join("generation_config.json"), &json!({"eos_token_id": [1, "x"]}))
    };
    refused_folder(generation, &["generation_config.json", "eos_token_id"]);
}

#[test]
fn templates_of_no_known_form() {
    let change =
        |folder: &Path| write_json(&folder.join("tokenizer_config.json"), &json!({"chat_template": 5}));
    refused_folder(change, &["tokenizer_config.json", "chat_template"]);
}
