//! `config.json`, with the fields that transformers reads of each family.

use serde_json::{Value, json};

use crate::family::{TrainFamily, TrainPosition};
use crate::shape::{EPSILON, Shape};

/// The file's contents.
pub(super) fn of(shape: &Shape) -> Value {
    let family = shape.family;
    let mut config = match family {
        TrainFamily::Llama => llama(shape),
        TrainFamily::Gptj => gptj(shape),
        TrainFamily::GptNeox => gpt_neox(shape),
        TrainFamily::Mpt => mpt(shape),
        TrainFamily::Gemma2 => gemma2(shape),
        TrainFamily::GptOss => gpt_oss(shape),
    };
    let class = match family {
        TrainFamily::Llama => "LlamaForCausalLM",
        TrainFamily::Gptj => "GPTJForCausalLM",
        TrainFamily::GptNeox => "GPTNeoXForCausalLM",
        TrainFamily::Mpt => "MptForCausalLM",
        TrainFamily::Gemma2 => "Gemma2ForCausalLM",
        TrainFamily::GptOss => "GptOssForCausalLM",
    };
    let shared = json!({
        "architectures": [class],
        "model_type": family.model_type(),
        "vocab_size": shape.vocabulary,
        "tie_word_embeddings": true,
        "bos_token_id": 0,
        "eos_token_id": null,
        "torch_dtype": "float32",
    });
    if let (Value::Object(config), Value::Object(shared)) = (&mut config, shared) {
        config.extend(shared);
    }
    config
}

/// As a decimal: `1e-5`, not the nearest 32 bits written out.
fn epsilon() -> f64 {
    format!("{EPSILON:e}").parse().unwrap_or(f64::from(EPSILON))
}

/// Fields that most families have.
fn common(shape: &Shape) -> Value {
    json!({
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.length,
    })
}

fn extended(mut config: Value, more: Value) -> Value {
    if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
        config.extend(more);
    }
    config
}

fn llama(shape: &Shape) -> Value {
    let position = match shape.position {
        TrainPosition::Rope => "rope",
        TrainPosition::Alibi => "alibi",
        TrainPosition::None => "none",
    };
    let more = json!({
        "position_embedding_type": position,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.hidden / shape.heads,
        "rms_norm_eps": epsilon(),
        "rope_theta": shape.rope_base,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
    });
    extended(common(shape), more)
}

fn gptj(shape: &Shape) -> Value {
    json!({
        "n_embd": shape.hidden,
        "n_inner": shape.intermediate,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "n_positions": shape.length,
        "rotary_dim": shape.hidden / shape.heads / 4,
        "layer_norm_epsilon": epsilon(),
        "activation_function": "gelu_new",
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
    })
}

fn gpt_neox(shape: &Shape) -> Value {
    let more = json!({
        "rotary_pct": 0.25,
        "rotary_emb_base": shape.rope_base,
        "layer_norm_eps": epsilon(),
        "hidden_act": "gelu",
        "attention_bias": true,
        "use_parallel_residual": true,
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
    });
    extended(common(shape), more)
}

fn mpt(shape: &Shape) -> Value {
    json!({
        "d_model": shape.hidden,
        "n_heads": shape.heads,
        "n_layers": shape.layers,
        "expansion_ratio": 4,
        "max_seq_len": shape.length,
        "no_bias": true,
        "layer_norm_epsilon": epsilon(),
        "attn_config": {
            "alibi": true,
            "alibi_bias_max": 8,
            "attn_impl": "torch",
            "attn_type": "multihead_attention",
            "attn_pdrop": 0,
            "clip_qkv": null,
            "prefix_lm": false,
            "qk_ln": false,
            "softmax_scale": null,
        },
        "emb_pdrop": 0.0,
        "resid_pdrop": 0.0,
    })
}

/// `layer_types`, and how long the window is.
fn windows(shape: &Shape) -> Value {
    let kind = |layer: usize| if layer.is_multiple_of(2) { "sliding_attention" } else { "full_attention" };
    json!({
        "sliding_window": shape.window,
        "layer_types": (0..shape.layers).map(kind).collect::<Vec<_>>(),
        "rope_theta": shape.rope_base,
    })
}

fn gemma2(shape: &Shape) -> Value {
    let (config, head_dim) = (shape.config(), shape.hidden / shape.heads);
    let more = json!({
        "num_key_value_heads": shape.kv_heads,
        "head_dim": head_dim,
        "query_pre_attn_scalar": head_dim,
        "attn_logit_softcapping": config.soft_caps.attention,
        "final_logit_softcapping": config.soft_caps.logits,
        "rms_norm_eps": epsilon(),
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": false,
        "attention_dropout": 0.0,
        "pad_token_id": null,
    });
    extended(extended(common(shape), windows(shape)), more)
}

fn gpt_oss(shape: &Shape) -> Value {
    let more = json!({
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.hidden / shape.heads,
        "num_local_experts": 1,
        "num_experts_per_tok": 1,
        "rope_parameters": { "rope_type": "default", "rope_theta": shape.rope_base },
        "rms_norm_eps": epsilon(),
        "hidden_act": "silu",
        "swiglu_limit": 7.0,
        "attention_bias": true,
        "attention_dropout": 0.0,
        "pad_token_id": null,
    });
    extended(extended(common(shape), windows(shape)), more)
}
