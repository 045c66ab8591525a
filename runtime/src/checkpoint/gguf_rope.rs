//! RoPE as a GGUF file states it: `rope.*` of its metadata, and tensors of factors, as llama.cpp reads them.

use super::gguf_keys::Keys;
use crate::error::{Error, Result};
use crate::formats::gguf::Gguf;
use crate::model::config::{LongRope, PositionConfig, RopeLayout};
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

/// The encoding of heads of this width and layout; factors of LongRoPE may ask for it without a word in the metadata, as
/// converters of Phi-3 have it. What is worth saying goes to `notes`.
///
/// # Errors
/// Fields that are malformed, contradict each other, or are not understood.
pub(super) fn read(
    gguf: &Gguf,
    keys: &Keys<'_>,
    (head_dim, layout, long_rope_unsaid): (usize, RopeLayout, bool),
    trained_length: u64,
    notes: &mut Vec<Note>,
) -> Result<PositionConfig> {
    let dim = match keys.integer("rope.dimension_count")? {
        Some(_) => keys.width("rope.dimension_count")?,
        None => {
            keys.tell_default("rope.dimension_count", head_dim);
            head_dim
        }
    };
    let theta = keys.number_or("rope.freq_base", DEFAULT_THETA)?;
    // Read where something is scaled; a number in any case.
    keys.integer("rope.scaling.original_context_length")?;
    let has_factors = [LONG_FACTORS, SHORT_FACTORS].iter().any(|name| gguf.tensors.contains(name));
    let kind = match keys.text("rope.scaling.type")? {
        None if long_rope_unsaid && has_factors => Some("longrope"),
        kind => kind,
    };
    let (scaling, long_rope) = scaling(gguf, keys, kind, theta, dim, trained_length)?;
    if scaling == (PositionScaling::LongRope { factors: LongRopeFactors::Short }) {
        let said = "RoPE's frequencies are divided by the numbers of this tensor, at every length alike";
        notes.push(Note::new(DIVISORS, said));
    }
    Ok(PositionConfig::Rope { theta, dim, layout, scaling, long_rope })
}

/// Scaling of the position encoding, and the divisors of its frequencies where the file has them.
fn scaling(
    gguf: &Gguf,
    keys: &Keys<'_>,
    kind: Option<&str>,
    theta: f64,
    dim: usize,
    trained_length: u64,
) -> Result<(PositionScaling, Option<LongRope>)> {
    // `rope.scale_linear` is the name of older files.
    let old_factor = keys.number("rope.scale_linear")?;
    let factor = keys.number("rope.scaling.factor")?.or(old_factor).filter(|&factor| factor != 0.0);
    let scaling = match (kind, factor) {
        (Some("none"), _) | (None, None) => PositionScaling::None,
        (None | Some("linear"), Some(1.0)) => PositionScaling::None,
        (None | Some("linear"), Some(factor)) => {
            if kind.is_none() {
                keys.tell_default("rope.scaling.type", "linear");
            }
            PositionScaling::Linear { factor }
        }
        (Some("yarn"), Some(factor)) => {
            let original_length = keys.require_integer("rope.scaling.original_context_length")?;
            // llama.cpp multiplies the published factor by this one; the second is the name of newer files.
            let extra = match keys.number("rope.scaling.attn_factor")? {
                Some(extra) => Some(extra),
                None => keys.number("rope.scaling.yarn_attn_factor")?,
            };
            let attention_factor = extra.filter(|&extra| extra != 1.0);
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
    let magnitude = keys.number_or("rope.scaling.attn_factor", 1.0)?;
    if !(magnitude.is_finite() && magnitude > 0.0) {
        return Err(keys.malformed("rope.scaling.attn_factor", "a positive number", magnitude));
    }
    const ORIGINAL: &str = "rope.scaling.original_context_length";
    let original = keys.integer(ORIGINAL)?.unwrap_or_else(|| {
        keys.tell_default(ORIGINAL, trained_length);
        trained_length
    });
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
    let default = if yarn { 1.0 } else { 0.0 };
    let other = |&value: &f64| value >= 0.0 && value != default || value.is_nan();
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
