//! Checkpoints of every family that are refused: wrong shapes, missing tensors, and fields under which something would be computed otherwise.

use std::path::Path;

use serde_json::json;

use super::{CASES, Stored};
use crate::support::program;

/// What loading says of a folder that cannot be.
fn refusal(folder: &Path) -> String {
    let inspected = program().args(["models", "inspect"]).arg(folder).output().expect("it starts");
    let inspected = String::from_utf8_lossy(&inspected.stdout).into_owned();
    let error = lm_infinite::checkpoint::load(folder.to_str().expect("UTF-8"), &crate::support::cache())
        .err()
        .unwrap_or_else(|| panic!("it was loaded: {inspected}"))
        .to_string();
    let told = inspected.lines().find_map(|line| line.strip_prefix("cannot run")).map(str::trim);
    assert!(
        told.is_some_and(|told| error.contains(told) || told.contains(&error)),
        "{error} but {inspected}"
    );
    error
}

#[test]
fn a_wrong_shape_a_missing_tensor_and_one_too_many_are_named() {
    for name in CASES {
        let whole = Stored::read(name);
        let all: Vec<String> = whole.tensors.keys().cloned().collect();
        // All kinds of the first block, and what is not in a block.
        let is_looked_at = |name: &&String| {
            !name.contains(".1.") && !name.contains("vision_tower") && !name.contains("multi_modal")
        };
        for tensor in all.iter().filter(is_looked_at) {
            let mut missing = whole.clone();
            missing.tensors.remove(tensor);
            let error = refusal(missing.write().path());
            assert!(
                error.contains(tensor.as_str()) && error.contains("none of this name"),
                "{name} without {tensor}: {error}"
            );
            let mut misshaped = whole.clone();
            let (shape, values) = misshaped.tensors.get_mut(tensor).expect("it");
            shape[0] += 1;
            values.resize(shape.iter().product(), 0.0);
            let error = refusal(misshaped.write().path());
            assert!(error.contains(tensor.as_str()) && error.contains("shape"), "{name} {tensor}: {error}");
        }
        let mut more = whole.clone();
        more.tensors.insert("transformer.h.0.attn.surprise".into(), (vec![2], vec![0.0; 2]));
        let error = refusal(more.write().path());
        assert!(error.contains("surprise") && error.contains("no such tensor"), "{name}: {error}");
        let mut broken = whole.clone();
        broken.tensors.values_mut().next().expect("one").1[1] = f32::NAN;
        let path = broken.write();
        let loaded =
            lm_infinite::checkpoint::load(path.path().to_str().expect("UTF-8"), &crate::support::cache());
        assert!(loaded.err().is_some_and(|error| error.to_string().contains("finite")), "{name}");
    }
}

#[test]
fn what_would_be_computed_otherwise_is_refused_by_its_field() {
    for (name, field, value) in [
        ("gptj", "rotary_dim", json!(7)),
        ("gptj", "rotary_dim", json!(null)),
        ("gptj", "rotary_dim", json!(64)),
        ("gptj", "activation_function", json!("relu")),
        ("gptj", "n_head", json!(5)),
        ("gptj", "n_head", json!(0)),
        ("gptj", "layer_norm_epsilon", json!(-1.0)),
        ("mpt", "no_bias", json!(false)),
        ("mpt", "logit_scale", json!("inv_sqrt_d_model")),
        ("mpt", "expansion_ratio", json!(8)),
        ("mpt", "attn_config.alibi", json!(false)),
        ("mpt", "attn_config.qk_ln", json!(true)),
        ("mpt", "attn_config.prefix_lm", json!(true)),
        ("mpt", "attn_config.softmax_scale", json!(0.5)),
        ("mpt", "attn_config.attn_type", json!("multiquery_attention")),
        ("mpt", "attn_config.alibi_bias_max", json!(0)),
        ("mpt", "attn_config.clip_qkv", json!(-3)),
        ("gpt_neox", "hidden_act", json!("silu")),
        ("gpt_neox", "rope_parameters", json!({"partial_rotary_factor": 0.2})),
        ("gpt_neox", "rope_parameters", json!({"partial_rotary_factor": 1.5})),
        ("gpt2", "activation_function", json!("relu")),
        ("gpt2", "scale_attn_weights", json!(false)),
        ("gpt2", "scale_attn_by_inverse_layer_idx", json!(true)),
        ("gpt2", "add_cross_attention", json!(true)),
        ("gpt2", "n_positions", json!(0)),
        ("gpt2", "n_head", json!(5)),
        ("gpt2", "layer_norm_epsilon", json!(-1.0)),
        ("falcon_40b", "num_ln_in_parallel_attn", json!(3)),
        ("falcon_40b", "parallel_attn", json!(false)),
        ("falcon_40b", "num_kv_heads", json!(4)),
        ("bloom", "apply_residual_connection_post_layernorm", json!(true)),
        ("qwen3", "hidden_act", json!("gelu")),
        ("gemma", "hidden_act", json!("silu")),
        ("gemma", "hidden_activation", json!("gelu")),
        ("gemma", "use_bidirectional_attention", json!(true)),
        ("gemma2", "hidden_activation", json!("silu")),
        ("gemma2", "query_pre_attn_scalar", json!(0)),
        ("gemma2", "attn_logit_softcapping", json!(-1.0)),
        ("gemma2", "final_logit_softcapping", json!(0.0)),
        ("gemma2", "layer_types", json!(["sliding_attention"])),
        ("gemma2", "layer_types", json!(["full_attention", "chunked_attention", "full_attention"])),
        ("gemma2", "sliding_window", json!(0)),
        ("gemma3_text", "rope_parameters", json!({"rope_type": "default", "rope_theta": 5.0})),
        ("gemma3_text", "rope_parameters.full_attention.rope_type", json!("surprise")),
        ("gemma3_text", "rope_scaling", json!({"rope_type": "linear", "factor": 2.0})),
        ("gemma3", "text_config", json!(null)),
        ("gemma3", "text_config.use_bidirectional_attention", json!(true)),
        ("gpt_oss", "num_experts_per_tok", json!(6)),
        ("gpt_oss", "num_experts_per_tok", json!(0)),
        ("gpt_oss", "swiglu_limit", json!(6.0)),
        ("gpt_oss", "hidden_act", json!("gelu")),
        ("gpt_oss", "quantization_config", json!({"quant_method": "surprise"})),
        ("mixtral", "num_experts_per_tok", json!(5)),
        ("mixtral", "quantization_config", json!({"quant_method": "mxfp4"})),
        ("qwen3_moe", "decoder_sparse_step", json!(0)),
        ("qwen3_moe", "mlp_only_layers", json!("surprise")),
        ("granite", "attention_multiplier", json!(0)),
        ("granite", "logits_scaling", json!(-2)),
        ("granite", "hidden_act", json!("gelu")),
        ("olmo2", "hidden_act", json!("gelu")),
        ("smollm3", "no_rope_layers", json!([1, 0])),
        ("smollm3", "no_rope_layers", json!([1, 0, 2, 1])),
        ("smollm3", "layer_types", json!("full_attention")),
        ("smollm3", "use_sliding_window", json!("yes")),
        ("phi3", "hidden_act", json!("gelu")),
        ("phi3", "sliding_window", json!(0)),
        ("phi3", "rope_scaling", json!({"rope_type": "linear", "factor": 2.0})),
        ("phi3_longrope", "original_max_position_embeddings", json!(-1)),
        ("phi3_longrope", "rope_parameters.long_factor", json!([1.0, 2.0])),
        ("phi3_longrope", "rope_parameters.partial_rotary_factor", json!(0.4)),
        ("phi", "qk_layernorm", json!(true)),
        ("phi", "hidden_act", json!("relu")),
        ("phi", "rope_parameters.partial_rotary_factor", json!(0.0)),
        ("stablelm", "hidden_act", json!("gelu")),
        ("stablelm", "head_dim", json!(16)),
        ("stablelm", "num_key_value_heads", json!(3)),
        ("stablelm", "layer_norm_eps", json!(-1.0)),
        ("cohere", "hidden_act", json!("gelu")),
        ("cohere", "logit_scale", json!(null)),
        ("cohere", "logit_scale", json!(0)),
        ("cohere2", "sliding_window", json!(null)),
        ("cohere2", "layer_types", json!(["full_attention"])),
        ("glm", "hidden_act", json!("gelu")),
        ("glm4", "rope_parameters.partial_rotary_factor", json!(1.5)),
    ] {
        let mut stored = Stored::read(name);
        let mut place = &mut stored.config;
        for part in field.split('.') {
            place = &mut place[part];
        }
        *place = value.clone();
        let error = refusal(stored.write().path());
        let last = field.rsplit('.').next().expect("a field");
        let known = [last, "rotary_pct", "ALiBi", "multihead_attention", "surprise", "quantized"];
        assert!(known.iter().any(|word| error.contains(word)), "{name}, {field} = {value}: {error}");
    }
    let mut other = Stored::read("gptj");
    other.config["model_type"] = json!("gpt_surprise");
    let error = refusal(other.write().path());
    assert!(error.contains("gpt_surprise") && error.contains("gpt_neox") && error.contains("mpt"), "{error}");
}
