//! The menus above the maps: what colours stand for, and which place is shown.

use eframe::egui::containers::menu::{MenuButton, MenuConfig};
use eframe::egui::{
    Button, ComboBox, DragValue, PopupCloseBehavior, Role, TextStyle, TextWrapMode, Ui, WidgetInfo,
    WidgetText, vec2,
};
use lm_infinite::attention_window::MOST_SIDE;
use lm_infinite::diagnose::{Head, head_name};

use super::difference::refusal;
use super::viewport::{Controls, Scale, Viewport};
use crate::command::Command;
use crate::tab::Tab;
use crate::views::shown::Shown;

/// Draws the menus; what is chosen in them is in `controls` afterwards.
pub fn show(
    ui: &mut Ui,
    shown: &Shown<'_>,
    head: Head,
    controls: &mut Controls,
    commands: &mut Vec<Command>,
) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let head = ui.strong(head_name(head));
        if shown.head.is_none() {
            head.on_hover_text(
                "Unseen distances raise its logits most; a click in the grid of heads chooses another",
            );
        }
        let menu = ComboBox::from_id_salt(("scale", shown.tab)).selected_text(controls.scale.name());
        let menu = menu.width(112.0).show_ui(ui, |ui| {
            for scale in Scale::ALL {
                let help = match scale {
                    Scale::Logit => "Colours are logits, as the softmax sees them",
                    Scale::Probability => "Colours are probabilities",
                    Scale::LogProbability => {
                        "Colours are probabilities on a logarithmic scale, from a millionth to 1"
                    }
                };
                ui.selectable_value(&mut controls.scale, scale, scale.name()).on_hover_text(help);
            }
        });
        menu.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, "Colours of the map"));
        place(ui, shown, controls);
        if let Some(query) = shown.mark
            && ui
                .button("Unmark")
                .on_hover_text(format!("Token {query} is marked as query; let it go"))
                .clicked()
        {
            commands.push(Command::Mark(None));
        }
        if shown.rows().run(shown.pair.second).is_some() {
            difference(ui, shown, controls);
        }
    });
}

/// Whether the difference is shown, too: a button in one of the two tiles, and as much room in the other, so that maps beside each other
/// begin at the same height.
fn difference(ui: &mut Ui, shown: &Shown<'_>, controls: &mut Controls) {
    let name = shown.pair.name();
    if shown.tab == Tab::MapB {
        let words = WidgetText::from(&name);
        let words = words.into_galley(ui, Some(TextWrapMode::Extend), f32::INFINITY, TextStyle::Button);
        let width = words.size().x + 2.0 * ui.spacing().button_padding.x;
        ui.allocate_space(vec2(width, ui.spacing().interact_size.y));
        return;
    }
    let why = refusal(shown);
    let button = Button::selectable(controls.difference && why.is_none(), &name);
    let button = ui.add_enabled(why.is_none(), button);
    let chosen = controls.difference;
    button.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, format!("Map of {name}")));
    let help = "Shows where one attends more than the other, too; the column of runs says which two, of one run or of two";
    let button = button.on_hover_text(help).on_disabled_hover_text(why.unwrap_or_default());
    if button.clicked() {
        controls.difference = !controls.difference;
    }
}

/// Which place is shown.
fn place(ui: &mut Ui, shown: &Shown<'_>, controls: &mut Controls) {
    let tokens = shown.diagnosis.tokens;
    let before = controls.viewport.unwrap_or(Viewport::whole(tokens)).within(tokens);
    let mut viewport = before;
    let middle = (0.5, 0.5);
    let button = |ui: &mut Ui, name: &str, help: &str| ui.button(name).on_hover_text(help).clicked();
    if button(ui, "Whole text", "All of the text") {
        viewport = Viewport::whole(tokens);
    }
    if button(ui, "+", "Zoom in: twice as near; the mouse wheel over a map does the same") {
        viewport = viewport.zoomed(2.0, middle, tokens);
    }
    if button(ui, "\u{2212}", "Zoom out: twice as far; the mouse wheel over a map does the same") {
        viewport = viewport.zoomed(0.5, middle, tokens);
    }
    let span = MOST_SIDE as f64;
    if button(ui, "Training length", "The 512 tokens around the end of the training length") {
        viewport = Viewport::around(shown.diagnosis.trained_length, span, tokens);
    }
    if button(ui, "End", "The last 512 tokens") {
        viewport = Viewport { query: tokens as f64 - span, key: tokens as f64 - span, span }.within(tokens);
    }
    let outside = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    MenuButton::new("Place").config(outside).ui(ui, |ui| numbers(ui, &mut viewport, tokens));
    if viewport != before {
        controls.viewport = (viewport != Viewport::whole(tokens)).then_some(viewport);
    }
}

/// The place in numbers.
fn numbers(ui: &mut Ui, viewport: &mut Viewport, tokens: u64) {
    let (last, step) = ((tokens as f64 - viewport.span).max(0.0), viewport.span / 200.0);
    for (name, value, help) in [
        ("Queries from", &mut viewport.query, "First query that is shown"),
        ("Keys from", &mut viewport.key, "First key that is shown"),
    ] {
        let label = ui.label(name);
        let field = DragValue::new(value).range(0.0..=last).speed(step).max_decimals(0);
        ui.add(field).labelled_by(label.id).on_hover_text(help);
    }
    let label = ui.label("Tokens shown");
    let mut span = viewport.span;
    let field =
        DragValue::new(&mut span).range(8.0..=tokens as f64).speed(viewport.span / 100.0).max_decimals(0);
    ui.add(field).labelled_by(label.id).on_hover_text(
        "From side to side; up to 512, every logit is computed, beyond that the largest of a tile",
    );
    if span != viewport.span {
        *viewport = viewport.zoomed(viewport.span / span, (0.5, 0.5), tokens);
    }
}
