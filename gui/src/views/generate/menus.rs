//! The fields above a generation: where the prompt comes from, and how tokens are chosen.

use eframe::egui::{Button, DragValue, Key, Slider, TextEdit, Ui};

use super::{Generate, save};
use crate::command::Command;
use crate::generation::{Controls, Source};
use crate::inputs::Inputs;
use crate::views::room::room;
use crate::words::grouped;

impl Generate {
    /// Draws them.
    pub(super) fn menus_ui(&self, ui: &mut Ui, inputs: &Inputs, commands: &mut Vec<Command>) {
        let mut controls = self.controls.clone();
        ui.horizontal_wrapped(|ui| {
            for (source, name, help) in Source::ALL {
                ui.selectable_value(&mut controls.source, source, name).on_hover_text(help);
            }
            if controls.source == Source::Text {
                prompt_ui(ui, inputs, &mut controls);
            }
            sampling_ui(ui, &mut controls);
        });
        match controls.source {
            Source::Text => {}
            Source::Own => typed_ui(ui, "Prompt, typed", 3, &mut controls.typed),
            Source::Chat => {
                if self.conversation.turns.is_empty() {
                    typed_ui(ui, "System message", 1, &mut controls.system);
                }
                typed_ui(ui, "Message", 2, &mut controls.typed);
            }
        }
        ui.horizontal_wrapped(|ui| self.buttons_ui(ui, inputs, &controls, commands));
        if controls != self.controls {
            commands.push(Command::Generate(controls));
        }
    }

    fn buttons_ui(&self, ui: &mut Ui, inputs: &Inputs, controls: &Controls, commands: &mut Vec<Command>) {
        let chat = controls.source == Source::Chat;
        let said = controls.source == Source::Text || !controls.typed.trim().is_empty();
        let can = said && !(chat && (inputs.chat_template.is_none() || self.generation.is_running()));
        let (name, help) = match chat {
            true => ("Send", "Every policy answers (Ctrl+Enter)"),
            false => ("Generate", "Every policy continues the prompt"),
        };
        let button = ui.add_enabled(can, Button::new(name)).on_hover_text(help);
        let shortcut = eframe::egui::KeyboardShortcut::new(eframe::egui::Modifiers::COMMAND, Key::Enter);
        let pressed = chat && can && ui.input_mut(|input| input.consume_shortcut(&shortcut));
        if button.clicked() || pressed {
            commands.push(Command::StartGenerating);
        }
        let stop = ui.add_enabled(self.generation.is_running(), Button::new("Stop generating"));
        if stop.on_hover_text("Ends here; what came stays").clicked() {
            commands.push(Command::StopGenerating);
        }
        if chat {
            let begun = !self.conversation.turns.is_empty();
            let new = ui.add_enabled(begun, Button::new("New conversation"));
            if new.on_hover_text("Nothing was said yet").clicked() {
                commands.push(Command::NewConversation);
            }
        }
        let file = self.file().filter(|_| !self.generation.is_running());
        let button = ui.add_enabled(file.is_some(), Button::new("Save as JSON"));
        let help = "What came, with all that repeats it, into the folder of the export; messages are as `generate --messages` takes them";
        if button.on_hover_text(help).clicked() {
            commands.extend(file.map(save));
        }
    }
}

/// How much of the text is read first.
fn prompt_ui(ui: &mut Ui, inputs: &Inputs, controls: &mut Controls) {
    let whole = (inputs.tokens.len() as u64).max(1);
    let mut prompt = controls.prompt.unwrap_or(whole);
    room(ui, 300.0);
    let label = ui.label("Prompt");
    let slider = Slider::new(&mut prompt, 1..=whole).logarithmic(true).suffix(" tokens");
    ui.add(slider.custom_formatter(|tokens, _| grouped(tokens as u64)))
        .labelled_by(label.id)
        .on_hover_text("Beginning of the text that is read before anything is generated");
    controls.prompt = Some(prompt);
}

/// How many tokens, and how each is chosen.
fn sampling_ui(ui: &mut Ui, controls: &mut Controls) {
    let number = |ui: &mut Ui, name: &str, help: &str, value: DragValue<'_>| {
        // A name and its number stay together.
        room(ui, 10.0 + 7.0 * name.len() as f32 + 60.0);
        ui.horizontal(|ui| {
            let label = ui.label(name);
            ui.add(value).labelled_by(label.id).on_hover_text(help);
        });
    };
    let help = "How many tokens each policy generates, at most";
    number(ui, "New tokens", help, DragValue::new(&mut controls.tokens).range(1..=4000));
    let help = "0 always takes the most probable token";
    number(ui, "Temperature", help, DragValue::new(&mut controls.temperature).range(0.0..=4.0).speed(0.02));
    let help = "Only so many of the most probable tokens take part; 0 for all";
    number(ui, "Top k", help, DragValue::new(&mut controls.top_k).range(0..=10_000));
    let help = "Only the most probable tokens up to this sum of probabilities take part; 1 for all";
    number(ui, "Top p", help, DragValue::new(&mut controls.top_p).range(0.01..=1.0).speed(0.005));
    let help = "Of the random numbers: the same seed gives the same tokens";
    number(ui, "Seed", help, DragValue::new(&mut controls.seed).range(0..=u64::MAX));
}

fn typed_ui(ui: &mut Ui, name: &str, rows: usize, text: &mut String) {
    ui.horizontal(|ui| {
        let label = ui.label(name);
        let width = ui.available_width().max(80.0);
        ui.add(TextEdit::multiline(text).desired_rows(rows).desired_width(width)).labelled_by(label.id);
    });
}
