//! The product: queries in blocks, keys gathered as start block and window span, online softmax over runs of keys.
//!
//! Time is O(n·(start + window)), scratch memory independent of n; retrieved keys add a search ([`super::retrieved`]). A policy without a window runs through the same
//! code with a span that reaches back to the first token. Equal to [`super::dense`] up to rounding (see tests), also in
//! which rows are not finite.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::inputs::{Inputs, ROWS, Shape};
use super::partial::Partial;
use super::query_block::{QueryBlock, Scratch};
use super::row::weighted_mean;
use crate::cache::StoredRun;
use crate::probe::{HeadStatistics, StatisticsPlan};

/// A block with fewer rows is split over its keys too, this many at a time, so that all threads decode.
const SPLIT_KEYS: usize = 512;
const SPLIT_BELOW_ROWS: usize = 32;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Attention of a chunk: writes Σ p·v to `out` ([tokens, heads, head_dim]), and statistics where they are asked for.
#[cfg(test)]
pub fn attend(
    inputs: &Inputs<'_>,
    out: &mut [f32],
    statistics: Option<(&StatisticsPlan, &mut HeadStatistics)>,
) {
    attend_heads(inputs, &|_| true, out, statistics);
}

/// Attention of a chunk in the heads that `wanted` names alone: writes their Σ p·v to `out` ([tokens, heads, head_dim]), and their
/// statistics where those are asked for: into statistics of all heads, which are made where they are of no query yet. What
/// is of other heads stays as it is. Costs as much as all heads of the groups that have a wanted one.
pub fn attend_heads(
    inputs: &Inputs<'_>,
    wanted: &dyn Fn(usize) -> bool,
    out: &mut [f32],
    statistics: Option<(&StatisticsPlan, &mut HeadStatistics)>,
) {
    let Shape { heads, kv_heads, head_dim } = inputs.shape;
    let (tokens, group) = (inputs.tokens(), inputs.shape.group());
    let queries = (ROWS / group).max(1).next_multiple_of(16);
    let plan = statistics.as_ref().map(|(plan, _)| *plan);
    let blocks: Vec<(usize, usize, usize)> = (0..kv_heads)
        .filter(|kv_head| (kv_head * group..(kv_head + 1) * group).any(wanted))
        .flat_map(|kv_head| {
            (0..tokens).step_by(queries).map(move |first| (kv_head, first, queries.min(tokens - first)))
        })
        .collect();
    let partials: Vec<Partial> = blocks
        .par_iter()
        .map(|&(kv_head, first, count)| {
            let position = inputs.first_position + first as u64;
            let runs = inputs.runs(kv_head, position..position + count as u64);
            let block = QueryBlock::new(inputs, kv_head, first, count);
            let over =
                |runs: &[StoredRun<'_>]| SCRATCH.with_borrow_mut(|scratch| block.run(runs, plan, scratch));
            let with_retrieved = |mut partial: Partial| {
                if let Some(retrieved) = inputs.policy.retrieved {
                    SCRATCH.with_borrow_mut(|scratch| {
                        block.absorb_retrieved(retrieved, &mut partial, plan, scratch)
                    });
                }
                partial
            };
            if count * group >= SPLIT_BELOW_ROWS {
                return with_retrieved(over(&runs));
            }
            // Parts depend on the keys alone and are joined in order, so that threads do not change the result.
            let parts = parts(&runs);
            let partials: Vec<Partial> = parts.into_par_iter().map(|part| over(&runs[part])).collect();
            let joined = partials.into_iter().reduce(|mut all, part| {
                all.merge(part);
                all
            });
            with_retrieved(joined.unwrap_or_else(|| Partial::new(count * group, head_dim, plan)))
        })
        .collect();
    for (&(kv_head, first, count), partial) in blocks.iter().zip(&partials) {
        for row in 0..group * count {
            let (t, head) = (first + row / group, kv_head * group + row % group);
            if !wanted(head) {
                continue;
            }
            let at = (t * heads + head) * head_dim;
            let out = &mut out[at..at + head_dim];
            let total = partial.total(row, inputs.sink(head));
            if total.is_nan() {
                out.fill(f32::NAN);
                continue;
            }
            // Where a sink leaves nothing for the keys it is infinite, and they are 0.
            let total = total as f32;
            for (out, x) in out.iter_mut().zip(&partial.output[row * head_dim..]) {
                *out = x / total;
            }
            if out.iter().any(|x| !x.is_finite()) {
                // A value is not finite. In the products of a block 0 times it is NaN for every query of the block.
                weighted_mean(inputs, head, t, out);
            }
        }
    }
    if let Some((plan, statistics)) = statistics {
        if statistics.queries == 0 {
            *statistics = empty(inputs, plan);
        }
        for (&block, partial) in blocks.iter().zip(&partials) {
            record(inputs, block, partial, wanted, statistics);
        }
    }
}

/// Ranges of `runs` of about [`SPLIT_KEYS`] keys each.
fn parts(runs: &[StoredRun<'_>]) -> Vec<Range<usize>> {
    let (mut parts, mut first, mut keys) = (Vec::new(), 0, 0);
    for (index, run) in runs.iter().enumerate() {
        keys += run.len;
        if keys >= SPLIT_KEYS {
            parts.push(first..index + 1);
            (first, keys) = (index + 1, 0);
        }
    }
    if first < runs.len() {
        parts.push(first..runs.len());
    }
    parts
}

fn empty(inputs: &Inputs<'_>, plan: &StatisticsPlan) -> HeadStatistics {
    let (heads, queries, buckets) = (inputs.shape.heads, inputs.tokens(), plan.distance_edges.len());
    let zeros = || vec![0.0; heads * queries];
    HeadStatistics {
        first_position: inputs.first_position,
        heads,
        queries,
        buckets,
        max_logit: zeros(),
        log_sum_exp: zeros(),
        entropy: zeros(),
        start_mass: zeros(),
        sink_mass: if inputs.sinks.is_some() { zeros() } else { Vec::new() },
        bucket_mass: vec![0.0; heads * queries * buckets],
        tiles: Vec::new(),
    }
}

fn record(
    inputs: &Inputs<'_>,
    (kv_head, first, count): (usize, usize, usize),
    partial: &Partial,
    wanted: &dyn Fn(usize) -> bool,
    into: &mut HeadStatistics,
) {
    let group = inputs.shape.group();
    for row in 0..group * count {
        let (t, h) = (row / group, row % group);
        if !wanted(kv_head * group + h) {
            continue;
        }
        let at = (kv_head * group + h) * into.queries + first + t;
        let sink = inputs.sink(kv_head * group + h);
        if !partial.has_softmax(row) {
            let HeadStatistics { max_logit, log_sum_exp, entropy, start_mass, sink_mass, .. } = &mut *into;
            for values in [max_logit, log_sum_exp, entropy, start_mass, sink_mass] {
                values.iter_mut().skip(at).take(1).for_each(|value| *value = f32::NAN);
            }
            into.bucket_mass[at * into.buckets..][..into.buckets].fill(f32::NAN);
            continue;
        }
        let (sum, log_sum) = (partial.sum[row], partial.sum[row].ln());
        let total = partial.total(row, sink);
        // Of what goes to keys, exactly 1 without a sink.
        let share = (f64::from(sum) / total) as f32;
        into.max_logit[at] = partial.max[row];
        into.log_sum_exp[at] = match sink {
            None => partial.max[row] + log_sum,
            Some(_) => (f64::from(partial.max[row]) + total.ln()) as f32,
        };
        if let Some(mass) = into.sink_mass.get_mut(at) {
            *mass = (1.0 - f64::from(sum) / total) as f32;
        }
        // H = lse − Σ p·w, both relative to the maximum, so that large logits cost no digits. Rounding may leave −0; all of
        // it is finite here.
        into.entropy[at] = (log_sum - partial.weighted[row] / sum).max(0.0);
        into.start_mass[at] = partial.start[row] / sum * share;
        let masses = &partial.distance[row * into.buckets..][..into.buckets];
        for (out, mass) in into.bucket_mass[at * into.buckets..].iter_mut().zip(masses) {
            *out = mass / sum * share;
        }
    }
    if let Some(tiles) = &partial.tiles {
        let begin = into.first_position + first as u64;
        for h in (0..group).filter(|h| wanted(kv_head * group + h)) {
            let row = |t: usize| t * group + h;
            let log_sum_exp = |t| match row(t) {
                row if partial.has_softmax(row) && inputs.sinks.is_none() => {
                    partial.max[row] + partial.sum[row].ln()
                }
                row if partial.has_softmax(row) => {
                    let total = partial.total(row, inputs.sink(kv_head * group + h));
                    (f64::from(partial.max[row]) + total.ln()) as f32
                }
                _ => f32::NAN,
            };
            let queries = begin..begin + count as u64;
            into.tiles.extend(tiles.report(kv_head * group + h, queries, row, log_sum_exp));
        }
    }
}
