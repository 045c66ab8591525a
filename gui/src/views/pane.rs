//! What a tile shows. A pane changes between frames alone: [`Pane::obey`] and [`Pane::update`] are called before a frame,
//! [`Pane::show`] draws what there is.

use eframe::egui::{Context, Ui, Visuals};

use super::shown::Shown;
use crate::command::Command;
use crate::export::{Place, ShownMap};

/// What a tile shows; it keeps what it needs from frame to frame.
pub trait Pane {
    /// Takes a command that is its own; every pane is told of every command that the window does not obey itself.
    fn obey(&mut self, _command: &Command) {}

    /// Takes what its tasks have sent, begins new ones, and computes what [`Self::show`] draws. Called before every frame while
    /// its tile is on screen.
    fn update(&mut self, ctx: &Context, shown: &Shown<'_>);

    /// Draws, and pushes what the reader asks for.
    fn show(&self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>);

    /// Tells in the inspector what it knows of what the pointer is over.
    fn inspect(&self, _ui: &mut Ui, _shown: &Shown<'_>) {}

    /// The maps that it shows and that can be written as they are on screen.
    fn places(&self, _shown: &Shown<'_>) -> Vec<ShownMap> {
        Vec::new()
    }

    /// One of them.
    fn place(&self, _shown: &Shown<'_>, _map: ShownMap, _visuals: &Visuals) -> Option<Place> {
        None
    }

    /// Whether it is still working on what it shows: a picture of the window waits for it.
    fn is_busy(&self) -> bool {
        false
    }
}
