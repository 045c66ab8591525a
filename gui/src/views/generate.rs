//! One prompt, both policies: what each goes on with, side by side, every token coloured by what it costs.

use eframe::egui::{self, Button, DragValue, ProgressBar, RichText, ScrollArea, Slider, Ui};
use lm_infinite::sampler::SamplingParams;

use super::{NAMES, Shown};
use crate::command::Command;
use crate::generation::{Generation, Piece, Request};
use crate::job::is_small;
use crate::tab::View;
use crate::theme;

/// Prompt by default, in training lengths: where attention without the fix has long fallen apart.
const PROMPT: u64 = 8;

/// The tab, with what is asked for and the last generation.
struct Generate {
    prompt: Option<u64>,
    tokens: u64,
    temperature: f64,
    generation: Option<Generation>,
    error: Option<String>,
}

/// A new one.
pub fn view() -> Box<dyn View> {
    Box::new(Generate { prompt: None, tokens: 200, temperature: 0.8, generation: None, error: None })
}

impl View for Generate {
    fn show(&mut self, ui: &mut Ui, shown: &Shown<'_>, _commands: &mut Vec<Command>) {
        if let Some(generation) = &mut self.generation {
            generation.update();
        }
        let Some(inputs) = shown.inputs else {
            ui.label("A result folder holds no model. Press Run to load one, then generate.");
            return;
        };
        let whole = inputs.tokens.len() as u64;
        let prompt = self.prompt.get_or_insert(shown.diagnosis.trained_length.saturating_mul(PROMPT));
        *prompt = (*prompt).clamp(1, whole);
        ui.horizontal_wrapped(|ui| {
            let label = ui.label("Prompt");
            ui.add(Slider::new(prompt, 1..=whole).logarithmic(true).suffix(" tokens"))
                .labelled_by(label.id)
                .on_hover_text("Beginning of the text that is read before anything is generated");
            let label = ui.label("New tokens");
            ui.add(DragValue::new(&mut self.tokens).range(1..=1000))
                .labelled_by(label.id)
                .on_hover_text("How many tokens each policy generates");
            let label = ui.label("Temperature");
            ui.add(DragValue::new(&mut self.temperature).range(0.0..=4.0).speed(0.02))
                .labelled_by(label.id)
                .on_hover_text("0 always takes the most probable token");
            // A small model is asked at once: an empty tab tells nobody what it is for.
            let first = self.generation.is_none() && self.error.is_none() && is_small(&inputs.decoder);
            let going = self.generation.as_ref().is_some_and(|generation| !generation.finished);
            let asked = ui.button("Generate").on_hover_text("Both policies go on after the prompt").clicked();
            if asked || first {
                let sampling = SamplingParams { temperature: self.temperature, ..SamplingParams::default() };
                let request = Request { prompt: *prompt as usize, tokens: self.tokens as usize, sampling };
                match Generation::start(inputs.clone(), request, ui.ctx().clone()) {
                    Ok(generation) => (self.generation, self.error) = (Some(generation), None),
                    Err(failure) => self.error = Some(format!("It could not be begun: {failure}")),
                }
            }
            let stop = ui.add_enabled(going, Button::new("Stop generating"));
            if stop.on_hover_text("Ends here; what came stays").clicked()
                && let Some(generation) = &mut self.generation
            {
                generation.stop();
            }
        });
        let failure = self.generation.as_ref().and_then(|generation| generation.failure.as_ref());
        if let Some(reason) = failure.or(self.error.as_ref()) {
            ui.colored_label(theme::BAD, format!("Generating ended. {reason}"));
        }
        match &self.generation {
            Some(generation) => result(ui, generation),
            None => {
                ui.label(format!(
                    "The model was trained on {} tokens. Generate to see what each policy goes on with after a prompt \
                     longer than that.",
                    shown.diagnosis.trained_length
                ));
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.generation.as_ref().is_some_and(|generation| !generation.finished)
    }
}

fn result(ui: &mut Ui, generation: &Generation) {
    let wanted = generation.request.prompt * generation.inputs.policies.len();
    if generation.read < wanted && !generation.finished {
        ui.horizontal(|ui| {
            ui.add(ProgressBar::new(generation.read as f32 / wanted as f32).desired_width(180.0));
            ui.label(format!("reading the prompt: {} of {wanted} tokens, both policies", generation.read));
        });
    }
    ui.horizontal_wrapped(|ui| {
        ui.weak("Colour is what a token costs under the model:");
        for nll in [0.5_f32, 2.0, 4.0, 8.0] {
            ui.label(RichText::new(format!(" {nll} nats ")).background_color(theme::loss(nll)));
        }
    });
    let policies: Vec<_> = generation.inputs.policies.iter().take(NAMES.len()).enumerate().collect();
    ui.columns(policies.len().max(1), |columns| {
        for ((side, spec), ui) in policies.into_iter().zip(columns) {
            ui.label(
                RichText::new(format!("{}  {}", NAMES[side], spec.label))
                    .color(theme::side(ui.visuals(), side))
                    .strong(),
            );
            let pieces = &generation.pieces[side];
            ui.label(mean(pieces));
            ScrollArea::vertical().id_salt(("generated", side)).show(ui, |ui| {
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = egui::vec2(0.0, 2.0);
                    for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.text.is_empty()) {
                        let text = piece.text.replace('\n', "⏎");
                        let position = generation.request.prompt + at;
                        ui.label(RichText::new(text).background_color(theme::loss(piece.nll)))
                            .on_hover_text(format!("position {position}: {:.2} nats", piece.nll));
                    }
                });
            });
        }
    });
}

fn mean(pieces: &[Piece]) -> String {
    if pieces.is_empty() {
        return "nothing yet".to_owned();
    }
    let sum: f64 = pieces.iter().map(|piece| f64::from(piece.nll)).sum();
    format!("{} tokens, {:.2} nats each", pieces.len(), sum / pieces.len() as f64)
}
