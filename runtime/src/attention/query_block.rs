//! One block of queries of one group of heads against a list of key runs. Rows are [queries, heads of the group].

use std::ops::Range;

use multiversion::multiversion;

use super::few_rows::{Spare, exact_logits};
use super::inputs::{Inputs, MASKED, VECTOR_ROWS};
use super::partial::Partial;
use super::retrieved::{Chosen, absorb, choose};
use super::tiles::RowTiles;
use crate::cache::StoredRun;
use crate::kernels::elementwise::{rotate, soft_cap};
use crate::kernels::few_rows::{Angles, Rows, add_weighted, dot_products};
use crate::kernels::matmul::{View, multiply};
use crate::model::kv_type::Stored;
use crate::policy::{RetrievedKeys, Spans};
use crate::position::{PositionEncoding, RotaryTable};
use crate::probe::StatisticsPlan;

/// Rows of a strip of queries that goes over a run that not all of them see.
const STRIP_ROWS: usize = 64;

/// Buffers that a thread keeps between blocks; their size does not depend on the length of the text.
#[derive(Default)]
pub struct Scratch {
    exact_queries: Vec<f32>,
    clamped_queries: Vec<f32>,
    retrieved_queries: Vec<f32>,
    rotated: Rotated,
    rotated_clamped: Rotated,
    angles: Vec<f32>,
    spare: Spare,
    logits: Vec<f32>,
    far_logits: Vec<f32>,
    /// Keys and values of a run, where they are held otherwise.
    unpacked: [Vec<f32>; 2],
}

/// Keys of a run after the position encoding.
#[derive(Default)]
struct Rotated {
    /// [keys, head_dim]
    keys: Vec<f32>,
    angles: Vec<f32>,
}

/// Some keys of a run, row `r` at `r · stride`.
struct Keys<'a> {
    /// Position of the first.
    first: u64,
    /// Its place in the run.
    at: usize,
    /// How many; at least one.
    len: usize,
    /// Before the position encoding.
    keys: Stored<'a>,
    /// Laid out as the keys.
    values: Stored<'a>,
    /// Numbers from one row to the next.
    stride: usize,
}

/// The queries of heads `kv_head · group ..` at chunk rows `first..first + count`.
pub struct QueryBlock<'a> {
    inputs: &'a Inputs<'a>,
    kv_head: usize,
    first: usize,
    count: usize,
}

/// How the logits of a run are made.
#[derive(Clone, Copy, PartialEq)]
enum Distance {
    /// True distances: keys are rotated to their offset from the block's first query.
    Exact,
    /// The policy's changed distance.
    Clamped,
    /// That of the retrieved keys.
    Retrieved(u64),
}

impl<'a> QueryBlock<'a> {
    /// A block of `count` queries.
    pub fn new(inputs: &'a Inputs<'a>, kv_head: usize, first: usize, count: usize) -> Self {
        Self { inputs, kv_head, first, count }
    }

    fn base(&self) -> u64 {
        self.inputs.first_position + self.first as u64
    }

    fn group(&self) -> usize {
        self.inputs.shape.group()
    }

    fn rows(&self) -> usize {
        self.group() * self.count
    }

    /// Runs the block over `runs`. Rows of the result: [count, group].
    pub fn run(
        &self,
        runs: &[StoredRun<'_>],
        plan: Option<&StatisticsPlan>,
        scratch: &mut Scratch,
    ) -> Partial {
        let head_dim = self.inputs.shape.head_dim;
        let mut partial = Partial::new(self.rows(), head_dim, plan);
        let queries = self.base()..self.base() + self.count as u64;
        let tiles = |side| RowTiles::new(side, self.rows(), queries, self.inputs.policy);
        partial.tiles = plan.and_then(|plan| plan.tile).map(tiles);
        let spans: Vec<Spans> =
            (0..self.count).map(|t| self.inputs.policy.spans(self.base() + t as u64)).collect();
        self.gather(Distance::Exact, scratch);
        let any_clamped = spans.last().is_some_and(|last| last.clamped_end > 0);
        if any_clamped {
            self.gather(Distance::Clamped, scratch);
        }
        let mut unpacked = std::mem::take(&mut scratch.unpacked);
        for run in runs {
            // Few queries read what is held as it is.
            let run = if self.rows() <= VECTOR_ROWS { *run } else { run.read(&mut unpacked).stored() };
            self.absorb_run(&run, &spans, plan, &mut partial, scratch);
        }
        scratch.unpacked = unpacked;
        partial
    }

    /// Adds the retrieved keys of all queries to `partial`.
    pub fn absorb_retrieved(
        &self,
        wanted: RetrievedKeys,
        partial: &mut Partial,
        plan: Option<&StatisticsPlan>,
        scratch: &mut Scratch,
    ) {
        for (row, chosen) in self.retrieved(wanted, scratch).iter().enumerate() {
            let bias = self.bias(row % self.group(), wanted.distance);
            let position = self.base() + (row / self.group()) as u64;
            let logits = chosen.iter().map(|key| self.inputs.capped(key.logit - bias)).collect();
            absorb(partial, row, position, chosen, logits, plan);
        }
    }

    /// The retrieved keys of every row, in order of position; logits before ALiBi's bias.
    pub fn retrieved(&self, wanted: RetrievedKeys, scratch: &mut Scratch) -> Vec<Vec<Chosen<'a>>> {
        let candidates = self.inputs.candidates(self.kv_head, self.base()..self.base() + self.count as u64);
        if candidates.offloaded.is_empty() && candidates.recent.is_empty() {
            return vec![Vec::new(); self.rows()];
        }
        self.gather(Distance::Retrieved(wanted.distance), scratch);
        let end = |row| self.inputs.policy.spans(self.base() + (row / self.group()) as u64).recent_begin;
        let ends: Vec<u64> = (0..self.rows()).map(end).collect();
        let k = usize::try_from(wanted.k).unwrap_or(usize::MAX);
        choose(&scratch.retrieved_queries, self.inputs.shape.head_dim, &ends, k, &candidates)
    }

    /// ALiBi's bias of the group's head `h` at `distance`.
    pub fn bias(&self, h: usize, distance: u64) -> f32 {
        match self.inputs.encoding {
            PositionEncoding::Alibi { slopes } => {
                (slopes[self.kv_head * self.group() + h] * distance as f64) as f32
            }
            PositionEncoding::Rope(_) | PositionEncoding::None => 0.0,
        }
    }

    /// Collects the queries, scaled and rotated to their offset (exact), to the policy's distance (clamped), or to that of the retrieved keys.
    fn gather(&self, distance: Distance, scratch: &mut Scratch) {
        let Inputs { shape, encoding, policy, queries, .. } = self.inputs;
        let (head_dim, width) = (shape.head_dim, shape.heads * shape.head_dim);
        let Scratch { exact_queries, clamped_queries, retrieved_queries, angles, .. } = scratch;
        let gathered = match distance {
            Distance::Exact => exact_queries,
            Distance::Clamped => clamped_queries,
            Distance::Retrieved(_) => retrieved_queries,
        };
        gathered.resize(self.rows() * head_dim, 0.0);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut head = vec![0.0; head_dim];
        for t in 0..self.count {
            let position = self.base() + t as u64;
            let offset = match distance {
                Distance::Exact => t as u64,
                Distance::Retrieved(distance) => distance,
                Distance::Clamped => policy.clamped_query(position) - policy.clamped_base(self.base()),
            };
            let scale = scale * policy.query_scale(position) as f32;
            for h in 0..self.group() {
                let at = (self.first + t) * width + (self.kv_head * self.group() + h) * head_dim;
                head.copy_from_slice(&queries[at..at + head_dim]);
                head.iter_mut().for_each(|x| *x *= scale);
                let out = &mut gathered[(t * self.group() + h) * head_dim..][..head_dim];
                if let (PositionEncoding::Rope(rope), Some(table)) = (encoding, self.inputs.table) {
                    let magnitude = (rope.magnitude * rope.magnitude) as f32;
                    head[..rope.dim()].iter_mut().for_each(|x| *x *= magnitude);
                    angles.resize(2 * table.half(), 0.0);
                    rotate(&head, table.row(offset, angles), false, out);
                } else {
                    out.copy_from_slice(&head);
                }
            }
        }
    }

    /// Takes in one run. Where not every query attends to all of it, strips of queries take the keys that they may see, so
    /// that little is computed only to be masked.
    fn absorb_run(
        &self,
        run: &StoredRun<'_>,
        spans: &[Spans],
        plan: Option<&StatisticsPlan>,
        partial: &mut Partial,
        scratch: &mut Scratch,
    ) {
        let run_end = run.first + run.len as u64;
        let (Some(oldest), Some(newest)) = (spans.first(), spans.last()) else { return };
        if let Some(table) = self.inputs.table {
            // Few queries rotate these on the way.
            if run_end > oldest.clamped_end && self.rows() > VECTOR_ROWS {
                // Exact: offset from the block's first query.
                scratch.rotated.fill(run, self.base(), &|key| key, table, self.inputs.shape.head_dim);
            }
            let policy = self.inputs.policy;
            if run.first < newest.clamped_end && policy.clamped_key(run.first).is_some() {
                let place = |key| policy.clamped_key(key).unwrap_or(0);
                let base = policy.clamped_base(self.base());
                scratch.rotated_clamped.fill(run, base, &place, table, self.inputs.shape.head_dim);
            }
        }
        let seen_whole = run.first >= newest.recent_begin && run_end <= self.base() + 1;
        let strip = if seen_whole { self.count } else { (STRIP_ROWS / self.group()).max(1) };
        for first in (0..self.count).step_by(strip) {
            let queries = first..(first + strip).min(self.count);
            let (oldest, newest) = (&spans[queries.start], &spans[queries.end - 1]);
            let column = |key: u64| (key.clamp(run.first, run_end) - run.first) as usize;
            let begin = if run.first < newest.start_end { 0 } else { column(oldest.recent_begin) };
            let end = column(self.base() + queries.end as u64);
            // A run of start tokens may end before the window begins.
            let end = if run.first < newest.start_end { end.max(column(newest.start_end)) } else { end };
            if begin < end {
                self.absorb_strip(run, begin..end, queries, spans, plan, partial, scratch);
            }
        }
    }

    /// Takes in the keys at `columns` of a run for `queries` of the block.
    #[expect(clippy::too_many_arguments, reason = "one call site; the parts of one step of one loop")]
    fn absorb_strip(
        &self,
        run: &StoredRun<'_>,
        columns: Range<usize>,
        queries: Range<usize>,
        spans: &[Spans],
        plan: Option<&StatisticsPlan>,
        partial: &mut Partial,
        scratch: &mut Scratch,
    ) {
        let (group, head_dim) = (self.group(), self.inputs.shape.head_dim);
        let part = columns.start * run.stride..(columns.end - 1) * run.stride + head_dim;
        let keys = Keys {
            first: run.first + columns.start as u64,
            at: columns.start,
            len: columns.len(),
            keys: run.keys.slice(part.clone()),
            values: run.values.slice(part),
            stride: run.stride,
        };
        let rows = queries.start * group..queries.end * group;
        let (len, end) = (keys.len, keys.first + keys.len as u64);
        let exact = end > spans[queries.start].clamped_end;
        let clamped = keys.first < spans[queries.end - 1].clamped_end;
        if exact || self.inputs.table.is_none() {
            self.products(&keys, Distance::Exact, &rows, scratch);
        }
        let both = exact && clamped && self.inputs.table.is_some();
        if both {
            std::mem::swap(&mut scratch.logits, &mut scratch.far_logits);
            self.products(&keys, Distance::Clamped, &rows, scratch);
            std::mem::swap(&mut scratch.logits, &mut scratch.far_logits);
        } else if clamped && self.inputs.table.is_some() {
            self.products(&keys, Distance::Clamped, &rows, scratch);
        }
        let column = |key: u64| (key.clamp(keys.first, end) - keys.first) as usize;
        for row in rows.clone() {
            let (t, h) = (row / group, row % group);
            let (spans, position) = (&spans[t], self.base() + t as u64);
            let at = (row - rows.start) * len;
            let logits = &mut scratch.logits[at..][..len];
            if both {
                let clamped_columns = column(spans.clamped_end);
                logits[..clamped_columns].copy_from_slice(&scratch.far_logits[at..][..clamped_columns]);
            }
            if let PositionEncoding::Alibi { slopes } = self.inputs.encoding {
                let slope = slopes[self.kv_head * group + h];
                self.add_bias(logits, keys.first, position, slope);
            }
            if let Some(cap) = self.inputs.soft_cap {
                soft_cap(logits, cap);
            }
            logits[column(spans.start_end)..column(spans.recent_begin)].fill(MASKED);
            logits[column(position + 1)..].fill(MASKED);
            if let Some(tiles) = &mut partial.tiles {
                tiles.absorb(row, keys.first, logits);
            }
            let total = partial.absorb(row, logits);
            if let Some(plan) = plan {
                partial.absorb_masses(row, position, keys.first, logits, total, plan);
            }
        }
        let output = &mut partial.output[rows.start * head_dim..rows.end * head_dim];
        if rows.len() <= VECTOR_ROWS {
            let values = Rows { numbers: keys.values, stride: keys.stride, count: len, width: head_dim };
            add_weighted(&scratch.logits[..rows.len() * len], &values, output);
        } else {
            let values = keys.values.numbers();
            let values = View::new(&values, len, head_dim, keys.stride);
            multiply(View::new(&scratch.logits, rows.len(), len, len), values, output, head_dim, true);
        }
    }

    /// `logits = queries · keysᵀ` of the block's `rows`, with the position encoding that rotates vectors.
    fn products(&self, keys: &Keys<'_>, distance: Distance, rows: &Range<usize>, scratch: &mut Scratch) {
        let Inputs { policy, table, shape, .. } = self.inputs;
        let head_dim = shape.head_dim;
        let Scratch { exact_queries, clamped_queries, rotated, rotated_clamped, logits, spare, .. } = scratch;
        let queries = if distance == Distance::Exact { exact_queries } else { clamped_queries };
        let queries = &queries[rows.start * head_dim..rows.end * head_dim];
        logits.resize(rows.len() * keys.len, 0.0);
        let rotated = match distance {
            _ if table.is_none() => None,
            Distance::Exact => Some(rotated),
            Distance::Clamped if policy.clamped_key(keys.first).is_some() => Some(rotated_clamped),
            Distance::Clamped | Distance::Retrieved(_) => None,
        };
        let as_held = Rows { numbers: keys.keys, stride: keys.stride, count: keys.len, width: head_dim };
        if let (Distance::Exact, Some(table), true) = (distance, table, self.rows() <= VECTOR_ROWS) {
            exact_logits(queries, self.base(), &as_held, keys.first, table, spare, logits);
            return;
        }
        let rotated = rotated.map(|rotated| Stored::F32(&rotated.keys[keys.at * head_dim..]));
        let data = rotated.map_or(as_held, |numbers| Rows { numbers, stride: head_dim, ..as_held });
        if rows.len() <= VECTOR_ROWS {
            dot_products(queries, &data, &Angles::default(), logits, keys.len);
        } else {
            let queries = View::new(queries, rows.len(), head_dim, head_dim);
            let numbers = data.numbers.numbers();
            let transposed = View::new(&numbers, keys.len, head_dim, data.stride).transposed();
            multiply(queries, transposed, logits, keys.len, false);
        }
    }

    fn add_bias(&self, logits: &mut [f32], first: u64, position: u64, slope: f64) {
        let policy = self.inputs.policy;
        for (key, logit) in (first..).zip(logits) {
            // Keys that are not attended are masked later; their bias does not matter.
            if let Some(distance) = crate::policy::region(position, key, policy).distance() {
                *logit -= (slope * distance as f64) as f32;
            }
        }
    }
}

impl Rotated {
    /// Rotates the keys of `run` to the offset of their `place` from `base`.
    fn fill(
        &mut self,
        run: &StoredRun<'_>,
        base: u64,
        place: &dyn Fn(u64) -> u64,
        table: &RotaryTable,
        head_dim: usize,
    ) {
        self.keys.resize(run.len * head_dim, 0.0);
        self.angles.resize(2 * table.half(), 0.0);
        let keys = run.keys.numbers();
        let offset = |r: usize| {
            let at = place(run.first + r as u64);
            (at.abs_diff(base), at < base)
        };
        rotate_rows(&keys, run.stride, &offset, table, &mut self.angles, &mut self.keys, head_dim);
    }
}

/// `out[r]` is row `r` ([width]), rotated by its offset, forwards or backwards.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn rotate_rows(
    rows: &[f32],
    stride: usize,
    offset: &dyn Fn(usize) -> (u64, bool),
    table: &RotaryTable,
    spare: &mut [f32],
    out: &mut [f32],
    width: usize,
) {
    for (r, out) in out.chunks_exact_mut(width).enumerate() {
        let (offset, backwards) = offset(r);
        rotate(&rows[r * stride..][..width], table.row(offset, spare), backwards, out);
    }
}
