//! What a text is given in, and how a line holds a document.

use serde::Deserialize;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The characters. Where a document starts, what sets it apart from the one before may stand in front.
    pub text: String,
    /// Whether a document starts here.
    pub starts_document: bool,
}

pub(super) const A_DOCUMENT: &str = "a JSON object with a string in `text`";

/// The document of a line.
pub(super) fn document(line: &str) -> serde_json::Result<String> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
    }
    serde_json::from_str::<Line>(line).map(|line| line.text)
}
