//! Logits against context length: a query at position `i` attends to at most `i + 1` keys.

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use super::cells::{LogitCells, PooledLogits, broken, higher, prefix_maxima};
use super::range::{self, HeadRange, RangeRule};
use crate::bins::Bins;
use crate::curve::BandCurve;
use crate::error::Result;
use crate::head_means::HeadMeans;
use crate::non_finite::NonFinite;

/// Streaming extremes and moments of the logit by layer, head and position of the query. Memory: 48 bytes per cell.
///
/// Beside what [`super::LogitsByDistance`] keeps it keeps the mean over queries of the largest logit of their row. The
/// largest logit of a bin rises with the number of queries in it; that mean does not.
///
/// −inf is a masked key. NaN and +inf are counted and located; extremes and means of their bin are NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitsByLength {
    cells: LogitCells,
    row_maxima: HeadMeans,
}

impl LogitsByLength {
    /// Empty.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let row_maxima = HeadMeans::new(layers, heads, bins.clone());
        Self { cells: LogitCells::new(layers, heads, bins), row_maxima }
    }

    /// Adds the row of one query of one head: the logits of all its keys, in any order.
    pub fn push(&mut self, layer: usize, head: usize, query: u64, row: &[f32]) -> Result<()> {
        self.cells.grid.check_head("logits by length", layer, head)?;
        let bin = self.cells.grid.bins.index(query);
        self.cells.add([layer, head, bin], query, row);
        let attended = row.iter().copied().filter(|&logit| logit != f32::NEG_INFINITY);
        let largest = attended.reduce(higher);
        self.row_maxima.push(layer, head, query, largest.as_slice())
    }

    /// Adds consecutive queries of which only the largest logit is known, the first at `query`; NaN for one whose row is not
    /// finite. Minima (but for NaN) and moments do not see them.
    pub fn push_maxima(&mut self, layer: usize, head: usize, query: u64, maxima: &[f32]) -> Result<()> {
        self.cells.grid.check_head("logits by length", layer, head)?;
        let pieces: Vec<_> = self.cells.grid.bins.split(query, maxima.len()).collect();
        for (bin, range) in pieces {
            let cell = [layer, head, bin];
            if broken(&maxima[range.clone()]) > 0 {
                self.cells.break_cell(cell);
            }
            self.cells.maxima[cell] =
                maxima[range].iter().fold(self.cells.maxima[cell], |m, &w| higher(m, w));
        }
        let is_broken = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
        self.cells.non_finite[[layer, head]].note_all(query, maxima, is_broken);
        // A query without an attended key has no largest logit.
        let mut at = query;
        for part in maxima.split(|&largest| largest == f32::NEG_INFINITY) {
            self.row_maxima.push(layer, head, at, part)?;
            at += part.len() as u64 + 1;
        }
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.cells.merge(&other.cells, "merging logits by length")?;
        self.row_maxima.merge(&other.row_maxima)
    }

    /// Bins of position.
    pub fn bins(&self) -> &Bins {
        &self.cells.grid.bins
    }

    /// Logits that were NaN or +inf, of all heads.
    pub fn non_finite(&self) -> NonFinite {
        self.cells.total_non_finite()
    }

    /// The same by head. [layers, heads]
    pub fn non_finite_by_head(&self) -> &Array2<NonFinite> {
        &self.cells.non_finite
    }

    /// Maximum per bin, of shape [layers, heads, bins]; −inf where nothing was attended, NaN where a logit is not finite.
    pub fn maxima(&self) -> &Array3<f32> {
        &self.cells.maxima
    }

    /// Minimum per bin, of shape [layers, heads, bins]; +inf where nothing was attended, NaN where a logit is not finite.
    pub fn minima(&self) -> &Array3<f32> {
        &self.cells.minima
    }

    /// Largest `|w|` per bin, of shape [layers, heads, bins]; −inf where nothing was attended, NaN where a logit is not finite.
    pub fn magnitudes(&self) -> Array3<f64> {
        self.cells.magnitudes()
    }

    /// Mean per bin, of shape [layers, heads, bins]; NaN where nothing was attended, or a logit is not finite.
    pub fn means(&self) -> Array3<f64> {
        self.cells.means()
    }

    /// Prefix maximum over position, of shape [layers, heads, bins].
    pub fn prefix_maxima(&self) -> Array3<f64> {
        prefix_maxima(&self.cells.maxima)
    }

    /// Mean over queries of the largest logit of a row, by layer, head and position.
    pub fn row_maxima(&self) -> &HeadMeans {
        &self.row_maxima
    }

    /// Prefix maximum over position, mean ± std over heads, at the middle of each bin; the last closes at `end`.
    pub fn over_heads(&self, end: u64) -> BandCurve {
        let broken = |bin| self.cells.broken_up_to(bin);
        let curve = BandCurve::over_heads(&self.prefix_maxima(), self.cells.grid.middles(end), broken);
        BandCurve { not_finite_from: self.non_finite().first, ..curve }
    }

    /// All heads together, one entry per bin.
    pub fn pooled(&self) -> Vec<PooledLogits> {
        self.cells.pooled()
    }

    /// Every head that saw queries on both sides of `trained_length`: its range, and the first position outside of it.
    pub fn ranges(&self, trained_length: u64, rule: &RangeRule) -> Vec<HeadRange> {
        range::ranges(&self.cells, trained_length, rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> LogitsByLength {
        LogitsByLength::new(1, 1, Bins::new(vec![0, 2, 4]).expect("ascending"))
    }

    #[test]
    fn rows_go_by_the_position_of_their_query() {
        let mut logits = empty();
        for (query, row) in [(0, vec![1.0]), (1, vec![-2.0, 3.0]), (4, vec![0.5, f32::NEG_INFINITY, -7.0])] {
            logits.push(0, 0, query, &row).expect("in range");
        }
        assert_eq!(logits.maxima().as_slice(), Some(&[3.0, f32::NEG_INFINITY, 0.5][..]));
        assert_eq!(logits.minima().as_slice(), Some(&[-2.0, f32::INFINITY, -7.0][..]));
        assert_eq!(logits.magnitudes().as_slice(), Some(&[3.0, f64::NEG_INFINITY, 7.0][..]));
        assert_eq!(logits.prefix_maxima().as_slice(), Some(&[3.0, 3.0, 3.0][..]));
        assert_eq!((logits.row_maxima().means()[[0, 0, 0]], logits.means()[[0, 0, 2]]), (2.0, -3.25));
        assert_eq!(logits.over_heads(5).x, [0.5, 2.5, 4.0]);
        let range = logits.ranges(2, &RangeRule::default())[0];
        assert_eq!(range.first_break.map(|b| (b.at, b.logit)), Some((4, -7.0)));
    }

    #[test]
    fn maxima_alone_are_the_maxima_of_rows() {
        let rows = [vec![1.0], vec![-2.0, 3.0], vec![f32::NEG_INFINITY; 3], vec![2.0, 2.0]];
        let mut whole = empty();
        for (query, row) in rows.iter().enumerate() {
            whole.push(0, 0, query as u64, row).expect("in range");
        }
        let mut maxima = empty();
        maxima.push_maxima(0, 0, 0, &[1.0, 3.0, f32::NEG_INFINITY, 2.0]).expect("in range");
        assert_eq!(maxima.maxima(), whole.maxima());
        assert_eq!(maxima.row_maxima().means()[[0, 0, 1]], whole.row_maxima().means()[[0, 0, 1]]);
        assert!(!whole.non_finite().any() && !maxima.non_finite().any());
    }

    #[test]
    fn rows_that_are_not_finite_are_located_and_no_mean_passes_over_them() {
        for broken in [f32::NAN, f32::INFINITY] {
            let rows: [&[f32]; 5] = [&[1.0], &[-2.0, 3.0], &[4.0], &[broken, 2.0], &[5.0]];
            let (mut whole, mut maxima) = (empty(), empty());
            for (query, row) in rows.iter().enumerate() {
                whole.push(0, 0, query as u64, row).expect("in range");
            }
            maxima.push_maxima(0, 0, 0, &[1.0, 3.0, 4.0, broken, 5.0]).expect("in range");
            for seen in [&whole, &maxima] {
                assert_eq!(seen.non_finite(), NonFinite { count: 1, first: Some(3) });
                assert_eq!((seen.maxima()[[0, 0, 0]], seen.maxima()[[0, 0, 2]]), (3.0, 5.0));
                assert!(seen.maxima()[[0, 0, 1]].is_nan() && seen.row_maxima().means()[[0, 0, 1]].is_nan());
                let curve = seen.row_maxima().over_heads(5);
                assert_eq!((curve.mean, curve.not_finite_from), (vec![Some(2.0), None, Some(5.0)], Some(3)));
                assert_eq!(seen.over_heads(5).mean, [Some(3.0), None, None], "so far, from there not known");
            }
        }
    }

    #[test]
    fn shards_merge_in_any_order() {
        let rows: Vec<Vec<f32>> =
            (1..9).map(|n| (0..n).map(|j| (j as f32 * 1.7 + n as f32).sin()).collect()).collect();
        let of = |part: &[usize]| {
            let mut logits = empty();
            for &query in part {
                logits.push(0, 0, query as u64, &rows[query]).expect("in range");
            }
            logits
        };
        let whole = of(&[0, 1, 2, 3, 4, 5, 6, 7]);
        let mut merged = of(&[6, 1, 4]);
        merged.merge(&of(&[7, 0, 5, 2, 3])).expect("same shape");
        assert_eq!((merged.maxima(), merged.minima()), (whole.maxima(), whole.minima()));
        for (a, b) in merged.means().iter().zip(&whole.means()) {
            assert!((a - b).abs() < 1e-12);
        }
        assert!(merged.merge(&LogitsByLength::new(1, 2, Bins::doubling(4))).is_err());
        assert!(merged.push(1, 0, 0, &[]).is_err() && merged.push_maxima(0, 1, 0, &[]).is_err());
    }
}
