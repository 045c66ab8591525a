//! The texts that verdicts are calibrated on, of different kinds, and how each is cut: into the part that is tested, and others
//! of the same kind that say independently what the right answer is.

use lm_infinite_runtime::digest::sha256;
use lm_infinite_runtime::text::{EMBEDDED_TEXT, EMBEDDED_TEXT_NAME};
use lm_infinite_runtime::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

use super::generated::{KINDS, Kind};
use crate::error::{Error, Result};

/// A text.
#[derive(Clone, Debug)]
pub struct CalibrationText {
    /// What it is.
    pub name: String,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// Drawn: there is as much of it as is asked for.
    Drawn(Kind),
    /// Written: it ends.
    Written(String),
}

/// Where the reading came from that says what the right answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Texts of the same kind, drawn from other random numbers.
    SameKind,
    /// What the same text has behind the part that is tested.
    RestOfText,
    /// The other texts of the case.
    OtherTexts,
    /// The text itself, since there is no more of it: not independent.
    ItsOwn,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SameKind => "other texts of the kind",
            Self::RestOfText => "rest of the text",
            Self::OtherTexts => "the other texts",
            Self::ItsOwn => "the text itself",
        })
    }
}

/// A text in tokens, cut.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The part that is tested, behind a BOS where the tokenizer's rules add one.
    pub tested: Vec<u32>,
    /// Parts of the same length, each behind a BOS too; none of them has a token of another.
    pub others: Vec<Vec<u32>>,
    /// What they are.
    pub source: Source,
}

macro_rules! asset {
    ($name:literal) => {
        include_str!(concat!("../../../assets/calibration/", $name))
    };
}

/// Texts that are compiled in: name and content. Sources and licences are in `assets/README.md`.
const WRITTEN: [(&str, &str); 10] = [
    (EMBEDDED_TEXT_NAME, EMBEDDED_TEXT),
    ("GPL-3", asset!("gpl-3.txt")),
    ("Rust code", asset!("rust.txt")),
    ("Python code", asset!("python.txt")),
    ("Markdown", asset!("markdown.txt")),
    ("GFDL-1.3", asset!("gfdl-1.3.txt")),
    ("German", asset!("udhr-german.txt")),
    ("French", asset!("udhr-french.txt")),
    ("Finnish", asset!("udhr-finnish.txt")),
    ("Russian", asset!("udhr-russian.txt")),
];

/// Bytes of a drawn text for each token, to begin with.
const BYTES_PER_TOKEN: usize = 3;
/// More bytes to a token than any text here has.
const MOST_BYTES_PER_TOKEN: usize = 8;
/// Bytes that tell one drawn text from another.
const BEGINNING: usize = 1 << 14;
/// How often a drawn text may be doubled until it has its tokens.
const DOUBLINGS: usize = 8;

impl CalibrationText {
    /// All texts, written and drawn ones in turn, so that the first of them are of many kinds.
    pub fn all() -> Vec<Self> {
        let drawn = |kind: &Kind| Self { name: kind.name.to_owned(), content: Content::Drawn(*kind) };
        let mut all = Vec::new();
        for at in 0..WRITTEN.len().max(KINDS.len()) {
            all.extend(WRITTEN.get(at).map(|(name, text)| Self::written(*name, *text)));
            all.extend(KINDS.get(at).map(drawn));
        }
        all
    }

    /// A text that is given.
    pub fn written(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), content: Content::Written(text.into()) }
    }

    /// Digest of a text that ends; of one that is drawn, that of its beginning under `seed`.
    pub fn sha256(&self, seed: u64) -> String {
        match &self.content {
            Content::Drawn(kind) => sha256(kind.text(seed, 0, BEGINNING).as_bytes()),
            Content::Written(text) => sha256(text.as_bytes()),
        }
    }

    /// Cuts the text into parts of `tokens` tokens: one that is tested and up to `others` others. Of a text that ends, the last
    /// one may be shorter, down to half of that.
    ///
    /// # Errors
    /// A text of fewer than 2 tokens; as [`Tokenizer::encode_without_bos`].
    pub fn cut(&self, tokenizer: &Tokenizer, tokens: usize, others: usize, seed: u64) -> Result<Cut> {
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let own = tokens.saturating_sub(usize::from(bos.is_some())).max(1);
        let part = |ids: &[u32]| bos.into_iter().chain(ids.iter().copied()).collect::<Vec<u32>>();
        let (tested, others, source) = match &self.content {
            Content::Drawn(kind) => {
                let copy = |copy: usize| -> Result<Vec<u32>> {
                    let mut bytes = own.saturating_mul(BYTES_PER_TOKEN);
                    for _ in 0..DOUBLINGS {
                        let ids = tokenizer.encode_without_bos(&kind.text(seed, copy as u64, bytes))?;
                        if ids.len() >= own {
                            return Ok(part(&ids[..own]));
                        }
                        bytes = bytes.saturating_mul(2);
                    }
                    Err(Error::input(format!("text `{}`", self.name), format!("it never has {own} tokens")))
                };
                let others = (1..=others).map(copy).collect::<Result<Vec<_>>>()?;
                (copy(0)?, others, Source::SameKind)
            }
            Content::Written(text) => {
                let bytes = own.saturating_mul(others + 1).saturating_mul(MOST_BYTES_PER_TOKEN);
                let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
                let ids = tokenizer.encode_without_bos(&text[..end.unwrap_or(0)])?;
                let mut parts = ids.chunks(own);
                let tested = part(parts.next().unwrap_or_default());
                let rest = parts.take(others).filter(|ids| ids.len() * 2 >= own);
                (tested, rest.map(part).collect(), Source::RestOfText)
            }
        };
        if tested.len() < 2 {
            return Err(Error::input(format!("text `{}`", self.name), "it has fewer than 2 tokens"));
        }
        let source = if others.is_empty() { Source::ItsOwn } else { source };
        Ok(Cut { tested, others, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lm_infinite_runtime::checkpoint::load;
    use lm_infinite_runtime::hub::Cache;

    #[test]
    fn at_least_twenty_texts_have_as_many_tokens_as_are_tested() {
        let tokenizer = load("tiny-rope", &Cache::open().expect("a folder")).expect("it").tokenizer;
        let all = CalibrationText::all();
        assert!(all.len() >= 20);
        for text in &all {
            let cut = text.cut(&tokenizer, 4200, 2, 0).expect("tokens");
            assert_eq!(cut.tested.len(), 4200, "{}", text.name);
            assert!(cut.others.iter().all(|other| *other != cut.tested), "{}", text.name);
            assert_eq!(cut.others.is_empty(), cut.source == Source::ItsOwn);
        }
    }

    #[test]
    fn a_written_text_is_cut_without_overlap_and_read_to_its_end() {
        let tokenizer = load("tiny-rope", &Cache::open().expect("a folder")).expect("it").tokenizer;
        let words: String = (0..400).map(|at| format!("number {at} ")).collect();
        let ids = tokenizer.encode_without_bos(&words).expect("tokens");
        let text = CalibrationText::written("numbers", words);
        let bos = usize::from(tokenizer.adds_bos());
        let cut = text.cut(&tokenizer, 100 + bos, 1000, 0).expect("tokens");
        let joined: Vec<u32> =
            std::iter::once(&cut.tested).chain(&cut.others).flat_map(|part| part[bos..].to_vec()).collect();
        assert!(ids.len() - joined.len() < 50 && ids.starts_with(&joined), "{} {}", ids.len(), joined.len());
        let alone = text.cut(&tokenizer, 1 << 20, 3, 0).expect("tokens");
        assert_eq!((alone.tested.len() - bos, alone.source), (ids.len(), Source::ItsOwn));
        assert!(CalibrationText::written("empty", "").cut(&tokenizer, 100, 1, 0).is_err());
    }
}
