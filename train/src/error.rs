//! What can go wrong in a training.

use lm_infinite_runtime as runtime;

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, in words a user can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a text or an option that cannot be used.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// A training graph that cannot be computed.
    #[error("training: {0}")]
    Graph(#[from] candle_core::Error),
}
