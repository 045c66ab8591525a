//! Fields of a `config.json` that no reader asked for.
//!
//! transformers passes over what a model type does not have. A file that says `attn_logit_softcapping` of a Llama was written for code
//! that computes something else, so that a field is refused where it is switched on and not known to change nothing. A user who knows
//! better names it.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::formats::folder::CONFIG_FILE;
use crate::formats::gguf::Metadata;
use crate::formats::json::Json;
use crate::note::Note;

/// Objects that are read elsewhere, or describe what is not read at all.
const CLOSED: [&str; 2] = ["quantization_config", "vision_config"];

/// Fields that change nothing about what is computed, whatever they hold: how a model was trained, is run, or draws tokens.
const WITHOUT_EFFECT: [&str; 96] = [
    "add_bos_token",
    "add_eos_token",
    "architectures",
    "attention_softmax_in_fp32",
    "auto_map",
    "bad_words_ids",
    "base_model_ep_plan",
    "base_model_pp_plan",
    "base_model_tp_plan",
    "begin_suppress_tokens",
    "bias_dropout_fusion",
    "cache_implementation",
    "chunk_size_feed_forward",
    "custom_pipelines",
    "dataset",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embedding_fraction",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "fc_type",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "initial_context_length",
    "is_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "language",
    "layer_switch",
    "learned_pos_emb",
    "length_penalty",
    "license",
    "logits_to_keep",
    "loss_fn",
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
    "n_special",
    "name",
    "name_or_path",
    "neftune_noise_alpha",
    "no_repeat_ngram_size",
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
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "reorder_and_upcast_attn",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "rotary",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "sliding_window_pattern",
    "slow_but_exact",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "top_k",
    "top_p",
    "trust_remote_code",
    "type",
    "typical_p",
    "use_bfloat16",
    "use_cache",
    "use_embedding_sharing",
    "use_pad_tok_in_ffn",
    "verbose",
    "vision_config",
    // Of Gemma 3 beside its texts.
    "vocab_size",
];

/// Beginnings of such names.
const BEGINNINGS: [&str; 14] = [
    "_",
    "attention_implementation",
    "attn_implementation",
    "flash_",
    "fused_",
    "init",
    "neuron",
    "summary_",
    // Of state-space layers, which no decoder here has.
    "time_step_",
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
const STATED: [(&str, &[&str]); 11] = [
    ("full_attn_mod", &["1"]),
    ("interpolate_factor", &["1", "1.0"]),
    ("sliding_window_size", &["-1"]),
    ("position_embedding_type", &["rope", "rope_gptj"]),
    ("rotary_pct", &["1", "1.0"]),
    ("partial_rotary_factor", &["1", "1.0"]),
    ("rotary_scaling_factor", &["1", "1.0"]),
    ("scale_attn_weights", &["true"]),
    ("use_gated_activation", &["true"]),
    ("use_parallel_block", &["true"]),
    ("use_parallel_embedding", &["true"]),
];

/// What may be done about a field that is refused.
const WAY_OUT: &str = "where it changes nothing, name it in `--ignore-field`";

/// Refuses the first field of the file that is switched on, that nobody asked for and that is not `ignored`; tells of those that are. To
/// be called when all that is read has been asked for.
pub(in crate::checkpoint) fn check(
    json: &Json,
    model_type: &str,
    ignored: &[String],
) -> Result<Option<Note>> {
    let left = json
        .unasked(&CLOSED)
        .into_iter()
        .filter(|(key, _, value)| !is_off(value) && !is_without_effect(key) && !is_stated(key, value));
    let left: Vec<(String, String)> =
        left.map(|(_, name, value)| (name, value.to_string().chars().take(60).collect())).collect();
    if let Some((name, got)) = left.iter().find(|(name, _)| !ignored.contains(name)) {
        let expected = format!(
            "no such field: nothing is known to read it for the model type `{model_type}`; {WAY_OUT}, or set it to null"
        );
        return Err(Error::unread(json.path(), name, expected, got));
    }
    told(CONFIG_FILE, &left, ignored)
}

/// Keys of GGUF files that change nothing about what a decoder computes, or that are read under conditions alone.
const WITHOUT_EFFECT_IN_GGUF: [&str; 8] = [
    "decoder_start_token_id",
    "embedding_length_out",
    "pooling_type",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "tensor_data_layout",
];

/// As [`check`], of the keys of an architecture of llama.cpp. Other keys of the file describe it, its tokenizer and whoever made it.
pub(in crate::checkpoint) fn check_keys(
    metadata: &Metadata,
    architecture: &str,
    ignored: &[String],
) -> Result<Option<Note>> {
    let beginning = format!("{architecture}.");
    let unasked = metadata.unasked(&beginning).into_iter();
    let left: Vec<(String, String)> = unasked
        .filter(|(key, _)| !WITHOUT_EFFECT_IN_GGUF.contains(&&key[beginning.len()..]))
        .map(|(key, got)| (key.to_owned(), got))
        .collect();
    if let Some((key, got)) = left.iter().find(|(key, _)| !ignored.contains(key)) {
        let expected = format!(
            "no such key: nothing is known to read it for the architecture `{architecture}`; {WAY_OUT}"
        );
        return Err(Error::unread(metadata.path(), key, expected, got));
    }
    told("metadata", &left, ignored)
}

/// A note of what was `left` and is passed over as the user wants it.
///
/// # Errors
/// Names in `ignored` that are not left: they are read, or the file has them not.
fn told(place: &str, left: &[(String, String)], ignored: &[String]) -> Result<Option<Note>> {
    if let Some(name) = ignored.iter().find(|&ignored| left.iter().all(|(name, _)| name != ignored)) {
        let reason = "the file has no such field, or it is read, or it is known to change nothing";
        return Err(Error::input(format!("--ignore-field {name}"), reason));
    }
    let passed_over: Vec<String> = left.iter().map(|(name, got)| format!("`{name}` ({got})")).collect();
    let said = format!("passed over, as `--ignore-field` wants it: {}", passed_over.join(", "));
    Ok((!left.is_empty()).then(|| Note::warning(place, said)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_change_nothing_is_known_by_name_beginning_or_end() {
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
        for name in
            ["attn_logit_softcapping", "query_pre_attn_scalar", "no_rope_layers", "dt_rank", "surprise"]
        {
            assert!(!is_without_effect(name), "{name}");
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
