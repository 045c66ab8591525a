//! Marks in a text with a note each, kept from one start to the next.

use serde::{Deserialize, Serialize};

/// Marks that are kept, at most.
const MOST: usize = 500;

/// A token that was marked, and what was noted of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Of this model's tokens.
    pub model: String,
    /// The text.
    pub text: String,
    /// Position.
    pub token: u64,
    /// What was noted.
    #[serde(default)]
    pub note: String,
}

/// All marks, of every text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks(Vec<Mark>);

/// What the reader does with a mark at a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Marks it.
    Add(u64),
    /// Lets it go.
    Remove(u64),
    /// Notes something of it.
    Note(u64, String),
}

impl Marks {
    /// Those of a text as a model reads it, in the order of the text.
    pub fn of(&self, model: &str, text: &str) -> Vec<Mark> {
        let mut marks: Vec<_> =
            self.0.iter().filter(|mark| mark.model == model && mark.text == text).cloned().collect();
        marks.sort_by_key(|mark| mark.token);
        marks
    }

    /// Changes one of a text as a model reads it. Where there is no room, the oldest goes.
    pub fn change(&mut self, model: &str, text: &str, change: &Change) {
        let (Change::Add(token) | Change::Remove(token) | Change::Note(token, _)) = change;
        let same = |mark: &Mark| mark.model == model && mark.text == text && mark.token == *token;
        match change {
            Change::Add(_) if self.0.iter().any(same) => {}
            Change::Add(_) => {
                if self.0.len() >= MOST {
                    self.0.remove(0);
                }
                let (model, text) = (model.to_owned(), text.to_owned());
                self.0.push(Mark { model, text, token: *token, note: String::new() });
            }
            Change::Remove(_) => self.0.retain(|mark| !same(mark)),
            Change::Note(_, note) => {
                if let Some(mark) = self.0.iter_mut().find(|mark| same(mark)) {
                    mark.note.clone_from(note);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_of_their_text_and_model() {
        let mut marks = Marks::default();
        for (text, change) in [
            ("t", Change::Add(9)),
            ("t", Change::Add(3)),
            ("t", Change::Add(9)),
            ("u", Change::Add(1)),
            ("t", Change::Note(9, "here".into())),
            ("u", Change::Note(9, "nowhere".into())),
        ] {
            marks.change("m", text, &change);
        }
        let of = |marks: &Marks, text: &str| -> Vec<(u64, String)> {
            marks.of("m", text).into_iter().map(|mark| (mark.token, mark.note)).collect()
        };
        assert_eq!(of(&marks, "t"), [(3, String::new()), (9, "here".into())]);
        assert_eq!((of(&marks, "u").len(), marks.of("n", "t").len()), (1, 0));
        marks.change("m", "t", &Change::Remove(3));
        assert_eq!(of(&marks, "t").len(), 1);
        (0..2 * MOST as u64).for_each(|token| marks.change("m", "v", &Change::Add(token)));
        assert_eq!(marks.0.len(), MOST);
        let json = serde_json::to_string(&marks).expect("JSON");
        assert_eq!(serde_json::from_str::<Marks>(&json).expect("read"), marks);
    }
}
