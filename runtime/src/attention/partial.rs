//! Running softmax of a set of rows over part of the keys: mergeable, so that keys can be split between threads.
//!
//! What NaN and infinities do is decided in [`crate::kernels::elementwise`]: the sum of a row with NaN or +inf is NaN, and
//! stays NaN whatever comes after. [`Partial::has_softmax`] tells such rows, and rows of only −inf, from the others.

use super::inputs::MASKED;
use super::tiles::RowTiles;
use crate::kernels::elementwise::{exp_shifted, exp_shifted_with_entropy, larger, maximum, sum};
use crate::probe::StatisticsPlan;

/// State of the online softmax (Milakov & Gimelshein 2018) of `rows` queries, with the sums that the statistics need.
#[derive(Clone, Debug)]
pub struct Partial {
    head_dim: usize,
    buckets: usize,
    /// Largest logit so far, `MASKED` before the first key. `[rows]`
    pub max: Vec<f32>,
    /// Σ e, with e = exp(logit − max). `[rows]`
    pub sum: Vec<f32>,
    /// Σ e·value. [rows, head_dim]
    pub output: Vec<f32>,
    /// Σ e·(logit − max); empty without statistics. `[rows]`
    pub weighted: Vec<f32>,
    /// Σ e over start tokens. `[rows]`
    pub start: Vec<f32>,
    /// Σ e by bucket of true distance. [rows, buckets]
    pub distance: Vec<f32>,
    /// Largest logits by tile of keys, where they are wanted.
    pub tiles: Option<RowTiles>,
}

impl Partial {
    /// Before the first key.
    pub fn new(rows: usize, head_dim: usize, plan: Option<&StatisticsPlan>) -> Self {
        let (watched, buckets) = plan.map_or((0, 0), |plan| (rows, plan.distance_edges.len()));
        Self {
            head_dim,
            buckets,
            max: vec![MASKED; rows],
            sum: vec![0.0; rows],
            output: vec![0.0; rows * head_dim],
            weighted: vec![0.0; watched],
            start: vec![0.0; watched],
            distance: vec![0.0; watched * buckets],
            tiles: None,
        }
    }

    /// Whether `row` has a softmax: no logit was NaN or +inf, and one at least was above −inf.
    pub fn has_softmax(&self, row: usize) -> bool {
        // Also false for NaN.
        self.sum[row] > 0.0
    }

    /// Σ e of `row` over its keys and its learned sink, relative to the largest logit of its keys: what probabilities are divided by.
    /// NaN where it has no softmax.
    pub fn total(&self, row: usize, sink: Option<f32>) -> f64 {
        let keys = f64::from(self.sum[row]);
        match sink {
            None if self.has_softmax(row) => keys,
            None => f64::NAN,
            // Of a row of only −inf the sink has everything.
            Some(sink) => keys + (f64::from(sink) - f64::from(self.max[row])).exp(),
        }
    }

    /// Takes in the logits of `row` for consecutive keys (`MASKED` where not attended), and leaves their exponentials
    /// in place for the product with the values, which the caller adds to `output`. Returns their sum.
    pub fn absorb(&mut self, row: usize, logits: &mut [f32]) -> f32 {
        let max = larger(maximum(logits), self.max[row]);
        if max == MASKED {
            logits.fill(0.0);
            return 0.0;
        }
        self.rescale(row, max);
        let sum = if self.weighted.is_empty() {
            exp_shifted(logits, max)
        } else {
            let (sum, weighted) = exp_shifted_with_entropy(logits, max);
            self.weighted[row] += weighted;
            sum
        };
        self.sum[row] += sum;
        sum
    }

    /// Adds the masses of `exponentials`, those of keys `first..` for the query of `row` at `position`. `total` is their sum, as
    /// [`Self::absorb`] gives it.
    pub fn absorb_masses(
        &mut self,
        row: usize,
        position: u64,
        first: u64,
        exponentials: &[f32],
        total: f32,
        plan: &StatisticsPlan,
    ) {
        if first < plan.start_tokens {
            let len = ((plan.start_tokens - first) as usize).min(exponentials.len());
            self.start[row] += sum(&exponentials[..len]);
        }
        // Bucket b holds distances edges[b]..edges[b + 1], that is keys position − edges[b + 1] + 1 ..= position − edges[b].
        let end = first + exponentials.len() as u64;
        let edges = plan.distance_edges.as_slice();
        // The buckets of the nearest key and of the farthest; most runs lie in one.
        let bucket = |distance| edges.partition_point(|&edge| edge <= distance).saturating_sub(1);
        let nearest = bucket((position + 1).saturating_sub(end));
        let farthest = bucket(position.saturating_sub(first));
        for (bucket, &edge) in edges.iter().enumerate().take(farthest + 1).skip(nearest) {
            let next = edges.get(bucket + 1).copied().unwrap_or(u64::MAX);
            let last = (position + 1).saturating_sub(edge).min(end);
            let begin = (position + 1).saturating_sub(next).max(first);
            if begin < last {
                let keys = &exponentials[(begin - first) as usize..(last - first) as usize];
                self.distance[row * self.buckets + bucket] += match keys.len() {
                    // What `sum` does of so few, without a call.
                    0..16 => keys.iter().sum(),
                    // A rest behind the last sixteen would be added in another order.
                    len if len == exponentials.len() && len.is_multiple_of(16) => total,
                    _ => sum(keys),
                };
            }
        }
    }

    /// Joins the state over other keys.
    pub fn merge(&mut self, mut other: Self) {
        for row in 0..self.max.len() {
            let max = larger(self.max[row], other.max[row]);
            self.rescale(row, max);
            other.rescale(row, max);
            self.sum[row] += other.sum[row];
        }
        for (into, from) in [
            (&mut self.output, &other.output),
            (&mut self.weighted, &other.weighted),
            (&mut self.start, &other.start),
            (&mut self.distance, &other.distance),
        ] {
            into.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        }
        if let (Some(own), Some(more)) = (&mut self.tiles, &other.tiles) {
            own.merge(more);
        }
    }

    /// Expresses all sums of `row` relative to `max`.
    fn rescale(&mut self, row: usize, max: f32) {
        let old = self.max[row];
        if old == max {
            return;
        }
        self.max[row] = max;
        // Before the first key there is nothing to scale.
        let scale = if old == MASKED { 0.0 } else { (old - max).exp() };
        let sum = self.sum[row];
        self.sum[row] *= scale;
        self.output[row * self.head_dim..][..self.head_dim].iter_mut().for_each(|x| *x *= scale);
        if !self.weighted.is_empty() {
            let shift = if old == MASKED { 0.0 } else { old - max };
            self.weighted[row] = scale * (self.weighted[row] + shift * sum);
            self.start[row] *= scale;
            self.distance[row * self.buckets..][..self.buckets].iter_mut().for_each(|x| *x *= scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bucket by bucket, key by key.
    fn plain(position: u64, first: u64, exponentials: &[f32], edges: &[u64]) -> Vec<f32> {
        let of = |bucket: usize| {
            let within = |key: u64| {
                let next = edges.get(bucket + 1).copied().unwrap_or(u64::MAX);
                position.checked_sub(key).is_some_and(|distance| (edges[bucket]..next).contains(&distance))
            };
            let keys = (first..).zip(exponentials).filter(|&(key, _)| within(key));
            sum(&keys.map(|(_, &e)| e).collect::<Vec<_>>())
        };
        (0..edges.len()).map(of).collect()
    }

    #[test]
    fn masses_by_distance_are_those_of_the_plain_loop_bit_for_bit() {
        let doubling: Vec<u64> = std::iter::once(0).chain((0..20).map(|bit| 1 << bit)).collect();
        for edges in [&doubling[..], &[0], &[0, 5], &[0, 16, 1000, 1_000_000_000], &[]] {
            let plan = StatisticsPlan { start_tokens: 10, distance_edges: edges.to_vec(), tile: None };
            for position in [0, 1, 15, 16, 17, 255, 256, 257, 4095, 1_000_000_007] {
                for len in [1, 15, 16, 17, 48, 256] {
                    for back in [0, 1, 8, len, len + 1, 511, 1024, 5000, 1_000_000_000] {
                        let first = u64::saturating_sub(position, back);
                        let mut partial = Partial::new(2, 4, Some(&plan));
                        let mut exponentials: Vec<f32> =
                            (0..len).map(|i| (i as f32 * 0.9).sin() * 3.0).collect();
                        // Keys after the query are masked.
                        (first..)
                            .zip(&mut exponentials)
                            .filter(|(key, _)| *key > position)
                            .for_each(|(_, logit)| *logit = MASKED);
                        let total = partial.absorb(1, &mut exponentials);
                        partial.absorb_masses(1, position, first, &exponentials, total, &plan);
                        let expected = plain(position, first, &exponentials, edges);
                        let case = format!("{len} keys from {first} for {position} in {edges:?}");
                        assert_eq!(partial.distance[edges.len()..], expected, "{case}");
                        assert!(partial.distance[..edges.len()].iter().all(|&mass| mass == 0.0), "{case}");
                    }
                }
            }
        }
    }
}
