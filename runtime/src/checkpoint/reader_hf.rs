//! Configuration of Hugging Face folders (`config.json`) of the model types `llama`, `mistral` and `qwen2`.
//!
//! Read as transformers 5.24 reads it, defaults included, with one addition for this project's own models:
//! `"position_embedding_type": "rope" | "alibi" | "none"`, `rope` where it is absent.

use std::path::Path;

use super::check::{self, FieldNames};
use super::reader_llama::{self, Bias, Biases};
use super::{hf_rope, own_attention};
use crate::error::{Error, Result};
use crate::formats::folder::{ADAPTER_CONFIG_FILE, CONFIG_FILE};
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{Mlp, ModelConfig, Norm, PositionConfig};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// A folder whose `config.json` has been read.
pub(super) struct Folder {
    json: Json,
    /// Its decoder.
    pub config: ModelConfig,
    /// What is to be said of the file's fields.
    pub notes: Vec<Note>,
}

/// Reads `config.json` of the folder.
pub(super) fn open(folder: &Path) -> Result<Folder> {
    let json = Json::read(&folder.join(CONFIG_FILE))?;
    let mut notes = Vec::new();
    let config = config(&json, &mut notes)?;
    if folder.join(ADAPTER_CONFIG_FILE).exists() {
        let said = "an adapter lies in the folder; it is applied where `--adapter` names it";
        notes.push(Note::new(ADAPTER_CONFIG_FILE, said));
    }
    Ok(Folder { json, config, notes })
}

impl Folder {
    /// Whether the output head is the embedding, transformers decides by what is stored in `tensors`: with the flag set and two
    /// different ones, it is not.
    pub(super) fn look_at_head(&mut self, tensors: &TensorTable) -> Result<()> {
        let names = reader_llama::hugging_face_names(tensors);
        if self.config.tied_embeddings && reader_llama::has_another_head(tensors, names)? {
            self.config.tied_embeddings = false;
            self.notes.push(Note::warning(
                "tie_word_embeddings",
                "it is true, but the folder holds an embedding and another output head; both are used, as transformers 5 does \
                 (its version 4 put the embedding in the place of the head)",
            ));
        }
        Ok(())
    }

    /// Takes the decoder's weights out of the folder's tensors, after [`Self::look_at_head`].
    pub(super) fn weights(&self, tensors: &TensorTable) -> Result<ModelWeights> {
        let flag = |key| {
            self.json.boolean(key).map(|set| if set == Some(true) { Bias::Required } else { Bias::None })
        };
        let biases = match self.config.architecture.as_str() {
            "qwen2" => {
                Biases { attention_input: Bias::Required, attention_output: Bias::None, mlp: Bias::None }
            }
            "mistral" => {
                Biases { attention_input: Bias::None, attention_output: Bias::None, mlp: Bias::None }
            }
            _ => {
                let attention = flag("attention_bias")?;
                Biases { attention_input: attention, attention_output: attention, mlp: flag("mlp_bias")? }
            }
        };
        let names = reader_llama::hugging_face_names(tensors);
        reader_llama::weights(tensors, &self.config, names, biases)
    }
}

/// What transformers takes where a file has no such field; `None` where the file must have it.
struct Defaults {
    vocabulary: u64,
    intermediate: u64,
    kv_heads: Option<u64>,
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
    fn of(architecture: &str) -> Option<Self> {
        Some(match architecture {
            "llama" => Self { vocabulary: 32_000, intermediate: 11_008, kv_heads: None, positions: 2048 },
            "mistral" => {
                Self { vocabulary: 32_000, intermediate: 14_336, kv_heads: Some(8), positions: 4096 * 32 }
            }
            "qwen2" => {
                Self { vocabulary: 151_936, intermediate: 22_016, kv_heads: Some(32), positions: 32_768 }
            }
            _ => return None,
        })
    }
}

/// Fields with transformers' defaults, which are told.
struct Fields<'a> {
    json: &'a Json,
    absent: Vec<String>,
}

impl Fields<'_> {
    fn integer(&mut self, key: &str, default: u64) -> Result<u64> {
        Ok(self.json.integer(key)?.unwrap_or_else(|| {
            self.absent.push(format!("{key} = {default}"));
            default
        }))
    }

    fn width(&mut self, key: &str, default: u64) -> Result<usize> {
        let value = self.integer(key, default)?;
        check::size(self.json.path(), key, value, check::WIDTHS)
    }

    fn number(&mut self, key: &str, default: f64) -> Result<f64> {
        Ok(self.json.number(key)?.unwrap_or_else(|| {
            self.absent.push(format!("{key} = {default:e}"));
            default
        }))
    }
}

fn config(json: &Json, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let architecture = json.require("model_type", json.text("model_type")?)?.to_owned();
    let Some(defaults) = Defaults::of(&architecture) else {
        let detail = format!("{}: supported are llama, mistral and qwen2", json.path().display());
        return Err(Error::unsupported(format!("model type `{architecture}`"), detail));
    };
    // `swish` is another name of it.
    if let Some(activation) = json.text("hidden_act")?.filter(|name| !["silu", "swish"].contains(name)) {
        return Err(json.malformed("hidden_act", "silu or swish", activation));
    }
    if json.object("quantization_config")?.is_some() {
        let detail = format!(
            "{}: weights must be F32, F16 or BF16; for quantized ones use GGUF",
            json.path().display()
        );
        return Err(Error::unsupported("quantized safetensors", detail));
    }
    let mut fields = Fields { json, absent: Vec::new() };
    let hidden = fields.width("hidden_size", HIDDEN)?;
    let heads = fields.width("num_attention_heads", HEADS)?;
    let head_dim = match json.integer("head_dim")? {
        Some(given) => check::size(json.path(), "head_dim", given, check::WIDTHS)?,
        None => check::derived_head_dim(json.path(), "num_attention_heads", hidden, heads)?,
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
        position: position(json, head_dim, positions, notes)?,
        tied_embeddings: json.boolean("tie_word_embeddings")?.unwrap_or(false),
        trained_length: positions,
        sliding_windows: Vec::new(),
        architecture,
    };
    let windows = sliding_windows(&mut fields, &config, notes)?;
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    if !fields.absent.is_empty() {
        let said = format!("absent fields have the defaults of transformers: {}", fields.absent.join(", "));
        notes.push(Note::new(CONFIG_FILE, said));
    }
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
        None | Some("rope") => hf_rope::read(json, head_dim, positions, notes),
        Some("alibi") => Ok(PositionConfig::Alibi),
        Some("none") => Ok(PositionConfig::None),
        Some(other) => Err(json.malformed("position_embedding_type", "rope, alibi or none", other)),
    }
}

/// The window of each layer. Mistral has one everywhere unless it is `null`, or in the layers that `layer_types` names (then
/// transformers calls it Ministral); Qwen2 only with `use_sliding_window`, in the layers that `layer_types` names, or from
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
        "qwen2" => json.boolean("use_sliding_window")? == Some(true),
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
        "qwen2" => fields.integer("max_window_layers", MAX_WINDOW_LAYERS)?,
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
