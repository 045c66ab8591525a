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
    /// in place for the product with the values, which the caller adds to `output`.
    pub fn absorb(&mut self, row: usize, logits: &mut [f32]) {
        let max = larger(maximum(logits), self.max[row]);
        if max == MASKED {
            logits.fill(0.0);
            return;
        }
        self.rescale(row, max);
        if self.weighted.is_empty() {
            self.sum[row] += exp_shifted(logits, max);
        } else {
            let (sum, weighted) = exp_shifted_with_entropy(logits, max);
            self.sum[row] += sum;
            self.weighted[row] += weighted;
        }
    }

    /// Adds the masses of `exponentials`, those of keys `first..` for the query of `row` at `position`.
    pub fn absorb_masses(
        &mut self,
        row: usize,
        position: u64,
        first: u64,
        exponentials: &[f32],
        plan: &StatisticsPlan,
    ) {
        if first < plan.start_tokens {
            let len = ((plan.start_tokens - first) as usize).min(exponentials.len());
            self.start[row] += sum(&exponentials[..len]);
        }
        // Bucket b holds distances edges[b]..edges[b + 1], that is keys position − edges[b + 1] + 1 ..= position − edges[b].
        let end = first + exponentials.len() as u64;
        for (bucket, &edge) in plan.distance_edges.iter().enumerate() {
            let next = plan.distance_edges.get(bucket + 1).copied().unwrap_or(u64::MAX);
            let last = (position + 1).saturating_sub(edge).min(end);
            let begin = (position + 1).saturating_sub(next).max(first);
            if begin < last {
                let keys = (begin - first) as usize..(last - first) as usize;
                self.distance[row * self.buckets + bucket] += sum(&exponentials[keys]);
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
