//! What was found of the causes of a failure.

use lm_infinite_analysis::causes::{Cause, CauseSet, Factorial};
use lm_infinite_runtime::note::Note;
use serde::{Deserialize, Serialize};

use super::factorial::CauseRuns;
use super::places::Places;
use super::policies::cause_policy;
use super::predictions::Prediction;
use super::restored::SEED;
use super::smallest::SmallestFix;
use super::temperature::TemperatureRemedy;
use crate::error::Result;

/// Causes of the failure of one model on one text; written as `causes.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Causes {
    /// L_pretrain.
    pub trained_length: u64,
    /// Length of the text, in tokens.
    pub tokens: u64,
    /// First token whose loss is compared.
    pub from: u64,
    /// The eight sets of causes, in the order of [`lm_infinite_analysis::causes::CauseSet::index`].
    pub runs: Vec<CauseRun>,
    /// Effects and shares.
    pub factorial: Factorial,
    /// The fix in one layer or head, where it was asked for and there is an excess.
    #[serde(default)]
    pub places: Option<Places>,
    /// A small set of heads or layers to fix, likewise.
    #[serde(default)]
    pub smallest_fix: Option<SmallestFix>,
    /// The temperature in place of fewer keys, likewise.
    #[serde(default)]
    pub temperature: Option<TemperatureRemedy>,
    /// Rank correlations over heads, likewise.
    #[serde(default)]
    pub predictions: Vec<Prediction>,
    /// What else there is to say.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// One set of causes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseRun {
    /// The causes that are present.
    pub causes: Vec<Cause>,
    /// The policy that has them.
    pub policy: String,
    /// Mean loss of the compared tokens, in nats; `None` if one is not finite.
    pub nll: Option<f64>,
    /// Compared tokens whose loss is NaN or infinite.
    #[serde(default)]
    pub non_finite_tokens: u64,
    /// The first of them.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
}

impl Causes {
    /// What the eight runs say; nothing of layers and heads.
    ///
    /// # Errors
    /// As [`cause_policy`].
    pub fn new(runs: &CauseRuns) -> Result<Self> {
        let all: Vec<CauseSet> = CauseSet::all().collect();
        let factorial = Factorial::new(std::array::from_fn(|index| runs.compared(all[index])), SEED);
        let run = |&set: &CauseSet| -> Result<CauseRun> {
            let spec = cause_policy(set, runs.trained_length())?;
            let non_finite = factorial.non_finite[set.index()];
            Ok(CauseRun {
                causes: Cause::ALL.into_iter().filter(|&cause| set.has(cause)).collect(),
                policy: spec.label,
                nll: factorial.means[set.index()],
                non_finite_tokens: non_finite.count,
                first_non_finite: non_finite.first.map(|at| at + runs.from()),
            })
        };
        let policies = all.iter().map(run).collect::<Result<_>>()?;
        Ok(Self {
            trained_length: runs.trained_length(),
            tokens: runs.losses(CauseSet::NONE).len() as u64 + 1,
            from: runs.from(),
            runs: policies,
            factorial,
            places: None,
            smallest_fix: None,
            temperature: None,
            predictions: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Is vanilla surely worse than the fix, so that there is something to restore?
    pub fn has_excess(&self) -> bool {
        self.factorial.effects.is_some_and(|effects| effects.vanilla.excess.low > 0.0)
    }
}
