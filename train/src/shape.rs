//! The shape of a model to train.

use lm_infinite_runtime::Error;
use lm_infinite_runtime::model::KvType;
use lm_infinite_runtime::model::config::{
    Experts, ModelConfig, Multipliers, Norm, PositionConfig, Residual, RopeLayout, Routing, SoftCaps,
};
use lm_infinite_runtime::policy::PositionScaling;
use serde::{Deserialize, Serialize};

use super::family::{TrainFamily, TrainPosition};
use super::layout::{Layout, Parts};
use crate::error::Result;

/// Bounds of Gemma 2's logits.
const SOFT_CAPS: SoftCaps = SoftCaps { attention: Some(50.0), logits: Some(30.0) };

/// Below the root of norms, of all families.
pub(super) const EPSILON: f32 = 1e-5;

/// Shape of a model to train: a decoder with tied embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Which decoder.
    #[serde(default)]
    pub family: TrainFamily,
    /// How positions enter attention.
    pub position: TrainPosition,
    /// Base of the rotary frequencies `base^(−2j/d)` (Su et al. 2021); without meaning for other encodings.
    #[serde(default = "rope_base")]
    pub rope_base: f64,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads; each `hidden / heads` wide.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Width of the MLP's inner layer.
    pub intermediate: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// L_pretrain: tokens of a training segment, its BOS included.
    pub length: usize,
    /// Keys that a query sees in the layers 0, 2, …, in families that have windows there.
    #[serde(default)]
    pub window: Option<u64>,
    /// Learned sinks, where heads have them, are left at a logit to which no attention goes: the same family without them.
    #[serde(default)]
    pub closed_sinks: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            family: TrainFamily::Llama,
            position: TrainPosition::Rope,
            rope_base: rope_base(),
            hidden: 128,
            layers: 6,
            heads: 4,
            kv_heads: 4,
            intermediate: 352,
            vocabulary: 1024,
            length: 256,
            window: None,
            closed_sinks: false,
        }
    }
}

/// That of the RoPE paper, and of checkpoints of trainings that knew no other.
fn rope_base() -> f64 {
    10_000.0
}

impl Shape {
    /// Which weights there are, beside those that [`Self::config`] tells of.
    pub fn parts(&self) -> Parts {
        Parts { open_sinks: !self.closed_sinks, ..self.family.parts() }
    }

    /// The decoder of this shape.
    pub fn config(&self) -> ModelConfig {
        let (shape, family) = (self, self.family);
        let head_dim = shape.hidden / shape.heads;
        let one_expert =
            Experts { count: 1, per_token: 1, intermediate: shape.intermediate, routing: Routing::OfChosen };
        let embedding = match family {
            TrainFamily::Gemma2 => (shape.hidden as f64).sqrt() as f32,
            _ => 1.0,
        };
        let windows = (0..shape.layers).map(|layer| shape.window.filter(|_| layer.is_multiple_of(2)));
        ModelConfig {
            architecture: family.model_type().into(),
            vocabulary: shape.vocabulary,
            hidden: shape.hidden,
            layers: shape.layers,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim,
            intermediate: shape.intermediate,
            norm: match family.has_layer_norms() {
                true => Norm::Layer { epsilon: EPSILON },
                false => Norm::Rms { epsilon: EPSILON },
            },
            mlp: family.mlp(),
            residual: if family.is_parallel() { Residual::Parallel } else { Residual::Sequential },
            clip_qkv: None,
            query_key_norm: false,
            layer_positions: Vec::new(),
            multipliers: Multipliers { embedding, ..Multipliers::default() },
            learned_sinks: family == TrainFamily::GptOss,
            experts: (family == TrainFamily::GptOss).then_some(one_expert),
            soft_caps: if family == TrainFamily::Gemma2 { SOFT_CAPS } else { SoftCaps::default() },
            position: match shape.position {
                TrainPosition::Rope => PositionConfig::Rope {
                    theta: shape.rope_base,
                    dim: if family.turns_a_quarter() { head_dim / 4 } else { head_dim },
                    layout: match family {
                        TrainFamily::Gptj => RopeLayout::Interleaved,
                        _ => RopeLayout::HalfSplit,
                    },
                    scaling: PositionScaling::None,
                    long_rope: None,
                },
                TrainPosition::Alibi => PositionConfig::ALIBI,
                TrainPosition::None => PositionConfig::None,
            },
            tied_embeddings: true,
            trained_length: shape.length as u64,
            kv: KvType::default(),
            sliding_windows: if shape.window.is_some() { windows.collect() } else { Vec::new() },
        }
    }

    /// The arrays that are trained.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.config(), self.parts())
    }

    /// Refuses what cannot be trained.
    ///
    /// # Errors
    /// Names the option, what it must be and what it is.
    pub fn validate(&self) -> Result<()> {
        let (shape, family) = (self, self.family);
        let name = family.model_type();
        require((1..=1 << 14).contains(&shape.hidden), "--hidden", "1 to 16384", &shape.hidden)?;
        require((1..=512).contains(&shape.layers), "--layers", "1 to 512", &shape.layers)?;
        require(
            shape.heads > 0 && shape.hidden.is_multiple_of(shape.heads),
            "--heads",
            "a divisor of --hidden",
            &shape.heads,
        )?;
        require(
            shape.kv_heads > 0 && shape.heads.is_multiple_of(shape.kv_heads),
            "--kv-heads",
            "a divisor of --heads",
            &shape.kv_heads,
        )?;
        require(
            family.can_group_heads() || shape.kv_heads == shape.heads,
            "--kv-heads",
            &format!("as many as --heads in a `{name}`, whose heads share nothing"),
            &shape.kv_heads,
        )?;
        let position = family.position().unwrap_or(shape.position);
        require(
            position == shape.position,
            "--position",
            &format!("none with --family, since a `{name}` has its own"),
            &format!("{:?}", shape.position).to_lowercase(),
        )?;
        let rope = shape.position == TrainPosition::Rope;
        let width = shape.hidden / shape.heads;
        require(
            !rope || width.is_multiple_of(2),
            "--heads",
            "heads of an even width, which RoPE turns in pairs",
            &shape.heads,
        )?;
        require(
            !family.turns_a_quarter() || width.is_multiple_of(8),
            "--heads",
            &format!("heads of a width that 8 divides, of which a `{name}` turns a quarter in pairs"),
            &shape.heads,
        )?;
        let base = shape.rope_base;
        require(base > 1.0 && base.is_finite(), "--rope-base", "a number above 1", &base)?;
        require(
            rope || base == rope_base(),
            "--rope-base",
            "none where positions are not rotated (--position rope)",
            &base,
        )?;
        require(
            family.can_state_rope_base() || base == rope_base(),
            "--rope-base",
            &format!("none, since a `{name}` has 10000"),
            &base,
        )?;
        require(
            (1..=1 << 16).contains(&shape.intermediate),
            "--intermediate",
            "1 to 65536",
            &shape.intermediate,
        )?;
        require(
            family != TrainFamily::Mpt || shape.intermediate == 4 * shape.hidden,
            "--intermediate",
            "4 times --hidden, which an `mpt` always has",
            &shape.intermediate,
        )?;
        require(
            (260..=1 << 16).contains(&shape.vocabulary),
            "--vocabulary",
            "260 to 65536",
            &shape.vocabulary,
        )?;
        require((2..=1 << 16).contains(&shape.length), "--length", "2 to 65536", &shape.length)?;
        match (family.is_windowed(), shape.window) {
            (true, Some(window)) => {
                require((1..=shape.length as u64).contains(&window), "--window", "1 to --length", &window)?;
            }
            (true, None) => require(false, "--window", "a window", &"none")?,
            (false, None) => {}
            (false, Some(window)) => {
                require(false, "--window", &format!("none, since a `{name}` has no windows"), &window)?;
            }
        }
        require(
            !shape.closed_sinks || family == TrainFamily::GptOss,
            "--closed-sinks",
            &format!("it with --family gpt-oss, since a `{name}` has no sinks"),
            &"it",
        )
    }
}

/// Refuses `got` where it does not fit.
pub(super) fn require(fits: bool, option: &str, expected: &str, got: &dyn std::fmt::Display) -> Result<()> {
    match fits {
        true => Ok(()),
        false => Err(Error::input(option, format!("expected {expected}, got {got}")).into()),
    }
}
