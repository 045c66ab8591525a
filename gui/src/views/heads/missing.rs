//! Why heads have no value: in words instead of a blank grid.

use lm_infinite::diagnose::{Diagnosis, RunMeasurement, START_TOKENS};

use super::model::{Measure, Side};
use crate::views::reach::{looks_beyond, not_yet, to_go};
use crate::views::rows::Rows;

impl Measure {
    /// Whether it needs keys beyond the training length, and if so from which position on.
    fn beyond_from(self) -> Option<u64> {
        match self {
            Self::LogitExcess => Some(0),
            Self::LogitRise => Some(START_TOKENS),
            _ => None,
        }
    }
}

/// Why no head has a value.
pub fn of_all(rows: Rows<'_>, measure: Measure, side: Side) -> String {
    let diagnosis = rows.diagnosis;
    if measure == Measure::SinkMass && !diagnosis.config.learned_sinks {
        return "The heads of this model have no learned sinks.".to_owned();
    }
    for row in side.runs() {
        let name = row.words();
        let Some(run) = rows.run(row) else { return format!("there is no policy {name}") };
        if let Some(words) = rows.other_heads(row) {
            return format!("No difference of heads: {words}.");
        }
        let Some(from) = measure.beyond_from() else { continue };
        if let Some(left) = to_go(diagnosis, run) {
            return format!("It needs distances beyond the training length; {}.", not_yet(left));
        }
        if !looks_beyond(diagnosis, run, from) {
            return format!(
                "{name} never looks that far: it attends to no key at a distance beyond the training length."
            );
        }
    }
    let left = side.runs().filter_map(|row| to_go(diagnosis, rows.run(row)?)).max();
    match (measure, left, measure.beyond_from()) {
        (Measure::FirstBreak, Some(left), _) => {
            format!("No head breaks; beyond the training length {}.", not_yet(left))
        }
        (Measure::FirstBreak, None, _) => "no head breaks".to_owned(),
        (.., Some(_)) => {
            "not measured yet: too few sampled queries lie beyond the training length".to_owned()
        }
        (.., None) => "not measured yet".to_owned(),
    }
}

/// Why a head has no value, in two words, where there is a reason.
pub fn of_one(diagnosis: &Diagnosis, run: &RunMeasurement, measure: Measure) -> Option<&'static str> {
    if measure == Measure::SinkMass && !diagnosis.config.learned_sinks {
        return Some("has none");
    }
    let from = measure.beyond_from()?;
    if to_go(diagnosis, run).is_some() {
        return Some("not yet");
    }
    (!looks_beyond(diagnosis, run, from)).then_some("never so far")
}
