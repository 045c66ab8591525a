//! Mean of one number per layer and head, by position.
//!
//! Shape [layers, heads, bins]; memory 16 bytes per cell, cost one addition per number. NaN and ±inf are counted and
//! kept out of the means; a cell that saw nothing is NaN.

use ndarray::Array3;

use crate::bins::Bins;
use crate::curve::BandCurve;
use crate::error::{Error, Result};

/// Streaming means over queries, by layer, head and bin of the query's position.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadMeans {
    bins: Bins,
    /// [layers, heads, bins]
    sums: Array3<f64>,
    /// [layers, heads, bins]
    counts: Array3<u64>,
    non_finite: u64,
}

impl HeadMeans {
    /// Empty means.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let shape = (layers, heads, bins.len());
        Self { sums: Array3::zeros(shape), counts: Array3::zeros(shape), bins, non_finite: 0 }
    }

    /// Adds the values of consecutive queries, the first at `position`. A layer or head out of range is an error.
    pub fn push(&mut self, layer: usize, head: usize, position: u64, values: &[f32]) -> Result<()> {
        let (layers, heads, _) = self.sums.dim();
        if layer >= layers || head >= heads {
            let expected = format!("a head of {layers} layers × {heads} heads");
            return Err(Error::mismatch("means per head", expected, format!("layer {layer}, head {head}")));
        }
        for (bin, range) in self.bins.split(position, values.len()) {
            let finite = || values[range.clone()].iter().filter(|value| value.is_finite());
            let count = finite().count() as u64;
            self.sums[[layer, head, bin]] += finite().map(|&value| f64::from(value)).sum::<f64>();
            self.counts[[layer, head, bin]] += count;
            self.non_finite += range.len() as u64 - count;
        }
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.sums.dim() != other.sums.dim() || self.bins != other.bins {
            return Err(Error::mismatch(
                "merging means per head",
                format!("{:?} with equal bins", self.sums.dim()),
                format!("{:?}", other.sums.dim()),
            ));
        }
        self.sums += &other.sums;
        self.counts += &other.counts;
        self.non_finite += other.non_finite;
        Ok(())
    }

    /// Bins of position.
    pub fn bins(&self) -> &Bins {
        &self.bins
    }

    /// Values that were NaN or ±inf.
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// Means, of shape [layers, heads, bins]; NaN where nothing was seen.
    pub fn means(&self) -> Array3<f64> {
        let mut means = self.sums.clone();
        means.zip_mut_with(&self.counts, |sum, &count| {
            *sum = if count > 0 { *sum / count as f64 } else { f64::NAN }
        });
        means
    }

    /// Mean ± std over heads at the middle of each bin; `end` is the length of the text, where the last bin closes.
    pub fn over_heads(&self, end: u64) -> BandCurve {
        BandCurve::over_heads(&self.means(), self.middles(end))
    }

    /// Middle of each bin, in tokens; the last bin closes at `end`.
    pub fn middles(&self, end: u64) -> Vec<f64> {
        let middle = |(bin, &lower): (usize, &u64)| {
            let upper = self.bins.end(bin).unwrap_or(end.max(lower + 1)).min(end.max(lower + 1));
            (lower as f64 + (upper - 1) as f64) / 2.0
        };
        self.bins.lower().iter().enumerate().map(middle).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> HeadMeans {
        HeadMeans::new(2, 1, Bins::linear(8, 4))
    }

    #[test]
    fn means_by_bin() {
        let mut means = empty();
        means.push(1, 0, 1, &[2.0, 4.0, 6.0]).expect("in range");
        let values = means.means();
        assert_eq!((values[[1, 0, 0]], values[[1, 0, 1]]), (2.0, 5.0));
        assert!(values[[1, 0, 2]].is_nan() && values[[0, 0, 0]].is_nan());
        assert_eq!(means.middles(7), [0.5, 2.5, 4.5, 6.0]);
        assert_eq!(means.over_heads(7).mean, [Some(2.0), Some(5.0), None, None]);
    }

    #[test]
    fn shards_merge_into_the_whole() {
        let values: Vec<f32> = (0..40).map(|i| (i as f32 * 0.7).sin()).collect();
        let (mut whole, mut left, mut right) = (empty(), empty(), empty());
        for layer in 0..2 {
            whole.push(layer, 0, 0, &values).expect("in range");
            left.push(layer, 0, 0, &values[..13]).expect("in range");
            right.push(layer, 0, 13, &values[13..]).expect("in range");
        }
        left.merge(&right).expect("same shape");
        assert_eq!(left.counts, whole.counts);
        for (a, b) in left.means().iter().zip(&whole.means()) {
            assert!((a - b).abs() < 1e-12);
        }
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let mut means = empty();
        means.push(0, 0, 0, &[f32::NAN, 3.0, f32::NEG_INFINITY, f32::INFINITY]).expect("in range");
        assert_eq!(means.non_finite(), 3);
        assert_eq!(means.means()[[0, 0, 0]], 3.0);
    }

    #[test]
    fn wrong_shapes_are_errors() {
        assert!(empty().push(2, 0, 0, &[1.0]).is_err());
        assert!(empty().push(0, 1, 0, &[1.0]).is_err());
        assert!(empty().merge(&HeadMeans::new(2, 1, Bins::linear(16, 4))).is_err());
        assert!(empty().push(0, 0, 5, &[]).is_ok());
    }
}
