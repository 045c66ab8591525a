//! The decoder as a graph for candle's autograd: the same mathematics as [`lm_infinite_runtime::session::decoder`], over whole segments.

use candle_core::{Device, Result, Tensor, Var};
use lm_infinite_runtime::Error;
use lm_infinite_runtime::model::config::{Mlp, ModelConfig, Norm, Residual};

use super::layout::{BlockLayout, Layout, Parts, Weighted};
use super::ops::{
    Activation, AddBias, Attention, CrossEntropy, Gate, LayerNorm, LinearOp, RmsNorm, SinkAttention,
};

/// A decoder over segments of one length.
#[derive(Clone)]
pub struct Graph {
    layout: Layout,
    norm: Norm,
    mlp: Mlp,
    residual: Residual,
    embedding_multiplier: f64,
    logits_cap: Option<f64>,
    length: usize,
    /// By layer.
    attention: Vec<Attention>,
}

impl Graph {
    /// Of `config` with `parts`, for segments of `length` tokens.
    ///
    /// # Errors
    /// Where `config` has what is not trained here: named.
    pub fn new(config: &ModelConfig, parts: Parts, length: usize) -> crate::Result<Self> {
        let experts = config.experts.is_some_and(|of| of.count != 1);
        let multipliers = (config.multipliers.residual, config.multipliers.logits) != (1.0, 1.0);
        for (present, what) in [
            (experts, "a mixture of more than one expert"),
            (multipliers, "multipliers of the residual stream or the logits"),
            (config.clip_qkv.is_some(), "bounds of queries, keys and values"),
            (config.query_key_norm, "normalized queries and keys"),
            (!config.layer_positions.is_empty(), "layers with positions of their own"),
            (!config.tied_embeddings, "an output head that is not the embedding"),
        ] {
            if present {
                return Err(Error::unsupported("training", what).into());
            }
        }
        let attention = Attention::of_layers(config, length)?;
        Ok(Self {
            layout: Layout::new(config, parts),
            norm: config.norm,
            mlp: config.mlp,
            residual: config.residual,
            embedding_multiplier: f64::from(config.multipliers.embedding),
            logits_cap: config.soft_caps.logits.map(f64::from),
            length,
            attention,
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
        let Layout { embedding, blocks, final_norm, head_bias, .. } = &self.layout;
        let embedding = variables[*embedding].as_tensor();
        let mut x = embedding.embedding(&Tensor::new(tokens, &Device::Cpu)?)?;
        if self.embedding_multiplier != 1.0 {
            x = (x * self.embedding_multiplier)?;
        }
        for (block, attention) in blocks.iter().zip(&self.attention) {
            x = self.block(variables, block, attention, x)?;
        }
        let mut logits = self.normed(variables, *final_norm, &x)?.apply_op2(embedding, LinearOp)?;
        if let Some(bias) = head_bias {
            logits = logits.apply_op2(&variables[*bias], AddBias)?;
        }
        match self.logits_cap {
            Some(cap) => (logits / cap)?.tanh()? * cap,
            None => Ok(logits),
        }
    }

    fn block(&self, variables: &[Var], of: &BlockLayout, attention: &Attention, x: Tensor) -> Result<Tensor> {
        let read = self.normed(variables, of.attention_norm, &x)?;
        let qkv = linear(variables, of.qkv, &read)?;
        let attended = match of.sinks {
            Some(sinks) => qkv.apply_op2(&variables[sinks], SinkAttention(attention.clone()))?,
            None => qkv.apply_op1(attention.clone())?,
        };
        let update = linear(variables, of.output, &attended)?;
        let update = self.behind(variables, of.attention_post_norm, update)?;
        let own = |x: &Tensor| of.mlp_norm.map(|norm| self.normed(variables, norm, x)).transpose();
        let (x, read) = match self.residual {
            Residual::Sequential => {
                let x = (x + update)?;
                let read = own(&x)?.unwrap_or_else(|| x.clone());
                (x, read)
            }
            Residual::Parallel => {
                let read = own(&x)?.unwrap_or(read);
                ((x + update)?, read)
            }
        };
        let up = linear(variables, of.up, &read)?;
        let inner = match self.mlp {
            Mlp::SwiGlu => up.apply_op1(Gate::SwiGlu)?,
            Mlp::SwiGluBounded => up.apply_op1(Gate::SwiGluBounded)?,
            Mlp::GeGluTanh => up.apply_op1(Gate::GeGluTanh)?,
            Mlp::Gelu => up.apply_op1(Activation::Gelu)?,
            Mlp::GeluTanh => up.apply_op1(Activation::GeluTanh)?,
        };
        let update = linear(variables, of.down, &inner)?;
        x + self.behind(variables, of.mlp_post_norm, update)?
    }

    fn behind(&self, variables: &[Var], norm: Option<Weighted>, update: Tensor) -> Result<Tensor> {
        norm.map_or(Ok(update.clone()), |norm| self.normed(variables, norm, &update))
    }

    fn normed(&self, variables: &[Var], of: Weighted, x: &Tensor) -> Result<Tensor> {
        let weight = &variables[of.weight];
        let normed = match self.norm {
            Norm::Rms { epsilon } => x.apply_op2(weight, RmsNorm { epsilon })?,
            Norm::Layer { epsilon } => x.apply_op2(weight, LayerNorm { epsilon })?,
        };
        biased(variables, of, normed)
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

fn linear(variables: &[Var], of: Weighted, x: &Tensor) -> Result<Tensor> {
    biased(variables, of, x.apply_op2(&variables[of.weight], LinearOp)?)
}

fn biased(variables: &[Var], of: Weighted, y: Tensor) -> Result<Tensor> {
    of.bias.map_or(Ok(y.clone()), |bias| y.apply_op2(&variables[bias], AddBias))
}
