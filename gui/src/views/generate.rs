//! One prompt, every policy: how each continues it, side by side, every token coloured by its loss.

use std::sync::Arc;

use eframe::egui::{self, Button, Context, DragValue, ProgressBar, RichText, ScrollArea, Slider, Ui};
use lm_infinite::sampler::SamplingParams;

use super::data;
use super::pane::Pane;
use super::room::room;
use super::shown::Shown;
use crate::command::Command;
use crate::generation::{Controls, Generated, Generation, Piece, Request};
use crate::inputs::Inputs;
use crate::theme;
use crate::words::grouped;

/// Prompt by default, in training lengths: where attention without the fix has long fallen apart.
const PROMPT: u64 = 8;

/// The tab, with what is asked for and the last generation.
#[derive(Default)]
struct Generate {
    controls: Controls,
    generation: Generation,
    /// The reader has pressed the button.
    asked: bool,
}

/// An empty one.
pub fn pane() -> Box<dyn Pane> {
    Box::<Generate>::default()
}

impl Pane for Generate {
    fn obey(&mut self, command: &Command) {
        match command {
            Command::Generate(controls) => self.controls = *controls,
            Command::StartGenerating => self.asked = true,
            Command::StopGenerating => self.generation.stop(),
            _ => {}
        }
    }

    fn update(&mut self, ctx: &Context, shown: &Shown<'_>) {
        self.generation.poll();
        let asked = std::mem::take(&mut self.asked);
        let Some(inputs) = shown.inputs else { return };
        let by_default = shown.diagnosis.trained_length.saturating_mul(PROMPT);
        let prompt = self.controls.prompt.unwrap_or(by_default).clamp(1, shown.diagnosis.tokens.max(1));
        self.controls.prompt = Some(prompt);
        // A small model is asked at once: an empty tab tells nobody what it is for.
        let known = prompt <= inputs.tokens.len() as u64;
        if asked || (self.generation.is_new() && inputs.is_small() && known) {
            let Controls { tokens, temperature, .. } = self.controls;
            let sampling = SamplingParams { temperature, ..SamplingParams::default() };
            let (inputs, prompt, tokens) = (inputs.clone(), prompt as usize, tokens as usize);
            self.generation.start(Request { inputs, prompt, tokens, sampling }, theme::wake(ctx));
        }
    }

    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let Some(inputs) = shown.inputs else {
            ui.label("A result folder holds no model. Press Run to load one, then generate.");
            return;
        };
        ui.horizontal_wrapped(|ui| self.controls_ui(ui, inputs, commands));
        if let Some(reason) = self.generation.failure() {
            ui.colored_label(theme::bad(ui.visuals()), format!("The generation ended early. {reason}"));
        }
        if let Some(progress) = self.generation.reading() {
            ui.horizontal(|ui| {
                ui.add(ProgressBar::new(progress.share()).desired_width(180.0));
                let (done, total) = (progress.done, progress.total);
                ui.label(format!("The policies read the prompt: {done} of {total} tokens"));
            });
        }
        match self.generation.result() {
            Some((request, generated)) => {
                if !Arc::ptr_eq(&request.inputs, inputs) {
                    ui.colored_label(
                        theme::bad(ui.visuals()),
                        "Of an earlier run. Generate goes on with the run on screen.",
                    );
                }
                let (of, prompt) = (&request.inputs, grouped(request.prompt as u64));
                let text = of.settings.text_name();
                ui.weak(format!("{} goes on behind the first {prompt} tokens of {text}.", of.model));
                result(ui, request, generated);
            }
            None if self.generation.is_running() => {}
            None => {
                ui.label(format!(
                    "The model was trained on {} tokens. Generate to see how each policy continues a prompt longer \
                     than that.",
                    shown.diagnosis.trained_length
                ));
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.generation.is_running()
    }
}

impl Generate {
    fn controls_ui(&self, ui: &mut Ui, inputs: &Inputs, commands: &mut Vec<Command>) {
        let mut controls = self.controls;
        let whole = (inputs.tokens.len() as u64).max(1);
        let mut prompt = controls.prompt.unwrap_or(whole);
        room(ui, 300.0);
        let label = ui.label("Prompt");
        ui.add(Slider::new(&mut prompt, 1..=whole).logarithmic(true).suffix(" tokens"))
            .labelled_by(label.id)
            .on_hover_text("Beginning of the text that is read before anything is generated");
        controls.prompt = Some(prompt);
        let label = ui.label("New tokens");
        ui.add(DragValue::new(&mut controls.tokens).range(1..=1000))
            .labelled_by(label.id)
            .on_hover_text("How many tokens each policy generates");
        let label = ui.label("Temperature");
        ui.add(DragValue::new(&mut controls.temperature).range(0.0..=4.0).speed(0.02))
            .labelled_by(label.id)
            .on_hover_text("0 always takes the most probable token");
        if controls != self.controls {
            commands.push(Command::Generate(controls));
        }
        if ui.button("Generate").on_hover_text("Every policy continues the prompt").clicked() {
            commands.push(Command::StartGenerating);
        }
        let stop = ui.add_enabled(self.generation.is_running(), Button::new("Stop generating"));
        if stop.on_hover_text("Ends here; what came stays").clicked() {
            commands.push(Command::StopGenerating);
        }
    }
}

fn result(ui: &mut Ui, request: &Request, generated: &Generated) {
    ui.horizontal_wrapped(|ui| {
        ui.weak("Colour is the loss of a token under the model:");
        for nll in [0.5_f32, 2.0, 4.0, 8.0] {
            ui.label(RichText::new(format!(" {nll} nats ")).background_color(theme::loss(nll)));
        }
    });
    let policies: Vec<_> = request.inputs.policies.iter().enumerate().collect();
    ui.columns(policies.len().max(1), |columns| {
        for ((side, spec), ui) in policies.into_iter().zip(columns) {
            ui.label(
                RichText::new(format!("{}  {}", theme::name(side), spec.label))
                    .color(theme::side(ui.visuals(), side))
                    .strong(),
            );
            let Some(pieces) = generated.get(side) else { continue };
            ui.label(mean(pieces));
            data::mark(ui, ui.available_rect_before_wrap());
            ScrollArea::vertical().id_salt(("generated", side)).show(ui, |ui| {
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = egui::vec2(0.0, 2.0);
                    for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.text.is_empty()) {
                        let text = piece.text.replace('\n', "⏎");
                        let position = request.prompt + at;
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
