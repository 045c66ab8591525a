//! The list of files over the small window.

use std::path::{Path, PathBuf};

use eframe::egui::{Align2, Button, Context, Key, ScrollArea, TextEdit, TextStyle, Ui, Window};

use super::question::{Asked, Change};
use crate::files::{Entry, Found, Listing};
use crate::theme;

/// What is shown of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Folders alone.
    pub folders: bool,
    /// What its field says.
    pub typed: String,
    /// The line that is selected.
    pub selected: Option<PathBuf>,
    /// Why what was chosen is no answer.
    pub refused: Option<&'static str>,
}

/// Draws it; returns what the reader does.
pub fn show(ctx: &Context, asked: Asked, list: &List, listing: &Listing) -> Vec<Change> {
    let mut changes = Vec::new();
    let title = if list.folders { asked.folder() } else { asked.file().map(|(words, _)| words) };
    Window::new(title.unwrap_or("Files"))
        .collapsible(false)
        .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
        .default_size([560.0, 420.0])
        .show(ctx, |ui| {
            let (folder, entries, more) = match listing.found() {
                Some(Found::Folder(folder, entries, more)) => (Some(folder), entries.as_slice(), *more),
                _ => (None, &[][..], 0),
            };
            place_ui(ui, list, folder.map(PathBuf::as_path), &mut changes);
            if let Some(failure) = list.refused.or(listing.failure()) {
                ui.colored_label(theme::bad(ui.visuals()), failure);
            }
            entries_ui(ui, list, entries, &mut changes);
            if more > 0 {
                ui.label(format!("The folder holds {more} more, which are not listed."));
            }
            ui.separator();
            let chosen = list.selected.as_ref().or(folder.filter(|_| list.folders));
            if let Some(name) = chosen.and_then(|path| path.file_name()) {
                let kind = if list.folders { "Folder" } else { "File" };
                ui.label(format!("{kind}: {}", name.to_string_lossy()));
            }
            ui.horizontal(|ui| {
                let name = if list.folders { "Use this folder" } else { "Open" };
                let button = ui.add_enabled(chosen.is_some(), Button::new(name));
                if button.on_hover_text(asked.effect()).clicked()
                    && let Some(path) = chosen
                {
                    changes.push(Change::Choose(path.clone()));
                }
                if ui.button("Close the list").on_hover_text("Nothing is chosen (Esc)").clicked() {
                    changes.push(Change::CloseList);
                }
            });
        });
    changes
}

fn place_ui(ui: &mut Ui, list: &List, folder: Option<&Path>, changes: &mut Vec<Change>) {
    ui.horizontal(|ui| {
        let above = folder.and_then(Path::parent);
        let up = ui.add_enabled(above.is_some(), Button::new("⬆"));
        if up.on_hover_text("The folder above").clicked()
            && let Some(above) = above
        {
            changes.push(Change::GoTo(above.to_owned()));
        }
        let mut typed = list.typed.clone();
        let field = ui.add(TextEdit::singleline(&mut typed).desired_width(f32::INFINITY));
        let field = field.on_hover_text("Path of the folder; Enter goes to what is typed");
        if field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
            changes.push(Change::GoTo(typed.trim().into()));
        }
        if typed != list.typed {
            changes.push(Change::TypedFolder(typed));
        }
    });
}

fn entries_ui(ui: &mut Ui, list: &List, entries: &[Entry], changes: &mut Vec<Change>) {
    let height = ui.text_style_height(&TextStyle::Button) + 2.0 * ui.spacing().button_padding.y;
    let area = ScrollArea::vertical().max_height(300.0).auto_shrink([false, false]);
    area.show_rows(ui, height, entries.len(), |ui, rows| {
        for entry in &entries[rows] {
            let icon = if entry.is_file { "🗋" } else { "🗀" };
            let selected = list.selected.as_ref() == Some(&entry.path);
            let line = ui.selectable_label(selected, format!("{icon} {}", entry.name));
            if line.double_clicked() {
                changes.push(if entry.is_file {
                    Change::Choose(entry.path.clone())
                } else {
                    Change::GoTo(entry.path.clone())
                });
            } else if line.clicked() && (entry.is_file || list.folders) {
                changes.push(Change::Select(entry.path.clone()));
            }
        }
    });
}
