//! What a run has to say beside its numbers: what was left out, what was read to its end, what repeats.

use serde::{Deserialize, Serialize};

/// One remark, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it is about: an option, a file, or a field of one.
    pub field: String,
    /// The remark.
    pub said: String,
}

impl Note {
    /// A remark on `field`.
    pub fn new(field: impl Into<String>, said: impl Into<String>) -> Self {
        Self { field: field.into(), said: said.into() }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.said)
    }
}
