//! A share of successes, and what a few trials say of it.
//!
//! Wilson's score interval (Wilson 1927) for a share `p` seen in `n` trials, at the normal quantile `z`:
//!
//! ```text
//! centre = (p + z²/2n) / (1 + z²/n)
//! half   = z·√(p(1 − p)/n + z²/4n²) / (1 + z²/n)
//! ```
//!
//! Unlike `p ± z·√(p(1 − p)/n)` it has a width where all trials or none succeeded (6 of 6 is 61 % to 100 %), stays within 0 to 1,
//! and covers the true share about as often as it says at small `n` (Newcombe 1998, method 3). Where a trial's outcome is any
//! number from 0 to 1 (an F1 score), `p` is their mean: no such outcome varies more than one that is 0 or 1, so the interval is
//! then at least as wide as it need be.

use serde::{Deserialize, Serialize};

/// Normal quantile of a two-sided 95 % interval.
const Z_95: f64 = 1.959_963_984_540_054;

/// A share of `trials`, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// The share that was seen, from 0 to 1.
    pub share: f64,
    /// In how many trials.
    pub trials: u64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Proportion {
    /// `successes` of `trials`; `None` without a trial, or with more successes than trials.
    pub fn of(successes: u64, trials: u64) -> Option<Self> {
        (successes <= trials).then(|| Self::of_share(successes as f64 / trials as f64, trials)).flatten()
    }

    /// The mean `share` of outcomes from 0 to 1; `None` without a trial, or for a share that is not from 0 to 1.
    pub fn of_share(share: f64, trials: u64) -> Option<Self> {
        if trials == 0 || !(0.0..=1.0).contains(&share) {
            return None;
        }
        let (n, square) = (trials as f64, Z_95 * Z_95);
        let centre = (share + square / (2.0 * n)) / (1.0 + square / n);
        let spread = (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
        let half = Z_95 * spread / (1.0 + square / n);
        // An end that is 0 or 1 is so exactly, not up to rounding.
        let low = if share == 0.0 { 0.0 } else { (centre - half).max(0.0) };
        let high = if share == 1.0 { 1.0 } else { (centre + half).min(1.0) };
        Some(Self { share, trials, low, high })
    }

    /// In percent, with the interval: `67 % (95 %: 30 to 90)`.
    pub fn percent(&self) -> String {
        let [share, low, high] = [self.share, self.low, self.high].map(|share| 100.0 * share);
        format!("{share:.0} % (95 %: {low:.0} to {high:.0})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newcombe 1998, Table I, method 3, and two ends that follow from the formula by hand: z²/(n + z²).
    #[test]
    fn intervals_are_the_published_ones() {
        for (successes, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
            (6, 6, 0.6097, 1.0),
            (0, 50, 0.0, 0.0713),
            (50, 50, 0.9287, 1.0),
        ] {
            let found = Proportion::of(successes, trials).expect("trials");
            assert!((found.low - low).abs() < 6e-5 && (found.high - high).abs() < 6e-5, "{found:?}");
            assert!(found.low <= found.share && found.share <= found.high);
        }
    }

    /// The ends are the shares p0 at which the share that was seen lies z standard errors of p0 away.
    #[test]
    fn ends_solve_the_score_equation() {
        for trials in [1, 2, 7, 50, 1000] {
            for successes in 0..=trials.min(60) {
                let found = Proportion::of(successes, trials).expect("trials");
                for end in [found.low, found.high].into_iter().filter(|end| *end > 0.0 && *end < 1.0) {
                    let error = (end * (1.0 - end) / trials as f64).sqrt();
                    assert!(((found.share - end).abs() - Z_95 * error).abs() < 1e-9, "{found:?} {end}");
                }
                let mirrored = Proportion::of(trials - successes, trials).expect("trials");
                assert!((mirrored.low - (1.0 - found.high)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_mean_of_scores_counts_as_a_share_and_nonsense_is_none() {
        assert_eq!(Proportion::of_share(0.5, 8), Proportion::of(4, 8));
        assert_eq!((Proportion::of(0, 0), Proportion::of(3, 2)), (None, None));
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Proportion::of_share(share, 5), None);
        }
        assert_eq!(Proportion::of(4, 6).expect("six").percent(), "67 % (95 %: 30 to 90)");
    }
}
