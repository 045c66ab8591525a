//! What a decoder is, as data. Readers of model families fill it in; nothing is assumed from a model's name.

use serde::{Deserialize, Serialize};

use super::kv_type::KvType;
use crate::policy::{AttentionPolicy, PositionScaling};

/// Shape and structure of a decoder-only transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Family as the file names it, e.g. `llama`, `qwen2`.
    pub architecture: String,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads per layer.
    pub heads: usize,
    /// Key/value heads per layer; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; `heads · head_dim` may differ from `hidden`.
    pub head_dim: usize,
    /// Width of the MLP's inner layer.
    pub intermediate: usize,
    /// Normalization before attention and MLP.
    pub norm: Norm,
    /// Activation and shape of the MLP.
    pub mlp: Mlp,
    /// How attention and MLP are added to the residual stream.
    #[serde(default, skip_serializing_if = "Residual::is_sequential")]
    pub residual: Residual,
    /// Queries, keys and values are clamped to ±this before positions enter (MPT's `clip_qkv`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_qkv: Option<f32>,
    /// Queries and keys are normalized before positions enter, as [`Self::norm`] does. RMS: every head by itself (Qwen3) or all
    /// heads of a token together (OLMo 2), over as many values as [`LayerWeights`](super::weights::LayerWeights) has weights.
    /// LayerNorm: every head by itself, with weights of its own or those of all (Cohere, StableLM).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub query_key_norm: bool,
    /// How positions enter attention.
    pub position: PositionConfig,
    /// Layers whose positions enter otherwise, by layer, and how; empty where none is. The scaling of a policy changes
    /// [`Self::position`] alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layer_positions: Vec<Option<PositionConfig>>,
    /// What is multiplied on the way through the model.
    #[serde(default, skip_serializing_if = "Multipliers::are_one")]
    pub multipliers: Multipliers,
    /// Every head has a learned logit that stands in the softmax beside those of the keys and has no value: attention may go
    /// nowhere (gpt-oss, arXiv 2508.10925).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learned_sinks: bool,
    /// A mixture of experts, in the layers that have one in place of an MLP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    /// Bounds of logits.
    #[serde(default, skip_serializing_if = "SoftCaps::are_none")]
    pub soft_caps: SoftCaps,
    /// The output head is the embedding.
    pub tied_embeddings: bool,
    /// L_pretrain: the longest distance between query and key seen in training, in tokens: the longest segment, or the longest of
    /// [`Self::sliding_windows`] where every layer has one that is shorter.
    pub trained_length: u64,
    /// Windows of the model's own attention, by layer: a query attends to keys at distances `0 ≤ d < W`, or to all where `None`.
    /// Empty where no layer has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sliding_windows: Vec<Option<u64>>,
    /// How keys and values are held.
    #[serde(default, skip_serializing_if = "KvType::is_f32")]
    pub kv: KvType,
}

/// Numbers that the model multiplies by (Granite, Gemma, MiniCPM); 1 where it does not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Multipliers {
    /// The rows of the embedding.
    pub embedding: f32,
    /// Queries, beside the usual `1/sqrt(head_dim)` of their logits.
    pub queries: f32,
    /// What attention and MLP add to the residual stream.
    pub residual: f32,
    /// The logits of the next token, before they are capped.
    pub logits: f32,
}

impl Default for Multipliers {
    fn default() -> Self {
        Self { embedding: 1.0, queries: 1.0, residual: 1.0, logits: 1.0 }
    }
}

impl Multipliers {
    fn are_one(&self) -> bool {
        *self == Self::default()
    }
}

/// A mixture of experts (Shazeer et al. 2017; Jiang et al. 2024, arXiv 2401.04088): MLPs of which each token goes through some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experts {
    /// Experts of a layer.
    pub count: usize,
    /// Experts that a token goes through.
    pub per_token: usize,
    /// Width of an expert's inner layer.
    pub intermediate: usize,
    /// What its experts' outputs are multiplied by.
    pub routing: Routing,
}

/// By what the outputs of a token's experts, those with the largest logits of the router, are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    /// The softmax over the chosen experts (Mixtral, gpt-oss).
    OfChosen,
    /// The softmax over all experts; the chosen ones' do not sum to 1 (Qwen3-MoE without `norm_topk_prob`).
    OfAll,
}

/// Bounds: a logit `w` becomes `cap · tanh(w / cap)` (Gemma 2, arXiv 2408.00118, section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SoftCaps {
    /// Of attention's logits, after positions and before the mask.
    pub attention: Option<f32>,
    /// Of the logits of the next token.
    pub logits: Option<f32>,
}

impl SoftCaps {
    fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Normalization layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Norm {
    /// `x / sqrt(mean(x²) + epsilon) · weight`.
    Rms {
        /// Added to the mean square.
        epsilon: f32,
    },
    /// `(x − mean(x)) / sqrt(var(x) + epsilon) · weight + bias` (Ba et al. 2016).
    Layer {
        /// Added to the variance.
        epsilon: f32,
    },
}

impl Norm {
    /// What is added below the root.
    pub fn epsilon(self) -> f32 {
        match self {
            Self::Rms { epsilon } | Self::Layer { epsilon } => epsilon,
        }
    }
}

/// How a block adds to the residual stream `x`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residual {
    /// `x += attention(norm(x))`, then `x += mlp(norm'(x))`.
    #[default]
    Sequential,
    /// `x += attention(norm(x)) + mlp(norm'(x))` (GPT-J, GPT-NeoX, Falcon, Phi-2, Cohere). Without a norm of the MLP's own, it reads what
    /// attention reads.
    Parallel,
}

impl Residual {
    fn is_sequential(&self) -> bool {
        *self == Self::Sequential
    }
}

/// Feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mlp {
    /// `down(silu(gate(x)) · up(x))`.
    SwiGlu,
    /// `down((u + 1) · g · sigmoid(1.702 g))`, with `g = min(gate(x), 7)` and `u = up(x)` within ±7 (gpt-oss).
    SwiGluBounded,
    /// `down(gelu(gate(x)) · up(x))` with GELU's approximation by tanh (Shazeer 2020; Gemma).
    GeGluTanh,
    /// `down(gelu(up(x)))` with the normal distribution function itself (Hendrycks and Gimpel 2016).
    Gelu,
    /// The same with its approximation by tanh.
    GeluTanh,
}

impl Mlp {
    /// Does it have a gate?
    pub fn is_gated(self) -> bool {
        matches!(self, Self::SwiGlu | Self::SwiGluBounded | Self::GeGluTanh)
    }
}

/// Position encoding as the checkpoint defines it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum PositionConfig {
    /// Rotary (Su et al. 2021).
    Rope {
        /// Base of the frequencies.
        theta: f64,
        /// Rotated dimensions of each head (even, ≤ `head_dim`); the rest passes through.
        dim: usize,
        /// Which dimensions form a pair in the checkpoint's query and key rows.
        layout: RopeLayout,
        /// Scaling that the checkpoint itself was trained with.
        scaling: PositionScaling,
        /// The factors of LongRoPE, where the checkpoint has them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        long_rope: Option<LongRope>,
    },
    /// Attention with linear biases (Press et al. 2022).
    Alibi {
        /// The slopes end at 2^−this; 8 in the paper.
        #[serde(default = "slopes_end")]
        max: f64,
        /// What the slopes are multiplied by; 1 in the paper, 1/sqrt(head_dim) where the biases are divided with the logits (Falcon).
        #[serde(default = "one", skip_serializing_if = "is_one")]
        factor: f64,
    },
    /// An embedding of each position is added to that of the token (Vaswani et al. 2017; GPT-2): attention is given no distances, and
    /// there is no token behind the last position.
    Learned {
        /// Number of positions.
        count: u64,
    },
    /// No position encoding.
    None,
}

fn slopes_end() -> f64 {
    8.0
}

fn one() -> f64 {
    1.0
}

fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

impl PositionConfig {
    /// ALiBi with the slopes of the paper.
    pub const ALIBI: Self = Self::Alibi { max: 8.0, factor: 1.0 };

    /// The same with RoPE in neighbouring pairs.
    #[must_use]
    pub(crate) fn interleaved(mut self) -> Self {
        if let Self::Rope { layout, .. } = &mut self {
            *layout = RopeLayout::Interleaved;
        }
        self
    }
}

/// What a checkpoint says about LongRoPE (Ding et al. 2024, arXiv 2402.13753).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LongRope {
    /// Divisors of the frequencies within the trained length. [dim / 2]
    pub short: Vec<f64>,
    /// Divisors beyond it. [dim / 2]
    pub long: Vec<f64>,
    /// That length, in tokens.
    pub original_length: u64,
    /// Rotated dimensions of query and key are each multiplied by this.
    pub magnitude: f64,
}

/// Which dimensions RoPE rotates together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeLayout {
    /// `(j, j + dim/2)`: Hugging Face's Llama and GPT-NeoX.
    HalfSplit,
    /// `(2j, 2j + 1)`: GGUF's `llama`, GPT-J.
    Interleaved,
}

impl ModelConfig {
    /// Query heads that share one key/value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// How positions enter attention in layer `layer`.
    pub fn position_at(&self, layer: usize) -> &PositionConfig {
        self.layer_positions.get(layer).and_then(Option::as_ref).unwrap_or(&self.position)
    }

    /// The most tokens that a text may have, where that is bounded: those of learned positions.
    pub fn most_tokens(&self) -> Option<u64> {
        match self.position {
            PositionConfig::Learned { count } => Some(count),
            PositionConfig::Rope { .. } | PositionConfig::Alibi { .. } | PositionConfig::None => None,
        }
    }

    /// Window of layer `layer`'s own attention.
    pub fn own_window(&self, layer: usize) -> Option<u64> {
        self.sliding_windows.get(layer).copied().flatten()
    }

    /// What `policy` does in layer `layer`, from 0, beside the model's own attention ([`AttentionPolicy::at_layer`],
    /// [`AttentionPolicy::within`]).
    pub fn policy_at(&self, policy: &AttentionPolicy, layer: usize) -> AttentionPolicy {
        policy.at_layer(layer).within(self.own_window(layer))
    }

    /// Weights in the matrices of all blocks: what a token costs in multiplications, attention and vocabulary aside.
    pub fn block_parameters(&self) -> u64 {
        let attention = 2 * self.hidden * (self.heads + self.kv_heads) * self.head_dim;
        let matrices = if self.mlp.is_gated() { 3 } else { 2 };
        // Of experts those that a token goes through.
        let inner = self.experts.map_or(self.intermediate, |of| of.per_token * of.intermediate);
        (self.layers * (attention + matrices * self.hidden * inner)) as u64
    }
}
