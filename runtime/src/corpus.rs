//! Tokens to measure on: the first of a text, and, where more are asked for than it has and that is wanted, its documents
//! drawn with replacement.

mod document_starts;
mod drawn;
mod encoded_pieces;
mod stream;

pub use document_starts::DocumentStarts;
pub use encoded_pieces::LONGEST_UNCUT;
pub use stream::{Mark, TokenStream};

use crate::error::{Error, Result};
use crate::note::Note;
use crate::text::{Text, TextRead};
use crate::tokenizer::Tokenizer;

/// Passages are drawn from so many times the tokens that they have together, and from so many tokens at least.
const POOL_TIMES: u64 = 16;
const POOL_LEAST: u64 = 1 << 20;

/// Tokens of a text, and what they are of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The tokens, with the beginning-of-sequence token where the tokenizer's rules add one.
    pub tokens: Vec<u32>,
    /// What was read of the text.
    pub read: TextRead,
    /// Position of the first token that was drawn: from here on the text repeats.
    pub repeated_from: Option<u64>,
    /// What there is to say: files that were left out, a text shorter than what was asked for, one that repeats.
    pub notes: Vec<Note>,
    /// Where documents start in the text, in bytes; none where documents were drawn.
    document_bytes: Vec<u64>,
}

impl Sample {
    /// The tokens without the one that the tokenizer puts in front of a text.
    pub fn without_bos(&self, tokenizer: &Tokenizer) -> &[u32] {
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        match self.tokens.split_first() {
            Some((first, rest)) if bos == Some(*first) => rest,
            _ => &self.tokens,
        }
    }

    /// Positions of the tokens with which documents start, as [`DocumentStarts`] finds them; none where documents were drawn again,
    /// which would count one twice.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn document_starts(&self, tokenizer: &Tokenizer) -> Result<Vec<u64>> {
        let mut starts = DocumentStarts::new(tokenizer);
        // One document starts with the first tokens.
        let enough = if self.document_bytes.len() < 2 { 16 } else { self.tokens.len() };
        starts.push(&self.tokens[..enough.min(self.tokens.len())], &self.document_bytes)?;
        Ok(starts.finish(self.read.bytes))
    }
}

/// The first `wanted` tokens of `text`, or all of them; no more of the text is read than they need.
///
/// A shorter text is read to its end, and a note says so. With `repeat`, its documents (in plain text set apart by at least
/// two empty lines) are drawn with replacement by that seed and joined until there are enough, as the paper does for 200M
/// tokens (section 4.2); a note says that, too.
///
/// # Errors
/// A text without a single prediction; as [`TokenStream::take`].
pub fn tokens(
    text: &Text,
    tokenizer: &Tokenizer,
    wanted: Option<u64>,
    repeat: Option<u64>,
) -> Result<Sample> {
    let repeat = repeat.filter(|_| wanted.is_some());
    let mut sample = first(text, tokenizer, wanted, repeat)?;
    let count = sample.tokens.len() as u64;
    sample.notes.extend(length_note(count, wanted, sample.repeated_from, repeat));
    Ok(sample)
}

/// The first tokens of `text`, at most `limit`. No note is made of a shorter text.
///
/// # Errors
/// As [`tokens`].
pub fn at_most(text: &Text, tokenizer: &Tokenizer, limit: u64) -> Result<Sample> {
    first(text, tokenizer, Some(limit), None)
}

/// Tokens to draw passages from, which together have `needed` tokens: many times more, where the text has them, and of a
/// long text its beginning alone, which a note says. With `repeat`, a text that has fewer goes on as in [`tokens`].
///
/// # Errors
/// As [`tokens`].
pub fn pool(text: &Text, tokenizer: &Tokenizer, needed: u64, repeat: Option<u64>) -> Result<Sample> {
    let limit = needed.saturating_mul(POOL_TIMES).max(POOL_LEAST);
    let mut sample = at_most(text, tokenizer, limit)?;
    let count = sample.tokens.len() as u64;
    if count < needed && repeat.is_some() {
        return tokens(text, tokenizer, Some(needed), repeat);
    }
    if count == limit {
        let said = format!("passages are drawn from its first {count} tokens; more is not read");
        sample.notes.push(Note::new("text", said));
    }
    Ok(sample)
}

fn first(text: &Text, tokenizer: &Tokenizer, wanted: Option<u64>, repeat: Option<u64>) -> Result<Sample> {
    if wanted.is_some_and(|wanted| wanted < 2) {
        return Err(Error::input("--tokens", "at least 2 are needed for one prediction"));
    }
    let mut stream = TokenStream::new(text.clone(), tokenizer, wanted, repeat);
    stream.keep_document_starts();
    let tokens =
        stream.take(wanted.map_or(usize::MAX, |wanted| usize::try_from(wanted).unwrap_or(usize::MAX)))?;
    if tokens.len() < 2 {
        let count = tokens.len();
        let reason = format!("it has {count} tokens; at least 2 are needed for one prediction");
        return Err(Error::input("text", reason));
    }
    let mark = stream.mark();
    let document_bytes = match mark.repeats_from {
        None => stream.document_bytes().to_vec(),
        Some(_) => Vec::new(),
    };
    let (read, repeated_from) = (mark.text, mark.repeats_from);
    Ok(Sample { tokens, read, repeated_from, notes: text.notes(), document_bytes })
}

/// How many tokens `text` has, counted in memory that does not grow with it.
///
/// # Errors
/// As [`TokenStream::take`].
pub fn count(text: &Text, tokenizer: &Tokenizer) -> Result<u64> {
    let mut stream = TokenStream::new(text.clone(), tokenizer, None, None);
    stream.pass(u64::MAX)?;
    Ok(stream.mark().tokens)
}

/// What is said of a text that is shorter than `wanted`: it ended, or it repeats.
pub fn length_note(
    tokens: u64,
    wanted: Option<u64>,
    repeated_from: Option<u64>,
    seed: Option<u64>,
) -> Option<Note> {
    let said = match (wanted, repeated_from) {
        (_, Some(from)) => {
            let seed = seed.map_or(String::new(), |seed| format!(" by seed {seed}"));
            format!(
                "the text has {from} tokens; from token {from} on it repeats: its documents are drawn with replacement{seed}"
            )
        }
        (Some(wanted), None) if tokens < wanted => {
            format!("the text has {tokens} tokens, {wanted} were asked for; it was read to its end")
        }
        _ => return None,
    };
    Some(Note::new("text", said))
}
