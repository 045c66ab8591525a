//! Count, mean and variance of a stream of numbers, mergeable.
//!
//! Kept are `n`, `x̄` and `M = Σ (x − x̄)²`. Two sets merge by the update of Chan, Golub and LeVeque (1979):
//!
//! ```text
//! δ = x̄_b − x̄_a,   x̄ = x̄_a + δ·n_b/n,   M = M_a + M_b + δ²·n_a·n_b/n
//! ```
//!
//! which, unlike `Σx² − n·x̄²`, does not cancel where the mean is large against the spread.

use serde::{Deserialize, Serialize};

/// Moments of finite numbers. Memory: 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Moments of the finite ones among `values`: two passes, so that a block is as exact as f64 allows.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let (sum, count) = finite.clone().fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        if count == 0 {
            return Self::default();
        }
        let mean = sum / count as f64;
        Self { count, mean, squares: finite.map(|value| (value - mean).powi(2)).sum() }
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if count == 0 {
            return;
        }
        let (own, share) = (self.count as f64, other.count as f64 / count as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * share;
        self.squares += other.squares + delta * delta * own * share;
        self.count = count;
    }

    /// Numbers seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean; `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Population variance `M/n`; `None` of nothing.
    pub fn variance(&self) -> Option<f64> {
        (self.count > 0).then(|| self.squares / self.count as f64)
    }

    /// Population standard deviation; `None` of nothing.
    pub fn std(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::close;

    fn of(values: &[f64]) -> Moments {
        Moments::of(values.iter().copied())
    }

    #[test]
    fn a_small_spread_around_a_large_mean_survives() {
        let values = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0];
        let mut merged = of(&values[..1]);
        merged.merge(&of(&values[1..]));
        assert_eq!((merged.mean(), merged.variance()), (Some(1e9 + 10.0), Some(22.5)));
    }

    #[test]
    fn nothing_has_no_mean_and_one_number_no_spread() {
        let mut nothing = of(&[f64::NAN, f64::INFINITY]);
        assert_eq!((nothing.mean(), nothing.std()), (None, None));
        nothing.merge(&Moments::default());
        assert_eq!(nothing, Moments::default());
        nothing.merge(&of(&[3.0]));
        assert_eq!((nothing.count(), nothing.mean(), nothing.std()), (1, Some(3.0), Some(0.0)));
    }

    proptest! {
        #[test]
        fn merged_is_whole_in_any_order(values in prop::collection::vec(-1e3..1e3, 1..60_usize), cut in 0..60_usize) {
            let cut = cut.min(values.len());
            let (left, right) = (of(&values[..cut]), of(&values[cut..]));
            let (mut forward, mut backward) = (left, right);
            forward.merge(&right);
            backward.merge(&left);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64 - mean * mean;
            for merged in [forward, backward] {
                prop_assert_eq!(merged.count(), values.len() as u64);
                prop_assert!(close(merged.mean().expect("values"), mean, 1e-11 * 1e3));
                prop_assert!(close(merged.variance().expect("values"), variance, 1e-9 * 1e3));
            }
        }
    }
}
