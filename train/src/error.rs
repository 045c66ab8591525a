//! What can go wrong in a training.

use std::path::PathBuf;

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

impl Error {
    /// The operating system refused `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let error = runtime::Error::io(path);
        move |reason| Self::Runtime(error(reason))
    }

    /// The file at `path` is not what its format says it should be.
    pub fn malformed(
        path: impl Into<PathBuf>,
        field: impl Into<String>,
        expected: impl ToString,
        got: impl ToString,
    ) -> Self {
        Self::Runtime(runtime::Error::malformed(path, field, expected, got))
    }

    /// An argument or a text that cannot be used.
    pub fn input(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Runtime(runtime::Error::input(what, reason))
    }
}
