//! Attention entropy and the attention sink against context length (factor 2; paper section 3, Fig. 1b).
//!
//! `H_i = −Σ_j p_ij ln p_ij` over the attended keys of query `i`, in nats, bounded by `ln n` for `n` attended keys; the
//! kernel computes it as `lse − Σ p·logit`. Sink: `Σ_{j < start} p_ij`, a share of 1. Both arrive per layer, head and
//! query, and are averaged by bins of query position. NaN and ±inf are counted and left out; an empty bin has no value.

use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::curve::BandCurve;
use crate::error::Result;
use crate::head_means::HeadMeans;

/// Streaming entropy and start mass by layer, head and position.
#[derive(Clone, Debug, PartialEq)]
pub struct EntropyAccumulator {
    /// Entropy, in nats.
    pub entropy: HeadMeans,
    /// Probability on the start tokens.
    pub start_mass: HeadMeans,
}

impl EntropyAccumulator {
    /// Empty.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let means = HeadMeans::new(layers, heads, bins);
        Self { entropy: means.clone(), start_mass: means }
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
        self.start_mass.push(layer, head, position, start_mass)
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.entropy.merge(&other.entropy)?;
        self.start_mass.merge(&other.start_mass)
    }
}

/// What the entropy does beyond the training length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntropyGrowth {
    /// Largest mean over heads up to the training length, in nats.
    pub inside: f64,
    /// Largest mean over heads beyond it, in nats; `None` if the text ends before.
    pub outside: Option<f64>,
    /// First position whose mean over heads exceeds `inside` by more than the margin.
    pub exceeds_from: Option<f64>,
    /// The margin, in nats.
    pub margin: f64,
}

/// Compares the curve on both sides of `trained_length`. `None` if it has no value inside.
pub fn growth(curve: &BandCurve, trained_length: u64, margin: f64) -> Option<EntropyGrowth> {
    let trained = trained_length as f64;
    let largest = |keep: &dyn Fn(f64) -> bool| {
        curve.points().filter(|&(x, ..)| keep(x)).map(|(_, mean, _)| mean).reduce(f64::max)
    };
    let inside = largest(&|x| x < trained)?;
    let beyond = curve.points().find(|&(x, mean, _)| x >= trained && mean > inside + margin);
    Some(EntropyGrowth {
        inside,
        outside: largest(&|x| x >= trained),
        exceeds_from: beyond.map(|(x, ..)| x),
        margin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let growth = growth(&curve, 256, 0.1).expect("has an inside");
        assert!((growth.inside - 248.0_f64.ln()).abs() < 0.01);
        assert!((growth.outside.expect("beyond") - 1016.0_f64.ln()).abs() < 0.01);
        let from = growth.exceeds_from.expect("exceeds");
        assert!((270.0..300.0).contains(&from), "{from}");
    }

    #[test]
    fn a_flat_entropy_never_exceeds() {
        let curve = BandCurve { x: vec![0.0, 9.0, 20.0], mean: vec![Some(2.0); 3], std: vec![Some(0.0); 3] };
        let flat = growth(&curve, 10, 0.1).expect("has an inside");
        assert_eq!((flat.inside, flat.outside, flat.exceeds_from), (2.0, Some(2.0), None));
        assert_eq!(growth(&curve, 100, 0.1).expect("has an inside").outside, None);
        assert_eq!(growth(&BandCurve::default(), 10, 0.1), None);
    }

    #[test]
    fn shards_merge() {
        let mut merged = EntropyAccumulator::new(1, 2, Bins::linear(16, 64));
        merged.merge(&uniform(16)).expect("same shape");
        assert_eq!(merged, uniform(16));
    }
}
