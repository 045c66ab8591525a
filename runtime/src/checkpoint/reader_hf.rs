//! Configuration of Hugging Face folders (`config.json`) of the model types `llama`, `mistral` and `qwen2`.
//!
//! Read as transformers reads it, defaults included, with one addition for this project's own models:
//! `"position_embedding_type": "rope" | "alibi" | "none"`, `rope` where it is absent.

use std::path::Path;

use super::check::{self, FieldNames};
use super::reader_llama::{self, Bias, Biases};
use crate::error::{Error, Result};
use crate::formats::folder::CONFIG_FILE;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{LongRope, Mlp, ModelConfig, Norm, PositionConfig, RopeLayout};
use crate::model::weights::ModelWeights;
use crate::note::Note;
use crate::policy::{LongRopeFactors, PositionScaling};

/// RoPE's base where the file gives none, as transformers has it for all three model types.
const DEFAULT_THETA: f64 = 10_000.0;

/// A folder whose `config.json` has been read.
pub(super) struct Folder {
    json: Json,
    /// Its decoder.
    pub config: ModelConfig,
}

/// Reads `config.json` of the folder.
pub(super) fn open(folder: &Path) -> Result<Folder> {
    let json = Json::read(&folder.join(CONFIG_FILE))?;
    let config = config(&json)?;
    Ok(Folder { json, config })
}

impl Folder {
    /// Takes the decoder's weights out of the folder's tensors.
    pub(super) fn weights(&self, tensors: &TensorTable) -> Result<ModelWeights> {
        let flag = |key| {
            self.json.boolean(key).map(|set| if set == Some(true) { Bias::Required } else { Bias::None })
        };
        let attention = flag("attention_bias")?;
        let biases = match self.config.architecture.as_str() {
            "qwen2" => {
                Biases { attention_input: Bias::Required, attention_output: Bias::None, mlp: Bias::None }
            }
            _ => Biases { attention_input: attention, attention_output: attention, mlp: flag("mlp_bias")? },
        };
        reader_llama::weights(tensors, &self.config, &reader_llama::HUGGING_FACE_NAMES, biases)
    }

    /// What is to be said of the file's fields.
    pub(super) fn notes(&self) -> Result<Vec<Note>> {
        let used = self.json.boolean("use_sliding_window")?.unwrap_or(self.config.architecture == "mistral");
        let window = self.json.integer("sliding_window")?.filter(|_| used);
        let note = check::sliding_window_note("sliding_window", window, self.config.trained_length);
        Ok(note.into_iter().collect())
    }
}

fn config(json: &Json) -> Result<ModelConfig> {
    let architecture = json.require("model_type", json.text("model_type")?)?.to_owned();
    if !["llama", "mistral", "qwen2"].contains(&architecture.as_str()) {
        let detail = format!("{}: supported are llama, mistral and qwen2", json.path().display());
        return Err(Error::unsupported(format!("model type `{architecture}`"), detail));
    }
    if let Some(activation) = json.text("hidden_act")?.filter(|&activation| activation != "silu") {
        return Err(json.malformed("hidden_act", "silu", activation));
    }
    if json.object("quantization_config")?.is_some() {
        let detail = format!(
            "{}: weights must be F32, F16 or BF16; for quantized ones use GGUF",
            json.path().display()
        );
        return Err(Error::unsupported("quantized safetensors", detail));
    }
    let hidden = width(json, "hidden_size")?;
    let heads = width(json, "num_attention_heads")?;
    let head_dim = match json.integer("head_dim")? {
        Some(_) => width(json, "head_dim")?,
        None => check::derived_head_dim(json.path(), "num_attention_heads", hidden, heads)?,
    };
    let kv_heads = match json.integer("num_key_value_heads")? {
        Some(_) => width(json, "num_key_value_heads")?,
        // Older files of the model type `llama` leave it out; the other types have other defaults.
        None if architecture == "llama" => heads,
        None => width(json, "num_key_value_heads")?,
    };
    let trained_length = json.require_integer("max_position_embeddings")?;
    let epsilon = json.require("rms_norm_eps", json.number("rms_norm_eps")?)?;
    let config = ModelConfig {
        vocabulary: width(json, "vocab_size")?,
        hidden,
        layers: check::size(
            json.path(),
            "num_hidden_layers",
            json.require_integer("num_hidden_layers")?,
            check::LAYERS,
        )?,
        heads,
        kv_heads,
        head_dim,
        intermediate: width(json, "intermediate_size")?,
        norm: Norm::Rms { epsilon: epsilon as f32 },
        mlp: Mlp::SwiGlu,
        position: position(json, head_dim, trained_length)?,
        tied_embeddings: json.boolean("tie_word_embeddings")?.unwrap_or(false),
        trained_length: check::size(json.path(), "max_position_embeddings", trained_length, check::LENGTHS)?
            as u64,
        architecture,
    };
    let names = FieldNames {
        heads: "num_attention_heads",
        kv_heads: "num_key_value_heads",
        head_dim: "head_dim",
        epsilon: "rms_norm_eps",
        rope_theta: "rope_theta",
        rope_dim: "partial_rotary_factor",
    };
    check::check(json.path(), &config, &names)?;
    Ok(config)
}

fn position(json: &Json, head_dim: usize, max_length: u64) -> Result<PositionConfig> {
    match json.text("position_embedding_type")? {
        None | Some("rope") => {}
        Some("alibi") => return Ok(PositionConfig::Alibi),
        Some("none") => return Ok(PositionConfig::None),
        Some(other) => return Err(json.malformed("position_embedding_type", "rope, alibi or none", other)),
    }
    // transformers 5 gathers everything about RoPE in `rope_parameters`; older files have it at the top.
    let gathered = json.object("rope_parameters")?;
    let old = json.object("rope_scaling")?;
    let number = |key| match gathered.as_ref().map(|rope| rope.number(key)).transpose()?.flatten() {
        Some(value) => Ok(Some(value)),
        None => json.number(key),
    };
    let theta = number("rope_theta")?.unwrap_or(DEFAULT_THETA);
    let dim = match number("partial_rotary_factor")? {
        Some(part) if part > 0.0 && part <= 1.0 => (head_dim as f64 * part) as usize,
        Some(part) => {
            return Err(json.malformed("partial_rotary_factor", "a number above 0, at most 1", part));
        }
        None => head_dim,
    };
    let rope = gathered.or(old);
    let scaling = rope.as_ref().map_or(Ok(PositionScaling::None), |rope| scaling(rope, max_length))?;
    let long_rope = match (&rope, scaling) {
        (Some(rope), PositionScaling::LongRope { .. }) => Some(long_rope(rope, json, dim, max_length)?),
        _ => None,
    };
    Ok(PositionConfig::Rope { theta, dim, layout: RopeLayout::HalfSplit, scaling, long_rope })
}

fn scaling(rope: &Json, max_length: u64) -> Result<PositionScaling> {
    // `type` is the older name of `rope_type`.
    let kind = match rope.text("rope_type")? {
        Some(kind) => kind,
        None => rope.text("type")?.unwrap_or("default"),
    };
    let factor = || {
        let factor = rope.require("factor", rope.number("factor")?)?;
        if factor.is_finite() && factor >= 1.0 {
            Ok(factor)
        } else {
            Err(rope.malformed("factor", "at least 1", factor))
        }
    };
    match kind {
        "default" => Ok(PositionScaling::None),
        "linear" => Ok(PositionScaling::Linear { factor: factor()? }),
        "yarn" => {
            for (key, default) in [
                ("attention_factor", None),
                ("mscale", None),
                ("mscale_all_dim", None),
                ("truncate", Some(true)),
            ] {
                let set = rope.value(key);
                if let Some(value) = set.filter(|value| value.as_bool() != default || default.is_none()) {
                    let detail = format!("{}: {} = {value}", rope.path().display(), rope.name(key));
                    return Err(Error::unsupported("YaRN with its own attention factor or rounding", detail));
                }
            }
            Ok(PositionScaling::Yarn {
                factor: factor()?,
                original_length: rope
                    .integer("original_max_position_embeddings")?
                    .unwrap_or(max_length)
                    .max(1),
                beta_fast: rope.number("beta_fast")?.unwrap_or(32.0),
                beta_slow: rope.number("beta_slow")?.unwrap_or(1.0),
            })
        }
        "llama3" => Ok(PositionScaling::Llama3 {
            factor: factor()?,
            original_length: rope.require_integer("original_max_position_embeddings")?,
            low_frequency: rope.require("low_freq_factor", rope.number("low_freq_factor")?)?,
            high_frequency: rope.require("high_freq_factor", rope.number("high_freq_factor")?)?,
        }),
        "dynamic" => Ok(PositionScaling::DynamicNtk {
            factor: factor()?,
            original_length: rope.integer("original_max_position_embeddings")?.unwrap_or(max_length).max(1),
        }),
        "longrope" => Ok(PositionScaling::LongRope { factors: LongRopeFactors::ByLength }),
        other => {
            let detail = format!(
                "{}: supported are default, linear, dynamic, yarn, longrope and llama3",
                rope.path().display()
            );
            Err(Error::unsupported(format!("RoPE scaling `{other}`"), detail))
        }
    }
}

/// The factors of LongRoPE. The attention factor is `sqrt(1 + ln s / ln L)`, `s` the ratio of the largest length to the trained
/// one L, unless the file gives it; L may stand beside `rope_scaling`.
fn long_rope(rope: &Json, top: &Json, dim: usize, max_length: u64) -> Result<LongRope> {
    let factors = |key: &str| -> Result<Vec<f64>> {
        let expected = format!("{} positive numbers", dim / 2);
        let list = rope.require(key, rope.value(key).and_then(|list| list.as_array()))?;
        let numbers: Vec<f64> = list.iter().filter_map(|number| number.as_f64()).collect();
        let good = |number: &f64| number.is_finite() && *number > 0.0;
        if numbers.len() == list.len() && list.len() == dim / 2 && numbers.iter().all(good) {
            Ok(numbers)
        } else {
            Err(rope.malformed(
                key,
                &expected,
                format!("a list of {} with {} numbers", list.len(), numbers.len()),
            ))
        }
    };
    let inside = rope.integer("original_max_position_embeddings")?;
    let original_length = match inside {
        Some(length) => Some(length),
        None => top.integer("original_max_position_embeddings")?,
    };
    let original_length = original_length.unwrap_or(max_length).max(2);
    let ratio = match rope.number("factor")? {
        Some(factor) => factor,
        None => max_length as f64 / original_length as f64,
    };
    let magnitude = match rope.number("attention_factor")? {
        Some(factor) => factor,
        None if ratio > 1.0 => (1.0 + ratio.ln() / (original_length as f64).ln()).sqrt(),
        None => 1.0,
    };
    if !(magnitude.is_finite() && magnitude > 0.0) {
        return Err(rope.malformed("attention_factor", "a positive number", magnitude));
    }
    Ok(LongRope {
        short: factors("short_factor")?,
        long: factors("long_factor")?,
        original_length,
        magnitude,
    })
}

fn width(json: &Json, key: &str) -> Result<usize> {
    check::size(json.path(), key, json.require_integer(key)?, check::WIDTHS)
}
