//! One text of seeded queries, keys and values: attended blockwise, and as the dense specification says.

use std::num::NonZeroU64;

use super::super::dense::{RowForm, dense};
use super::super::{Inputs, Shape, attend, attention_row};
use crate::cache::KvCache;
use crate::model::kv_type::KvType;
use crate::offload::Storage;
use crate::policy::AttentionPolicy;
use crate::position::{PositionEncoding, RotaryTable};
use crate::probe::{HeadStatistics, StatisticsPlan};

/// Seeded values in about [−2, 2]: splitmix64 of the index.
pub(super) fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64 * 4.0 - 2.0
    };
    (0..len).map(|_| next() as f32).collect()
}

#[derive(Clone)]
pub(super) struct Case {
    pub(super) shape: Shape,
    pub(super) policy: AttentionPolicy,
    pub(super) encoding: PositionEncoding,
    /// Positions of the tokens: consecutive, but for one gap at most.
    pub(super) positions: Vec<u64>,
    /// Queries, keys, values: [tokens, heads or kv_heads, head_dim].
    pub(super) data: [Vec<f32>; 3],
    /// Tokens from side to side of a tile of the statistics.
    pub(super) tile: u64,
    /// What logits are bound by.
    pub(super) soft_cap: Option<f32>,
    /// Logits of learned sinks. `[heads]`
    pub(super) sinks: Option<Vec<f32>>,
    /// How the cache holds keys and values.
    pub(super) kv: KvType,
}

pub(super) struct Outcome {
    /// [tokens, heads, head_dim]
    pub(super) output: Vec<f32>,
    /// One per chunk.
    pub(super) statistics: Vec<HeadStatistics>,
    /// Logits of the last query, per head, with the keys' positions.
    pub(super) last_rows: Vec<Vec<(u64, f32)>>,
}

/// Tokens of a tile; divides neither blocks nor chunks.
pub(super) const CELL: u64 = 5;

pub(super) fn plan(tile: u64) -> StatisticsPlan {
    StatisticsPlan { start_tokens: 3, distance_edges: vec![0, 1, 4, 16, 64], tile: NonZeroU64::new(tile) }
}

impl Case {
    pub(super) fn new(
        shape: Shape,
        policy: &AttentionPolicy,
        encoding: &PositionEncoding,
        positions: Vec<u64>,
    ) -> Self {
        let n = positions.len();
        let data = [
            values(1, n * shape.heads * shape.head_dim),
            values(2, n * shape.kv_heads * shape.head_dim),
            values(3, n * shape.kv_heads * shape.head_dim),
        ];
        let (policy, encoding) = (policy.clone(), encoding.clone());
        Self {
            shape,
            policy,
            encoding,
            positions,
            data,
            tile: CELL,
            soft_cap: None,
            sinks: None,
            kv: KvType::F32,
        }
    }

    pub(super) fn run(&self, chunk: usize, watched: bool) -> Outcome {
        let Shape { heads, kv_heads, head_dim } = self.shape;
        // Old keys in memory and in a file: two pages of the first shapes fit.
        let storage = Storage { memory_bytes: 70_000, ..Storage::default() };
        let mut cache =
            KvCache::with_storage(kv_heads, head_dim, &self.policy, 1, &storage).stored_as(self.kv);
        let mut table = match &self.encoding {
            PositionEncoding::Rope(rope) => Some(RotaryTable::new(rope)),
            _ => None,
        };
        let mut outcome = Outcome { output: Vec::new(), statistics: Vec::new(), last_rows: Vec::new() };
        let mut first = 0;
        while first < self.positions.len() {
            let position = self.positions[first];
            if position != cache.next_position() {
                cache.skip_to(position).expect("a gap after the start tokens");
            }
            let consecutive = |&t: &usize| self.positions[first + t] == position + t as u64;
            let count = (0..chunk.min(self.positions.len() - first)).take_while(consecutive).count();
            if let Some(table) = &mut table {
                table.grow(Inputs::table_rows(&self.policy, position + count as u64));
            }
            let slice = |data: &'_ [f32], width: usize| data[first * width..(first + count) * width].to_vec();
            let [queries, keys, values] = &self.data;
            let (queries, keys, values) = (
                slice(queries, heads * head_dim),
                slice(keys, kv_heads * head_dim),
                slice(values, kv_heads * head_dim),
            );
            let inputs = Inputs {
                shape: self.shape,
                queries: &queries,
                keys: &keys,
                values: &values,
                first_position: position,
                cache: &cache,
                policy: &self.policy,
                encoding: &self.encoding,
                table: table.as_ref(),
                soft_cap: self.soft_cap,
                sinks: self.sinks.as_deref(),
            };
            let mut output = vec![0.0; queries.len()];
            let mut statistics = HeadStatistics::default();
            attend(&inputs, &mut output, watched.then_some((&plan(self.tile), &mut statistics)));
            outcome.output.extend(output);
            outcome.statistics.push(statistics);
            outcome.last_rows = (0..heads)
                .map(|head| {
                    let runs = attention_row(&inputs, head, count - 1);
                    runs.iter().flat_map(|run| (run.first_key..).zip(run.logits.iter().copied())).collect()
                })
                .collect();
            cache.append(&keys, &values).expect("room");
            first += count;
        }
        outcome
    }

    /// Dense output [tokens, heads, head_dim] and logits per head [tokens, tokens], in f64.
    pub(super) fn specification(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let Shape { heads, kv_heads, head_dim } = self.shape;
        let n = self.positions.len();
        let head_of = |data: &[f32], head: usize, count: usize| -> Vec<f64> {
            (0..n)
                .flat_map(|t| data[(t * count + head) * head_dim..][..head_dim].iter().map(|&x| x as f64))
                .collect()
        };
        let mut output = vec![0.0; n * heads * head_dim];
        let mut logits = Vec::new();
        for head in 0..heads {
            let kv_head = head / self.shape.group();
            let (q, k, v) = (
                head_of(&self.data[0], head, heads),
                head_of(&self.data[1], kv_head, kv_heads),
                head_of(&self.data[2], kv_head, kv_heads),
            );
            let result = dense(
                (&q, &k, &v),
                &self.positions,
                head,
                &self.policy,
                &self.encoding,
                RowForm { soft_cap: self.soft_cap.map(f64::from), sink: self.sink(head) },
            );
            for t in 0..n {
                output[(t * heads + head) * head_dim..][..head_dim]
                    .copy_from_slice(&result.output[t * head_dim..][..head_dim]);
            }
            logits.push(result.logits);
        }
        (output, logits)
    }

    pub(super) fn sink(&self, head: usize) -> Option<f64> {
        self.sinks.as_ref().map(|sinks| f64::from(sinks[head]))
    }

    pub(super) fn check(&self, chunks: &[usize]) {
        let (expected, logits) = self.specification();
        let scale = logits.iter().flatten().filter(|w| w.is_finite()).fold(1.0f64, |m, w| m.max(w.abs()));
        let tolerance = 1e-6 * scale.max(4.0);
        let n = self.positions.len();
        for &chunk in chunks {
            let what = format!("{:?} {:?} {:?} n {n} chunk {chunk}", self.policy, self.encoding, self.shape);
            for watched in [false, true] {
                let outcome = self.run(chunk, watched);
                for (index, (&got, &want)) in outcome.output.iter().zip(&expected).enumerate() {
                    assert!(agree(got, want, tolerance), "{what}: value {index}: {got} {want}");
                }
                if watched {
                    outcome
                        .statistics
                        .iter()
                        .for_each(|s| self.check_statistics(s, &logits, tolerance, &what));
                    self.check_cells(&outcome.statistics, &logits, tolerance, &what);
                }
                for (row, logits) in outcome.last_rows.iter().zip(&logits) {
                    let attended: Vec<(u64, f64)> = (self.positions.iter().copied())
                        .zip(logits[(n - 1) * n..].iter().copied())
                        .filter(|(_, w)| *w != f64::NEG_INFINITY)
                        .collect();
                    let row: Vec<_> = row.iter().filter(|(_, w)| *w != f32::NEG_INFINITY).collect();
                    assert_eq!(row.len(), attended.len(), "{what}");
                    for (got, want) in row.into_iter().zip(&attended) {
                        assert_eq!(got.0, want.0, "{what}");
                        assert!(agree(got.1, want.1, tolerance), "{what}: {got:?} {want:?}");
                    }
                }
            }
        }
    }

    pub(super) fn check_statistics(
        &self,
        got: &HeadStatistics,
        logits: &[Vec<f64>],
        tolerance: f64,
        what: &str,
    ) {
        let (n, plan) = (self.positions.len(), plan(self.tile));
        for (head, logits) in logits.iter().enumerate() {
            for query in 0..got.queries {
                let position = got.first_position + query as u64;
                let row = self.positions.iter().position(|&p| p == position).expect("a fed position");
                let row = &logits[row * n..][..n];
                let sink = self.sink(head);
                let keys = log_sum_exp(row);
                let with_sink: Vec<f64> = row.iter().copied().chain(sink).collect();
                // A row of only −inf is nothing for the statistics, even with a sink.
                let lse = if keys.is_nan() { keys } else { log_sum_exp(&with_sink) };
                let max =
                    if lse.is_nan() { lse } else { row.iter().fold(f64::NEG_INFINITY, |m, &w| m.max(w)) };
                let attended = || self.positions.iter().zip(row).filter(|(_, w)| *w != &f64::NEG_INFINITY);
                let entropy: f64 = attended().map(|(_, w)| (w - keys).exp() * (keys - w)).sum();
                let mass = |keep: &dyn Fn(u64) -> bool| -> f64 {
                    let mass = attended().filter(|(j, _)| keep(**j)).map(|(_, w)| (w - lse).exp()).sum();
                    if lse.is_nan() { lse } else { mass }
                };
                let entropy = if lse.is_nan() { lse } else { entropy };
                let at = head * got.queries + query;
                let close = |name: &str, got: f32, want: f64| {
                    assert!(
                        agree(got, want, 4.0 * tolerance),
                        "{what}: {name} of head {head} at {position}: {got} {want}"
                    );
                };
                close("max", got.max_logit[at], max);
                close("log-sum-exp", got.log_sum_exp[at], lse);
                close("entropy", got.entropy[at], entropy);
                assert_eq!(got.sink_mass.is_empty(), sink.is_none(), "{what}");
                if let Some(sink) = sink {
                    let mass = if lse.is_nan() { lse } else { (sink - lse).exp() };
                    close("sink mass", got.sink_mass[at], mass);
                }
                close("start mass", got.start_mass[at], mass(&|j| j < plan.start_tokens));
                for (bucket, &edge) in plan.distance_edges.iter().enumerate() {
                    let next = plan.distance_edges.get(bucket + 1).copied().unwrap_or(u64::MAX);
                    let inside = |j: u64| (edge..next).contains(&(position - j));
                    close("bucket", got.bucket_mass[at * got.buckets + bucket], mass(&inside));
                }
            }
        }
    }
}

/// Log-sum-exp of a row; NaN where it has no softmax: NaN or +inf among its logits, or nothing above −inf.
pub(super) fn log_sum_exp(row: &[f64]) -> f64 {
    if row.iter().any(|&w| w.is_nan() || w == f64::INFINITY) || row.iter().all(|&w| w == f64::NEG_INFINITY) {
        return f64::NAN;
    }
    let max = row.iter().fold(f64::NEG_INFINITY, |m, &w| m.max(w));
    max + row.iter().map(|w| (w - max).exp()).sum::<f64>().ln()
}

/// Equal up to `tolerance`, or both NaN, or the same infinity.
pub(super) fn agree(got: f32, want: f64, tolerance: f64) -> bool {
    let got = f64::from(got);
    got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance
}
