//! What is watched while a model runs. Sites are named by type; a probe that asks for nothing costs nothing.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::policy::Region;

/// Watches a forward pass. A session asks [`Probe::plan`] once per call and then reports what the plan names, from whichever thread
/// makes the pass.
pub trait Probe: Send {
    /// What this probe wants to see.
    fn plan(&self) -> &ProbePlan;

    /// Statistics of all heads of `layer` for a run of consecutive queries. Called in order of position per layer.
    fn head_statistics(&mut self, layer: usize, statistics: &HeadStatistics) {
        let _ = (layer, statistics);
    }

    /// One whole attention row.
    fn attention_row(&mut self, row: &AttentionRow) {
        let _ = row;
    }

    /// What the logits of one query would be at other distances.
    fn counterfactual_logits(&mut self, logits: &CounterfactualLogits) {
        let _ = logits;
    }

    /// One hidden state, of shape `[hidden]`.
    fn hidden_state(&mut self, site: HiddenSite, position: u64, values: &[f32]) {
        let _ = (site, position, values);
    }
}

/// What a probe asks for.
#[derive(Clone, Debug, Default)]
pub struct ProbePlan {
    /// Per-layer, per-head, per-query statistics from inside the attention pass.
    pub statistics: Option<StatisticsPlan>,
    /// Query positions whose whole attention rows are wanted, at every layer and head unless [`Self::row_head`] says which;
    /// costs `4 · attended keys` bytes while a row is reported, and as much time as decoding one token.
    pub rows: PositionSet,
    /// The only layer and head whose rows are wanted.
    pub row_head: Option<(usize, usize)>,
    /// Logits at other distances than the keys' own, if they are wanted.
    pub counterfactual: Option<CounterfactualPlan>,
    /// Positions whose hidden states are wanted; costs `4 · hidden` bytes while reported.
    pub hidden_positions: PositionSet,
    /// Sites of those hidden states.
    pub hidden_sites: Vec<HiddenSite>,
}

/// How [`HeadStatistics`] are to be taken.
#[derive(Clone, Debug)]
pub struct StatisticsPlan {
    /// `start_mass` is the probability on keys at positions `0..start_tokens`.
    pub start_tokens: u64,
    /// Ascending lower edges of the buckets of true distance, the first 0; the last bucket is open. Empty: no buckets.
    pub distance_edges: Vec<u64>,
    /// Tokens from side to side of the squares of [`HeadStatistics::tiles`], if they are wanted. Costs 4 bytes per query
    /// head, query of a chunk and tile of keys while a layer is read (17 MB for 32 heads, 512 queries and 256 tiles): take a
    /// side that leaves some hundred tiles.
    pub tile: Option<NonZeroU64>,
}

/// How [`CounterfactualLogits`] are to be taken. Costs, per query and head, about `(keys + start_tokens) · distances` products of
/// a query and a key.
#[derive(Clone, Debug)]
pub struct CounterfactualPlan {
    /// Positions of the queries.
    pub queries: PositionSet,
    /// Distances up to this one count as seen, in tokens: the training length. What lies farther is unseen.
    pub seen: u64,
    /// Keys at positions below this are all reported.
    pub start_tokens: u64,
    /// Of the other keys at unseen distances, at most so many, evenly spaced.
    pub keys: usize,
    /// How many of the distances `0..seen` each key is put at, one out of every `seen / distances` in a row.
    pub distances: usize,
}

/// Where a hidden state is read in the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HiddenSite {
    /// After the embedding.
    Embedding,
    /// After block `layer` (counted from 0).
    AfterBlock(usize),
}

/// A set of positions that costs no memory per position.
#[derive(Clone, Debug, Default)]
pub struct PositionSet {
    /// All positions below this.
    pub below: u64,
    /// And every multiple of this, if given.
    pub every: Option<u64>,
    /// And these, ascending.
    pub at: Vec<u64>,
}

impl PositionSet {
    /// Is `position` in the set?
    pub fn contains(&self, position: u64) -> bool {
        position < self.below
            || self.every.is_some_and(|every| position.is_multiple_of(every))
            || self.at.binary_search(&position).is_ok()
    }
}

/// Statistics of `heads` heads for `queries` consecutive queries, taken inside the attention pass.
///
/// All are over the attended keys only, of the logits as the softmax sees them (scaled, with the position encoding, capped). Where
/// heads have learned sinks, a probability is that of the softmax with the sink in it, so that those of a row sum to 1 less
/// [`Self::sink_mass`] s; the entropy H is that of the attention that goes to keys, as if they alone were in the softmax. With the
/// sink as one more outcome it is `(1 − s) · H − s ln s − (1 − s) ln (1 − s)`.
#[derive(Clone, Debug, Default)]
pub struct HeadStatistics {
    /// Position of the first query.
    pub first_position: u64,
    /// Number of heads.
    pub heads: usize,
    /// Number of queries.
    pub queries: usize,
    /// Number of distance buckets.
    pub buckets: usize,
    /// Largest logit. [heads, queries]
    pub max_logit: Vec<f32>,
    /// log Σ exp(logit), in nats, over keys and the learned sink. [heads, queries]
    pub log_sum_exp: Vec<f32>,
    /// Entropy of the attention row, in nats: `lse − Σ p·logit`, over keys alone. [heads, queries]
    pub entropy: Vec<f32>,
    /// Probability on the start tokens. [heads, queries]
    pub start_mass: Vec<f32>,
    /// Probability on the learned sink; empty where heads have none. [heads, queries]
    pub sink_mass: Vec<f32>,
    /// Probability by bucket of true distance. [heads, queries, buckets]
    pub bucket_mass: Vec<f32>,
    /// Largest values in squares of tokens; one square may be told of more than once, each time of other queries.
    pub tiles: Vec<TileMaxima>,
}

/// The largest values of one head in a row of squares of [`StatisticsPlan::tile`] tokens from side to side: of some of the
/// queries of `query_tile`, and the keys of consecutive tiles.
#[derive(Clone, Debug, PartialEq)]
pub struct TileMaxima {
    /// Query head, from 0.
    pub head: usize,
    /// Position of the queries, divided by the side.
    pub query_tile: u64,
    /// Position of the keys of the first tile, divided by the side.
    pub first_key_tile: u64,
    /// Largest logit; −inf where no key is attended. NaN in tiles of a row that is not finite. One per tile.
    pub logits: Vec<f32>,
    /// Logarithm of the largest probability, in nats; as above. One per tile.
    pub log_probabilities: Vec<f32>,
}

/// The attention of one query of one head, before the softmax.
#[derive(Clone, Debug)]
pub struct AttentionRow<'a> {
    /// Layer, from 0.
    pub layer: usize,
    /// Query head, from 0.
    pub head: usize,
    /// Position of the query.
    pub position: u64,
    /// Runs of consecutive attended keys, ascending.
    pub runs: &'a [KeyRun],
    /// The logit of the head's learned sink, where it has one.
    pub sink: Option<f32>,
}

/// The logits of one query of one head on keys at unseen distances, as they are and as they would be at distances that training
/// showed: the same query and the same keys, so that nothing differs but the distance. Scaled as the softmax sees them. Only
/// queries that attend to such a key are reported; retrieved keys are left out.
#[derive(Clone, Debug)]
pub struct CounterfactualLogits<'a> {
    /// Layer, from 0.
    pub layer: usize,
    /// Query head, from 0.
    pub head: usize,
    /// Position of the query.
    pub position: u64,
    /// Positions of the keys, ascending. `[keys]`
    pub keys: &'a [u64],
    /// Logits under the policy. `[keys]`
    pub actual: &'a [f32],
    /// Distances, in tokens: [`CounterfactualPlan::seen`], as if all keys were clamped, and then the others, ascending. [1 + distances]
    pub distances: &'a [u64],
    /// Logits at these distances, by the position encoding that the model was trained with, at the attention temperature of the
    /// policy. [keys, 1 + distances]
    pub logits: &'a [f32],
}

/// Consecutive keys of an [`AttentionRow`].
#[derive(Clone, Debug)]
pub struct KeyRun {
    /// Position of the first key.
    pub first_key: u64,
    /// Region of the keys (its distance that of the first key).
    pub region: Region,
    /// Scaled logits, one per key.
    pub logits: Vec<f32>,
}
