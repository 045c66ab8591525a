//! Room in a row that wraps.

use eframe::egui::{Align, Layout, Ui};

/// Begins a new row where this one has less room than `width`: menus and sliders do not do so by themselves, and would be cut off.
pub fn room(ui: &mut Ui, width: f32) {
    if ui.available_size_before_wrap().x < width {
        ui.end_row();
    }
}

/// Draws in a column, whose toolkit would stretch the blanks of every line.
pub fn ragged(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ui.with_layout(Layout::top_down(Align::Min), add);
}
