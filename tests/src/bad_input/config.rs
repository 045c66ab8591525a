//! `config.json`.

use serde_json::{Value, json};

use super::{refused_folder, tiny};
use crate::fixtures::write_json;

#[track_caller]
fn refused_config(change: impl Fn(&mut Value), parts: &[&str]) {
    let changed = |folder: &std::path::Path| {
        let mut config = tiny().config_json();
        change(&mut config);
        write_json(&folder.join("config.json"), &config);
    };
    refused_folder(changed, parts);
}

#[track_caller]
fn refused_field(field: &str, value: Value, parts: &[&str]) {
    refused_config(|config| config[field] = value.clone(), &[&["config.json"], parts].concat());
}

#[test]
fn missing_file_or_field() {
    refused_folder(
        |folder| std::fs::remove_file(folder.join("config.json")).expect("removed"),
        &["config.json"],
    );
    let without = |field: &'static str| {
        move |config: &mut Value| drop(config.as_object_mut().expect("an object").remove(field))
    };
    refused_config(without("model_type"), &["config.json", "model_type", "no such field"]);
    // Others have defaults, which no tensor of this model has the shape of.
    for (field, expected) in [
        ("hidden_size", "4096"),
        ("intermediate_size", "11008"),
        ("vocab_size", "32000"),
        ("num_hidden_layers", "none of this name"),
        ("num_attention_heads", "[512, 64]"),
    ] {
        refused_config(without(field), &["tensor", expected]);
    }
}

#[test]
fn not_json() {
    for text in ["", "[]", "{", "null"] {
        refused_folder(
            |folder| std::fs::write(folder.join("config.json"), text).expect("written"),
            &["config.json", "JSON"],
        );
    }
    let bytes: &[u8] = b"{\"a\": \"\xff\"}";
    refused_folder(
        |folder| std::fs::write(folder.join("config.json"), bytes).expect("written"),
        &["UTF-8", "offset 7"],
    );
}

#[test]
fn wrong_types() {
    refused_field("hidden_size", json!("64"), &["hidden_size", "integer", "\"64\""]);
    refused_field("hidden_size", json!(-64), &["hidden_size", "integer", "-64"]);
    refused_field("num_hidden_layers", json!(2.5), &["num_hidden_layers", "integer", "2.5"]);
    refused_field("rms_norm_eps", json!([]), &["rms_norm_eps", "a number"]);
    refused_field("tie_word_embeddings", json!("no"), &["tie_word_embeddings", "boolean"]);
}

#[test]
fn absurd_sizes() {
    for field in
        ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"]
            .into_iter()
            .chain(["intermediate_size", "max_position_embeddings", "vocab_size"])
    {
        refused_field(field, json!(0), &[field, "from 1", "got 0"]);
        refused_field(field, json!(u64::MAX), &[field, "from 1"]);
    }
    // Large, but not beyond reason by themselves: the tensors decide.
    refused_config(|config| config["hidden_size"] = json!(1 << 30), &["embed_tokens", "1073741824"]);
    refused_config(|config| config["num_hidden_layers"] = json!(4_000), &["model.layers.2."]);
    refused_field("head_dim", json!(1u64 << 30), &["head_dim"]);
}

#[test]
fn heads_that_do_not_divide() {
    refused_field("num_key_value_heads", json!(3), &["num_key_value_heads", "divisor", "got 3"]);
    refused_config(
        |config| {
            config["num_attention_heads"] = json!(5);
            config["head_dim"] = Value::Null;
        },
        &["num_attention_heads", "divisor", "got 5"],
    );
}

#[test]
fn what_is_not_supported_is_said() {
    refused_config(|config| config["model_type"] = json!("mamba"), &["mamba", "llama, mistral, qwen2"]);
    refused_field("hidden_act", json!("gelu"), &["hidden_act", "silu", "gelu"]);
    refused_config(
        |config| config["quantization_config"] = json!({"bits": 4}),
        &["quantized safetensors", "config.json"],
    );
    refused_field("position_embedding_type", json!("absolute"), &["position_embedding_type", "alibi"]);
}

#[test]
fn rope_that_makes_no_sense() {
    refused_field("rope_theta", json!(0.0), &["rope_theta"]);
    refused_config(
        |config| {
            config["partial_rotary_factor"] = json!(0.5);
            config["rope_scaling"] = json!({"type": "linear", "factor": 2.0});
        },
        &["partial_rotary_factor", "0.5", "not supported"],
    );
    refused_config(
        |config| {
            config["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 1e6});
            config["rope_scaling"] = json!({"type": "yarn", "factor": 4.0});
        },
        &["rope_scaling", "rope_parameters", "1000000", "10000"],
    );
    refused_config(
        |config| {
            config["rope_parameters"] = json!({"rope_type": "linear", "factor": 2.0});
            config["rope_scaling"] = json!({"type": "yarn", "factor": 4.0});
        },
        &["rope_scaling", "`linear` in `rope_parameters`"],
    );
    let nested = json!({"full_attention": {"rope_type": "default"}});
    refused_field("rope_parameters", nested, &["layers of `full_attention`"]);
    refused_field("rope_theta", json!("x"), &["rope_theta", "a number"]);
    refused_field("rope_scaling", json!(4), &["rope_scaling", "an object"]);
    for kind in ["su", "proportional"] {
        let parts = [kind, "supported are default", "longrope"];
        refused_config(|config| config["rope_scaling"] = json!({"type": kind, "factor": 2.0}), &parts);
    }
    refused_field("rope_scaling", json!({"type": "dynamic", "factor": 0.5}), &["rope_scaling.factor", "0.5"]);
    refused_field(
        "rope_scaling",
        json!({"type": "longrope"}),
        &["rope_scaling.short_factor", "no such field"],
    );
    for (short, long, part) in [
        (json!(1), json!([1.0]), "short_factor"),
        (json!([1.0]), json!([1.0]), "short_factor"),
        (json!([1.0, "x"]), json!([1.0]), "short_factor"),
        (json!([1.0, 0.0]), json!([1.0]), "short_factor"),
    ] {
        let field = json!({"type": "longrope", "short_factor": short, "long_factor": long});
        refused_field("rope_scaling", field, &[part]);
    }
    refused_field("rope_scaling", json!({"type": "linear"}), &["rope_scaling.factor", "no such field"]);
    refused_field(
        "rope_scaling",
        json!({"rope_type": "linear", "factor": 0.5}),
        &["rope_scaling.factor", "0.5"],
    );
    refused_field(
        "rope_parameters",
        json!({"rope_type": "llama3", "factor": 8.0}),
        &["rope_parameters.low_freq_factor", "no such field"],
    );
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64,
                        "low_freq_factor": 4.0, "high_freq_factor": 1.0});
    refused_field("rope_scaling", llama3, &["RoPE scaling", "high_frequency"]);
}
