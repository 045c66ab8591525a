//! What broke, in words: one line per policy, and its factors.

use eframe::egui::{Grid, RichText, Ui};
use lm_infinite::diagnose::{Diagnosis, Outcome, RunMeasurement};

use crate::theme::{self, NAMES};

/// Draws the verdicts.
pub fn show(ui: &mut Ui, diagnosis: &Diagnosis) {
    let reference = match (diagnosis.reference_nll, diagnosis.reference_first_non_finite) {
        (Some(nll), _) => format!("costs {nll:.2} nats per token"),
        (None, Some(at)) => format!("has a loss that is not finite from token {at}"),
        (None, None) => "has not been read yet".to_owned(),
    };
    ui.label(format!(
        "{}: trained on {} tokens. Reference: the same text in windows of that length {reference}.",
        diagnosis.model, diagnosis.trained_length
    ));
    Grid::new("verdicts").num_columns(6).striped(true).spacing([14.0, 4.0]).show(ui, |ui| {
        for title in ["", "loss (nats)", "loss beyond", "logits", "entropy", "drift"] {
            ui.label(RichText::new(title).weak());
        }
        ui.end_row();
        for (side, run) in diagnosis.runs.iter().take(2).enumerate() {
            ui.label(
                RichText::new(format!("{}  {}", NAMES[side], run.policy))
                    .color(theme::side(ui.visuals(), side))
                    .strong(),
            );
            let (nll, breaks) = loss(run);
            ui.label(nll);
            ui.label(breaks);
            for (_, factor) in run.factors.verdicts() {
                let outcome = factor.outcome();
                let text = verdict(outcome, factor.first_non_finite.or(factor.at));
                let failed = matches!(outcome, Outcome::Fails | Outcome::NotFinite);
                let text = if failed { RichText::new(text).strong() } else { RichText::new(text) };
                ui.label(text).on_hover_text(&factor.words);
            }
            ui.end_row();
        }
    });
}

/// The mean loss, and where it breaks.
fn loss(run: &RunMeasurement) -> (String, String) {
    let nll = match (run.nll, run.non_finite_tokens) {
        (Some(nll), _) => format!("{nll:.3}"),
        (None, 0) => "–".to_owned(),
        (None, count) => format!("not finite ({count} tokens)"),
    };
    let breaks = match (run.first_non_finite, run.breaks) {
        (Some(at), Some(first)) if first.position < at => {
            format!("fails from {}, not finite from {at}", first.position)
        }
        (Some(at), _) => format!("not finite from {at}"),
        (None, Some(at)) => format!("fails from {}", at.position),
        (None, None) => run.loss.outcome.to_string(),
    };
    (nll, breaks)
}

/// A factor in a few words.
fn verdict(outcome: Outcome, at: Option<u64>) -> String {
    match (outcome, at) {
        (Outcome::Fails, Some(at)) => format!("fails from {at}"),
        (Outcome::Fails, None) => "fails".to_owned(),
        (Outcome::NotFinite, Some(at)) => format!("not finite from {at}"),
        (Outcome::NotFinite, None) => "not finite".to_owned(),
        (outcome, _) => outcome.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_said_and_never_holds() {
        assert_eq!(verdict(Outcome::NotFinite, Some(1024)), "not finite from 1024");
        assert_eq!(verdict(Outcome::Fails, Some(7)), "fails from 7");
        assert_eq!(verdict(Outcome::Holds, None), "holds");
        assert_eq!(verdict(Outcome::Undecided, None), "undecided");
    }
}
