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
};

const HALF_SPLIT: Position = Position::Rope(RopeLayout::HalfSplit);

const ARCHITECTURES: [Architecture; 7] = [
    LLAMA,
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
