//! The three factors of one run, each with the rule by which it fails, its effect and interval, and its verdict in words.

mod drift;
mod entropy;
mod logits;
mod verdict;

use lm_infinite_analysis::nll::{BreakOrder, Factor};
use serde::{Deserialize, Serialize};

pub use drift::DriftFactor;
pub(crate) use entropy::ENTROPY_FACTOR_MARGIN;
pub use entropy::EntropyFactor;
pub(crate) use logits::heads_needed;
pub use logits::{LargestExcess, LogitFactor};
pub use verdict::FactorVerdict;

use super::onset::TokenOnset;
use super::outcome::Outcome;

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
        BreakOrder::new(
            [
                (Factor::Logits, self.logits.verdict.begins()),
                (Factor::Entropy, self.entropy.verdict.begins()),
                (Factor::Drift, self.drift.verdict.begins()),
            ],
            loss.map(|loss| (loss.at, loss.interval)),
        )
    }

    /// Is there too little to tell of one of them?
    pub(crate) fn any_undecided(&self) -> bool {
        self.verdicts().iter().any(|(_, verdict)| verdict.outcome == Outcome::Undecided)
    }

    /// Their names and verdicts, in the order of the paper.
    pub fn verdicts(&self) -> [(&'static str, &FactorVerdict); 3] {
        let Self { logits, entropy, drift } = self;
        [("logits", &logits.verdict), ("entropy", &entropy.verdict), ("drift", &drift.verdict)]
    }
}
