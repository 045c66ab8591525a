//! Configuration of GGUF files of the architectures `llama` and `qwen2`.

use super::check::{self, FieldNames};
use super::own_attention;
use super::reader_llama::{self, Bias, Biases};
use crate::error::{Error, Result};
use crate::formats::gguf::{Gguf, Metadata};
use crate::model::config::{LongRope, Mlp, ModelConfig, Norm, PositionConfig, RopeLayout};
use crate::model::weights::ModelWeights;
use crate::note::Note;
use crate::policy::{LongRopeFactors, PositionScaling};

/// RoPE's base where the file gives none, as the format defines it.
const DEFAULT_THETA: f64 = 10_000.0;

/// The divisors of RoPE's frequencies, at every length.
const DIVISORS: &str = "rope_freqs.weight";
/// LongRoPE's beyond the trained length, and within it.
const LONG_FACTORS: &str = "rope_factors_long.weight";
const SHORT_FACTORS: &str = "rope_factors_short.weight";

/// How near stored divisors are to those of Llama 3 where they are the same: a few roundings to f32.
const LIKE_LLAMA_3: f64 = 2e-6;

/// Weights of the decoder that `config` describes.
pub(super) fn weights(gguf: &Gguf, config: &ModelConfig) -> Result<ModelWeights> {
    let biases = Biases {
        attention_input: if config.architecture == "qwen2" { Bias::Required } else { Bias::IfPresent },
        attention_output: Bias::IfPresent,
        mlp: Bias::IfPresent,
    };
    reader_llama::weights(&gguf.tensors, config, &reader_llama::GGUF_NAMES, biases)
}

/// Configuration, and what is to be said of it; refuses a model of which parts are missing.
pub(super) fn config(gguf: &Gguf) -> Result<(ModelConfig, Vec<Note>)> {
    gguf.check_whole()?;
    let metadata = &gguf.metadata;
    let architecture =
        metadata.require("general.architecture", metadata.text("general.architecture")?)?.to_owned();
    let layout = match architecture.as_str() {
        // Converters reorder the rows of query and key for this architecture, and for no other.
        "llama" => RopeLayout::Interleaved,
        "qwen2" => RopeLayout::HalfSplit,
        other => {
            let detail = format!("{}: supported are `llama` and `qwen2`", metadata.path().display());
            return Err(Error::unsupported(format!("GGUF architecture `{other}`"), detail));
        }
    };
    let keys = Keys { metadata, architecture: &architecture };
    if keys.integer("expert_count")?.is_some_and(|experts| experts > 0) {
        let detail = format!("{}: {} is not 0", metadata.path().display(), keys.name("expert_count"));
        return Err(Error::unsupported("a mixture of experts", detail));
    }

    refuse_scales(&keys)?;

    let hidden = keys.width("embedding_length")?;
    let heads = keys.width("attention.head_count")?;
    let kv_heads = match keys.integer("attention.head_count_kv")? {
        Some(_) => keys.width("attention.head_count_kv")?,
        None => heads,
    };
    let head_dim = match keys.integer("attention.key_length")? {
        Some(_) => keys.width("attention.key_length")?,
        None => check::derived_head_dim(metadata.path(), &keys.name("attention.head_count"), hidden, heads)?,
    };
    check_attention_scale(&keys, head_dim)?;
    if let Some(value_dim) = keys.integer("attention.value_length")?.filter(|&dim| dim != head_dim as u64) {
        return Err(keys.malformed("attention.value_length", format!("{head_dim}, as for keys"), value_dim));
    }
    let rope_dim = match keys.integer("rope.dimension_count")? {
        Some(_) => keys.width("rope.dimension_count")?,
        None => head_dim,
    };
    let theta = keys.number("rope.freq_base")?.unwrap_or(DEFAULT_THETA);
    let layer_count = keys.require_integer("block_count")?;
    let trained_length = keys.require_integer("context_length")?;
    let (scaling, long_rope) = scaling(gguf, &keys, theta, rope_dim, trained_length)?;
    let epsilon_key = keys.name("attention.layer_norm_rms_epsilon");
    let epsilon = metadata.require(&epsilon_key, metadata.number(&epsilon_key)?)?;

    let mut config = ModelConfig {
        vocabulary: vocabulary(gguf, &keys)?,
        hidden,
        layers: check::size(metadata.path(), &keys.name("block_count"), layer_count, check::LAYERS)?,
        heads,
        kv_heads,
        head_dim,
        intermediate: keys.width("feed_forward_length")?,
        norm: Norm::Rms { epsilon: epsilon as f32 },
        mlp: Mlp::SwiGlu,
        position: PositionConfig::Rope { theta, dim: rope_dim, layout, scaling, long_rope },
        tied_embeddings: !gguf.tensors.contains("output.weight"),
        sliding_windows: Vec::new(),
        trained_length: check::size(
            metadata.path(),
            &keys.name("context_length"),
            trained_length,
            check::LENGTHS,
        )? as u64,
        architecture: architecture.clone(),
    };
    let names = FieldNames {
        heads: &keys.name("attention.head_count"),
        kv_heads: &keys.name("attention.head_count_kv"),
        head_dim: &keys.name("attention.key_length"),
        epsilon: &epsilon_key,
        rope_theta: &keys.name("rope.freq_base"),
        rope_dim: &keys.name("rope.dimension_count"),
    };
    check::check(metadata.path(), &config, &names)?;
    let window_key = keys.name("attention.sliding_window");
    // 0 stands for none.
    let window = metadata.integer(&window_key)?.filter(|&window| window > 0);
    if let Some(window) = window {
        check::size(metadata.path(), &window_key, window, check::LENGTHS)?;
    }
    let windows = vec![window; config.layers];
    let mut notes: Vec<Note> =
        own_attention::set_windows(&mut config, &window_key, windows).into_iter().collect();
    let short = PositionScaling::LongRope { factors: LongRopeFactors::Short };
    if matches!(config.position, PositionConfig::Rope { scaling, .. } if scaling == short) {
        let said = "RoPE's frequencies are divided by the numbers of this tensor, at every length alike";
        notes.push(Note::new(DIVISORS, said));
    }
    Ok((config, notes))
}

/// Rows of the embedding; held against what the metadata say.
fn vocabulary(gguf: &Gguf, keys: &Keys<'_>) -> Result<usize> {
    let rows = gguf.tensors.get("token_embd.weight")?.shape[0];
    match keys.integer("vocab_size")? {
        Some(stated) if stated != rows as u64 => {
            Err(keys.malformed("vocab_size", format!("{rows}, the rows of token_embd.weight"), stated))
        }
        _ => check::size(keys.metadata.path(), "rows of token_embd.weight", rows as u64, check::WIDTHS),
    }
}

/// Refuses numbers by which other families multiply, or bound, what this decoder leaves alone.
fn refuse_scales(keys: &Keys<'_>) -> Result<()> {
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
    ] {
        if let Some(value) = keys.number(key)?.filter(|&value| value != 0.0 && value != neutral) {
            return Err(keys.unsupported(key, value));
        }
    }
    for (key, neutral) in [("attention.causal", true), ("use_parallel_residual", false)] {
        if let Some(value) = keys.boolean(key)?.filter(|&value| value != neutral) {
            return Err(keys.unsupported(key, value));
        }
    }
    Ok(())
}

/// Refuses a scale of attention logits other than `1/sqrt(head_dim)`.
fn check_attention_scale(keys: &Keys<'_>, head_dim: usize) -> Result<()> {
    let usual = 1.0 / (head_dim as f64).sqrt();
    let other = |&scale: &f64| scale != 0.0 && (scale - usual).abs() > 1e-6 * usual;
    match keys.number("attention.scale")?.filter(other) {
        None => Ok(()),
        Some(scale) => Err(keys.unsupported("attention.scale", scale)),
    }
}

/// Scaling of the position encoding, and the divisors of its frequencies where the file has them.
fn scaling(
    gguf: &Gguf,
    keys: &Keys<'_>,
    theta: f64,
    dim: usize,
    trained_length: u64,
) -> Result<(PositionScaling, Option<LongRope>)> {
    let kind = keys.text("rope.scaling.type")?;
    // `rope.scale_linear` is the name of older files.
    let old_factor = keys.number("rope.scale_linear")?;
    let factor = keys.number("rope.scaling.factor")?.or(old_factor).filter(|&factor| factor != 0.0);
    let scaling = match (kind, factor) {
        (Some("none"), _) | (None, None) => PositionScaling::None,
        (None | Some("linear"), Some(1.0)) => PositionScaling::None,
        (None | Some("linear"), Some(factor)) => PositionScaling::Linear { factor },
        (Some("yarn"), Some(factor)) => {
            let original_length = keys.require_integer("rope.scaling.original_context_length")?;
            // llama.cpp multiplies the published factor by this one; the second is the name of newer files.
            let extra = match keys.number("rope.scaling.attn_factor")? {
                Some(extra) => Some(extra),
                None => keys.number("rope.scaling.yarn_attn_factor")?,
            };
            let attention_factor = extra.filter(|&extra| extra != 1.0);
            for (key, usual) in
                [("rope.scaling.yarn_ext_factor", 1.0), ("rope.scaling.yarn_log_multiplier", 0.0)]
            {
                if let Some(other) = keys.number(key)?.filter(|&value| value != usual && value >= 0.0) {
                    let detail = format!("{}: {} = {other}", keys.metadata.path().display(), keys.name(key));
                    return Err(Error::unsupported("YaRN with other than its published parameters", detail));
                }
            }
            PositionScaling::Yarn {
                factor,
                original_length,
                beta_fast: keys.number("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                beta_slow: keys.number("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
                attention_factor: attention_factor.map(|extra| extra * (0.1 * factor.ln() + 1.0)),
                exact_bounds: false,
            }
        }
        (Some("linear" | "yarn"), None) => {
            return Err(keys.malformed("rope.scaling.factor", "this key", "no such key"));
        }
        (Some("longrope"), None | Some(1.0)) => {
            let long_rope = long_rope(gguf, keys, dim, trained_length)?;
            return Ok((PositionScaling::LongRope { factors: LongRopeFactors::ByLength }, Some(long_rope)));
        }
        (Some("longrope"), Some(factor)) => {
            return Err(keys.malformed(
                "rope.scaling.factor",
                "none or 1, beside LongRoPE's factors",
                factor,
            ));
        }
        (Some(other), _) => {
            return Err(keys.malformed("rope.scaling.type", "none, linear, yarn or longrope", other));
        }
    };
    refuse_yarn_fields(keys, kind)?;
    if let Some(name) = [LONG_FACTORS, SHORT_FACTORS].into_iter().find(|name| gguf.tensors.contains(name)) {
        let expected = format!("longrope, beside a tensor `{name}`");
        return Err(keys.malformed("rope.scaling.type", expected, kind.unwrap_or("no such key")));
    }
    if !gguf.tensors.contains(DIVISORS) {
        return Ok((scaling, None));
    }
    if scaling != PositionScaling::None {
        return Err(keys.malformed(
            "rope.scaling.type",
            format!("none, beside a tensor `{DIVISORS}`"),
            kind.unwrap_or("a factor"),
        ));
    }
    let divisors = gguf.tensors.vector(DIVISORS, dim / 2)?;
    if let Some(llama3) = llama3_scaling(&divisors, theta, dim) {
        return Ok((llama3, None));
    }
    // Any others are applied as they are: they are what LongRoPE calls factors, the same at every length.
    let divisors = positive(keys, DIVISORS, &divisors)?;
    let long_rope =
        LongRope { short: divisors.clone(), long: divisors, original_length: trained_length, magnitude: 1.0 };
    Ok((PositionScaling::LongRope { factors: LongRopeFactors::Short }, Some(long_rope)))
}

/// LongRoPE's factors, and what llama.cpp multiplies rotated queries and keys with.
fn long_rope(gguf: &Gguf, keys: &Keys<'_>, dim: usize, trained_length: u64) -> Result<LongRope> {
    let factors = |name: &str| positive(keys, name, &gguf.tensors.vector(name, dim / 2)?);
    let magnitude = keys.number("rope.scaling.attn_factor")?.unwrap_or(1.0);
    if !(magnitude.is_finite() && magnitude > 0.0) {
        return Err(keys.malformed("rope.scaling.attn_factor", "a positive number", magnitude));
    }
    let original = keys.integer("rope.scaling.original_context_length")?.unwrap_or(trained_length);
    Ok(LongRope {
        short: factors(SHORT_FACTORS)?,
        long: factors(LONG_FACTORS)?,
        original_length: original.max(2),
        magnitude,
    })
}

/// `divisors` as f64; refuses what no frequency can be divided by.
fn positive(keys: &Keys<'_>, tensor: &str, divisors: &[f32]) -> Result<Vec<f64>> {
    match divisors.iter().find(|&&divisor| divisor <= 0.0) {
        None => Ok(divisors.iter().copied().map(f64::from).collect()),
        Some(divisor) => {
            let field = format!("tensor `{tensor}`");
            Err(Error::malformed(keys.metadata.path(), field, "positive numbers", divisor))
        }
    }
}

/// Refuses numbers of YaRN that are not understood, and those that llama.cpp applies without YaRN, too.
fn refuse_yarn_fields(keys: &Keys<'_>, kind: Option<&str>) -> Result<()> {
    let yarn = kind == Some("yarn");
    if let Some(value) = keys.number("rope.scaling.yarn_log_multiplier")?.filter(|&value| value != 0.0) {
        return Err(keys.unsupported("rope.scaling.yarn_log_multiplier", value));
    }
    // Below 0 is the default: 1 with YaRN, 0 without.
    let usual = if yarn { 1.0 } else { 0.0 };
    let other = |&value: &f64| value >= 0.0 && value != usual || value.is_nan();
    if let Some(value) = keys.number("rope.scaling.yarn_ext_factor")?.filter(other) {
        return Err(keys.unsupported("rope.scaling.yarn_ext_factor", value));
    }
    for key in ["rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"] {
        if let Some(value) = keys.number(key)?.filter(|&value| !yarn && value != 1.0) {
            return Err(keys.unsupported(key, value));
        }
    }
    Ok(())
}

/// Llama 3's bands from the divisors of the frequencies, in which GGUF stores them. Every published model of the family
/// has the constants below and differs in the factor alone; `None` if `divisors` does not follow from them.
fn llama3_scaling(divisors: &[f32], theta: f64, dim: usize) -> Option<PositionScaling> {
    const ORIGINAL_LENGTH: u64 = 8192;
    const LOW_FREQUENCY: f64 = 1.0;
    const HIGH_FREQUENCY: f64 = 4.0;
    let factor = f64::from(divisors.iter().copied().fold(0.0, f32::max));
    let explained = divisors.iter().enumerate().all(|(pair, &divisor)| {
        let wavelength = 2.0 * std::f64::consts::PI * theta.powf(2.0 * pair as f64 / dim as f64);
        let rotations = ORIGINAL_LENGTH as f64 / wavelength;
        // 0: interpolated by the factor, 1: left alone.
        let kept = ((rotations - LOW_FREQUENCY) / (HIGH_FREQUENCY - LOW_FREQUENCY)).clamp(0.0, 1.0);
        let expected = 1.0 / (kept + (1.0 - kept) / factor);
        (f64::from(divisor) - expected).abs() <= LIKE_LLAMA_3 * expected
    });
    match explained {
        true if factor == 1.0 => Some(PositionScaling::None),
        true => Some(PositionScaling::Llama3 {
            factor,
            original_length: ORIGINAL_LENGTH,
            low_frequency: LOW_FREQUENCY,
            high_frequency: HIGH_FREQUENCY,
        }),
        false => None,
    }
}

/// Metadata under the prefix of an architecture.
struct Keys<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.metadata.integer(&self.name(key))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.metadata.number(&self.name(key))
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.metadata.boolean(&self.name(key))
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.metadata.text(&self.name(key))
    }

    fn require_integer(&self, key: &str) -> Result<u64> {
        self.metadata.require(&self.name(key), self.integer(key)?)
    }

    fn width(&self, key: &str) -> Result<usize> {
        check::size(self.metadata.path(), &self.name(key), self.require_integer(key)?, check::WIDTHS)
    }

    fn unsupported(&self, key: &str, got: impl ToString) -> Error {
        let detail = format!("{}: it is {}", self.metadata.path().display(), got.to_string());
        Error::unsupported(format!("`{}`", self.name(key)), detail)
    }

    fn malformed(&self, key: &str, expected: impl ToString, got: impl ToString) -> Error {
        self.metadata.malformed(&self.name(key), expected, got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_bands_are_recognized_by_their_divisors() {
        // head width 64, base 500000, factor 32: Llama 3.2 1B, by the published rule in its branching form.
        let (theta, dim, factor) = (500_000f64, 64, 32.0);
        let divisors: Vec<f32> = (0..dim / 2)
            .map(|pair| {
                let wavelength = 2.0 * std::f64::consts::PI * theta.powf(2.0 * pair as f64 / dim as f64);
                if wavelength < 8192.0 / 4.0 {
                    1.0
                } else if wavelength > 8192.0 {
                    factor as f32
                } else {
                    let smooth = (8192.0 / wavelength - 1.0) / 3.0;
                    (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
                }
            })
            .collect();
        let found = llama3_scaling(&divisors, theta, dim);
        assert!(matches!(found, Some(PositionScaling::Llama3 { factor: 32.0, .. })), "{found:?}");
        assert_eq!(llama3_scaling(&[1.0; 32], theta, dim), Some(PositionScaling::None));
        let mut other = divisors;
        other[20] *= 1.00001;
        assert_eq!(llama3_scaling(&other, theta, dim), None);
    }
}
