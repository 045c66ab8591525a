//! Logits `w(q, k, d)` of one query and one key at distance `d`, by position encoding.
//!
//! With `D` the length of `q` and `k`:
//!
//! | encoding | `w(q, k, d)` |
//! |---|---|
//! | none (NoPE) | `q·k/√D` |
//! | ALiBi (Press et al. 2022) | `q·k/√D − m·d` |
//! | T5 bias (Raffel et al. 2020) | `q·k/√D + b[bucket(d)]` |
//! | RoPE (Su et al. 2021) | `(R_d q)·k/√D`; `R_d` turns the pair `(j, j + D/2)` by `d·θ_j`, `θ_j = base^(−2j/D)` |
//!
//! T5 itself leaves out `√D`, which only scales its weights. These are definitions to hold theorems against, one pair at a
//! time and in f64; a runtime has its own.

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How distance enters the logit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Encoding {
    /// No position encoding.
    None,
    /// Linear bias.
    Alibi {
        /// `m`, above 0.
        slope: f64,
    },
    /// Learned bias per bucket of distance.
    T5 {
        /// One per bucket; the first half of the buckets holds one distance each.
        biases: Vec<f64>,
        /// Distance from which all share the last bucket.
        max_distance: u64,
    },
    /// Rotary.
    Rope {
        /// 10,000 in most models.
        base: f64,
    },
}

impl Encoding {
    /// Name for tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "NoPE",
            Self::Alibi { .. } => "ALiBi",
            Self::T5 { .. } => "T5 bias",
            Self::Rope { .. } => "RoPE",
        }
    }

    /// `w(q, k, distance)`, scaled. Vectors of different or (RoPE) odd length are an error.
    pub fn logit(&self, query: ArrayView1<f64>, key: ArrayView1<f64>, distance: u64) -> Result<f64> {
        let size = query.len();
        if size != key.len() || size == 0 || (matches!(self, Self::Rope { .. }) && !size.is_multiple_of(2)) {
            let expected = "a query and a key of one length, even for RoPE";
            return Err(Error::mismatch("logit", expected, format!("{size} and {}", key.len())));
        }
        let scale = (size as f64).sqrt().recip();
        Ok(match self {
            Self::None => query.dot(&key) * scale,
            Self::Alibi { slope } => query.dot(&key) * scale - slope * distance as f64,
            Self::T5 { biases, max_distance } => {
                let bucket = t5_bucket(distance, biases.len(), *max_distance);
                query.dot(&key) * scale + biases.get(bucket).copied().unwrap_or(0.0)
            }
            Self::Rope { base } => {
                let half = size / 2;
                let pair = |j: usize| {
                    let angle = distance as f64 * base.powf(-(j as f64) / half as f64);
                    let (sin, cos) = angle.sin_cos();
                    let (x, y) = (query[j], query[j + half]);
                    (x * cos - y * sin) * key[j] + (x * sin + y * cos) * key[j + half]
                };
                (0..half).map(pair).sum::<f64>() * scale
            }
        })
    }

    /// `sup_d |w(q, k, d)|` over all distances for RoPE, `Σ_j |q_j||k_j|/√D` over its pairs (by Cauchy and Schwarz in each
    /// plane; a rotation keeps lengths). `None` for encodings of another kind, and for vectors that do not fit.
    pub fn rope_limit(&self, query: ArrayView1<f64>, key: ArrayView1<f64>) -> Option<f64> {
        let half = query.len() / 2;
        let fits = matches!(self, Self::Rope { .. }) && query.len() == key.len() && query.len() == 2 * half;
        let length = |vector: ArrayView1<f64>, j: usize| vector[j].hypot(vector[j + half]);
        let limit = |_| {
            (0..half).map(|j| length(query, j) * length(key, j)).sum::<f64>() / (query.len() as f64).sqrt()
        };
        (fits && half > 0).then_some(()).map(limit)
    }
}

/// T5's bucket of a distance to the left, of `buckets`: the first half exact, the second logarithmic up to
/// `max_distance`.
pub fn t5_bucket(distance: u64, buckets: usize, max_distance: u64) -> usize {
    let exact = buckets / 2;
    if distance < exact as u64 || exact == 0 {
        return (distance as usize).min(buckets.saturating_sub(1));
    }
    let span = (max_distance as f64 / exact as f64).ln();
    let share = (distance as f64 / exact as f64).ln() / span;
    // With no room between the exact buckets and `max_distance`, everything later shares the last one.
    let further = if span > 0.0 { share * (buckets - exact) as f64 } else { f64::INFINITY };
    exact.saturating_add(further as usize).min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn logits_of_one_pair_by_hand() {
        let (q, k) = (array![1.0, 2.0, 0.0, -1.0], array![3.0, 0.5, 1.0, 0.0]);
        let logit = |encoding: Encoding, d| encoding.logit(q.view(), k.view(), d).expect("fits");
        // q·k = 4, √D = 2.
        assert_eq!([0, 9].map(|d| logit(Encoding::None, d)), [2.0, 2.0]);
        assert_eq!([0, 9].map(|d| logit(Encoding::Alibi { slope: 0.5 }, d)), [2.0, -2.5]);
        let t5 = Encoding::T5 { biases: vec![1.0, -1.0, -2.0, -7.0], max_distance: 8 };
        assert_eq!([0, 1, 2, 4, 1000].map(|d| logit(t5.clone(), d)), [3.0, 1.0, 0.0, -5.0, -5.0]);
        // θ = 1 and 0.01; pairs (1, 0)·(3, 1) and (2, −1)·(0.5, 0), turned.
        let d = 3.0_f64;
        let (s0, c0) = d.sin_cos();
        let (s1, c1) = (0.01 * d).sin_cos();
        let expected = (c0 * 3.0 + s0 + (2.0 * c1 + s1) * 0.5) / 2.0;
        assert!((logit(Encoding::Rope { base: 1e4 }, 3) - expected).abs() < 1e-12);
        assert!((logit(Encoding::Rope { base: 1e4 }, 0) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn t5_buckets_are_exact_then_logarithmic() {
        let bucket = |d| t5_bucket(d, 32, 128);
        assert_eq!([0, 1, 15, 16, 127, 128, u64::MAX].map(bucket), [0, 1, 15, 16, 31, 31, 31]);
        // From 16 to 128 in 16 steps: bucket 24 begins at 16·8^(8/16) = 45.3.
        assert_eq!([45, 46].map(bucket), [23, 24]);
        assert!((0..300).map(bucket).is_sorted());
        assert_eq!((t5_bucket(9, 0, 0), t5_bucket(9, 1, 0), t5_bucket(9, 4, 0)), (0, 0, 3));
    }

    #[test]
    fn vectors_that_do_not_fit_are_errors() {
        let (two, three) = (array![1.0, 2.0], array![1.0, 2.0, 3.0]);
        let rope = Encoding::Rope { base: 1e4 };
        assert!(
            rope.logit(two.view(), three.view(), 0).is_err()
                && rope.logit(three.view(), three.view(), 0).is_err()
        );
        assert!(Encoding::None.logit(three.view(), three.view(), 0).is_ok());
        assert!(Encoding::None.logit(array![].view(), array![].view(), 0).is_err());
        assert_eq!(rope.rope_limit(two.view(), three.view()), None);
        assert_eq!(Encoding::None.rope_limit(two.view(), two.view()), None);
    }
}
