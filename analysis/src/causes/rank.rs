//! Rank correlation (Spearman 1904): Pearson's correlation of the ranks, equal values sharing the mean of their ranks.
//!
//! The interval comes from a bootstrap over the pairs, which are taken as independent. It is `tanh(atanh ρ ± t · s)`: `s` is the
//! standard deviation of `atanh ρ*` over the replicates, `t` the 97.5 % quantile of Student's distribution with n − 2 degrees of
//! freedom; on this scale (Fisher 1915) the deviation hardly depends on ρ, and an end never leaves −1 to 1.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Uniform};
use serde::{Deserialize, Serialize};

use crate::effect::{REPLICATES, student_975};

/// Pairs that a correlation needs.
const LEAST: usize = 8;

/// Replicates of a few pairs may be in perfect order; beyond this a correlation counts as this one.
const NEARLY_ONE: f64 = 0.999;

/// A rank correlation with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankCorrelation {
    /// ρ, from −1 to 1.
    pub rho: f64,
    /// Ends of its 95 % interval.
    pub interval: [f64; 2],
    /// Number of pairs.
    pub n: usize,
}

impl RankCorrelation {
    /// Of `pairs`; those with a value that is not finite are left out. `None` with fewer than 8 others, or where all values of a
    /// side are equal.
    pub fn of(pairs: &[(f64, f64)], seed: u64) -> Option<Self> {
        let finite: Vec<(f64, f64)> =
            pairs.iter().copied().filter(|(a, b)| a.is_finite() && b.is_finite()).collect();
        let n = finite.len();
        if n < LEAST {
            return None;
        }
        let rho = spearman(&finite)?;
        let index = Uniform::new(0, n).ok()?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let scale = |rho: f64| rho.clamp(-NEARLY_ONE, NEARLY_ONE).atanh();
        // A replicate in which all values of a side are equal has no order.
        let drawn: Vec<f64> = (0..REPLICATES)
            .filter_map(|_| {
                let pairs: Vec<_> = (0..n).map(|_| finite[index.sample(&mut random)]).collect();
                spearman(&pairs).map(scale)
            })
            .collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
        let half = student_975(n as f64 - 2.0) * variance.sqrt();
        let interval = [scale(rho) - half, scale(rho) + half].map(f64::tanh);
        Some(Self { rho, interval: [interval[0].min(rho), interval[1].max(rho)], n })
    }
}

impl fmt::Display for RankCorrelation {
    /// `0.62 (0.31 to 0.81, n = 24)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.interval;
        write!(f, "{:.2} ({low:.2} to {high:.2}, n = {})", self.rho, self.n)
    }
}

fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let a = ranks(pairs.iter().map(|pair| pair.0));
    let b = ranks(pairs.iter().map(|pair| pair.1));
    let middle = (pairs.len() as f64 - 1.0) / 2.0;
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let spread = sum(&a, &a) * sum(&b, &b);
    (spread > 0.0).then(|| sum(&a, &b) / spread.sqrt())
}

/// Ranks from 0; equal values share the mean of theirs.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|&at| ranks[at] = rank);
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulated::{is_covered, normal};

    #[test]
    fn it_is_that_of_the_ranks() {
        let pairs = |b: [f64; 10]| -> Vec<(f64, f64)> { (0..10).map(f64::from).zip(b).collect() };
        let rising = pairs(std::array::from_fn(|at| (at as f64).exp()));
        let found = RankCorrelation::of(&rising, 0).expect("pairs");
        assert!((found.rho - 1.0).abs() < 1e-12 && found.interval[0] > 0.9 && found.n == 10);
        // 1 − 6 Σ d² / (n (n² − 1)), without ties: d² sum to 2 + 8 = 10.
        let swapped = pairs([1.0, 0.0, 2.0, 5.0, 4.0, 3.0, 6.0, 7.0, 8.0, 9.0]);
        let found = RankCorrelation::of(&swapped, 0).expect("pairs");
        assert!((found.rho - (1.0 - 60.0 / 990.0)).abs() < 1e-12, "{found}");
        assert_eq!(ranks([3.0, 1.0, 3.0, 3.0, 0.0].into_iter()), [3.0, 1.0, 3.0, 3.0, 0.0]);
    }

    #[test]
    fn few_pairs_or_equal_values_have_no_order() {
        assert_eq!(RankCorrelation::of(&[(1.0, 2.0); 20], 0), None);
        let mut pairs: Vec<(f64, f64)> = (0..8).map(|at| (f64::from(at), f64::from(at * at))).collect();
        assert!(RankCorrelation::of(&pairs, 0).is_some());
        pairs[3].1 = f64::NAN;
        assert_eq!(RankCorrelation::of(&pairs, 0), None);
    }

    #[test]
    fn intervals_cover_the_correlation_as_often_as_they_say() {
        for (rho, n) in [(0.0, 24), (0.6, 24), (0.6, 100), (0.85, 60)] {
            // Of normal deviates with correlation ρ it is 6/π · asin(ρ/2).
            let truth = 6.0 / std::f64::consts::PI * (rho / 2.0_f64).asin();
            let covered = (0..2000).filter(|&seed| {
                let (a, b) = (normal(n, 2 * seed), normal(n, 2 * seed + 1));
                let noise = (1.0 - rho * rho).sqrt();
                let pairs: Vec<_> = a.iter().zip(&b).map(|(a, b)| (*a, rho * a + noise * b)).collect();
                let found = RankCorrelation::of(&pairs, seed).expect("pairs");
                found.interval[0] <= truth && truth <= found.interval[1]
            });
            is_covered(covered.count(), 2000, &format!("ρ {rho}, n = {n}"));
        }
    }
}
