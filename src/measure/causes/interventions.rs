//! Runs in which some layers or heads are fixed and the others are as they are, with the work shared that they have in common.

use std::sync::Arc;

use lm_infinite_analysis::causes::CauseSet;
use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::policy::{AttentionPolicy, PolicyMap};
use lm_infinite_runtime::session::{Decoder, LayerStates};

use super::factorial::{CauseRuns, behind};
use super::policies::cause_policy;
use super::restored::Restored;
use crate::error::Result;

/// Memory for hidden states between layers; where a text needs more, runs begin further down.
const MOST_BYTES: usize = 1 << 30;

/// One model and one text, to intervene in.
pub struct Interventions<'a> {
    runs: &'a CauseRuns,
    decoder: &'a Arc<Decoder>,
    /// The model as it is.
    vanilla: AttentionPolicy,
    /// The fix.
    fix: AttentionPolicy,
    /// Under vanilla, before the first layer and before as many of the next as memory allows.
    states: Vec<LayerStates>,
}

impl<'a> Interventions<'a> {
    /// Reads `tokens`, those of `runs`, once.
    ///
    /// # Errors
    /// As [`LayerStates::new`] and [`LayerStates::advance`].
    pub fn new(decoder: &'a Arc<Decoder>, tokens: &[u32], runs: &'a CauseRuns) -> Result<Self> {
        let config = decoder.config();
        let policy = |set| Ok::<_, crate::Error>(cause_policy(set, config.trained_length)?.policy);
        let (vanilla, fix) = (policy(CauseSet::VANILLA)?, policy(CauseSet::NONE)?);
        let map = PolicyMap::from(vanilla.clone());
        let mut states = vec![LayerStates::new(decoder.clone(), tokens.into(), config.trained_length)?];
        let kept = MOST_BYTES / (tokens.len() * config.hidden * size_of::<f32>()).max(1);
        while states.len() < config.layers.min(kept.max(1)) {
            let mut next = states[states.len() - 1].clone();
            next.advance(&map)?;
            states.push(next);
        }
        Ok(Self { runs, decoder, vanilla, fix, states })
    }

    /// The model.
    pub fn config(&self) -> &ModelConfig {
        self.decoder.config()
    }

    /// The model as it is.
    pub fn vanilla(&self) -> &AttentionPolicy {
        &self.vanilla
    }

    /// The fix.
    pub fn fix(&self) -> &AttentionPolicy {
        &self.fix
    }

    /// The hidden states before the first layer.
    pub(super) fn first(&self) -> &LayerStates {
        &self.states[0]
    }

    /// Losses of the compared tokens under `map`, which is vanilla in all layers before `layer`.
    ///
    /// # Errors
    /// As [`LayerStates::losses`].
    pub fn losses(&self, map: &PolicyMap, layer: usize) -> Result<Vec<f32>> {
        let states = &self.states[layer.min(self.states.len() - 1)];
        Ok(self.compared(&states.losses(map)?).to_vec())
    }

    /// Of losses of tokens 1..n those that are compared.
    pub(super) fn compared<'b>(&self, losses: &'b [f32]) -> &'b [f32] {
        behind(losses, self.runs.from())
    }

    /// What `losses` of the compared tokens have less than those of vanilla.
    pub fn restored(&self, losses: &[f32]) -> Option<Restored> {
        Restored::new(self.runs.compared(CauseSet::VANILLA), self.runs.compared(CauseSet::NONE), losses)
    }

    /// What `losses` of the compared tokens have more than those of the fix, as a part of the excess.
    pub fn lost(&self, losses: &[f32]) -> Option<Restored> {
        Restored::lost(self.runs.compared(CauseSet::VANILLA), self.runs.compared(CauseSet::NONE), losses)
    }
}

/// Multiply-adds that one layer costs over a text of `tokens` tokens under vanilla, the part before the training length left
/// out, which is shared.
pub(super) fn layer_cost(config: &ModelConfig, tokens: u64) -> f64 {
    let new = tokens.saturating_sub(config.trained_length) as f64;
    let parameters = config.block_parameters() as f64 / config.layers.max(1) as f64;
    let pairs = new * (tokens as f64 + config.trained_length as f64) / 2.0;
    new * parameters + 2.0 * pairs * (config.heads * config.head_dim) as f64
}
