//! Mean of one number per layer and head, by position.
//!
//! Shape [layers, heads, bins]; memory 16 bytes per cell, cost one addition per number. NaN and ±inf are counted and
//! located by head, and no mean passes over one: a cell that saw one is NaN, as a cell that saw nothing is
//! ([`HeadMeans::broken`] tells them apart).

use ndarray::{Array2, Array3, Axis, s};
use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::curve::BandCurve;
use crate::error::Result;
use crate::grid::HeadGrid;
use crate::non_finite::NonFinite;

/// Streaming means over queries, by layer, head and bin of the query's position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadMeans {
    grid: HeadGrid,
    /// NaN or ±inf once such a value was seen. [layers, heads, bins]
    sums: Array3<f64>,
    /// Values seen, finite or not. [layers, heads, bins]
    counts: Array3<u64>,
    /// [layers, heads]
    non_finite: Array2<NonFinite>,
}

impl HeadMeans {
    /// Empty means.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let grid = HeadGrid::new(layers, heads, bins);
        let non_finite = Array2::from_elem((layers, heads), NonFinite::default());
        Self { sums: grid.filled(0.0), counts: grid.filled(0), grid, non_finite }
    }

    /// Adds the values of consecutive queries, the first at `position`. A layer or head out of range is an error.
    pub fn push(&mut self, layer: usize, head: usize, position: u64, values: &[f32]) -> Result<()> {
        self.push_values(layer, head, position, values.iter().map(|&value| f64::from(value)))
    }

    /// As [`HeadMeans::push`], for values that are computed on the way.
    pub fn push_values(
        &mut self,
        layer: usize,
        head: usize,
        position: u64,
        values: impl ExactSizeIterator<Item = f64>,
    ) -> Result<()> {
        self.grid.check_head("means per head", layer, head)?;
        let mut values = values;
        let non_finite = &mut self.non_finite[[layer, head]];
        for (bin, range) in self.grid.bins.split(position, values.len()) {
            let mut sum = 0.0;
            for (offset, value) in range.clone().zip(values.by_ref()) {
                sum += value;
                if !value.is_finite() {
                    non_finite.note(position + offset as u64, 1);
                }
            }
            self.sums[[layer, head, bin]] += sum;
            self.counts[[layer, head, bin]] += range.len() as u64;
        }
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.grid.check_equal(&other.grid, "merging means per head")?;
        self.grid.check_shape(&other.sums, "merging means per head")?;
        self.grid.check_shape(&other.counts, "merging means per head")?;
        self.grid.check_heads(&other.non_finite, "merging means per head")?;
        self.sums += &other.sums;
        self.counts += &other.counts;
        self.non_finite.zip_mut_with(&other.non_finite, NonFinite::merge);
        Ok(())
    }

    /// Bins of position.
    pub fn bins(&self) -> &Bins {
        &self.grid.bins
    }

    /// Values that were NaN or ±inf, of all heads.
    pub fn non_finite(&self) -> NonFinite {
        NonFinite::total(&self.non_finite)
    }

    /// Values that were NaN or ±inf, by head. [layers, heads]
    pub fn non_finite_by_head(&self) -> &Array2<NonFinite> {
        &self.non_finite
    }

    /// Whether some head has seen a value in `bin` that was NaN or ±inf.
    pub fn broken(&self, bin: usize) -> bool {
        self.sums.index_axis(Axis(2), bin).iter().any(|sum| !sum.is_finite())
    }

    /// Means, of shape [layers, heads, bins]; NaN where nothing was seen, or something that was not finite.
    pub fn means(&self) -> Array3<f64> {
        let mut means = self.sums.clone();
        means.zip_mut_with(&self.counts, |sum, &count| *sum = mean(*sum, count));
        means
    }

    /// Mean over the bins that begin in `from..to`, of shape [layers, heads]; NaN where nothing was seen, or something that
    /// was not finite. Every query has the same weight.
    pub fn means_between(&self, from: u64, to: u64) -> Array2<f64> {
        let edge = |position| self.bins().lower().partition_point(|&lower| lower < position);
        let (begin, end) = (edge(from), edge(to.max(from)));
        Array2::from_shape_fn((self.grid.layers, self.grid.heads), |(layer, head)| {
            let part = s![layer, head, begin..end];
            mean(self.sums.slice(part).sum(), self.counts.slice(part).sum())
        })
    }

    /// Mean ± std over heads at the middle of each bin; `end` is the length of the text, where the last bin closes.
    pub fn over_heads(&self, end: u64) -> BandCurve {
        let curve = BandCurve::over_heads(&self.means(), self.middles(end), |bin| self.broken(bin));
        BandCurve { not_finite_from: self.non_finite().first, ..curve }
    }

    /// Middle of each bin, in tokens; the last bin closes at `end`.
    pub fn middles(&self, end: u64) -> Vec<f64> {
        self.grid.middles(end)
    }
}

fn mean(sum: f64, count: u64) -> f64 {
    if count > 0 && sum.is_finite() { sum / count as f64 } else { f64::NAN }
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
    fn means_over_a_segment_weigh_every_query_alike() {
        let mut means = empty();
        means.push(0, 0, 0, &[1.0, 1.0, 4.0]).expect("in range");
        assert_eq!(means.means_between(0, 8)[[0, 0]], 2.0);
        assert_eq!(means.means_between(2, 8)[[0, 0]], 4.0);
        assert!(means.means_between(4, 8)[[0, 0]].is_nan() && means.means_between(8, 2)[[0, 0]].is_nan());
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
    fn no_mean_passes_over_what_is_not_finite() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut means = empty();
            means.push(0, 0, 0, &[1.0, 3.0, 1.0, broken, 5.0]).expect("in range");
            means.push(1, 0, 1, &[1.0, 3.0]).expect("in range");
            let values = means.means();
            assert_eq!((values[[0, 0, 0]], values[[0, 0, 2]], values[[1, 0, 1]]), (2.0, 5.0, 3.0));
            assert!(values[[0, 0, 1]].is_nan() && means.broken(1) && !means.broken(0) && !means.broken(3));
            assert_eq!(means.non_finite(), NonFinite { count: 1, first: Some(3) });
            assert_eq!(means.non_finite_by_head()[[1, 0]], NonFinite::default());
            let curve = means.over_heads(8);
            assert_eq!(
                (curve.mean, curve.not_finite_from),
                (vec![Some(1.5), None, Some(5.0), None], Some(3))
            );
            let between = means.means_between(0, 8);
            assert!(between[[0, 0]].is_nan() && between[[1, 0]] == 2.0);
        }
    }

    #[test]
    fn opposite_infinities_do_not_cancel() {
        let mut means = empty();
        means.push(0, 0, 0, &[f32::INFINITY]).expect("in range");
        means.push(0, 0, 1, &[f32::NEG_INFINITY]).expect("in range");
        assert!(means.means()[[0, 0, 0]].is_nan() && means.broken(0));
        assert_eq!(means.non_finite(), NonFinite { count: 2, first: Some(0) });
    }

    #[test]
    fn wrong_shapes_are_errors() {
        assert!(empty().push(2, 0, 0, &[1.0]).is_err());
        assert!(empty().push(0, 1, 0, &[1.0]).is_err());
        assert!(empty().merge(&HeadMeans::new(2, 1, Bins::linear(16, 4))).is_err());
        assert!(empty().push(0, 0, 5, &[]).is_ok());
    }
}
