//! What broke, in words: one line per policy, and its factors.

use eframe::egui::{Grid, RichText, Ui};
use lm_infinite::diagnose::{Diagnosis, RunMeasurement};

use crate::theme::{self, NAMES};

/// Draws the verdicts.
pub fn show(ui: &mut Ui, diagnosis: &Diagnosis) {
    let reference = diagnosis.reference_nll.map_or(String::new(), |nll| {
        format!(" Reference: {nll:.2} nats per token, the same text in windows of that length.")
    });
    ui.label(format!("{}: trained on {} tokens.{reference}", diagnosis.model, diagnosis.trained_length));
    Grid::new("verdicts").num_columns(6).striped(true).spacing([14.0, 4.0]).show(ui, |ui| {
        for title in ["", "loss (nats)", "loss breaks", "logits", "entropy", "drift"] {
            ui.label(RichText::new(title).weak());
        }
        ui.end_row();
        for (side, run) in diagnosis.runs.iter().take(2).enumerate() {
            ui.label(
                RichText::new(format!("{}  {}", NAMES[side], run.policy))
                    .color(theme::side(ui.visuals(), side))
                    .strong(),
            );
            ui.label(loss(run));
            ui.label(run.breaks.map_or("no".to_owned(), |at| format!("at {}", at.position)));
            for (broke, at, words) in factors(run) {
                let text = match (broke, at) {
                    (true, Some(at)) => format!("broken from {at}"),
                    (true, None) => "broken".to_owned(),
                    (false, _) => "holds".to_owned(),
                };
                let text = if broke { RichText::new(text).strong() } else { RichText::new(text) };
                ui.label(text).on_hover_text(words);
            }
            ui.end_row();
        }
    });
}

/// The mean loss, or how many losses are not finite, and from where on.
fn loss(run: &RunMeasurement) -> String {
    let lost: u64 = run.buckets.iter().map(|bucket| bucket.non_finite).sum();
    match (run.buckets.iter().find(|bucket| bucket.non_finite > 0), run.nll) {
        (Some(first), _) => format!("not finite for {lost} tokens, from {}–{} on", first.from, first.to),
        (None, Some(nll)) => format!("{nll:.3}"),
        (None, None) => "–".to_owned(),
    }
}

fn factors(run: &RunMeasurement) -> [(bool, Option<u64>, &str); 3] {
    let all = &run.factors;
    [
        (all.logits.broke, all.logits.at, &all.logits.verdict),
        (all.entropy.broke, all.entropy.at, &all.entropy.verdict),
        (all.drift.broke, all.drift.at, &all.drift.verdict),
    ]
}
