//! Models of published shapes with random weights, `random:SHAPE[:TYPE]`: what costs time and memory is that of the real model, and
//! nothing is downloaded. Their texts are read by the tokenizer of the built-in model.
//!
//! Elements have a deviation of about 0.02, as checkpoints have before training; norms are 1, biases 0. Every tensor is a stream
//! of its own, so the same name is the same model everywhere.

use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use half::{bf16, f16};
use rand_chacha::rand_core::RngCore;
use rayon::prelude::*;

use super::loaded::LoadedModel;
use super::own_attention;
use crate::error::{Error, Result};
use crate::hub::{self, DEFAULT_MODEL};
use crate::model::config::{
    Mlp, ModelConfig, Multipliers, Norm, PositionConfig, Residual, RopeLayout, SoftCaps,
};
use crate::model::weights::{
    FeedForward, LayerWeights, Linear, Matrix, MlpWeights, ModelWeights, WeightType,
};
use crate::note::Note;
use crate::policy::PositionScaling;
use crate::random::{self, Purpose};
use crate::tokenizer::Tokenizer;

/// What a reference begins with.
pub(super) const SCHEME: &str = "random:";

/// The seed of all of them.
const SEED: u64 = 0;
/// Bytes that one thread draws at a time: a whole number of blocks of each type.
const PIECE_BLOCKS: usize = 1 << 16;
/// Deviation of an element.
const DEVIATION: f64 = 0.02;

/// A published shape.
struct Shape {
    name: &'static str,
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
    window: Option<u64>,
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
};

/// As the models' configurations have been published.
const SHAPES: [Shape; 8] = [
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
];

const TYPES: [(&str, WeightType); 5] = [
    ("q4_0", WeightType::Quantized(GgmlDType::Q4_0)),
    ("q8_0", WeightType::Quantized(GgmlDType::Q8_0)),
    ("f16", WeightType::F16),
    ("bf16", WeightType::Bf16),
    ("f32", WeightType::F32),
];

/// The model that `reference` (behind [`SCHEME`]) names; Q4_0 unless it says otherwise.
///
/// # Errors
/// A shape or type that is not known, named with those that are.
pub(super) fn load(name: &str, reference: &str) -> Result<LoadedModel> {
    let (shape, type_name) = reference.split_once(':').unwrap_or((reference, TYPES[0].0));
    let refuse = |what: &str, known: Vec<&str>| {
        Error::input(format!("model `{name}`"), format!("{what}; known are {}", known.join(", ")))
    };
    let shape = SHAPES.iter().find(|known| known.name == shape).ok_or_else(|| {
        let known = SHAPES.iter().map(|known| known.name).collect();
        refuse(&format!("no shape `{shape}`"), known)
    })?;
    let (_, weight_type) = *TYPES.iter().find(|(known, _)| *known == type_name).ok_or_else(|| {
        refuse(&format!("no type `{type_name}` of weights"), TYPES.iter().map(|(known, _)| *known).collect())
    })?;
    let mut config = config(shape);
    let mut notes = vec![Note::new(
        "--model",
        "its weights are random: time and memory are those of the published model, losses and logits are not",
    )];
    let windows = vec![shape.window; shape.layers];
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", windows));
    let built_in = hub::embedded(DEFAULT_MODEL).ok_or_else(|| Error::input(DEFAULT_MODEL, "not built in"))?;
    let tokenizer = Tokenizer::from_folder(&built_in.folder(), config.vocabulary)?;
    Ok(LoadedModel {
        name: name.to_owned(),
        path: name.into(),
        weights: weights(&config, weight_type)
            .ok_or_else(|| refuse(&format!("`{type_name}` does not fit its widths"), vec!["f16", "f32"]))?,
        config,
        tokenizer,
        chat_template: None,
        notes,
    })
}

fn config(shape: &Shape) -> ModelConfig {
    ModelConfig {
        architecture: shape.architecture.into(),
        vocabulary: shape.vocabulary,
        hidden: shape.hidden,
        layers: shape.layers,
        heads: shape.heads,
        kv_heads: shape.kv_heads,
        head_dim: shape.head_dim,
        intermediate: shape.intermediate,
        norm: Norm::Rms { epsilon: shape.epsilon },
        mlp: Mlp::SwiGlu,
        residual: Residual::Sequential,
        clip_qkv: None,
        query_key_norm: shape.architecture == "qwen3",
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: false,
        experts: None,
        soft_caps: SoftCaps::default(),
        position: PositionConfig::Rope {
            theta: shape.theta,
            dim: shape.head_dim,
            layout: RopeLayout::HalfSplit,
            scaling: PositionScaling::None,
            long_rope: None,
        },
        tied_embeddings: shape.tied,
        trained_length: shape.positions,
        sliding_windows: Vec::new(),
    }
}

/// `None` where the type's blocks do not fit the widths.
fn weights(config: &ModelConfig, weight_type: WeightType) -> Option<ModelWeights> {
    let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let mut index = 0;
    let mut matrix = |rows: usize, columns: usize| {
        index += 1;
        random_matrix(index, weight_type, rows, columns)
    };
    let has_bias = config.architecture == "qwen2";
    let plain = |weight: Matrix| Linear { weight, bias: None };
    let biased = |weight: Matrix| Linear { bias: has_bias.then(|| vec![0.0; weight.rows()]), weight };
    let embedding = matrix(config.vocabulary, config.hidden)?;
    let mut layers = Vec::new();
    for _ in 0..config.layers {
        layers.push(LayerWeights {
            attention_norm: Some(vec![1.0; config.hidden].into()),
            attention_post_norm: None,
            query: biased(matrix(queries, config.hidden)?),
            key: biased(matrix(keys, config.hidden)?),
            value: biased(matrix(keys, config.hidden)?),
            output: plain(matrix(config.hidden, queries)?),
            query_key_norm: config
                .query_key_norm
                .then(|| [vec![1.0; config.head_dim], vec![1.0; config.head_dim]]),
            sinks: None,
            mlp_norm: Some(vec![1.0; config.hidden].into()),
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: Some(plain(matrix(config.intermediate, config.hidden)?)),
                up: plain(matrix(config.intermediate, config.hidden)?),
                down: plain(matrix(config.hidden, config.intermediate)?),
            }),
            mlp_post_norm: None,
        });
    }
    let head =
        if config.tied_embeddings { embedding.clone() } else { matrix(config.vocabulary, config.hidden)? };
    let final_norm = vec![1.0; config.hidden].into();
    Some(ModelWeights {
        embedding,
        position_embedding: None,
        embedding_norm: None,
        layers,
        final_norm,
        head,
        head_bias: None,
    })
}

/// Elements even on the grid of the type, with the deviation [`DEVIATION`].
fn random_matrix(index: u64, weight_type: WeightType, rows: usize, columns: usize) -> Option<Matrix> {
    let (block, block_bytes) = weight_type.block();
    if !columns.is_multiple_of(block) {
        return None;
    }
    let mut bytes = vec![0u8; columns / block * rows * block_bytes];
    let fill = |(piece, bytes): (usize, &mut [u8])| {
        let mut drawn = random::stream(Purpose::Weights, SEED, &[index, piece as u64]);
        drawn.fill_bytes(bytes);
        // Even over −√3·σ … √3·σ.
        let even = |number: u16| (f64::from(number) / 65_535.0 - 0.5) * 12f64.sqrt() * DEVIATION;
        for block in bytes.chunks_exact_mut(block_bytes) {
            let number = u16::from_le_bytes([block[0], block[1]]);
            match weight_type {
                WeightType::F32 => block.copy_from_slice(&(even(number) as f32).to_le_bytes()),
                WeightType::F16 => block.copy_from_slice(&f16::from_f64(even(number)).to_le_bytes()),
                WeightType::Bf16 => block.copy_from_slice(&bf16::from_f64(even(number)).to_le_bytes()),
                // The scale comes first; behind it 4 bits (8) of deviation √(2⁸ − 1)/√12 (√(2¹⁶ − 1)/√12) each.
                WeightType::Quantized(_) | WeightType::Block(_) => {
                    let steps: f64 =
                        if weight_type == WeightType::Quantized(GgmlDType::Q4_0) { 16.0 } else { 256.0 };
                    let scale = DEVIATION / ((steps * steps - 1.0) / 12.0).sqrt();
                    block[..2].copy_from_slice(&f16::from_f64(scale).to_le_bytes());
                }
            }
        }
    };
    bytes.par_chunks_mut(block_bytes * PIECE_BLOCKS).enumerate().for_each(fill);
    let range = 0..bytes.len();
    Matrix::new(Arc::new(bytes), range, weight_type, rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dequantize::rows_to_f32;

    #[test]
    fn elements_have_the_deviation_in_every_type() {
        for (name, weight_type) in TYPES {
            let matrix = random_matrix(3, weight_type, 64, 256).expect("it fits");
            let mut values = vec![0.0; 64 * 256];
            rows_to_f32(&matrix, 0, &mut values);
            let count = values.len() as f64;
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
            let square = values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / count;
            // The 16 steps of Q4_0 reach from −8 to 7: half a step of 0.0043 below 0.
            assert!(mean.abs() < 0.0025, "{name}: mean {mean}");
            assert!((square.sqrt() / DEVIATION - 1.0).abs() < 0.03, "{name}: deviation {}", square.sqrt());
            let again = random_matrix(3, weight_type, 64, 256).expect("it fits");
            let other = random_matrix(4, weight_type, 64, 256).expect("it fits");
            assert!(again.bytes() == matrix.bytes() && other.bytes() != matrix.bytes(), "{name}");
        }
        assert!(random_matrix(0, TYPES[0].1, 2, 33).is_none());
    }

    #[test]
    fn shapes_are_those_that_were_published() {
        // Parameters in millions, as model cards round them.
        for (name, millions) in [
            ("llama-2-7b", 6738),
            ("llama-2-13b", 13_016),
            ("llama-3-8b", 8030),
            ("mistral-7b", 7242),
            ("qwen2.5-7b", 7616),
            ("qwen3-8b", 8190),
            ("tinyllama-1.1b", 1100),
            ("smollm2-135m", 135),
        ] {
            let shape = SHAPES.iter().find(|shape| shape.name == name).expect("a shape");
            let config = config(shape);
            let tables = if shape.tied { 1 } else { 2 };
            let all = config.block_parameters() + (tables * config.vocabulary * config.hidden) as u64;
            let all = (all as f64 / 1e6).round() as u64;
            assert!(all.abs_diff(millions) <= 1, "{name}: {all} millions");
        }
    }

    #[test]
    fn what_is_not_known_is_answered_with_what_is() {
        for (reference, part) in
            [("gpt-oss-20b", "llama-2-7b"), ("llama-2-7b:q9", "q4_0"), ("", "mistral-7b")]
        {
            let message = load("random:x", reference).expect_err(part).to_string();
            assert!(message.contains(part), "{message}");
        }
        let inspected = crate::checkpoint::inspect("random:smollm2-135m", &hub::Cache::at("no-cache"));
        assert!(inspected.expect_err("no file").to_string().contains("no file to describe"));
    }
}
