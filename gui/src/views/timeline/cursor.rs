//! The cursor of the timeline.

/// The cursor, where it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its token; `None` lets it go.
    pub token: Option<u64>,
    /// It is being dragged, or played.
    pub moving: bool,
}
