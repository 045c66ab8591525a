//! Llama, Mistral, Qwen2 and Qwen3, and this project's own models, whose `config.json` has
//! `"position_embedding_type": "rope" | "alibi" | "none"`, `rope` where it is absent.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::reader_llama::{self, Biases, HUGGING_FACE_NAMES};
use crate::checkpoint::taken::Bias;
use crate::checkpoint::{hf_rope, own_attention};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{ModelConfig, PositionConfig};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How they are read.
pub(super) const FAMILY: Family = Family {
    model_types: &["llama", "mistral", "qwen2", "qwen3"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| HUGGING_FACE_NAMES.stored_in(tensors, &[]).embedding_and_head(),
    weights,
};

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let biases = match config.architecture.as_str() {
        "qwen2" => Biases { attention_input: Bias::Required, attention_output: Bias::None, mlp: Bias::None },
        "mistral" => Biases { attention_input: Bias::None, attention_output: Bias::None, mlp: Bias::None },
        "qwen3" => llama_like::biases(json, false)?,
        _ => llama_like::biases(json, true)?,
    };
    reader_llama::weights(tensors, config, HUGGING_FACE_NAMES.stored_in(tensors, &[]), biases, &[])
}

const SLIDING_WINDOW: u64 = 4096;
const MAX_WINDOW_LAYERS: u64 = 28;

fn defaults(architecture: &str) -> Defaults {
    let llama = Defaults::LLAMA;
    let qwen2 = Defaults {
        vocabulary: 151_936,
        intermediate: 22_016,
        kv_heads: Some(32),
        positions: 32_768,
        ..llama
    };
    match architecture {
        "mistral" => Defaults { intermediate: 14_336, kv_heads: Some(8), positions: 4096 * 32, ..llama },
        "qwen2" => qwen2,
        "qwen3" => Defaults { head_dim: Some(128), ..qwen2 },
        _ => llama,
    }
}

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let architecture = json.require("model_type", json.text("model_type")?)?.to_owned();
    llama_like::require_silu(json)?;
    let mut config = llama_like::config(fields, &architecture, &defaults(&architecture))?;
    config.query_key_norm = architecture == "qwen3";
    config.position = position(json, config.head_dim, config.trained_length, notes)?;
    let windows = sliding_windows(fields, &config, notes)?;
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    llama_like::check(json, &config)?;
    Ok(config)
}

fn position(json: &Json, head_dim: usize, positions: u64, notes: &mut Vec<Note>) -> Result<PositionConfig> {
    match json.text("position_embedding_type")? {
        None | Some("rope") => hf_rope::read(json, hf_rope::NAMES, head_dim, positions, notes),
        Some("alibi") => {
            hf_rope::pass_over(json, "ALiBi", notes)?;
            Ok(PositionConfig::ALIBI)
        }
        Some("none") => {
            hf_rope::pass_over(json, "no encoding", notes)?;
            Ok(PositionConfig::None)
        }
        Some(other) => Err(json.malformed("position_embedding_type", "rope, alibi or none", other)),
    }
}

/// The window of each layer. Mistral has one everywhere unless it is `null`, or in the layers that `layer_types` names (then
/// transformers calls it Ministral); Qwen2 and Qwen3 only with `use_sliding_window`, in the layers that `layer_types` names, or from
/// `max_window_layers` on; Llama has none.
fn sliding_windows(
    fields: &mut Fields<'_>,
    config: &ModelConfig,
    notes: &mut Vec<Note>,
) -> Result<Vec<Option<u64>>> {
    let json = fields.json;
    let stated = llama_like::sliding_window(json)?;
    let full = vec![None; config.layers];
    let is_used = match config.architecture.as_str() {
        "mistral" => true,
        "qwen2" | "qwen3" => json.boolean("use_sliding_window")? == Some(true),
        _ => {
            if stated.is_some() {
                let said =
                    "passed over, as transformers does for the model type `llama`: every key is attended";
                notes.push(Note::new("sliding_window", said));
            }
            false
        }
    };
    if !is_used {
        return Ok(full);
    }
    let window = match json.states("sliding_window") {
        true => stated,
        false => Some(fields.integer("sliding_window", SLIDING_WINDOW)?),
    };
    let Some(window) = window else { return Ok(full) };
    if let Some(types) = llama_like::layer_types(json, config.layers)? {
        return Ok(types.into_iter().map(|is_windowed| is_windowed.then_some(window)).collect());
    }
    let from = match config.architecture.as_str() {
        "qwen2" | "qwen3" => fields.integer("max_window_layers", MAX_WINDOW_LAYERS)?,
        _ => 0,
    };
    Ok((0..config.layers).map(|layer| (layer as u64 >= from).then_some(window)).collect())
}
