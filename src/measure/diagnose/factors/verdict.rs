//! What is said of each of the three factors.

use lm_infinite_analysis::NonFinite;
use serde::{Deserialize, Serialize};

use super::super::onset::TokenOnset;
use super::super::outcome::Outcome;

/// The verdict on a factor. In JSON its fields are those of the factor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FactorVerdict {
    /// Whether the factor fails, or is not finite.
    pub broke: bool,
    /// The rule of the factor, in one word.
    #[serde(default)]
    pub outcome: Outcome,
    /// Position, in tokens, from which it fails, or of the first value that is not finite.
    pub at: Option<u64>,
    /// In words, the outcome first.
    #[serde(rename = "verdict")]
    pub words: String,
    /// What the rule holds against its margin; each factor says what that is. `None` where it cannot be measured, or a value is
    /// not finite.
    #[serde(default)]
    pub effect: Option<f64>,
    /// Its 95 % interval.
    #[serde(default)]
    pub interval: Option<[f64; 2]>,
    /// Where it fails.
    #[serde(default)]
    pub onset: Option<TokenOnset>,
    /// Values that are not finite; each factor says which.
    #[serde(default)]
    pub non_finite: u64,
    /// Position of the first of them.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
}

impl FactorVerdict {
    /// Without words, effect and interval.
    pub(super) fn new(outcome: Outcome, onset: Option<TokenOnset>, non_finite: NonFinite) -> Self {
        Self {
            broke: matches!(outcome, Outcome::Fails | Outcome::NotFinite),
            outcome,
            at: onset.map(|onset| onset.at).into_iter().chain(non_finite.first).min(),
            onset,
            non_finite: non_finite.count,
            first_non_finite: non_finite.first,
            ..Self::default()
        }
    }

    /// The outcome, in results of the first format too.
    pub fn outcome(&self) -> Outcome {
        self.outcome.or_of_verdict(self.broke, &self.words)
    }

    /// Where it fails, with what is known of the place.
    pub(super) fn begins(&self) -> Option<(u64, [u64; 2])> {
        let onset = self.onset.map(|onset| (onset.at, onset.interval));
        // A value that is not finite, before it.
        let before = self.at.filter(|&at| onset.is_none_or(|(onset, _)| at < onset));
        before.map(|at| (at, [at, at])).or(onset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_begins_to_fail_where_it_is_first_not_finite() {
        let onset = |at| Some(TokenOnset { at, interval: [at - 4, at + 4] });
        let of = |onset, first: Option<u64>| {
            let non_finite = NonFinite { count: u64::from(first.is_some()), first };
            FactorVerdict::new(Outcome::NotFinite, onset, non_finite).begins()
        };
        assert_eq!(of(onset(64), Some(0)), Some((0, [0, 0])));
        assert_eq!(of(onset(64), Some(90)), Some((64, [60, 68])));
        assert_eq!(of(onset(64), None), Some((64, [60, 68])));
        assert_eq!(of(None, Some(7)), Some((7, [7, 7])));
        assert_eq!(of(None, None), None);
    }
}
