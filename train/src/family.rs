//! The families whose decoders can be trained, and how each of them computes.

use lm_infinite_runtime::model::config::Mlp;
use serde::{Deserialize, Serialize};

use super::layout::Parts;

/// Position encoding of a model to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainPosition {
    /// Rotary, over whole heads or a quarter of each, with [`Shape::rope_base`](super::Shape::rope_base).
    Rope,
    /// Attention with linear biases.
    Alibi,
    /// No position encoding.
    None,
}

/// A family of decoders, as its configuration in transformers names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainFamily {
    /// RMSNorm, SwiGLU; the only one whose positions can be chosen.
    #[default]
    Llama,
    /// Attention and MLP side by side behind one LayerNorm, GELU by tanh, RoPE in neighbouring pairs over a quarter of each head.
    Gptj,
    /// Side by side behind two LayerNorms, GELU, RoPE over a quarter of each head, biases.
    GptNeox,
    /// LayerNorm without bias, GELU, ALiBi.
    Mpt,
    /// RMSNorm before and behind, GeGLU, soft caps of logits, a window in every second layer.
    Gemma2,
    /// A learned sink in every head, a window in every second layer, biases, one expert with a bounded SwiGLU.
    GptOss,
}

impl TrainFamily {
    /// Value of `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gptj => "gptj",
            Self::GptNeox => "gpt_neox",
            Self::Mpt => "mpt",
            Self::Gemma2 => "gemma2",
            Self::GptOss => "gpt_oss",
        }
    }

    /// How its positions enter attention, where that is not a choice.
    pub fn position(self) -> Option<TrainPosition> {
        match self {
            Self::Llama => None,
            Self::Mpt => Some(TrainPosition::Alibi),
            Self::Gptj | Self::GptNeox | Self::Gemma2 | Self::GptOss => Some(TrainPosition::Rope),
        }
    }

    /// Has every second layer a window?
    pub fn is_windowed(self) -> bool {
        matches!(self, Self::Gemma2 | Self::GptOss)
    }

    /// Can groups of query heads share keys and values?
    pub fn can_group_heads(self) -> bool {
        matches!(self, Self::Llama | Self::Gemma2 | Self::GptOss)
    }

    /// Can the base of the rotary frequencies be stated?
    pub fn can_state_rope_base(self) -> bool {
        // transformers' GPT-J has 10,000 in its code.
        !matches!(self, Self::Gptj | Self::Mpt)
    }

    /// Stand attention and MLP side by side?
    pub fn is_parallel(self) -> bool {
        matches!(self, Self::Gptj | Self::GptNeox)
    }

    /// Are its norms LayerNorms?
    pub fn has_layer_norms(self) -> bool {
        matches!(self, Self::Gptj | Self::GptNeox | Self::Mpt)
    }

    /// Is a quarter of each head turned, not all of it?
    pub fn turns_a_quarter(self) -> bool {
        matches!(self, Self::Gptj | Self::GptNeox)
    }

    /// Its MLP.
    pub fn mlp(self) -> Mlp {
        match self {
            Self::Llama => Mlp::SwiGlu,
            Self::Gptj => Mlp::GeluTanh,
            Self::GptNeox | Self::Mpt => Mlp::Gelu,
            Self::Gemma2 => Mlp::GeGluTanh,
            Self::GptOss => Mlp::SwiGluBounded,
        }
    }

    /// Which weights it has beside those that its configuration asks for.
    pub fn parts(self) -> Parts {
        let none = Parts::default();
        match self {
            Self::Llama | Self::Mpt => none,
            Self::Gptj => {
                Parts { norm_biases: true, mlp_biases: true, head_bias: true, mlp_norm: false, ..none }
            }
            Self::GptNeox => Parts { norm_biases: true, attention_biases: true, mlp_biases: true, ..none },
            Self::Gemma2 => Parts { post_norms: true, ..none },
            Self::GptOss => Parts { attention_biases: true, mlp_biases: true, ..none },
        }
    }
}
