//! What a run is asked for, as it stands in the run bar.

use std::sync::Arc;

use lm_infinite::policy::PolicySpec;
use serde::{Deserialize, Serialize};

use crate::theme;

/// Policies of a run, at most: each has a letter.
pub const MOST_POLICIES: usize = 26;

/// A and B where nobody has chosen others.
pub const DEFAULT_POLICIES: [&str; 2] = ["vanilla", "lm-infinite"];

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
    /// A, B and so on, as `--policy` takes them.
    pub policies: Vec<String>,
    /// Nobody has chosen B: it makes way for another where the model cannot follow it.
    #[serde(default)]
    pub b_unchosen: bool,
    /// Fields of a model that are passed over.
    #[serde(default)]
    pub ignored: Ignored,
}

/// Fields of a model's file that nothing reads, and that are passed over as the reader wants it: of one model, so that another one is read
/// whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// The model, as the settings name it.
    pub model: String,
    /// The names.
    pub fields: Vec<String>,
}

impl Settings {
    /// As they can be used, where they come from a file: at least one policy, and no more than have a letter.
    #[must_use]
    pub fn usable(mut self) -> Self {
        self.policies.truncate(MOST_POLICIES);
        if self.policies.is_empty() {
            self.policies.push("vanilla".to_owned());
        }
        self.b_unchosen &= self.policies.len() == DEFAULT_POLICIES.len();
        self
    }

    /// Fields that are passed over where the model is read, as `--ignore-field` names them.
    pub fn ignored_fields(&self) -> &[String] {
        if self.ignored.model == self.model { &self.ignored.fields } else { &[] }
    }

    /// Passes one more field of the model over.
    pub fn ignore(&mut self, field: String) {
        let mut fields = self.ignored_fields().to_vec();
        if !fields.contains(&field) {
            fields.push(field);
        }
        self.ignored = Ignored { model: self.model.clone(), fields };
    }

    /// Passes no field over any more.
    pub fn ignore_nothing(&mut self) {
        self.ignored = Ignored::default();
    }

    /// Whether both read the same, whoever chose it.
    pub fn reads_as(&self, other: &Self) -> bool {
        *self == Self { b_unchosen: self.b_unchosen, ..other.clone() }
    }

    /// Whether both name the same text.
    pub fn same_text(&self, other: &Self) -> bool {
        self.pasted == other.pasted && (self.pasted.is_some() || self.text.trim() == other.text.trim())
    }

    /// What these say otherwise than `other`, in words. Policies differ by what they mean for a model that was trained on
    /// `trained` tokens, not by how they are written.
    pub fn differences(&self, other: &Self, trained: u64) -> Vec<String> {
        let meaning = |text: &str| {
            let text = text.trim();
            PolicySpec::parse(text, trained).map_or_else(|_| text.to_owned(), |spec| spec.label)
        };
        let meant = |settings: &Self, side: usize| settings.policies.get(side).map(|text| meaning(text));
        let policies = 0..self.policies.len().max(other.policies.len());
        let policies = policies.filter(|&side| meant(self, side) != meant(other, side));
        let policies = policies.map(|side| format!("policy {}", theme::name(side)));
        let all = [
            ("model", self.model != other.model),
            (
                "fields passed over",
                self.model == other.model && self.ignored_fields() != other.ignored_fields(),
            ),
            ("text", !self.same_text(other)),
            ("tokens", self.tokens != other.tokens),
            ("repeat", self.repeat != other.repeat),
        ];
        let named = all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned());
        named.chain(policies).collect()
    }

    /// What the text is called.
    pub fn text_name(&self) -> &str {
        match (&self.pasted, self.text.trim()) {
            (Some(_), _) => "pasted",
            (None, "") => lm_infinite::text::EMBEDDED_TEXT_NAME,
            (None, path) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_differ_by_what_they_mean() {
        let settings = Settings {
            model: "m".into(),
            text: String::new(),
            pasted: None,
            tokens: 100,
            repeat: false,
            policies: vec!["vanilla".into(), "lm-infinite".into()],
            b_unchosen: true,
            ignored: Ignored::default(),
        };
        let same = Settings {
            text: " ".into(),
            policies: vec!["vanilla ".into(), "lm-infinite:start=10,window=256".into()],
            ..settings.clone()
        };
        assert!(same.differences(&settings, 256).is_empty());
        assert_eq!(
            same.differences(&settings, 512),
            ["policy B"],
            "of another model it means another window"
        );
        let other = Settings {
            model: "n".into(),
            text: "t".into(),
            tokens: 99,
            repeat: true,
            policies: vec!["nonsense".into(), "window".into(), "rerope".into()],
            ..settings.clone()
        };
        assert_eq!(
            other.differences(&settings, 256),
            ["model", "text", "tokens", "repeat", "policy A", "policy B", "policy C"]
        );
        let mut without = settings.clone();
        without.ignore("surprise".into());
        assert_eq!(without.differences(&settings, 256), ["fields passed over"]);
        let pasted = Settings { pasted: Some("words".into()), text: "t".into(), ..settings.clone() };
        assert_eq!(pasted.differences(&settings, 256), ["text"]);
        assert!(pasted.differences(&Settings { text: String::new(), ..pasted.clone() }, 256).is_empty());
    }

    #[test]
    fn fields_are_passed_over_of_one_model_alone() {
        let mut settings = Settings {
            model: "m".into(),
            text: String::new(),
            pasted: None,
            tokens: 100,
            repeat: false,
            policies: vec!["vanilla".into()],
            b_unchosen: false,
            ignored: Ignored::default(),
        };
        assert!(settings.ignored_fields().is_empty());
        for field in ["surprise", "other", "surprise"] {
            settings.ignore(field.into());
        }
        assert_eq!(settings.ignored_fields(), ["surprise", "other"]);
        settings.model = "n".into();
        assert!(settings.ignored_fields().is_empty(), "another model is read whole");
        settings.ignore("third".into());
        assert_eq!(settings.ignored_fields(), ["third"]);
        settings.ignore_nothing();
        assert!(settings.ignored_fields().is_empty());
    }
}
