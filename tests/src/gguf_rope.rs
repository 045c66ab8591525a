//! RoPE's divisors in GGUF files, against the same model as a Hugging Face folder, whose LongRoPE is held against
//! transformers in `goldens.rs`.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use lm_infinite::model::config::{LongRope, PositionConfig};
use lm_infinite::policy::{AttentionPolicy, LongRopeFactors, PositionScaling};
use lm_infinite::session::{Decoder, Session};
use serde_json::json;

use crate::compare::{Tolerance, assert_close, line};
use crate::fixtures::{GgufFile, GgufTensor, TinyConfig, TinyLlama, Value, write_json};
use crate::support::load;

/// Rows of query and key lie in another order, so sums do, too.
const TOLERANCE: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-4 };

fn tiny(model_type: &'static str) -> TinyLlama {
    TinyLlama::random(TinyConfig { model_type, trained_length: 32, ..Default::default() }, 8)
}

fn push(file: &mut GgufFile, name: &str, values: &[f32]) {
    file.tensors.push(GgufTensor {
        name: name.into(),
        dimensions: vec![values.len() as u64],
        type_id: 0,
        data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        offset: None,
    });
}

/// Logits of some 60 tokens: within the trained length and beyond it.
fn logits(path: &Path) -> Vec<f32> {
    let model = load(path);
    let decoder = Arc::new(Decoder::new(model.config, model.weights).expect("a whole model"));
    let mut session = Session::new(decoder, AttentionPolicy::default()).expect("a session");
    let mut found = Vec::new();
    for at in 0..60 {
        session.feed(&[2 + at * 7 % 250], None).expect("a token");
        if at % 10 == 9 {
            found.extend(session.logits().expect("tokens were read"));
        }
    }
    found
}

/// The model as a folder with `rope_scaling`, and as a GGUF file after `change`, give the same logits.
fn agree(tiny: &TinyLlama, scaling: serde_json::Value, change: impl FnOnce(&mut GgufFile)) {
    let folder = tempfile::tempdir().expect("a folder");
    tiny.write_folder(folder.path(), "F32");
    let mut config = tiny.config_json();
    config["rope_scaling"] = scaling;
    write_json(&folder.path().join("config.json"), &config);
    let mut file = tiny.gguf(GgmlDType::F32);
    change(&mut file);
    let path = folder.path().join("model.gguf");
    file.write(&path);
    assert_close("logits", line(&logits(&path)), line(&logits(folder.path())), TOLERANCE);
}

const SHORT: [f32; 8] = [1.0, 1.1, 1.2, 1.3, 1.5, 2.0, 2.5, 3.0];
const LONG: [f32; 8] = [1.0, 1.5, 2.0, 4.0, 8.0, 12.0, 16.0, 20.0];

#[test]
fn stored_divisors_are_applied_as_they_are() {
    for model_type in ["llama", "qwen2"] {
        let tiny = tiny(model_type);
        let scaling = json!({"rope_type": "longrope", "short_factor": SHORT, "long_factor": SHORT,
                             "attention_factor": 1.0, "original_max_position_embeddings": 32});
        agree(&tiny, scaling, |file| push(file, "rope_freqs.weight", &SHORT));
    }
    let mut file = tiny("llama").gguf(GgmlDType::F32);
    push(&mut file, "rope_freqs.weight", &SHORT);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    file.write(&path);
    let model = load(&path);
    assert!(model.notes.iter().any(|note| note.field == "rope_freqs.weight"), "{:?}", model.notes);
    // And they change something.
    tiny("llama").gguf(GgmlDType::F32).write(&folder.path().join("plain.gguf"));
    let (divided, plain) = (logits(&path), logits(&folder.path().join("plain.gguf")));
    assert!(divided.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 0.01));
}

#[test]
fn factors_of_longrope_are_read() {
    let tiny = tiny("llama");
    let scaling = json!({"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
                         "attention_factor": 1.25, "original_max_position_embeddings": 24});
    let set = |file: &mut GgufFile| {
        file.set("llama.rope.scaling.type", "longrope");
        file.set("llama.rope.scaling.attn_factor", Value::F32(1.25));
        file.set("llama.rope.scaling.original_context_length", 24);
        push(file, "rope_factors_short.weight", &SHORT);
        push(file, "rope_factors_long.weight", &LONG);
    };
    agree(&tiny, scaling, set);
    let mut file = tiny.gguf(GgmlDType::F32);
    set(&mut file);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    file.write(&path);
    let PositionConfig::Rope { scaling, long_rope: Some(long_rope), .. } = load(&path).config.position else {
        panic!("LongRoPE")
    };
    assert_eq!(scaling, PositionScaling::LongRope { factors: LongRopeFactors::ByLength });
    let LongRope { original_length, magnitude, .. } = long_rope;
    assert_eq!((original_length, magnitude), (24, 1.25));
}

#[test]
fn divisors_that_make_no_sense_are_refused() {
    let refused = |change: &dyn Fn(&mut GgufFile)| {
        let mut file = tiny("llama").gguf(GgmlDType::F32);
        change(&mut file);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        file.write(&path);
        let cache = lm_infinite::hub::Cache::at("no-cache");
        lm_infinite::checkpoint::load(path.to_str().expect("UTF-8"), &cache).expect_err("refused").to_string()
    };
    let zero = refused(&|file| push(file, "rope_freqs.weight", &[0.0; 8]));
    assert!(zero.contains("rope_freqs.weight") && zero.contains("positive"), "{zero}");
    let few = refused(&|file| push(file, "rope_freqs.weight", &[2.0; 4]));
    assert!(few.contains("[8]") && few.contains("[4]"), "{few}");
    let unasked = refused(&|file| push(file, "rope_factors_long.weight", &LONG));
    assert!(unasked.contains("rope.scaling.type") && unasked.contains("rope_factors_long"), "{unasked}");
    let by_layer = refused(&|file| push(file, "blk.0.rope_freqs.weight", &SHORT));
    assert!(
        by_layer.contains("blk.0.rope_freqs.weight") && by_layer.contains("no such tensor"),
        "{by_layer}"
    );
    let both = refused(&|file| {
        push(file, "rope_freqs.weight", &SHORT);
        file.set("llama.rope.scaling.type", "linear");
        file.set("llama.rope.scaling.factor", Value::F32(2.0));
    });
    assert!(both.contains("rope.scaling.type") && both.contains("rope_freqs.weight"), "{both}");
}
