//! Tokens without end: a text, then its documents drawn with replacement. Every place in it can be marked and returned to.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use lm_infinite_runtime::corpus::DOCUMENT_BREAK;
use lm_infinite_runtime::random::{self, Stream};
use lm_infinite_runtime::tokenizer::Tokenizer;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Chunks that wait for the model, so that it never waits for the tokenizer.
const WAITING: usize = 8;

/// Tokens of documents that are kept, so that one that is drawn again is not tokenized again: 256 MB.
const KEPT_TOKENS: usize = 64 << 20;

/// A place in a [`TokenStream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Pieces that were begun: the text itself, and each document drawn.
    pub pieces: u64,
    /// Tokens taken from the last of them.
    pub offset: u64,
}

/// The tokens that [`lm_infinite_runtime::corpus::tokens`] gives, one chunk after the other and for ever, in memory that does not grow
/// with how many were taken.
pub struct TokenStream {
    text: Arc<str>,
    tokenizer: Arc<Tokenizer>,
    /// Bytes of the text.
    documents: Vec<std::ops::Range<usize>>,
    /// Tokens of documents that were drawn before, up to [`KEPT_TOKENS`] in all.
    kept: Vec<Option<Arc<[u32]>>>,
    kept_tokens: usize,
    random: Stream,
    piece: Arc<[u32]>,
    mark: Mark,
}

impl TokenStream {
    /// At its beginning.
    ///
    /// # Errors
    /// A text that cannot be tokenized, or without a document to draw.
    pub fn new(text: Arc<str>, tokenizer: Arc<Tokenizer>, seed: u64) -> Result<Self> {
        let start = text.as_ptr() as usize;
        let range = |document: &str| {
            let begin = document.as_ptr() as usize - start;
            begin..begin + document.len()
        };
        let documents: Vec<_> = text
            .split(DOCUMENT_BREAK)
            .map(str::trim)
            .filter(|document| !document.is_empty())
            .map(range)
            .collect();
        if documents.is_empty() {
            return Err(Error::input("text", "it has nothing but empty lines"));
        }
        let piece = tokenizer.encode(&text)?.into();
        Ok(Self {
            kept: vec![None; documents.len()],
            kept_tokens: 0,
            documents,
            random: random::expanded(seed),
            piece,
            mark: Mark { pieces: 1, offset: 0 },
            text,
            tokenizer,
        })
    }

    /// Where the next token will come from.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Goes on at `mark`, which an equal stream gave. Draws as often as it did, and tokenizes one document.
    ///
    /// # Errors
    /// A mark before here, or of another stream.
    pub fn skip_to(&mut self, mark: Mark) -> Result<()> {
        let foreign = || Error::input("resumed run", "its place in the text is not in this text");
        if mark.pieces < self.mark.pieces {
            return Err(foreign());
        }
        let mut drawn = None;
        while self.mark.pieces < mark.pieces {
            drawn = Some(self.random.random_range(0..self.documents.len()));
            self.mark.pieces += 1;
        }
        if let Some(document) = drawn {
            self.piece = self.tokens_of(document)?;
        }
        if mark.offset > self.piece.len() as u64 {
            return Err(foreign());
        }
        self.mark.offset = mark.offset;
        Ok(())
    }

    /// Passes over `count` tokens. Every document on the way is tokenized, or was.
    ///
    /// # Errors
    /// As [`TokenStream::take`].
    pub fn pass(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let left = (self.piece.len() as u64).saturating_sub(self.mark.offset);
            if left == 0 {
                let document = self.random.random_range(0..self.documents.len());
                self.piece = self.tokens_of(document)?;
                self.mark = Mark { pieces: self.mark.pieces + 1, offset: 0 };
            } else {
                let passed = left.min(count);
                self.mark.offset += passed;
                count -= passed;
            }
        }
        Ok(())
    }

    /// The next `count` tokens.
    ///
    /// # Errors
    /// A document that cannot be tokenized.
    pub fn take(&mut self, count: usize) -> Result<Vec<u32>> {
        let mut tokens = Vec::with_capacity(count);
        while tokens.len() < count {
            let left = &self.piece[(self.mark.offset as usize).min(self.piece.len())..];
            if left.is_empty() {
                let document = self.random.random_range(0..self.documents.len());
                self.piece = self.tokens_of(document)?;
                self.mark = Mark { pieces: self.mark.pieces + 1, offset: 0 };
                continue;
            }
            let taken = left.len().min(count - tokens.len());
            tokens.extend_from_slice(&left[..taken]);
            self.mark.offset += taken as u64;
        }
        Ok(tokens)
    }

    fn tokens_of(&mut self, document: usize) -> Result<Arc<[u32]>> {
        if let Some(kept) = &self.kept[document] {
            return Ok(kept.clone());
        }
        let text = &self.text[self.documents[document].clone()];
        let tokens: Arc<[u32]> =
            self.tokenizer.encode_continuation(&format!("{DOCUMENT_BREAK}{text}"))?.into();
        if self.kept_tokens + tokens.len() <= KEPT_TOKENS {
            self.kept_tokens += tokens.len();
            self.kept[document] = Some(tokens.clone());
        }
        Ok(tokens)
    }

    /// Tokenizes on a thread of its own: chunks of `sizes`, each with the mark behind it.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn on_a_thread(mut self, sizes: impl Iterator<Item = usize> + Send + 'static) -> Result<Feed> {
        let (sender, receiver) = sync_channel(WAITING);
        let work = move || {
            for size in sizes {
                let chunk = self.take(size).map(|tokens| (tokens, self.mark));
                let failed = chunk.is_err();
                // Nobody waits any more, or nothing can come any more.
                if sender.send(chunk).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("tokenizer".into()).spawn(work);
        let thread = thread.map_err(|e| Error::input("tokenizer", e))?;
        Ok(Feed { receiver: Some(receiver), thread: Some(thread) })
    }
}

/// Tokens, and the mark behind them.
pub type Chunk = (Vec<u32>, Mark);

/// Chunks that another thread tokenizes; the first error ends them.
pub struct Feed {
    receiver: Option<Receiver<Result<Chunk>>>,
    thread: Option<JoinHandle<()>>,
}

impl Iterator for Feed {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.as_ref()?.recv().ok()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // Without a receiver the thread ends at its next chunk. It has nothing to say that was not sent.
        drop(self.receiver.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lm_infinite_runtime::corpus;

    const TEXT: &str = "one fish\n\n\ntwo fish, red fish\n\n\n\nblue fish";

    fn stream(seed: u64) -> TokenStream {
        let loaded = lm_infinite_runtime::checkpoint::load(
            "tiny-rope",
            &lm_infinite_runtime::hub::Cache::open().expect("a folder"),
        )
        .expect("it");
        TokenStream::new(TEXT.into(), Arc::new(loaded.tokenizer), seed).expect("documents")
    }

    #[test]
    fn it_is_the_text_and_then_the_draws_of_the_corpus() {
        let loaded = lm_infinite_runtime::checkpoint::load(
            "tiny-rope",
            &lm_infinite_runtime::hub::Cache::open().expect("a folder"),
        )
        .expect("it");
        let whole = corpus::tokens(TEXT, &loaded.tokenizer, Some(500), 3).expect("tokens");
        let mut stream = stream(3);
        let mut taken = Vec::new();
        for size in [1, 0, 7, 100, 13, 300, 79] {
            taken.extend(stream.take(size).expect("tokens"));
        }
        assert_eq!(taken, whole);
    }

    #[test]
    fn a_mark_is_returned_to() {
        let mut first = stream(5);
        first.take(123).expect("tokens");
        let (mark, rest) = (first.mark(), first.take(200).expect("tokens"));
        let mut passing = stream(5);
        passing.pass(123).expect("tokens");
        assert_eq!((passing.mark(), passing.take(200).expect("tokens")), (mark, rest.clone()));
        let mut second = stream(5);
        second.skip_to(mark).expect("the same stream");
        assert_eq!(second.take(200).expect("tokens"), rest);
        assert!(second.skip_to(mark).is_err(), "it is behind");
        assert!(stream(5).skip_to(Mark { pieces: 3, offset: 10_000 }).is_err());
    }

    #[test]
    fn a_thread_gives_the_same_chunks_and_stops_when_nobody_listens() {
        let mut plain = stream(1);
        let mut feed = stream(1).on_a_thread([3, 50, 4].into_iter()).expect("a thread");
        for size in [3, 50, 4] {
            let (tokens, mark) = feed.next().expect("a chunk").expect("tokens");
            assert_eq!((tokens, mark), (plain.take(size).expect("tokens"), plain.mark()));
        }
        assert!(feed.next().is_none());
        drop(stream(1).on_a_thread(std::iter::repeat(1000)).expect("a thread"));
    }

    #[test]
    fn empty_lines_are_no_text() {
        let loaded = lm_infinite_runtime::checkpoint::load(
            "tiny-rope",
            &lm_infinite_runtime::hub::Cache::open().expect("a folder"),
        )
        .expect("it");
        assert!(TokenStream::new("\n\n\n\n".into(), Arc::new(loaded.tokenizer), 0).is_err());
    }
}
