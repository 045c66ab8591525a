//! Whether weights fit the configuration of a decoder.

use crate::error::{Error, Result};
use crate::model::config::{ModelConfig, Norm, PositionConfig, Residual};
use crate::model::weights::{
    ExpertWeights, FeedForward, Linear, Matrix, MlpWeights, ModelWeights, NormWeights,
};

/// Refuses weights whose shapes do not fit `config`.
pub(super) fn check(config: &ModelConfig, weights: &ModelWeights) -> Result<()> {
    let refuse = |what: String, expected: String, got: String| {
        Err(Error::input(format!("tensor {what}"), format!("expected {expected}, got {got}")))
    };
    let ModelConfig { hidden, heads, kv_heads, head_dim, intermediate, vocabulary, .. } = *config;
    if heads == 0
        || kv_heads == 0
        || head_dim == 0
        || hidden == 0
        || vocabulary == 0
        || !heads.is_multiple_of(kv_heads)
    {
        return refuse(
            "shapes".into(),
            "positive sizes, heads a multiple of kv_heads".into(),
            format!(
                "hidden {hidden}, heads {heads}, kv_heads {kv_heads}, head_dim {head_dim}, vocabulary {vocabulary}"
            ),
        );
    }
    if !config.layer_positions.is_empty() && config.layer_positions.len() != config.layers {
        let got = config.layer_positions.len();
        return refuse("positions by layer".into(), config.layers.to_string(), got.to_string());
    }
    for layer in 0..config.layers {
        if let PositionConfig::Rope { dim, .. } = *config.position_at(layer)
            && (dim == 0 || dim > head_dim || dim % 2 == 1)
        {
            return refuse(
                "rope".into(),
                format!("an even dimension of at most {head_dim}"),
                dim.to_string(),
            );
        }
    }
    if weights.head_bias.is_some() && config.multipliers.logits != 1.0 {
        return refuse("head, bias".into(), "none beside a multiplier of logits".into(), "one".into());
    }
    if weights.layers.len() != config.layers {
        return refuse("layers".into(), config.layers.to_string(), weights.layers.len().to_string());
    }
    let matrix = |name: String, matrix: &Matrix, rows: usize, columns: usize| {
        if (matrix.rows(), matrix.columns()) == (rows, columns) {
            Ok(())
        } else {
            refuse(name, format!("[{rows}, {columns}]"), format!("[{}, {}]", matrix.rows(), matrix.columns()))
        }
    };
    let vector = |name: String, len: usize, expected: usize| {
        if len == expected { Ok(()) } else { refuse(name, format!("[{expected}]"), format!("[{len}]")) }
    };
    matrix("embedding".into(), &weights.embedding, vocabulary, hidden)?;
    matrix("head".into(), &weights.head, vocabulary, hidden)?;
    match (&weights.position_embedding, config.most_tokens()) {
        (Some(positions), Some(count)) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            matrix("position embedding".into(), positions, count, hidden)?;
        }
        (None, None) => {}
        (positions, _) => {
            let (expected, got) = if positions.is_some() { ("none", "one") } else { ("one", "none") };
            return refuse("position embedding".into(), expected.into(), got.into());
        }
    }
    let norm = |name: String, norm: &NormWeights| {
        vector(name.clone(), norm.weight.len(), hidden)?;
        match (&norm.bias, config.norm) {
            (None, _) => Ok(()),
            (Some(bias), Norm::Layer { .. }) => vector(format!("{name}, bias"), bias.len(), hidden),
            (Some(_), Norm::Rms { .. }) => {
                refuse(format!("{name}, bias"), "none of an RMS norm".into(), "one".into())
            }
        }
    };
    norm("final norm".into(), &weights.final_norm)?;
    weights.embedding_norm.as_ref().map_or(Ok(()), |own| norm("embedding norm".into(), own))?;
    weights.head_bias.as_ref().map_or(Ok(()), |bias| vector("head, bias".into(), bias.len(), vocabulary))?;
    for (index, layer) in weights.layers.iter().enumerate() {
        let linear = |name: &str, linear: &Linear, rows: usize, columns: usize| {
            let name = format!("{name} of layer {index}");
            matrix(name.clone(), &linear.weight, rows, columns)?;
            linear.bias.as_ref().map_or(Ok(()), |bias| vector(format!("{name}, bias"), bias.len(), rows))
        };
        let own = |part: &str, before: &Option<NormWeights>, behind: &Option<NormWeights>| {
            let what = format!("{part} norm of layer {index}");
            match (before, behind) {
                (Some(own), _) => norm(what, own),
                (None, Some(_)) => Ok(()),
                (None, None) => refuse(what, "one before or behind".into(), "none".into()),
            }
        };
        own("attention", &layer.attention_norm, &layer.attention_post_norm)?;
        for post_norm in layer.attention_post_norm.iter().chain(&layer.mlp_post_norm) {
            norm(format!("norm behind attention or mlp of layer {index}"), post_norm)?;
        }
        if config.residual == Residual::Sequential || layer.mlp_norm.is_some() {
            own("mlp", &layer.mlp_norm, &layer.mlp_post_norm)?;
        }
        if layer.query_key_norm.is_some() != config.query_key_norm {
            let (expected, got) = if config.query_key_norm { ("some", "none") } else { ("none", "some") };
            return refuse(format!("query and key norm of layer {index}"), expected.into(), got.into());
        }
        for (weight, heads) in layer.query_key_norm.iter().flatten().zip([heads, kv_heads]) {
            if weight.len() != heads * head_dim {
                vector(format!("query or key norm of layer {index}"), weight.len(), head_dim)?;
            }
        }
        linear("query", &layer.query, heads * head_dim, hidden)?;
        linear("key", &layer.key, kv_heads * head_dim, hidden)?;
        linear("value", &layer.value, kv_heads * head_dim, hidden)?;
        linear("attention output", &layer.output, hidden, heads * head_dim)?;
        let mlp = |of: &MlpWeights, intermediate: usize| {
            match (&of.gate, config.mlp.is_gated()) {
                (Some(gate), true) => linear("gate", gate, intermediate, hidden)?,
                (None, false) => {}
                (gate, _) => {
                    let (expected, got) = if gate.is_some() { ("none", "one") } else { ("one", "none") };
                    return refuse(format!("gate of layer {index}"), expected.into(), got.into());
                }
            }
            linear("up", &of.up, intermediate, hidden)?;
            linear("down", &of.down, hidden, intermediate)
        };
        match (&layer.feed_forward, config.experts) {
            (FeedForward::Dense(of), _) => mlp(of, intermediate)?,
            (FeedForward::Experts(ExpertWeights { router, experts }), Some(of)) => {
                linear("router", router, of.count, hidden)?;
                if experts.len() != of.count || of.per_token == 0 || of.per_token > of.count {
                    let expected = format!("{}, of which a token goes through some", of.count);
                    let got = format!("{}, of which it goes through {}", experts.len(), of.per_token);
                    return refuse(format!("experts of layer {index}"), expected, got);
                }
                experts.iter().try_for_each(|expert| mlp(expert, of.intermediate))?;
            }
            (FeedForward::Experts(_), None) => {
                return refuse(format!("experts of layer {index}"), "none".into(), "some".into());
            }
        }
        match (&layer.sinks, config.learned_sinks) {
            (Some(sinks), true) => vector(format!("sinks of layer {index}"), sinks.len(), heads)?,
            (None, false) => {}
            (sinks, _) => {
                let (expected, got) = if sinks.is_some() { ("none", "some") } else { ("some", "none") };
                return refuse(format!("sinks of layer {index}"), expected.into(), got.into());
            }
        }
    }
    Ok(())
}
