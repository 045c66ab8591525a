//! Tokens that arrive one at a time, to text that is complete UTF-8 at every step.

use super::Tokenizer;
use crate::error::Result;

/// A character has at most four bytes, so four tokens of one byte each: what is still incomplete after that never
/// becomes a character.
const LONGEST_WAIT: usize = 4;

/// Text of a stream of tokens.
///
/// Decoders may treat the first token of a text apart (leading spaces), so each step decodes the last tokens together
/// with some that are already out.
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens already out that give the next ones their context, then those that wait.
    ids: Vec<u32>,
    /// How many of `ids` are out.
    out: usize,
}

impl Tokenizer {
    /// A decoder for tokens that arrive one at a time.
    pub fn stream(&self) -> StreamDecoder<'_> {
        StreamDecoder::new(self)
    }

    /// [`Tokenizer::stream`] for text that follows `before`, whose last tokens decide whether a space is kept.
    pub fn stream_after(&self, before: &[u32]) -> StreamDecoder<'_> {
        StreamDecoder::after(self, before)
    }
}

impl<'a> StreamDecoder<'a> {
    fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), out: 0 }
    }

    fn after(tokenizer: &'a Tokenizer, before: &[u32]) -> Self {
        // Special tokens have no text, so they alone would look like the start of one.
        let last_text = before.iter().rposition(|&id| !tokenizer.is_special(id)).unwrap_or(0);
        let ids = before[before.len().saturating_sub(LONGEST_WAIT).min(last_text)..].to_vec();
        Self { tokenizer, out: ids.len(), ids }
    }

    /// Takes a token; returns the text that it completes, which is empty while a character is incomplete.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        let text = self.pending()?;
        let incomplete = text.ends_with(char::REPLACEMENT_CHARACTER);
        if incomplete && self.ids.len() - self.out < LONGEST_WAIT {
            return Ok(String::new());
        }
        // Keep the tokens just written as context, and forget those before them.
        self.ids.drain(..self.out);
        self.out = self.ids.len();
        Ok(text)
    }

    /// The rest, with U+FFFD for a character that never became complete.
    pub fn finish(mut self) -> Result<String> {
        let text = self.pending()?;
        self.ids.clear();
        Ok(text)
    }

    /// Text of the tokens that wait.
    fn pending(&self) -> Result<String> {
        let before = self.tokenizer.decode(&self.ids[..self.out])?;
        let all = self.tokenizer.decode(&self.ids)?;
        // Bytes of an earlier token that were invalid by themselves can join with new ones: then only the common part
        // counts as written.
        let common = before.char_indices().zip(all.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
        Ok(all.get(common.unwrap_or(before.len())..).unwrap_or_default().to_owned())
    }
}
