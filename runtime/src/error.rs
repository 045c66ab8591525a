//! The one error type of the library: every variant says what was being read or done, what was expected and what was got.

use std::path::PathBuf;

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, in words a user can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A file is not what its format says it should be.
    #[error("{}: {field}: expected {expected}, got {got}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The tensor, header field or line.
        field: String,
        /// What the format asks for.
        expected: String,
        /// What the file holds.
        got: String,
    },
    /// A file says something that nothing here reads, and that is not known to change nothing. It may be passed over by name.
    #[error("{}: {field}: expected {expected}, got {got}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// The field, as it is named to be passed over.
        field: String,
        /// What the reader asks for, and what may be done.
        expected: String,
        /// What the file holds.
        got: String,
    },
    /// A well-formed file asks for something this program does not do.
    #[error("{what} is not supported: {detail}")]
    Unsupported {
        /// The feature.
        what: String,
        /// Where it was asked for, and what is supported.
        detail: String,
    },
    /// An attention policy that makes no sense, or does not fit the model.
    #[error("policy `{policy}`: {reason}")]
    Policy {
        /// The policy as written.
        policy: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logits that no token can be drawn from.
    #[error("after token {position}, the logits of the next one are {reason}")]
    NotFinite {
        /// Position of the last token that was read.
        position: u64,
        /// Which are not finite.
        reason: String,
    },
    /// An argument or a text that cannot be used.
    #[error("{what}: {reason}")]
    Input {
        /// The argument or text.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Io`] on `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |reason| Self::Io { path, reason }
    }

    /// An [`Error::Malformed`] on `path`.
    pub fn malformed(
        path: impl Into<PathBuf>,
        field: impl Into<String>,
        expected: impl ToString,
        got: impl ToString,
    ) -> Self {
        Self::Malformed {
            path: path.into(),
            field: field.into(),
            expected: expected.to_string(),
            got: got.to_string(),
        }
    }

    /// An [`Error::Unread`] on `path`.
    pub fn unread(
        path: impl Into<PathBuf>,
        field: impl Into<String>,
        expected: impl ToString,
        got: impl ToString,
    ) -> Self {
        Self::Unread {
            path: path.into(),
            field: field.into(),
            expected: expected.to_string(),
            got: got.to_string(),
        }
    }

    /// The field that nothing reads, if that is what is wrong.
    pub fn unread_field(&self) -> Option<&str> {
        match self {
            Self::Unread { field, .. } => Some(field),
            _ => None,
        }
    }

    /// An [`Error::Input`].
    pub fn input(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Input { what: what.into(), reason: reason.to_string() }
    }

    /// An [`Error::Unsupported`].
    pub fn unsupported(what: impl Into<String>, detail: impl ToString) -> Self {
        Self::Unsupported { what: what.into(), detail: detail.to_string() }
    }
}
