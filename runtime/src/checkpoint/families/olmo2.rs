//! OLMo 2 (arXiv 2501.00656): norms behind attention and MLP and none before, queries and keys normalized over all heads together.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::hf_rope;
use crate::checkpoint::reader_llama::{self, HUGGING_FACE_NAMES, HeadNorms, Names};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["olmo2"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| names(tensors).embedding_and_head(),
    weights,
};

fn names(tensors: &TensorTable) -> Names {
    Names {
        attention_norm: None,
        attention_post_norm: Some("post_attention_layernorm"),
        mlp_norm: None,
        mlp_post_norm: Some("post_feedforward_layernorm"),
        head_norms: HeadNorms::OfAllHeads,
        ..HUGGING_FACE_NAMES.stored_in(tensors, &[])
    }
}

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    llama_like::require_silu(json)?;
    let defaults = Defaults { vocabulary: 50_304, epsilon: 1e-5, ..Defaults::LLAMA };
    let mut config = llama_like::config(fields, "olmo2", &defaults)?;
    config.query_key_norm = true;
    config.position = hf_rope::read(json, hf_rope::NAMES, config.head_dim, config.trained_length, notes)?;
    llama_like::check(json, &config)?;
    Ok(config)
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    reader_llama::weights(tensors, config, names(tensors), llama_like::biases(json, false)?, &[])
}
