//! What the tour points at.

/// A part of the window that can be pointed at. Whoever draws it says where it is, with [`mark`](super::mark).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Model, text and policies.
    RunBar,
    /// The head grid.
    Heads,
    /// One line per policy.
    Verdicts,
    /// The curve of the loss.
    Loss,
    /// The curve of logits.
    Logits,
    /// The curve of entropy.
    Entropy,
}
