//! What came of a generation, side by side.

use eframe::egui::{self, Label, RichText, ScrollArea, Ui};

use crate::generation::{Continued, Conversation, Generated, Piece, Prompt, Request};
use crate::theme;
use crate::views::data;
use crate::views::room::ragged;

/// Draws it; of a conversation, what was said before it too.
pub fn show(ui: &mut Ui, request: &Request, generated: &Generated, conversation: Option<&Conversation>) {
    ui.horizontal_wrapped(|ui| {
        ui.weak("Colour is the loss of a token under the model:");
        for nll in [0.5_f32, 2.0, 4.0, 8.0] {
            ui.label(RichText::new(format!(" {nll} nats ")).background_color(theme::loss(nll)));
        }
    });
    let policies: Vec<_> = request.inputs.policies.iter().enumerate().collect();
    ui.columns(policies.len().max(1), |columns| {
        for ((side, spec), ui) in policies.into_iter().zip(columns) {
            let name = RichText::new(format!("{}  {}", theme::name(side), spec.label));
            ui.add(Label::new(name.color(theme::side(ui.visuals(), side)).strong()).truncate());
            let Some(continued) = generated.get(side) else { continue };
            ui.label(mean(&continued.pieces));
            data::mark(ui, ui.available_rect_before_wrap());
            let area = ScrollArea::vertical().id_salt(("generated", side));
            let area = area.stick_to_bottom(conversation.is_some());
            ragged(ui, |ui| {
                area.show(ui, |ui| match conversation {
                    Some(conversation) => {
                        // The last turn may have no answer yet: then this is of the one before.
                        let of = |of: &Conversation| of.turns.len() == conversation.turns.len();
                        let is_last = matches!(&request.prompt, Prompt::Chat(asked) if of(asked));
                        turns_ui(ui, conversation, side, Some(continued).filter(|_| is_last));
                    }
                    None => pieces_ui(ui, continued),
                });
            });
        }
    });
}

/// What was said and answered; the last answer with its losses.
fn turns_ui(ui: &mut Ui, conversation: &Conversation, side: usize, last: Option<&Continued>) {
    let count = conversation.turns.len();
    if !conversation.system.trim().is_empty() {
        ui.add(Label::new(RichText::new(format!("System: {}", conversation.system)).weak()).wrap());
        ui.add_space(4.0);
    }
    for (at, turn) in conversation.turns.iter().enumerate() {
        ui.add(Label::new(RichText::new(format!("You: {}", turn.said)).strong()).wrap());
        if let Some(last) = last.filter(|_| at + 1 == count) {
            pieces_ui(ui, last);
        } else if let Some(answer) = turn.answers.get(side) {
            ui.add(Label::new(answer).wrap());
        }
        ui.add_space(4.0);
    }
}

fn pieces_ui(ui: &mut Ui, continued: &Continued) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = egui::vec2(0.0, 2.0);
        for (at, piece) in continued.pieces.iter().enumerate().filter(|(_, piece)| !piece.text.is_empty()) {
            let text = piece.text.replace('\n', "⏎");
            let position = continued.prompt + at;
            ui.label(RichText::new(text).background_color(theme::loss(piece.nll)))
                .on_hover_text(format!("position {position}: {:.2} nats", piece.nll));
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
