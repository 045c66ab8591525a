//! Numbers of a GGUF file that a decoder multiplies by, or that bound its logits: applied where the architecture does so, refused
//! elsewhere.

use super::gguf_families::{Architecture, Parallel, Position};
use super::gguf_keys::Keys;
use crate::error::Result;
use crate::model::config::{ModelConfig, Multipliers, SoftCaps};

/// Bounds of the logits of attention and of the output; 0 stands for none.
pub(super) fn soft_caps(keys: &Keys<'_>, architecture: &Architecture) -> Result<SoftCaps> {
    let Some([attention, logits]) = architecture.soft_caps else { return Ok(SoftCaps::default()) };
    let cap = |key: &str, default: f64| match keys.number(key)?.unwrap_or(default) {
        0.0 => Ok(None),
        cap if cap.is_finite() && cap > 0.0 => Ok(Some(cap as f32)),
        cap => Err(keys.malformed(key, "a positive number, or 0 for none", cap)),
    };
    Ok(SoftCaps {
        attention: cap("attn_logit_softcapping", attention)?,
        logits: cap("final_logit_softcapping", logits)?,
    })
}

/// What is multiplied on the way.
pub(super) fn multipliers(
    keys: &Keys<'_>,
    architecture: &Architecture,
    config: &ModelConfig,
) -> Result<Multipliers> {
    let mut multipliers = Multipliers::default();
    let (hidden, head_dim) = (config.hidden as f64, config.head_dim as f64);
    if architecture.scaled_embedding {
        multipliers.embedding = hidden.sqrt() as f32;
    }
    if architecture.scaled_by_hidden == Some(config.layers) {
        multipliers.queries = (head_dim / (config.hidden / config.heads) as f64).sqrt() as f32;
    }
    // 0 stands for a number that is not there.
    let number = |key: &str| match keys.number(key)?.filter(|&number| number != 0.0) {
        Some(number) if !(number.is_finite() && number > 0.0) => {
            Err(keys.malformed(key, "a positive number", number))
        }
        number => Ok(number),
    };
    let attention = number("attention.scale")?;
    if architecture.multipliers {
        for (key, taken) in [
            ("embedding_scale", "1"),
            ("residual_scale", "1"),
            ("logit_scale", "1"),
            ("attention.scale", "1/√(width of a head)"),
        ] {
            if keys.number(key)?.is_none() {
                keys.tell_default(key, taken);
            }
        }
        multipliers = Multipliers {
            embedding: number("embedding_scale")?.unwrap_or(1.0) as f32,
            // In place of `1/sqrt(head_dim)`.
            queries: attention.map_or(1.0, |scale| scale * head_dim.sqrt()) as f32,
            residual: number("residual_scale")?.unwrap_or(1.0) as f32,
            // Logits are divided by it.
            logits: (1.0 / number("logit_scale")?.unwrap_or(1.0)) as f32,
        };
        return Ok(multipliers);
    }
    if architecture.scaled_logits {
        let scale = keys.metadata.require(&keys.name("logit_scale"), keys.number("logit_scale")?)?;
        multipliers.logits = number("logit_scale")?.map_or(1.0, |_| scale as f32);
    }
    if let Some(scale) = attention {
        let default = f64::from(multipliers.queries) / head_dim.sqrt();
        if (scale - default).abs() > 1e-6 * default {
            return Err(keys.unsupported("attention.scale", scale));
        }
    }
    Ok(multipliers)
}

/// Refuses numbers by which other families multiply, or bound, what this decoder leaves alone.
pub(super) fn refuse_others(keys: &Keys<'_>, architecture: &Architecture) -> Result<()> {
    let of_mpt = ["attention.clamp_kqv", "attention.max_alibi_bias"];
    let (scales, caps) = (
        ["logit_scale", "embedding_scale", "residual_scale"],
        ["attn_logit_softcapping", "final_logit_softcapping"],
    );
    let is_read = |key: &str| {
        architecture.multipliers && scales.contains(&key)
            || architecture.scaled_logits && key == "logit_scale"
            || architecture.soft_caps.is_some() && caps.contains(&key)
            || of_mpt.contains(&key) && architecture.position == Position::AlibiOfMetadata
            || key == "use_parallel_residual"
                && [Parallel::OfMetadata, Parallel::OfTensors].contains(&architecture.parallel)
    };
    // With the value, beside 0, that changes nothing.
    for (key, neutral) in [
        ("logit_scale", 1.0),
        ("embedding_scale", 1.0),
        ("residual_scale", 1.0),
        ("attention.output_scale", 1.0),
        ("attention.value_scale", 1.0),
        ("attention.clamp_kqv", 0.0),
        ("attention.max_alibi_bias", 0.0),
        ("attention.temperature_scale", 0.0),
        ("attn_logit_softcapping", 0.0),
        ("final_logit_softcapping", 0.0),
        // Blocks that guess at later tokens (GLM).
        ("nextn_predict_layers", 0.0),
    ] {
        let value = keys.number(key)?.filter(|_| !is_read(key));
        if let Some(value) = value.filter(|&value| value != 0.0 && value != neutral) {
            return Err(keys.unsupported(key, value));
        }
    }
    for (key, neutral) in [("attention.causal", true), ("use_parallel_residual", false)] {
        if let Some(value) = keys.boolean(key)?.filter(|&value| value != neutral && !is_read(key)) {
            return Err(keys.unsupported(key, value));
        }
    }
    // Positions of images beside those of texts.
    const SECTIONS: &str = "rope.dimension_sections";
    let sections = keys.metadata.is_array(&keys.name(SECTIONS));
    let sections = sections.then(|| keys.metadata.integers(&keys.name(SECTIONS))).transpose()?.flatten();
    match sections.filter(|sections| sections.iter().any(|&section| section != 0)) {
        Some(_) => Err(keys.unsupported(SECTIONS, "an array of other numbers than 0")),
        None => Ok(()),
    }
}
