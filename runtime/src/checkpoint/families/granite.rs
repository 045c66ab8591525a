//! Granite 3 (IBM 2024): Llama with four multipliers.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::reader_llama::{self, HUGGING_FACE_NAMES};
use crate::checkpoint::{check, hf_rope};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{ModelConfig, Multipliers};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["granite"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| HUGGING_FACE_NAMES.stored_in(tensors, &[]).embedding_and_head(),
    weights,
};

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    llama_like::require_silu(json)?;
    let mut config = llama_like::config(fields, "granite", &Defaults::LLAMA)?;
    config.position = hf_rope::read(json, hf_rope::NAMES, config.head_dim, config.trained_length, notes)?;
    let mut number = |key: &str| {
        let given = fields.number(key, 1.0)?;
        check::positive(json.path(), key, given)
            .and_then(|_| check::positive(json.path(), key, 1.0 / given))?;
        Ok(given)
    };
    config.multipliers = Multipliers {
        embedding: number("embedding_multiplier")? as f32,
        // In place of `1/sqrt(head_dim)`.
        queries: (number("attention_multiplier")? * (config.head_dim as f64).sqrt()) as f32,
        residual: number("residual_multiplier")? as f32,
        // Logits are divided by it.
        logits: (1.0 / number("logits_scaling")?) as f32,
    };
    llama_like::check(json, &config)?;
    Ok(config)
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let names = HUGGING_FACE_NAMES.stored_in(tensors, &[]);
    reader_llama::weights(tensors, config, names, llama_like::biases(json, true)?, &[])
}
