//! The eight policies of the factorial over one text.

use std::sync::Arc;

use lm_infinite_analysis::causes::CauseSet;
use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::session::Decoder;

use super::policies::cause_policy;
use crate::error::Result;
use crate::evaluate::evaluate;

/// Losses of tokens 1..n under every set of causes.
#[derive(Clone, Debug)]
pub struct CauseRuns {
    trained_length: u64,
    /// By [`CauseSet::index`], in nats. [n − 1]
    losses: [Arc<[f32]>; CauseSet::COUNT],
}

impl CauseRuns {
    /// Policies that have to be run where the losses of `known` ones are at hand.
    ///
    /// # Errors
    /// As [`cause_policy`].
    pub fn missing(trained_length: u64, known: &[&AttentionPolicy]) -> Result<usize> {
        let mut missing: Vec<AttentionPolicy> = Vec::new();
        for set in CauseSet::all() {
            let policy = cause_policy(set, trained_length)?.policy;
            if !known.contains(&&policy) && !missing.contains(&policy) {
                missing.push(policy);
            }
        }
        Ok(missing.len())
    }

    /// Runs every policy of the factorial over `tokens` but those whose losses of tokens 1..n are `known`. `progress` is told the
    /// policy that is read, and the tokens read so far.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn measure(
        decoder: &Arc<Decoder>,
        tokens: &[u32],
        known: &[(&AttentionPolicy, &[f32])],
        progress: &dyn Fn(&str, u64),
    ) -> Result<Self> {
        let trained_length = decoder.config().trained_length;
        let mut done: Vec<(AttentionPolicy, Arc<[f32]>)> =
            known.iter().map(|&(policy, losses)| (policy.clone(), losses.into())).collect();
        let mut losses: [Arc<[f32]>; CauseSet::COUNT] = std::array::from_fn(|_| Arc::default());
        for set in CauseSet::all() {
            let spec = cause_policy(set, trained_length)?;
            let found = done.iter().find(|(policy, _)| *policy == spec.policy);
            losses[set.index()] = match found {
                Some((_, losses)) => losses.clone(),
                None => {
                    let told = |position| progress(&spec.label, position);
                    let run = evaluate(decoder, &spec.policy, tokens, None, &told)?;
                    let losses: Arc<[f32]> = run.nll.into();
                    done.push((spec.policy, losses.clone()));
                    losses
                }
            };
        }
        Ok(Self { trained_length, losses })
    }

    /// L_pretrain.
    pub fn trained_length(&self) -> u64 {
        self.trained_length
    }

    /// Losses of tokens 1..n where the causes of `set` are present, in nats.
    pub fn losses(&self, set: CauseSet) -> &[f32] {
        &self.losses[set.index()]
    }

    /// The first token that is compared.
    pub fn from(&self) -> u64 {
        self.trained_length.max(1)
    }

    /// Losses of the tokens from [`Self::from`] on.
    pub fn compared(&self, set: CauseSet) -> &[f32] {
        behind(self.losses(set), self.from())
    }
}

/// Of the losses of tokens 1..n those from token `from` on.
pub(super) fn behind(losses: &[f32], from: u64) -> &[f32] {
    usize::try_from(from - 1).ok().and_then(|skipped| losses.get(skipped..)).unwrap_or_default()
}
