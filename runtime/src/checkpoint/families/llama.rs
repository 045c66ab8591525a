//! Llama, Mistral, Qwen2 and Qwen3, and this project's own models, whose `config.json` has
//! `"position_embedding_type": "rope" | "alibi" | "none"`, `rope` where it is absent.

use super::family::Family;
use super::fields::Fields;
use crate::checkpoint::check::{self, FieldNames};
use crate::checkpoint::reader_llama::{self, Biases};
use crate::checkpoint::taken::Bias;
use crate::checkpoint::{hf_rope, own_attention};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{Mlp, ModelConfig, Norm, PositionConfig, Residual};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How they are read.
pub(super) const FAMILY: Family = Family {
    model_types: &["llama", "mistral", "qwen2", "qwen3"],
    config,
    embedding_and_head: |tensors| {
        reader_llama::hugging_face_names(tensors).embedding_and_head().map(str::to_owned)
    },
    weights,
};

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let flag = |key| json.boolean(key).map(|set| if set == Some(true) { Bias::Required } else { Bias::None });
    let biases = match config.architecture.as_str() {
        "qwen2" => Biases { attention_input: Bias::Required, attention_output: Bias::None, mlp: Bias::None },
        "mistral" => Biases { attention_input: Bias::None, attention_output: Bias::None, mlp: Bias::None },
        "qwen3" => {
            let attention = flag("attention_bias")?;
            Biases { attention_input: attention, attention_output: attention, mlp: Bias::None }
        }
        _ => {
            let attention = flag("attention_bias")?;
            Biases { attention_input: attention, attention_output: attention, mlp: flag("mlp_bias")? }
        }
    };
    let names = reader_llama::hugging_face_names(tensors);
    reader_llama::weights(tensors, config, names, biases)
}

/// What transformers takes where a file has no such field; `None` where the file must have it.
struct Defaults {
    vocabulary: u64,
    intermediate: u64,
    kv_heads: Option<u64>,
    /// Where it does not follow from the others.
    head_dim: Option<u64>,
    positions: u64,
}

/// Of all model types that are read.
const HIDDEN: u64 = 4096;
const LAYERS: u64 = 32;
const HEADS: u64 = 32;
const EPSILON: f64 = 1e-6;
const SLIDING_WINDOW: u64 = 4096;
const MAX_WINDOW_LAYERS: u64 = 28;

impl Defaults {
    fn of(architecture: &str) -> Self {
        let (vocabulary, intermediate, kv_heads, head_dim, positions) = match architecture {
            "mistral" => (32_000, 14_336, Some(8), None, 4096 * 32),
            "qwen2" => (151_936, 22_016, Some(32), None, 32_768),
            "qwen3" => (151_936, 22_016, Some(32), Some(128), 32_768),
            _ => (32_000, 11_008, None, None, 2048),
        };
        Self { vocabulary, intermediate, kv_heads, head_dim, positions }
    }
}

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let architecture = json.require("model_type", json.text("model_type")?)?.to_owned();
    let defaults = Defaults::of(&architecture);
    // `swish` is another name of it.
    if let Some(activation) = json.text("hidden_act")?.filter(|name| !["silu", "swish"].contains(name)) {
        return Err(json.malformed("hidden_act", "silu or swish", activation));
    }
    let hidden = fields.width("hidden_size", HIDDEN)?;
    let heads = fields.width("num_attention_heads", HEADS)?;
    let head_dim = match (json.integer("head_dim")?, defaults.head_dim) {
        (Some(given), _) => check::size(json.path(), "head_dim", given, check::WIDTHS)?,
        (None, Some(default)) => fields.width("head_dim", default)?,
        (None, None) => check::derived_head_dim(json.path(), "num_attention_heads", hidden, heads)?,
    };
    let kv_heads = match defaults.kv_heads {
        // `null`, unlike a field that is absent, stands for as many as queries.
        Some(default) if !json.states("num_key_value_heads") => {
            fields.width("num_key_value_heads", default)?
        }
        _ => match json.integer("num_key_value_heads")? {
            Some(given) => check::size(json.path(), "num_key_value_heads", given, check::WIDTHS)?,
            None => heads,
        },
    };
    let layers = fields.integer("num_hidden_layers", LAYERS)?;
    let positions = fields.integer("max_position_embeddings", defaults.positions)?;
    let positions = check::size(json.path(), "max_position_embeddings", positions, check::LENGTHS)? as u64;
    let mut config = ModelConfig {
        vocabulary: fields.width("vocab_size", defaults.vocabulary)?,
        hidden,
        layers: check::size(json.path(), "num_hidden_layers", layers, check::LAYERS)?,
        heads,
        kv_heads,
        head_dim,
        intermediate: fields.width("intermediate_size", defaults.intermediate)?,
        norm: Norm::Rms { epsilon: fields.number("rms_norm_eps", EPSILON)? as f32 },
        mlp: Mlp::SwiGlu,
        residual: Residual::Sequential,
        clip_qkv: None,
        query_key_norm: architecture == "qwen3",
        position: position(json, head_dim, positions, notes)?,
        tied_embeddings: json.boolean("tie_word_embeddings")?.unwrap_or(false),
        trained_length: positions,
        sliding_windows: Vec::new(),
        architecture,
    };
    let windows = sliding_windows(fields, &config, notes)?;
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    let names = FieldNames {
        heads: "num_attention_heads",
        kv_heads: "num_key_value_heads",
        head_dim: "head_dim",
        epsilon: "rms_norm_eps",
        rope_theta: "rope_theta",
        rope_dim: "head_dim",
    };
    check::check(json.path(), &config, &names)?;
    Ok(config)
}

fn position(json: &Json, head_dim: usize, positions: u64, notes: &mut Vec<Note>) -> Result<PositionConfig> {
    match json.text("position_embedding_type")? {
        None | Some("rope") => hf_rope::read(json, hf_rope::NAMES, head_dim, positions, notes),
        Some("alibi") => Ok(PositionConfig::ALIBI),
        Some("none") => Ok(PositionConfig::None),
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
    let stated = json.integer("sliding_window")?;
    if let Some(window) = stated.filter(|&window| !check::LENGTHS.contains(&window)) {
        return Err(json.malformed("sliding_window", "a number of tokens from 1 on, or null", window));
    }
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
    if let Some(types) = json.value("layer_types") {
        let types = layer_types(json, types, config.layers)?;
        return Ok(types.into_iter().map(|is_windowed| is_windowed.then_some(window)).collect());
    }
    let from = match config.architecture.as_str() {
        "qwen2" | "qwen3" => fields.integer("max_window_layers", MAX_WINDOW_LAYERS)?,
        _ => 0,
    };
    Ok((0..config.layers).map(|layer| (layer as u64 >= from).then_some(window)).collect())
}

/// Which layers have a window.
fn layer_types(json: &Json, types: &serde_json::Value, layers: usize) -> Result<Vec<bool>> {
    let of = |kind: &serde_json::Value| match kind.as_str() {
        Some("full_attention") => Some(false),
        Some("sliding_attention") => Some(true),
        _ => None,
    };
    let expected = format!("{layers} times `full_attention` or `sliding_attention`");
    let list = types.as_array().and_then(|list| list.iter().map(of).collect::<Option<Vec<bool>>>());
    list.filter(|list| list.len() == layers).ok_or_else(|| {
        let got: String = types.to_string().chars().take(80).collect();
        json.malformed("layer_types", expected, got)
    })
}
