//! What an effect says against a margin: a test, an equivalence test, and otherwise no answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::mean::MeanEffect;

/// What can be said of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The whole interval lies above the margin.
    Fails,
    /// The whole interval lies below it.
    Holds,
    /// The margin lies in the interval.
    Undecided,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fails => "fails",
            Self::Holds => "holds",
            Self::Undecided => "undecided",
        })
    }
}

/// A decision, and what it came from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// The margin.
    pub margin: f64,
    /// The effect.
    pub effect: MeanEffect,
    /// Where nothing is decided: about how many values would decide it, if the mean stayed where it is. `None` where no
    /// number would: the mean is the margin.
    pub values_needed: Option<usize>,
}

impl Verdict {
    /// The verdict on `effect`.
    pub fn new(effect: MeanEffect, margin: f64) -> Self {
        let decision = if effect.low > margin {
            Decision::Fails
        } else if effect.high < margin {
            Decision::Holds
        } else {
            Decision::Undecided
        };
        // Widths fall with the root of the number.
        let needed = effect.n as f64 * (effect.half_width() / (effect.mean - margin)).powi(2);
        let undecided = decision == Decision::Undecided && needed.is_finite() && needed < 1e15;
        Self { decision, margin, effect, values_needed: undecided.then(|| needed.ceil() as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(low: f64, high: f64) -> Verdict {
        Verdict::new(MeanEffect { mean: (low + high) / 2.0, low, high, n: 100, block: 1 }, 0.2)
    }

    #[test]
    fn the_margin_decides() {
        use Decision::{Fails, Holds, Undecided};
        for (low, high, decision) in [
            (0.21, 0.9, Fails),
            (-0.3, 0.19, Holds),
            (-0.3, 0.3, Undecided),
            (0.2, 0.4, Undecided),
            (-2.0, -1.0, Holds),
        ] {
            assert_eq!(of(low, high).decision, decision, "{low} {high}");
        }
    }

    #[test]
    fn it_says_how_many_values_would_decide() {
        // A quarter of half the width away: sixteen times the values.
        let needed = of(0.05, 0.45).values_needed.expect("some");
        assert!(needed.abs_diff(1600) <= 1, "{needed}");
        assert_eq!(of(0.0, 0.4).values_needed, None);
        assert_eq!(of(0.3, 0.4).values_needed, None);
    }
}
