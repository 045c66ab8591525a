//! Fields and keys that no reader asks for.

use lm_infinite::note::Severity;
use serde_json::{Value, json};

use super::gguf::{architecture, gguf, is_written};
use super::{CASES, Stored};
use crate::fixtures::Value as GgufValue;
use crate::support::{cache, load};

/// The error of loading `stored`, or what is told beside the model.
fn told(stored: &Stored) -> Result<Vec<lm_infinite::note::Note>, String> {
    let folder = stored.write();
    let loaded = lm_infinite::checkpoint::load(folder.path().to_str().expect("UTF-8"), &cache());
    loaded.map(|loaded| loaded.notes).map_err(|error| error.to_string())
}

fn with(name: &str, path: &str, value: Value) -> Stored {
    let mut stored = Stored::read(name);
    let mut place = &mut stored.config;
    for part in path.split('.') {
        place = &mut place[part];
    }
    *place = value;
    stored
}

#[test]
fn a_field_that_may_change_what_is_computed_is_refused_by_name_in_every_family() {
    for name in CASES {
        for field in ["attention_surprise", "rope_surprise", "num_surprise_experts", "surprise_scaling"] {
            let error = told(&with(name, field, json!(3))).expect_err(name);
            assert!(error.contains(field) && error.contains("model type"), "{name}: {error}");
            // The way out that the error names.
            told(&with(name, field, json!(null))).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let notes = told(&with(name, "surprise", json!(3))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let is_told = |note: &lm_infinite::note::Note| {
            note.severity == Severity::Warning && note.said.contains("`surprise`")
        };
        assert!(notes.iter().any(is_told), "{name}: {notes:?}");
    }
}

/// What one family computes with is refused where another does not know it.
#[test]
fn a_field_of_another_family_is_refused_where_it_is_switched_on() {
    for (name, field, value) in [
        ("llama", "attn_logit_softcapping", json!(50.0)),
        ("llama", "embedding_multiplier", json!(12.0)),
        ("llama", "rope_interleaved", json!(true)),
        ("mistral", "attention_bias", json!(true)),
        ("qwen2", "layer_types", json!(["sliding_attention", "full_attention"])),
        ("gptj", "rope_scaling", json!({"type": "linear", "factor": 2.0})),
        ("mpt", "attn_config.rope", json!(true)),
        ("mpt", "attn_config.kv_n_heads", json!(2)),
        ("mpt", "norm_type", json!("rmsnorm")),
        ("gpt_neox", "num_key_value_heads", json!(1)),
        ("bloom", "rope_theta", json!(10_000.0)),
        ("gemma3", "text_config.num_surprise_experts", json!(2)),
        ("gemma2", "rope_parameters.mscale_surprise", json!(2.0)),
        ("qwen3", "num_experts", json!(8)),
        ("mixtral", "shared_expert_intermediate_size", json!(8)),
        ("phi3_longrope", "rope_parameters.short_mscale", json!(1.2)),
        ("cohere2", "use_qk_norm", json!(true)),
        ("glm", "kv_lora_rank", json!(4)),
    ] {
        let error = told(&with(name, field, value.clone())).expect_err(name);
        assert!(error.contains(field), "{name}, {field} = {value}: {error}");
    }
}

/// Fields of published files beside those that transformers writes today.
#[test]
fn what_published_files_hold_beside_is_no_reason_to_refuse_them() {
    for (name, fields) in [
        (
            "llama",
            json!({"pretraining_tp": 1, "_name_or_path": "x", "torch_dtype": "bfloat16", "is_llama_config": true,
                "rope_interleaved": false, "transformers.js_config": {"dtype": "q4"}, "unsloth_fixed": true,
                "max_sequence_length": 2048, "rope_scaling": null, "neuron": {"batch_size": 1}}),
        ),
        ("mistral", json!({"unsloth_version": "2024.9", "pad_token_id": 770})),
        ("qwen2", json!({"use_mrope": false, "max_window_layers": 21, "rope_scaling": null})),
        (
            "gpt2",
            json!({"n_ctx": 1024, "task_specific_params": {"text-generation": {"max_length": 50}},
                "predict_special_tokens": true, "summary_type": "cls_index"}),
        ),
        (
            "gptj",
            json!({"rotary": true, "scale_attn_weights": true, "gradient_checkpointing": false,
                "tokenizer_class": "GPT2Tokenizer", "summary_proj_to_labels": true}),
        ),
        (
            "mpt",
            json!({"auto_map": {"AutoConfig": "x"}, "init_config": {"name": "kaiming_normal_"}, "verbose": 2,
                "tokenizer_name": "x", "norm_type": "low_precision_layernorm", "init_device": "cpu"}),
        ),
        (
            "bloom",
            json!({"attention_softmax_in_fp32": true, "bias_dropout_fusion": true, "masked_softmax_fusion": true,
                "offset_alibi": 100, "skip_bias_add": true, "skip_bias_add_qkv": false, "unk_token_id": 0}),
        ),
        ("falcon_7b", json!({"apply_residual_connection_post_layernorm": false, "num_kv_heads": 71})),
        ("gemma2", json!({"cache_implementation": "hybrid", "hidden_act": "gelu_pytorch_tanh"})),
        ("gpt_oss", json!({"initial_context_length": 4096, "experts_per_token": 2})),
        (
            "cohere2",
            json!({"layer_switch": 4, "order_of_interleaved_layers": "local_attn_first", "rotary_pct": 1.0,
                "position_embedding_type": "rope_gptj", "use_embedding_sharing": true, "use_gated_activation": true,
                "use_parallel_block": true, "use_parallel_embedding": true, "cache_implementation": "hybrid"}),
        ),
        ("phi3", json!({"attention_bias": false, "auto_map": {"AutoConfig": "x"}, "rope_scaling": null})),
        ("smollm3", json!({"pretraining_tp": 2, "max_window_layers": 28})),
    ] {
        let mut stored = Stored::read(name);
        let before = told(&stored).expect(name);
        for (field, value) in fields.as_object().expect("fields") {
            stored.config[field] = value.clone();
        }
        let after = told(&stored).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(after, before, "{name}");
    }
}

#[test]
fn two_places_that_say_different_things_of_rope_are_refused() {
    for (name, field, value) in [
        ("llama", "rope_theta", json!(5.0)),
        ("gpt_neox", "rotary_pct", json!(1.0)),
        ("gpt_neox", "rotary_emb_base", json!(77.0)),
        ("stablelm", "partial_rotary_factor", json!(0.5)),
        ("gemma3_text", "rope_local_base_freq", json!(10.0)),
    ] {
        let error = told(&with(name, field, value)).expect_err(name);
        assert!(error.contains(field) && error.contains("one place"), "{name}: {error}");
    }
    told(&with("llama", "rope_theta", json!(10_000.0))).expect("the same in both");
}

#[test]
fn a_key_of_a_gguf_file_that_nobody_asks_for_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    for name in CASES.into_iter().filter(|name| is_written(name)) {
        let mut file = gguf(name, &Stored::read(name)).expect("an architecture");
        file.write(&path);
        let before = load(&path).notes;
        assert!(
            !before.iter().any(|note| note.severity == Severity::Warning && note.field == "metadata"),
            "{name}: {before:?}"
        );
        let key = format!("{}.attention.surprise", architecture(name).expect("one"));
        file.set(&key, GgufValue::F32(0.5));
        file.write(&path);
        let notes = load(&path).notes;
        let is_told = notes.iter().any(|note| note.severity == Severity::Warning && note.said.contains(&key));
        assert!(is_told, "{name}: {notes:?}");
    }
}
