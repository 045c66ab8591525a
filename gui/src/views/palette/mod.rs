//! Every command by its name: typed in part, chosen by arrow keys, begun by Enter.

pub mod typed;

use eframe::egui::{
    Align2, Button, Context, Key, Label, Modifiers, RichText, Role, ScrollArea, TextEdit, WidgetInfo, Window,
};

use self::typed::Typed;
use crate::command::Command;

/// A command by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// Its keys, where it has some.
    pub keys: &'static str,
    /// What it does.
    pub command: Command,
    /// Why it cannot be done now.
    pub refused: Option<String>,
}

impl Entry {
    /// A command.
    pub fn new(name: impl Into<String>, keys: &'static str, command: Command) -> Self {
        Self { name: name.into(), keys, command, refused: None }
    }

    /// The same, unless there is a reason against it.
    #[must_use]
    pub fn unless(self, refused: Option<String>) -> Self {
        Self { refused, ..self }
    }
}

/// Places in `entries` of those whose names have every word that is typed, in any case: first those that begin with them.
fn fitting(entries: &[Entry], typed: &str) -> Vec<usize> {
    let typed = typed.trim().to_lowercase();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.to_lowercase()).collect();
    let fits = |&at: &usize| typed.split_whitespace().all(|word| names[at].contains(word));
    let mut fitting: Vec<_> = (0..entries.len()).filter(fits).collect();
    fitting.sort_by_key(|&at| !names[at].starts_with(&typed));
    fitting
}

/// Arrow keys choose, Enter begins, Escape closes: what is asked for, before any field takes the keys.
pub fn keys(ctx: &Context, typed: &Typed, entries: &[Entry], commands: &mut Vec<Command>) {
    let fitting = fitting(entries, &typed.words);
    let pressed = |key: Key| ctx.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    let last = fitting.len().saturating_sub(1);
    let mut chosen = typed.chosen.min(last);
    if pressed(Key::ArrowDown) {
        chosen = if chosen == last { 0 } else { chosen + 1 };
    }
    if pressed(Key::ArrowUp) {
        chosen = if chosen == 0 { last } else { chosen - 1 };
    }
    if pressed(Key::Enter) {
        let entry = fitting.get(chosen).map(|&at| &entries[at]);
        if entry.is_none_or(|entry| entry.refused.is_none()) {
            commands.push(Command::Palette(None));
            commands.extend(entry.map(|entry| entry.command.clone()));
        }
    } else if pressed(Key::Escape) {
        commands.push(Command::Palette(None));
    } else if chosen != typed.chosen {
        commands.push(Command::Palette(Some(Typed { chosen, ..typed.clone() })));
    }
}

/// Draws it.
pub fn show(ctx: &Context, typed: &Typed, entries: &[Entry], commands: &mut Vec<Command>) {
    let fitting = fitting(entries, &typed.words);
    let mut open = true;
    Window::new("Commands")
        .open(&mut open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_TOP, [0.0, 60.0])
        .default_width(420.0)
        .show(ctx, |ui| {
            let mut words = typed.words.clone();
            let field = TextEdit::singleline(&mut words).hint_text("What to do").desired_width(400.0);
            let field = ui.add(field);
            field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, "Command"));
            field.request_focus();
            if words != typed.words {
                commands.push(Command::Palette(Some(Typed { words, chosen: 0 })));
            }
            if fitting.is_empty() {
                ui.label("No command has all of these words in its name.");
            }
            let height = (ctx.content_rect().height() - 180.0).clamp(120.0, 420.0);
            ScrollArea::vertical().max_height(height).auto_shrink([false, true]).show(ui, |ui| {
                for (place, &at) in fitting.iter().enumerate() {
                    let entry = &entries[at];
                    let chosen = place == typed.chosen.min(fitting.len() - 1);
                    let row = ui.horizontal(|ui| {
                        let can = entry.refused.is_none();
                        let line = ui.add_enabled(can, Button::selectable(chosen, &entry.name));
                        if let Some(reason) = &entry.refused {
                            ui.add(Label::new(RichText::new(reason).weak().small()).truncate())
                                .on_hover_text(reason);
                        }
                        if !entry.keys.is_empty() {
                            ui.label(RichText::new(entry.keys).weak().small());
                        }
                        line
                    });
                    if row.inner.clicked() {
                        commands.push(Command::Palette(None));
                        commands.push(entry.command.clone());
                    }
                    if chosen && place > 0 {
                        row.response.scroll_to_me(None);
                    }
                }
            });
        });
    if !open {
        commands.push(Command::Palette(None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_their_words_and_those_that_begin_so_come_first() {
        let entries = ["Show the map", "Run", "Map of all heads", "Stop the run"];
        let entries = entries.map(|name| Entry::new(name, "", Command::Run));
        assert_eq!(fitting(&entries, "MAP"), [2, 0]);
        assert_eq!(fitting(&entries, "run"), [1, 3]);
        assert_eq!(fitting(&entries, "the  ma"), [0]);
        assert_eq!((fitting(&entries, ""), fitting(&entries, "x").len()), (vec![0, 1, 2, 3], 0));
    }
}
