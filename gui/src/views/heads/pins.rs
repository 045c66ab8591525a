//! Heads that are kept in sight: up to eight, whose curves and maps are compared.

use eframe::egui::{Button, RichText, Role, Ui, WidgetInfo};
use lm_infinite::diagnose::{Head, head_name};

use crate::command::Command;
use crate::theme;

/// Pinned heads, at most: a plot has no room for more lines.
pub const MOST: usize = 8;

/// The same with a head pinned, or not any more. Where there is no room, nothing changes.
pub fn toggled(pins: &[Head], head: Head) -> Vec<Head> {
    let mut pins = pins.to_vec();
    match pins.iter().position(|&pinned| pinned == head) {
        Some(at) => drop(pins.remove(at)),
        None if pins.len() < MOST => pins.push(head),
        None => {}
    }
    pins
}

/// The pinned heads by name, each in its colour: a click chooses one, a click on its cross lets it go.
pub fn show(ui: &mut Ui, pins: &[Head], chosen: Option<Head>, commands: &mut Vec<Command>) -> Option<Head> {
    let mut clicked = None;
    if let Some(head) = chosen {
        let (pinned, room) = (pins.contains(&head), pins.len() < MOST);
        let name = if pinned { "Unpin" } else { "Pin" };
        let button = ui.add_enabled(pinned || room, Button::new(name));
        let words = format!("{name} {}", head_name(head));
        button.widget_info(|| WidgetInfo::labeled(Role::Button, pinned || room, &words));
        let help = "Pinned heads are compared in the curves: up to eight";
        if button.on_hover_text(help).on_disabled_hover_text("Eight are pinned already").clicked() {
            commands.push(Command::Pins(toggled(pins, head)));
        }
    }
    for (at, &head) in pins.iter().enumerate() {
        let color = theme::side(ui.visuals(), at);
        let button = ui.selectable_label(chosen == Some(head), RichText::new(head_name(head)).color(color));
        let words = format!("Pinned {}", head_name(head));
        button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
        if button.on_hover_text("Pinned: a click chooses it").clicked() {
            clicked = Some(head);
        }
    }
    if !pins.is_empty() && ui.button("Unpin all").clicked() {
        commands.push(Command::Pins(Vec::new()));
    }
    clicked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_heads_have_room() {
        let mut pins = Vec::new();
        for head in 0..10 {
            pins = toggled(&pins, (0, head));
        }
        assert_eq!(pins, (0..MOST).map(|head| (0, head)).collect::<Vec<_>>());
        pins = toggled(&pins, (0, 3));
        assert!(pins.len() == MOST - 1 && !pins.contains(&(0, 3)));
    }
}
