//! Gemma, Gemma 2 (arXiv 2408.00118) and Gemma 3 (arXiv 2503.19786), of which the decoder of texts is read: norms by `1 + weight`, also
//! behind attention and MLP, a multiplied embedding, GeGLU, soft caps of logits (2), two kinds of layers with windows and RoPE of
//! their own (2, 3).

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::reader_llama::{self, HUGGING_FACE_NAMES, Names};
use crate::checkpoint::{check, hf_rope, own_attention};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{Mlp, ModelConfig};
use crate::model::weights::{ModelWeights, NormWeights};
use crate::note::Note;

/// How they are read.
pub(super) const FAMILY: Family = Family {
    model_types: &["gemma", "gemma2", "gemma3_text", "gemma3"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| names(tensors, true).embedding_and_head(),
    weights,
};

/// Tensors of images in a Gemma 3 that reads them, too.
const OF_IMAGES: &[&str] =
    &["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."];

/// RoPE of the layers that have a window, in Gemma 3.
const LOCAL_ROPE: hf_rope::Names = hf_rope::Names { theta: "rope_local_base_freq", ..hf_rope::NAMES };

/// RoPE of those that have none.
const GLOBAL_ROPE: hf_rope::Names = hf_rope::Names { default_theta: 1_000_000.0, ..hf_rope::NAMES };

fn names(tensors: &TensorTable, post_norms: bool) -> Names {
    let names = Names { other_parts: OF_IMAGES, ..HUGGING_FACE_NAMES };
    let names = names.stored_in(tensors, &["language_model.model.", "model.language_model."]);
    if !post_norms {
        return names;
    }
    Names {
        attention_post_norm: Some("post_attention_layernorm"),
        mlp_norm: Some("pre_feedforward_layernorm"),
        mlp_post_norm: Some("post_feedforward_layernorm"),
        ..names
    }
}

fn defaults(architecture: &str) -> Defaults {
    let gemma = Defaults {
        vocabulary: 256_000,
        hidden: 3072,
        intermediate: 24_576,
        layers: 28,
        heads: 16,
        kv_heads: Some(16),
        head_dim: Some(256),
        positions: 8192,
        epsilon: 1e-6,
        layer_norm: false,
        tied: true,
    };
    let gemma2 =
        Defaults { hidden: 2304, intermediate: 9216, layers: 26, heads: 8, kv_heads: Some(4), ..gemma };
    match architecture {
        "gemma" => gemma,
        "gemma2" => gemma2,
        _ => Defaults { vocabulary: 262_208, positions: 131_072, ..gemma2 },
    }
}

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let model_type = json.require("model_type", json.text("model_type")?)?;
    if model_type != "gemma3" {
        return of_texts(fields, model_type, notes);
    }
    let inner = json.require("text_config", json.object("text_config")?)?;
    let mut inner = Fields { json: &inner, absent: Vec::new() };
    let mut config = of_texts(&mut inner, "gemma3_text", notes)?;
    fields.absent.extend(inner.absent);
    // transformers asks the outer configuration.
    config.tied_embeddings = fields.flag("tie_word_embeddings", true)?;
    if let Some(cap) = config.soft_caps.logits.take() {
        let said = format!("{cap} is passed over, as transformers does where the model reads images, too");
        notes.push(Note::warning("text_config.final_logit_softcapping", said));
    }
    notes.push(Note::new(
        "vision_config",
        "the model reads images, too; the decoder of its texts is read alone",
    ));
    Ok(config)
}

fn of_texts(fields: &mut Fields<'_>, architecture: &str, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    require_gelu(json, architecture)?;
    fields.refuse_unless("use_bidirectional_attention", false, false)?;
    let mut config = llama_like::config(fields, architecture, &defaults(architecture))?;
    config.mlp = Mlp::GeGluTanh;
    config.multipliers.embedding = (config.hidden as f64).sqrt() as f32;
    let (head_dim, positions) = (config.head_dim, config.trained_length);
    if architecture == "gemma" {
        config.position = hf_rope::read(json, hf_rope::NAMES, head_dim, positions, notes)?;
        llama_like::check(json, &config)?;
        return Ok(config);
    }
    let is_third = architecture == "gemma3_text";
    config.query_key_norm = is_third;
    let scalar = fields.number("query_pre_attn_scalar", 256.0)?;
    const SCALAR: &str = "query_pre_attn_scalar";
    let scalar = check::positive(json.path(), json.name(SCALAR), scalar)?;
    config.multipliers.queries = (head_dim as f64 / f64::from(scalar)).sqrt() as f32;
    let mut cap = |key: &str, default: f64| match (json.states(key), is_third) {
        // `null` stands for none; so does an absent field of Gemma 3.
        (true, _) | (false, true) => positive(json, key, json.number(key)?),
        (false, false) => fields.number(key, default).map(Some),
    };
    config.soft_caps.attention = cap("attn_logit_softcapping", 50.0)?.map(|cap| cap as f32);
    config.soft_caps.logits = cap("final_logit_softcapping", 30.0)?.map(|cap| cap as f32);
    // Every second layer has no window, or every sixth.
    let period = if is_third { json.integer("sliding_window_pattern")?.unwrap_or(6) } else { 2 };
    let windowed = match llama_like::layer_types(json, config.layers)? {
        Some(types) => types,
        None if period == 0 => {
            return Err(json.malformed("sliding_window_pattern", "a positive number of layers", period));
        }
        None => (1..=config.layers as u64).map(|layer| !layer.is_multiple_of(period)).collect(),
    };
    let window = match json.states("sliding_window") {
        true => llama_like::sliding_window(json)?,
        false => Some(fields.integer("sliding_window", 4096)?),
    };
    if is_third {
        let mut of =
            |kind: (&str, bool), names| hf_rope::read_of_kind(json, kind, names, head_dim, positions, notes);
        config.position = of(("full_attention", true), GLOBAL_ROPE)?;
        let local = of(("sliding_attention", false), LOCAL_ROPE)?;
        config.layer_positions = windowed.iter().map(|own| own.then(|| local.clone())).collect();
    } else {
        config.position = hf_rope::read(json, hf_rope::NAMES, head_dim, positions, notes)?;
    }
    let windows = windowed.into_iter().map(|windowed| window.filter(|_| windowed)).collect();
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    llama_like::check(json, &config)?;
    Ok(config)
}

/// Refuses an activation other than GELU by tanh. Old files of the first Gemma say `gelu` and mean it, too.
fn require_gelu(json: &Json, architecture: &str) -> Result<()> {
    let first = architecture == "gemma";
    for key in ["hidden_activation", "hidden_act"] {
        let known =
            |name: &str| name == "gelu_pytorch_tanh" || first && key == "hidden_act" && name == "gelu";
        // The later ones have no `hidden_act`.
        let read = first || key == "hidden_activation";
        if let Some(other) = json.text(key)?.filter(|name| read && !known(name)) {
            return Err(json.malformed(key, "gelu_pytorch_tanh", other));
        }
    }
    Ok(())
}

fn positive(json: &Json, key: &str, value: Option<f64>) -> Result<Option<f64>> {
    match value {
        Some(value) => check::positive(json.path(), json.name(key), value).map(|_| Some(value)),
        None => Ok(None),
    }
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let inner = json.object("text_config")?;
    let biases = llama_like::biases(inner.as_ref().unwrap_or(json), false)?;
    let names = names(tensors, config.architecture != "gemma");
    let mut weights = reader_llama::weights(tensors, config, names, biases, &[])?;
    add_one(&mut weights);
    Ok(weights)
}

/// Gemma stores what its norms multiply by less 1.
fn add_one(weights: &mut ModelWeights) {
    let add = |weight: &mut Vec<f32>| weight.iter_mut().for_each(|value| *value += 1.0);
    for layer in &mut weights.layers {
        let norms = [
            &mut layer.attention_norm,
            &mut layer.attention_post_norm,
            &mut layer.mlp_norm,
            &mut layer.mlp_post_norm,
        ];
        norms.into_iter().flatten().for_each(|NormWeights { weight, .. }| add(weight));
        layer.query_key_norm.iter_mut().flatten().for_each(add);
    }
    add(&mut weights.final_norm.weight);
}
