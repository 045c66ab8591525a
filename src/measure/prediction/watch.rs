//! The probe of one window at every length: the same quantities as a diagnosis takes, of a few queries.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use lm_infinite_analysis::Bins;
use lm_infinite_analysis::entropy::{EntropyExcess, RowEntropy};
use lm_infinite_analysis::explosion::{LogitsByDistance, PairLogits, UnseenDistances};
use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::probe::{
    AttentionRow, CounterfactualLogits, CounterfactualPlan, PositionSet, Probe, ProbePlan,
};

use crate::diagnose::{COUNTERFACTUAL_DISTANCES, COUNTERFACTUAL_KEYS, START_TOKENS};
use crate::error::{Error, Result};

/// What was seen of one window.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    plan: ProbePlan,
    /// Logits at unseen distances, against the same pairs at distances of training.
    pub unseen: UnseenDistances,
    /// Entropy of rows, against the same rows with as many keys as in training.
    pub entropy: EntropyExcess,
    /// Logits on keys after the start tokens, of the lengths at which they were wanted.
    pub logits: LogitsByDistance,
    logits_wanted: bool,
    /// By position of the query: the entropies of all heads, added up, in nats, and their number.
    entropies: BTreeMap<u64, (f64, u32)>,
    failure: Option<Arc<lm_infinite_analysis::Error>>,
}

impl Watch {
    /// Nothing seen. `distances`: bins of the logits.
    pub fn new(config: &ModelConfig, distances: Bins) -> Self {
        let (layers, heads) = (config.layers, config.heads);
        Self {
            plan: ProbePlan::default(),
            unseen: UnseenDistances::new(layers, heads, START_TOKENS),
            entropy: EntropyExcess::new(layers, heads, config.trained_length, START_TOKENS),
            logits: LogitsByDistance::new(layers, heads, distances),
            logits_wanted: false,
            entropies: BTreeMap::new(),
            failure: None,
        }
    }

    /// From now on, looks at the queries at these positions, ascending; at their logits by distance, too, if `logits` are wanted: a
    /// maximum grows with the number of queries.
    pub fn look_at(&mut self, positions: Vec<u64>, trained: u64, logits: bool) {
        self.logits_wanted = logits;
        let at = PositionSet { at: positions, ..PositionSet::default() };
        self.plan = ProbePlan {
            rows: at.clone(),
            counterfactual: Some(CounterfactualPlan {
                queries: at,
                seen: trained,
                start_tokens: START_TOKENS,
                keys: COUNTERFACTUAL_KEYS,
                distances: COUNTERFACTUAL_DISTANCES,
            }),
            ..ProbePlan::default()
        };
    }

    /// Entropy of the queries at `positions`, mean over heads, in nats.
    pub fn entropies(&self, positions: Range<u64>) -> impl Iterator<Item = f64> + '_ {
        self.entropies.range(positions).map(|(_, (sum, count))| sum / f64::from(*count))
    }

    /// The first report that did not fit the model.
    pub fn check(&self) -> Result<()> {
        self.failure.as_ref().map_or(Ok(()), |failure| Err(Error::input("probe", failure)))
    }

    fn note(&mut self, outcome: lm_infinite_analysis::Result<()>) {
        if let Err(failure) = outcome {
            self.failure.get_or_insert_with(|| Arc::new(failure));
        }
    }

    fn add_row(&mut self, row: &AttentionRow) -> lm_infinite_analysis::Result<()> {
        let head = (row.layer, row.head);
        let runs = row.runs.iter().map(|run| (run.first_key, run.logits.as_slice()));
        self.entropy.push(head, row.position, runs)?;
        let all = row.runs.iter().flat_map(|run| &run.logits).map(|&logit| f64::from(logit));
        if let Some(row_entropy) = RowEntropy::of(all) {
            let (sum, count) = self.entropies.entry(row.position).or_default();
            (*sum, *count) = (*sum + row_entropy.entropy, *count + 1);
        }
        for run in row.runs.iter().filter(|_| self.logits_wanted) {
            let starts = START_TOKENS.saturating_sub(run.first_key).min(run.logits.len() as u64);
            let others = &run.logits[starts as usize..];
            self.logits.push(row.layer, row.head, row.position, run.first_key + starts, others)?;
        }
        Ok(())
    }
}

impl Probe for Watch {
    fn plan(&self) -> &ProbePlan {
        &self.plan
    }

    fn attention_row(&mut self, row: &AttentionRow) {
        let outcome = self.add_row(row);
        self.note(outcome);
    }

    fn counterfactual_logits(&mut self, seen: &CounterfactualLogits) {
        let logits = PairLogits { keys: seen.keys, actual: seen.actual, seen: seen.logits };
        let outcome = self.unseen.push((seen.layer, seen.head), seen.position, logits);
        self.note(outcome);
    }
}
