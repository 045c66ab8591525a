//! A text that goes through a model layer by layer, so that runs that differ only from some layer on, or only behind some
//! token, share what is the same.
//!
//! Hidden states of the text are held before one layer: 4 · hidden bytes for every token. A run that changes layer l of L then
//! costs L − l layers instead of L. Tokens at the begin that all runs read in the same way are read once: their keys and
//! values are held, 8 · kv_heads · head_dim · layers bytes for each.

use std::sync::Arc;

use super::decoder::{Buffers, Decoder};
use super::reading::{CHUNK, Reading};
use crate::cache::KvCache;
use crate::error::Result;
use crate::offload::Storage;
use crate::policy::{AttentionPolicy, PolicyMap};
use crate::probe::ProbePlan;

/// The hidden states of a text before one layer.
#[derive(Clone, Debug)]
pub struct LayerStates {
    decoder: Arc<Decoder>,
    tokens: Arc<[u32]>,
    begin: Arc<Begin>,
    layer: usize,
    /// Of the tokens behind the begin. [tokens, hidden]
    states: Vec<f32>,
}

/// The tokens that all runs read in the same way.
#[derive(Debug)]
struct Begin {
    tokens: usize,
    /// What every layer holds of them.
    caches: Vec<KvCache>,
    /// After the final norm, of the last of them; empty without tokens. `[hidden]`
    last_hidden: Vec<f32>,
    losses: Vec<f32>,
}

impl LayerStates {
    /// Those before the first layer: the embedding of `tokens`. The first `same` of them, rounded down to whole passes of a
    /// session, are read as the model is, and it is taken for granted that every policy that is asked for later does so there,
    /// as those do whose windows and ceilings are not below `same`.
    ///
    /// # Errors
    /// A token that is not in the vocabulary.
    pub fn new(decoder: Arc<Decoder>, tokens: Arc<[u32]>, same: u64) -> Result<Self> {
        // A layer with a window of its own drops keys that other policies keep.
        let same = if decoder.config().sliding_windows.is_empty() { same } else { 0 };
        let same = usize::try_from(same).unwrap_or(usize::MAX).min(tokens.len()) / CHUNK * CHUNK;
        let mut begin =
            Begin { tokens: same, caches: Vec::new(), last_hidden: Vec::new(), losses: Vec::new() };
        if same > 0 {
            let mut session = super::Session::new(decoder.clone(), AttentionPolicy::default())?;
            begin.losses = session.score(&tokens[..same], None)?.nll;
            begin.caches = session.caches;
            begin.last_hidden = session.last_hidden.unwrap_or_default();
        }
        let states = decoder.embed(&tokens[same..], same as u64)?;
        Ok(Self { decoder, tokens, begin: Arc::new(begin), layer: 0, states })
    }

    /// The layer that comes next, from 0; the number of layers behind the last.
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// Passes the next layer under `policies`; nothing behind the last one.
    ///
    /// # Errors
    /// As [`Session::new`](super::Session::new), and old keys that cannot be written to their file; then the states must not be
    /// used any more.
    pub fn advance(&mut self, policies: &PolicyMap) -> Result<()> {
        if self.layer == self.decoder.config().layers {
            return Ok(());
        }
        let mut reading = Reading::new(&self.decoder, policies)?;
        self.pass(&mut reading)
    }

    /// Losses of tokens 1..n, in nats, where all layers from the next one on follow `policies`: what
    /// [`Session::score`](super::Session::score) gives if the layers before did, bit for bit where no begin is shared, and up to
    /// the rounding of sums where one is.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn losses(&self, policies: &PolicyMap) -> Result<Vec<f32>> {
        let mut last = self.clone();
        let mut reading = Reading::new(&self.decoder, policies)?;
        while last.layer < self.decoder.config().layers {
            last.pass(&mut reading)?;
        }
        let hidden = self.decoder.config().hidden;
        let mut losses = self.begin.losses.clone();
        losses.reserve(last.states.len() / hidden);
        // Of the token before the chunk.
        let mut predicting = self.begin.last_hidden.clone();
        let behind = self.tokens[self.begin.tokens..].chunks(CHUNK);
        for (chunk, states) in behind.zip(last.states.chunks(CHUNK * hidden)) {
            let states = self.decoder.finish(states);
            let targets = if predicting.is_empty() { &chunk[1..] } else { chunk };
            predicting.extend_from_slice(&states[..states.len() - hidden]);
            losses.extend(self.decoder.nll(&predicting, targets));
            predicting = states[states.len() - hidden..].to_vec();
        }
        Ok(losses)
    }

    fn pass(&mut self, reading: &mut Reading) -> Result<()> {
        let config = self.decoder.config();
        let held = self.begin.caches.get(self.layer).cloned();
        let mut cache =
            held.unwrap_or_else(|| reading.cache(&self.decoder, self.layer, &Storage::default(), 0));
        let plan = ProbePlan::default();
        let mut rest = self.states.as_mut_slice();
        while !rest.is_empty() {
            let tokens =
                reading.pass_tokens(&self.decoder, cache.next_position(), rest.len() / config.hidden)?;
            let (states, more) = rest.split_at_mut(tokens * config.hidden);
            rest = more;
            let pass = reading.pass(cache.next_position() + tokens as u64);
            let mut buffers = Buffers::new(&self.decoder, tokens);
            self.decoder.block(self.layer, states, &mut cache, &pass, (&plan, &mut None), &mut buffers)?;
        }
        self.layer += 1;
        Ok(())
    }
}
