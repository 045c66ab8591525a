//! What broke, in words: one line per policy, and its factors.

use eframe::egui::{Checkbox, Grid, Label, RichText, Role, Ui, WidgetInfo};
use lm_infinite::diagnose::{Diagnosis, Outcome, RunMeasurement};

use super::curves::paint::example;
use super::reach::{not_yet, to_go};
use super::shown::Hidden;
use crate::theme;
use crate::words::grouped;

/// Titles of the columns, behind that of the policies.
const TITLES: [&str; 6] = ["tokens", "loss (nats)", "loss beyond", "logits", "entropy", "drift"];
/// Narrowest table, in points.
const TABLE: f32 = 880.0;

/// Draws the verdicts. `asked` is the number of tokens that was asked for, where that is known.
#[must_use]
pub fn show(ui: &mut Ui, diagnosis: &Diagnosis, asked: Option<u64>, mut hidden: Hidden) -> Hidden {
    let reference = match (diagnosis.reference_nll, diagnosis.reference_first_non_finite) {
        (Some(nll), _) => format!("costs {nll:.2} nats per token"),
        (None, Some(at)) => format!("has a loss that is not finite from token {at}"),
        (None, None) => "has not been read yet".to_owned(),
    };
    ui.label(format!(
        "{}: trained on {} tokens. Reference: the same text in windows of that length {reference}.",
        diagnosis.model, diagnosis.trained_length
    ));
    if ui.available_width() < TABLE {
        // A narrow place has no room for columns: every value behind its title.
        for (side, run) in diagnosis.runs.iter().enumerate() {
            hidden = name_ui(ui, side, run, hidden);
            let grid = Grid::new(("verdict", side)).num_columns(2).spacing([8.0, 2.0]).min_row_height(0.0);
            grid.show(ui, |ui| row(ui, diagnosis, run, asked, true));
            ui.add_space(2.0);
        }
        return hidden;
    }
    Grid::new("verdicts").num_columns(TITLES.len() + 1).striped(true).spacing([14.0, 4.0]).show(ui, |ui| {
        for title in std::iter::once("").chain(TITLES) {
            ui.label(RichText::new(title).weak());
        }
        ui.end_row();
        for (side, run) in diagnosis.runs.iter().enumerate() {
            hidden = name_ui(ui, side, run, hidden);
            row(ui, diagnosis, run, asked, false);
            ui.end_row();
        }
    });
    hidden
}

/// What a policy is called, how its lines look, and whether they are drawn.
fn name_ui(ui: &mut Ui, side: usize, run: &RunMeasurement, hidden: Hidden) -> Hidden {
    let mut drawn = !hidden.has(side);
    ui.horizontal(|ui| {
        example(ui, side);
        let name = format!("{}  {}", theme::name(side), run.policy);
        let words = RichText::new(name).color(theme::side(ui.visuals(), side)).strong();
        let tick = ui.add(Checkbox::without_text(&mut drawn));
        let draw = format!("Draw {}", theme::name(side));
        tick.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, drawn, &draw));
        tick.on_hover_text(draw);
        ui.add(Label::new(words).truncate()).on_hover_text(&run.policy);
    });
    hidden.with(side, !drawn)
}

/// What one policy did, every value behind its title where rows are `titled`.
fn row(ui: &mut Ui, diagnosis: &Diagnosis, run: &RunMeasurement, asked: Option<u64>, titled: bool) {
    let mut titles = TITLES.into_iter();
    let mut value = |ui: &mut Ui, text: RichText, help: &str| {
        if let Some(title) = titles.next().filter(|_| titled) {
            ui.label(RichText::new(title).weak());
        }
        let label = ui.label(text);
        if !help.is_empty() {
            label.on_hover_text(help);
        }
        if titled {
            ui.end_row();
        }
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
