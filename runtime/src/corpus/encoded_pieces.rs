//! A text, or a document of it, on its way from parts to tokens: cut into pieces, and some of these encoded
//! side by side.

use std::collections::VecDeque;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::text::{Document, Part, Reader};
use crate::tokenizer::{Cutter, Piece, Tokenizer};

/// Longest segment of a text without a place where the tokenizer may cut it, in bytes: it has to be encoded at once.
pub const LONGEST_UNCUT: usize = 16 << 20;

/// Most pieces that are encoded side by side, and most bytes of them.
const SIDE_BY_SIDE: usize = 16;
const SIDE_BY_SIDE_BYTES: usize = 2 << 20;

/// Bytes that surely hold a token, but for odd texts; and the least that are read before a segment without cuts is encoded.
const BYTES_PER_TOKEN: u64 = 32;
const LEAST_PREFIX: u64 = 1 << 17;

/// What is read: a text, or a drawn document.
pub(super) enum Parts {
    Text(Box<Reader>),
    Document(Box<Document>),
    Nothing,
}

impl Parts {
    fn next(&mut self) -> Result<Option<Part>> {
        match self {
            Self::Text(reader) => reader.next_part(),
            Self::Document(document) => document.next_part(),
            Self::Nothing => Ok(None),
        }
    }
}

/// A piece and its tokens.
pub(super) struct Encoded {
    pub tokens: Arc<[u32]>,
    pub raw: String,
    /// Bytes before it.
    pub at: u64,
    /// Nothing comes behind it.
    pub last: bool,
}

/// The encoded pieces of a text or of a document, in order.
pub(super) struct EncodedPieces {
    parts: Parts,
    cutter: Cutter,
    /// A piece was encoded already.
    begun: bool,
    /// There are no more parts.
    ended: bool,
    /// Its last piece holds all tokens that were wanted; what is behind it was not read.
    enough: bool,
    ready: VecDeque<Encoded>,
    side_by_side: usize,
    /// Bytes that were read.
    read: u64,
    /// Where documents start among them, if that is kept.
    starts: Option<Vec<u64>>,
}

impl EncodedPieces {
    /// Those of `parts`.
    pub fn new(parts: Parts, tokenizer: &Tokenizer) -> Self {
        let cutter = Cutter::new(tokenizer, 0);
        let (begun, ended, enough) = (false, false, false);
        let ready = VecDeque::new();
        Self { parts, cutter, begun, ended, enough, ready, side_by_side: 1, read: 0, starts: None }
    }

    /// From now on keeps where documents start.
    pub fn keep_starts(&mut self) {
        self.starts.get_or_insert_default();
    }

    /// Where documents start in what was read, in bytes, if that was kept.
    pub fn starts(&self) -> &[u64] {
        self.starts.as_deref().unwrap_or_default()
    }

    /// One piece with these tokens, which are those of a whole document.
    pub fn of_document(tokens: Arc<[u32]>, tokenizer: &Tokenizer) -> Self {
        let mut pieces = Self::new(Parts::Nothing, tokenizer);
        pieces.ready.push_back(Encoded { tokens, raw: String::new(), at: 0, last: true });
        pieces
    }

    /// The reader of the text, if it is the text that is read.
    pub fn reader(&mut self) -> Option<&mut Reader> {
        match &mut self.parts {
            Parts::Text(reader) => Some(reader),
            Parts::Document(_) | Parts::Nothing => None,
        }
    }

    /// The next part of what is read, which is passed over.
    pub fn skip_part(&mut self) -> Result<Option<Part>> {
        self.parts.next()
    }

    /// Goes on in a part that was passed over, `at` bytes from the beginning: what is left of the part is encoded as a piece
    /// behind others.
    pub fn go_on_at(&mut self, tokenizer: &Tokenizer, at: u64, left: &str, starts_document: bool) {
        self.cutter = Cutter::new(tokenizer, at);
        self.begun = true;
        self.cutter.push(left, starts_document);
    }

    /// Makes `piece` the next one again.
    pub fn put_back(&mut self, piece: Encoded) {
        self.ready.push_front(piece);
    }

    /// The next piece. With `wanted`, no more tokens than that will be taken, and no more is read than they need.
    pub fn next(&mut self, tokenizer: &Tokenizer, wanted: Option<u64>) -> Result<Option<Encoded>> {
        if self.ready.is_empty() && !self.enough {
            self.encode_more(tokenizer, wanted)?;
        }
        match self.ready.pop_front() {
            None if self.enough => Err(Error::input("text", "more tokens were taken than were asked for")),
            next => Ok(next),
        }
    }

    fn encode_more(&mut self, tokenizer: &Tokenizer, wanted: Option<u64>) -> Result<()> {
        let (mut pieces, mut bytes, mut prefix) = (Vec::new(), 0, LEAST_PREFIX);
        while pieces.len() < self.side_by_side && bytes < SIDE_BY_SIDE_BYTES {
            let next = if self.ended { self.cutter.finish() } else { self.cutter.next() };
            if let Some(piece) = next {
                bytes += piece.raw.len();
                pieces.push(piece);
                continue;
            }
            if self.ended {
                break;
            }
            let waiting = self.cutter.waiting().len();
            if let Some(wanted) = wanted.filter(|_| pieces.is_empty()) {
                prefix = prefix.max(wanted.saturating_mul(BYTES_PER_TOKEN));
                if waiting as u64 > prefix {
                    if self.encode_prefix(tokenizer, prefix as usize, wanted)? {
                        return Ok(());
                    }
                    prefix = prefix.saturating_mul(2);
                }
            }
            if waiting > LONGEST_UNCUT {
                let reason = format!(
                    "{} MiB without a place where its tokenizer may cut it, a space between two words or, for some \
                     tokenizers, a document break; at most that much can be tokenized at once",
                    LONGEST_UNCUT >> 20
                );
                return Err(Error::input("text", reason));
            }
            match self.parts.next()? {
                Some(part) => {
                    if let Some(starts) = self.starts.as_mut().filter(|_| part.starts_document) {
                        starts.push(self.read);
                    }
                    self.read += part.text.len() as u64;
                    self.cutter.push(&part.text, part.starts_document);
                }
                None => self.ended = true,
            }
        }
        self.side_by_side = (2 * self.side_by_side).min(SIDE_BY_SIDE);
        let (place, last, nothing_left) =
            (self.place(), pieces.len().wrapping_sub(1), self.ended && self.cutter.waiting().is_empty());
        let encode = |(index, piece): (usize, Piece)| {
            let tokens = if index == 0 { place } else { Place::Behind }.encode(tokenizer, piece.text())?;
            let last = nothing_left && index == last;
            Ok(Encoded { tokens: tokens.into(), at: piece.at, raw: piece.raw, last })
        };
        let encoded: Vec<Encoded> = match pieces.len() {
            0 | 1 => pieces.into_iter().enumerate().map(encode).collect::<Result<_>>()?,
            _ => pieces.into_par_iter().enumerate().map(encode).collect::<Result<_>>()?,
        };
        self.begun |= !encoded.is_empty();
        self.ready.extend(encoded);
        Ok(())
    }

    /// Encodes the first bytes of a segment that cannot be cut. Its first tokens are those of the text where many more
    /// follow them; true if there are that many.
    fn encode_prefix(&mut self, tokenizer: &Tokenizer, bytes: usize, wanted: u64) -> Result<bool> {
        let waiting = self.cutter.waiting();
        let end = (0..=bytes).rev().find(|&end| waiting.is_char_boundary(end)).unwrap_or_default();
        let mut tokens = self.place().encode(tokenizer, &waiting[..end])?;
        self.enough = tokens.len() as u64 > wanted;
        if self.enough {
            tokens.truncate(wanted as usize);
            let (raw, at) = (waiting[..end].to_owned(), self.cutter.at());
            self.ready.push_back(Encoded { tokens: tokens.into(), raw, at, last: false });
        }
        Ok(self.enough)
    }

    /// Where the next piece stands.
    fn place(&self) -> Place {
        match (&self.parts, self.begun) {
            (_, true) => Place::Behind,
            (Parts::Text(_), false) => Place::Text,
            (Parts::Document(_) | Parts::Nothing, false) => Place::Document,
        }
    }
}

/// Where a piece stands, which decides how it is encoded.
#[derive(Clone, Copy)]
enum Place {
    /// At the start of the text.
    Text,
    /// At the start of a drawn document, behind other documents.
    Document,
    /// Behind another piece.
    Behind,
}

impl Place {
    fn encode(self, tokenizer: &Tokenizer, piece: &str) -> Result<Vec<u32>> {
        match self {
            Self::Text => tokenizer.encode(piece),
            Self::Document => tokenizer.encode_continuation(piece),
            Self::Behind => tokenizer.encode_next_piece(piece),
        }
    }
}
