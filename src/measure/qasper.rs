//! Qasper (Dasigi et al. 2021): questions about scientific articles, as the paper asks them (section 4.4; repository
//! Glaciohound/LM-Infinite, `data/qasper.py`). The dataset is the user's: files of its release, one JSON object from the
//! number of an article to the article.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

/// What stands before the article, in the paper's wording.
const HEADER: &str = "You are given a scientific article and a question. Answer the question as concisely as you can, using \
                      a single phrase or sentence if possible. If the question cannot be answered based on the information \
                      in the article, write \"unanswerable\". If the question is a yes/no question, answer \"yes\", \
                      \"no\", or \"unanswerable\". Article:";

/// Who is asked; of the paper's wording for models without a dialogue format.
const SYSTEM: &str = "You are a helpful, concise and honest assistant.";

/// What stands behind the question.
const CLOSING: &str = "Please highlight your final answer with a single pair of <Answer> </Answer> tags. Do not provide any \
                       explanation. <Answer>";

/// Most tokens of an answer.
pub const ANSWER_TOKENS: usize = 30;

/// What ends an answer.
const ENDS: [&str; 2] = ["</Answer>", "\n"];

/// A question and the answers that several people gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its number in the dataset.
    pub id: String,
    /// The whole prompt.
    pub prompt: String,
    /// Answers that count; at least one.
    pub references: Vec<String>,
}

#[derive(Deserialize)]
struct Article {
    full_text: Vec<Section>,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Section {
    section_name: Option<String>,
    paragraphs: Vec<String>,
}

#[derive(Deserialize)]
struct Asked {
    question: String,
    question_id: String,
    answers: Vec<Annotated>,
}

#[derive(Deserialize)]
struct Annotated {
    answer: Answer,
}

#[derive(Deserialize)]
struct Answer {
    unanswerable: bool,
    #[serde(default)]
    extractive_spans: Vec<String>,
    yes_no: Option<bool>,
    #[serde(default)]
    free_form_answer: String,
}

impl Answer {
    /// The paper's order: yes or no, unanswerable, free form, spans of the article.
    fn text(&self) -> Option<String> {
        match self.yes_no {
            Some(true) => Some("yes".into()),
            Some(false) => Some("no".into()),
            None if self.unanswerable => Some("unanswerable".into()),
            None if !self.free_form_answer.is_empty() => Some(self.free_form_answer.clone()),
            None if !self.extractive_spans.is_empty() => Some(self.extractive_spans.join(" ")),
            None => None,
        }
    }
}

/// All questions of a file of the dataset, by article and then in its order.
///
/// # Errors
/// An unreadable file, or one of another layout; a question without an answer; no question.
pub fn read(path: &Path) -> Result<Vec<Question>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let articles: BTreeMap<String, Article> = serde_json::from_str(&text).map_err(|e| {
        Error::malformed(path, format!("line {}", e.line()), "articles of the Qasper dataset by number", e)
    })?;
    let mut questions = Vec::new();
    for (number, article) in articles {
        let mut body = String::new();
        for section in article.full_text {
            let name = section.section_name.unwrap_or_default();
            body.push_str(&format!("{name} {} ", section.paragraphs.join(" ")));
        }
        for asked in article.qas {
            let references: Option<Vec<String>> = asked.answers.iter().map(|a| a.answer.text()).collect();
            let references = references.filter(|references| !references.is_empty()).ok_or_else(|| {
                let field = format!("{number}, question {}", asked.question_id);
                Error::malformed(
                    path,
                    field,
                    "answers: yes or no, unanswerable, a text or spans",
                    "none of them",
                )
            })?;
            questions.push(Question {
                prompt: format!("{SYSTEM} {HEADER} {body} Question: {} {CLOSING}", asked.question),
                id: asked.question_id,
                references,
            });
        }
    }
    if questions.is_empty() {
        return Err(Error::input(path.display().to_string(), "it has no question"));
    }
    Ok(questions)
}

/// The first and the last half of `limit` tokens where there are more: the paper cuts prompts in their centre, so that task
/// and question stay. Of an odd limit the last part has one more.
pub fn cut_in_the_centre(tokens: &[u32], limit: usize) -> Vec<u32> {
    if tokens.len() <= limit {
        return tokens.to_vec();
    }
    let first = limit / 2;
    [&tokens[..first], &tokens[tokens.len() - (limit - first)..]].concat()
}

/// Whether a generated text is at its end.
pub fn is_finished(text: &str) -> bool {
    ENDS.iter().any(|end| text.contains(end))
}

/// The answer in a generated text: without what ends it, and without tags.
pub fn extracted(text: &str) -> &str {
    let text = text.trim();
    let text = text.split_once("<Answer>").map_or(text, |(_, answer)| answer);
    let end = ENDS.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    text[..end].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("qasper.json");
        std::fs::write(&path, text).expect("written");
        (folder, path)
    }

    #[test]
    fn answers_of_every_kind_are_read_in_the_papers_order() {
        let answer = |json: &str| serde_json::from_str::<Answer>(json).expect("an answer").text();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            answer(r#"{"unanswerable": true, "yes_no": null, "free_form_answer": ""}"#),
            some("unanswerable")
        );
        assert_eq!(
            answer(r#"{"unanswerable": false, "yes_no": false, "free_form_answer": "x"}"#),
            some("no")
        );
        assert_eq!(answer(r#"{"unanswerable": false, "yes_no": true}"#), some("yes"));
        let spans =
            r#"{"unanswerable": false, "extractive_spans": ["two", "spans"], "free_form_answer": ""}"#;
        assert_eq!(answer(spans), some("two spans"));
        assert_eq!(
            answer(r#"{"unanswerable": false, "extractive_spans": ["a"], "free_form_answer": "b"}"#),
            some("b")
        );
        assert_eq!(answer(r#"{"unanswerable": false}"#), None);
    }

    #[test]
    fn other_layouts_are_refused_by_name() {
        for (text, reason) in [
            ("[]", "line 1"),
            ("{\"1\": {\"full_text\": [], \"qas\": 5}}", "Qasper"),
            ("{}", "no question"),
            (
                "{\"1\": {\"full_text\": [], \"qas\": [{\"question\": \"?\", \"question_id\": \"q9\", \"answers\": []}]}}",
                "question q9",
            ),
        ] {
            let (_folder, path) = written(text);
            let error = read(&path).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(read(Path::new("nowhere.json")).is_err());
    }

    #[test]
    fn prompts_keep_their_ends() {
        let tokens: Vec<u32> = (0..10).collect();
        assert_eq!(cut_in_the_centre(&tokens, 10), tokens);
        assert_eq!(cut_in_the_centre(&tokens, 4), [0, 1, 8, 9]);
        assert_eq!(cut_in_the_centre(&tokens, 5), [0, 1, 7, 8, 9]);
        assert_eq!(cut_in_the_centre(&tokens, 0), [0_u32; 0]);
    }

    #[test]
    fn answers_end_at_tags_and_lines() {
        assert_eq!(extracted(" LSTM </Answer> and more"), "LSTM");
        assert_eq!(extracted("<Answer> yes\nBecause"), "yes");
        assert_eq!((extracted(""), extracted("plain")), ("", "plain"));
        assert!(is_finished("a</Answer>") && is_finished("a\n") && !is_finished("a <"));
    }
}
