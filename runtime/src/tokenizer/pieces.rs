//! A text that arrives in parts, in pieces that can be encoded one by one: their tokens, one after the other, are those of
//! the text.
//!
//! A piece ends at the first place behind [`CHUNK_BYTES`] bytes where no token can cross ([`chunks`]). A tokenizer of which
//! no such place is known takes a text document by document.

use std::collections::VecDeque;

use super::Tokenizer;
use super::chunks::{CHUNK_BYTES, Cut, first_cut};
use crate::error::Result;

/// Cuts a text.
pub(crate) struct Cutter {
    cut: Cut,
    /// Bytes of a piece, at least.
    least: usize,
    /// What was not given yet, and where it begins in the text.
    waiting: String,
    at: u64,
    /// No cut is left of here.
    searched: usize,
    /// Where documents start in what waits.
    starts: VecDeque<usize>,
}

/// A piece of a text.
pub(crate) struct Piece {
    /// The characters.
    pub raw: String,
    /// Where they begin in the text, in bytes.
    pub at: u64,
    /// How many of them are encoded: all, or all but a space that the tokenizer puts in front of the next piece by itself.
    encoded: usize,
}

impl Piece {
    /// What is encoded.
    pub fn text(&self) -> &str {
        &self.raw[..self.encoded]
    }
}

impl Cutter {
    /// For a text whose byte `at` comes next, at the beginning of a piece.
    pub fn new(tokenizer: &Tokenizer, at: u64) -> Self {
        Self::with_least(tokenizer.cut, at, CHUNK_BYTES)
    }

    /// [`Cutter::new`] for pieces of other sizes.
    pub(super) fn with_least(cut: Cut, at: u64, least: usize) -> Self {
        Self { cut, least, waiting: String::new(), at, searched: least, starts: VecDeque::new() }
    }

    /// Takes the next part of the text; a document may start with it.
    pub fn push(&mut self, part: &str, starts_document: bool) {
        if starts_document && self.cut == Cut::Never {
            self.starts.push_back(self.waiting.len());
        }
        self.waiting += part;
    }

    /// What waits for a place to cut.
    pub fn waiting(&self) -> &str {
        &self.waiting
    }

    /// Where that begins in the text, in bytes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next piece, once it is known where it ends.
    pub fn next(&mut self) -> Option<Piece> {
        let (end, skipped) = match self.cut {
            Cut::Never => {
                while self.starts.front().is_some_and(|&start| start < self.least) {
                    self.starts.pop_front();
                }
                (*self.starts.front()?, 0)
            }
            Cut::BeforeSpace | Cut::InsteadOfSpace => match first_cut(&self.waiting, self.searched) {
                Some(end) => (end, usize::from(self.cut == Cut::InsteadOfSpace)),
                None => {
                    // What is behind the last byte decides about it.
                    self.searched = self.searched.max(self.waiting.len().saturating_sub(1));
                    return None;
                }
            },
        };
        let raw: String = self.waiting.drain(..end + skipped).collect();
        Some(self.piece(raw, end))
    }

    /// The rest, once the text is at its end.
    pub fn finish(&mut self) -> Option<Piece> {
        let raw = std::mem::take(&mut self.waiting);
        self.starts.clear();
        let encoded = raw.len();
        (encoded > 0).then(|| self.piece(raw, encoded))
    }

    fn piece(&mut self, raw: String, encoded: usize) -> Piece {
        let at = self.at;
        self.at += raw.len() as u64;
        self.searched = self.least;
        self.starts.iter_mut().for_each(|start| *start -= raw.len());
        Piece { raw, at, encoded }
    }
}

impl Tokenizer {
    /// Token ids of a piece that a [`Cutter`] cut, but for the first of a text. Where the space in front of it was cut away,
    /// the tokenizer puts it back by itself, as it does at the start of a text.
    pub(crate) fn encode_next_piece(&self, piece: &str) -> Result<Vec<u32>> {
        match self.cut {
            Cut::InsteadOfSpace => self.encode_without_bos(piece),
            Cut::BeforeSpace | Cut::Never => self.encode_continuation(piece),
        }
    }
}
