//! SmolLM3 (Hugging Face 2025): Llama in which every fourth layer has no position encoding (arXiv 2501.18795).

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::reader_llama::{self, HUGGING_FACE_NAMES};
use crate::checkpoint::{hf_rope, own_attention};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{ModelConfig, PositionConfig};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["smollm3"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| HUGGING_FACE_NAMES.stored_in(tensors, &[]).embedding_and_head(),
    weights,
};

const ROPE: hf_rope::Names = hf_rope::Names { default_theta: 2_000_000.0, ..hf_rope::NAMES };

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    llama_like::require_silu(json)?;
    let defaults = Defaults {
        vocabulary: 128_256,
        hidden: 2048,
        layers: 36,
        heads: 16,
        kv_heads: Some(4),
        positions: 32_768,
        tied: true,
        ..Defaults::LLAMA
    };
    let mut config = llama_like::config(fields, "smollm3", &defaults)?;
    config.position = hf_rope::read(json, ROPE, config.head_dim, config.trained_length, notes)?;
    let rotated = rotated(fields, config.layers)?;
    if rotated.contains(&false) {
        config.layer_positions =
            rotated.iter().map(|rotated| (!rotated).then_some(PositionConfig::None)).collect();
    }
    let uses_window = json.boolean("use_sliding_window")? == Some(true);
    let window = llama_like::sliding_window(json)?.filter(|_| uses_window);
    // Those without positions have the window, where nothing else is said.
    let windowed = match llama_like::layer_types(json, config.layers)? {
        Some(types) => types,
        None => rotated.iter().map(|rotated| !rotated).collect(),
    };
    let windows = windowed.into_iter().map(|windowed| window.filter(|_| windowed)).collect();
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    llama_like::check(json, &config)?;
    Ok(config)
}

/// Which layers have RoPE: `no_rope_layers`, whose name says the opposite of its ones, or all but every `no_rope_layer_interval`th.
fn rotated(fields: &mut Fields<'_>, layers: usize) -> Result<Vec<bool>> {
    const KEY: &str = "no_rope_layers";
    let json = fields.json;
    let Some(list) = json.value(KEY) else {
        let interval = fields.integer("no_rope_layer_interval", 4)?;
        if interval == 0 {
            return Err(json.malformed("no_rope_layer_interval", "a positive number of layers", interval));
        }
        return Ok((1..=layers as u64).map(|layer| !layer.is_multiple_of(interval)).collect());
    };
    let of = |flag: &serde_json::Value| match flag.as_u64() {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    };
    let rotated = list.as_array().and_then(|list| list.iter().map(of).collect::<Option<Vec<bool>>>());
    rotated.filter(|rotated| rotated.len() == layers).ok_or_else(|| {
        let got: String = list.to_string().chars().take(80).collect();
        json.malformed(KEY, format!("{layers} times 1 (with RoPE) or 0 (without)"), got)
    })
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let names = HUGGING_FACE_NAMES.stored_in(tensors, &[]);
    reader_llama::weights(tensors, config, names, llama_like::biases(json, true)?, &[])
}
