//! The keys, over everything else.

use eframe::egui::{self, Align2, Context, Grid, Key, Modifiers, ScrollArea};

/// Height that the title and the edges take.
const FRAME: f32 = 60.0;

/// Every key, and what it does.
const KEYS: &[(&str, &str)] = &[
    ("Ctrl R", "run, or run again"),
    ("Space", "pause, and go on"),
    ("S", "read the next 512 tokens while paused"),
    ("P", "move the cursor through the text, and hold it"),
    ("1 … 9, 0", "bring a tile to the front"),
    ("F2, F3, F4", "the layouts Learn, Heads and Text"),
    ("Ctrl B, Ctrl I", "open and close the runs, and the inspector"),
    ("arrow keys", "choose a head"),
    ("drag, wheel with Ctrl", "move and zoom a plot; double click shows all of it"),
    ("Ctrl +, Ctrl −, Ctrl 0", "larger, smaller, usual size"),
    ("Ctrl O", "open a result folder"),
    ("Ctrl E", "export figures, numbers, or everything"),
    ("Ctrl P", "every command by its name"),
    ("Ctrl Z, Ctrl Shift Z", "take a change of settings back, and again"),
    ("Alt ←, Alt →", "back to where you looked before, and forward"),
    ("Ctrl M", "mark the token at the cursor"),
    ("F1", "this list"),
    ("Esc", "close what lies over the window"),
];

/// F1 opens and closes the list, Escape closes it: whether it is open after this frame's keys.
#[must_use]
pub fn keys(ctx: &Context, open: bool) -> bool {
    let open = open != ctx.input(|input| input.key_pressed(Key::F1));
    let escape = || ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
    open && !escape()
}

/// Draws the list while it is `open`; returns whether it stays open.
#[must_use]
pub fn show(ctx: &Context, open: bool) -> bool {
    let mut stays = open;
    egui::Window::new("Keys")
        .open(&mut stays)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
        .default_height(ctx.content_rect().height() - FRAME)
        .show(ctx, |ui| {
            ScrollArea::vertical().max_height(ctx.content_rect().height() - FRAME).show(ui, |ui| {
                Grid::new("keys").num_columns(2).spacing([18.0, 6.0]).show(ui, |ui| {
                    for (keys, words) in KEYS {
                        ui.strong(*keys);
                        ui.label(*words);
                        ui.end_row();
                    }
                });
            });
        });
    stays
}
