//! The specification: every query, every key, one at a time. O(n²), obvious, f32 or f64.

use num_traits::Float;

use crate::policy::{AttentionPolicy, Region, region};
use crate::position::PositionEncoding;

/// What a model does to the logits of a row beside its position encoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowForm {
    /// A logit `w` becomes `cap · tanh(w / cap)`. Retrieved keys are chosen by the logits before it.
    pub soft_cap: Option<f64>,
    /// The logit of the head's learned sink, which stands in the softmax beside those of the keys and has no value. It is not capped.
    pub sink: Option<f64>,
}

/// What [`dense`] returns for one head.
#[derive(Clone, Debug)]
pub struct DenseHead<T> {
    /// Σ p·v. [queries, head_dim]
    pub output: Vec<T>,
    /// Scaled logits; −inf where a key is not attended. [queries, keys]
    pub logits: Vec<T>,
}

/// Attention of one head over keys at `positions` (ascending, one per row of `keys`), for the last `queries` of them.
///
/// * `queries`: [queries, head_dim], `keys` and `values`: [keys, head_dim], all before the position encoding;
/// * `head`: index of the query head (ALiBi's slope);
/// * `policy`: that of the layer ([`AttentionPolicy::at_layer`]);
/// * `form`: soft cap and learned sink.
///
/// Every query attends to itself at least, so that no row is fully masked.
///
/// # Numbers that are not finite
/// * A logit that is NaN or +inf makes the whole row NaN: its softmax has no value. A soft cap makes ±cap of ±inf.
/// * A key whose logit is −inf has weight 0, and its value does not enter, whatever it is: it is as if it were masked.
/// * A row of only −inf is NaN; with a sink it is 0.
/// * A value that is not finite makes the output of the queries that attend to it so, and of no other.
pub fn dense<T: Float>(
    (queries, keys, values): (&[T], &[T], &[T]),
    positions: &[u64],
    head: usize,
    policy: &AttentionPolicy,
    encoding: &PositionEncoding,
    RowForm { soft_cap, sink }: RowForm,
) -> DenseHead<T> {
    let key_count = positions.len();
    let head_dim = keys.len() / key_count.max(1);
    let query_count = queries.len() / head_dim.max(1);
    let mut result = DenseHead { output: Vec::new(), logits: Vec::new() };
    for (q, &i) in positions[key_count - query_count..].iter().enumerate() {
        let temperature = T::from(policy.query_scale(i)).expect("every float type holds an f64, rounded");
        let query: Vec<T> = queries[q * head_dim..][..head_dim].iter().map(|&x| x * temperature).collect();
        let regions: Vec<Region> = positions.iter().map(|&j| region(i, j, policy)).collect();
        let mut row: Vec<T> = regions
            .iter()
            .enumerate()
            .map(|(k, region)| match region.distance() {
                Some(distance) => encoding.logit(head, &query, &keys[k * head_dim..][..head_dim], distance),
                None => T::neg_infinity(),
            })
            .collect();
        let mut seen: Vec<bool> = regions.iter().map(|region| region.distance().is_some()).collect();
        if let Some(retrieved) = policy.retrieved {
            drop_unchosen(&mut row, &mut seen, &regions, retrieved.k as usize);
        }
        if let Some(cap) = soft_cap.and_then(T::from) {
            row.iter_mut()
                .zip(&seen)
                .filter(|(_, seen)| **seen)
                .for_each(|(w, _)| *w = cap * (*w / cap).tanh());
        }
        let attended = || row.iter().enumerate().filter(|(_, w)| **w != T::neg_infinity());
        // A NaN passes by this maximum, and makes the sum NaN; so does +inf − (+inf). Of nothing the sum is 0.
        let sink = sink.and_then(T::from);
        let logits = || attended().map(|(_, &w)| w).chain(sink);
        let max = logits().fold(T::neg_infinity(), |m, w| m.max(w));
        let sum = logits().fold(T::zero(), |s, w| s + (w - max).exp());
        for d in 0..head_dim {
            let mean =
                attended().fold(T::zero(), |s, (k, &w)| s + (w - max).exp() * values[k * head_dim + d]);
            result.output.push(mean / sum);
        }
        result.logits.extend(row);
    }
    result
}

/// Masks all retrieved keys but the `k` with the largest logit; of equal ones the earlier is kept. NaN ranks above every
/// number: which keys are the largest is not known then, and the row is to say so.
fn drop_unchosen<T: Float>(row: &mut [T], seen: &mut [bool], regions: &[Region], k: usize) {
    let mut candidates: Vec<usize> =
        (0..row.len()).filter(|&j| matches!(regions[j], Region::Retrieved { .. })).collect();
    let (mut numbers, others): (Vec<_>, Vec<_>) = candidates.drain(..).partition(|&j| !row[j].is_nan());
    // A stable sort: equal logits stay in order of position.
    numbers.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).expect("no NaN is left"));
    for j in others.into_iter().chain(numbers).skip(k) {
        row[j] = T::neg_infinity();
        seen[j] = false;
    }
}
