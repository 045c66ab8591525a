//! Texts of any length: read in constant memory, put down every few minutes, taken up again bit for bit.
//!
//! A [`TokenStream`] gives tokens and a mark behind each chunk, a [`Tally`] keeps sums, a [`Workspace`] holds both on disk
//! with the session. Chunks have one size and snapshots lie between them, so that a run that was killed and resumed adds
//! the same numbers in the same order as one that was not.

pub(crate) mod result;
mod shard;
mod state;
mod stream;
mod tally;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use result::{LongResult, LongRunResult};
pub use shard::Shard;
pub use state::{Identity, Workspace};
pub use stream::{Chunk, Feed};
pub use tally::{MemorySample, Tally};

pub use lm_infinite_runtime::corpus::Mark;
use lm_infinite_runtime::corpus::TokenStream;
use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::session::Session;
use lm_infinite_runtime::text::Text;
use lm_infinite_runtime::tokenizer::Tokenizer;

use crate::error::{Error, Result};

/// Tokens to a chunk.
const CHUNK: u64 = 2048;

/// What to run.
pub struct LongRun {
    /// The model.
    pub decoder: Arc<Decoder>,
    /// Its tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// The text; where more tokens are wanted than it has, its documents are drawn.
    pub text: Text,
    /// What makes this run this run.
    pub identity: Identity,
    /// Time between two snapshots.
    pub snapshot_every: Duration,
}

impl LongRun {
    /// Runs every policy over the text, in `folder`, from where an unfinished run stopped if `resume`. `progress` is told
    /// which policy reads, and how many tokens it has read. What lets a run go on stays in the folder until
    /// [`Workspace::finish`]. Returns that workspace and one tally per policy; `None` where `stop`, which is asked between
    /// two chunks, said so: then everything that was read is saved in `folder`.
    ///
    /// # Errors
    /// As [`Workspace::load`], [`TokenStream::skip_to`], [`TokenStream::take`], [`Session::new`] and [`Session::score`].
    pub fn run(
        &self,
        folder: &Path,
        resume: bool,
        progress: &dyn Fn(usize, u64),
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<(Workspace, Vec<Tally>)>> {
        let end = self.identity.shard.part(self.identity.tokens).end;
        let workspace = Workspace::new(folder, self.identity.clone())?;
        let mut state = if resume { Some(workspace.load()?) } else { None };
        let mut done = state.as_ref().map_or(Vec::new(), |state| state.done.clone());
        if let Some(before) = done.last() {
            // That of a policy that is under way is looked at where it goes on.
            let mut stream = self.stream();
            stream.skip_to(&before.mark)?;
        }
        if state.is_none() {
            workspace.save(&done, None)?;
        }
        for (index, policy) in self.identity.policies.iter().enumerate().skip(done.len()) {
            let resumed = match state.take() {
                Some(state) => workspace.resumed(state, self.decoder.clone(), policy.clone())?,
                None => None,
            };
            let (mut tally, mut session) = match resumed {
                Some(resumed) => resumed,
                None => self.begin(policy)?,
            };
            progress(index, tally.position);
            let mut saved = Instant::now();
            for chunk in self.feed(&tally)? {
                let (tokens, mark) = chunk?;
                let start = Instant::now();
                let losses = session.score(&tokens, None)?.nll;
                let seconds = start.elapsed().as_secs_f64();
                tally.add(tokens.len() as u64, &losses, mark, seconds, session.kv_cache_bytes() as u64);
                progress(index, tally.position);
                let stopped = stop();
                if (stopped || saved.elapsed() >= self.snapshot_every) && tally.position < end {
                    workspace.save(&done, Some((&tally, &mut session)))?;
                    saved = Instant::now();
                    if stopped {
                        return Ok(None);
                    }
                }
            }
            tally.look_at_memory(session.kv_cache_bytes() as u64);
            if done.first().is_some_and(|first: &Tally| first.mark != tally.mark) {
                return Err(Error::input("text", "it has changed from one policy to the next"));
            }
            done.push(tally);
            workspace.save(&done, None)?;
        }
        Ok(Some((workspace, done)))
    }

    /// A session that is ready for the first token of the shard's halo.
    fn begin(&self, policy: &AttentionPolicy) -> Result<(Tally, Session)> {
        let Identity { tokens, bucket, shard, .. } = self.identity;
        let begin = shard.begin(tokens, self.decoder.config().layers, policy)?;
        let mut session = Session::new(self.decoder.clone(), policy.clone())?;
        let mut tally = Tally::new(tokens, bucket);
        (tally.shard, tally.from) = (shard.index, shard.part(tokens).start);
        if begin > 0 {
            let mut stream = self.stream();
            session.feed(&stream.take(usize::try_from(policy.start).unwrap_or(usize::MAX))?, None)?;
            stream.pass(begin - policy.start)?;
            session.skip_to(begin)?;
            (tally.begin, tally.position, tally.mark) = (begin, begin, stream.mark());
        }
        Ok((tally, session))
    }

    fn stream(&self) -> TokenStream<Arc<Tokenizer>> {
        let Identity { tokens, shard, seed, .. } = self.identity;
        TokenStream::new(self.text.clone(), self.tokenizer.clone(), Some(shard.part(tokens).end), Some(seed))
    }

    /// The chunks that `tally` has not seen.
    fn feed(&self, tally: &Tally) -> Result<Feed> {
        let mut stream = self.stream();
        if tally.position > 0 {
            stream.skip_to(&tally.mark)?;
        }
        let (from, end) = (tally.position, self.identity.shard.part(self.identity.tokens).end);
        let starts = (from..end).step_by(CHUNK as usize);
        Feed::new(stream, starts.map(move |start| (end - start).min(CHUNK) as usize))
    }
}
