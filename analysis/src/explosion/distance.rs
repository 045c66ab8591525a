//! Logits against distance.
//!
//! `M_h(d) = max over attended keys j with i − j ≤ d of w_h(q_i, k_j)`: the prefix maximum over true distance of the
//! signed logit (not of its size), per layer and head, then mean ± std over heads. Several queries are combined by their
//! maximum. Short distances are then seen by more queries than long ones, which can only hide an explosion, never invent
//! one.
//!
//! −inf is a masked key. NaN and +inf are counted and located by the position of their query; the maxima of their bin, and
//! the prefix maxima from there on, are NaN, and a mean over heads has no value there.

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use super::cells::{LogitCells, PooledLogits, by_distance, prefix_maxima};
use super::range::{self, HeadExcess, HeadRange, RangeRule};
use crate::bins::Bins;
use crate::curve::BandCurve;
use crate::error::Result;
use crate::non_finite::NonFinite;

/// Streaming extremes and moments of the logit by layer, head and distance. Memory: 32 bytes per cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitsByDistance {
    cells: LogitCells,
    farthest: Option<u64>,
}

impl LogitsByDistance {
    /// Empty.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        Self { cells: LogitCells::new(layers, heads, bins), farthest: None }
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
        self.cells.grid.check_head("logits by distance", layer, head)?;
        let pieces: Vec<_> = by_distance(&self.cells.grid.bins, query, first_key, logits)?.collect();
        for (bin, logits) in pieces {
            self.cells.add([layer, head, bin], query, logits);
        }
        if !logits.is_empty() {
            self.farthest = self.farthest.max(Some(query - first_key));
        }
        Ok(())
    }

    /// Forgets the logits of one head, so that those of a later query can take their place.
    pub fn clear(&mut self, layer: usize, head: usize) -> Result<()> {
        self.cells.grid.check_head("logits by distance", layer, head)?;
        self.cells.clear(layer, head);
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.cells.merge(&other.cells, "merging logits by distance")?;
        self.farthest = self.farthest.max(other.farthest);
        Ok(())
    }

    /// Bins of distance.
    pub fn bins(&self) -> &Bins {
        &self.cells.grid.bins
    }

    /// Logits that were NaN or +inf, of all heads, by the position of their query.
    pub fn non_finite(&self) -> NonFinite {
        self.cells.total_non_finite()
    }

    /// The same by head. [layers, heads]
    pub fn non_finite_by_head(&self) -> &Array2<NonFinite> {
        &self.cells.non_finite
    }

    /// Lower edge of the first bin of distance with such a logit.
    pub fn broken_from(&self) -> Option<u64> {
        self.cells.broken_from()
    }

    /// Maximum per bin, of shape [layers, heads, bins]; −inf where no key was attended, NaN where a logit is not finite.
    pub fn maxima(&self) -> &Array3<f32> {
        &self.cells.maxima
    }

    /// Minimum per bin, of shape [layers, heads, bins]; +inf where no key was attended, NaN where a logit is not finite.
    pub fn minima(&self) -> &Array3<f32> {
        &self.cells.minima
    }

    /// Largest `|w|` per bin, of shape [layers, heads, bins]; −inf where no key was attended, NaN where a logit is not finite.
    pub fn magnitudes(&self) -> Array3<f64> {
        self.cells.magnitudes()
    }

    /// Mean per bin, of shape [layers, heads, bins]; NaN where no key was attended, or a logit is not finite.
    pub fn means(&self) -> Array3<f64> {
        self.cells.means()
    }

    /// Prefix maximum over distance, of shape [layers, heads, bins]; NaN from the first bin on with a logit that is not
    /// finite.
    pub fn prefix_maxima(&self) -> Array3<f64> {
        prefix_maxima(&self.cells.maxima)
    }

    /// Prefix maximum, mean ± std over heads, at the last distance of each bin, up to the farthest key that was attended
    /// (Fig. 1a).
    pub fn over_heads(&self) -> BandCurve {
        self.band(&self.prefix_maxima(), |bin| self.cells.broken_up_to(bin))
    }

    /// Maximum per bin (not of the bins before), mean ± std over heads.
    pub fn maxima_over_heads(&self) -> BandCurve {
        self.band(&self.cells.maxima.mapv(f64::from), |bin| self.cells.broken(bin))
    }

    /// Largest `|w|` per bin, mean ± std over heads.
    pub fn magnitudes_over_heads(&self) -> BandCurve {
        self.band(&self.magnitudes(), |bin| self.cells.broken(bin))
    }

    /// Mean per bin, mean ± std over heads.
    pub fn means_over_heads(&self) -> BandCurve {
        self.band(&self.means(), |bin| self.cells.broken(bin))
    }

    /// All heads together, one entry per bin.
    pub fn pooled(&self) -> Vec<PooledLogits> {
        self.cells.pooled()
    }

    /// Every head that saw keys on both sides of `trained_length`: its largest logits. A bin across it counts as inside.
    pub fn excess(&self, trained_length: u64) -> Vec<HeadExcess> {
        range::excess(&self.cells, trained_length)
    }

    /// Every head that saw keys on both sides of `trained_length`: its range, and the first distance outside of it.
    pub fn ranges(&self, trained_length: u64, rule: &RangeRule) -> Vec<HeadRange> {
        range::ranges(&self.cells, trained_length, rule)
    }

    fn band(&self, values: &Array3<f64>, broken: impl Fn(usize) -> bool) -> BandCurve {
        let Some(farthest) = self.farthest else { return BandCurve::default() };
        let bins = self.bins();
        let reached = bins.lower().iter().filter(|&&lower| lower <= farthest).count();
        let last = |bin: usize| bins.end(bin).map_or(farthest, |end| (end - 1).min(farthest)) as f64;
        let curve = BandCurve::over_heads(values, (0..reached).map(last).collect(), broken);
        BandCurve { not_finite_from: self.broken_from(), ..curve }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::close;

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
        assert_eq!((in_runs.maxima(), in_runs.farthest), (logits.maxima(), logits.farthest));
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
    fn a_cleared_head_begins_again_and_others_stay() {
        let mut logits = empty();
        for head in 0..2 {
            logits.push(0, head, 5, 0, &[9.0, 1.0, 2.0, -3.0, -5.0, -4.0]).expect("causal");
        }
        logits.clear(0, 1).expect("a head");
        logits.push(0, 1, 6, 5, &[0.5]).expect("causal");
        assert_eq!(
            logits.maxima().as_slice(),
            Some(&[-4.0, 2.0, 9.0, 0.5, f32::NEG_INFINITY, f32::NEG_INFINITY][..])
        );
        assert_eq!((logits.minima()[[0, 1, 0]], logits.means()[[0, 1, 0]]), (0.5, 0.5));
        assert!(logits.clear(0, 2).is_err() && logits.clear(1, 0).is_err());
    }

    #[test]
    fn the_curve_ends_where_attention_does() {
        let mut logits = empty();
        logits.push(0, 0, 900, 899, &[1.0, 2.0]).expect("causal");
        assert_eq!(logits.over_heads().x, [1.0]);
        assert_eq!(empty().over_heads(), BandCurve::default());
    }

    #[test]
    fn masked_keys_are_no_maxima_and_broken_logits_break_theirs() {
        let mut logits = empty();
        logits.push(0, 0, 1, 0, &[f32::NEG_INFINITY, 2.0]).expect("causal");
        logits.push(0, 1, 5, 0, &[1.0, f32::INFINITY, 7.0, 3.0, 1.0, 2.0]).expect("causal");
        assert_eq!((logits.maxima()[[0, 0, 0]], logits.maxima()[[0, 1, 1]]), (2.0, 7.0));
        assert!(logits.maxima()[[0, 1, 2]].is_nan());
        assert_eq!(logits.non_finite(), NonFinite { count: 1, first: Some(5) });
        assert_eq!(logits.non_finite_by_head()[[0, 0]], NonFinite::default());
        let curve = logits.over_heads();
        assert_eq!((curve.mean, curve.not_finite_from), (vec![Some(2.0), Some(4.5), None], Some(4)));
        assert_eq!(logits.maxima_over_heads().mean[2], None);
        assert_eq!(logits.means_over_heads().mean[2], None);
        // No number stands for such a head.
        assert!(logits.excess(4).is_empty() && logits.ranges(4, &RangeRule::default()).is_empty());
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
        assert_eq!((left.maxima(), left.minima()), (whole.maxima(), whole.minima()));
        assert_eq!(left.over_heads(), whole.over_heads());
        for (a, b) in left.pooled().iter().zip(whole.pooled()) {
            assert_eq!(a.count, b.count);
            assert!(close(a.std.expect("seen"), b.std.expect("seen"), 1e-12));
        }
        assert!(left.merge(&LogitsByDistance::new(1, 2, Bins::doubling(9))).is_err());
    }

    #[test]
    fn four_curves_of_one_row() {
        let mut logits = LogitsByDistance::new(1, 1, Bins::new(vec![0, 2, 4]).expect("ascending"));
        // Distances 5 to 0.
        logits.push(0, 0, 5, 0, &[-9.0, 1.0, 2.0, 4.0, -5.0, -4.0]).expect("causal");
        let means =
            |curve: BandCurve| curve.mean.into_iter().map(|mean| mean.expect("seen")).collect::<Vec<_>>();
        assert_eq!(means(logits.over_heads()), [-4.0, 4.0, 4.0]);
        assert_eq!(means(logits.maxima_over_heads()), [-4.0, 4.0, 1.0]);
        assert_eq!(means(logits.magnitudes_over_heads()), [5.0, 4.0, 9.0]);
        assert_eq!(means(logits.means_over_heads()), [-4.5, 3.0, -4.0]);
    }

    #[test]
    fn memory_does_not_grow_with_length() {
        let mut logits = LogitsByDistance::new(1, 1, Bins::linear_then_doubling(64, 1 << 40, 8));
        let cells = logits.cells.moments.len();
        for query in [10, 1000, (1 << 40) - 1] {
            logits.push(0, 0, query, query - 9, &[1.0; 10]).expect("causal");
            logits.push(0, 0, query, 0, &[2.0]).expect("causal");
        }
        assert_eq!(
            (logits.cells.moments.len(), logits.cells.moments.as_slice().map(<[_]>::len)),
            (cells, Some(cells))
        );
        assert_eq!(logits.over_heads().x.last(), Some(&((1_u64 << 40) as f64 - 1.0)));
    }

    #[test]
    fn wrong_heads_and_keys_in_the_future_are_refused() {
        assert!(empty().push(0, 2, 2, 0, &[1.0]).is_err() && empty().push(1, 0, 2, 0, &[1.0]).is_err());
        assert!(empty().push(0, 0, 2, 2, &[1.0, 2.0]).is_err());
        assert!(empty().push(0, 0, 2, 0, &[]).is_ok());
    }
}
