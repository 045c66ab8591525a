//! Architectures of GGUF files: what llama.cpp computes for each that the metadata do not say.

use crate::model::config::{Mlp, RopeLayout};

/// What an architecture is.
pub(super) struct Architecture {
    /// `general.architecture`.
    pub name: &'static str,
    /// How positions enter attention.
    pub position: Position,
    /// LayerNorm in place of RMSNorm.
    pub layer_norm: bool,
    /// The MLP.
    pub mlp: Mlp,
    /// Attention and MLP side by side.
    pub parallel: Parallel,
    /// Queries, keys and values are one matrix, `attn_qkv`, in blocks.
    pub fused: bool,
    /// Query, key and value have biases, whatever is stored.
    pub biased: bool,
    /// Queries and keys are normalized.
    pub query_key_norm: bool,
    /// The embedding is normalized.
    pub embedding_norm: bool,
    /// Where the norms of a block stand, if it is not fused.
    pub norms: Norms,
    /// The embedding is multiplied by the root of its width.
    pub scaled_embedding: bool,
    /// The key of the width of an expert, of architectures that may have experts.
    pub experts: Option<&'static str>,
    /// Heads have learned sinks.
    pub learned_sinks: bool,
    /// YaRN's bounds are not rounded to whole dimensions, whatever llama.cpp does.
    pub exact_yarn: bool,
    /// Soft caps of the logits of attention and of the output, where the metadata do not give them; 0 for none.
    pub soft_caps: Option<[f64; 2]>,
    /// `embedding_scale`, `residual_scale`, `logit_scale` and `attention.scale` are applied.
    pub multipliers: bool,
    /// Layers of which every one but the last of this many has the window; `None` where every layer has it.
    pub window_period: Option<usize>,
    /// The window where the metadata do not give it.
    pub default_window: Option<u64>,
    /// RoPE's base in the layers with a window, where it is one of their own and the metadata do not give it.
    pub local_theta: Option<f64>,
    /// The last of this many layers has no position encoding.
    pub no_rope_period: Option<usize>,
    /// With this many layers, logits of attention are divided by `sqrt(hidden / heads)` and not `sqrt(head_dim)`.
    pub scaled_by_hidden: Option<usize>,
}

/// Norms of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Norms {
    /// Before attention and MLP.
    Before,
    /// Before and behind both.
    Around,
    /// Before both; that of the MLP is named as if it stood behind attention.
    NamedBehind,
    /// Behind both, and those of queries and keys over all heads together.
    Behind,
}

/// Position encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// RoPE, with pairs that lie so in the rows of query and key.
    Rope(RopeLayout),
    /// ALiBi, with slopes to 2^−8.
    Alibi,
    /// ALiBi, with slopes that `attention.max_alibi_bias` ends.
    AlibiOfMetadata,
}

/// Are attention and MLP side by side?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parallel {
    /// One behind the other.
    Never,
    /// Always.
    Always,
    /// As `use_parallel_residual` says.
    OfMetadata,
}

const LLAMA: Architecture = Architecture {
    name: "llama",
    // Converters reorder the rows of query and key for this architecture, and for no other.
    position: Position::Rope(RopeLayout::Interleaved),
    layer_norm: false,
    mlp: Mlp::SwiGlu,
    parallel: Parallel::Never,
    fused: false,
    biased: false,
    query_key_norm: false,
    embedding_norm: false,
    norms: Norms::Before,
    scaled_embedding: false,
    experts: None,
    learned_sinks: false,
    exact_yarn: false,
    soft_caps: None,
    multipliers: false,
    window_period: None,
    default_window: None,
    local_theta: None,
    no_rope_period: None,
    scaled_by_hidden: None,
};

const GEMMA: Architecture = Architecture {
    name: "gemma",
    position: HALF_SPLIT,
    mlp: Mlp::GeGluTanh,
    scaled_embedding: true,
    ..LLAMA
};

const HALF_SPLIT: Position = Position::Rope(RopeLayout::HalfSplit);

const ARCHITECTURES: [Architecture; 15] = [
    // Mixtral has this name, too.
    Architecture { experts: Some("feed_forward_length"), ..LLAMA },
    Architecture { name: "qwen2", position: HALF_SPLIT, biased: true, ..LLAMA },
    Architecture { name: "qwen3", position: HALF_SPLIT, query_key_norm: true, ..LLAMA },
    Architecture {
        name: "gptneox",
        position: HALF_SPLIT,
        layer_norm: true,
        mlp: Mlp::Gelu,
        parallel: Parallel::OfMetadata,
        fused: true,
        ..LLAMA
    },
    Architecture {
        name: "falcon",
        position: HALF_SPLIT,
        layer_norm: true,
        mlp: Mlp::Gelu,
        parallel: Parallel::Always,
        fused: true,
        ..LLAMA
    },
    Architecture {
        name: "mpt",
        position: Position::AlibiOfMetadata,
        layer_norm: true,
        mlp: Mlp::Gelu,
        fused: true,
        ..LLAMA
    },
    Architecture {
        name: "bloom",
        position: Position::Alibi,
        layer_norm: true,
        mlp: Mlp::GeluTanh,
        fused: true,
        embedding_norm: true,
        ..LLAMA
    },
    GEMMA,
    Architecture {
        name: "gemma2",
        norms: Norms::Around,
        soft_caps: Some([50.0, 30.0]),
        window_period: Some(2),
        default_window: Some(4096),
        // Gemma 2 27B.
        scaled_by_hidden: Some(46),
        ..GEMMA
    },
    Architecture {
        name: "gemma3",
        norms: Norms::Around,
        query_key_norm: true,
        soft_caps: Some([0.0, 0.0]),
        window_period: Some(6),
        local_theta: Some(10_000.0),
        // Gemma 3 27B.
        scaled_by_hidden: Some(62),
        ..GEMMA
    },
    Architecture {
        name: "gpt-oss",
        position: HALF_SPLIT,
        mlp: Mlp::SwiGluBounded,
        norms: Norms::NamedBehind,
        biased: true,
        experts: Some("expert_feed_forward_length"),
        learned_sinks: true,
        exact_yarn: true,
        window_period: Some(2),
        ..LLAMA
    },
    Architecture {
        name: "qwen3moe",
        position: HALF_SPLIT,
        query_key_norm: true,
        experts: Some("expert_feed_forward_length"),
        ..LLAMA
    },
    Architecture { name: "granite", multipliers: true, ..LLAMA },
    Architecture { name: "olmo2", position: HALF_SPLIT, norms: Norms::Behind, query_key_norm: true, ..LLAMA },
    Architecture { name: "smollm3", no_rope_period: Some(4), ..LLAMA },
];

/// The architecture of this name.
pub(super) fn of(name: &str) -> Option<&'static Architecture> {
    const ALL: &[Architecture] = &ARCHITECTURES;
    ALL.iter().find(|architecture| architecture.name == name)
}

/// All names.
pub(super) fn names() -> String {
    ARCHITECTURES.map(|architecture| format!("`{}`", architecture.name)).join(", ")
}
