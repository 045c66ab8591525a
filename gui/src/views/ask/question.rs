//! What the small window asks for, what is answered, and what the reader does in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A `.gguf` file or a Hugging Face folder.
    Model,
    /// A text file, or a folder of them.
    Text,
    /// The text itself.
    Paste,
    /// A folder that `diagnose` wrote.
    Results,
    /// A folder that figures are written into.
    Folder,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Name or path.
    Model(String),
    /// Path.
    Text(String),
    /// The text itself.
    Pasted(Arc<str>),
    /// Path.
    Results(PathBuf),
    /// Path.
    Folder(String),
}

/// One small window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked for.
    pub asked: Asked,
    /// What is typed into its field.
    pub typed: String,
}

/// What the reader does in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The field says this now.
    Typed(String),
    /// The field has the focus.
    Focused,
    /// What is typed is the answer.
    Use,
    /// It is closed without an answer.
    Close,
    /// Files, or folders alone, are to be listed.
    List {
        /// Folders alone.
        folders: bool,
    },
    /// The list goes to this path; a file there is the answer.
    GoTo(PathBuf),
    /// The field of the list says this now.
    TypedFolder(String),
    /// This line of the list is selected.
    Select(PathBuf),
    /// This path of the list is the answer.
    Choose(PathBuf),
    /// The list is closed; the small window stays.
    CloseList,
}

impl Asked {
    /// Title of the window, and name of its field.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Model => ("Open a model", "Path of the model"),
            Self::Text => ("Open a text", "Path of the text"),
            Self::Paste => ("Paste a text", "Pasted text"),
            Self::Results => ("Open results", "Path of the result folder"),
            Self::Folder => ("Choose a folder", "Path of the folder"),
        }
    }

    /// Whether a run reads the answer.
    pub fn is_for_a_run(self) -> bool {
        matches!(self, Self::Model | Self::Text | Self::Paste)
    }

    /// What the answer does.
    pub fn effect(self) -> &'static str {
        match self {
            Self::Model | Self::Text | Self::Paste => "The next run reads it",
            Self::Results => "The window shows it at once, instead of the run",
            Self::Folder => "Figures are written into it",
        }
    }

    /// What a folder of the list has to be, where it may be a folder.
    pub fn folder(self) -> Option<&'static str> {
        match self {
            Self::Model => Some("A folder with config.json and .safetensors files"),
            Self::Text => Some("A folder of text files"),
            Self::Results => Some("A folder that diagnose wrote"),
            Self::Folder => Some("A folder for figures"),
            Self::Paste => None,
        }
    }

    /// What a file of the list has to be, where it may be a file: in words, and its ending.
    pub fn file(self) -> Option<(&'static str, Option<&'static str>)> {
        match self {
            Self::Model => Some(("Open a .gguf file", Some("gguf"))),
            Self::Text => Some(("Open a text file", None)),
            Self::Paste | Self::Results | Self::Folder => None,
        }
    }

    /// What to list.
    pub fn listed(self, path: &Path, folders: bool, nearest: bool) -> files::Request {
        let ending = self.file().and_then(|(_, ending)| ending);
        files::Request { path: path.to_owned(), nearest, ending, folders }
    }

    /// A path of the list, as an answer.
    pub fn chosen(self, path: PathBuf) -> Option<Answer> {
        match self {
            Self::Results => Some(Answer::Results(path)),
            // Names of models and texts are words.
            Self::Model | Self::Text | Self::Paste | Self::Folder => self.answer(path.to_str()?),
        }
    }

    /// What is typed, as an answer.
    pub fn answer(self, typed: &str) -> Option<Answer> {
        let path = typed.trim();
        if path.is_empty() {
            return None;
        }
        Some(match self {
            Self::Model => Answer::Model(path.to_owned()),
            Self::Text => Answer::Text(path.to_owned()),
            Self::Paste => Answer::Pasted(typed.into()),
            Self::Results => Answer::Results(path.into()),
            Self::Folder => Answer::Folder(path.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_paths_without_blanks_and_texts_as_they_are() {
        assert_eq!(Asked::Model.answer(" a.gguf "), Some(Answer::Model("a.gguf".into())));
        assert_eq!(Asked::Paste.answer(" x\n"), Some(Answer::Pasted(" x\n".into())));
        assert_eq!(Asked::Results.chosen("a ".into()), Some(Answer::Results("a ".into())));
        assert_eq!((Asked::Text.answer(" "), Asked::Paste.answer("\n")), (None, None));
    }
}
