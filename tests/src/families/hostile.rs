//! Values that no file should have, in every field of every family: each is refused by its name, or applied, or changes nothing because
//! nothing reads the field. None makes the program panic.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use lm_infinite::checkpoint::LoadedModel;
use lm_infinite::session::Decoder;
use serde_json::{Value, json};

use super::gguf::{architecture, gguf, is_written};
use super::{CASES, Stored};
use crate::fixtures::Value as GgufValue;
use crate::support::{cache, session};

/// Text that stands for a number that JSON has not, and that Python writes.
const CONSTANTS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Fields that may hold whatever they like, since they say how a model was trained, is run or draws tokens.
fn is_without_effect(field: &str) -> bool {
    let ends = ["dropout", "pdrop", "_token_id", "_token_index", "_loss_coef", "_version", "jitter_noise"];
    let beginnings = ["_", "init", "summary_", "output_"];
    let names = [
        "architectures",
        "boi_token_index",
        "chunk_size_feed_forward",
        "dtype",
        "embedding_fraction",
        "id2label",
        "label2id",
        "is_decoder",
        "is_encoder_decoder",
        "learned_pos_emb",
        "max_window_layers",
        "mm_tokens_per_image",
        "no_rope_layer_interval",
        "pretraining_tp",
        "problem_type",
        "reorder_and_upcast_attn",
        "return_dict",
        "slow_but_exact",
        "use_cache",
        "vision_config",
    ];
    ends.iter().any(|end| field.ends_with(end))
        || beginnings.iter().any(|beginning| field.starts_with(beginning))
        || names.contains(&field)
}

/// What errors call a field that they do not call by its name: what a size must divide, RoPE's scaling, and names of the same in other files.
const OTHER_WORDS: [&str; 12] = [
    "short_factor",
    "layer_types",
    "no_rope_layers",
    "partial_rotary_factor",
    "rotary_dim",
    "a divisor of the hidden size",
    "heads · head width",
    "RoPE scaling",
    "model type",
    "rotary_pct",
    "rotary_emb_base",
    "num_experts",
];

/// Is this value that of a field which is not there, or one that says nothing without another?
fn is_the_default(field: &str, value: &Value) -> bool {
    match field {
        "rope_parameters" => *value == json!({}),
        "beta_fast" | "beta_slow" | "clip_qkv" => *value == json!(0),
        // Without a window, which is another field.
        "use_sliding_window" => true,
        // Without `use_sliding_window`, and types of layers that are not used and switched off.
        "sliding_window" => value.is_u64(),
        "layer_types" => [json!(0), json!({}), json!([]), json!(false), json!("")].contains(value),
        // That of the outer configuration counts.
        "tie_word_embeddings" => true,
        // Falcon's, which count in one of its two forms alone; GPT-2's and others' are other fields.
        "num_kv_heads" | "multi_query" | "num_ln_in_parallel_attn" => true,
        "use_bidirectional_attention" => *value == json!(false),
        "partial_rotary_factor" => *value == json!(1),
        // Read where RoPE is scaled.
        "original_max_position_embeddings" => value.is_u64(),
        _ => false,
    }
}

fn hostile() -> Vec<Value> {
    let mut values = vec![
        json!(null),
        json!("surprise"),
        json!(""),
        json!("7"),
        json!(true),
        json!(false),
        json!([]),
        json!([1, 2]),
        json!({}),
        json!({"surprise": 1}),
        json!(-1),
        json!(0),
        json!(1),
        json!(3),
        json!(0.5),
        json!(-0.5),
        json!(1e-320),
        json!(1e308),
        json!(1u64 << 31),
        json!(i64::MAX),
        json!(u64::MAX),
    ];
    values.extend(CONSTANTS.map(|constant| json!(format!("@{constant}@"))));
    values
}

/// The kind of a value, as a reader tells kinds apart.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(text) if text.starts_with('@') => "constant",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Paths of all fields, with those within objects that are read.
fn paths(config: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (key, value) in config.as_object().expect("an object") {
        found.push(vec![key.clone()]);
        let is_read =
            ["attn_config", "rope_parameters", "text_config", "full_attention", "sliding_attention"];
        if is_read.contains(&key.as_str()) {
            found.extend(paths(value).into_iter().map(|inner| [&[key.clone()][..], &inner].concat()));
        }
    }
    found
}

/// The same, as a reader of numbers sees it?
fn is_equal(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some() && a.as_f64() == b.as_f64()
}

fn set(config: &mut Value, path: &[String], value: Value) {
    let place = path.iter().fold(config, |place, key| &mut place[key.as_str()]);
    *place = value;
}

/// Loads and reads four tokens: an error in words, or the model and what it gave.
fn tried(path: &Path) -> Result<(LoadedModel, Vec<f32>), String> {
    let loaded = lm_infinite::checkpoint::load(path.to_str().expect("UTF-8"), &cache());
    let loaded = loaded.map_err(|error| error.to_string())?;
    let decoder =
        Decoder::new(loaded.config.clone(), loaded.weights.clone()).map_err(|error| error.to_string())?;
    let mut session = session(&Arc::new(decoder), "vanilla");
    session.feed(&[1, 2, 3, 4], None).map_err(|error| error.to_string())?;
    let logits = session.logits().ok_or_else(|| "no logits".to_owned())?;
    Ok((loaded, logits))
}

/// What was wrong, of all that was tried.
#[derive(Default)]
struct Wrong(BTreeSet<String>);

impl Wrong {
    fn tell(&mut self, what: String) {
        self.0.insert(what);
    }

    fn assert_none(self) {
        let all: Vec<String> = self.0.into_iter().collect();
        assert!(all.is_empty(), "{} cases:\n{}", all.len(), all.join("\n"));
    }
}

#[test]
fn every_field_of_every_family_is_refused_by_name_or_applied() {
    let mut wrong = Wrong::default();
    let mut counts = [0usize; 3];
    for name in CASES {
        let stored = Stored::read(name);
        let folder = stored.write();
        let (before, logits_before) = tried(folder.path()).expect(name);
        for path in paths(&stored.config) {
            let field = path.last().expect("a field");
            let original = path.iter().fold(&stored.config, |place, key| &place[key.as_str()]).clone();
            for value in hostile().into_iter().filter(|value| !is_equal(value, &original)) {
                // RoPE of a Falcon with ALiBi is passed over; of an object within another the type is not asked.
                let is_passed_over = stored.config["alibi"] == true && path[0] == "rope_parameters"
                    || path.len() > 1 && field == "model_type"
                    || name == "gemma3" && path == ["vocab_size"];
                if is_passed_over {
                    continue;
                }
                let mut changed = stored.config.clone();
                set(&mut changed, &path, value.clone());
                let text = CONSTANTS.iter().fold(changed.to_string(), |text, constant| {
                    text.replace(&format!("\"@{constant}@\""), constant)
                });
                std::fs::write(folder.path().join("config.json"), text).expect("written");
                let what = format!("{name}: {} = {value}", path.join("."));
                let Ok(result) = catch_unwind(AssertUnwindSafe(|| tried(folder.path()))) else {
                    wrong.tell(format!("{what}: PANIC"));
                    continue;
                };
                match result {
                    // Of sizes the tensors are told, of parts the whole.
                    Err(error) => {
                        counts[0] += 1;
                        let is_named = error.contains(field.as_str())
                            || error.contains("tensor")
                            || path.iter().any(|part| error.contains(part.as_str()))
                            || OTHER_WORDS.iter().any(|words| error.contains(words));
                        if !is_named {
                            wrong.tell(format!("{what}: {error}"));
                        }
                    }
                    Ok(_) if is_without_effect(field) => counts[2] += 1,
                    Ok((model, logits)) => {
                        let is_told = model.notes.iter().any(|note| !before.notes.contains(note));
                        let is_same = model.config == before.config && logits == logits_before && !is_told;
                        let kinds = [kind(&original), kind(&value)];
                        // A field that is not used may be switched off in any way.
                        let is_off = field == "layer_types"
                            && [json!(0), json!({}), json!(false), json!("")].contains(&value);
                        // Told, whatever it is.
                        let is_off = is_off || field == "attn_impl" && is_told;
                        let other_kind = kinds[0] != kinds[1] && !kinds.contains(&"null") && !is_off;
                        if other_kind {
                            wrong.tell(format!("{what}: of another kind, and loaded; the same: {is_same}"));
                        } else if is_same && kind(&value) != "null" && !is_the_default(field, &value) {
                            wrong.tell(format!("{what}: loaded, and nothing changed"));
                        } else {
                            counts[1] += 1;
                        }
                        if logits.iter().any(|logit| !logit.is_finite()) && value != json!(1e308) {
                            wrong.tell(format!("{what}: loaded, and logits are no numbers"));
                        }
                    }
                }
            }
        }
    }
    eprintln!("{} refused, {} applied, {} without effect", counts[0], counts[1], counts[2]);
    wrong.assert_none();
}

/// The number that a key holds; `NaN` is none.
fn number(value: Option<&GgufValue>) -> Option<f64> {
    match value? {
        GgufValue::U16(number) => Some(f64::from(*number)),
        GgufValue::U32(number) => Some(f64::from(*number)),
        GgufValue::I32(number) => Some(f64::from(*number)),
        GgufValue::F32(number) => Some(f64::from(*number)),
        GgufValue::Bool(flag) => Some(f64::from(u8::from(*flag)) + 0.25),
        _ => None,
    }
}

#[test]
fn every_key_of_every_gguf_file_is_refused_by_name_or_applied() {
    let values = [
        None,
        Some(GgufValue::Bool(true)),
        Some(GgufValue::from("surprise")),
        Some(GgufValue::U32(0)),
        Some(GgufValue::U32(1)),
        Some(GgufValue::U32(3)),
        Some(GgufValue::U32(u32::MAX)),
        Some(GgufValue::I32(-1)),
        Some(GgufValue::F32(0.5)),
        Some(GgufValue::F32(-1.0)),
        Some(GgufValue::F32(1e30)),
        Some(GgufValue::F32(f32::NAN)),
        Some(GgufValue::F32(f32::INFINITY)),
        Some(GgufValue::Ints(vec![2, 1])),
        Some(GgufValue::Ints(Vec::new())),
        Some(GgufValue::Raw(10, (1u64 << 62).to_le_bytes().to_vec())),
    ];
    let mut wrong = Wrong::default();
    let mut counts = [0usize; 2];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    for name in CASES.into_iter().filter(|name| is_written(name)) {
        let whole = gguf(name, &Stored::read(name)).expect("an architecture");
        whole.write(&path);
        let (before, logits_before) = tried(&path).expect(name);
        let beginning = format!("{}.", architecture(name).expect("one"));
        let keys: Vec<String> = whole
            .metadata
            .iter()
            .map(|(key, _)| key.clone())
            .filter(|key| key.starts_with(&beginning))
            .collect();
        for (key, value) in keys.iter().flat_map(|key| values.iter().map(move |value| (key, value))) {
            let original = whole.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value);
            if number(original) == number(value.as_ref()) && number(original).is_some() {
                continue;
            }
            let mut file = whole.clone();
            match value {
                Some(value) => file.set(key, value.clone()),
                None => file.remove(key),
            }
            file.write(&path);
            let what = format!("{name}: {key} = {value:?}");
            let Ok(result) = catch_unwind(AssertUnwindSafe(|| tried(&path))) else {
                wrong.tell(format!("{what}: PANIC"));
                continue;
            };
            match result {
                Err(error) => {
                    counts[0] += 1;
                    let is_named = [key.as_str(), "tensor", &beginning, "RoPE scaling"]
                        .iter()
                        .any(|words| error.contains(words));
                    if !is_named {
                        wrong.tell(format!("{what}: {error}"));
                    }
                }
                Ok((model, logits)) => {
                    counts[1] += 1;
                    let is_same = model.config == before.config && logits == logits_before;
                    let is_told = model.notes.iter().any(|note| !before.notes.contains(note));
                    let end = &key[beginning.len()..];
                    // Read where RoPE is scaled, or where no expert has a width of its own; and 0 for none.
                    let changes_nothing =
                        ["rope.scaling.original_context_length", "expert_feed_forward_length"].contains(&end)
                            || end == "feed_forward_length" && model.config.experts.is_some()
                            || end == "use_parallel_residual" && beginning == "stablelm."
                            || end == "attention.sliding_window" && matches!(value, Some(GgufValue::U32(0)));
                    if value.is_some() && is_same && !is_told && !changes_nothing {
                        wrong.tell(format!("{what}: loaded, and nothing changed"));
                    }
                    // Without it there is none.
                    let is_optional =
                        ["attention.sliding_window", "attention.clamp_kqv", "feed_forward_length"]
                            .contains(&end);
                    if value.is_none() && !is_same && !is_told && !is_optional {
                        wrong.tell(format!("{what}: not there, and another default is taken"));
                    }
                    if logits.iter().any(|logit| !logit.is_finite())
                        && number(value.as_ref()) != Some(f64::from(1e30f32))
                    {
                        wrong.tell(format!("{what}: loaded, and logits are no numbers"));
                    }
                }
            }
        }
    }
    eprintln!("{} refused, {} applied or the same", counts[0], counts[1]);
    wrong.assert_none();
}
