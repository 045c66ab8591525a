//! What an attention pass is given: the chunk, the cache and the policy, and the runs of keys that a block of queries reads.

use std::ops::Range;

use crate::cache::{KvCache, StoredRun};
use crate::model::kv_type::Stored;
use crate::offload::{OffloadedKeys, OffloadedPage};
use crate::policy::{AttentionPolicy, DistanceRemap};
use crate::position::{PositionEncoding, RotaryTable};

/// Keys per step of the online softmax.
pub(super) const KEY_BLOCK: usize = 256;
/// Rows (queries × heads of a group) per block that keep a matrix product busy.
pub(super) const ROWS: usize = 256;
/// Up to this many rows, products are vector loops instead of matrix products.
pub(super) const VECTOR_ROWS: usize = 8;
/// The logit of a key that is not attended. One whose own logit is −inf has the same weight, 0.
pub(super) const MASKED: f32 = f32::NEG_INFINITY;

/// Heads of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Values per head.
    pub head_dim: usize,
}

impl Shape {
    /// Query heads that share a key/value head.
    pub fn group(self) -> usize {
        self.heads / self.kv_heads
    }
}

/// A chunk of new tokens and everything they may attend to. Vectors are before the position encoding, pairs half-split.
pub struct Inputs<'a> {
    /// Heads.
    pub shape: Shape,
    /// [tokens, heads, head_dim]
    pub queries: &'a [f32],
    /// Keys of the chunk. [tokens, kv_heads, head_dim]
    pub keys: &'a [f32],
    /// Values of the chunk. [tokens, kv_heads, head_dim]
    pub values: &'a [f32],
    /// Position of the chunk's first token.
    pub first_position: u64,
    /// Everything before the chunk.
    pub cache: &'a KvCache,
    /// Who sees whom, in this layer ([`AttentionPolicy::at_layer`]).
    pub policy: &'a AttentionPolicy,
    /// How distance enters a logit.
    pub encoding: &'a PositionEncoding,
    /// Angles, for RoPE.
    pub table: Option<&'a RotaryTable>,
    /// A logit `w` becomes `cap · tanh(w / cap)`.
    pub soft_cap: Option<f32>,
    /// Logits of the learned sinks, where heads have them. `[heads]`
    pub sinks: Option<&'a [f32]>,
}

impl<'a> Inputs<'a> {
    /// Offsets that the angle table should hold, so that none is computed twice: true distances up to the window, or up
    /// to the ceiling where there is no window, and what lies beside them in a block.
    pub fn table_rows(policy: &AttentionPolicy, next_position: u64) -> usize {
        let bound = policy.kept_keys().or(policy.ceiling).unwrap_or(next_position);
        let bounded = policy.remap.and_then(DistanceRemap::bound).or(policy.ceiling);
        let bounded = bounded.map_or(0, |bound| bound.min(next_position));
        (bound.min(next_position).max(bounded) as usize) + ROWS + KEY_BLOCK
    }

    /// A logit as the softmax sees it.
    pub(super) fn capped(&self, logit: f32) -> f32 {
        let bound = |cap: f64| (cap * (f64::from(logit) / cap).tanh()) as f32;
        self.soft_cap.map_or(logit, |cap| bound(f64::from(cap)))
    }

    /// The logit of a head's learned sink.
    pub(super) fn sink(&self, head: usize) -> Option<f32> {
        self.sinks.map(|sinks| sinks[head])
    }

    pub(super) fn tokens(&self) -> usize {
        self.queries.len() / (self.shape.heads * self.shape.head_dim)
    }

    /// All keys of one head that any query at positions `queries` attends to, cached and new, in order of position.
    pub(super) fn runs(&self, kv_head: usize, queries: Range<u64>) -> Vec<StoredRun<'a>> {
        let oldest = self.policy.spans(queries.start);
        let newest = self.policy.spans(queries.end - 1);
        let start = 0..newest.start_end.min(oldest.recent_begin);
        let recent = oldest.recent_begin..queries.end;
        let mut runs = Vec::new();
        for range in [start, recent] {
            runs.extend(self.cache.runs(kv_head, range.clone()));
            runs.extend(self.chunk_run(kv_head, range));
        }
        runs.into_iter().flat_map(|run| run.split(KEY_BLOCK, self.shape.head_dim)).collect()
    }

    /// Keys between start and window of any query at positions `queries`.
    pub(super) fn candidates(&self, kv_head: usize, queries: Range<u64>) -> Candidates<'a> {
        let newest = self.policy.spans(queries.end - 1);
        let offloaded = self.cache.offloaded();
        let offloaded_end = offloaded.map_or(self.policy.start, OffloadedKeys::end);
        let offloaded = offloaded.into_iter().flat_map(|offloaded| offloaded.pages(kv_head));
        let offloaded = offloaded.take_while(|page| page.first < newest.recent_begin).collect();
        let range = offloaded_end.max(self.policy.start)..newest.recent_begin;
        let mut recent = Vec::new();
        if !range.is_empty() {
            recent.extend(self.cache.runs(kv_head, range.clone()));
            recent.extend(self.chunk_run(kv_head, range));
        }
        let recent = recent.into_iter().flat_map(|run| run.split(KEY_BLOCK, self.shape.head_dim)).collect();
        Candidates { offloaded, recent }
    }

    fn chunk_run(&self, kv_head: usize, range: Range<u64>) -> Option<StoredRun<'a>> {
        let end = self.first_position + self.tokens() as u64;
        let (first, last) = (range.start.max(self.first_position), range.end.min(end));
        let Shape { kv_heads, head_dim, .. } = self.shape;
        let stride = kv_heads * head_dim;
        (first < last).then(|| {
            let at = (first - self.first_position) as usize * stride + kv_head * head_dim;
            StoredRun {
                first,
                len: (last - first) as usize,
                stride,
                keys: Stored::F32(&self.keys[at..]),
                values: Stored::F32(&self.values[at..]),
            }
        })
    }
}

/// Candidates for a block of queries, of one key/value head.
pub struct Candidates<'a> {
    /// Those that have left the window of everyone.
    pub offloaded: Vec<OffloadedPage<'a>>,
    /// Those that some query may still see as recent, in runs.
    pub recent: Vec<StoredRun<'a>>,
}
