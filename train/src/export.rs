//! A trained model as a Hugging Face folder.

use std::path::Path;

use lm_infinite_runtime::Error;
use lm_infinite_runtime::files::write_whole;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use super::checkpoint::to_bytes;
use super::options::{TrainOptions, TrainPosition};
use super::parameters::{self, Parameter};
use super::vocabulary::BOS;
use crate::error::Result;

/// Writes `config.json`, `tokenizer.json` and `tokenizer_config.json`, which do not change while a model is trained.
///
/// # Errors
/// Where a file cannot be written.
pub fn description(folder: &Path, options: &TrainOptions, tokenizer: &str) -> Result<()> {
    let config = options.shape.config();
    let position = match options.shape.position {
        TrainPosition::Rope => "rope",
        TrainPosition::Alibi => "alibi",
        TrainPosition::None => "none",
    };
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "position_embedding_type": position,
        "vocab_size": config.vocabulary,
        "hidden_size": config.hidden,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.trained_length,
        "rms_norm_eps": 1e-5,
        "rope_theta": options.shape.rope_base,
        "hidden_act": "silu",
        "tie_word_embeddings": true,
        "attention_bias": false,
        "mlp_bias": false,
        "bos_token_id": 0,
        "eos_token_id": null,
        "torch_dtype": "float32",
    });
    let tokenizer_config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "model_max_length": options.shape.length,
    });
    write_whole(&folder.join("config.json"), format!("{config:#}\n").as_bytes())?;
    write_whole(&folder.join("tokenizer_config.json"), format!("{tokenizer_config:#}\n").as_bytes())?;
    Ok(write_whole(&folder.join("tokenizer.json"), tokenizer.as_bytes())?)
}

/// Writes `model.safetensors`.
///
/// # Errors
/// Where the file cannot be written.
pub fn weights(folder: &Path, options: &TrainOptions, all: &[Parameter]) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::input("weights", e);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = parameters::checkpoint_tensors(&options.shape.config())
        .into_iter()
        .map(|tensor| {
            let p = &all[tensor.parameter];
            let (first, rows) = tensor.rows;
            let columns = p.columns();
            let shape = if p.is_matrix() { vec![rows, columns] } else { vec![rows] };
            (tensor.name, shape, to_bytes(&p.values[first * columns..(first + rows) * columns]))
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
    let format = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(format)).map_err(|e| failed(&e))?;
    Ok(write_whole(&folder.join("model.safetensors"), &bytes)?)
}
