//! One whole attention row, for probes: the logits of one query of one head over every key it attends to.

use super::inputs::Inputs;
use super::query_block::{QueryBlock, Scratch};
use crate::kernels::rotary::rotary_dot;
use crate::policy::{Region, region};
use crate::position::PositionEncoding;
use crate::probe::KeyRun;

/// One key that a query attends to.
struct Attended<'a> {
    position: u64,
    region: Region,
    /// Scaled.
    logit: f32,
    /// `[head_dim]`
    value: &'a [f32],
}

/// Scaled logits of chunk query `t` of `head`, as runs of consecutive keys of one region, ascending.
///
/// Costs as much as the specification: O(attended keys · head_dim).
pub fn attention_row(inputs: &Inputs<'_>, head: usize, t: usize) -> Vec<KeyRun> {
    let mut runs: Vec<KeyRun> = Vec::new();
    each_attended(inputs, head, t, &mut |key| push(&mut runs, key.position, key.region, key.logit));
    runs.sort_by_key(|run| run.first_key);
    runs
}

/// Σ p·v of chunk query `t` of `head` into `out` (`[head_dim]`), key by key in f64, as the specification has it: values of
/// keys that are not attended, or whose logit is −inf, do not enter, whatever they are. For rows that have a softmax.
pub(super) fn weighted_mean(inputs: &Inputs<'_>, head: usize, t: usize, out: &mut [f32]) {
    let mut keys: Vec<(f32, Vec<f32>)> = Vec::new();
    each_attended(inputs, head, t, &mut |key| {
        if key.logit != f32::NEG_INFINITY {
            keys.push((key.logit, key.value.to_vec()));
        }
    });
    if keys.is_empty() {
        return out.fill(0.0);
    }
    let max = keys.iter().fold(f32::NEG_INFINITY, |most, (logit, _)| most.max(*logit));
    let weights: Vec<f64> = keys.iter().map(|(logit, _)| f64::from(logit - max).exp()).collect();
    let sink = inputs.sink(head).map_or(0.0, |sink| f64::from(sink - max).exp());
    let total: f64 = weights.iter().sum::<f64>() + sink;
    for (d, out) in out.iter_mut().enumerate() {
        let products = weights.iter().zip(&keys).map(|(weight, (_, value))| weight * f64::from(value[d]));
        *out = (products.sum::<f64>() / total) as f32;
    }
}

/// Gives `each` the keys of chunk query `t` of `head`; retrieved keys last.
fn each_attended(inputs: &Inputs<'_>, head: usize, t: usize, each: &mut dyn FnMut(Attended<'_>)) {
    let (head_dim, heads) = (inputs.shape.head_dim, inputs.shape.heads);
    let position = inputs.first_position + t as u64;
    let temperature = inputs.policy.query_scale(position) as f32;
    let query: Vec<f32> =
        inputs.queries[(t * heads + head) * head_dim..][..head_dim].iter().map(|x| x * temperature).collect();
    let wide: Vec<f64> = query.iter().copied().map(f64::from).collect();
    let mut spare = Vec::new();
    let mut unpacked = Default::default();
    for run in inputs.runs(head / inputs.shape.group(), position..position + 1) {
        let run = run.read(&mut unpacked);
        for r in 0..run.len {
            let key_position = run.first + r as u64;
            let region = region(position, key_position, inputs.policy);
            let Some(distance) = region.distance() else { continue };
            let key = &run.keys[r * run.stride..][..head_dim];
            let logit = match (inputs.encoding, inputs.table) {
                (PositionEncoding::Rope(rope), Some(table)) => {
                    spare.resize(2 * table.half(), 0.0);
                    rope_logit(&wide, key, table.row(distance, &mut spare), rope.magnitude)
                }
                _ => inputs.encoding.logit(head, &query, key, distance),
            };
            let value = &run.values[r * run.stride..][..head_dim];
            each(Attended { position: key_position, region, logit: inputs.capped(logit), value });
        }
    }
    if let Some(retrieved) = inputs.policy.retrieved {
        let block = QueryBlock::new(inputs, head / inputs.shape.group(), t, 1);
        let h = head % inputs.shape.group();
        let bias = block.bias(h, retrieved.distance);
        for chosen in &block.retrieved(retrieved, &mut Scratch::default())[h] {
            let region = Region::Retrieved { distance: retrieved.distance };
            let (logit, value) = (inputs.capped(chosen.logit - bias), &*chosen.value);
            each(Attended { position: chosen.position, region, logit, value });
        }
    }
}

/// Puts a key behind the last one, or begins a new run.
fn push(runs: &mut Vec<KeyRun>, position: u64, seen: Region, logit: f32) {
    match runs.last_mut() {
        Some(last)
            if last.first_key + last.logits.len() as u64 == position
                && std::mem::discriminant(&last.region) == std::mem::discriminant(&seen) =>
        {
            last.logits.push(logit);
        }
        _ => runs.push(KeyRun { first_key: position, region: seen, logits: vec![logit] }),
    }
}

/// `(R_d q)·k / sqrt(head_dim)` with the angles of `row`, in f64.
fn rope_logit(query: &[f64], key: &[f32], row: &[f32], magnitude: f64) -> f32 {
    let rotated = rotary_dot(query, key, row);
    let passed: f64 = (row.len()..query.len()).map(|j| query[j] * f64::from(key[j])).sum();
    ((rotated * magnitude.powi(2) + passed) / (query.len() as f64).sqrt()) as f32
}
