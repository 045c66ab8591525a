//! What views ask for. They push commands; [`Window`](crate::window::Window) alone obeys them, after everything is drawn.

use std::path::PathBuf;

use crate::tab::Tab;

/// A wish of the reader.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Begin, or begin anew.
    Run,
    /// Wait, or go on.
    Pause,
    /// One chunk more.
    Step,
    /// End.
    Stop,
    /// Show a tab.
    Show(Tab),
    /// Show one head, or the mean over all.
    Choose(Option<(usize, usize)>),
    /// Keep a query marked, of which views show the attention; or none.
    Mark(Option<u64>),
    /// Ask for a result folder.
    AskForResults,
    /// Show a result folder.
    Open(PathBuf),
    /// Show the list of keys, or close it.
    Help,
    /// Show what can be exported, or close it.
    Export,
    /// Begin the guided tour.
    Tour,
    /// The pointer is over this; forgotten at the next frame unless a view says so again.
    Hover(Hover),
}

/// What the pointer is over, told to all views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hover {
    /// Position of a token of the text; of the query where there is a key.
    pub position: u64,
    /// Position of the key it is seen with.
    pub key: Option<u64>,
}
