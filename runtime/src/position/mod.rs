//! Position encodings: what the logit of a query and a key is at a given distance, one pair at a time and in bulk.

mod alibi;
mod rope;

use num_traits::Float;

pub use alibi::alibi_slopes;
pub use rope::{Rope, RotaryTable};

use crate::error::{Error, Result};
use crate::model::config::{ModelConfig, PositionConfig};
use crate::policy::{LongRopeFactors, PositionScaling};

/// How distance enters the attention logit.
#[derive(Clone, Debug, PartialEq)]
pub enum PositionEncoding {
    /// Rotary: `w = (R_d q)·k / sqrt(head_dim)`, pairs `(j, j + dim/2)`.
    Rope(Rope),
    /// `w = q·k / sqrt(head_dim) − slope_head · d`.
    Alibi {
        /// One slope per query head.
        slopes: Vec<f64>,
    },
    /// `w = q·k / sqrt(head_dim)`.
    None,
}

impl PositionEncoding {
    /// The encoding of a model for its first tokens, with the scaling of a policy after the checkpoint's own
    /// ([`PositionScaling::after`]).
    ///
    /// # Errors
    /// Where the scaling is not defined for the model's encoding.
    pub fn new(config: &ModelConfig, scaling: PositionScaling) -> Result<Self> {
        Self::at(&config.position, config.heads, scaling, 0).map(|(encoding, _)| encoding)
    }

    /// What `kind` is, over `heads` query heads, for the query at `position` and all keys that it attends to, and the first later
    /// position whose query has another (`u64::MAX` where none has).
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn at(
        kind: &PositionConfig,
        heads: usize,
        scaling: PositionScaling,
        position: u64,
    ) -> Result<(Self, u64)> {
        match kind {
            PositionConfig::Rope { theta, dim, scaling: own, long_rope, .. } => {
                let refuse =
                    |reason: String| Error::unsupported(format!("scaling of positions: {scaling}"), reason);
                let whole = scaling.after(*own).map_err(refuse)?;
                let original_length = long_rope.as_ref().map_or(0, |long| long.original_length);
                let (here, end) = whole.at(position, original_length);
                let mut rope = Rope::new(*theta, *dim, here);
                if let PositionScaling::LongRope { factors } = here {
                    let long = long_rope.as_ref().ok_or_else(|| {
                        refuse(
                            "the checkpoint has no factors of LongRoPE (`long_factor`, `short_factor`)"
                                .into(),
                        )
                    })?;
                    rope.magnitude = long.magnitude;
                    let factors = if factors == LongRopeFactors::Long { &long.long } else { &long.short };
                    rope.frequencies
                        .iter_mut()
                        .zip(factors)
                        .for_each(|(frequency, factor)| *frequency /= factor);
                }
                Ok((Self::Rope(rope), end))
            }
            PositionConfig::Alibi { max, factor: own } => match scaling {
                PositionScaling::None => {
                    let slopes = alibi_slopes(heads, *max).iter().map(|slope| slope * own).collect();
                    Ok((Self::Alibi { slopes }, u64::MAX))
                }
                PositionScaling::Linear { factor } => {
                    let slopes = alibi_slopes(heads, *max).iter().map(|slope| slope * own / factor).collect();
                    Ok((Self::Alibi { slopes }, u64::MAX))
                }
                other => Err(Error::unsupported(
                    format!("scaling of positions: {other}"),
                    "ALiBi has no frequencies; it takes linear scaling (`pi`) only",
                )),
            },
            PositionConfig::Learned { .. } if scaling == PositionScaling::None => Ok((Self::None, u64::MAX)),
            PositionConfig::Learned { .. } => Err(Error::unsupported(
                format!("scaling of positions: {scaling}"),
                "the model has an embedding of each position, which nothing scales",
            )),
            PositionConfig::None if scaling == PositionScaling::None => Ok((Self::None, u64::MAX)),
            PositionConfig::None => Err(Error::unsupported(
                format!("scaling of positions: {scaling}"),
                "the model has no position encoding to scale",
            )),
        }
    }

    /// The scaled logit of `query` and `key` (each `[head_dim]`, before the encoding, half-split pairs) at `distance`.
    ///
    /// This is the definition; kernels are held against it. Angles are f64 for any `T`.
    pub fn logit<T: Float>(&self, head: usize, query: &[T], key: &[T], distance: u64) -> T {
        let real = |x: f64| T::from(x).expect("every float type holds an f64, rounded");
        let dot = |q: &[T], k: &[T]| q.iter().zip(k).fold(T::zero(), |sum, (&a, &b)| sum + a * b);
        let scale = real(1.0 / (query.len() as f64).sqrt());
        match self {
            Self::Rope(rope) => dot(&rope.rotated(query, distance as f64), key) * scale,
            Self::Alibi { slopes } => dot(query, key) * scale - real(slopes[head] * distance as f64),
            Self::None => dot(query, key) * scale,
        }
    }

    /// The same with the magnitude of `other`, if both are rotary: then the two differ in their angles alone.
    #[must_use]
    pub fn at_magnitude_of(mut self, other: &Self) -> Self {
        if let (Self::Rope(own), Self::Rope(other)) = (&mut self, other) {
            own.magnitude = other.magnitude;
        }
        self
    }

    /// [`PositionEncoding::logit`] of one query and every key at every distance. [keys, distances]
    ///
    /// A query is rotated once for each distance, not once for each pair.
    pub fn logits_at(&self, head: usize, query: &[f32], keys: &[&[f32]], distances: &[u64]) -> Vec<f32> {
        let scale = 1.0 / (query.len() as f64).sqrt();
        let dot =
            |q: &[f32], k: &[f32]| q.iter().zip(k).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let mut logits = vec![0.0; keys.len() * distances.len()];
        for (at, &distance) in distances.iter().enumerate() {
            let rotated = match self {
                Self::Rope(rope) => Some(rope.rotated(query, distance as f64)),
                Self::Alibi { .. } | Self::None => None,
            };
            let query = rotated.as_deref().unwrap_or(query);
            let bias = match self {
                Self::Alibi { slopes } => slopes[head] * distance as f64,
                Self::Rope(_) | Self::None => 0.0,
            };
            for (key, logits) in keys.iter().zip(logits.chunks_exact_mut(distances.len().max(1))) {
                logits[at] = (dot(query, key) * scale - bias) as f32;
            }
        }
        logits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pairs_are_the_pairs_one_by_one() {
        let value = |at: usize| ((at * 7919 % 1000) as f32 / 250.0) - 2.0;
        let query: Vec<f32> = (0..8).map(value).collect();
        let all: Vec<f32> = (8..48).map(value).collect();
        let keys: Vec<&[f32]> = all.chunks(8).collect();
        let distances = [0, 1, 255, 4096, 1_000_000_000];
        let yarn = PositionScaling::yarn(4.0, 32);
        for encoding in [
            PositionEncoding::Rope(Rope::new(10_000.0, 8, PositionScaling::None)),
            PositionEncoding::Rope(Rope::new(10_000.0, 4, yarn)),
            PositionEncoding::Alibi { slopes: alibi_slopes(3, 8.0) },
            PositionEncoding::None,
        ] {
            let logits = encoding.logits_at(2, &query, &keys, &distances);
            let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
            for (key, logits) in keys.iter().zip(logits.chunks(distances.len())) {
                for (&distance, &got) in distances.iter().zip(logits) {
                    let expected = encoding.logit(2, &wide(&query), &wide(key), distance);
                    let bound = 1e-6 * expected.abs().max(4.0);
                    assert!(
                        (f64::from(got) - expected).abs() <= bound,
                        "{encoding:?} {distance}: {got} {expected}"
                    );
                }
            }
            assert_eq!(encoding.clone().at_magnitude_of(&encoding), encoding);
            assert!(encoding.logits_at(0, &query, &[], &distances).is_empty());
            assert!(encoding.logits_at(0, &query, &keys, &[]).is_empty());
        }
    }
}
