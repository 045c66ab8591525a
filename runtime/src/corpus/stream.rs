//! The tokens of a text, one after the other, in memory that does not grow with it: the text, then, where that is asked
//! for, its documents drawn with replacement, without end. Every place can be marked and returned to.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::drawn::DrawnDocuments;
use super::encoded_pieces::{EncodedPieces, Parts};
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::text::{Part, Text, TextRead};
use crate::tokenizer::Tokenizer;

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
    drawn: Option<DrawnDocuments>,
    /// Of the text, or of the document that was drawn last.
    pieces: EncodedPieces,
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
        let drawn = repeat.map(DrawnDocuments::new);
        let reader = if drawn.is_some() { text.indexing_reader() } else { text.reader() };
        let pieces = EncodedPieces::new(Parts::Text(Box::new(reader)), &tokenizer);
        Self {
            text,
            tokenizer,
            wanted,
            drawn,
            pieces,
            piece: Arc::default(),
            mark: Mark { begun: 1, ..Mark::default() },
            hasher: Hasher::default(),
            fruitless: 0,
        }
    }

    /// From here on keeps where documents of the text start: eight bytes for each.
    pub fn keep_document_starts(&mut self) {
        self.pieces.keep_starts();
    }

    /// Where documents start in what was read of the text, in bytes, where that was kept; nothing once documents are drawn, which
    /// would count one twice.
    pub fn document_bytes(&self) -> &[u64] {
        self.pieces.starts()
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
            if mark.repeats_from.is_none() || self.drawn.is_none() {
                return Err(foreign());
            }
            while let Some(part) = self.pieces.skip_part()? {
                self.hash(&part.text);
            }
            self.mark.tokens = mark.repeats_from.unwrap_or_default();
            self.end_of_text()?;
            for _ in 2..mark.begun {
                self.draw()?;
            }
            let number = self.draw()?;
            self.mark.begun = mark.begun;
            self.pieces = drawn(&mut self.drawn)?.read(number, &self.tokenizer)?.0;
        } else if mark.repeats_from.is_some() {
            return Err(foreign());
        }
        let mut left = mark.bytes;
        while left > 0 {
            let Some(Part { text, starts_document }) = self.pieces.skip_part()? else {
                return Err(foreign());
            };
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
                let starts_document = starts_document && skipped == 0;
                self.pieces.go_on_at(&self.tokenizer, mark.bytes, behind, starts_document);
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
    /// A text that cannot be read or tokenized; a segment of more than [`LONGEST_UNCUT`](super::LONGEST_UNCUT) bytes that
    /// cannot be cut; where documents are drawn, a text without one.
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
            if let Some(piece) = self.pieces.next(&self.tokenizer, wanted)? {
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
                if self.drawn.is_none() {
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
            self.pieces = drawn(&mut self.drawn)?.open(number, &self.tokenizer)?;
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
        if let Some(reader) = self.pieces.reader() {
            drawn(&mut self.drawn)?.set(self.text.documents(reader)?);
        }
        Ok(())
    }

    /// The number of the next document.
    fn draw(&mut self) -> Result<u64> {
        drawn(&mut self.drawn)?.draw()
    }
}

fn drawn(documents: &mut Option<DrawnDocuments>) -> Result<&mut DrawnDocuments> {
    documents.as_mut().ok_or_else(|| Error::input("text", "its documents are not drawn"))
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
    fn a_segment_without_a_place_to_cut_meets_a_limit() {
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
