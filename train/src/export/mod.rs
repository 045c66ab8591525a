//! A trained model as a Hugging Face folder of its family.

mod configuration;
mod tensors;

use std::path::Path;

use lm_infinite_runtime::Error;
use lm_infinite_runtime::files::write_whole;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use super::checkpoint::to_bytes;
use super::options::TrainOptions;
use super::parameters::Parameter;
use super::vocabulary::BOS;
use crate::error::Result;

/// Writes `config.json`, `tokenizer.json` and `tokenizer_config.json`, which do not change while a model is trained.
///
/// # Errors
/// Where a file cannot be written.
pub fn description(folder: &Path, options: &TrainOptions, tokenizer: &str) -> Result<()> {
    let config = configuration::of(&options.shape);
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
    let stored: Vec<(String, Vec<usize>, Vec<u8>)> = tensors::of(&options.shape, all)
        .into_iter()
        .map(|tensor| (tensor.name, tensor.shape, to_bytes(&tensor.values)))
        .collect();
    let views = stored.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
    let format = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(format)).map_err(|e| failed(&e))?;
    Ok(write_whole(&folder.join("model.safetensors"), &bytes)?)
}
