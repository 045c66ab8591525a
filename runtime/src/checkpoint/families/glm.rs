//! GLM-4 (arXiv 2406.12793; `glm`) and GLM-4-0414 (`glm4`): Llama with RoPE in neighbouring pairs over a part of each head, biases of
//! queries, keys and values, one matrix for gate and up, and in `glm4` norms also behind attention and MLP.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::hf_rope;
use crate::checkpoint::reader_llama::{self, Biases, HUGGING_FACE_NAMES, Names};
use crate::checkpoint::taken::Bias;
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How they are read.
pub(super) const FAMILY: Family = Family {
    model_types: &["glm", "glm4"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| HUGGING_FACE_NAMES.stored_in(tensors, &[]).embedding_and_head(),
    weights,
};

const ROPE: hf_rope::Names = hf_rope::Names { part: Some(("partial_rotary_factor", 0.5)), ..hf_rope::NAMES };

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let architecture = json.require("model_type", json.text("model_type")?)?;
    llama_like::require_silu(json)?;
    let defaults = Defaults {
        vocabulary: 151_552,
        intermediate: 13_696,
        layers: 40,
        kv_heads: Some(2),
        head_dim: Some(128),
        positions: 131_072,
        epsilon: 1.5625e-7,
        ..Defaults::LLAMA
    };
    let mut config = llama_like::config(fields, architecture, &defaults)?;
    config.position = hf_rope::read(json, ROPE, config.head_dim, config.trained_length, notes)?.interleaved();
    llama_like::check(json, &config)?;
    Ok(config)
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let names = Names { gate_up: Some("mlp.gate_up_proj"), ..HUGGING_FACE_NAMES.stored_in(tensors, &[]) };
    let names = match config.architecture.as_str() {
        "glm4" => Names {
            attention_post_norm: Some("post_self_attn_layernorm"),
            mlp_post_norm: Some("post_mlp_layernorm"),
            ..names
        },
        _ => names,
    };
    let of_queries = if json.boolean("attention_bias")? == Some(false) { Bias::None } else { Bias::Required };
    let biases = Biases { attention_input: of_queries, attention_output: Bias::None, mlp: Bias::None };
    reader_llama::weights(tensors, config, names, biases, &[])
}
