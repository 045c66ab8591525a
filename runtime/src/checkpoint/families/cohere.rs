//! Command R, Aya (Cohere 2024) and Command R7B, Command A (`cohere2`): LayerNorm without biases, attention and MLP side by side behind
//! one norm, RoPE in neighbouring pairs, multiplied logits; in `cohere2` layers with a window, and none of RoPE in those without.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::reader_llama::{self, HUGGING_FACE_NAMES, HeadNorms, Names};
use crate::checkpoint::{check, hf_rope, own_attention};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{ModelConfig, PositionConfig, Residual};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How they are read.
pub(super) const FAMILY: Family = Family {
    model_types: &["cohere", "cohere2"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| HUGGING_FACE_NAMES.stored_in(tensors, &[]).embedding_and_head(),
    weights,
};

const ROPE: hf_rope::Names = hf_rope::Names { default_theta: 500_000.0, ..hf_rope::NAMES };

/// Every layer but the last of this many has a window, where the file does not say which.
const WINDOW_PERIOD: u64 = 4;

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let architecture = json.require("model_type", json.text("model_type")?)?;
    llama_like::require_silu(json)?;
    let defaults = Defaults {
        vocabulary: 256_000,
        hidden: 8192,
        intermediate: 22_528,
        layers: 40,
        heads: 64,
        positions: 8192,
        epsilon: 1e-5,
        layer_norm: true,
        tied: true,
        ..Defaults::LLAMA
    };
    let mut config = llama_like::config(fields, architecture, &defaults)?;
    config.residual = Residual::Parallel;
    let scale = match json.states("logit_scale") {
        true => json.require("logit_scale", json.number("logit_scale")?)?,
        false => fields.number("logit_scale", 0.0625)?,
    };
    config.multipliers.logits = check::positive(json.path(), "logit_scale", scale)?;
    let is_second = architecture == "cohere2";
    let rope = if is_second { hf_rope::NAMES } else { ROPE };
    config.position = hf_rope::read(json, rope, config.head_dim, config.trained_length, notes)?.interleaved();
    if is_second {
        set_windows(fields, &mut config, notes)?;
    } else {
        config.query_key_norm = fields.flag("use_qk_norm", false)?;
    }
    llama_like::check(json, &config)?;
    Ok(config)
}

/// Windows, and layers without positions.
fn set_windows(fields: &mut Fields<'_>, config: &mut ModelConfig, notes: &mut Vec<Note>) -> Result<()> {
    let json = fields.json;
    let windowed = match llama_like::layer_types(json, config.layers)? {
        Some(types) => types,
        None => match json.integer("sliding_window_pattern")?.unwrap_or(WINDOW_PERIOD) {
            0 => return Err(json.malformed("sliding_window_pattern", "a positive number of layers", 0)),
            period => (1..=config.layers as u64).map(|layer| !layer.is_multiple_of(period)).collect(),
        },
    };
    let window = match json.states("sliding_window") {
        true => llama_like::sliding_window(json)?,
        false => Some(fields.integer("sliding_window", 4096)?),
    };
    if window.is_none() && windowed.contains(&true) {
        let expected = "a number of tokens: layers of `sliding_attention` have a window";
        return Err(json.malformed("sliding_window", expected, "null"));
    }
    config.layer_positions =
        windowed.iter().map(|windowed| (!windowed).then_some(PositionConfig::None)).collect();
    let windows = windowed.into_iter().map(|windowed| window.filter(|_| windowed)).collect();
    notes.extend(own_attention::set_windows(config, "sliding_window", windows));
    Ok(())
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let names = Names {
        mlp_norm: None,
        head_norms: HeadNorms::OfEachHead,
        ..HUGGING_FACE_NAMES.stored_in(tensors, &[])
    };
    reader_llama::weights(tensors, config, names, llama_like::biases(json, false)?, &[])
}
