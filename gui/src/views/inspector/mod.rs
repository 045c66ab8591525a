//! The inspector: the token at the cursor, the chosen head, what is under the pointer, and the run in a sentence.

mod looks;

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{Context, Grid, Label, RichText, TextStyle, Ui};
use lm_infinite::diagnose::head_name;

use self::looks::Looks;
use super::pane::Pane;
use super::shown::Shown;
use super::strongest::strongest;
use super::text::colors::loss;
use super::{heads, sentence, tokens};
use crate::command::Command;
use crate::theme;
use crate::tour::Tour;
use crate::words::grouped;

/// What it computes before a frame.
#[derive(Default)]
pub struct Inspector {
    looks: Looks,
}

impl Inspector {
    /// Takes what came, and asks for what is to be told.
    pub fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        self.looks.update(ctx, shown);
    }

    /// Draws it; `panes` are those on screen, and tell what they know.
    pub fn show<'a>(
        &self,
        ui: &mut Ui,
        shown: &Shown<'_>,
        panes: impl Iterator<Item = &'a dyn Pane>,
        commands: &mut Vec<Command>,
    ) {
        token_ui(ui, shown);
        for pane in panes {
            pane.inspect(ui, shown);
        }
        ui.separator();
        self.head_ui(ui, shown, commands);
        ui.separator();
        run_ui(ui, shown, commands);
    }

    /// The chosen head, and what the cursor's token looks at with it.
    fn head_ui(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let Some(head) = shown.head.or_else(|| strongest(shown.diagnosis)) else { return };
        ui.strong(format!("Head {}", head_name(head)));
        if shown.head.is_none() {
            ui.weak("Unseen distances raise its logits most. An arrow key, or a click in the grid of heads, chooses another.");
        }
        heads::column(ui, shown.diagnosis, head);
        let (Some(query), Some(inputs)) = (shown.mark, shown.inputs) else { return };
        for (side, run) in shown.diagnosis.runs.iter().enumerate() {
            let title = format!("Under {} token {} looks at", theme::name(side), grouped(query));
            let title = ui.label(RichText::new(title).color(theme::side(ui.visuals(), side)));
            title.on_hover_text(format!(
                "{} under {}: the keys with most of its attention",
                head_name(head),
                run.policy
            ));
            if let Some(failure) = self.looks.failure(side) {
                ui.colored_label(theme::bad(ui.visuals()), failure);
            }
            let Some(keys) = self.looks.of(side, query) else {
                ui.weak(if inputs.is_small() { "…" } else { "not computed: the model is large" });
                continue;
            };
            for key in keys {
                let token = tokens::named(inputs, key.position);
                let words = format!("{:.3}  {}  {token}", key.probability, grouped(key.position));
                let link = ui.link(RichText::new(words).monospace().size(11.0));
                if link
                    .on_hover_text("Probability, position and token; a click moves the cursor there")
                    .clicked()
                {
                    commands.push(Command::Mark(Some(key.position)));
                }
            }
        }
    }
}

/// The token under the pointer, or at the cursor, with its losses.
fn token_ui(ui: &mut Ui, shown: &Shown<'_>) {
    let Some(position) = shown.hover.map(|hover| hover.position).or(shown.mark) else {
        ui.weak("Point at a token, or drag the cursor of the timeline.");
        return;
    };
    ui.horizontal_wrapped(|ui| {
        ui.strong(format!("Token {}", grouped(position)));
        if let Some(inputs) = shown.inputs {
            ui.label(RichText::new(format!("“{}”", tokens::text(inputs, position))).monospace());
            if let Some(bytes) = tokens::bytes_words(inputs, position) {
                ui.weak(bytes);
            }
        }
    });
    Grid::new("losses of the token").num_columns(2).spacing([8.0, 2.0]).show(ui, |ui| {
        for (side, run) in shown.diagnosis.runs.iter().enumerate() {
            ui.label(RichText::new(theme::name(side)).color(theme::side(ui.visuals(), side)).strong());
            let nll = loss(&run.arrays.nll, position);
            ui.label(nll.map_or("–".to_owned(), |nll| format!("{nll:.3} nats")));
            ui.end_row();
        }
    });
}

/// A policy with its letter: no line ends in the middle of its name for the sake of a hyphen.
fn policy(ui: &Ui, side: usize, name: &str) -> LayoutJob {
    let (font, color) = (TextStyle::Body.resolve(ui.style()), theme::side(ui.visuals(), side));
    let mut words = LayoutJob::single_section(
        format!("{}\u{a0}{name}", theme::name(side)),
        TextFormat::simple(font, color),
    );
    words.wrap.break_anywhere = true;
    words
}

/// What was run, and what became of it.
fn run_ui(ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
    let diagnosis = shown.diagnosis;
    ui.strong("Settings");
    ui.label(format!("{}, trained on {} tokens", diagnosis.model, grouped(diagnosis.trained_length)));
    for (side, run) in diagnosis.runs.iter().enumerate() {
        ui.add(Label::new(policy(ui, side, &run.policy)).wrap());
    }
    ui.label(sentence::all(diagnosis));
    if ui.button("Explain").on_hover_text("Step by step, with the numbers of this run").clicked() {
        commands.push(Command::Tour(Tour::BEGIN));
    }
}
