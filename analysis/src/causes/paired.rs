//! Contrasts of several series over the same tokens, and ratios of them, from a circular block bootstrap that draws the same
//! blocks for every series.
//!
//! A contrast `Σ wᵢ · seriesᵢ` is made token by token, so that what all series share falls away before its noise is measured;
//! its mean has the interval of [`MeanEffect`], with blocks as long as its own autocorrelation asks for. The interval of a ratio
//! `A / B` is Fieller's (1954): all `r` for which 0 lies in the interval of `A − r·B`, with the covariance of both over the same
//! blocks, as long as the part, the rest and the whole ask for. It is bounded just where the interval of `B` does not hold 0, and unlike `± t · s` around
//! the ratio it covers also where `B` is not much larger than its deviation.

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

/// Series over the same tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedMeans {
    /// [series][tokens]
    series: Vec<Vec<f64>>,
    seed: u64,
}

impl PairedMeans {
    /// Of `series`, all of one length and finite, in order of position; `seed` draws the blocks. `None` for fewer than 8
    /// tokens, no series, series that differ in length, or a value that is not finite.
    pub fn new(series: &[&[f32]], seed: u64) -> Option<Self> {
        let n = series.first()?.len();
        let whole = |values: &&[f32]| values.len() == n && values.iter().all(|value| value.is_finite());
        if n < LEAST || !series.iter().all(whole) {
            return None;
        }
        let double = |values: &&[f32]| values.iter().map(|&value| f64::from(value)).collect();
        Some(Self { series: series.iter().map(double).collect(), seed })
    }

    /// Mean of `Σ wᵢ · seriesᵢ` with its 95 % interval.
    pub fn contrast(&self, weights: &[f64]) -> MeanEffect {
        let values = self.values(weights);
        self.mean(&values, block_length(&values))
    }

    /// The contrast of `part` divided by that of `whole`; `None` unless the interval of `whole` lies above 0.
    pub fn share(&self, part: &[f64], whole: &[f64]) -> Option<Share> {
        let (part, whole) = (self.values(part), self.values(whole));
        if self.mean(&whole, block_length(&whole)).low <= 0.0 {
            return None;
        }
        let n = whole.len();
        // That of the rest counts too, so that the shares of part and rest have intervals that mirror each other.
        let rest: Vec<f64> = whole.iter().zip(&part).map(|(whole, part)| whole - part).collect();
        let block = [&part, &rest, &whole].map(|values| block_length(values)).into_iter().max();
        let block = block.unwrap_or(1).clamp(1, n / 2);
        let [a, b] = [&part, &whole].map(|values| values.iter().sum::<f64>() / n as f64);
        let [first, second] = [(&part, a), (&whole, b)]
            .map(|(values, mean)| PrefixSums::new(values.iter().map(|value| value - mean)));
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let blocks = Blocks::new(n, block);
        // Sums of A², A·B and B².
        let mut products = [0.0; 3];
        for _ in 0..REPLICATES {
            let (mut x, mut y) = (0.0, 0.0);
            blocks.draw(&mut random, |begin, length| {
                x += first.circular(begin, length);
                y += second.circular(begin, length);
            });
            products.iter_mut().zip([x * x, x * y, y * y]).for_each(|(sum, product)| *sum += product);
        }
        // The corrections for few blocks are those of `MeanEffect`.
        let few = block as f64 / n as f64;
        let student = student_975((2.0 / (3.0 * few)).min(n as f64 - 1.0));
        let scale = student.powi(2) / (n as f64).powi(2) / REPLICATES as f64 / (1.0 - few);
        let [of_part, of_both, of_whole] = products.map(|sum| sum * scale);
        // Zeros of (a − r·b)² − t²·Var(A − r·B), a parabola in r that opens upwards where the interval of B is above 0.
        let square = b * b - of_whole;
        if square <= 0.0 {
            return None;
        }
        let middle = a * b - of_both;
        let root = (middle * middle - square * (a * a - of_part)).max(0.0).sqrt();
        Some(Share { share: a / b, interval: [(middle - root) / square, (middle + root) / square] })
    }

    /// `Σ wᵢ · seriesᵢ`, token by token.
    fn values(&self, weights: &[f64]) -> Vec<f64> {
        let mut values = vec![0.0; self.series[0].len()];
        for (series, &weight) in self.series.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
            values.iter_mut().zip(series).for_each(|(sum, value)| *sum += weight * value);
        }
        values
    }

    fn mean(&self, values: &[f64], block: usize) -> MeanEffect {
        // There are enough of them, and all are finite.
        let nothing = MeanEffect { mean: f64::NAN, low: f64::NAN, high: f64::NAN, n: values.len(), block };
        MeanEffect::with_block(values, block, self.seed).unwrap_or(nothing)
    }
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
        assert_eq!(
            paired.share(&[-1.0, 1.0], &[-1.0, 1.0]).map(|share| share.share),
            (contrast.low > 0.0).then_some(1.0)
        );
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
        let [base, part, whole] = [(0.0, 4), (0.4, 5), (1.0, 6)].map(|(rise, seed)| {
            single(&autoregressive(400, 0.7, seed).iter().map(|x| x / 4.0 + rise).collect::<Vec<_>>())
        });
        let paired = PairedMeans::new(&[&base, &part, &whole], 0).expect("values");
        let shares = [[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]]
            .map(|part| paired.share(&part, &[-1.0, 0.0, 1.0]).expect("a rise"));
        assert!((shares[0].share + shares[1].share - 1.0).abs() < 1e-9);
        for (low, high) in [(0, 1), (1, 0)] {
            let sum = shares[0].interval[low] + shares[1].interval[high];
            assert!((sum - 1.0).abs() < 1e-9, "{shares:?}");
        }
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
