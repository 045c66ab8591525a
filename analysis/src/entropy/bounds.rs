//! One attention row, and what is known of its entropy from its logits alone.
//!
//! With `n` attended keys, logits `w_j`, `B = max |w|`, spread `R = max w − min w` and variance `σ²`:
//!
//! ```text
//! ln n − 2B  ≤  ln n − R  ≤  H  ≤  ln n,        H ≈ ln n − σ²/2
//! ```
//!
//! *Lower bounds.* `p_j = e^{w_j}/Σe^w ≤ e^{max}/(n·e^{min}) = e^R/n`, and `H = −Σ p ln p ≥ −ln max p ≥ ln n − R`. Since
//! `R ≤ 2B` this is at least Proposition 2 of the paper (appendix D), `ln n − 2B`, which is vacuous (below 0) at the
//! logits of real models: `B` of 20 asks for `n > e^40`.
//!
//! *Gaussian estimate.* For many logits drawn from `N(m, σ²)`, `ln Σ e^w → ln n + m + σ²/2` and `Σ p·w → m + σ²`, so
//! `H → ln n − σ²/2`. It is no bound: one logit far above the others concentrates the row without moving `σ²` much.
//!
//! For constant logits all four curves and `H` are `ln n`.

use serde::{Deserialize, Serialize};

use crate::moments::Moments;

/// The four curves of one row, in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntropyBounds {
    /// `ln n`: no row of `n` keys has more.
    pub maximum: f64,
    /// `ln n − 2B` (Proposition 2 as printed). May be negative, and is then vacuous.
    pub magnitude: f64,
    /// `ln n − (max w − min w)`, the tighter bound.
    pub spread: f64,
    /// `ln n − σ²/2`, an estimate for Gaussian logits.
    pub gaussian: f64,
}

/// Entropy of one row of logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowEntropy {
    /// Attended keys, `n`.
    pub keys: u64,
    /// `H`, in nats.
    pub entropy: f64,
    /// `e^H`.
    pub effective_keys: f64,
    /// What the logits alone say of it.
    pub bounds: EntropyBounds,
}

impl EntropyBounds {
    /// The curves for `keys` logits within `low..=high` and of variance `variance`.
    pub fn new(keys: u64, low: f64, high: f64, variance: f64) -> Self {
        let maximum = (keys as f64).ln();
        Self {
            maximum,
            magnitude: maximum - 2.0 * low.abs().max(high.abs()),
            spread: maximum - (high - low),
            gaussian: maximum - variance / 2.0,
        }
    }
}

impl RowEntropy {
    /// The entropy of `softmax(logits)` in f64. Logits of −inf are masked keys. `None` if no key is attended or a logit is
    /// NaN or +inf. Cost: one exponential per key.
    pub fn of(logits: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for logit in logits.clone().filter(|&logit| logit != f64::NEG_INFINITY) {
            if !logit.is_finite() {
                return None;
            }
            low = if logit < low { logit } else { low };
            high = if logit > high { logit } else { high };
        }
        let attended = logits.filter(|logit| logit.is_finite());
        let moments = Moments::of(attended.clone());
        // Shifted by the maximum, so that no exponential overflows: with s = Σ e^{w − high},
        // H = ln s − Σ (w − high) e^{w − high} / s.
        let (sum, weighted) = attended.fold((0.0, 0.0), |(sum, weighted), logit| {
            let (shifted, weight) = (logit - high, (logit - high).exp());
            // A weight of 0 times a difference that has overflowed would be NaN.
            (sum + weight, weighted + if weight > 0.0 { shifted * weight } else { 0.0 })
        });
        let entropy = (sum.ln() - weighted / sum).max(0.0);
        let bounds = EntropyBounds::new(moments.count(), low, high, moments.variance()?);
        Some(Self { keys: moments.count(), entropy, effective_keys: entropy.exp(), bounds })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{close, normal};

    fn of(logits: &[f64]) -> Option<RowEntropy> {
        RowEntropy::of(logits.iter().copied())
    }

    #[test]
    fn proposition_2_is_exact_for_constant_logits() {
        for (logit, n) in [(0.0, 1_usize), (0.0, 7), (-300.0, 1000), (4.5, 1000)] {
            let row = of(&vec![logit; n]).expect("attended");
            let maximum = (n as f64).ln();
            assert!(close(row.entropy, maximum, 1e-12) && close(row.effective_keys, n as f64, 1e-10));
            assert_eq!(
                (row.bounds.maximum, row.bounds.spread, row.bounds.gaussian),
                (maximum, maximum, maximum)
            );
            assert_eq!(row.bounds.magnitude, maximum - 2.0 * f64::abs(logit));
        }
    }

    #[test]
    fn proposition_2_is_exact_for_two_levels() {
        // m keys at a, the others at 0: p is e^a/Z and 1/Z with Z = m·e^a + n − m.
        for (m, n, a) in [(1_usize, 10_usize, 2.0_f64), (3, 1000, -4.0), (500, 1000, 6.0)] {
            let logits: Vec<f64> = (0..n).map(|j| if j < m { a } else { 0.0 }).collect();
            let row = of(&logits).expect("attended");
            let (high, low) = (m as f64, (n - m) as f64);
            let z = high * a.exp() + low;
            let entropy = z.ln() - high * a * a.exp() / z;
            let share = high / n as f64;
            assert!(close(row.entropy, entropy, 1e-12), "{} for {entropy}", row.entropy);
            assert!(close(
                row.bounds.gaussian,
                row.bounds.maximum - a * a * share * (1.0 - share) / 2.0,
                1e-12
            ));
            assert!(close(row.bounds.spread, row.bounds.maximum - a.abs(), 1e-12));
            assert!(close(row.bounds.magnitude, row.bounds.maximum - 2.0 * a.abs(), 1e-12));
        }
    }

    #[test]
    fn proposition_2_gaussian_estimate_becomes_exact_with_length() {
        for sigma in [0.5, 1.0, 2.0] {
            let error = |n: usize| {
                let logits = normal(1, n, 5);
                let row =
                    RowEntropy::of(logits.iter().map(|&w| sigma * f64::from(w) - 3.0)).expect("attended");
                // The estimate from the true deviation, so that both may miss.
                (row.entropy - ((n as f64).ln() - sigma * sigma / 2.0)).abs()
            };
            // Mean of lognormal weights: four times its standard error, scaled by the shift of Σ p·w.
            let allowed = 4.0 * (sigma * sigma).max(1.0) * ((sigma * sigma).exp() / 400_000.0).sqrt();
            assert!(error(400_000) < allowed, "σ = {sigma}: {} over {allowed}", error(400_000));
            assert!(error(16) > error(400_000));
        }
    }

    #[test]
    fn the_gaussian_estimate_is_no_bound() {
        let mut logits = vec![0.0; 10_000];
        logits[77] = 15.0;
        let row = of(&logits).expect("attended");
        assert!(row.entropy < 0.1 && row.bounds.gaussian > 9.0, "{row:?}");
        assert!(row.entropy >= row.bounds.spread);
    }

    #[test]
    fn masked_keys_do_not_count() {
        let masked = of(&[f64::NEG_INFINITY, 1.0, f64::NEG_INFINITY, -1.0]).expect("attended");
        assert_eq!(Some(masked), of(&[1.0, -1.0]));
        assert_eq!((masked.keys, of(&[f64::NEG_INFINITY; 3]), of(&[])), (2, None, None));
        let one = of(&[-7.0]).expect("attended");
        assert_eq!((one.entropy, one.effective_keys), (0.0, 1.0));
    }

    #[test]
    fn broken_rows_have_no_entropy_and_huge_logits_do() {
        assert_eq!((of(&[1.0, f64::NAN]), of(&[f64::INFINITY, 0.0])), (None, None));
        assert_eq!(of(&[f64::MAX, 0.0, -f64::MAX]).expect("attended").entropy, 0.0);
        let huge = of(&[1e300, 1e300]).expect("attended");
        assert!(close(huge.entropy, 2.0_f64.ln(), 1e-12));
    }

    proptest! {
        #[test]
        fn proposition_2_holds_for_any_logits(logits in prop::collection::vec(-30.0..30.0, 1..200_usize)) {
            let row = of(&logits).expect("attended");
            let sum: f64 = logits.iter().map(|w| w.exp()).sum();
            let brute: f64 = logits.iter().map(|w| w.exp() / sum).map(|p| -p * p.ln()).sum();
            prop_assert!(close(row.entropy, brute, 1e-9));
            let bounds = row.bounds;
            prop_assert!(bounds.magnitude <= bounds.spread + 1e-12);
            prop_assert!(bounds.spread <= row.entropy + 1e-12 && row.entropy <= bounds.maximum + 1e-12);
        }
    }
}
