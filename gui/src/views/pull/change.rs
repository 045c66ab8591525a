//! What the reader does in the small window that downloads models.

/// What the reader does in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is opened, or closed; a download goes on.
    Open(bool),
    /// The field says this now.
    Typed(String),
    /// Download this.
    Start(String),
    /// End the download.
    Stop,
}
