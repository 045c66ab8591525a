//! Shapes of models, as their configurations have been published.

use crate::model::KvType;
use crate::model::config::{
    Experts, Mlp, ModelConfig, Multipliers, Norm, PositionConfig, Residual, RopeLayout, Routing, SoftCaps,
};
use crate::policy::PositionScaling;

/// A published shape.
pub(super) struct Shape {
    /// What it is asked for by.
    pub name: &'static str,
    architecture: &'static str,
    vocabulary: usize,
    hidden: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    intermediate: usize,
    theta: f64,
    epsilon: f32,
    tied: bool,
    positions: u64,
    /// Window of the layers that have one, and whether those are every second one, from the first on.
    window: Option<u64>,
    every_second: bool,
    /// Of queries, keys and values.
    pub input_bias: bool,
    /// Of what attention gives, of routers and of experts.
    pub other_biases: bool,
    query_key_norm: bool,
    scaling: PositionScaling,
    mlp: Mlp,
    learned_sinks: bool,
    experts: Option<Experts>,
}

/// Llama 2 7B (Touvron et al. 2023, arXiv 2307.09288).
const LLAMA_2_7B: Shape = Shape {
    name: "llama-2-7b",
    architecture: "llama",
    vocabulary: 32_000,
    hidden: 4096,
    layers: 32,
    heads: 32,
    kv_heads: 32,
    head_dim: 128,
    intermediate: 11_008,
    theta: 10_000.0,
    epsilon: 1e-5,
    tied: false,
    positions: 4096,
    window: None,
    every_second: false,
    input_bias: false,
    other_biases: false,
    query_key_norm: false,
    scaling: PositionScaling::None,
    mlp: Mlp::SwiGlu,
    learned_sinks: false,
    experts: None,
};

/// As the models' configurations have been published.
pub(super) const SHAPES: [Shape; 9] = [
    LLAMA_2_7B,
    Shape {
        name: "llama-2-13b",
        hidden: 5120,
        layers: 40,
        heads: 40,
        kv_heads: 40,
        intermediate: 13_824,
        ..LLAMA_2_7B
    },
    Shape {
        name: "llama-3-8b",
        vocabulary: 128_256,
        kv_heads: 8,
        intermediate: 14_336,
        theta: 500_000.0,
        positions: 8192,
        ..LLAMA_2_7B
    },
    Shape {
        name: "mistral-7b",
        architecture: "mistral",
        kv_heads: 8,
        intermediate: 14_336,
        positions: 32_768,
        window: Some(4096),
        ..LLAMA_2_7B
    },
    Shape {
        name: "qwen2.5-7b",
        architecture: "qwen2",
        vocabulary: 152_064,
        hidden: 3584,
        layers: 28,
        heads: 28,
        kv_heads: 4,
        intermediate: 18_944,
        theta: 1e6,
        epsilon: 1e-6,
        positions: 32_768,
        input_bias: true,
        ..LLAMA_2_7B
    },
    Shape {
        name: "qwen3-8b",
        architecture: "qwen3",
        vocabulary: 151_936,
        layers: 36,
        kv_heads: 8,
        intermediate: 12_288,
        theta: 1e6,
        epsilon: 1e-6,
        positions: 40_960,
        query_key_norm: true,
        ..LLAMA_2_7B
    },
    Shape {
        name: "tinyllama-1.1b",
        hidden: 2048,
        layers: 22,
        kv_heads: 4,
        head_dim: 64,
        intermediate: 5632,
        positions: 2048,
        ..LLAMA_2_7B
    },
    Shape {
        name: "smollm2-135m",
        vocabulary: 49_152,
        hidden: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        intermediate: 1536,
        theta: 100_000.0,
        tied: true,
        positions: 8192,
        ..LLAMA_2_7B
    },
    // arXiv 2508.10925.
    Shape {
        name: "gpt-oss-20b",
        architecture: "gpt_oss",
        vocabulary: 201_088,
        hidden: 2880,
        layers: 24,
        heads: 64,
        kv_heads: 8,
        head_dim: 64,
        intermediate: 2880,
        theta: 150_000.0,
        positions: 131_072,
        window: Some(128),
        every_second: true,
        input_bias: true,
        other_biases: true,
        scaling: PositionScaling::Yarn {
            factor: 32.0,
            original_length: 4096,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: None,
            exact_bounds: true,
        },
        mlp: Mlp::SwiGluBounded,
        learned_sinks: true,
        experts: Some(Experts { count: 32, per_token: 4, intermediate: 2880, routing: Routing::OfChosen }),
        ..LLAMA_2_7B
    },
];

impl Shape {
    /// The configuration, whose layers have no windows yet.
    pub fn config(&self) -> ModelConfig {
        ModelConfig {
            architecture: self.architecture.into(),
            vocabulary: self.vocabulary,
            hidden: self.hidden,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            intermediate: self.intermediate,
            norm: Norm::Rms { epsilon: self.epsilon },
            mlp: self.mlp,
            residual: Residual::Sequential,
            clip_qkv: None,
            query_key_norm: self.query_key_norm,
            layer_positions: Vec::new(),
            multipliers: Multipliers::default(),
            learned_sinks: self.learned_sinks,
            experts: self.experts,
            soft_caps: SoftCaps::default(),
            position: PositionConfig::Rope {
                theta: self.theta,
                dim: self.head_dim,
                layout: RopeLayout::HalfSplit,
                scaling: self.scaling,
                long_rope: None,
            },
            tied_embeddings: self.tied,
            trained_length: self.positions,
            sliding_windows: Vec::new(),
            kv: KvType::F32,
        }
    }

    /// Windows of the layers' own attention.
    pub fn windows(&self) -> Vec<Option<u64>> {
        let windowed = |layer: usize| !self.every_second || layer.is_multiple_of(2);
        (0..self.layers).map(|layer| self.window.filter(|_| windowed(layer))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_that_were_published() {
        // Parameters in millions, as model cards round them; of gpt-oss those that a token goes through.
        for (name, millions) in [
            ("llama-2-7b", 6738),
            ("llama-2-13b", 13_016),
            ("llama-3-8b", 8030),
            ("mistral-7b", 7242),
            ("qwen2.5-7b", 7616),
            ("qwen3-8b", 8190),
            ("tinyllama-1.1b", 1100),
            ("smollm2-135m", 135),
            ("gpt-oss-20b", 4184),
        ] {
            let shape = SHAPES.iter().find(|shape| shape.name == name).expect("a shape");
            let config = shape.config();
            let tables = if shape.tied { 1 } else { 2 };
            let all = config.block_parameters() + (tables * config.vocabulary * config.hidden) as u64;
            let all = (all as f64 / 1e6).round() as u64;
            assert!(all.abs_diff(millions) <= 1, "{name}: {all} millions");
        }
    }

    #[test]
    fn windows_are_those_of_the_layers() {
        let windows = |name: &str| SHAPES.iter().find(|shape| shape.name == name).expect(name).windows();
        assert_eq!(windows("llama-2-7b"), [None; 32]);
        assert_eq!(windows("mistral-7b"), [Some(4096); 32]);
        assert_eq!(windows("gpt-oss-20b")[..3], [Some(128), None, Some(128)]);
        assert_eq!(windows("gpt-oss-20b").len(), 24);
    }
}
