//! The tokens of a text, one after the other, in memory that does not grow with it: the text, then, where that is asked
//! for, its documents drawn with replacement, without end. Every place can be marked and returned to.

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use rand_chacha::rand_core::RngCore;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::random::{self, Purpose, Stream};
use crate::text::{Document, Documents, Part, Reader, Text, TextRead};
use crate::tokenizer::{Cutter, Piece, Tokenizer};

/// Tokens of drawn documents that are kept, so that one that is drawn again is not tokenized again: 256 MB.
const KEPT_TOKENS: usize = 64 << 20;

/// Longest document that is kept, in bytes.
const KEPT_DOCUMENT: u64 = 1 << 20;

/// Longest segment of a text without a place where the tokenizer may cut it, in bytes: it has to be encoded at once.
pub const LONGEST_UNCUT: usize = 16 << 20;

/// Most pieces that are encoded side by side, and most bytes of them.
const SIDE_BY_SIDE: usize = 16;
const SIDE_BY_SIDE_BYTES: usize = 2 << 20;

/// Bytes that surely hold a token, but for odd texts; and the least that are read before a segment without cuts is encoded.
const BYTES_PER_TOKEN: u64 = 32;
const LEAST_PREFIX: u64 = 1 << 17;

/// A place in a [`TokenStream`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mark {
    /// What was begun: the text itself, and each document drawn.
    pub begun: u64,
    /// Bytes of the last of these before the piece that is being read.
    pub bytes: u64,
    /// Tokens taken from that piece.
    pub offset: u64,
    /// Tokens taken in all.
    pub tokens: u64,
    /// Tokens of the text itself, where it was read to its end and documents are drawn: from this position on it repeats.
    pub repeats_from: Option<u64>,
    /// What was read of the text.
    pub text: TextRead,
}

/// Tokens of a text.
pub struct TokenStream<T> {
    text: Text,
    tokenizer: T,
    /// Tokens that will be taken in all, if that is known.
    wanted: Option<u64>,
    /// Where documents are drawn behind the end of the text.
    random: Option<Stream>,
    documents: Option<Documents>,
    kept: HashMap<u64, Arc<[u32]>>,
    kept_tokens: usize,
    pass: Pass,
    /// The tokens that are being taken.
    piece: Arc<[u32]>,
    mark: Mark,
    hasher: Hasher,
    /// Documents drawn since the last token.
    fruitless: u64,
}

impl<T: Deref<Target = Tokenizer>> TokenStream<T> {
    /// At the beginning of `text`. With `wanted`, no more tokens than that will be taken, and no more of the text is read
    /// than they need. With `repeat`, its documents are drawn behind its end, by this seed.
    pub fn new(text: Text, tokenizer: T, wanted: Option<u64>, repeat: Option<u64>) -> Self {
        let random = repeat.map(|seed| random::stream(Purpose::Documents, seed, &[]));
        let reader = if random.is_some() { text.indexing_reader() } else { text.reader() };
        let pass = Pass::new(Parts::Text(Box::new(reader)), &tokenizer);
        Self {
            text,
            tokenizer,
            wanted,
            random,
            documents: None,
            kept: HashMap::new(),
            kept_tokens: 0,
            pass,
            piece: Arc::default(),
            mark: Mark { begun: 1, ..Mark::default() },
            hasher: Hasher::default(),
            fruitless: 0,
        }
    }

    /// Where the next token will come from.
    pub fn mark(&self) -> Mark {
        let mut mark = self.mark.clone();
        mark.text.sha256 = self.hasher.clone().finish();
        mark
    }

    /// Goes on at `mark`, which an equal stream gave. The text before it is read, but not tokenized.
    ///
    /// # Errors
    /// A stream that is not at its beginning; a mark of another stream; a text that has changed.
    pub fn skip_to(&mut self, mark: &Mark) -> Result<()> {
        let foreign =
            || Error::input("text", "it is not the text that the run was begun with: it has changed");
        if self.mark.tokens > 0 || self.mark.begun > 1 || !self.piece.is_empty() {
            return Err(Error::input("text", "it has been read from already"));
        }
        if mark.begun > 1 {
            if mark.repeats_from.is_none() || self.random.is_none() {
                return Err(foreign());
            }
            while let Some(part) = self.pass.parts.next()? {
                self.hash(&part.text);
            }
            self.mark.tokens = mark.repeats_from.unwrap_or_default();
            self.end_of_text()?;
            for _ in 2..mark.begun {
                self.draw()?;
            }
            let number = self.draw()?;
            self.mark.begun = mark.begun;
            self.pass = self.document(number)?.0;
        } else if mark.repeats_from.is_some() {
            return Err(foreign());
        }
        let mut left = mark.bytes;
        while left > 0 {
            let Some(Part { text, starts_document }) = self.pass.parts.next()? else { return Err(foreign()) };
            let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(text.len());
            if !text.is_char_boundary(skipped) {
                return Err(foreign());
            }
            let (before, behind) = text.split_at(skipped);
            if mark.begun == 1 {
                self.hash(before);
            }
            left -= skipped as u64;
            if left == 0 {
                self.pass.cutter = Cutter::new(&self.tokenizer, mark.bytes);
                self.pass.begun = true;
                self.pass.cutter.push(behind, starts_document && skipped == 0);
            }
        }
        self.mark.tokens = mark.tokens.checked_sub(mark.offset).ok_or_else(foreign)?;
        if (mark.tokens > 0 || mark.begun > 1) && !self.next_piece()? {
            return Err(foreign());
        }
        if mark.offset > self.piece.len() as u64 {
            return Err(foreign());
        }
        (self.mark.offset, self.mark.tokens) = (mark.offset, mark.tokens);
        if self.mark() == *mark { Ok(()) } else { Err(foreign()) }
    }

    /// Passes over `count` tokens, or to the end. Every document on the way is tokenized, or was.
    ///
    /// # Errors
    /// As [`TokenStream::take`].
    pub fn pass(&mut self, count: u64) -> Result<()> {
        self.advance(count, |_| ())
    }

    /// The next `count` tokens; fewer at the end of a text that does not repeat.
    ///
    /// # Errors
    /// A text that cannot be read or tokenized; a segment of more than [`LONGEST_UNCUT`] bytes that cannot be cut; where
    /// documents are drawn, a text without one.
    pub fn take(&mut self, count: usize) -> Result<Vec<u32>> {
        let mut tokens = Vec::with_capacity(count.min(1 << 16));
        self.advance(count as u64, |more| tokens.extend_from_slice(more))?;
        Ok(tokens)
    }

    fn advance(&mut self, mut count: u64, mut taken: impl FnMut(&[u32])) -> Result<()> {
        while count > 0 {
            let left = self.piece.get(self.mark.offset as usize..).unwrap_or_default();
            if left.is_empty() {
                if !self.next_piece()? {
                    break;
                }
                continue;
            }
            let step = (left.len() as u64).min(count);
            taken(&left[..step as usize]);
            self.mark.offset += step;
            self.mark.tokens += step;
            count -= step;
        }
        Ok(())
    }

    /// Begins the next piece; false at the end. At [`Mark::tokens`], the first token of the piece stands.
    fn next_piece(&mut self) -> Result<bool> {
        loop {
            let wanted = self.wanted.map(|wanted| wanted.saturating_sub(self.mark.tokens));
            if let Some(piece) = self.pass.next(&self.tokenizer, wanted)? {
                if self.mark.begun == 1 {
                    self.hash(&piece.raw);
                    self.mark.text.whole = piece.last;
                }
                self.fruitless *= u64::from(piece.tokens.is_empty());
                (self.piece, self.mark.bytes, self.mark.offset) = (piece.tokens, piece.at, 0);
                return Ok(true);
            }
            if self.mark.begun == 1 {
                self.mark.text.whole = true;
                if self.random.is_none() {
                    return Ok(false);
                }
                self.end_of_text()?;
            }
            self.fruitless += 1;
            if self.fruitless > 1000 {
                return Err(Error::input("text", "its documents give no tokens"));
            }
            let number = self.draw()?;
            self.mark.begun += 1;
            (self.mark.bytes, self.mark.offset, self.piece) = (0, 0, Arc::default());
            self.open(number)?;
        }
    }

    fn hash(&mut self, text: &str) {
        self.hasher.update(text.as_bytes());
        self.mark.text.bytes += text.len() as u64;
    }

    /// The text was read to its end; from here on documents are drawn.
    fn end_of_text(&mut self) -> Result<()> {
        self.mark.repeats_from = Some(self.mark.tokens);
        self.mark.text.whole = true;
        if let Parts::Text(reader) = &mut self.pass.parts {
            self.documents = Some(self.text.documents(reader)?);
        }
        Ok(())
    }

    /// The number of a document: the upper half of a random number times how many there are.
    fn draw(&mut self) -> Result<u64> {
        match (&mut self.random, &self.documents) {
            (Some(random), Some(documents)) => {
                let scaled = u128::from(random.next_u64()) * u128::from(documents.count());
                Ok((scaled >> 64) as u64)
            }
            _ => Err(Error::input("text", "its documents are not drawn")),
        }
    }

    /// Begins to read the document of this number.
    fn open(&mut self, number: u64) -> Result<()> {
        if let Some(tokens) = self.kept.get(&number) {
            self.pass = Pass::kept(tokens.clone(), &self.tokenizer);
            return Ok(());
        }
        let (pass, short) = self.document(number)?;
        self.pass = pass;
        if short && let Some(piece) = self.pass.next(&self.tokenizer, None)? {
            if piece.last && self.kept_tokens + piece.tokens.len() <= KEPT_TOKENS {
                self.kept_tokens += piece.tokens.len();
                self.kept.insert(number, piece.tokens.clone());
            }
            self.pass.ready.push_front(piece);
        }
        Ok(())
    }

    /// The document of this number from its beginning, and whether its tokens may be kept.
    fn document(&mut self, number: u64) -> Result<(Pass, bool)> {
        let documents =
            self.documents.as_mut().ok_or_else(|| Error::input("text", "it has not been read"))?;
        let document = documents.open(number)?;
        let short = document.length() <= KEPT_DOCUMENT;
        Ok((Pass::new(Parts::Document(Box::new(document)), &self.tokenizer), short))
    }
}

/// What is read: a text, or a drawn document.
enum Parts {
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
struct Encoded {
    tokens: Arc<[u32]>,
    raw: String,
    at: u64,
    /// Nothing comes behind it.
    last: bool,
}

/// A text or a document on its way from parts to tokens.
struct Pass {
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
}

impl Pass {
    fn new(parts: Parts, tokenizer: &Tokenizer) -> Self {
        let cutter = Cutter::new(tokenizer, 0);
        let (begun, ended, enough) = (false, false, false);
        Self { parts, cutter, begun, ended, enough, ready: VecDeque::new(), side_by_side: 1 }
    }

    fn kept(tokens: Arc<[u32]>, tokenizer: &Tokenizer) -> Self {
        let mut pass = Self::new(Parts::Nothing, tokenizer);
        pass.ready.push_back(Encoded { tokens, raw: String::new(), at: 0, last: true });
        pass
    }

    fn next(&mut self, tokenizer: &Tokenizer, wanted: Option<u64>) -> Result<Option<Encoded>> {
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
                Some(part) => self.cutter.push(&part.text, part.starts_document),
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "one fish\n\n\ntwo fish, red fish\n\n\n\nblue fish";

    fn tokenizer() -> Arc<Tokenizer> {
        let loaded =
            crate::checkpoint::load("tiny-rope", &crate::hub::Cache::open().expect("a folder")).expect("it");
        Arc::new(loaded.tokenizer)
    }

    fn stream(text: &str, seed: u64) -> TokenStream<Arc<Tokenizer>> {
        TokenStream::new(Text::from_memory("text", text), tokenizer(), None, Some(seed))
    }

    /// Words without end, and documents now and then; some longer than a piece.
    fn long_text() -> String {
        let sentence = |at: usize| format!("The {at}th of them was {} and, at last, {}. ", at * at, at % 7);
        let breaks = |at: usize| if at % 3000 == 2999 { "\n\n\n" } else { "" };
        (0..12_000).map(|at| sentence(at) + breaks(at)).collect()
    }

    #[test]
    fn it_is_the_text_and_then_its_documents_by_the_seed() {
        let tokenizer = tokenizer();
        let whole = stream(TEXT, 3).take(500).expect("tokens");
        let text = tokenizer.encode(TEXT).expect("tokens");
        assert_eq!(whole[..text.len()], text);
        let mut documents = ["one fish", "two fish, red fish", "blue fish"]
            .map(|document| tokenizer.encode_continuation(&format!("\n\n\n{document}")).expect("tokens"));
        documents.sort_by_key(|document| std::cmp::Reverse(document.len()));
        let (mut rest, mut drawn) = (&whole[text.len()..], [0; 3]);
        while rest.len() > 40 {
            let at = documents.iter().position(|document| rest.starts_with(document)).expect("a document");
            drawn[at] += 1;
            rest = &rest[documents[at].len()..];
        }
        assert!(drawn.iter().all(|&times| times > 5), "{drawn:?}");
        let mut cut = stream(TEXT, 3);
        let mut taken = Vec::new();
        for size in [1, 0, 7, 100, 13, 300, 79] {
            taken.extend(cut.take(size).expect("tokens"));
        }
        assert_eq!(taken, whole);
        assert_eq!(cut.mark().repeats_from, Some(text.len() as u64));
        assert_ne!(stream(TEXT, 4).take(500).expect("tokens"), whole);
        let mut once = TokenStream::new(Text::from_memory("text", TEXT), tokenizer, None, None);
        assert_eq!(once.take(500).expect("tokens"), text, "without repeating it ends");
        assert!(once.mark().text.whole && once.mark().repeats_from.is_none());
    }

    #[test]
    fn the_tokens_of_pieces_are_those_of_the_text() {
        let (text, tokenizer) = (long_text(), tokenizer());
        let whole = tokenizer.encode(&text).expect("tokens");
        let mut stream = TokenStream::new(Text::from_memory("text", text.clone()), tokenizer, None, None);
        let mut taken = Vec::new();
        for size in [1, 100_000, 7].into_iter().chain(std::iter::repeat_n(9999, 100)) {
            taken.extend(stream.take(size).expect("tokens"));
        }
        assert!(text.len() > 4 * (1 << 16) && taken == whole);
        let read = stream.mark().text;
        let sha256 = crate::digest::sha256(text.as_bytes());
        assert_eq!(read, TextRead { bytes: text.len() as u64, sha256, whole: true });
    }

    #[test]
    fn a_mark_is_returned_to_anywhere() {
        let text = long_text();
        let count = tokenizer().encode(&text).expect("tokens").len();
        // At the beginning, in the first piece, at later ones, at the end, in drawn documents.
        for before in [1, 123, 30_000, count / 2, count - 1, count, count + 1, count + 20_000, 3 * count] {
            let mut first = stream(&text, 5);
            first.pass(before as u64).expect("tokens");
            let (mark, rest) = (first.mark(), first.take(60_000).expect("tokens"));
            assert_eq!(mark.tokens, before as u64);
            let mut second = stream(&text, 5);
            second.skip_to(&mark).expect("the same stream");
            assert_eq!(second.mark(), mark);
            assert!(second.take(60_000).expect("tokens") == rest, "behind {before}");
            assert_eq!(second.mark(), first.mark());
            assert!(second.skip_to(&mark).is_err(), "it is behind");
            let refused =
                stream(&text.replacen("9th", "8th", 1), 5).skip_to(&mark).expect_err("another text");
            assert!(refused.to_string().contains("changed"), "{refused}");
        }
        let nonsense = Mark { begun: 3, offset: 10_000, repeats_from: Some(1), ..Mark::default() };
        assert!(stream(&text, 5).skip_to(&nonsense).is_err());
        assert!(stream("short", 5).skip_to(&Mark { begun: 1, bytes: 999, ..Mark::default() }).is_err());
    }

    #[test]
    fn no_more_is_read_than_is_wanted() {
        struct Endless(u64);
        impl std::io::Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0 += buffer.len() as u64;
                assert!(self.0 < 1 << 20, "more than is needed was read");
                buffer.iter_mut().zip(b"many words ".iter().cycle()).for_each(|(to, from)| *to = *from);
                Ok(buffer.len())
            }
        }
        for (seed, tokenizer) in [(None, tokenizer()), (Some(1), tokenizer())] {
            let text = Text::from_reader("endless", Endless(0));
            let mut stream = TokenStream::new(text, tokenizer, Some(256), seed);
            assert_eq!(stream.take(256).expect("tokens").len(), 256);
            assert!(!stream.mark().text.whole && stream.mark().text.bytes < 1 << 17);
        }
    }

    #[test]
    fn a_stretch_without_a_place_to_cut_meets_a_limit() {
        let endless = || Text::from_reader("endless", std::io::repeat(b'a'));
        let refused = TokenStream::new(endless(), tokenizer(), None, None).take(10).expect_err("no cut");
        assert!(refused.to_string().contains("16 MiB"), "{refused}");
        // The first tokens of it are known all the same.
        let tokens = TokenStream::new(endless(), tokenizer(), Some(100), None).take(100).expect("tokens");
        assert_eq!(tokens, tokenizer().encode(&"a".repeat(5000)).expect("tokens")[..100]);
    }

    #[test]
    fn empty_lines_are_no_document() {
        let refused = stream("\n\n\n\n", 0).take(100).expect_err("no document").to_string();
        assert!(refused.contains("nothing but empty lines"), "{refused}");
    }
}
