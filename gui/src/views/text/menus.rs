//! The menus above the text: what colours a token, and ways to go somewhere in it.

use std::ops::Range;

use eframe::egui::{Button, DragValue, Key, Role, TextEdit, Ui, WidgetInfo};

use super::colors::{Change, Colors, Controls};
use super::{failure, search};
use crate::command::Command;
use crate::tab::Tab;
use crate::views::room::room;
use crate::views::shown::Shown;
use crate::words::grouped;

/// Draws them; what is chosen is in `controls` afterwards. `found` is what is looked for has been found at, once it is known.
pub fn show(
    ui: &mut Ui,
    shown: &Shown<'_>,
    found: Option<&[Range<u64>]>,
    controls: &mut Controls,
    commands: &mut Vec<Command>,
) {
    for colors in Colors::ALL {
        let (name, help) = colors.words(shown.pair);
        ui.selectable_value(&mut controls.colors, colors, name).on_hover_text(help);
    }
    ui.separator();
    let goes = go_to(ui, shown, controls).or_else(|| find(ui, shown, found, controls));
    let goes = goes.or_else(|| fails(ui, shown, controls));
    if let Some(token) = goes {
        let token = token.min(shown.diagnosis.tokens.saturating_sub(1));
        commands.push(Command::Text(Change::GoTo(token)));
        commands.push(Command::Mark(Some(token)));
    }
    if let Some(query) = shown.mark {
        if ui.button("Unmark").on_hover_text(format!("Let token {query} go")).clicked() {
            commands.push(Command::Mark(None));
        }
        let help = format!("The attention of token {query}");
        if ui.button("Show in the map").on_hover_text(help).clicked() {
            commands.push(Command::Show(Tab::Map));
        }
    }
}

/// A position that is typed, or the training length.
fn go_to(ui: &mut Ui, shown: &Shown<'_>, controls: &mut Controls) -> Option<u64> {
    room(ui, 150.0);
    let label = ui.label("Go to token");
    let field = TextEdit::singleline(&mut controls.typed).desired_width(60.0);
    let response = ui.add(field).labelled_by(label.id).on_hover_text("A position; Enter goes there");
    let entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    let typed = entered.then(|| controls.typed.trim().replace(',', "").parse::<u64>().ok()).flatten();
    let end = ui.button("Training length").on_hover_text("Go to the end of the training length").clicked();
    typed.or(end.then_some(shown.diagnosis.trained_length))
}

/// Words in the text.
fn find(
    ui: &mut Ui,
    shown: &Shown<'_>,
    found: Option<&[Range<u64>]>,
    controls: &mut Controls,
) -> Option<u64> {
    room(ui, 230.0);
    let label = ui.label("Find");
    let field = TextEdit::singleline(&mut controls.search).desired_width(90.0);
    let field = ui.add(field).labelled_by(label.id);
    let field =
        field.on_hover_text("Words in the text, in any case; Enter goes to the next place, Shift+Enter back");
    let (entered, back) = ui.input(|input| (input.key_pressed(Key::Enter), input.modifiers.shift));
    let entered = field.lost_focus() && entered;
    if entered {
        // The next Enter goes on.
        field.request_focus();
    }
    let places = found.unwrap_or_default();
    let mut button = |name: &str, words: &str| {
        let button = ui.add_enabled(!places.is_empty(), Button::new(name).small());
        button.widget_info(|| WidgetInfo::labeled(Role::Button, !places.is_empty(), words));
        button.on_hover_text(words).clicked()
    };
    let before = button("⏴", "The place before");
    let after = button("⏵", "The next place");
    match found {
        _ if controls.search.is_empty() => {}
        None => drop(ui.weak("…")),
        Some(places) => {
            let at = shown.mark.and_then(|mark| places.iter().position(|place| place.contains(&mark)));
            let at = at.map_or(String::new(), |at| format!("{} of ", grouped(at as u64 + 1)));
            ui.weak(format!("{at}{}", grouped(places.len() as u64)));
        }
    }
    let forward = after || entered && !back;
    (forward || before || entered).then(|| search::next(places, shown.mark, forward)).flatten()
}

/// The next token that the first policy of the pair loses more than the second.
fn fails(ui: &mut Ui, shown: &Shown<'_>, controls: &mut Controls) -> Option<u64> {
    let nll = |row| shown.rows().nll(row);
    let (first, second) = nll(shown.pair.first).zip(nll(shown.pair.second))?;
    room(ui, 180.0);
    let name = format!("Next {} >", shown.pair.name());
    let help =
        "The next token behind the cursor whose loss under the first lies so far above that under the second";
    let next = ui.button(name).on_hover_text(help);
    next.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Next failure"));
    let field = ui.add(DragValue::new(&mut controls.nats).range(0.0..=50.0).speed(0.05).suffix(" nats"));
    field.widget_info(|| WidgetInfo::labeled(Role::SpinButton, true, "Nats of a failure"));
    if !next.clicked() {
        return None;
    }
    failure::next(first, second, shown.mark, controls.nats)
}
