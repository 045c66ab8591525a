//! Fields of a `config.json` that no reader asked for.
//!
//! transformers passes over what a model type does not have. A file that says `attn_logit_softcapping` of a Llama was written for code
//! that computes something else, so that such a field is refused where it is switched on; whether it may change what is computed, its
//! name tells. What else nobody knows is told.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::formats::folder::CONFIG_FILE;
use crate::formats::gguf::Metadata;
use crate::formats::json::Json;
use crate::note::Note;

/// Objects that are read elsewhere, or describe what is not read at all.
const CLOSED: [&str; 2] = ["quantization_config", "vision_config"];

/// Fields that change nothing about what is computed, whatever they hold: how a model was trained, is run, or draws tokens.
const WITHOUT_EFFECT: [&str; 73] = [
    "add_bos_token",
    "add_eos_token",
    "architectures",
    "attention_softmax_in_fp32",
    "auto_map",
    "bad_words_ids",
    "bias_dropout_fusion",
    "cache_implementation",
    "chunk_size_feed_forward",
    "custom_pipelines",
    "do_sample",
    "dtype",
    "early_stopping",
    "embedding_fraction",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "initial_context_length",
    "is_decoder",
    "is_llama_config",
    "label2id",
    "language",
    "layer_switch",
    "learned_pos_emb",
    "length_penalty",
    "logits_to_keep",
    "masked_softmax_fusion",
    "max_length",
    "max_new_tokens",
    "max_sequence_length",
    "max_window_layers",
    "min_length",
    "mm_tokens_per_image",
    "model_max_length",
    "model_type",
    "n_ctx",
    "name",
    "name_or_path",
    "no_rope_layer_interval",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "offset_alibi",
    "order_of_interleaved_layers",
    "original_max_position_embeddings",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "predict_special_tokens",
    "pretraining_tp",
    "problem_type",
    "repetition_penalty",
    "return_dict",
    "reorder_and_upcast_attn",
    "rotary",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "slow_but_exact",
    "sliding_window_pattern",
    "task_specific_params",
    "temperature",
    "top_k",
    "top_p",
    "type",
    "use_cache",
    "use_embedding_sharing",
    "verbose",
    "vision_config",
    // Of Gemma 3 beside its texts.
    "vocab_size",
];

/// Beginnings of such names.
const BEGINNINGS: [&str; 13] = [
    "_",
    "attention_implementation",
    "attn_implementation",
    "flash_",
    "fused_",
    "init",
    "neuron",
    "summary_",
    "tokenizer_",
    "torch",
    "transformers",
    "unsloth_",
    "use_flash_",
];

/// Ends of such names.
const ENDS: [&str; 9] = [
    "dropout",
    "dropout_prob",
    "pdrop",
    "_token",
    "_token_id",
    "_token_ids",
    "_token_index",
    "_version",
    "_loss_coef",
];

/// Fields that say what a model type does anyway.
const STATED: [(&str, &[&str]); 8] = [
    ("position_embedding_type", &["rope", "rope_gptj"]),
    ("rotary_pct", &["1", "1.0"]),
    ("partial_rotary_factor", &["1", "1.0"]),
    ("rotary_scaling_factor", &["1", "1.0"]),
    ("scale_attn_weights", &["true"]),
    ("use_gated_activation", &["true"]),
    ("use_parallel_block", &["true"]),
    ("use_parallel_embedding", &["true"]),
];

/// Beginnings of words of which the names of fields are made that change what a decoder computes.
const OF_COMPUTING: [&str; 52] = [
    "activ",
    "alibi",
    "atten",
    "attn",
    "base",
    "bias",
    "bidirect",
    "block",
    "causal",
    "chunk",
    "clip",
    "conv",
    "cross",
    "embed",
    "expan",
    "expert",
    "feed",
    "ffn",
    "gate",
    "head",
    "hidden",
    "intermediate",
    "interleav",
    "kv",
    "layer",
    "logit",
    "lora",
    "mask",
    "mixture",
    "mlp",
    "moe",
    "mrope",
    "mscale",
    "multi",
    "norm",
    "ntk",
    "parallel",
    "posit",
    "qk",
    "quer",
    "recur",
    "resid",
    "rope",
    "rotary",
    "router",
    "scal",
    "sink",
    "slid",
    "softcap",
    "sparse",
    "ssm",
    "window",
];

/// Refuses fields of the file that nobody asked for and that may change what a decoder of `model_type` computes; tells of others.
/// To be called when all that is read has been asked for.
pub(in crate::checkpoint) fn check(json: &Json, model_type: &str) -> Result<Option<Note>> {
    let mut unknown = Vec::new();
    for (key, name, value) in json.unasked(&CLOSED) {
        if is_off(&value) || is_without_effect(&key) || is_stated(&key, &value) {
            continue;
        }
        if !may_count(&key) {
            unknown.push(format!("`{name}`"));
            continue;
        }
        let got: String = value.to_string().chars().take(60).collect();
        let expected = format!(
            "no such field: nothing is known to read it for the model type `{model_type}`; where it changes nothing, remove it or set it \
             to null"
        );
        return Err(Error::malformed(json.path(), name, expected, got));
    }
    if unknown.is_empty() {
        return Ok(None);
    }
    let said = format!(
        "passed over, as transformers does: {} belong{} to no model of the type `{model_type}`",
        unknown.join(", "),
        if unknown.len() == 1 { "s" } else { "" }
    );
    Ok(Some(Note::warning(CONFIG_FILE, said)))
}

/// Keys of GGUF files that change nothing, or that are read under conditions alone.
const WITHOUT_EFFECT_IN_GGUF: [&str; 6] = [
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "tensor_data_layout",
    "embedding_length_out",
];

/// Tells which keys of an architecture nobody asked for although they may change what is computed; to be called when all that is read
/// has been asked for. What is known to change it was refused before.
pub(in crate::checkpoint) fn told(metadata: &Metadata, architecture: &str) -> Option<Note> {
    let beginning = format!("{architecture}.");
    let keys: Vec<String> = metadata
        .unasked(&beginning)
        .into_iter()
        .filter(|(key, _)| {
            let key = &key[beginning.len()..];
            !WITHOUT_EFFECT_IN_GGUF.contains(&key) && may_count(key)
        })
        .map(|(key, got)| format!("`{key}` ({got})"))
        .collect();
    let said = format!("passed over, since nothing is known to read them: {}", keys.join(", "));
    (!keys.is_empty()).then(|| Note::warning("metadata", said))
}

/// Is nothing switched on by this value?
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "none",
        // Layers that are all like those of the model type.
        Value::Array(list) => list.iter().all(|one| one == "full_attention"),
        Value::Object(fields) => fields.values().all(is_off),
    }
}

fn is_without_effect(key: &str) -> bool {
    WITHOUT_EFFECT.contains(&key)
        || BEGINNINGS.iter().any(|beginning| key.starts_with(beginning))
        || ENDS.iter().any(|end| key.ends_with(end))
}

fn is_stated(key: &str, value: &Value) -> bool {
    let said = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    STATED.iter().any(|(name, values)| *name == key && values.contains(&said.as_str()))
}

fn may_count(key: &str) -> bool {
    let is_of_computing = |word: &str| OF_COMPUTING.iter().any(|beginning| word.starts_with(beginning));
    key.to_lowercase().split(['_', '-', '.']).any(is_of_computing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_may_count() {
        for name in [
            "attn_logit_softcapping",
            "query_pre_attn_scalar",
            "embedding_multiplier",
            "logits_scaling",
            "no_rope_layers",
            "rope_interleaved",
            "clip_qkv",
            "use_bidirectional_attention",
            "kv_lora_rank",
            "num_nextn_predict_layers",
            "n_routed_experts",
            "short_mscale",
        ] {
            assert!(may_count(name) && !is_without_effect(name), "{name}");
        }
        for name in ["time_step_limit", "dataset", "license", "surprise"] {
            assert!(!may_count(name), "{name}");
        }
        for name in [
            "attention_dropout",
            "_attn_implementation_autoset",
            "bos_token_id",
            "unsloth_fixed",
            "torch_dtype",
            "use_flash_attention_2",
            "flash_attn",
            "fused_dense",
        ] {
            assert!(is_without_effect(name), "{name}");
        }
    }

    #[test]
    fn what_is_switched_off_changes_nothing() {
        for text in
            ["null", "false", "0", "0.0", "\"\"", "[]", "{}", "{\"a\": false}", "[\"full_attention\"]"]
        {
            assert!(is_off(&serde_json::from_str(text).expect("JSON")), "{text}");
        }
        for text in ["true", "1", "-0.5", "\"x\"", "[0]", "{\"a\": 1}", "[\"sliding_attention\"]"] {
            assert!(!is_off(&serde_json::from_str(text).expect("JSON")), "{text}");
        }
    }
}
