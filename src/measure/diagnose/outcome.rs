//! What became of a factor, or of a loss.

use std::fmt;

use lm_infinite_analysis::effect::Decision;
use serde::{Deserialize, Serialize};

/// Seed of every bootstrap: a verdict is the same each time it is asked for.
pub(crate) const SEED: u64 = 0;

/// A verdict in one word. What is not finite counts as failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It leaves what training showed.
    Fails,
    /// It stays there.
    Holds,
    /// There is too little to tell.
    #[default]
    Undecided,
    /// A value is NaN or infinite.
    #[serde(rename = "not finite")]
    NotFinite,
}

impl From<Decision> for Outcome {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Fails => Self::Fails,
            Decision::Holds => Self::Holds,
            Decision::Undecided => Self::Undecided,
        }
    }
}

impl Outcome {
    /// The outcome of a factor, in results of the first format too: those say whether it broke, and their verdict begins
    /// with the outcome.
    pub fn or_of_verdict(self, broke: bool, verdict: &str) -> Self {
        match self {
            Self::Undecided if broke => Self::Fails,
            Self::Undecided if verdict.starts_with("holds") => Self::Holds,
            outcome => outcome,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fails => "fails",
            Self::Holds => "holds",
            Self::Undecided => "undecided",
            Self::NotFinite => "not finite",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_the_first_format_have_an_outcome_too() {
        let of = |broke, verdict| Outcome::default().or_of_verdict(broke, verdict);
        assert_eq!(of(true, "broken: at most 1.0 nats"), Outcome::Fails);
        assert_eq!(of(false, "holds: at most 1.0 nats"), Outcome::Holds);
        assert_eq!(of(false, "not measured"), Outcome::Undecided);
        assert_eq!(Outcome::NotFinite.or_of_verdict(true, "not finite from 7"), Outcome::NotFinite);
    }

    #[test]
    fn the_words_are_those_of_json() {
        for outcome in [Outcome::Fails, Outcome::Holds, Outcome::Undecided, Outcome::NotFinite] {
            let json = serde_json::to_value(outcome).expect("writes");
            assert_eq!(json, serde_json::json!(outcome.to_string()));
        }
    }
}
