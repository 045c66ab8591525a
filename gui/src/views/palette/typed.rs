//! What is typed into the palette.

/// What is typed, and which of the commands that fit is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Letters.
    pub words: String,
    /// From the top, from 0.
    pub chosen: usize,
}
