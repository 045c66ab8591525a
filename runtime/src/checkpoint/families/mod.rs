//! Families of models in Hugging Face folders: one file each, which says how `config.json` becomes a [`ModelConfig`] and tensors
//! become [`ModelWeights`]. How to add one: `docs/add-a-family.md`.

mod bloom;
mod falcon;
pub(super) mod fields;
mod gpt_neox;
mod gptj;
mod llama;
mod mpt;

use fields::Fields;

use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How a family is read.
pub(super) struct Family {
    /// Values of `model_type`.
    pub model_types: &'static [&'static str],
    /// What the fields say.
    pub config: fn(&mut Fields<'_>, &mut Vec<Note>) -> Result<ModelConfig>,
    /// Names of the embedding and of the output head, without `.weight`.
    pub embedding_and_head: fn(&TensorTable) -> [String; 2],
    /// Takes the weights that the configuration asks for.
    pub weights: fn(&Json, &TensorTable, &ModelConfig) -> Result<ModelWeights>,
}

const FAMILIES: [Family; 6] =
    [llama::FAMILY, gptj::FAMILY, mpt::FAMILY, gpt_neox::FAMILY, falcon::FAMILY, bloom::FAMILY];

/// The family of a model type.
pub(super) fn of(model_type: &str) -> Option<&'static Family> {
    const ALL: &[Family] = &FAMILIES;
    ALL.iter().find(|family| family.model_types.contains(&model_type))
}

/// All model types that are read.
pub(super) fn model_types() -> Vec<&'static str> {
    FAMILIES.iter().flat_map(|family| family.model_types).copied().collect()
}

/// What stands before the names of a decoder's tensors: `base`, or nothing where the decoder was stored without its output head.
fn prefix<'a>(tensors: &TensorTable, base: &'a str, embedding: &str) -> &'a str {
    if tensors.contains(&format!("{base}{embedding}.weight")) { base } else { "" }
}
