//! Tokens that another thread makes, so that the model never waits for the tokenizer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use lm_infinite_runtime::corpus::{Mark, TokenStream};
use lm_infinite_runtime::tokenizer::Tokenizer;

use crate::error::{Error, Result};

/// Chunks that wait for the model.
const WAITING: usize = 8;

/// Tokens, and the mark behind them.
pub type Chunk = (Vec<u32>, Mark);

/// Chunks that another thread tokenizes; the first error ends them.
pub struct Prefetch {
    receiver: Option<Receiver<Result<Chunk>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Chunks of `sizes` tokens from `stream`, each with the mark behind it.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(
        mut stream: TokenStream<Arc<Tokenizer>>,
        sizes: impl Iterator<Item = usize> + Send + 'static,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let work = move || {
            for size in sizes {
                let chunk = stream.take(size).map(|tokens| (tokens, stream.mark())).map_err(Error::from);
                let failed = chunk.is_err();
                // Nobody waits any more, or nothing can come any more.
                if sender.send(chunk).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("tokenizer".into()).spawn(work);
        let thread = thread.map_err(|e| Error::input("tokenizer", e))?;
        Ok(Self { receiver: Some(receiver), thread: Some(thread) })
    }
}

impl Iterator for Prefetch {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.as_ref()?.recv().ok()
    }
}

impl Drop for Prefetch {
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
    use lm_infinite_runtime::text::Text;

    fn stream() -> TokenStream<Arc<Tokenizer>> {
        let loaded = lm_infinite_runtime::checkpoint::load(
            "tiny-rope",
            &lm_infinite_runtime::hub::Cache::open().expect("a folder"),
        )
        .expect("it");
        let text = Text::from_memory("text", "one fish\n\n\ntwo fish, red fish\n\n\n\nblue fish");
        TokenStream::new(text, Arc::new(loaded.tokenizer), None, Some(1))
    }

    #[test]
    fn a_thread_gives_the_same_chunks_and_stops_when_nobody_listens() {
        let mut plain = stream();
        let mut feed = Prefetch::new(stream(), [3, 50, 4].into_iter()).expect("a thread");
        for size in [3, 50, 4] {
            let (tokens, mark) = feed.next().expect("a chunk").expect("tokens");
            assert_eq!((tokens, mark), (plain.take(size).expect("tokens"), plain.mark()));
        }
        assert!(feed.next().is_none());
        drop(Prefetch::new(stream(), std::iter::repeat(1000)).expect("a thread"));
    }
}
