//! What can go wrong in a measurement: what the runtime, the analysis or the training report, and figures.

use std::path::PathBuf;

use lm_infinite_runtime as runtime;

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, in words a user can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a model, a policy or an argument that cannot be used.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// A measurement that cannot be computed.
    #[error(transparent)]
    Analysis(#[from] lm_infinite_analysis::Error),
    /// A model that cannot be trained.
    #[error(transparent)]
    Train(#[from] lm_infinite_train::Error),
    /// A figure that cannot be drawn.
    #[error("figure `{figure}`: {reason}")]
    Figure {
        /// Name of the figure.
        figure: String,
        /// Why not.
        reason: String,
    },
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

    /// A well-formed file asks for something this program does not do.
    pub fn unsupported(what: impl Into<String>, detail: impl ToString) -> Self {
        Self::Runtime(runtime::Error::unsupported(what, detail))
    }

    /// An argument or a text that cannot be used.
    pub fn input(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Runtime(runtime::Error::input(what, reason))
    }
}
