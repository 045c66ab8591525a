//! The decoder as a graph for candle's autograd: the same mathematics as [`lm_infinite_runtime::session::decoder`], over whole segments.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var};
use lm_infinite_runtime::model::config::ModelConfig;
use lm_infinite_runtime::policy::PositionScaling;
use lm_infinite_runtime::position::PositionEncoding;

use super::ops::{Attention, CrossEntropy, LinearOp, RmsNorm, SwiGlu, TrainPositions};
use super::parameters::PER_LAYER;

/// A decoder over segments of one length.
#[derive(Clone)]
pub struct Graph {
    layers: usize,
    epsilon: f32,
    length: usize,
    attention: Attention,
}

impl Graph {
    /// Of `config`, for segments of `length` tokens.
    ///
    /// # Errors
    /// Where the position encoding is none that can be trained.
    pub fn new(config: &ModelConfig, length: usize) -> crate::Result<Self> {
        let encoding = PositionEncoding::new(config, PositionScaling::None)?;
        let positions = Arc::new(TrainPositions::new(&encoding, length));
        let epsilon = config.norm.epsilon();
        Ok(Self {
            layers: config.layers,
            epsilon,
            length,
            attention: Attention::new(config, length, positions),
        })
    }

    /// Logits [tokens, vocabulary] of whole segments.
    ///
    /// # Errors
    /// Where `tokens` are no whole segments, or outside the vocabulary.
    pub fn logits(&self, variables: &[Var], tokens: &[u32]) -> Result<Tensor> {
        if !tokens.len().is_multiple_of(self.length) {
            candle_core::bail!("{} tokens are no whole segments of {}", tokens.len(), self.length);
        }
        let embedding = variables[0].as_tensor();
        let norm = |x: &Tensor, weight: &Var| x.apply_op2(weight, RmsNorm { epsilon: self.epsilon });
        let mut x = embedding.embedding(&Tensor::new(tokens, &Device::Cpu)?)?;
        for layer in 0..self.layers {
            let [attention_norm, qkv, output, mlp_norm, gate_up, down] =
                std::array::from_fn::<_, PER_LAYER, _>(|i| &variables[1 + layer * PER_LAYER + i]);
            let y = norm(&x, attention_norm)?.apply_op2(qkv, LinearOp)?;
            x = (x + y.apply_op1(self.attention.clone())?.apply_op2(output, LinearOp)?)?;
            let y = norm(&x, mlp_norm)?.apply_op2(gate_up, LinearOp)?;
            x = (x + y.apply_op1(SwiGlu)?.apply_op2(down, LinearOp)?)?;
        }
        norm(&x, &variables[1 + self.layers * PER_LAYER])?.apply_op2(embedding, LinearOp)
    }

    /// `scale` times the summed NLL of the token after each, in nats. `segments` are of `length + 1` tokens.
    ///
    /// # Errors
    /// As [`Graph::logits`].
    pub fn loss(&self, variables: &[Var], segments: &[Vec<u32>], scale: f32) -> Result<Tensor> {
        let inputs: Vec<u32> = segments.iter().flat_map(|s| &s[..s.len() - 1]).copied().collect();
        let targets: Vec<u32> = segments.iter().flat_map(|s| &s[1..]).copied().collect();
        self.logits(variables, &inputs)?.apply_op1(CrossEntropy { targets, scale })
    }
}
