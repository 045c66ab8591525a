//! Means of several series over the same tokens, with the covariance of these means from one circular block bootstrap that
//! draws the same blocks for every series.
//!
//! Whatever is linear in the means then has its standard deviation `s = √(wᵀ Σ w)` from the one matrix Σ, and the interval
//! `mean ± t · s` of [`MeanEffect`], with the same corrections for few blocks. The interval of a ratio `A / B` is Fieller's
//! (1954): all `r` for which 0 lies in the interval of `A − r·B`. It is bounded just where the interval of `B` does not hold
//! 0, and unlike `± t · s` around the ratio it covers also where `B` is not much larger than its deviation.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::effect::{Blocks, MeanEffect, PrefixSums, REPLICATES, block_length, student_975};

/// The fewest tokens that a mean is told of.
const LEAST: usize = 8;

/// A share of an effect, with its 95 % interval. It may lie below 0 or above 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The share.
    pub share: f64,
    /// Ends of its 95 % interval.
    pub interval: [f64; 2],
}

impl fmt::Display for Share {
    /// In percent: `64 % (58 to 70)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |share: f64| match (100.0 * share).round() {
            // No −0.
            0.0 => "0".to_owned(),
            percent if percent < 0.0 => format!("−{}", -percent),
            percent => percent.to_string(),
        };
        let [low, high] = self.interval.map(whole);
        write!(f, "{} % ({low} to {high})", whole(self.share))
    }
}

/// Means of series over the same tokens, and their covariances.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedMeans {
    means: Vec<f64>,
    /// Of the means, corrected for the length of the blocks. [series, series]
    covariance: Vec<f64>,
    n: usize,
    block: usize,
    /// Half of an interval, in standard deviations.
    student: f64,
}

impl PairedMeans {
    /// Of `series`, all of one length and finite, in order of position; the blocks are as long as the differences of each series to
    /// the first ask for, the longest of them. `None` for fewer than 8 tokens, no series, series that differ in length, or a value
    /// that is not finite.
    pub fn new(series: &[&[f32]], seed: u64) -> Option<Self> {
        let (first, others) = series.split_first()?;
        let n = first.len();
        let whole = |values: &&[f32]| values.len() == n && values.iter().all(|value| value.is_finite());
        if n < LEAST || !series.iter().all(whole) {
            return None;
        }
        let difference = |other: &&[f32]| -> Vec<f64> {
            other.iter().zip(*first).map(|(&a, &b)| f64::from(a) - f64::from(b)).collect()
        };
        let block = others.iter().map(|other| block_length(&difference(other))).max();
        let alone = || block_length(&first.iter().map(|&value| f64::from(value)).collect::<Vec<_>>());
        Some(Self::with_block(series, block.unwrap_or_else(alone).clamp(1, n / 2), seed))
    }

    fn with_block(series: &[&[f32]], block: usize, seed: u64) -> Self {
        let (n, count) = (series[0].len(), series.len());
        let mean = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / n as f64;
        let means: Vec<f64> = series.iter().map(|values| mean(values)).collect();
        let centred = |(values, mean): (&&[f32], &f64)| {
            PrefixSums::new(values.iter().map(|&value| f64::from(value) - mean))
        };
        let sums: Vec<PrefixSums> = series.iter().zip(&means).map(centred).collect();
        let blocks = Blocks::new(n, block);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut covariance = vec![0.0; count * count];
        let mut drawn = vec![0.0; count];
        for _ in 0..REPLICATES {
            drawn.fill(0.0);
            blocks.draw(&mut random, |begin, length| {
                for (sum, values) in drawn.iter_mut().zip(&sums) {
                    *sum += values.circular(begin, length);
                }
            });
            for (row, a) in drawn.iter().enumerate() {
                for (column, b) in drawn.iter().enumerate() {
                    covariance[row * count + column] += a * b;
                }
            }
        }
        let share = block as f64 / n as f64;
        let scale = 1.0 / (n as f64).powi(2) / REPLICATES as f64 / (1.0 - share);
        covariance.iter_mut().for_each(|value| *value *= scale);
        let student = student_975((2.0 / (3.0 * share)).min(n as f64 - 1.0));
        Self { means, covariance, n, block, student }
    }

    /// Mean of each series.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// `Σ wᵢ · meanᵢ` with its 95 % interval.
    pub fn contrast(&self, weights: &[f64]) -> MeanEffect {
        let mean = dot(weights, &self.means);
        let half = self.student * self.covariance(weights, weights).max(0.0).sqrt();
        MeanEffect { mean, low: mean - half, high: mean + half, n: self.n, block: self.block }
    }

    /// The contrast of `part` divided by that of `whole`; `None` unless the interval of `whole` lies above 0.
    pub fn share(&self, part: &[f64], whole: &[f64]) -> Option<Share> {
        if self.contrast(whole).low <= 0.0 {
            return None;
        }
        let (a, b) = (dot(part, &self.means), dot(whole, &self.means));
        let square = self.student.powi(2);
        // Zeros of (a − r·b)² − t²·Var(A − r·B), a parabola in r.
        let second = b * b - square * self.covariance(whole, whole);
        let first = a * b - square * self.covariance(part, whole);
        let constant = a * a - square * self.covariance(part, part);
        let root = (first * first - second * constant).max(0.0).sqrt();
        let interval = [(first - root) / second, (first + root) / second];
        Some(Share { share: a / b, interval })
    }

    fn covariance(&self, a: &[f64], b: &[f64]) -> f64 {
        let count = self.means.len();
        let row = |(at, weight): (usize, &f64)| weight * dot(b, &self.covariance[at * count..][..count]);
        a.iter().enumerate().map(row).sum()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulated::{autoregressive, is_covered};

    fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|&value| value as f32).collect()
    }

    #[test]
    fn a_difference_is_that_of_the_paired_values() {
        let (a, b) = (single(&autoregressive(900, 0.6, 1)), single(&autoregressive(900, 0.3, 2)));
        let paired = PairedMeans::new(&[&a, &b], 5).expect("values");
        let difference: Vec<f64> = b.iter().zip(&a).map(|(&b, &a)| f64::from(b) - f64::from(a)).collect();
        let alone = MeanEffect::of(&difference, 5).expect("values");
        let contrast = paired.contrast(&[-1.0, 1.0]);
        assert!((alone.mean - contrast.mean).abs() < 1e-9 && (alone.low - contrast.low).abs() < 1e-9);
        assert_eq!((alone.n, alone.block), (contrast.n, contrast.block));
        let same = PairedMeans::new(&[&a, &a], 5).expect("values").contrast(&[-1.0, 1.0]);
        assert!(same.mean == 0.0 && same.half_width() < 1e-9);
    }

    #[test]
    fn nothing_is_told_of_few_or_broken_values() {
        let values = single(&autoregressive(100, 0.0, 1));
        let mut broken = values.clone();
        broken[7] = f32::NAN;
        assert_eq!(PairedMeans::new(&[&values[..7]], 0), None);
        assert_eq!(PairedMeans::new(&[&values, &values[1..]], 0), None);
        assert_eq!(PairedMeans::new(&[&values, &broken], 0), None);
        assert_eq!(PairedMeans::new(&[], 0), None);
    }

    #[test]
    fn shares_are_told_of_an_effect_that_is_surely_there_and_cover_the_truth() {
        // 40 % of a rise of 0.3 (the deviation of its mean is 0.06), with noise of each part.
        let (mut covered, mut told) = (0, 0);
        for seed in 0..2000 {
            let noise = |stream: u64| autoregressive(1000, 0.5, seed * 7 + stream);
            let base = noise(0);
            let (one, two) = (noise(1), noise(2));
            let part: Vec<f64> = base.iter().zip(&one).map(|(b, x)| b + 0.12 + x / 2.0).collect();
            let whole: Vec<f64> = part.iter().zip(&two).map(|(b, x)| b + 0.18 + x / 2.0).collect();
            let [base, part, whole] = [base, part, whole].map(|values| single(&values));
            let paired = PairedMeans::new(&[&base, &part, &whole], seed).expect("values");
            if let Some(share) = paired.share(&[-1.0, 1.0, 0.0], &[-1.0, 0.0, 1.0]) {
                told += 1;
                covered += usize::from(share.interval[0] <= 0.4 && 0.4 <= share.interval[1]);
                assert!(share.interval[0] <= share.share && share.share <= share.interval[1]);
            }
        }
        assert!(told > 1900, "{told}");
        is_covered(covered, told, "shares");
        let values = single(&autoregressive(500, 0.0, 3));
        let higher: Vec<f32> = values.iter().map(|value| value - 1.0).collect();
        let falls = PairedMeans::new(&[&values, &higher], 0).expect("values");
        assert_eq!(falls.share(&[0.0, 1.0], &[-1.0, 1.0]), None);
    }

    #[test]
    fn shares_are_read_in_percent() {
        let told = Share { share: -0.004, interval: [-0.031, 0.6351] }.to_string();
        assert_eq!(told, "0 % (−3 to 64)");
    }
}
