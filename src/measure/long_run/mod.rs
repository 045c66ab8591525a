//! Texts of any length: read in constant memory, put down every few minutes, taken up again bit for bit.
//!
//! A [`TokenStream`] gives tokens and a mark behind each chunk, a [`RunningTotals`] keeps sums, a [`Workspace`] holds both on disk
//! with the session. Chunks have one size and snapshots lie between them, so that a run that was killed and resumed adds
//! the same numbers in the same order as one that was not.

pub(crate) mod result;
mod running_totals;
mod shard;
mod state;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use result::{LongResult, LongRunResult};
pub use running_totals::{MemorySample, RunningTotals};
pub use shard::Shard;
pub use state::{Identity, Workspace};
pub use stream::{Chunk, Prefetch};

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
    /// [`Workspace::finish`]. Returns that workspace and the running totals of each policy; `None` where `stop`, which is asked between
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
    ) -> Result<Option<(Workspace, Vec<RunningTotals>)>> {
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
            let (mut totals, mut session) = match resumed {
                Some(resumed) => resumed,
                None => self.begin(policy)?,
            };
            progress(index, totals.position);
            let mut saved = Instant::now();
            for chunk in self.feed(&totals)? {
                let (tokens, mark) = chunk?;
                let start = Instant::now();
                let losses = session.score(&tokens, None)?.nll;
                let seconds = start.elapsed().as_secs_f64();
                totals.add(tokens.len() as u64, &losses, mark, seconds, session.kv_cache_bytes() as u64);
                progress(index, totals.position);
                let stopped = stop();
                if (stopped || saved.elapsed() >= self.snapshot_every) && totals.position < end {
                    workspace.save(&done, Some((&totals, &mut session)))?;
                    saved = Instant::now();
                    if stopped {
                        return Ok(None);
                    }
                }
            }
            totals.look_at_memory(session.kv_cache_bytes() as u64);
            if done.first().is_some_and(|first: &RunningTotals| first.mark != totals.mark) {
                return Err(Error::input("text", "it has changed from one policy to the next"));
            }
            done.push(totals);
            workspace.save(&done, None)?;
        }
        Ok(Some((workspace, done)))
    }

    /// A session that is ready for the first token of the shard's halo.
    fn begin(&self, policy: &AttentionPolicy) -> Result<(RunningTotals, Session)> {
        let Identity { tokens, bucket, shard, .. } = self.identity;
        let begin = shard.begin(tokens, self.decoder.config().layers, policy)?;
        let mut session = Session::new(self.decoder.clone(), policy.clone())?;
        let mut totals = RunningTotals::new(tokens, bucket);
        (totals.shard, totals.from) = (shard.index, shard.part(tokens).start);
        if begin > 0 {
            let mut stream = self.stream();
            session.feed(&stream.take(usize::try_from(policy.start).unwrap_or(usize::MAX))?, None)?;
            stream.pass(begin - policy.start)?;
            session.skip_to(begin)?;
            (totals.begin, totals.position, totals.mark) = (begin, begin, stream.mark());
        }
        Ok((totals, session))
    }

    fn stream(&self) -> TokenStream<Arc<Tokenizer>> {
        let Identity { tokens, shard, seed, .. } = self.identity;
        TokenStream::new(self.text.clone(), self.tokenizer.clone(), Some(shard.part(tokens).end), Some(seed))
    }

    /// The chunks that `totals` has not seen.
    fn feed(&self, totals: &RunningTotals) -> Result<Prefetch> {
        let mut stream = self.stream();
        if totals.position > 0 {
            stream.skip_to(&totals.mark)?;
        }
        let (from, end) = (totals.position, self.identity.shard.part(self.identity.tokens).end);
        let starts = (from..end).step_by(CHUNK as usize);
        Prefetch::new(stream, starts.map(move |start| (end - start).min(CHUNK) as usize))
    }
}
