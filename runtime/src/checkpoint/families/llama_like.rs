//! What families share whose configuration has Llama's fields.

use super::fields::Fields;
use crate::checkpoint::check::{self, FieldNames};
use crate::checkpoint::reader_llama::Biases;
use crate::checkpoint::taken::Bias;
use crate::error::Result;
use crate::formats::json::Json;
use crate::model::KvType;
use crate::model::config::{Mlp, ModelConfig, Multipliers, Norm, PositionConfig, Residual, SoftCaps};

/// What transformers takes where a file has no such field.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    pub vocabulary: u64,
    pub hidden: u64,
    pub intermediate: u64,
    pub layers: u64,
    pub heads: u64,
    /// `None` for as many as queries.
    pub kv_heads: Option<u64>,
    /// `None` where it is `hidden / heads`.
    pub head_dim: Option<u64>,
    pub positions: u64,
    pub epsilon: f64,
    /// LayerNorm with `layer_norm_eps` in place of RMSNorm with `rms_norm_eps`.
    pub layer_norm: bool,
    pub tied: bool,
}

impl Defaults {
    /// Those of `llama`.
    pub(super) const LLAMA: Self = Self {
        vocabulary: 32_000,
        hidden: 4096,
        intermediate: 11_008,
        layers: 32,
        heads: 32,
        kv_heads: None,
        head_dim: None,
        positions: 2048,
        epsilon: 1e-6,
        layer_norm: false,
        tied: false,
    };
}

/// The sizes of a decoder, with SwiGLU and no position encoding yet.
pub(super) fn config(
    fields: &mut Fields<'_>,
    architecture: &str,
    defaults: &Defaults,
) -> Result<ModelConfig> {
    let json = fields.json;
    let hidden = fields.width("hidden_size", defaults.hidden)?;
    let heads = fields.width("num_attention_heads", defaults.heads)?;
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
    let layers = fields.integer("num_hidden_layers", defaults.layers)?;
    let positions = fields.integer("max_position_embeddings", defaults.positions)?;
    Ok(ModelConfig {
        architecture: architecture.to_owned(),
        vocabulary: fields.width("vocab_size", defaults.vocabulary)?,
        hidden,
        layers: check::size(json.path(), "num_hidden_layers", layers, check::LAYERS)?,
        heads,
        kv_heads,
        head_dim,
        intermediate: fields.width("intermediate_size", defaults.intermediate)?,
        norm: match defaults.layer_norm {
            true => Norm::Layer { epsilon: fields.number("layer_norm_eps", defaults.epsilon)? as f32 },
            false => Norm::Rms { epsilon: fields.number("rms_norm_eps", defaults.epsilon)? as f32 },
        },
        mlp: Mlp::SwiGlu,
        residual: Residual::Sequential,
        clip_qkv: None,
        query_key_norm: false,
        position: PositionConfig::None,
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: false,
        experts: None,
        soft_caps: SoftCaps::default(),
        tied_embeddings: json.boolean("tie_word_embeddings")?.unwrap_or(defaults.tied),
        trained_length: check::size(json.path(), "max_position_embeddings", positions, check::LENGTHS)?
            as u64,
        sliding_windows: Vec::new(),
        kv: KvType::F32,
    })
}

/// Refuses an activation other than SiLU.
pub(super) fn require_silu(json: &Json) -> Result<()> {
    // `swish` is another name of it.
    match json.text("hidden_act")?.filter(|name| !["silu", "swish"].contains(name)) {
        Some(activation) => Err(json.malformed("hidden_act", "silu or swish", activation)),
        None => Ok(()),
    }
}

/// Refuses numbers that do not fit together.
pub(super) fn check(json: &Json, config: &ModelConfig) -> Result<()> {
    let names = FieldNames {
        heads: "num_attention_heads",
        kv_heads: "num_key_value_heads",
        head_dim: "head_dim",
        epsilon: match config.norm {
            Norm::Layer { .. } => "layer_norm_eps",
            Norm::Rms { .. } => "rms_norm_eps",
        },
        rope_theta: Some("rope_theta"),
        rope_dim: Some("head_dim"),
    };
    check::check(json.path(), config, &names)
}

/// Biases as `attention_bias`, and `mlp_bias` where the family has it, say.
pub(super) fn biases(json: &Json, mlp: bool) -> Result<Biases> {
    let flag = |key| json.boolean(key).map(|set| if set == Some(true) { Bias::Required } else { Bias::None });
    let attention = flag("attention_bias")?;
    let mlp = if mlp { flag("mlp_bias")? } else { Bias::None };
    Ok(Biases { attention_input: attention, attention_output: attention, mlp })
}

/// `sliding_window`, a number of tokens.
pub(super) fn sliding_window(json: &Json) -> Result<Option<u64>> {
    match json.integer("sliding_window")? {
        Some(window) if !check::LENGTHS.contains(&window) => {
            Err(json.malformed("sliding_window", "a number of tokens from 1 on, or null", window))
        }
        stated => Ok(stated),
    }
}

/// Which layers have a window, as `layer_types` says where it is there.
pub(super) fn layer_types(json: &Json, layers: usize) -> Result<Option<Vec<bool>>> {
    let Some(types) = json.value("layer_types") else { return Ok(None) };
    let of = |kind: &serde_json::Value| match kind.as_str() {
        Some("full_attention") => Some(false),
        Some("sliding_attention") => Some(true),
        _ => None,
    };
    let expected = format!("{layers} times `full_attention` or `sliding_attention`");
    let list = types.as_array().and_then(|list| list.iter().map(of).collect::<Option<Vec<bool>>>());
    list.filter(|list| list.len() == layers).map(Some).ok_or_else(|| {
        let got: String = types.to_string().chars().take(80).collect();
        json.malformed("layer_types", expected, got)
    })
}
