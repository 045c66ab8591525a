//! What every configuration must satisfy, whichever file it was read from.

use std::ops::RangeInclusive;
use std::path::Path;

use crate::error::{Error, Result};
use crate::model::config::{ModelConfig, PositionConfig};
use crate::policy::AttentionPolicy;

/// Sizes beyond these belong to no decoder; products of two of them fit 64 bits.
pub(super) const WIDTHS: RangeInclusive<u64> = 1..=1 << 31;
/// Number of blocks.
pub(super) const LAYERS: RangeInclusive<u64> = 1..=1 << 12;
/// Trained lengths, in tokens.
pub(super) const LENGTHS: RangeInclusive<u64> = 1..=1 << 40;

/// The file's own names of the fields that [`check`] complains about.
pub(super) struct FieldNames<'a> {
    pub heads: &'a str,
    pub kv_heads: &'a str,
    pub head_dim: &'a str,
    pub epsilon: &'a str,
    /// `None` where no field says it.
    pub rope_theta: Option<&'a str>,
    /// `None` where no field says it.
    pub rope_dim: Option<&'a str>,
}

/// `value` as a size, if it lies in `range`.
pub(super) fn size(path: &Path, field: &str, value: u64, range: RangeInclusive<u64>) -> Result<usize> {
    usize::try_from(value).ok().filter(|_| range.contains(&value)).ok_or_else(|| {
        Error::malformed(path, field, format!("a number from {} to {}", range.start(), range.end()), value)
    })
}

/// `number` as an f32, if that holds it as a positive number: what a decoder multiplies, divides or bounds by.
pub(super) fn positive(path: &Path, field: impl Into<String>, number: f64) -> Result<f32> {
    let narrow = number as f32;
    if narrow.is_finite() && narrow > 0.0 && number > 0.0 {
        return Ok(narrow);
    }
    Err(Error::malformed(path, field, "a positive number, of the range of an f32", number))
}

/// Width of a head where the file does not give one: `hidden / heads`.
pub(super) fn derived_head_dim(path: &Path, field: &str, hidden: usize, heads: usize) -> Result<usize> {
    if hidden.is_multiple_of(heads) {
        return Ok(hidden / heads);
    }
    Err(Error::malformed(path, field, format!("a divisor of the hidden size {hidden}"), heads))
}

/// Refuses numbers that do not fit together.
pub(super) fn check(path: &Path, config: &ModelConfig, names: &FieldNames<'_>) -> Result<()> {
    let refuse = |field: &str, expected: String, got: &dyn ToString| {
        Err(Error::malformed(path, field, expected, got.to_string()))
    };
    if !config.heads.is_multiple_of(config.kv_heads) {
        return refuse(
            names.kv_heads,
            format!("a divisor of {} = {}", names.heads, config.heads),
            &config.kv_heads,
        );
    }
    if config.heads.checked_mul(config.head_dim).is_none_or(|width| width as u64 > *WIDTHS.end()) {
        return refuse(
            names.head_dim,
            format!("heads · head width of at most {}", WIDTHS.end()),
            &config.head_dim,
        );
    }
    let epsilon = config.norm.epsilon();
    if !(epsilon.is_finite() && (0.0..1.0).contains(&epsilon)) {
        return refuse(names.epsilon, "a number from 0 to 1".into(), &epsilon);
    }
    for position in std::iter::once(&config.position).chain(config.layer_positions.iter().flatten()) {
        let &PositionConfig::Rope { theta, dim, scaling, .. } = position else { continue };
        let policy = AttentionPolicy { scaling, ..AttentionPolicy::default() };
        if let Err(Error::Policy { reason, .. }) = policy.validate() {
            return refuse("RoPE scaling", "parameters that make sense".into(), &reason);
        }
        if !(theta.is_finite() && theta >= 1.0) {
            return refuse(
                names.rope_theta.unwrap_or("base of RoPE"),
                "a number of at least 1".into(),
                &theta,
            );
        }
        if dim == 0 || !dim.is_multiple_of(2) || dim > config.head_dim {
            return refuse(
                names.rope_dim.unwrap_or("rotated dimensions of RoPE"),
                format!("an even number from 2 to {}", config.head_dim),
                &dim,
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::random_shapes::SHAPES;
    use super::*;

    #[test]
    fn a_number_that_no_field_says_is_named_in_words() {
        let mut config = SHAPES[0].config();
        let PositionConfig::Rope { theta, .. } = &mut config.position else { panic!("Llama's") };
        *theta = 0.5;
        let said = |rope_theta| {
            let names = FieldNames {
                heads: "n_head",
                kv_heads: "n_head",
                head_dim: "n_embd",
                epsilon: "epsilon",
                rope_theta,
                rope_dim: None,
            };
            check(Path::new("config.json"), &config, &names).expect_err("refused").to_string()
        };
        assert!(said(Some("rope_theta")).contains("rope_theta: expected a number of at least 1, got 0.5"));
        assert!(said(None).contains("base of RoPE: expected a number of at least 1, got 0.5"));
    }
}
