//! The paper's statements about one head of one run: what they bound, and what was measured.

use lm_infinite_analysis::theory::Relation;

use super::head_effects::{ENTROPY_MARGIN, LOGIT_MARGIN};
use super::model::{Diagnosis, RunMeasurement};

/// A statement, its bound and what was measured. `None` where the run has nothing to take it from.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadStatement {
    /// What it says.
    pub statement: &'static str,
    /// The measured value.
    pub measured: Option<f64>,
    /// How the two should relate.
    pub relation: Relation,
    /// The bound.
    pub bound: Option<f64>,
    /// Unit of both.
    pub unit: &'static str,
}

impl HeadStatement {
    /// Whether it holds, if that can be told.
    pub fn holds(&self) -> Option<bool> {
        let (measured, bound) = (self.measured?, self.bound?);
        Some(match self.relation {
            Relation::AtLeast => measured >= bound,
            Relation::AtMost => measured <= bound,
            Relation::Equal => measured == bound,
        })
    }
}

/// The statements about head `head` of layer `layer`; none if the run has no such head.
///
/// Logits and entropy are those of sampled queries, so that a bound on all of them is checked on the sample.
pub fn head_statements(
    diagnosis: &Diagnosis,
    run: &RunMeasurement,
    (layer, head): (usize, usize),
) -> Vec<HeadStatement> {
    let Some(report) = run.heads.iter().find(|report| (report.layer, report.head) == (layer, head)) else {
        return Vec::new();
    };
    let entropy = report.entropy;
    let largest = entropy.map(|growth| growth.outside.map_or(growth.inside, |far| far.max(growth.inside)));
    let policy = diagnosis.config.policy_at(&run.attention, layer);
    let retrieved = policy.retrieved.map_or(0, |keys| keys.k);
    let keys = policy.kept_keys().map_or(diagnosis.tokens, |kept| diagnosis.tokens.min(kept + retrieved));
    let most = (keys as f64).ln();
    let rows = report.longest_rows.as_ref();
    let statement = |statement, measured, relation, bound, unit| HeadStatement {
        statement,
        measured,
        relation,
        bound,
        unit,
    };
    vec![
        statement(
            "Entropy is at most that of equal attention to all keys, ln n",
            largest,
            Relation::AtMost,
            Some(most),
            "nats",
        ),
        statement(
            "Proposition 2: entropy of the longest rows is at least ln n − 2B, B the largest |logit|",
            rows.map(|rows| rows.entropy),
            Relation::AtLeast,
            rows.map(|rows| rows.magnitude),
            "nats",
        ),
        statement(
            "Its tighter form: at least ln n less the range of the logits",
            rows.map(|rows| rows.entropy),
            Relation::AtLeast,
            rows.map(|rows| rows.spread),
            "nats",
        ),
        statement(
            "Unseen numbers of keys add less to the entropy than half as many keys again",
            report.entropy_excess.map(|excess| excess.effect.mean),
            Relation::AtMost,
            Some(ENTROPY_MARGIN),
            "nats",
        ),
        statement(
            "Unseen distances add less than 1.0 to the logits of the same queries and keys",
            report.largest_logit_excess(),
            Relation::AtMost,
            Some(LOGIT_MARGIN),
            "logit",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    #[test]
    fn every_head_has_its_statements_and_no_other() {
        let diagnosis = synthetic::diagnosis(128, 256, &["vanilla", "lm-infinite:window=64"]);
        let of = |run: usize, head| head_statements(&diagnosis, &diagnosis.runs[run], head);
        for run in 0..2 {
            for report in &diagnosis.runs[run].heads {
                let statements = of(run, (report.layer, report.head));
                assert_eq!(statements.len(), 5);
                assert!((0..3).all(|at| statements[at].holds() == Some(true)), "{statements:?}");
                let exceeds = |effect: Option<super::super::HeadEffect>| {
                    effect.is_some_and(|effect| effect.effect.mean > ENTROPY_MARGIN)
                };
                assert_eq!(statements[3].holds() == Some(false), exceeds(report.entropy_excess));
            }
        }
        let most = |run| of(run, (0, 0))[0].bound.expect("a bound");
        assert_eq!((most(0), most(1)), (256f64.ln(), 74f64.ln()));
        assert!(of(0, (99, 0)).is_empty());
    }

    #[test]
    fn a_statement_without_a_value_says_nothing() {
        let told = |measured, relation, bound| {
            HeadStatement { statement: "", measured, relation, bound, unit: "" }.holds()
        };
        assert_eq!(told(None, Relation::AtMost, Some(1.0)), None);
        assert_eq!(told(Some(2.0), Relation::AtMost, Some(1.0)), Some(false));
        assert_eq!(told(Some(2.0), Relation::AtLeast, Some(1.0)), Some(true));
        assert_eq!(told(Some(f64::NAN), Relation::AtLeast, Some(1.0)), Some(false));
    }
}
