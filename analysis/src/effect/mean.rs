//! The mean of a sequence whose neighbours depend on each other, with a 95 % interval.
//!
//! The interval is `mean ± t · s`: `s` is the standard deviation of the mean over a circular block bootstrap, and `t` the
//! 97.5 % quantile of Student's distribution. Quantiles of the replicates alone are too narrow when there are few blocks:
//! blocks of length b see the variance of the mean as if nothing were correlated across their edges, which takes the share
//! `b/n` of it away, and their number limits how well it is known. So `s²` is divided by `1 − b/n`, and Student's
//! distribution has `n/b · 2/3` degrees of freedom, as many as a block estimate of a variance is worth (Künsch 1989; the
//! factor is that of overlapping blocks).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::block::block_length;
use super::resample::{Blocks, PrefixSums};

/// Replicates of the bootstrap: a standard deviation is then known to 2 %.
pub(crate) const REPLICATES: usize = 1000;

/// A mean, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanEffect {
    /// The mean.
    pub mean: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Number of values.
    pub n: usize,
    /// Length of the blocks that were drawn.
    pub block: usize,
}

impl MeanEffect {
    /// The mean of `values`, which are finite and stand in their order, with blocks as long as their autocorrelation asks
    /// for. `None` with fewer than 8 values, or with one that is not finite.
    pub fn of(values: &[f64], seed: u64) -> Option<Self> {
        Self::with_block(values, block_length(values), seed)
    }

    /// [`MeanEffect::of`] with blocks of `block` values.
    pub fn with_block(values: &[f64], block: usize, seed: u64) -> Option<Self> {
        let n = values.len();
        if n < 8 || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let block = block.clamp(1, n / 2);
        let mean = values.iter().sum::<f64>() / n as f64;
        let sums = PrefixSums::new(values.iter().map(|value| value - mean));
        let blocks = Blocks::new(n, block);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut squares = 0.0;
        for _ in 0..REPLICATES {
            let mut sum = 0.0;
            blocks.draw(&mut random, |begin, length| sum += sums.circular(begin, length));
            squares += (sum / n as f64).powi(2);
        }
        let share = block as f64 / n as f64;
        let deviation = (squares / REPLICATES as f64 / (1.0 - share)).sqrt();
        let half = student_975((2.0 / (3.0 * share)).min(n as f64 - 1.0)) * deviation;
        Some(Self { mean, low: mean - half, high: mean + half, n, block })
    }

    /// [`MeanEffect::of`] where the values follow a trend that is no noise, as measurements at growing lengths do: the interval
    /// is that of the mean at these lengths, from what is left around a cubic in the index.
    pub fn around_trend(values: &[f64], seed: u64) -> Option<Self> {
        let n = values.len();
        if n < 2 * TREND || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let noise = Self::of(&around_cubic(values), seed)?;
        // Residuals are smaller than the noise by the parameters of the trend.
        let half = noise.half_width() * (n as f64 / (n - TREND) as f64).sqrt();
        Some(Self { mean, low: mean - half, high: mean + half, ..noise })
    }

    /// One-sided p-value of the hypothesis that the true mean is at most `margin`, by the normal distribution whose central 95 %
    /// are the interval.
    pub fn p_at_most(&self, margin: f64) -> f64 {
        let z = 1.959_963_985 * (self.mean - margin) / self.half_width();
        if z.is_nan() { 1.0 } else { upper_tail(z) }
    }

    /// The same of the hypothesis that it is at least `margin`.
    pub fn p_at_least(&self, margin: f64) -> f64 {
        Self { mean: -self.mean, low: -self.high, high: -self.low, ..*self }.p_at_most(-margin)
    }

    /// Half of the width of the interval.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// Share of the standard normal distribution above `z`, to 2e-7 (Abramowitz and Stegun 7.1.26).
fn upper_tail(z: f64) -> f64 {
    const FACTORS: [f64; 5] = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum = FACTORS.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = if x.is_finite() { 0.5 * sum * (-x * x).exp() } else { 0.0 };
    if z < 0.0 { 1.0 - tail } else { tail }
}

/// Parameters of a cubic.
const TREND: usize = 4;

/// What is left of `values` around the cubic in the index that fits best: its projections on four polynomials, made orthogonal
/// one after the other, are taken away.
fn around_cubic(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut left = values.to_vec();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for power in 0..TREND {
        let x = |index: usize| 2.0 * index as f64 / (n.max(2) - 1) as f64 - 1.0;
        let mut next: Vec<f64> = (0..n).map(|index| x(index).powi(power as i32)).collect();
        for other in &basis {
            let share = dot(&next, other);
            next.iter_mut().zip(other).for_each(|(value, other)| *value -= share * other);
        }
        let length = dot(&next, &next).sqrt();
        next.iter_mut().for_each(|value| *value /= length);
        let share = dot(&left, &next);
        left.iter_mut().zip(&next).for_each(|(value, next)| *value -= share * next);
        basis.push(next);
    }
    left
}

/// 97.5 % quantile of Student's distribution, to 0.5 % from 2 degrees of freedom on (Hill 1970, by the expansion of
/// Abramowitz and Stegun 26.7.5 from 5 on; exact at 1 and 2, and by a line between).
pub(crate) fn student_975(freedom: f64) -> f64 {
    const NORMAL: f64 = 1.959_963_985;
    // Exact values at 1 to 5 degrees of freedom.
    const FEW: [f64; 5] = [12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582];
    if freedom < 5.0 {
        let at = freedom.max(1.0) - 1.0;
        let below = (at as usize).min(FEW.len() - 2);
        return FEW[below] + (FEW[below + 1] - FEW[below]) * (at - below as f64);
    }
    let (z, f) = (NORMAL, freedom);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / f + second / f.powi(2) + third / f.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulated::{autoregressive, is_covered, moving_average};

    #[test]
    fn intervals_cover_the_mean_as_often_as_they_say() {
        for (rho, n) in [(0.0, 300), (0.0, 3840), (0.3, 1000), (0.6, 1000), (0.6, 3840), (0.8, 3840)] {
            let covered = (0..2000).filter(|&seed| {
                let values = autoregressive(n, rho, seed);
                let effect = MeanEffect::of(&values, seed).expect("values");
                effect.low <= 0.0 && 0.0 <= effect.high
            });
            is_covered(covered.count(), 2000, &format!("AR(1) {rho}, n = {n}"));
        }
        // Heavy tails, as differences of losses have them: a few tokens differ by nats, most by nothing.
        let covered = (0..2000).filter(|&seed| {
            let values: Vec<f64> = moving_average(2000, 12, seed).iter().map(|x| x.powi(3) / 4.0).collect();
            let effect = MeanEffect::of(&values, seed).expect("values");
            effect.low <= 0.0 && 0.0 <= effect.high
        });
        is_covered(covered.count(), 2000, "cubes of a moving average of 12");
    }

    #[test]
    fn a_trend_is_no_noise() {
        for n in [40, 100, 300] {
            let trend = |index: usize| 3.0 * (index as f64 / n as f64).sqrt() + 1.0;
            let truth = (0..n).map(trend).sum::<f64>() / n as f64;
            let covered = (0..2000).filter(|&seed| {
                let values: Vec<f64> = autoregressive(n, 0.2, seed)
                    .iter()
                    .enumerate()
                    .map(|(at, x)| x / 3.0 + trend(at))
                    .collect();
                let effect = MeanEffect::around_trend(&values, seed).expect("values");
                assert!(
                    effect.half_width() < 0.8 * MeanEffect::of(&values, seed).expect("values").half_width()
                );
                effect.low <= truth && truth <= effect.high
            });
            is_covered(covered.count(), 2000, &format!("around a trend, n = {n}"));
        }
        let cubic: Vec<f64> = (0..50).map(|index| f64::from(index * index * index - 40 * index)).collect();
        assert!(around_cubic(&cubic).iter().all(|left| left.abs() < 1e-8));
        assert_eq!(MeanEffect::around_trend(&[1.0; 7], 0), None);
    }

    #[test]
    fn p_values_are_the_tails_of_the_normal_distribution() {
        let effect = MeanEffect { mean: 2.0, low: 1.0, high: 3.0, n: 100, block: 1 };
        for (margin, p) in [(1.0, 0.025), (3.0, 0.975), (2.0, 0.5), (0.5, 0.001_642), (-8.0, 0.0)] {
            assert!((effect.p_at_most(margin) - p).abs() < 1e-5, "{margin}: {}", effect.p_at_most(margin));
            assert!((effect.p_at_least(margin) - (1.0 - p)).abs() < 1e-5, "{margin}");
        }
        let exact = MeanEffect { mean: 2.0, low: 2.0, high: 2.0, n: 100, block: 1 };
        assert_eq!([1.0, 2.0, 3.0].map(|margin| exact.p_at_most(margin)), [0.0, 1.0, 1.0]);
        assert_eq!([1.0, 2.0, 3.0].map(|margin| exact.p_at_least(margin)), [1.0, 1.0, 0.0]);
    }

    #[test]
    fn without_values_there_is_no_mean() {
        assert_eq!(MeanEffect::of(&[1.0; 7], 0), None);
        assert_eq!(MeanEffect::of(&[f64::NAN; 100], 0), None);
        assert_eq!(MeanEffect::of(&[f64::INFINITY; 100], 0), None);
        let same = MeanEffect::of(&[0.25; 100], 0).expect("values");
        assert_eq!((same.mean, same.low, same.high, same.n), (0.25, 0.25, 0.25, 100));
    }

    #[test]
    fn the_same_values_and_seed_give_the_same_interval() {
        let values = autoregressive(500, 0.5, 3);
        assert_eq!(MeanEffect::of(&values, 7), MeanEffect::of(&values, 7));
        let shifted: Vec<f64> = values.iter().map(|value| value + 1.0).collect();
        let (a, b) = (MeanEffect::of(&values, 7).expect("it"), MeanEffect::of(&shifted, 7).expect("it"));
        assert!((b.low - a.low - 1.0).abs() < 1e-9 && (b.high - a.high - 1.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_of_student_are_the_tabulated_ones() {
        for (freedom, expected) in
            [(1.0, 12.706), (2.0, 4.303), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042), (1e9, 1.960)]
        {
            assert!((student_975(freedom) / expected - 1.0).abs() < 2e-3, "{freedom}");
        }
    }
}
