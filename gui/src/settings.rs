//! What a run is asked for, as it stands in the run bar.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest text that the slider offers; typed lengths may be longer.
pub const SLIDER_END: u64 = 1_000_000;

/// The run bar's fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Name or path of the model.
    pub model: String,
    /// Path of the text; empty for the embedded one.
    pub text: String,
    /// A text that was pasted; it goes before [`Self::text`].
    #[serde(skip)]
    pub pasted: Option<Arc<str>>,
    /// Tokens to read.
    pub tokens: u64,
    /// Whether a shorter text goes on with its documents, drawn with replacement.
    #[serde(default)]
    pub repeat: bool,
    /// A and B, as `--policy` takes them.
    pub policies: [String; 2],
}

impl Settings {
    /// What the text is called.
    pub fn text_name(&self) -> &str {
        match (&self.pasted, self.text.trim()) {
            (Some(_), _) => "pasted",
            (None, "") => lm_infinite::text::EMBEDDED_TEXT_NAME,
            (None, path) => path,
        }
    }
}
