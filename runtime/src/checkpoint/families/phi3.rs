//! Phi-3 (arXiv 2404.14219), Phi-3.5 and Phi-4, whose blocks are those of Llama with one matrix for queries, keys and values and one
//! for gate and up; a window, RoPE over a part of each head and LongRoPE where the file says so.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::reader_llama::{self, Biases, HUGGING_FACE_NAMES, Names};
use crate::checkpoint::taken::Bias;
use crate::checkpoint::{hf_rope, own_attention};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{ModelConfig, PositionConfig};
use crate::model::weights::ModelWeights;
use crate::note::Note;
use crate::policy::PositionScaling;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["phi3"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| names(tensors).embedding_and_head(),
    weights,
};

/// The length of the first training, where the file does not say it.
const ORIGINAL_LENGTH: u64 = 4096;

const ROPE: hf_rope::Names = hf_rope::Names {
    part: Some(("partial_rotary_factor", 1.0)),
    original_length: Some(ORIGINAL_LENGTH),
    // Files of 2024 call it so.
    long_rope: &["su", "yarn"],
    ..hf_rope::NAMES
};

fn names(tensors: &TensorTable) -> Names {
    let names = Names {
        query_key_value: Some("self_attn.qkv_proj"),
        gate_up: Some("mlp.gate_up_proj"),
        ..HUGGING_FACE_NAMES
    };
    names.stored_in(tensors, &[])
}

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    llama_like::require_silu(json)?;
    let defaults = Defaults {
        vocabulary: 32_064,
        hidden: 3072,
        intermediate: 8192,
        positions: 4096,
        epsilon: 1e-5,
        ..Defaults::LLAMA
    };
    let mut config = llama_like::config(fields, "phi3", &defaults)?;
    config.position = hf_rope::read(json, ROPE, config.head_dim, config.trained_length, notes)?;
    match &config.position {
        PositionConfig::Rope { scaling: PositionScaling::None, .. } => {}
        PositionConfig::Rope { scaling: PositionScaling::LongRope { .. }, .. } => {
            const LENGTH: &str = "original_max_position_embeddings";
            fields.length_of([LENGTH, LENGTH], ORIGINAL_LENGTH)?;
        }
        // As transformers does.
        PositionConfig::Rope { scaling, .. } => {
            return Err(json.malformed("rope_scaling", "longrope, or none", scaling));
        }
        PositionConfig::Alibi { .. } | PositionConfig::Learned { .. } | PositionConfig::None => {}
    }
    let windows = vec![llama_like::sliding_window(json)?; config.layers];
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    llama_like::check(json, &config)?;
    Ok(config)
}

fn weights(_: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let biases = Biases { attention_input: Bias::None, attention_output: Bias::None, mlp: Bias::None };
    reader_llama::weights(tensors, config, names(tensors), biases, &[])
}
