//! The list of marks: go there, note something, let one go.

use eframe::egui::{Role, TextEdit, Ui, WidgetInfo};

use crate::command::Command;
use crate::notes::{Change, Mark};
use crate::words::grouped;

/// Draws it; `cursor` is where a new mark would be.
pub fn show(ui: &mut Ui, marks: &[Mark], cursor: Option<u64>, commands: &mut Vec<Command>) {
    let here = cursor.filter(|token| marks.iter().all(|mark| mark.token != *token));
    if marks.is_empty() && here.is_none() {
        return;
    }
    ui.separator();
    ui.strong("Marks");
    if let Some(token) = here {
        let words = format!("Mark token {}", grouped(token));
        if ui.button(words).on_hover_text("Kept from one start to the next (Ctrl+M)").clicked() {
            commands.push(Command::Note(Change::Add(token)));
        }
    }
    for mark in marks {
        let (token, name) = (mark.token, grouped(mark.token));
        ui.horizontal(|ui| {
            let remove = ui.small_button("×");
            remove.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Remove mark {name}")));
            if remove.on_hover_text("Remove the mark").clicked() {
                commands.push(Command::Note(Change::Remove(token)));
            }
            if ui.link(&name).on_hover_text("The cursor goes there").clicked() {
                commands.push(Command::Mark(Some(token)));
            }
            let mut note = mark.note.clone();
            let field = TextEdit::singleline(&mut note).hint_text("note").desired_width(f32::INFINITY);
            let field = ui.add(field);
            field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, format!("Note at {name}")));
            field.on_hover_text(&mark.note);
            if note != mark.note {
                commands.push(Command::Note(Change::Note(token, note)));
            }
        });
    }
}
