//! gpt-oss (arXiv 2508.10925): a learned sink in every head, windows in every second layer, YaRN with exact bounds, experts with a bounded
//! SwiGLU, stored as MXFP4.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use super::mixtral::check_experts;
use crate::checkpoint::experts::StoredExperts;
use crate::checkpoint::reader_llama::{self, Biases, HUGGING_FACE_NAMES, Names};
use crate::checkpoint::taken::Bias;
use crate::checkpoint::{hf_rope, own_attention};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{Experts, Mlp, ModelConfig, PositionConfig, Routing};
use crate::model::weights::ModelWeights;
use crate::note::Note;
use crate::policy::PositionScaling;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["gpt_oss"],
    quantizations: &["mxfp4"],
    config,
    embedding_and_head: |tensors| HUGGING_FACE_NAMES.stored_in(tensors, &[]).embedding_and_head(),
    weights,
};

const ROPE: hf_rope::Names = hf_rope::Names { default_theta: 150_000.0, ..hf_rope::NAMES };

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    llama_like::require_silu(json)?;
    let defaults = Defaults {
        vocabulary: 201_088,
        hidden: 2880,
        intermediate: 2880,
        layers: 36,
        heads: 64,
        kv_heads: Some(8),
        head_dim: Some(64),
        positions: 131_072,
        epsilon: 1e-5,
        tied: false,
        layer_norm: false,
    };
    let mut config = llama_like::config(fields, "gpt_oss", &defaults)?;
    for (key, value) in [("swiglu_alpha", 1.702), ("swiglu_limit", 7.0)] {
        if let Some(other) = json.number(key)?.filter(|&other| other != value) {
            return Err(json.malformed(key, value, other));
        }
    }
    config.mlp = Mlp::SwiGluBounded;
    config.learned_sinks = true;
    config.experts = Some(Experts {
        count: fields.width_of(["num_local_experts", "num_experts"], 128)?,
        per_token: fields.width_of(["num_experts_per_tok", "experts_per_token"], 4)?,
        intermediate: config.intermediate,
        routing: Routing::OfChosen,
    });
    config.position = hf_rope::read(json, ROPE, config.head_dim, config.trained_length, notes)?;
    if let PositionConfig::Rope { scaling, .. } = &mut config.position
        && !["rope_parameters", "rope_scaling"].iter().any(|key| json.value(key).is_some())
    {
        *scaling = PositionScaling::Yarn {
            factor: 32.0,
            original_length: 4096,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: None,
            exact_bounds: true,
        };
        fields.absent.push("rope_parameters = YaRN by 32 from 4096 tokens".to_owned());
    }
    let window = match json.states("sliding_window") {
        true => llama_like::sliding_window(json)?,
        false => Some(fields.integer("sliding_window", 128)?),
    };
    let windowed = match llama_like::layer_types(json, config.layers)? {
        Some(types) => types,
        None => (0..config.layers).map(|layer| layer.is_multiple_of(2)).collect(),
    };
    let windows = windowed.into_iter().map(|windowed| window.filter(|_| windowed)).collect();
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    check_experts(json, &config)?;
    llama_like::check(json, &config)?;
    Ok(config)
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let stored = HUGGING_FACE_NAMES.stored_in(tensors, &[]);
    let bias = match json.boolean("attention_bias")? {
        Some(false) => Bias::None,
        _ => Bias::Required,
    };
    let biases = Biases { attention_input: bias, attention_output: bias, mlp: Bias::None };
    let names = Names { experts: Some(StoredExperts::GptOss), ..stored };
    reader_llama::weights(tensors, config, names, biases, &[])
}
