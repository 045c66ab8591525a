//! A model whose file has a field that nothing reads: what is offered in place of it.

use eframe::egui::{Button, Ui};

use super::state::State;
use crate::command::Command;

/// Letters of a field's name, at most: it comes from a file.
const MOST: usize = 60;

/// A way out.
pub struct Offer {
    /// What the button says.
    pub name: String,
    /// What it does, in words.
    help: &'static str,
    /// The same, to be obeyed.
    pub command: Command,
}

impl State {
    /// What is offered where the model of the run bar was refused for one of its fields, or cannot be read without those that are passed
    /// over.
    pub fn unread(&self) -> Vec<Offer> {
        let Some(progress) = self.progress.as_ref() else { return Vec::new() };
        let of = self.job.as_ref().and_then(|job| job.settings());
        let same = of.is_some_and(|settings| settings.model == self.settings.model);
        let mut offers = Vec::new();
        if let Some(field) = progress.unread_field.as_ref().filter(|_| same) {
            let shown: String = field.chars().take(MOST).collect();
            offers.push(Offer {
                name: format!("Open without {shown}"),
                help: "If the field changes what the model computes, the numbers are not the model's own: a note beside every result says that \
                       it was passed over.",
                command: Command::Ignore(Some(field.clone())),
            });
        }
        let finished = progress.finished && same;
        if finished && !self.settings.ignored_fields().is_empty() {
            offers.push(Offer {
                name: "Open with all fields".to_owned(),
                help: "No field of the model's file is passed over; one that nothing reads is refused.",
                command: Command::Ignore(None),
            });
        }
        offers
    }

    /// Draws it, where the model was refused.
    pub fn unread_ui(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        if self.progress.as_ref().is_none_or(|progress| progress.failure.is_none()) {
            return;
        }
        let offers = self.unread();
        if offers.is_empty() {
            return;
        }
        ui.horizontal_wrapped(|ui| {
            for Offer { name, help, command } in offers {
                if ui.add(Button::new(name)).clicked() {
                    commands.push(command);
                }
                ui.weak(help);
            }
        });
    }
}
