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
use super::random_shapes::{SHAPES, Shape};
use crate::error::{Error, Result};
use crate::free_memory::free_memory;
use crate::hub::{self, DEFAULT_MODEL};
use crate::model::block_format::BlockFormat;
use crate::model::config::ModelConfig;
use crate::model::weights::{
    ExpertWeights, FeedForward, LayerWeights, Linear, Matrix, MlpWeights, ModelWeights, WeightType,
};
use crate::note::Note;
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

/// How matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Types {
    /// Those of experts.
    experts: WeightType,
    /// All others.
    others: WeightType,
}

impl Types {
    const fn of(all: WeightType) -> Self {
        Self { experts: all, others: all }
    }
}

const TYPES: [(&str, Types); 6] = [
    ("q4_0", Types::of(WeightType::Quantized(GgmlDType::Q4_0))),
    ("q8_0", Types::of(WeightType::Quantized(GgmlDType::Q8_0))),
    ("f16", Types::of(WeightType::F16)),
    ("bf16", Types::of(WeightType::Bf16)),
    ("f32", Types::of(WeightType::F32)),
    // As gpt-oss is published.
    (MXFP4, Types { experts: WeightType::Block(BlockFormat::Mxfp4), others: WeightType::Bf16 }),
];
const MXFP4: &str = "mxfp4";

/// The model that `reference` (behind [`SCHEME`]) names; unless it says otherwise, in Q4_0, and experts as gpt-oss stores them.
///
/// # Errors
/// A shape or type that is not known, named with those that are; weights that take more memory than there is.
pub(super) fn load(name: &str, reference: &str) -> Result<LoadedModel> {
    load_within(name, reference, free_memory())
}

/// The same with `free` bytes of memory, where that is known.
fn load_within(name: &str, reference: &str, free: Option<u64>) -> Result<LoadedModel> {
    let (shape, type_name) = reference.split_once(':').map_or((reference, None), |(a, b)| (a, Some(b)));
    let refuse = |what: &str, known: Vec<&str>| {
        Error::input(format!("model `{name}`"), format!("{what}; known are {}", known.join(", ")))
    };
    let shape = SHAPES.iter().find(|known| known.name == shape).ok_or_else(|| {
        let known = SHAPES.iter().map(|known| known.name).collect();
        refuse(&format!("no shape `{shape}`"), known)
    })?;
    let mut config = shape.config();
    let known = TYPES.iter().filter(|(known, _)| *known != MXFP4 || config.experts.is_some());
    let type_name = type_name.unwrap_or(if config.experts.is_some() { MXFP4 } else { TYPES[0].0 });
    let (_, types) = *known.clone().find(|(known, _)| *known == type_name).ok_or_else(|| {
        refuse(
            &format!("no type `{type_name}` of its weights"),
            known.clone().map(|(known, _)| *known).collect(),
        )
    })?;
    let needed = stored_bytes(&config, types);
    if let Some(free) = free.filter(|&free| free < needed) {
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        let reason = format!(
            "its weights take {:.1} GB, and {:.1} GB of memory are free",
            gigabytes(needed),
            gigabytes(free)
        );
        return Err(Error::input(format!("model `{name}`"), reason));
    }
    let mut notes = vec![Note::new(
        "--model",
        "its weights are random: time and memory are those of the published model, losses and logits are not",
    )];
    notes.extend(own_attention::set_windows(&mut config, "sliding_window", shape.windows()));
    let built_in = hub::embedded(DEFAULT_MODEL).ok_or_else(|| Error::input(DEFAULT_MODEL, "not built in"))?;
    let tokenizer = Tokenizer::from_folder(&built_in.folder(), config.vocabulary)?;
    Ok(LoadedModel {
        name: name.to_owned(),
        path: name.into(),
        weights: weights(shape, &config, types)
            .ok_or_else(|| refuse(&format!("`{type_name}` does not fit its widths"), vec!["f16", "f32"]))?,
        config,
        tokenizer,
        chat_template: None,
        notes,
    })
}

/// Bytes of all matrices.
fn stored_bytes(config: &ModelConfig, types: Types) -> u64 {
    let bytes = |elements: usize, of: WeightType| (elements / of.block().0 * of.block().1) as u64;
    let tables = if config.tied_embeddings { 1 } else { 2 };
    let attention = 2 * config.hidden * (config.heads + config.kv_heads) * config.head_dim;
    let block = bytes(attention, types.others)
        + match config.experts {
            None => bytes(3 * config.hidden * config.intermediate, types.others),
            Some(of) => {
                bytes(of.count * config.hidden, types.others)
                    + bytes(3 * of.count * config.hidden * of.intermediate, types.experts)
            }
        };
    block * config.layers as u64 + bytes(tables * config.vocabulary * config.hidden, types.others)
}

/// `None` where the types' blocks do not fit the widths.
fn weights(shape: &Shape, config: &ModelConfig, types: Types) -> Option<ModelWeights> {
    let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let mut index = 0;
    let mut matrix = |weight_type: WeightType, rows: usize, columns: usize| {
        index += 1;
        random_matrix(index, weight_type, rows, columns)
    };
    let linear = |weight: Matrix, bias: bool| Linear { bias: bias.then(|| vec![0.0; weight.rows()]), weight };
    let hidden = config.hidden;
    let embedding = matrix(types.others, config.vocabulary, hidden)?;
    let mut layers = Vec::new();
    for _ in 0..config.layers {
        let query = linear(matrix(types.others, queries, hidden)?, shape.input_bias);
        let key = linear(matrix(types.others, keys, hidden)?, shape.input_bias);
        let value = linear(matrix(types.others, keys, hidden)?, shape.input_bias);
        let output = linear(matrix(types.others, hidden, queries)?, shape.other_biases);
        let mut mlp = |weight_type: WeightType, inner: usize| {
            Some(MlpWeights {
                gate: Some(linear(matrix(weight_type, inner, hidden)?, shape.other_biases)),
                up: linear(matrix(weight_type, inner, hidden)?, shape.other_biases),
                down: linear(matrix(weight_type, hidden, inner)?, shape.other_biases),
            })
        };
        let feed_forward = match config.experts {
            None => FeedForward::Dense(mlp(types.others, config.intermediate)?),
            Some(of) => {
                let experts = (0..of.count).map(|_| mlp(types.experts, of.intermediate));
                let experts = experts.collect::<Option<_>>()?;
                let router = linear(matrix(types.others, of.count, hidden)?, shape.other_biases);
                FeedForward::Experts(ExpertWeights { router, experts })
            }
        };
        layers.push(LayerWeights {
            attention_norm: Some(vec![1.0; hidden].into()),
            attention_post_norm: None,
            query,
            key,
            value,
            output,
            query_key_norm: config
                .query_key_norm
                .then(|| [vec![1.0; config.head_dim], vec![1.0; config.head_dim]]),
            sinks: config.learned_sinks.then(|| vec![0.0; config.heads]),
            mlp_norm: Some(vec![1.0; hidden].into()),
            feed_forward,
            mlp_post_norm: None,
        });
    }
    let head = if config.tied_embeddings {
        embedding.clone()
    } else {
        matrix(types.others, config.vocabulary, hidden)?
    };
    let final_norm = vec![1.0; hidden].into();
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
                // An E8M0 scale of 2^−7, or more seldom 2^−8; behind it 4 bits of E2M1, whose squares have a mean of 137/16.
                WeightType::Block(_) => block[0] = if block[0] < 176 { 120 } else { 119 },
                // The scale comes first; behind it 4 bits (8) of deviation √(2⁸ − 1)/√12 (√(2¹⁶ − 1)/√12) each.
                WeightType::Quantized(_) => {
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
    use crate::model::config::{Experts, PositionConfig};
    use crate::policy::AttentionPolicy;
    use crate::session::{Decoder, Session};

    #[test]
    fn elements_have_the_deviation_in_every_type() {
        for (name, Types { experts: weight_type, .. }) in TYPES {
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
        assert!(random_matrix(0, TYPES[0].1.others, 2, 33).is_none());
    }

    /// A shape of every kind, made small.
    fn small(name: &str) -> (&'static Shape, ModelConfig) {
        let shape = SHAPES.iter().find(|shape| shape.name == name).expect("a shape");
        let mut config = shape.config();
        (config.vocabulary, config.hidden, config.layers) = (70, 64, 3);
        (config.heads, config.kv_heads, config.head_dim, config.intermediate) = (4, 2, 32, 96);
        if let PositionConfig::Rope { dim, .. } = &mut config.position {
            *dim = 32;
        }
        config.experts = config.experts.map(|of| Experts { intermediate: 96, ..of });
        own_attention::set_windows(&mut config, "sliding_window", shape.windows()[..3].to_vec());
        (shape, config)
    }

    #[test]
    fn every_shape_in_every_type_is_a_model_of_the_bytes_that_were_said() {
        for shape in &SHAPES {
            for (name, types) in TYPES {
                let (shape, config) = small(shape.name);
                let weights = weights(shape, &config, types).expect("whole blocks");
                let mut matrices = vec![&weights.embedding];
                if !config.tied_embeddings {
                    matrices.push(&weights.head);
                }
                for layer in &weights.layers {
                    let attention = [&layer.query, &layer.key, &layer.value, &layer.output];
                    matrices.extend(attention.map(|linear| &linear.weight));
                    let mlps: Vec<&MlpWeights> = match &layer.feed_forward {
                        FeedForward::Dense(mlp) => vec![mlp],
                        FeedForward::Experts(of) => {
                            matrices.push(&of.router.weight);
                            of.experts.iter().collect()
                        }
                    };
                    for mlp in mlps {
                        matrices.extend(mlp.gate.iter().chain([&mlp.up, &mlp.down]).map(|of| &of.weight));
                    }
                }
                let stored: usize = matrices.iter().map(|matrix| matrix.bytes().len()).sum();
                assert_eq!(stored as u64, stored_bytes(&config, types), "{} {name}", shape.name);
                let decoder = Decoder::new(config, weights).expect("a whole model");
                let mut session = Session::new(decoder.into(), AttentionPolicy::default()).expect("vanilla");
                let losses = session.score(&[3, 1, 4, 1, 5, 69], None).expect("known tokens").nll;
                // Of random weights: about the logarithm of the number of tokens.
                assert!(
                    losses.iter().all(|loss| (loss - 70f32.ln()).abs() < 1.5),
                    "{} {name} {losses:?}",
                    shape.name
                );
            }
        }
    }

    #[test]
    fn a_model_that_memory_has_no_room_for_is_refused() {
        let (_, types) = TYPES[5];
        let shape = SHAPES.iter().find(|shape| shape.name == "gpt-oss-20b").expect("a shape");
        // 19.1e9 weights of experts at 17 bytes for 32, and 1.80e9 others of two bytes.
        assert_eq!(stored_bytes(&shape.config(), types), 13_747_322_880);
        let message = load_within("random:gpt-oss-20b", "gpt-oss-20b", Some(9_000_000_000));
        let message = message.expect_err("too large").to_string();
        assert!(message.contains("13.7 GB") && message.contains("9.0 GB"), "{message}");
        let small = "smollm2-135m:q8_0";
        assert!(load_within("x", small, Some(1_000_000)).is_err());
        assert!(load_within("x", small, Some(1_000_000_000)).is_ok());
        assert!(load_within("x", small, None).is_ok());
    }

    #[test]
    fn what_is_not_known_is_answered_with_what_is() {
        for (reference, part) in [
            ("gpt-oss-120b", "gpt-oss-20b"),
            ("llama-2-7b:q9", "q4_0"),
            ("llama-2-7b:mxfp4", "q4_0"),
            ("", "mistral-7b"),
        ] {
            let message = load("random:x", reference).expect_err(part).to_string();
            assert!(message.contains(part), "{message}");
        }
        let inspected = crate::checkpoint::inspect("random:smollm2-135m", &hub::Cache::at("no-cache"));
        assert!(inspected.expect_err("no file").to_string().contains("no file to describe"));
    }
}
