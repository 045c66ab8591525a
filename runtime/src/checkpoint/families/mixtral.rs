//! Mixtral (arXiv 2401.04088) and Qwen3-MoE (arXiv 2505.09388): Mistral and Qwen3 with experts in place of MLPs.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::check;
use crate::checkpoint::experts::StoredExperts;
use crate::checkpoint::reader_llama::{self, HUGGING_FACE_NAMES, Names};
use crate::checkpoint::{hf_rope, own_attention};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{Experts, ModelConfig, Routing};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How they are read.
pub(super) const FAMILY: Family = Family {
    model_types: &["mixtral", "qwen3_moe"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| HUGGING_FACE_NAMES.stored_in(tensors, &[]).embedding_and_head(),
    weights,
};

const OF_MIXTRAL: StoredExperts = StoredExperts::HuggingFace {
    router: "block_sparse_moe.gate",
    experts: "block_sparse_moe.experts",
    roles: ["w1", "w3", "w2"],
};

const OF_QWEN: StoredExperts = StoredExperts::HuggingFace {
    router: "mlp.gate",
    experts: "mlp.experts",
    roles: ["gate_proj", "up_proj", "down_proj"],
};

/// RoPE of Mixtral.
const ROPE: hf_rope::Names = hf_rope::Names { default_theta: 1_000_000.0, ..hf_rope::NAMES };

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let model_type = json.require("model_type", json.text("model_type")?)?;
    llama_like::require_silu(json)?;
    match model_type {
        "mixtral" => mixtral(fields, notes),
        _ => qwen3(fields, notes),
    }
}

fn mixtral(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let defaults = Defaults {
        intermediate: 14_336,
        kv_heads: Some(8),
        positions: 4096 * 32,
        epsilon: 1e-5,
        ..Defaults::LLAMA
    };
    let mut config = llama_like::config(fields, "mixtral", &defaults)?;
    config.position = hf_rope::read(json, ROPE, config.head_dim, config.trained_length, notes)?;
    config.experts = Some(Experts {
        count: fields.width_of(["num_local_experts", "num_experts"], 8)?,
        per_token: fields.width("num_experts_per_tok", 2)?,
        intermediate: config.intermediate,
        routing: Routing::OfChosen,
    });
    let windows = vec![llama_like::sliding_window(json)?; config.layers];
    finish(json, config, windows, notes)
}

fn qwen3(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let defaults = Defaults {
        vocabulary: 151_936,
        hidden: 2048,
        intermediate: 6144,
        layers: 24,
        kv_heads: Some(4),
        positions: 32_768,
        ..Defaults::LLAMA
    };
    let mut config = llama_like::config(fields, "qwen3_moe", &defaults)?;
    config.query_key_norm = true;
    config.position = hf_rope::read(json, hf_rope::NAMES, config.head_dim, config.trained_length, notes)?;
    config.experts = Some(Experts {
        count: fields.width_of(["num_experts", "num_local_experts"], 128)?,
        per_token: fields.width("num_experts_per_tok", 8)?,
        intermediate: fields.width("moe_intermediate_size", 768)?,
        routing: if fields.flag("norm_topk_prob", false)? { Routing::OfChosen } else { Routing::OfAll },
    });
    let stated = llama_like::sliding_window(json)?;
    let window = match (fields.flag("use_sliding_window", false)?, json.states("sliding_window")) {
        (false, _) => None,
        (true, true) => stated,
        (true, false) => Some(fields.integer("sliding_window", 4096)?),
    };
    let windows = vec![window; config.layers];
    finish(json, config, windows, notes)
}

fn finish(
    json: &Json,
    mut config: ModelConfig,
    windows: Vec<Option<u64>>,
    notes: &mut Vec<Note>,
) -> Result<ModelConfig> {
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    check_experts(json, &config)?;
    llama_like::check(json, &config)?;
    Ok(config)
}

/// Refuses a token that goes through more experts than there are.
pub(super) fn check_experts(json: &Json, config: &ModelConfig) -> Result<()> {
    match config.experts.filter(|of| of.per_token > of.count) {
        Some(of) => {
            let expected = format!("a number from 1 to {}, that of the experts", of.count);
            Err(json.malformed("num_experts_per_tok", expected, of.per_token))
        }
        None => Ok(()),
    }
}

/// Layers of Qwen3-MoE that have an MLP: those that `mlp_only_layers` names, and all but every `decoder_sparse_step`th.
fn dense_layers(json: &Json, layers: usize) -> Result<Vec<usize>> {
    const KEY: &str = "mlp_only_layers";
    let step = json.integer("decoder_sparse_step")?.unwrap_or(1);
    let step = check::size(json.path(), "decoder_sparse_step", step, check::LAYERS)?;
    let listed: Option<Vec<u64>> = match json.value(KEY) {
        None => Some(Vec::new()),
        Some(list) => list.as_array().and_then(|list| list.iter().map(serde_json::Value::as_u64).collect()),
    };
    let listed = listed.ok_or_else(|| json.malformed(KEY, "a list of layers", "something else"))?;
    let is_dense = |layer: &usize| listed.contains(&(*layer as u64)) || !(layer + 1).is_multiple_of(step);
    Ok((0..layers).filter(is_dense).collect())
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let stored = HUGGING_FACE_NAMES.stored_in(tensors, &[]);
    let of_mixtral = config.architecture == "mixtral";
    let dense_layers = if of_mixtral { Vec::new() } else { dense_layers(json, config.layers)? };
    let experts = Some(if of_mixtral { OF_MIXTRAL } else { OF_QWEN });
    let biases = llama_like::biases(json, false)?;
    reader_llama::weights(tensors, config, Names { experts, ..stored }, biases, &dense_layers)
}
