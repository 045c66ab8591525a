//! What is drawn. A view takes a diagnosis and what is chosen, and returns what the reader asked for.

pub mod curves;
pub mod heads;
pub mod run_bar;
pub mod verdicts;

use eframe::egui::Color32;

/// Colours of A and B: those of the figures.
pub const SIDES: [Color32; 2] = [Color32::from_rgb(213, 94, 0), Color32::from_rgb(0, 114, 178)];

/// Their names.
pub const NAMES: [&str; 2] = ["A", "B"];
