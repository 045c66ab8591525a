//! The error type of the crate.

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in a measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Arguments do not fit together.
    #[error("{operation}: expected {expected}, got {got}")]
    Mismatch {
        /// What was being computed.
        operation: &'static str,
        /// What the operation needs.
        expected: String,
        /// What it was given.
        got: String,
    },
    /// There is nothing to measure.
    #[error("{operation}: no finite data")]
    NoData {
        /// What was being computed.
        operation: &'static str,
    },
    /// LAPACK gave up.
    #[cfg(feature = "drift")]
    #[error("{operation}: {source}")]
    Linalg {
        /// What was being computed.
        operation: &'static str,
        /// LAPACK's reason.
        source: ndarray_linalg::error::LinalgError,
    },
}

impl Error {
    /// An [`Error::Mismatch`].
    pub fn mismatch(operation: &'static str, expected: impl ToString, got: impl ToString) -> Self {
        Self::Mismatch { operation, expected: expected.to_string(), got: got.to_string() }
    }
}
