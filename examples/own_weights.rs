//! Runs a decoder whose configuration and weights come from the program itself, not from a file.
//!
//! `cargo run --release --example own_weights`. The weights here are drawn at random; any source of f32 values does.

use std::sync::Arc;

use lm_infinite::model::config::{Mlp, Multipliers, Norm, PositionConfig, Residual, RopeLayout, SoftCaps};
use lm_infinite::model::weights::{FeedForward, Linear, MlpWeights};
use lm_infinite::model::{LayerWeights, Matrix, ModelConfig, ModelWeights};
use lm_infinite::policy::{PolicySpec, PositionScaling};
use lm_infinite::session::{Decoder, Session};

/// Values between −0.1 and 0.1 that look random (a linear congruential generator).
struct Numbers(u64);

impl Numbers {
    fn matrix(&mut self, rows: usize, columns: usize) -> Option<Matrix> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 0.2
        };
        let values: Vec<f32> = (0..rows * columns).map(|_| next()).collect();
        Matrix::from_f32(&values, rows, columns)
    }

    fn linear(&mut self, rows: usize, columns: usize) -> Option<Linear> {
        Some(Linear { weight: self.matrix(rows, columns)?, bias: None })
    }
}

fn weights(config: &ModelConfig) -> Option<ModelWeights> {
    let mut numbers = Numbers(7);
    let (hidden, inner) = (config.hidden, config.intermediate);
    let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let embedding = numbers.matrix(config.vocabulary, hidden)?;
    let layers = (0..config.layers).map(|_| {
        Some(LayerWeights {
            attention_norm: Some(vec![1.0; hidden].into()),
            query: numbers.linear(queries, hidden)?,
            key: numbers.linear(keys, hidden)?,
            value: numbers.linear(keys, hidden)?,
            output: numbers.linear(hidden, queries)?,
            attention_post_norm: None,
            query_key_norm: None,
            sinks: None,
            mlp_norm: Some(vec![1.0; hidden].into()),
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: Some(numbers.linear(inner, hidden)?),
                up: numbers.linear(inner, hidden)?,
                down: numbers.linear(hidden, inner)?,
            }),
            mlp_post_norm: None,
        })
    });
    let layers = layers.collect::<Option<Vec<_>>>()?;
    Some(ModelWeights {
        head: embedding.clone(),
        embedding,
        position_embedding: None,
        embedding_norm: None,
        layers,
        final_norm: vec![1.0; hidden].into(),
        head_bias: None,
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = ModelConfig {
        architecture: "mine".into(),
        vocabulary: 100,
        hidden: 32,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        intermediate: 64,
        norm: Norm::Rms { epsilon: 1e-5 },
        mlp: Mlp::SwiGlu,
        residual: Residual::Sequential,
        clip_qkv: None,
        query_key_norm: false,
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: false,
        experts: None,
        soft_caps: SoftCaps::default(),
        position: PositionConfig::Rope {
            theta: 10_000.0,
            dim: 8,
            layout: RopeLayout::HalfSplit,
            scaling: PositionScaling::None,
            long_rope: None,
        },
        tied_embeddings: true,
        trained_length: 64,
        sliding_windows: Vec::new(),
        kv: lm_infinite::model::KvType::default(),
    };
    let weights = weights(&config).ok_or("a matrix of another size than its shape asks for")?;
    let policy = PolicySpec::parse("lm-infinite:start=4", config.trained_length)?.policy;
    let mut session = Session::new(Arc::new(Decoder::new(config, weights)?), policy)?;

    let tokens: Vec<u32> = (0..500).map(|position| position * 37 % 100).collect();
    let losses = session.score(&tokens, None)?;
    let mean = losses.nll.iter().sum::<f32>() / losses.nll.len() as f32;
    println!("{} tokens, {mean:.3} nats per token (chance: {:.3})", tokens.len(), 100f32.ln());
    println!("{} keys kept per layer, {} bytes", session.kv_cache_entries(), session.kv_cache_bytes());
    Ok(())
}
