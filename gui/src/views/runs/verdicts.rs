//! What became of a policy, in words: its loss, and its factors.

use eframe::egui::{RichText, Ui};
use lm_infinite::diagnose::{Diagnosis, Outcome, RunMeasurement};

use crate::views::reach::{not_yet, to_go};
use crate::words::grouped;

/// What is told of a policy.
const TITLES: [&str; 6] = ["tokens", "loss (nats)", "loss beyond", "logits", "entropy", "drift"];

/// What losses are held against.
pub fn reference(diagnosis: &Diagnosis) -> String {
    let reference = match (diagnosis.reference_nll, diagnosis.reference_first_non_finite) {
        (Some(nll), _) => format!("costs {nll:.2} nats per token"),
        (None, Some(at)) => format!("has a loss that is not finite from token {at}"),
        (None, None) => "has not been read yet".to_owned(),
    };
    format!(
        "{}: trained on {} tokens. Reference: the same text in windows of that length {reference}.",
        diagnosis.model, diagnosis.trained_length
    )
}

/// The mean loss and what became of it, in a few words; true if it fails.
pub fn short(diagnosis: &Diagnosis, run: &RunMeasurement) -> (String, bool) {
    let (nll, breaks) = loss(run);
    let failed = run.breaks.is_some() || run.first_non_finite.is_some();
    let left = to_go(diagnosis, run).filter(|_| !failed);
    let unit = if run.nll.is_some() { " nats" } else { "" };
    (format!("{nll}{unit}, {}", left.map_or(breaks, not_yet)), failed)
}

/// What one policy did, every value behind its title.
pub fn rows(ui: &mut Ui, diagnosis: &Diagnosis, run: &RunMeasurement, asked: Option<u64>) {
    let mut titles = TITLES.into_iter();
    let mut value = |ui: &mut Ui, text: RichText, help: &str| {
        ui.label(RichText::new(titles.next().unwrap_or_default()).weak());
        let label = ui.label(text);
        if !help.is_empty() {
            label.on_hover_text(help);
        }
        ui.end_row();
    };
    let (words, help) = tokens(diagnosis, run, asked);
    value(ui, words.into(), &help);
    let (nll, breaks) = loss(run);
    value(ui, nll.into(), "");
    let left = to_go(diagnosis, run);
    // A window that is shorter than the training length may lose a model before its end.
    let failed = run.breaks.is_some() || run.first_non_finite.is_some();
    value(ui, left.filter(|_| !failed).map_or(breaks, not_yet).into(), "");
    for (_, factor) in run.factors.verdicts() {
        let outcome = factor.outcome();
        let failed = matches!(outcome, Outcome::Fails | Outcome::NotFinite);
        let text = match left.filter(|_| !failed) {
            Some(left) => not_yet(left),
            None => verdict(outcome, factor.first_non_finite.or(factor.at)),
        };
        let text = if failed { RichText::new(text).strong() } else { RichText::new(text) };
        value(ui, text, &factor.words);
    }
}

/// How much of the text a run has read, and the same in a sentence. `asked` is how much was asked for.
fn tokens(diagnosis: &Diagnosis, run: &RunMeasurement, asked: Option<u64>) -> (String, String) {
    let (read, tokens) = (run.tokens_read(), diagnosis.tokens);
    if diagnosis.is_partial() {
        let words = format!("{} of {}", grouped(read), grouped(tokens));
        return (words.clone(), format!("{words} tokens have been read"));
    }
    match (diagnosis.repeated_from, asked.filter(|&asked| tokens < asked)) {
        (Some(from), _) => (
            format!("{}, repeats from {}", grouped(read), grouped(from)),
            format!(
                "The text has {} tokens; from there on its documents are drawn with replacement",
                grouped(from)
            ),
        ),
        (None, Some(asked)) => (
            format!("{}, to its end", grouped(read)),
            format!(
                "The text ended before the {} tokens that were asked for; Repeat goes on with its documents",
                grouped(asked)
            ),
        ),
        (None, None) => (grouped(read), "Tokens that were read".to_owned()),
    }
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
