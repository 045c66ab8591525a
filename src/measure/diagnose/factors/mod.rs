//! The three factors of one run, each with the rule by which it fails, its effect and interval, and its verdict in words.

mod drift;
mod entropy;
mod logits;

use lm_infinite_analysis::nll::{BreakOrder, Factor};
use serde::{Deserialize, Serialize};

pub use drift::DriftFactor;
pub(crate) use entropy::ENTROPY_FACTOR_MARGIN;
pub use entropy::EntropyFactor;
pub(crate) use logits::heads_needed;
pub use logits::{LargestExcess, LogitFactor};

use super::loss::TokenOnset;

/// The three factors of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factors {
    /// Factor 1: unseen distances.
    pub logits: LogitFactor,
    /// Factor 2: unseen number of tokens.
    pub entropy: EntropyFactor,
    /// Factor 3: start tokens and the regions of features.
    pub drift: DriftFactor,
}

impl Factors {
    /// The factors that failed, first to last, against the onset of the loss.
    pub fn order(&self, loss: Option<TokenOnset>) -> BreakOrder {
        let at = |onset: Option<TokenOnset>, at: Option<u64>| {
            onset.map(|onset| (onset.at, onset.interval)).or(at.map(|at| (at, [at, at])))
        };
        BreakOrder::new(
            [
                (Factor::Logits, at(self.logits.onset, self.logits.at)),
                (Factor::Entropy, at(self.entropy.onset, self.entropy.at)),
                (Factor::Drift, at(self.drift.onset, self.drift.at)),
            ],
            loss.map(|loss| (loss.at, loss.interval)),
        )
    }
}
