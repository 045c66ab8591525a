//! A text being read: tokens go in, in chunks of any size; losses and logits come out. How the text was cut does not
//! matter (up to the rounding of sums).

mod check;
pub mod decoder;
mod feed_forward;
mod layers;
mod pages;
mod passage;
mod reading;
mod self_attention;
mod snapshot;

use std::sync::Arc;

pub use crate::kernels::precision::Precision;
pub use crate::offload::Storage;
pub use decoder::Decoder;
pub use layers::LayerStates;
pub use passage::Passage;
use reading::Reading;
pub use reading::check_policy;

use crate::cache::KvCache;
use crate::error::Result;
use crate::policy::PolicyMap;
use crate::probe::Probe;

/// Losses of consecutive tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// Position in the text of the token that `nll[0]` belongs to.
    pub first_position: u64,
    /// Negative log-likelihood of each token given all tokens before it, in nats.
    pub nll: Vec<f32>,
}

impl Losses {
    /// Each loss with the position of its token.
    pub fn by_position(&self) -> impl Iterator<Item = (u64, f32)> + '_ {
        (self.first_position..).zip(self.nll.iter().copied())
    }
}

/// The state of one sequence under one policy, or under several where heads differ.
#[derive(Clone, Debug)]
pub struct Session {
    decoder: Arc<Decoder>,
    policies: PolicyMap,
    reading: Reading,
    /// One per layer.
    caches: Vec<KvCache>,
    /// After the final norm, of the last token fed. `[hidden]`
    last_hidden: Option<Vec<f32>>,
    pages: PagesOf,
}

/// The file that a session's checkpoints share. A copy of the session, which may go on otherwise, has none.
#[derive(Debug, Default)]
struct PagesOf(Option<pages::PagesFile>);

impl Clone for PagesOf {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl Session {
    /// An empty sequence under one policy, or under a [`PolicyMap`] where layers or heads differ.
    ///
    /// # Errors
    /// A policy that makes no sense, or that the model's position encoding cannot follow; a layer or head that the model does
    /// not have.
    pub fn new(decoder: Arc<Decoder>, policies: impl Into<PolicyMap>) -> Result<Self> {
        Self::with_storage(decoder, policies, &Storage::default())
    }

    /// The same, of which every layer holds the last `tokens` tokens at least, also where it attends to fewer: what
    /// [`Session::passage`] can take. It reads as any other; a snapshot of it cannot be restored, since no cache of its policies
    /// has its layout.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn holding(decoder: Arc<Decoder>, policies: impl Into<PolicyMap>, tokens: u64) -> Result<Self> {
        Self::of_caches(decoder, policies.into(), &Storage::default(), tokens)
    }

    /// As [`Session::new`], with the keys that retrieved keys are chosen from in `storage`.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_storage(
        decoder: Arc<Decoder>,
        policies: impl Into<PolicyMap>,
        storage: &Storage,
    ) -> Result<Self> {
        Self::of_caches(decoder, policies.into(), storage, 0)
    }

    fn of_caches(decoder: Arc<Decoder>, policies: PolicyMap, storage: &Storage, held: u64) -> Result<Self> {
        let reading = Reading::new(&decoder, &policies)?;
        let caches =
            (0..reading.layers.len()).map(|layer| reading.cache(&decoder, layer, storage, held)).collect();
        Ok(Self { decoder, policies, reading, caches, last_hidden: None, pages: PagesOf::default() })
    }

    /// Feeds `tokens` without computing any logits.
    ///
    /// # Errors
    /// A token outside the vocabulary; tokens before it may have been fed. Old keys that cannot be written to their file;
    /// then the session must not be used any more.
    pub fn feed(&mut self, tokens: &[u32], mut probe: Option<&mut dyn Probe>) -> Result<()> {
        let mut rest = tokens;
        while !rest.is_empty() {
            let (chunk, more) = self.next_pass(rest)?;
            self.forward(chunk, reborrow(&mut probe))?;
            rest = more;
        }
        Ok(())
    }

    /// Feeds `tokens` and returns the loss of each, given all tokens before it. The first token of a text has none.
    ///
    /// # Errors
    /// As [`Session::feed`].
    pub fn score(&mut self, tokens: &[u32], mut probe: Option<&mut dyn Probe>) -> Result<Losses> {
        let hidden = self.decoder.config().hidden;
        let first_position = self.position() + u64::from(self.last_hidden.is_none());
        let mut losses = Vec::with_capacity(tokens.len());
        let mut rest = tokens;
        while !rest.is_empty() {
            let (chunk, more) = self.next_pass(rest)?;
            rest = more;
            let mut predicting = self.last_hidden.clone().unwrap_or_default();
            let targets = if predicting.is_empty() { &chunk[1..] } else { chunk };
            let states = self.forward(chunk, reborrow(&mut probe))?;
            predicting.extend_from_slice(&states[..states.len() - hidden]);
            losses.extend(self.decoder.nll(&predicting, targets));
        }
        Ok(Losses { first_position, nll: losses })
    }

    /// Logits of the token after the last one fed, `[vocabulary]`; `None` before the first.
    pub fn logits(&self) -> Option<Vec<f32>> {
        self.last_hidden.as_ref().map(|hidden| self.decoder.logits(hidden))
    }

    /// Position of the next token.
    pub fn position(&self) -> u64 {
        self.caches.first().map_or(0, KvCache::next_position)
    }

    /// Keys held per layer, at most.
    pub fn kv_cache_entries(&self) -> u64 {
        self.caches.iter().map(KvCache::entries).max().unwrap_or(0)
    }

    /// Bytes of all keys and values held.
    pub fn kv_cache_bytes(&self) -> usize {
        self.caches.iter().map(KvCache::bytes).sum()
    }

    /// The model.
    pub fn decoder(&self) -> &Arc<Decoder> {
        &self.decoder
    }

    /// Leaves a gap after the start tokens: the next token gets `position` (what a shard of a long text does).
    ///
    /// # Errors
    /// Without a window, backwards, or before all start tokens are held.
    pub fn skip_to(&mut self, position: u64) -> Result<()> {
        self.caches.iter_mut().try_for_each(|cache| cache.skip_to(position))?;
        self.last_hidden = None;
        Ok(())
    }

    /// The tokens of the next pass, and those behind them.
    fn next_pass<'a>(&mut self, tokens: &'a [u32]) -> Result<(&'a [u32], &'a [u32])> {
        let position = self.position();
        Ok(tokens.split_at(self.reading.pass_tokens(&self.decoder, position, tokens.len())?))
    }

    /// One pass, of tokens that [`Self::next_pass`] gave.
    fn forward(&mut self, chunk: &[u32], probe: Option<&mut dyn Probe>) -> Result<Vec<f32>> {
        let end = self.position() + chunk.len() as u64;
        let states = self.decoder.forward(chunk, &mut self.caches, &self.reading.pass(end), probe)?;
        let hidden = self.decoder.config().hidden;
        self.last_hidden = Some(states[states.len() - hidden..].to_vec());
        Ok(states)
    }
}

/// Lends a probe to one of several calls.
fn reborrow<'a>(probe: &'a mut Option<&mut dyn Probe>) -> Option<&'a mut dyn Probe> {
    match probe {
        Some(probe) => Some(&mut **probe),
        None => None,
    }
}
