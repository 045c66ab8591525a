//! What a family of models says of itself.

use super::fields::Fields;
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How a family is read.
pub(in crate::checkpoint) struct Family {
    /// Values of `model_type`.
    pub model_types: &'static [&'static str],
    /// Values of `quant_method` in which its weights may be stored.
    pub quantizations: &'static [&'static str],
    /// What the fields say.
    pub config: fn(&mut Fields<'_>, &mut Vec<Note>) -> Result<ModelConfig>,
    /// Names of the embedding and of the output head, without `.weight`.
    pub embedding_and_head: fn(&TensorTable) -> [String; 2],
    /// Takes the weights that the configuration asks for.
    pub weights: fn(&Json, &TensorTable, &ModelConfig) -> Result<ModelWeights>,
}

/// What stands before the names of a decoder's tensors: `base`, or nothing where the decoder was stored without its output head.
pub(super) fn prefix<'a>(tensors: &TensorTable, base: &'a str, embedding: &str) -> &'a str {
    if tensors.contains(&format!("{embedding}.weight")) { "" } else { base }
}
