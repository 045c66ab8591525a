//! Extremes and moments of the logits of every cell; what the accumulators over distance and over length share.
//!
//! −inf is a masked key and passed over. NaN and +inf are counted and located by head, and no extreme or mean passes over
//! one: all of its cell is NaN.

use ndarray::{Array2, Array3, Axis, s};
use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::error::{Error, Result};
use crate::grid::{HeadGrid, row};
use crate::moments::Moments;
use crate::non_finite::NonFinite;

/// Logits of one bin, over all layers, heads and queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PooledLogits {
    /// Lower edge of the bin, in tokens.
    pub from: u64,
    /// End of the bin, exclusive; `None` for the last, which is open.
    pub to: Option<u64>,
    /// Finite logits seen.
    pub count: u64,
    /// Logits that were NaN or +inf; where there are any, nothing else is known.
    #[serde(default)]
    pub non_finite: u64,
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation: over keys, queries and heads together, not over heads.
    pub std: Option<f64>,
    /// Smallest.
    pub low: Option<f32>,
    /// Largest.
    pub high: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitCells {
    pub grid: HeadGrid,
    /// [layers, heads, bins]
    pub maxima: Array3<f32>,
    /// [layers, heads, bins]
    pub minima: Array3<f32>,
    /// [layers, heads, bins]
    pub moments: Array3<Moments>,
    /// By the position of the query. [layers, heads]
    pub non_finite: Array2<NonFinite>,
}

impl LogitCells {
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let grid = HeadGrid::new(layers, heads, bins);
        Self {
            maxima: grid.filled(f32::NEG_INFINITY),
            minima: grid.filled(f32::INFINITY),
            moments: grid.filled(Moments::default()),
            non_finite: Array2::from_elem((layers, heads), NonFinite::default()),
            grid,
        }
    }

    /// Adds logits of a query at `position` to one cell, which must exist.
    pub fn add(&mut self, cell: [usize; 3], position: u64, logits: &[f32]) {
        let attended = || logits.iter().copied().filter(|&logit| logit != f32::NEG_INFINITY);
        self.moments[cell].merge(&Moments::of(attended().map(f64::from)));
        let broken = broken(logits);
        if broken > 0 {
            self.note([cell[0], cell[1]], position, broken);
            self.break_cell(cell);
        } else {
            self.maxima[cell] = attended().fold(self.maxima[cell], higher);
            self.minima[cell] = attended().fold(self.minima[cell], lower);
        }
    }

    /// Counts logits of one head that are not finite.
    pub fn note(&mut self, head: [usize; 2], position: u64, count: u64) {
        self.non_finite[head].note(position, count);
    }

    /// Makes the extremes of a cell NaN.
    pub fn break_cell(&mut self, cell: [usize; 3]) {
        (self.maxima[cell], self.minima[cell]) = (f32::NAN, f32::NAN);
    }

    /// Whether some head has a logit in `bin` that is not finite.
    pub fn broken(&self, bin: usize) -> bool {
        self.maxima.index_axis(Axis(2), bin).iter().any(|most| most.is_nan())
    }

    /// The same of this bin or one before it.
    pub fn broken_up_to(&self, bin: usize) -> bool {
        (0..=bin).any(|bin| self.broken(bin))
    }

    /// Lower edge of the first bin in which some head has a logit that is not finite.
    pub fn broken_from(&self) -> Option<u64> {
        let lower = self.grid.bins.lower();
        (0..lower.len()).find(|&bin| self.broken(bin)).map(|bin| lower[bin])
    }

    pub fn total_non_finite(&self) -> NonFinite {
        NonFinite::total(&self.non_finite)
    }

    /// Forgets the logits of one head, which must exist, and what was not finite among them.
    pub fn clear(&mut self, layer: usize, head: usize) {
        let all = s![layer, head, ..];
        self.maxima.slice_mut(all).fill(f32::NEG_INFINITY);
        self.minima.slice_mut(all).fill(f32::INFINITY);
        self.moments.slice_mut(all).fill(Moments::default());
        self.non_finite[[layer, head]] = NonFinite::default();
    }

    pub fn merge(&mut self, other: &Self, operation: &'static str) -> Result<()> {
        self.grid.check_equal(&other.grid, operation)?;
        self.grid.check_shape(&other.maxima, operation)?;
        self.grid.check_shape(&other.minima, operation)?;
        self.grid.check_shape(&other.moments, operation)?;
        self.grid.check_heads(&other.non_finite, operation)?;
        self.maxima.zip_mut_with(&other.maxima, |a, &b| *a = higher(*a, b));
        self.minima.zip_mut_with(&other.minima, |a, &b| *a = lower(*a, b));
        self.moments.zip_mut_with(&other.moments, Moments::merge);
        self.non_finite.zip_mut_with(&other.non_finite, NonFinite::merge);
        Ok(())
    }

    /// Largest size of a logit; −inf where there is none, NaN where one is not finite.
    pub fn magnitudes(&self) -> Array3<f64> {
        let mut sizes = self.maxima.mapv(f64::from);
        // Both extremes of a cell are NaN, or neither.
        sizes.zip_mut_with(&self.minima, |high, &low| {
            if !high.is_nan() {
                *high = high.max(-f64::from(low));
            }
        });
        sizes
    }

    /// NaN where there is nothing, or where a logit is not finite.
    pub fn means(&self) -> Array3<f64> {
        self.moments.mapv(|moments| moments.mean().unwrap_or(f64::NAN))
    }

    pub fn pooled(&self) -> Vec<PooledLogits> {
        let bins = &self.grid.bins;
        let of = |(bin, &from): (usize, &u64)| {
            let mut all = Moments::default();
            let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
            for head in self.grid.cells() {
                all.merge(&row(&self.moments, head)[bin]);
                low = lower(low, row(&self.minima, head)[bin]);
                high = higher(high, row(&self.maxima, head)[bin]);
            }
            PooledLogits {
                from,
                to: bins.end(bin),
                count: all.count(),
                non_finite: all.non_finite(),
                mean: all.mean(),
                std: all.std(),
                low: Some(low).filter(|low| low.is_finite()),
                high: Some(high).filter(|high| high.is_finite()),
            }
        };
        bins.lower().iter().enumerate().map(of).collect()
    }
}

/// The larger; NaN if one is NaN.
pub fn higher(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

/// The smaller; NaN if one is NaN.
pub fn lower(a: f32, b: f32) -> f32 {
    if a.is_nan() || a < b { a } else { b }
}

/// Logits that are neither finite nor the −inf of a masked key.
pub fn broken(logits: &[f32]) -> u64 {
    logits.iter().filter(|logit| logit.is_nan() || **logit == f32::INFINITY).count() as u64
}

/// Running maximum over bins; NaN from the first bin on that is NaN.
pub fn prefix_maxima(maxima: &Array3<f32>) -> Array3<f64> {
    let mut prefix = maxima.mapv(f64::from);
    for mut head in prefix.rows_mut() {
        let mut running = f64::NEG_INFINITY;
        for value in &mut head {
            running = if running.is_nan() || running > *value { running } else { *value };
            *value = running;
        }
    }
    prefix
}

/// Cuts the logits of one query by bins of distance: (bin, logits). `first_key` is the position of the first.
pub fn by_distance<'logits>(
    bins: &Bins,
    query: u64,
    first_key: u64,
    logits: &'logits [f32],
) -> Result<impl Iterator<Item = (usize, &'logits [f32])>> {
    let count = logits.len() as u64;
    let past_end = first_key.checked_add(count);
    if past_end.is_none_or(|end| end.checked_sub(1).is_some_and(|last| last > query)) {
        return Err(Error::mismatch(
            "logits by distance",
            format!("keys up to {query}"),
            format!("{count} keys from {first_key}"),
        ));
    }
    // Distances ascend from the last key to the first. Without keys there is no nearest one, and nothing to cut.
    let nearest = query.saturating_sub(first_key).saturating_sub(count.saturating_sub(1));
    let pieces = bins.split(nearest, logits.len());
    Ok(pieces.map(|(bin, range)| (bin, &logits[logits.len() - range.end..logits.len() - range.start])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_what_a_loop_finds() {
        let logits = [-3.0, f32::NEG_INFINITY, 1.5, -0.5, 2.0];
        let mut cells = LogitCells::new(1, 2, Bins::doubling(2));
        cells.add([0, 0, 1], 5, &logits[..3]);
        cells.add([0, 0, 1], 5, &logits[3..]);
        cells.add([0, 1, 1], 6, &[-9.0]);
        assert_eq!((cells.maxima[[0, 0, 1]], cells.minima[[0, 0, 1]]), (2.0, -3.0));
        assert_eq!((cells.total_non_finite(), cells.broken_from()), (NonFinite::default(), None));
        assert_eq!((cells.magnitudes()[[0, 0, 1]], cells.magnitudes()[[0, 1, 1]]), (3.0, 9.0));
        assert_eq!(cells.magnitudes()[[0, 0, 0]], f64::NEG_INFINITY);
        assert_eq!(cells.means()[[0, 0, 1]], 0.0);
        assert!(cells.means()[[0, 0, 0]].is_nan());

        // Of −3, 1.5, −0.5, 2 and −9.
        let [nothing, pooled] = cells.pooled().try_into().expect("two bins");
        assert_eq!((pooled.from, pooled.to, pooled.count), (1, None, 5));
        assert_eq!((pooled.low, pooled.high), (Some(-9.0), Some(2.0)));
        assert!((pooled.mean.expect("five") + 1.8).abs() < 1e-12);
        assert!((pooled.std.expect("five") - 16.06_f64.sqrt()).abs() < 1e-12);
        assert_eq!(
            (nothing.count, nothing.mean, nothing.std, nothing.low, nothing.high),
            (0, None, None, None, None)
        );
    }

    #[test]
    fn no_extreme_or_mean_of_a_cell_passes_over_what_is_not_finite() {
        for broken in [f32::NAN, f32::INFINITY] {
            let of = |order: [usize; 2]| {
                let mut merged = LogitCells::new(1, 2, Bins::doubling(2));
                for part in order {
                    let mut cells = LogitCells::new(1, 2, Bins::doubling(2));
                    match part {
                        0 => cells.add([0, 0, 1], 7, &[1.0, broken, 9.0]),
                        _ => {
                            cells.add([0, 0, 1], 9, &[2.0, 3.0]);
                            cells.add([0, 1, 0], 9, &[4.0]);
                        }
                    }
                    merged.merge(&cells, "merging").expect("equal grids");
                }
                merged
            };
            for cells in [of([0, 1]), of([1, 0])] {
                assert!(cells.maxima[[0, 0, 1]].is_nan() && cells.minima[[0, 0, 1]].is_nan());
                assert!(cells.magnitudes()[[0, 0, 1]].is_nan() && cells.means()[[0, 0, 1]].is_nan());
                assert_eq!((cells.maxima[[0, 1, 0]], cells.means()[[0, 1, 0]]), (4.0, 4.0));
                assert_eq!(cells.non_finite[[0, 0]], NonFinite { count: 1, first: Some(7) });
                assert_eq!(
                    (cells.broken_from(), cells.broken(0), cells.broken_up_to(1)),
                    (Some(1), false, true)
                );
                let pooled = cells.pooled();
                assert_eq!((pooled[1].count, pooled[1].non_finite, pooled[1].mean), (4, 1, None));
                assert_eq!((pooled[1].low, pooled[1].high, pooled[0].high), (None, None, Some(4.0)));
                assert!(prefix_maxima(&cells.maxima)[[0, 0, 1]].is_nan());
                assert_eq!(prefix_maxima(&cells.maxima)[[0, 1, 1]], 4.0);
            }
        }
    }

    #[test]
    fn keys_in_the_future_are_refused() {
        let bins = Bins::doubling(8);
        let refused = |query, first, logits: &[f32]| by_distance(&bins, query, first, logits).is_err();
        assert!(refused(2, 2, &[1.0, 2.0]) && refused(2, u64::MAX, &[1.0, 2.0]) && refused(2, 4, &[]));
        assert!(!refused(2, 0, &[]) && !refused(2, 3, &[]) && !refused(u64::MAX - 1, u64::MAX - 1, &[1.0]));
    }
}
