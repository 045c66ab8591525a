//! Weights of GGUF files whose queries, keys and values are one matrix, by llama.cpp's names.

use super::gguf_families::Architecture;
use super::taken::{Bias, FusedRows, TakenTensors};
use crate::error::Result;
use crate::formats::tensors::TensorTable;
use crate::model::config::{ModelConfig, PositionConfig, Residual};
use crate::model::weights::{FeedForward, LayerWeights, MlpWeights, ModelWeights};

/// Takes all weights that `config` asks for. The format does not say which matrices have biases; the tensors do.
pub(super) fn weights(
    tensors: &TensorTable,
    config: &ModelConfig,
    architecture: &Architecture,
) -> Result<ModelWeights> {
    const BIAS: Bias = Bias::IfPresent;
    let &ModelConfig { hidden, vocabulary, intermediate, .. } = config;
    let mut taken = TakenTensors::new(tensors);
    let embedding = taken.linear("token_embd", vocabulary, hidden, Bias::None)?.weight;
    let position_embedding = match config.position {
        PositionConfig::Learned { count } => {
            let rows = usize::try_from(count).unwrap_or(usize::MAX);
            Some(taken.linear("position_embd", rows, hidden, Bias::None)?.weight)
        }
        _ => None,
    };
    let embedding_norm = match architecture.embedding_norm {
        true => Some(taken.norm("token_embd_norm", hidden, BIAS)?),
        false => None,
    };
    let mut layers = Vec::new();
    for layer in 0..config.layers {
        let name = |role: &str| format!("blk.{layer}.{role}");
        let [query, key, value] = taken.fused(&name("attn_qkv"), config, FusedRows::Blocks, BIAS)?;
        let first = taken.norm(&name("attn_norm"), hidden, BIAS)?;
        let has = |role: &str| tensors.contains(&format!("{}.weight", name(role)));
        // Falcon's second norm is that of attention; the first is then the MLP's, and without a second one both read the same.
        let (attention_norm, mlp_norm) = if has("attn_norm_2") {
            (taken.norm(&name("attn_norm_2"), hidden, BIAS)?, Some(first))
        } else if config.residual == Residual::Parallel && !has("ffn_norm") {
            (first, None)
        } else {
            (first, Some(taken.norm(&name("ffn_norm"), hidden, BIAS)?))
        };
        layers.push(LayerWeights {
            attention_norm: Some(attention_norm),
            query,
            key,
            value,
            attention_post_norm: None,
            query_key_norm: None,
            output: taken.linear(&name("attn_output"), hidden, hidden, BIAS)?,
            sinks: None,
            mlp_norm,
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: None,
                up: taken.linear(&name("ffn_up"), intermediate, hidden, BIAS)?,
                down: taken.linear(&name("ffn_down"), hidden, intermediate, BIAS)?,
            }),
            mlp_post_norm: None,
        });
    }
    let final_norm = taken.norm("output_norm", hidden, BIAS)?;
    let head = taken.head("output", config, &embedding)?;
    taken.finish(&[], &[], &config.architecture)?;
    Ok(ModelWeights {
        embedding,
        position_embedding,
        embedding_norm,
        layers,
        final_norm,
        head,
        head_bias: None,
    })
}
