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
use crate::cache::Run;
use crate::probe::{HeadStatistics, StatisticsPlan};

/// A block with fewer rows is split over its keys too, this many at a time, so that all threads decode.
const SPLIT_KEYS: usize = 1024;
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
            let over = |runs: &[Run<'_>]| SCRATCH.with_borrow_mut(|scratch| block.run(runs, plan, scratch));
            let with_middle = |mut partial: Partial| {
                if let Some(middle) = inputs.policy.middle {
                    SCRATCH
                        .with_borrow_mut(|scratch| block.absorb_middle(middle, &mut partial, plan, scratch));
                }
                partial
            };
            if count * group >= SPLIT_BELOW_ROWS {
                return with_middle(over(&runs));
            }
            // Parts depend on the keys alone and are joined in order, so that threads do not change the result.
            let parts = parts(&runs);
            let partials: Vec<Partial> = parts.into_par_iter().map(|part| over(&runs[part])).collect();
            let joined = partials.into_iter().reduce(|mut all, part| {
                all.merge(part);
                all
            });
            with_middle(joined.unwrap_or_else(|| Partial::new(count * group, head_dim, plan)))
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
            if !partial.has_softmax(row) {
                out.fill(f32::NAN);
                continue;
            }
            let sum = partial.sum[row];
            for (out, x) in out.iter_mut().zip(&partial.output[row * head_dim..]) {
                *out = x / sum;
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
            record(block, group, partial, wanted, statistics);
        }
    }
}

/// Ranges of `runs` of about [`SPLIT_KEYS`] keys each.
fn parts(runs: &[Run<'_>]) -> Vec<Range<usize>> {
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
        bucket_mass: vec![0.0; heads * queries * buckets],
        tiles: Vec::new(),
    }
}

fn record(
    (kv_head, first, count): (usize, usize, usize),
    group: usize,
    partial: &Partial,
    wanted: &dyn Fn(usize) -> bool,
    into: &mut HeadStatistics,
) {
    for row in 0..group * count {
        let (t, h) = (row / group, row % group);
        if !wanted(kv_head * group + h) {
            continue;
        }
        let at = (kv_head * group + h) * into.queries + first + t;
        if !partial.has_softmax(row) {
            for values in
                [&mut into.max_logit, &mut into.log_sum_exp, &mut into.entropy, &mut into.start_mass]
            {
                values[at] = f32::NAN;
            }
            into.bucket_mass[at * into.buckets..][..into.buckets].fill(f32::NAN);
            continue;
        }
        let (sum, log_sum) = (partial.sum[row], partial.sum[row].ln());
        into.max_logit[at] = partial.max[row];
        into.log_sum_exp[at] = partial.max[row] + log_sum;
        // H = lse − Σ p·w, both relative to the maximum, so that large logits cost no digits. Rounding may leave −0; all of
        // it is finite here.
        into.entropy[at] = (log_sum - partial.weighted[row] / sum).max(0.0);
        into.start_mass[at] = partial.start[row] / sum;
        let masses = &partial.distance[row * into.buckets..][..into.buckets];
        for (out, mass) in into.bucket_mass[at * into.buckets..].iter_mut().zip(masses) {
            *out = mass / sum;
        }
    }
    if let Some(tiles) = &partial.tiles {
        let begin = into.first_position + first as u64;
        for h in (0..group).filter(|h| wanted(kv_head * group + h)) {
            let row = |t: usize| t * group + h;
            let log_sum_exp = |t| match row(t) {
                row if partial.has_softmax(row) => partial.max[row] + partial.sum[row].ln(),
                _ => f32::NAN,
            };
            let queries = begin..begin + count as u64;
            into.tiles.extend(tiles.report(kv_head * group + h, queries, row, log_sum_exp));
        }
    }
}
