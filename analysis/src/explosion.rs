//! Attention logits against distance (factor 1; paper section 3, Fig. 1a).
//!
//! `M_h(d) = max over attended keys j with i − j ≤ d of w_h(q_i, k_j)`: the prefix maximum over true distance of the
//! signed logit (not of its size), per layer and head, then mean ± std over heads. Raw logits, as the softmax sees them.
//! Keys are binned by distance, so that memory (4 bytes per layer, head and bin) does not depend on the length of a row.
//! Several queries are combined by their maximum. Short distances are then seen by more queries than long ones, which
//! can only hide an explosion, never invent one.
//!
//! −inf is a masked key and is skipped; NaN and +inf are counted and skipped; a head that saw nothing has −inf.

use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::curve::BandCurve;
use crate::error::{Error, Result};

/// Streaming maximum of the logit by layer, head and distance.
#[derive(Clone, Debug, PartialEq)]
pub struct LogitsByDistance {
    bins: Bins,
    /// [layers, heads, bins]
    maxima: Array3<f32>,
    farthest: Option<u64>,
    non_finite: u64,
}

/// One head on both sides of the training length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadExcess {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// Largest logit at distances below the training length.
    pub inside: f32,
    /// Largest logit at distances from the training length on.
    pub outside: f32,
    /// First bin of distance (its lower edge, in tokens) that exceeds `inside` by more than the margin.
    pub exceeds_from: Option<u64>,
}

impl LogitsByDistance {
    /// Empty.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let maxima = Array3::from_elem((layers, heads, bins.len()), f32::NEG_INFINITY);
        Self { bins, maxima, farthest: None, non_finite: 0 }
    }

    /// Adds the logits of consecutive keys, the first at `first_key`, for one query of one head.
    pub fn push(
        &mut self,
        layer: usize,
        head: usize,
        query: u64,
        first_key: u64,
        logits: &[f32],
    ) -> Result<()> {
        let (layers, heads, _) = self.maxima.dim();
        let end = first_key.checked_add(logits.len() as u64);
        if layer >= layers || head >= heads || end.is_none_or(|end| end > query + 1) {
            return Err(Error::mismatch(
                "logits by distance",
                format!("a head of {layers} layers × {heads} heads and keys up to {query}"),
                format!("layer {layer}, head {head}, {} keys from {first_key}", logits.len()),
            ));
        }
        let Some(last) = (logits.len() as u64).checked_sub(1) else { return Ok(()) };
        self.farthest = self.farthest.max(Some(query - first_key));
        // Distances ascend from the last key to the first.
        let nearest = query - first_key - last;
        for (bin, range) in self.bins.split(nearest, logits.len()) {
            let keys = logits.len() - range.end..logits.len() - range.start;
            let cell = &mut self.maxima[[layer, head, bin]];
            for &logit in &logits[keys] {
                if logit < f32::INFINITY {
                    *cell = cell.max(logit);
                } else {
                    self.non_finite += 1;
                }
            }
        }
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.maxima.dim() != other.maxima.dim() || self.bins != other.bins {
            let expected = format!("{:?} with equal bins", self.maxima.dim());
            return Err(Error::mismatch(
                "merging logits by distance",
                expected,
                format!("{:?}", other.maxima.dim()),
            ));
        }
        self.maxima.zip_mut_with(&other.maxima, |a, &b| *a = a.max(b));
        self.farthest = self.farthest.max(other.farthest);
        self.non_finite += other.non_finite;
        Ok(())
    }

    /// Bins of distance.
    pub fn bins(&self) -> &Bins {
        &self.bins
    }

    /// Logits that were NaN or +inf.
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// Maximum per bin, of shape [layers, heads, bins]; −inf where no key was attended.
    pub fn maxima(&self) -> &Array3<f32> {
        &self.maxima
    }

    /// Prefix maximum over distance, of shape [layers, heads, bins].
    pub fn prefix_maxima(&self) -> Array3<f64> {
        let mut prefix = self.maxima.mapv(f64::from);
        for mut head in prefix.rows_mut() {
            let mut running = f64::NEG_INFINITY;
            for value in &mut head {
                running = running.max(*value);
                *value = running;
            }
        }
        prefix
    }

    /// Prefix maximum, mean ± std over heads, at the last distance of each bin, up to the farthest key that was attended.
    pub fn over_heads(&self) -> BandCurve {
        let Some(farthest) = self.farthest else { return BandCurve::default() };
        let reached = self.bins.lower().iter().filter(|&&lower| lower <= farthest).count();
        let last = |bin: usize| self.bins.end(bin).map_or(farthest, |end| (end - 1).min(farthest)) as f64;
        BandCurve::over_heads(&self.prefix_maxima(), (0..reached).map(last).collect())
    }

    /// Every head that saw keys on both sides of `trained_length`. A bin across it counts as inside.
    pub fn excess(&self, trained_length: u64, margin: f32) -> Vec<HeadExcess> {
        let split = self.bins.lower().partition_point(|&lower| lower < trained_length);
        let (layers, heads, _) = self.maxima.dim();
        let cells = (0..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head)));
        let of = |(layer, head): (usize, usize)| {
            let row = self.maxima.slice(ndarray::s![layer, head, ..]);
            let largest =
                |part: ndarray::ArrayView1<f32>| part.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (inside, outside) = row.split_at(ndarray::Axis(0), split.min(row.len()));
            let first = outside.iter().position(|&logit| logit > largest(inside) + margin);
            HeadExcess {
                layer,
                head,
                inside: largest(inside),
                outside: largest(outside),
                exceeds_from: first.map(|bin| self.bins.lower()[split + bin]),
            }
        };
        cells.map(of).filter(|excess| excess.inside.is_finite() && excess.outside.is_finite()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> LogitsByDistance {
        LogitsByDistance::new(1, 2, Bins::new(vec![0, 2, 4]).expect("ascending"))
    }

    #[test]
    fn maxima_go_by_true_distance() {
        let mut logits = empty();
        // Query 5: key 5 is at distance 0, key 0 at distance 5.
        logits.push(0, 0, 5, 0, &[9.0, 1.0, 2.0, -3.0, -5.0, -4.0]).expect("causal");
        assert_eq!(logits.maxima().as_slice().map(|m| &m[..3]), Some(&[-4.0, 2.0, 9.0][..]));
        let mut in_runs = empty();
        in_runs.push(0, 0, 5, 0, &[9.0, 1.0]).expect("causal");
        in_runs.push(0, 0, 5, 2, &[2.0, -3.0, -5.0, -4.0]).expect("causal");
        assert_eq!(in_runs, logits);
    }

    #[test]
    fn the_prefix_maximum_is_signed_and_carries_over_masked_distances() {
        let mut logits = empty();
        for head in 0..2 {
            logits.push(0, head, 5, 0, &[-2.0 - head as f32]).expect("causal");
            logits.push(0, head, 5, 4, &[-5.0, -4.0]).expect("causal");
        }
        let curve = logits.over_heads();
        assert_eq!(curve.x, [1.0, 3.0, 5.0]);
        assert_eq!(curve.mean, [Some(-4.0), Some(-4.0), Some(-2.5)]);
        assert_eq!(curve.std, [Some(0.0), Some(0.0), Some(0.5)]);
    }

    #[test]
    fn the_curve_ends_where_attention_does() {
        let mut logits = empty();
        logits.push(0, 0, 900, 899, &[1.0, 2.0]).expect("causal");
        assert_eq!(logits.over_heads().x, [1.0]);
        assert_eq!(empty().over_heads(), BandCurve::default());
    }

    #[test]
    fn masked_keys_and_broken_logits_are_no_maxima() {
        let mut logits = empty();
        logits.push(0, 0, 1, 0, &[f32::NEG_INFINITY, f32::NAN]).expect("causal");
        logits.push(0, 1, 1, 0, &[f32::INFINITY, 7.0]).expect("causal");
        assert_eq!((logits.maxima()[[0, 0, 0]], logits.maxima()[[0, 1, 0]]), (f32::NEG_INFINITY, 7.0));
        assert_eq!(logits.non_finite(), 2);
    }

    #[test]
    fn excess_beyond_the_training_length() {
        let mut logits = empty();
        logits.push(0, 0, 5, 0, &[9.0, 1.0, 2.0, 3.0, 1.0, 1.0]).expect("causal");
        logits.push(0, 1, 3, 0, &[1.0; 4]).expect("causal");
        let excess = logits.excess(4, 1.0);
        assert_eq!(
            excess,
            [HeadExcess { layer: 0, head: 0, inside: 3.0, outside: 9.0, exceeds_from: Some(4) }]
        );
        assert_eq!(logits.excess(4, 6.5)[0].exceeds_from, None);
        assert!(logits.excess(100, 1.0).is_empty() && empty().excess(4, 1.0).is_empty());
    }

    #[test]
    fn shards_merge_exactly() {
        let values: Vec<f32> = (0..6).map(|i| (i as f32 * 1.3).sin()).collect();
        let (mut whole, mut left, mut right) = (empty(), empty(), empty());
        for query in 2..6 {
            let row = &values[..=query as usize];
            whole.push(0, 1, query, 0, row).expect("causal");
            if query < 4 { &mut left } else { &mut right }.push(0, 1, query, 0, row).expect("causal");
        }
        left.merge(&right).expect("same shape");
        assert_eq!(left, whole);
        assert!(left.merge(&LogitsByDistance::new(1, 2, Bins::doubling(9))).is_err());
    }

    #[test]
    fn keys_in_the_future_are_refused() {
        assert!(empty().push(0, 0, 2, 2, &[1.0, 2.0]).is_err());
        assert!(empty().push(0, 0, 2, u64::MAX, &[1.0, 2.0]).is_err());
        assert!(empty().push(0, 0, 2, 0, &[]).is_ok());
    }
}
