//! The same model through every format, and what inspection says about it.

use std::path::Path;

use candle_core::quantized::GgmlDType;
use lm_infinite::checkpoint::{self, LoadedModel};
use lm_infinite::hub::{self, Cache};
use lm_infinite::model::config::{PositionConfig, RopeLayout};
use lm_infinite::model::{Matrix, WeightType};
use lm_infinite::policy::PositionScaling;
use lm_infinite::tokenizer::ChatMessage;
use serde_json::json;

use crate::fixtures::{GgufFile, TinyConfig, TinyLlama, Value, float_bytes, write_json};

fn load(path: &Path) -> LoadedModel {
    checkpoint::load(path.to_str().expect("UTF-8"), &Cache::at("no-cache")).unwrap_or_else(|e| panic!("{e}"))
}

fn tiny(model_type: &'static str, tied: bool) -> TinyLlama {
    TinyLlama::random(TinyConfig { model_type, tied, ..Default::default() }, 3)
}

fn load_gguf(file: &GgufFile) -> LoadedModel {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    file.write(&path);
    load(&path) // The mapping outlives the name of the file.
}

fn load_folder(change: impl FnOnce(&mut serde_json::Value)) -> LoadedModel {
    let folder = tempfile::tempdir().expect("a folder");
    let tiny = tiny("llama", false);
    tiny.write_folder(folder.path(), "F32");
    let mut config = tiny.config_json();
    change(&mut config);
    write_json(&folder.path().join("config.json"), &config);
    load(folder.path())
}

fn scaling(model: &LoadedModel) -> PositionScaling {
    match model.config.position {
        PositionConfig::Rope { scaling, .. } => scaling,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_gives_the_tensors_that_were_written() {
    for dtype in ["F32", "F16", "BF16"] {
        let (tiny, folder) = (tiny("llama", false), tempfile::tempdir().expect("a folder"));
        tiny.write_folder(folder.path(), dtype);
        let model = load(folder.path());
        let stored = |name: &str| float_bytes(&tiny.tensors[name].1, dtype);
        let layer = &model.weights.layers[1];
        assert_eq!(model.weights.embedding.bytes(), stored("model.embed_tokens.weight"));
        assert_eq!(model.weights.head.bytes(), stored("lm_head.weight"));
        assert_eq!(layer.query.weight.bytes(), stored("model.layers.1.self_attn.q_proj.weight"));
        assert_eq!(
            layer.feed_forward.dense().expect("one").down.weight.bytes(),
            stored("model.layers.1.mlp.down_proj.weight")
        );
        assert_eq!(
            (
                layer.feed_forward.dense().expect("one").down.weight.rows(),
                layer.feed_forward.dense().expect("one").down.weight.columns()
            ),
            (64, 96)
        );
        let norm = &tiny.tensors["model.layers.1.input_layernorm.weight"].1;
        assert!(
            layer
                .attention_norm
                .as_ref()
                .expect("it")
                .weight
                .iter()
                .zip(norm)
                .all(|(a, b)| (a - b).abs() <= b.abs() / 128.0)
        );
        assert!(layer.query.bias.is_none());
        assert_eq!(model.config.trained_length, 128);
    }
}

#[test]
fn shards_give_what_one_file_gives() {
    let (one, many) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let tiny = tiny("qwen2", true);
    tiny.write_folder(one.path(), "BF16");
    tiny.write_sharded_folder(many.path(), "BF16", 3);
    let (one, many) = (load(one.path()), load(many.path()));
    assert_eq!(one.config, many.config);
    for (a, b) in one.weights.layers.iter().zip(&many.weights.layers) {
        assert_eq!(a.key.weight.bytes(), b.key.weight.bytes());
        assert!(a.key.bias.is_some());
        assert_eq!(a.key.bias, b.key.bias);
    }
    assert_eq!(one.weights.head.bytes(), many.weights.head.bytes());
}

/// Rows `rows` of a float matrix.
fn row(matrix: &Matrix, row: usize) -> &[u8] {
    &matrix.bytes()[row * matrix.row_bytes()..][..matrix.row_bytes()]
}

#[test]
fn gguf_gives_what_the_folder_gives_with_its_own_row_order() {
    for (model_type, tied) in [("llama", false), ("llama", true), ("qwen2", false)] {
        let (tiny, folder) = (tiny(model_type, tied), tempfile::tempdir().expect("a folder"));
        tiny.write_folder(folder.path(), "F32");
        let (a, b) = (load(folder.path()), load_gguf(&tiny.gguf(GgmlDType::F32)));
        let mut config = b.config.clone();
        let PositionConfig::Rope { layout, .. } = &mut config.position else { panic!("RoPE") };
        let interleaved = *layout == RopeLayout::Interleaved;
        assert_eq!(interleaved, model_type == "llama");
        *layout = RopeLayout::HalfSplit;
        assert_eq!(a.config, config);
        for (a, b) in a.weights.layers.iter().zip(&b.weights.layers) {
            assert_eq!(a.value.weight.bytes(), b.value.weight.bytes());
            assert_eq!(a.attention_norm, b.attention_norm);
            for r in 0..16 {
                let there = if interleaved { 2 * (r % 8) + r / 8 } else { r };
                assert_eq!(row(&a.query.weight, 16 + r), row(&b.query.weight, 16 + there), "row {r}");
            }
            assert_eq!(a.query.bias, b.query.bias);
        }
        assert_eq!(a.weights.head.bytes(), b.weights.head.bytes());
        let text = "the tinner, in the <|endoftext|> on é 日本 12";
        let ids = a.tokenizer.encode(text).expect("encoded");
        assert_eq!(ids, b.tokenizer.encode(text).expect("encoded"));
        assert_eq!((ids[0], a.tokenizer.bos(), a.tokenizer.eos()), (0, Some(0), Some(1)));
        assert!(ids.contains(&1) && a.tokenizer.is_stop(1) && b.tokenizer.is_stop(1));
        assert_eq!(b.tokenizer.decode(&ids).expect("decoded"), text.replace("<|endoftext|>", ""));
    }
}

#[test]
fn quantized_weights_stay_as_they_are() {
    let config = TinyConfig {
        hidden: 256,
        intermediate: 256,
        heads: 4,
        kv_heads: 4,
        head_dim: 64,
        layers: 1,
        ..Default::default()
    };
    let tiny = TinyLlama::random(config, 5);
    for dtype in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1, GgmlDType::Q8_0]
        .into_iter()
        .chain([GgmlDType::Q2K, GgmlDType::Q3K, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K])
    {
        let mut file = tiny.gguf(dtype);
        let model = load_gguf(&file);
        let matrix =
            &model.weights.layers[0].feed_forward.dense().expect("one").gate.as_ref().expect("a gate").weight;
        assert_eq!(matrix.weight_type(), WeightType::Quantized(dtype));
        assert_eq!(matrix.bytes(), file.tensor("blk.0.ffn_gate.weight").data);
    }
}

#[test]
fn version_2_is_read_like_version_3() {
    let mut file = tiny("llama", false).gguf(GgmlDType::F16);
    file.version = 2;
    assert_eq!(load_gguf(&file).config.layers, 2);
}

#[test]
fn position_scaling_is_read_from_both_formats() {
    let gguf = |set: &dyn Fn(&mut GgufFile)| {
        let mut file = tiny("llama", false).gguf(GgmlDType::F32);
        set(&mut file);
        scaling(&load_gguf(&file))
    };
    let key = |name: &str| format!("llama.rope.scaling.{name}");
    assert_eq!(gguf(&|_| ()), PositionScaling::None);
    let linear = gguf(&|file| {
        file.set(&key("type"), "linear");
        file.set(&key("factor"), Value::F32(4.0));
    });
    assert_eq!(linear, PositionScaling::Linear { factor: 4.0 });
    let yarn = PositionScaling::yarn(4.0, 32);
    let from_gguf = gguf(&|file| {
        file.set(&key("type"), "yarn");
        file.set(&key("factor"), Value::F32(4.0));
        file.set(&key("original_context_length"), 32);
    });
    assert_eq!(from_gguf, yarn);

    let folder = |key: &str, value: serde_json::Value| scaling(&load_folder(|config| config[key] = value));
    assert_eq!(folder("rope_scaling", json!({"type": "linear", "factor": 4.0})), linear);
    let value = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 1e4});
    assert_eq!(folder("rope_scaling", value.clone()), yarn);
    assert_eq!(folder("rope_parameters", value), yarn);
    let value = json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64,
                       "low_freq_factor": 1.0, "high_freq_factor": 4.0});
    let llama3 =
        PositionScaling::Llama3 { factor: 8.0, original_length: 64, low_frequency: 1.0, high_frequency: 4.0 };
    assert_eq!(folder("rope_parameters", value), llama3);
    assert_eq!(folder("rope_scaling", json!(null)), PositionScaling::None);
}

#[test]
fn own_models_may_use_other_encodings() {
    let position =
        |kind: &str| load_folder(|config| config["position_embedding_type"] = json!(kind)).config.position;
    assert_eq!(position("alibi"), PositionConfig::ALIBI);
    assert_eq!(position("none"), PositionConfig::None);
    assert!(matches!(position("rope"), PositionConfig::Rope { dim: 16, .. }));
}

#[test]
fn a_sliding_window_is_applied_and_told() {
    let model = load_folder(|config| {
        config["model_type"] = json!("mistral");
        config["sliding_window"] = json!(32);
    });
    assert!(model.notes[0].said.contains("32"), "{:?}", model.notes);
    assert_eq!((model.config.trained_length, model.config.own_window(1)), (32, Some(32)));
    let key = "llama.attention.sliding_window";
    for (stated, window, trained) in [(Some(32), Some(32), 32), (Some(0), None, 128), (None, None, 128)] {
        let mut file = tiny("llama", false).gguf(GgmlDType::F32);
        if let Some(stated) = stated {
            file.set(key, stated);
        }
        let model = load_gguf(&file);
        assert_eq!((model.config.own_window(0), model.config.trained_length), (window, trained));
        assert_eq!(model.notes.iter().any(|note| note.field == key), window.is_some(), "{:?}", model.notes);
    }
}

#[test]
fn splitters_treat_digits_as_their_families_do() {
    let tokens = |pre: Option<&str>| {
        let mut tiny = tiny("llama", false);
        tiny.vocabulary.tokens[255] = "12".into();
        tiny.vocabulary.merges.push(("1".into(), "2".into()));
        let mut file = tiny.gguf(GgmlDType::F32);
        file.remove("tokenizer.ggml.add_bos_token");
        match pre {
            Some(pre) => file.set("tokenizer.ggml.pre", pre),
            None => file.remove("tokenizer.ggml.pre"),
        }
        let tokenizer = load_gguf(&file).tokenizer;
        let ids = tokenizer.encode("a1234").expect("encoded");
        ids.iter().map(|&id| tokenizer.token_text(id).expect("a token")).collect::<Vec<_>>()
    };
    for whole in [None, Some("gpt-2"), Some("default")] {
        assert_eq!(tokens(whole), ["a", "12", "3", "4"], "{whole:?}");
    }
    assert_eq!(tokens(Some("llama-bpe")), ["<|start|>", "a", "12", "3", "4"]);
    for single in ["smollm", "qwen2"] {
        assert_eq!(tokens(Some(single)), ["a", "1", "2", "3", "4"], "{single}");
    }
}

#[test]
fn templates_render_from_both_formats() {
    let messages = [ChatMessage::new("user", "hi")];
    let folder = load_folder(|_| ()).chat_template.expect("a template");
    assert_eq!(folder.render(&messages, false).expect("renders"), "[user]hi<|endoftext|>");
    let mut file = tiny("llama", false).gguf(GgmlDType::F32);
    file.set("tokenizer.chat_template", "{{ messages[0].content }}{{ eos_token }}");
    let gguf = load_gguf(&file).chat_template.expect("a template");
    assert_eq!(gguf.render(&messages, false).expect("renders"), "hi<|endoftext|>");
    assert!(load_gguf(&tiny("llama", false).gguf(GgmlDType::F32)).chat_template.is_none());
}

#[test]
fn inspection_describes_what_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    let mut file = tiny("llama", true).gguf(GgmlDType::Q8_0);
    file.write(&path);
    let inspect =
        || checkpoint::inspect(path.to_str().expect("UTF-8"), &Cache::at("no-cache")).expect("inspected");
    let json = serde_json::to_value(inspect()).expect("JSON");
    assert_eq!((json["name"].as_str(), json["format"].as_str()), (Some("tiny.gguf"), Some("gguf")));
    assert_eq!(json["config"]["trained_length"], 128);
    assert_eq!(
        json["tensors"][1],
        json!({"dtype": "Q8_0", "tensors": 15, "bytes": json["tensors"][1]["bytes"]})
    );
    assert_eq!(json["tokenizer"]["eos"], "<|endoftext|>");
    assert!(json["problem"].is_null());

    file.set("general.architecture", "mamba");
    file.write(&path);
    let inspection = inspect();
    assert!(
        inspection.config.is_none()
            && inspection.problem.as_deref().is_some_and(|text| text.contains("mamba"))
    );
    assert!(inspection.to_string().contains("cannot run") && inspection.tokenizer.is_some());
}

#[test]
fn a_known_model_that_is_not_there_says_how_to_get_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::at(folder.path());
    let message = checkpoint::load("smollm2", &cache).expect_err("absent").to_string();
    assert!(message.contains("models pull smollm2"), "{message}");
    let listing = hub::list(&cache);
    let smollm2 = listing.0.iter().position(|model| model.name == "smollm2").expect("listed");
    assert!(!listing.0[smollm2].present && listing.to_string().contains("Apache-2.0"));
    let json = serde_json::to_value(&listing).expect("JSON");
    assert_eq!(json[smollm2]["present"], json!(false));
    assert_eq!((&json[0]["name"], &json[0]["present"]), (&json!("tiny-rope"), &json!(true)));
}

/// SmolLM2's own tokenizer on every kind of splitting; ids by the Python package `tokenizers` 0.22 with the vocabulary
/// and merges of the same file.
#[test]
fn smollm2_splits_as_its_own_tokenizer() {
    let cache = Cache::open().expect("a home folder");
    let model = match checkpoint::load("smollm2", &cache) {
        Ok(model) => model,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let golden: [(&str, &[u32]); 3] = [
        (
            "It's 1984, and they'll pay 12,345.67 for 3 cats!",
            &[
                1589, 506, 216, 33, 41, 40, 36, 28, 284, 502, 3060, 2290, 216, 33, 34, 28, 35, 36, 37, 30,
                38, 39, 327, 216, 35, 7680, 17,
            ],
        ),
        (
            "  Two  spaces\n\n\tand tabs\r\n end ",
            &[216, 5713, 216, 5600, 1116, 197, 397, 29416, 2738, 1112, 216],
        ),
        (
            "naïve café 日本語 🦀 ½ x²",
            &[
                3546, 46494, 37366, 17097, 241, 115, 40993, 179, 120, 248, 15107, 116, 218, 216, 16738, 1792,
                19133,
            ],
        ),
    ];
    for (text, ids) in golden {
        assert_eq!(model.tokenizer.encode(text).expect("encoded"), ids, "{text:?}");
        assert_eq!(model.tokenizer.decode(ids).expect("decoded"), text);
    }
    let prompt =
        model.chat_template.as_ref().expect("a template").render(&[ChatMessage::new("user", "Hi")], true);
    let prompt = prompt.expect("renders");
    assert!(prompt.ends_with("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"), "{prompt:?}");
    let ids = model.tokenizer.encode_without_bos(&prompt).expect("encoded");
    assert_eq!(ids.iter().filter(|&&id| Some(id) == model.tokenizer.bos()).count(), 3);
    assert!(model.tokenizer.is_stop(2) && model.tokenizer.is_stop(0) && !model.tokenizer.adds_bos());
}
