//! Entropy and start mass of every query, as the attention kernel reports them: NaN for a row that is not finite. Such rows
//! are counted and located by head, and no mean passes over one.

use serde::{Deserialize, Serialize};

use super::growth::{EntropyGrowth, growth_of};
use crate::bins::Bins;
use crate::error::Result;
use crate::grid::row;
use crate::head_means::HeadMeans;
use crate::non_finite::NonFinite;

/// Streaming entropy and start mass by layer, head and position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntropyAccumulator {
    /// Entropy, in nats.
    pub entropy: HeadMeans,
    /// Probability on the start tokens, `Σ_{j < start} p_ij`, a share of 1: the strength of the attention sink.
    pub start_mass: HeadMeans,
    /// Effective number of attended keys, `e^H`: the mean of `e^H` over queries, which is at least `e^(mean H)`.
    pub effective_keys: HeadMeans,
}

/// Entropy of one head on both sides of the training length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadEntropy {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// What it does beyond the training length, and its first break; without what a query that is not finite leaves unknown.
    pub growth: EntropyGrowth,
}

impl EntropyAccumulator {
    /// Empty.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let means = HeadMeans::new(layers, heads, bins);
        Self { entropy: means.clone(), effective_keys: means.clone(), start_mass: means }
    }

    /// Adds consecutive queries of one head, the first at `position`.
    pub fn push(
        &mut self,
        layer: usize,
        head: usize,
        position: u64,
        entropy: &[f32],
        start_mass: &[f32],
    ) -> Result<()> {
        self.entropy.push(layer, head, position, entropy)?;
        let effective = entropy.iter().map(|&entropy| f64::from(entropy).exp());
        self.effective_keys.push_values(layer, head, position, effective)?;
        self.start_mass.push(layer, head, position, start_mass)
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.entropy.merge(&other.entropy)?;
        self.effective_keys.merge(&other.effective_keys)?;
        self.start_mass.merge(&other.start_mass)
    }

    /// Every head that saw queries inside the training length, all of them finite, by the rule of [`EntropyGrowth`]; `end`
    /// is the length of the text.
    pub fn heads(&self, trained_length: u64, end: u64) -> Vec<HeadEntropy> {
        let (means, middles) = (self.entropy.means(), self.entropy.middles(end));
        let (layers, heads, _) = means.dim();
        let cells = (0..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head)));
        let of = |(layer, head)| {
            let values = row(&means, (layer, head));
            let points = middles.iter().copied().zip(values.iter().copied());
            let NonFinite { first, .. } = self.entropy.non_finite_by_head()[[layer, head]];
            let seen = points.filter(|(_, value)| value.is_finite());
            let growth = growth_of(seen, first, trained_length)?;
            Some(HeadEntropy { layer, head, growth })
        };
        cells.filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::growth;

    /// Uniform attention: entropy ln n, start mass start / n.
    fn uniform(n: u64) -> EntropyAccumulator {
        let mut accumulator = EntropyAccumulator::new(1, 2, Bins::linear(n, 64));
        let entropy: Vec<f32> = (1..=n).map(|keys| (keys as f32).ln()).collect();
        let mass: Vec<f32> = (1..=n).map(|keys| (4.0 / keys as f32).min(1.0)).collect();
        for head in 0..2 {
            accumulator.push(0, head, 0, &entropy, &mass).expect("in range");
        }
        accumulator
    }

    #[test]
    fn uniform_attention_grows_like_ln_n() {
        let curve = uniform(1024).entropy.over_heads(1024);
        for (x, mean, std) in curve.points().skip(4) {
            assert!((mean - (x + 1.0).ln()).abs() < 0.02, "{x}: {mean}");
            assert!(std < 1e-12);
        }
        let growth = growth(&curve, 256).expect("has an inside");
        assert!((growth.inside - 248.0_f64.ln()).abs() < 0.01);
        assert!((growth.outside.expect("beyond") - 1016.0_f64.ln()).abs() < 0.01);
    }

    #[test]
    fn uniform_attention_attends_to_all_keys() {
        let seen = uniform(1024);
        let (effective, middles) = (seen.effective_keys.means(), seen.effective_keys.middles(1024));
        for (found, middle) in effective.iter().zip(middles) {
            assert!((found - (middle + 1.0)).abs() < 1e-3 * found, "{found} at {middle}");
        }
    }

    #[test]
    fn only_the_head_that_spreads_grows() {
        let mut seen = EntropyAccumulator::new(1, 3, Bins::linear(64, 16));
        let (flat, spread) = ([1.5_f32; 64], (1..=64).map(|keys| (keys as f32).ln()).collect::<Vec<_>>());
        for (head, entropy) in [(0, &flat[..]), (1, &spread)] {
            seen.push(0, head, 0, entropy, &[0.0; 64]).expect("in range");
        }
        let [first, second] = seen.heads(32, 64).try_into().expect("the third head saw nothing");
        assert_eq!((first.head, first.growth.outside), (0, Some(first.growth.inside)));
        assert!(second.head == 1 && second.growth.outside > Some(second.growth.inside + 0.5), "{second:?}");
    }

    #[test]
    fn a_head_that_is_not_finite_has_no_largest_entropy() {
        for (broken_at, inside) in [(40, Some(1.5)), (5, None)] {
            let mut seen = EntropyAccumulator::new(1, 2, Bins::linear(64, 16));
            let mut entropy = [1.5_f32; 64];
            seen.push(0, 1, 0, &entropy, &[0.5; 64]).expect("in range");
            entropy[broken_at] = f32::NAN;
            seen.push(0, 0, 0, &entropy, &[0.5; 64]).expect("in range");
            let heads = seen.heads(32, 64);
            let first = heads.iter().find(|head| head.head == 0).map(|head| head.growth);
            assert_eq!(first.map(|growth| growth.inside), inside);
            assert!(first.is_none_or(|growth| growth.outside.or(growth.outside_mean).is_none()));
            let sound = heads.iter().find(|head| head.head == 1).expect("all of it is finite");
            assert_eq!(sound.growth.outside, Some(1.5));
            let seen = seen.entropy.non_finite();
            assert_eq!(seen, NonFinite { count: 1, first: Some(broken_at as u64) });
        }
    }

    #[test]
    fn shards_merge() {
        let mut merged = EntropyAccumulator::new(1, 2, Bins::linear(16, 64));
        merged.merge(&uniform(16)).expect("same shape");
        assert_eq!(merged, uniform(16));
    }
}
