//! What a run has to say beside its numbers: what a checkpoint asks for and how it was met, what was left out of a text,
//! what repeats.

use serde::{Deserialize, Serialize};

/// One remark, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Can it change a number?
    #[serde(default)]
    pub severity: Severity,
    /// What it is about: an option, a file, or a field of one.
    pub field: String,
    /// The remark: what was found, and what was done about it.
    pub said: String,
}

/// How much a [`Note`] matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; every number is what was asked for.
    #[default]
    Note,
    /// Something was assumed: where the assumption is wrong, so are the numbers.
    Warning,
}

impl Note {
    /// A remark on `field`.
    pub fn new(field: impl Into<String>, said: impl Into<String>) -> Self {
        Self { severity: Severity::Note, field: field.into(), said: said.into() }
    }

    /// An assumption about `field`.
    pub fn warning(field: impl Into<String>, said: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, field: field.into(), said: said.into() }
    }

    /// `note` or `warning`, as it stands before the remark.
    pub fn label(&self) -> &'static str {
        match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
        }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.said)
    }
}
