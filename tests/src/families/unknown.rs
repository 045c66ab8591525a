//! Fields and keys that no reader asks for.

use std::path::Path;

use lm_infinite::checkpoint;
use lm_infinite::note::{Note, Severity};
use serde_json::{Value, json};

use super::gguf::{architecture, gguf, is_written};
use super::{CASES, Stored};
use crate::fixtures::Value as GgufValue;
use crate::support::cache;

/// The error of loading `stored`, or what is told beside the model.
fn told(stored: &Stored) -> Result<Vec<Note>, String> {
    loaded_without(stored.write().path(), &[])
}

/// The error of loading `path` without the fields `ignored`, or what is told beside the model.
fn loaded_without(path: &Path, ignored: &[&str]) -> Result<Vec<Note>, String> {
    let loaded = checkpoint::load_ignoring(text(path), &cache(), &owned(ignored));
    loaded.map(|loaded| loaded.notes).map_err(|error| error.to_string())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
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
fn an_unknown_field_is_refused_by_name_in_every_family_unless_the_user_names_it() {
    for name in CASES {
        for field in ["attention_surprise", "rope_surprise", "num_surprise_experts", "surprise"] {
            let stored = with(name, field, json!(3));
            let error = told(&stored).expect_err(name);
            assert!(error.contains(field) && error.contains("model type"), "{name}: {error}");
            told(&with(name, field, json!(null))).unwrap_or_else(|error| panic!("{name}: {error}"));
            // The way out that the error names.
            assert!(error.contains("--ignore-field"), "{error}");
            let folder = stored.write();
            let notes =
                loaded_without(folder.path(), &[field]).unwrap_or_else(|error| panic!("{name}: {error}"));
            let is_told = |note: &Note| {
                note.severity == Severity::Warning && note.said.contains(&format!("`{field}` (3)"))
            };
            assert!(notes.iter().any(is_told), "{name}: {notes:?}");
        }
    }
}

#[test]
fn only_what_nothing_reads_can_be_passed_over() {
    let stored = with("llama", "surprise", json!(3));
    let folder = stored.write();
    for (ignored, named) in [
        (vec!["surprise", "hidden_size"], "--ignore-field hidden_size"),
        (vec!["surprise", "torch_dtype"], "--ignore-field torch_dtype"),
        (vec!["surprise", "surprize"], "--ignore-field surprize"),
        (vec!["surprize"], "surprise"),
    ] {
        let error = loaded_without(folder.path(), &ignored).expect_err("refused");
        assert!(error.contains(named), "{ignored:?}: {error}");
        let inspection = checkpoint::inspect_ignoring(text(folder.path()), &cache(), &owned(&ignored));
        assert_eq!(inspection.expect("described").problem, Some(error));
    }
    let nested = with("mpt", "attn_config.surprise", json!({"a": 1}));
    let folder = nested.write();
    let notes =
        loaded_without(folder.path(), &["attn_config.surprise"]).expect("named as the error names it");
    assert!(notes.iter().any(|note| note.said.contains("`attn_config.surprise`")), "{notes:?}");
    let error = checkpoint::load(text(folder.path()), &cache()).expect_err("refused");
    assert_eq!(error.unread_field(), Some("attn_config.surprise"), "for who offers to pass it over");
    let error = checkpoint::load_ignoring(text(folder.path()), &cache(), &owned(&["surprise"]));
    assert_eq!(error.expect_err("refused").unread_field(), Some("attn_config.surprise"));
    let error = checkpoint::load("no such model", &cache()).expect_err("refused");
    assert_eq!(error.unread_field(), None);
    let error = checkpoint::load_ignoring("random:smollm2-135m", &cache(), &owned(&["surprise"]));
    assert!(error.expect_err("refused").to_string().contains("--ignore-field surprise"));
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
                "tokenizer_name": "x", "norm_type": "low_precision_layernorm", "init_device": "cpu",
                "loss_fn": "fused_crossentropy", "fc_type": "torch", "use_pad_tok_in_ffn": true,
                "ffn_config": {"fc_type": "torch", "ffn_type": "mptmlp"}}),
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
        (
            "phi3",
            json!({"attention_bias": false, "auto_map": {"AutoConfig": "x"}, "rope_scaling": null, "full_attn_mod": 1,
                "interpolate_factor": 1, "lm_head_bias": false, "mlp_bias": false}),
        ),
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
fn what_is_said_of_a_rope_that_is_switched_off_is_no_reason_to_refuse_mpt() {
    let mut stored = Stored::read("mpt");
    for (field, value) in [
        ("rope", json!(false)),
        ("rope_impl", json!("dail")),
        ("rope_theta", json!(10_000)),
        ("rope_dail_config", json!({"pos_idx_in_fp32": true, "type": "original", "xpos_scale_base": 512})),
        ("rope_hf_config", json!({"factor": 1.0, "type": "no_scaling"})),
        ("sliding_window_size", json!(-1)),
    ] {
        stored.config["attn_config"][field] = value;
    }
    told(&stored).expect("as before");
    stored.config["attn_config"]["rope"] = json!(true);
    assert!(told(&stored).expect_err("another model").contains("attn_config.rope"));
}

#[test]
fn an_unknown_key_of_an_architecture_is_refused_unless_the_user_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    for name in CASES.into_iter().filter(|name| is_written(name)) {
        let mut file = gguf(name, &Stored::read(name)).expect("an architecture");
        file.write(&path);
        let before = loaded_without(&path, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let key = format!("{}.attention.surprise", architecture(name).expect("one"));
        // Whoever made the file may say what they like beside.
        file.set("somebody.attention.surprise", GgufValue::F32(0.5));
        file.set(&key, GgufValue::F32(0.0));
        file.write(&path);
        assert_eq!(loaded_without(&path, &[]).as_ref(), Ok(&before), "{name}");
        file.set(&key, GgufValue::F32(0.5));
        file.write(&path);
        let error = loaded_without(&path, &[]).expect_err(name);
        assert!(error.contains(&key) && error.contains("--ignore-field"), "{name}: {error}");
        let inspection = checkpoint::inspect(text(&path), &cache()).expect("described");
        assert_eq!(inspection.problem, Some(error), "{name}");
        let notes = loaded_without(&path, &[&key]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let is_told = |note: &Note| note.severity == Severity::Warning && note.said.contains(&key);
        assert!(notes.iter().any(is_told), "{name}: {notes:?}");
        let error = loaded_without(&path, &[&key, "general.name"]).expect_err(name);
        assert!(error.contains("--ignore-field general.name"), "{name}: {error}");
    }
}
