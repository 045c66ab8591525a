//! How every head of a model reads: the policy of each, and the position encoding of each layer, for the tokens of a pass.

use std::ops::Range;

use super::decoder::{Decoder, Pass};
use crate::attention::Inputs;
use crate::cache::KvCache;
use crate::error::{Error, Result};
use crate::model::config::{ModelConfig, PositionConfig};
use crate::offload::Storage;
use crate::policy::{AttentionPolicy, LayerPolicies, PolicyMap, PositionScaling, Positions};
use crate::position::{PositionEncoding, RotaryTable};

/// Tokens per forward pass: enough for matrix products, and what bounds the memory of a pass.
pub(super) const CHUNK: usize = 512;

/// How every head of a model reads.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// One per layer.
    pub layers: Vec<LayerPolicies>,
    /// Those that differ.
    encodings: Vec<Encoding>,
    /// Which of them each layer has.
    of_layer: Vec<usize>,
    /// Queries that the encodings are of.
    stage: Range<u64>,
}

/// The position encoding of some layers.
#[derive(Clone, Debug)]
struct Encoding {
    kind: PositionConfig,
    scaling: PositionScaling,
    encoding: PositionEncoding,
    /// Angles, for RoPE.
    table: Option<RotaryTable>,
}

impl Reading {
    /// # Errors
    /// As [`Session::new`](super::Session::new).
    pub(super) fn new(decoder: &Decoder, policies: &PolicyMap) -> Result<Self> {
        let config = decoder.config();
        policies.validate(config.layers, config.heads)?;
        let layers: Vec<LayerPolicies> = (0..config.layers)
            .map(|layer| policies.layer(layer, config.heads, config.own_window(layer)))
            .collect();
        layers.iter().flat_map(LayerPolicies::distinct).try_for_each(|own| refuse_distances(config, own))?;
        let (mut encodings, mut of_layer) = (Vec::<Encoding>::new(), Vec::new());
        let mut stage = 0..u64::MAX;
        // Where layers differ, the policy's scaling is that of those that have the model's main encoding.
        let main = std::iter::once((None, policies.default_policy().scaling));
        let of_layers = (0..config.layers).map(|layer| match config.layer_positions.get(layer) {
            Some(Some(_)) => (Some(layer), PositionScaling::None),
            _ => (None, policies.default_policy().scaling),
        });
        for (index, (layer, scaling)) in main.chain(of_layers).enumerate() {
            let kind = layer.map_or(&config.position, |layer| config.position_at(layer));
            let known = encodings.iter().position(|known| known.kind == *kind && known.scaling == scaling);
            let which = match known {
                Some(known) => known,
                None => {
                    let (encoding, end) = PositionEncoding::at(kind, config.heads, scaling, 0)?;
                    stage.end = stage.end.min(end);
                    let table = table(&encoding);
                    encodings.push(Encoding { kind: kind.clone(), scaling, encoding, table });
                    encodings.len() - 1
                }
            };
            // The first is the main encoding, which is asked for even where no layer has it, so that a policy is refused alike.
            if index > 0 {
                of_layer.push(which);
            }
        }
        Ok(Self { layers, encodings, of_layer, stage })
    }

    /// An empty cache of layer `layer`, whose window has room for `held` tokens at least.
    pub(super) fn cache(&self, decoder: &Decoder, layer: usize, storage: &Storage, held: u64) -> KvCache {
        let config = decoder.config();
        let mut kept = self.layers[layer].kept();
        kept.window = kept.window.map(|window| window.max(held));
        KvCache::with_storage(config.kv_heads, config.head_dim, &kept, config.layers, storage)
            .stored_as(config.kv)
    }

    /// How many of `tokens` tokens from `position` on one pass may have: all their queries share a position encoding.
    ///
    /// # Errors
    /// Where the model has no embedding of one of the positions.
    pub(super) fn pass_tokens(&mut self, decoder: &Decoder, position: u64, tokens: usize) -> Result<usize> {
        decoder.check_positions(position, tokens)?;
        if !self.stage.contains(&position) {
            self.stage = position..u64::MAX;
            for own in &mut self.encodings {
                let (encoding, end) =
                    PositionEncoding::at(&own.kind, decoder.config().heads, own.scaling, position)?;
                if encoding != own.encoding {
                    own.table = table(&encoding);
                    own.encoding = encoding;
                }
                self.stage.end = self.stage.end.min(end);
            }
        }
        let left = usize::try_from(self.stage.end - position).unwrap_or(usize::MAX);
        Ok(tokens.min(CHUNK).min(left))
    }

    /// Holds the angles for positions below `end`, and says how a pass is to be made, of the tokens that
    /// [`Self::pass_tokens`] was asked about last.
    pub(super) fn pass(&mut self, end: u64) -> Pass<'_> {
        for (which, own) in self.encodings.iter_mut().enumerate() {
            let Some(table) = &mut own.table else { continue };
            let layers = self.layers.iter().zip(&self.of_layer).filter(|(_, of)| **of == which);
            let policies = layers.flat_map(|(layer, _)| layer.distinct());
            let rows = policies.map(|policy| Inputs::table_rows(policy, end)).max();
            table.grow(rows.unwrap_or(0));
        }
        let encodings = self.of_layer.iter().map(|&which| {
            let own = &self.encodings[which];
            (&own.encoding, own.table.as_ref())
        });
        Pass { policies: &self.layers, encodings: encodings.collect() }
    }
}

/// Refuses a policy that the position encoding of `config` cannot follow, as [`Session::new`](super::Session::new) does.
///
/// # Errors
/// A scaling that is not defined for the encoding; changed distances, where the model is given none.
pub fn check_policy(config: &ModelConfig, policy: &AttentionPolicy) -> Result<()> {
    refuse_distances(config, policy)?;
    PositionEncoding::new(config, policy.scaling).map(|_| ())
}

/// Refuses a policy that changes distances, where each position has an embedding, so that keys know where they stand.
fn refuse_distances(config: &ModelConfig, policy: &AttentionPolicy) -> Result<()> {
    if !matches!(config.position, PositionConfig::Learned { .. }) {
        return Ok(());
    }
    let changes = [
        (policy.ceiling.is_some(), "a ceiling of distances"),
        (policy.positions == Positions::InCache, "positions counted in the cache"),
        (policy.remap.is_some(), "grouped or chunked positions"),
    ];
    match changes.iter().find(|(changes, _)| *changes) {
        None => Ok(()),
        Some((_, what)) => Err(Error::Policy {
            policy: policy.to_string(),
            reason: format!(
                "{what} needs distances between queries and keys, and the model is given none: each position has an embedding of its \
                 own, which is part of the keys; policies that leave keys out (window, lambda) can be followed"
            ),
        }),
    }
}

/// An empty table of angles, for RoPE.
fn table(encoding: &PositionEncoding) -> Option<RotaryTable> {
    match encoding {
        PositionEncoding::Rope(rope) => Some(RotaryTable::new(rope)),
        PositionEncoding::Alibi { .. } | PositionEncoding::None => None,
    }
}
