//! Blockwise against the dense specification in f64, on a grid of lengths, cuts, policies, encodings and groupings.

mod heads;
mod held;
mod learned_sinks;
mod non_finite;
mod soft_cap;
mod tiles;

use std::num::NonZeroU64;

use super::dense::{RowForm, dense};
use super::{Inputs, Shape, attend, attention_row};
use crate::cache::KvCache;
use crate::model::kv_type::KvType;
use crate::offload::Storage;
use crate::policy::{
    AttentionPolicy, DistanceRemap, DroppedStart, PositionScaling, Positions, Region, RetrievedKeys,
    Temperature, region,
};
use crate::position::{PositionEncoding, Rope, RotaryTable, alibi_slopes};
use crate::probe::{HeadStatistics, StatisticsPlan};

/// Seeded values in about [−2, 2]: splitmix64 of the index.
fn values(seed: u64, len: usize) -> Vec<f32> {
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
struct Case {
    shape: Shape,
    policy: AttentionPolicy,
    encoding: PositionEncoding,
    /// Positions of the tokens: consecutive, but for one gap at most.
    positions: Vec<u64>,
    /// Queries, keys, values: [tokens, heads or kv_heads, head_dim].
    data: [Vec<f32>; 3],
    /// Tokens from side to side of a tile of the statistics.
    tile: u64,
    /// What logits are bound by.
    soft_cap: Option<f32>,
    /// Logits of learned sinks. `[heads]`
    sinks: Option<Vec<f32>>,
    /// How the cache holds keys and values.
    kv: KvType,
}

struct Outcome {
    /// [tokens, heads, head_dim]
    output: Vec<f32>,
    /// One per chunk.
    statistics: Vec<HeadStatistics>,
    /// Logits of the last query, per head, with the keys' positions.
    last_rows: Vec<Vec<(u64, f32)>>,
}

/// Tokens of a tile; divides neither blocks nor chunks.
const CELL: u64 = 5;

fn plan(tile: u64) -> StatisticsPlan {
    StatisticsPlan { start_tokens: 3, distance_edges: vec![0, 1, 4, 16, 64], tile: NonZeroU64::new(tile) }
}

impl Case {
    fn new(shape: Shape, policy: &AttentionPolicy, encoding: &PositionEncoding, positions: Vec<u64>) -> Self {
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

    fn run(&self, chunk: usize, watched: bool) -> Outcome {
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
    fn specification(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
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

    fn sink(&self, head: usize) -> Option<f64> {
        self.sinks.as_ref().map(|sinks| f64::from(sinks[head]))
    }

    fn check(&self, chunks: &[usize]) {
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

    fn check_statistics(&self, got: &HeadStatistics, logits: &[Vec<f64>], tolerance: f64, what: &str) {
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
fn log_sum_exp(row: &[f64]) -> f64 {
    if row.iter().any(|&w| w.is_nan() || w == f64::INFINITY) || row.iter().all(|&w| w == f64::NEG_INFINITY) {
        return f64::NAN;
    }
    let max = row.iter().fold(f64::NEG_INFINITY, |m, &w| m.max(w));
    max + row.iter().map(|w| (w - max).exp()).sum::<f64>().ln()
}

/// Equal up to `tolerance`, or both NaN, or the same infinity.
fn agree(got: f32, want: f64, tolerance: f64) -> bool {
    let got = f64::from(got);
    got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance
}

fn encodings(heads: usize, head_dim: usize) -> Vec<PositionEncoding> {
    let yarn = PositionScaling::yarn(4.0, 32);
    vec![
        PositionEncoding::Rope(Rope::new(10_000.0, head_dim, PositionScaling::None)),
        PositionEncoding::Rope(Rope::new(10_000.0, head_dim / 2, yarn)),
        PositionEncoding::Alibi { slopes: alibi_slopes(heads, 8.0) },
        PositionEncoding::None,
    ]
}

fn policies(window: u64) -> Vec<AttentionPolicy> {
    let of = |start, window, ceiling| AttentionPolicy { start, window, ceiling, ..Default::default() };
    let temperature = Some(Temperature { from: window.div_ceil(2).max(2) });
    vec![
        of(0, None, None),
        of(0, Some(window), None),
        of(3, Some(window), None),
        of(0, None, Some(window)),
        of(3, Some(window), Some(window)),
        of(3, Some(window), Some(window.div_ceil(2))),
        of(3, Some(window), Some(window + 5)),
        AttentionPolicy { positions: Positions::InCache, ..of(3, Some(window), None) },
        AttentionPolicy { dropped: Some(DroppedStart { tokens: 3, beyond: window }), ..of(0, None, None) },
        AttentionPolicy {
            dropped: Some(DroppedStart { tokens: window + 2, beyond: 2 }),
            ..of(0, None, Some(window))
        },
        AttentionPolicy { remap: Some(DistanceRemap::Grouped { group: 3, window }), ..of(0, None, None) },
        AttentionPolicy {
            remap: Some(DistanceRemap::Grouped { group: 4, window: window.div_ceil(3) }),
            ..of(3, Some(window), None)
        },
        AttentionPolicy {
            remap: Some(DistanceRemap::Chunked { chunk: window, local: 2 }),
            ..of(0, None, None)
        },
        AttentionPolicy {
            remap: Some(DistanceRemap::Chunked { chunk: window.div_ceil(3), local: 1 }),
            temperature,
            ..of(3, Some(window), None)
        },
        AttentionPolicy { temperature, ..of(0, None, None) },
        AttentionPolicy { temperature, ..of(3, Some(window), Some(window.div_ceil(2))) },
    ]
}

const GROUPED: Shape = Shape { heads: 6, kv_heads: 2, head_dim: 8 };
const UNGROUPED: Shape = Shape { heads: 3, kv_heads: 3, head_dim: 8 };

#[test]
fn blockwise_equals_dense_on_short_texts_at_every_edge() {
    let window = 6;
    for shape in [GROUPED, UNGROUPED] {
        for encoding in encodings(shape.heads, shape.head_dim) {
            for policy in policies(window) {
                for n in [1, window - 1, window, window + 1, 2 * window + 4, 40] {
                    Case::new(shape, &policy, &encoding, (0..n).collect()).check(&[1, 3, 1000]);
                }
            }
        }
    }
}

#[test]
fn blockwise_equals_dense_across_key_and_query_blocks() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in policies(300) {
            Case::new(GROUPED, &policy, &encoding, (0..700).collect()).check(&[97, 1000]);
        }
    }
}

#[test]
fn decoding_splits_its_keys_and_still_equals_dense() {
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 4 };
    for encoding in encodings(shape.heads, shape.head_dim) {
        for policy in [&policies(2500)[0], &policies(2500)[4]] {
            let case = Case::new(shape, policy, &encoding, (0..2600).collect());
            let (chunked, expected) = (case.run(2599, true), case.run(2600, true));
            let row = 2599 * 8;
            for (a, b) in chunked.output[row..].iter().zip(&expected.output[row..]) {
                assert!((a - b).abs() < 2e-6, "{policy:?} {encoding:?}: {a} {b}");
            }
            let (last, all) = (&chunked.statistics[1], &expected.statistics[0]);
            for head in 0..2 {
                let (a, b) = (last.entropy[head], all.entropy[head * 2600 + 2599]);
                assert!((a - b).abs() < 2e-5, "{policy:?} {encoding:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn a_billion_tokens_in_is_as_exact_as_the_start() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in policies(6).into_iter().filter(|policy| policy.window.is_some()) {
            for far in [1_000, 1_000_000_000, 10_000_000_000] {
                let positions = (0..policy.start).chain(far..far + 20).collect();
                Case::new(GROUPED, &policy, &encoding, positions).check(&[1, 1000]);
            }
        }
    }
}

/// Where the policy bounds the distance, a gap of any length gives the very same numbers.
#[test]
fn bounded_distances_do_not_notice_how_long_the_gap_is() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in [&policies(6)[1], &policies(6)[4], &policies(6)[7]] {
            let case = |far: u64| {
                let positions = (0..policy.start).chain(far..far + 20).collect();
                Case::new(GROUPED, policy, &encoding, positions).run(7, false).output
            };
            assert_eq!(case(1_000), case(1_000_000_000), "{policy:?} {encoding:?}");
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let encoding = &encodings(GROUPED.heads, GROUPED.head_dim)[0];
    for policy in [&policies(300)[4], &retrieving_policies(100)[2]] {
        let case = Case::new(GROUPED, policy, encoding, (0..700).collect());
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| [case.run(512, true).output, case.run(1, true).output])
        };
        assert_eq!(on(1), on(4), "{policy:?}");
    }
}

/// Policies with retrieved keys, at a window.
fn retrieving_policies(window: u64) -> Vec<AttentionPolicy> {
    let mut all = Vec::new();
    for (k, distance) in
        [(0, 1), (1, window.div_ceil(2)), (5, window.div_ceil(2)), (5, 3 * window), (6000, 2)]
    {
        let retrieved = Some(RetrievedKeys { k, from_layer: 0, distance });
        all.push(AttentionPolicy {
            start: 3,
            window: Some(window),
            ceiling: Some(window),
            retrieved,
            ..Default::default()
        });
    }
    let base = all[2].clone();
    all.push(AttentionPolicy { start: 0, ceiling: None, ..base.clone() });
    let grouped = Some(DistanceRemap::Grouped { group: 2, window: window.div_ceil(2) });
    let temperature = Some(Temperature { from: 3 });
    all.push(AttentionPolicy { ceiling: None, remap: grouped, temperature, ..base.clone() });
    all.push(AttentionPolicy { ceiling: None, positions: Positions::InCache, ..base });
    all
}

impl Case {
    /// Smallest gap between the last chosen and the first unchosen retrieved key of any query and head, in f64 logits. Where it
    /// is near the rounding of f32, specification and product may choose differently, and both are right.
    fn smallest_gap(&self) -> f64 {
        let Some(retrieved) = self.policy.retrieved else { return f64::INFINITY };
        let Shape { heads, kv_heads, head_dim } = self.shape;
        let row = |data: &[f32], t: usize, head: usize, count: usize| -> Vec<f64> {
            data[(t * count + head) * head_dim..][..head_dim].iter().map(|&x| f64::from(x)).collect()
        };
        let mut smallest = f64::INFINITY;
        for head in 0..heads {
            for (t, &i) in self.positions.iter().enumerate() {
                let mut query = row(&self.data[0], t, head, heads);
                query.iter_mut().for_each(|x| *x *= self.policy.query_scale(i));
                let mut logits: Vec<f64> = (self.positions.iter().enumerate())
                    .filter(|(_, j)| matches!(region(i, **j, &self.policy), Region::Retrieved { .. }))
                    .map(|(s, _)| {
                        let key = row(&self.data[1], s, head / self.shape.group(), kv_heads);
                        self.encoding.logit(head, &query, &key, retrieved.distance)
                    })
                    .collect();
                logits.sort_by(|a, b| b.total_cmp(a));
                let k = retrieved.k as usize;
                if k > 0 && k < logits.len() {
                    smallest = smallest.min(logits[k - 1] - logits[k]);
                }
            }
        }
        smallest
    }

    /// [`Self::check`] on the first data that leave no choice open.
    fn check_retrieved(mut self, chunks: &[usize]) {
        for seed in 0..40 {
            for (side, data) in self.data.iter_mut().enumerate() {
                *data = values(17 * seed + side as u64 + 1, data.len());
            }
            if self.smallest_gap() > 4e-6 {
                return self.check(chunks);
            }
        }
        panic!("no data without a near tie");
    }
}

#[test]
fn retrieved_keys_equal_dense_on_short_texts_at_every_edge() {
    let window = 6;
    for shape in [GROUPED, UNGROUPED] {
        for encoding in encodings(shape.heads, shape.head_dim) {
            for policy in retrieving_policies(window) {
                for n in [1, window, window + 3, window + 4, 2 * window + 4, 60] {
                    Case::new(shape, &policy, &encoding, (0..n).collect()).check_retrieved(&[1, 3, 7, 1000]);
                }
            }
        }
    }
}

/// Chunks larger and smaller than the window, pages and blocks, memory and file.
#[test]
fn retrieved_keys_equal_dense_across_pages() {
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 8 };
    for encoding in encodings(shape.heads, shape.head_dim) {
        for policy in &retrieving_policies(40)[1..5] {
            let file = policy.retrieved.is_some_and(|keys| keys.k == 5);
            let n = if file { 1000 } else { 400 };
            Case::new(shape, policy, &encoding, (0..n).collect()).check_retrieved(&[1, 29, 1000]);
        }
    }
}

/// Keys of small whole numbers and no position encoding: logits are exact in f32, and most are equal to others.
#[test]
fn ties_go_to_the_earlier_key() {
    // √4 scales without rounding; a temperature does not, and so leaves no ties.
    for policy in retrieving_policies(6).into_iter().filter(|policy| policy.temperature.is_none()) {
        let shape = Shape { heads: 6, kv_heads: 2, head_dim: 4 };
        let mut case = Case::new(shape, &policy, &PositionEncoding::None, (0..90).collect());
        for data in &mut case.data[..2] {
            data.iter_mut().for_each(|x| *x = x.round());
        }
        case.check(&[1, 7, 1000]);
    }
}
