//! What became of a run, in a sentence.

use lm_infinite::diagnose::{Diagnosis, Outcome, RunMeasurement};

use super::reach::{ToGo, to_go, tokens_to_go};
use crate::theme;
use crate::words::grouped;

/// What became of the loss of every policy.
pub fn all(diagnosis: &Diagnosis) -> String {
    let lines: Vec<_> =
        diagnosis.runs.iter().enumerate().map(|(side, run)| loss(diagnosis, side, run)).collect();
    lines.join(" ")
}

/// What became of the loss of one policy.
pub fn loss(diagnosis: &Diagnosis, side: usize, run: &RunMeasurement) -> String {
    let name = format!("{} ({})", theme::name(side), run.policy);
    if let Some(at) = run.first_non_finite {
        return format!("{name} has a loss that is not finite from token {} on.", grouped(at));
    }
    let left = to_go(diagnosis, run).filter(|_| run.breaks.is_none());
    match left {
        Some(ToGo::Never) => {
            return format!(
                "Beyond the training length {name} reads nothing: the model has no positions there."
            );
        }
        Some(ToGo::Tokens(count)) => {
            return format!(
                "Whether the loss of {name} breaks beyond the training length is not known yet: {}.",
                tokens_to_go(count)
            );
        }
        None => {}
    }
    let Some(effect) = run.loss.effect else {
        return format!("Of {name} too few tokens beyond that have been read to say more.");
    };
    let above = format!("{:+.2} nats per token against the reference", effect.mean).replace('-', "\u{2212}");
    match (run.loss.outcome, run.loss.onset) {
        (Outcome::Fails, Some(onset)) => {
            format!("The loss of {name} breaks from token {} on: {above}.", grouped(onset.at))
        }
        (Outcome::Fails | Outcome::NotFinite, _) => format!("The loss of {name} breaks: {above}."),
        (Outcome::Holds, _) => format!("The loss of {name} holds: {above}."),
        (Outcome::Undecided, _) => format!("Of {name} it is undecided: {above}."),
    }
}
