//! Models with random weights: they learned nothing, so they have nothing to lose beyond any length.

use lm_infinite_runtime::model::config::{
    Mlp, ModelConfig, Multipliers, Norm, PositionConfig, Residual, RopeLayout, SoftCaps,
};
use lm_infinite_runtime::model::weights::{
    FeedForward, LayerWeights, Linear, Matrix, MlpWeights, ModelWeights,
};
use lm_infinite_runtime::policy::PositionScaling;
use lm_infinite_train::layout::{Layout, Parts};
use lm_infinite_train::parameters::{self, Parameter};

use crate::error::{Error, Result};

/// The length that counts as their training length, in tokens.
pub const RANDOM_TRAINED_LENGTH: u64 = 128;

const HIDDEN: usize = 64;
const LAYERS: usize = 3;
const HEADS: usize = 4;
const INTERMEDIATE: usize = 128;

/// What every second model has its matrices multiplied by: a product of one with a vector of norm √64 then keeps its norm
/// (0.02 · 6.25 = 1/√64), so that its attention is not all but uniform.
const SCALE: f32 = 6.25;

/// Shape and weights of the model of `seed`: those that training begins with; of an odd seed 6.25 times as large.
///
/// # Errors
/// None for a shape as this is.
pub fn random_model(seed: u64, vocabulary: usize) -> Result<(ModelConfig, ModelWeights)> {
    let head_dim = HIDDEN / HEADS;
    let config = ModelConfig {
        architecture: "llama".into(),
        vocabulary,
        hidden: HIDDEN,
        layers: LAYERS,
        heads: HEADS,
        kv_heads: HEADS,
        head_dim,
        intermediate: INTERMEDIATE,
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
            dim: head_dim,
            layout: RopeLayout::HalfSplit,
            scaling: PositionScaling::None,
            long_rope: None,
        },
        tied_embeddings: true,
        trained_length: RANDOM_TRAINED_LENGTH,
        sliding_windows: Vec::new(),
        kv: lm_infinite_runtime::model::KvType::default(),
    };
    let scale = if seed.is_multiple_of(2) { 1.0 } else { SCALE };
    let all = parameters::initial(&Layout::new(&config, Parts::default()), seed);
    let rows = |parameter: &Parameter, from: usize, count: usize| {
        let columns = parameter.columns();
        let values: Vec<f32> = parameter.values[from * columns..(from + count) * columns]
            .iter()
            .map(|value| value * scale)
            .collect();
        Matrix::from_f32(&values, count, columns)
            .ok_or_else(|| Error::input("random model", format!("`{}` has no shape", parameter.name)))
    };
    let linear = |parameter: &Parameter, from: usize, count: usize| {
        Ok::<_, Error>(Linear { weight: rows(parameter, from, count)?, bias: None })
    };
    let [embedding, blocks @ .., final_norm] = all.as_slice() else {
        return Err(Error::input("random model", "it has no parameters"));
    };
    let mut layers = Vec::new();
    for block in blocks.chunks(blocks.len() / LAYERS) {
        let [attention_norm, qkv, output, mlp_norm, gate_up, down] = block else {
            return Err(Error::input("random model", format!("a block of {} parameters", block.len())));
        };
        layers.push(LayerWeights {
            attention_norm: Some(attention_norm.values.clone().into()),
            query: linear(qkv, 0, HIDDEN)?,
            key: linear(qkv, HIDDEN, HIDDEN)?,
            value: linear(qkv, 2 * HIDDEN, HIDDEN)?,
            output: linear(output, 0, HIDDEN)?,
            attention_post_norm: None,
            query_key_norm: None,
            sinks: None,
            mlp_norm: Some(mlp_norm.values.clone().into()),
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: Some(linear(gate_up, 0, INTERMEDIATE)?),
                up: linear(gate_up, INTERMEDIATE, INTERMEDIATE)?,
                down: linear(down, 0, HIDDEN)?,
            }),
            mlp_post_norm: None,
        });
    }
    let embedding = rows(embedding, 0, vocabulary)?;
    let weights = ModelWeights {
        head: embedding.clone(),
        embedding,
        position_embedding: None,
        embedding_norm: None,
        layers,
        final_norm: final_norm.values.clone().into(),
        head_bias: None,
    };
    Ok((config, weights))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_model_and_odd_ones_have_larger_weights() {
        let of = |seed| random_model(seed, 50).expect("a model").1;
        let deviation = |seed| {
            let values: Vec<f32> = of(seed).layers[0]
                .query
                .weight
                .bytes()
                .chunks(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect();
            (values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32).sqrt()
        };
        assert_eq!(of(3).embedding.bytes(), of(3).embedding.bytes());
        assert_ne!(of(3).embedding.bytes(), of(5).embedding.bytes());
        assert!((deviation(2) - 0.02).abs() < 0.002 && (deviation(3) - 0.125).abs() < 0.01);
        let down = of(3).layers[2].feed_forward.dense().expect("one").down.weight.clone();
        assert_eq!((down.rows(), down.columns()), (HIDDEN, INTERMEDIATE));
    }
}
