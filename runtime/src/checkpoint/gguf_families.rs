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
    /// Queries, keys and values are one matrix, `attn_qkv`, in blocks, and nothing in a block has a gate.
    pub fused: bool,
    /// `ffn_up` holds the gate, and below it what is multiplied by it.
    pub gate_up: bool,
    /// The output head has a bias.
    pub head_bias: bool,
    /// Query, key and value have biases, whatever is stored.
    pub biased: bool,
    /// Queries and keys are normalized.
    pub query_key_norm: QueryKeyNorm,
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
    /// `logit_scale` multiplies the logits.
    pub scaled_logits: bool,
    /// Layers of which every one but the last of this many has the window; `None` where every layer has it.
    pub window_period: Option<usize>,
    /// A layer without a window has no position encoding.
    pub rope_in_windows: bool,
    /// Old files lack the window.
    pub window_unsaid: bool,
    /// Tensors of LongRoPE's factors say alone that it is applied.
    pub long_rope_unsaid: bool,
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

/// Are queries and keys normalized?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryKeyNorm {
    /// No.
    Never,
    /// Yes.
    Always,
    /// Where the tensors are there; each head by weights of its own.
    OfTensors,
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
    /// An embedding of each position.
    Learned,
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
    /// Where there is no `ffn_norm`, whatever the metadata say.
    OfTensors,
}

const LLAMA: Architecture = Architecture {
    name: "llama",
    position: Position::Rope(RopeLayout::Interleaved),
    layer_norm: false,
    mlp: Mlp::SwiGlu,
    parallel: Parallel::Never,
    fused: false,
    gate_up: false,
    head_bias: false,
    biased: false,
    query_key_norm: QueryKeyNorm::Never,
    embedding_norm: false,
    norms: Norms::Before,
    scaled_embedding: false,
    experts: None,
    learned_sinks: false,
    exact_yarn: false,
    soft_caps: None,
    multipliers: false,
    scaled_logits: false,
    window_period: None,
    rope_in_windows: false,
    window_unsaid: false,
    long_rope_unsaid: false,
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

/// Cohere's first.
const COMMAND_R: Architecture = Architecture {
    name: "command-r",
    layer_norm: true,
    parallel: Parallel::Always,
    query_key_norm: QueryKeyNorm::OfTensors,
    scaled_logits: true,
    ..LLAMA
};

const HALF_SPLIT: Position = Position::Rope(RopeLayout::HalfSplit);

const ARCHITECTURES: [Architecture; 23] = [
    // Mixtral has this name, too.
    Architecture { experts: Some("feed_forward_length"), ..LLAMA },
    Architecture { name: "qwen2", position: HALF_SPLIT, biased: true, ..LLAMA },
    Architecture { name: "qwen3", position: HALF_SPLIT, query_key_norm: QueryKeyNorm::Always, ..LLAMA },
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
    Architecture {
        name: "gpt2",
        position: Position::Learned,
        layer_norm: true,
        mlp: Mlp::GeluTanh,
        fused: true,
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
        query_key_norm: QueryKeyNorm::Always,
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
        query_key_norm: QueryKeyNorm::Always,
        experts: Some("expert_feed_forward_length"),
        ..LLAMA
    },
    Architecture { name: "granite", multipliers: true, ..LLAMA },
    Architecture {
        name: "olmo2",
        position: HALF_SPLIT,
        norms: Norms::Behind,
        query_key_norm: QueryKeyNorm::Always,
        ..LLAMA
    },
    Architecture { name: "smollm3", no_rope_period: Some(4), ..LLAMA },
    Architecture {
        name: "phi3",
        position: HALF_SPLIT,
        gate_up: true,
        window_unsaid: true,
        long_rope_unsaid: true,
        ..LLAMA
    },
    Architecture {
        name: "phi2",
        position: HALF_SPLIT,
        layer_norm: true,
        mlp: Mlp::GeluTanh,
        parallel: Parallel::Always,
        biased: true,
        head_bias: true,
        ..LLAMA
    },
    Architecture {
        name: "stablelm",
        position: HALF_SPLIT,
        layer_norm: true,
        parallel: Parallel::OfTensors,
        query_key_norm: QueryKeyNorm::OfTensors,
        ..LLAMA
    },
    COMMAND_R,
    Architecture {
        name: "cohere2",
        query_key_norm: QueryKeyNorm::Never,
        window_period: Some(4),
        rope_in_windows: true,
        ..COMMAND_R
    },
    // The first GLM-4, and ChatGLM 2 and 3.
    Architecture { name: "chatglm", gate_up: true, ..LLAMA },
    Architecture { name: "glm4", gate_up: true, norms: Norms::Around, ..LLAMA },
];

/// The architecture of this name.
pub(super) fn of(name: &str) -> Option<&'static Architecture> {
    const ALL: &[Architecture] = &ARCHITECTURES;
    ALL.iter().find(|architecture| architecture.name == name)
}

/// Does llama.cpp's converter bring the pairs of rows of query and key, half-split in Hugging Face's files, side by side?
pub(super) fn reorders_rows(name: &str) -> bool {
    ["llama", "granite", "smollm3"].contains(&name)
}

/// All names.
pub(super) fn names() -> String {
    ARCHITECTURES.map(|architecture| format!("`{}`", architecture.name)).join(", ")
}
