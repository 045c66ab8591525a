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

/// Moments of numbers. Memory: 32 bytes. Once a number was NaN or ±inf there is no mean and no spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
    #[serde(default)]
    non_finite: u64,
}

impl Moments {
    /// Moments of `values`: two passes, so that a block is as exact as f64 allows.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (mut sum, mut count, mut non_finite) = (0.0, 0, 0);
        for value in values.clone() {
            if value.is_finite() {
                (sum, count) = (sum + value, count + 1);
            } else {
                non_finite += 1;
            }
        }
        let finite = values.filter(|value| value.is_finite());
        if count == 0 {
            return Self { non_finite, ..Self::default() };
        }
        let mean = sum / count as f64;
        Self { count, mean, squares: finite.map(|value| (value - mean).powi(2)).sum(), non_finite }
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) {
        self.non_finite += other.non_finite;
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

    /// Finite numbers seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Numbers that were NaN or ±inf.
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// Whether there are moments: something was seen, and all of it was finite.
    fn known(&self) -> bool {
        self.count > 0 && self.non_finite == 0
    }

    /// Mean; `None` of nothing, and where a number was not finite.
    pub fn mean(&self) -> Option<f64> {
        self.known().then_some(self.mean)
    }

    /// Population variance `M/n`; `None` as for [`Moments::mean`].
    pub fn variance(&self) -> Option<f64> {
        self.known().then(|| self.squares / self.count as f64)
    }

    /// Population standard deviation; `None` as for [`Moments::mean`].
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
        let mut nothing = Moments::default();
        assert_eq!((nothing.mean(), nothing.std()), (None, None));
        nothing.merge(&Moments::default());
        assert_eq!(nothing, Moments::default());
        nothing.merge(&of(&[3.0]));
        assert_eq!((nothing.count(), nothing.mean(), nothing.std()), (1, Some(3.0), Some(0.0)));
    }

    #[test]
    fn no_mean_passes_over_what_is_not_finite_in_any_order() {
        for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let whole = of(&[1.0, broken, 5.0]);
            assert_eq!((whole.count(), whole.non_finite(), whole.mean(), whole.std()), (2, 1, None, None));
            for parts in [[&[broken][..], &[1.0, 5.0]], [&[1.0, 5.0], &[broken]]] {
                let mut merged = of(parts[0]);
                merged.merge(&of(parts[1]));
                assert_eq!(merged, whole, "{broken}");
            }
        }
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
