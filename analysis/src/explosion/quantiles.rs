//! Quantiles of the logit against distance.
//!
//! −inf is a masked key. NaN and +inf are counted and located; a bin with one has no quantiles, since they would pass over it.

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

use super::cells::{broken, by_distance};
use crate::bins::Bins;
use crate::error::Result;
use crate::grid::{HeadGrid, row};
use crate::non_finite::NonFinite;
use crate::sketch::QuantileSketch;

/// Streaming quantiles by layer, head and distance, each with the error of [`QuantileSketch`].
///
/// Memory: about 8 kB per cell whose logits are smaller than 1,490, and at most 184 kB; take bins that double
/// ([`Bins::doubling`]) where there are many heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitQuantiles {
    grid: HeadGrid,
    /// [layers, heads, bins]
    sketches: Array3<QuantileSketch>,
    non_finite: NonFinite,
}

impl LogitQuantiles {
    /// Empty.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let grid = HeadGrid::new(layers, heads, bins);
        Self { sketches: grid.filled(QuantileSketch::default()), grid, non_finite: NonFinite::default() }
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
        self.grid.check_head("quantiles of logits", layer, head)?;
        for (bin, logits) in by_distance(&self.grid.bins, query, first_key, logits)? {
            let sketch = &mut self.sketches[[layer, head, bin]];
            sketch.extend(logits.iter().copied().filter(|&logit| logit != f32::NEG_INFINITY));
        }
        self.non_finite.note(query, broken(logits));
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.grid.check_equal(&other.grid, "merging quantiles of logits")?;
        self.grid.check_shape(&other.sketches, "merging quantiles of logits")?;
        for (own, more) in self.sketches.iter_mut().zip(&other.sketches) {
            own.merge(more)?;
        }
        self.non_finite.merge(&other.non_finite);
        Ok(())
    }

    /// Bins of distance.
    pub fn bins(&self) -> &Bins {
        &self.grid.bins
    }

    /// Logits that were NaN or +inf, by the position of their query.
    pub fn non_finite(&self) -> NonFinite {
        self.non_finite
    }

    /// Lower edge of the first bin of distance with such a logit.
    pub fn broken_from(&self) -> Option<u64> {
        let broken = |bin: &usize| self.sketches.index_axis(Axis(2), *bin).iter().any(|s| s.non_finite() > 0);
        (0..self.grid.bins.len()).find(broken).map(|bin| self.grid.bins.lower()[bin])
    }

    /// The `q`-quantile of every head, of shape [layers, heads, bins]; NaN where no key was attended, or a logit was not
    /// finite.
    pub fn per_head(&self, q: f64) -> Array3<f64> {
        self.sketches.map(|sketch| sketch.quantile(q).unwrap_or(f64::NAN))
    }

    /// The `q`-quantile over all heads together, one entry per bin; `None` where no key was attended, or a logit was not
    /// finite.
    pub fn pooled(&self, q: f64) -> Result<Vec<Option<f64>>> {
        let of = |bin: usize| {
            let mut all = QuantileSketch::default();
            for head in self.grid.cells() {
                all.merge(&row(&self.sketches, head)[bin])?;
            }
            Ok(all.quantile(q))
        };
        (0..self.grid.bins.len()).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Head h has logits h·100 + 0, 1, …, 99 at distances 99, …, 0.
    fn ramps() -> LogitQuantiles {
        let mut logits = LogitQuantiles::new(1, 2, Bins::new(vec![0, 50]).expect("ascending"));
        for head in 0..2 {
            let ramp: Vec<f32> = (0..100).map(|i| (head * 100 + i) as f32).collect();
            logits.push(0, head, 99, 0, &ramp).expect("causal");
        }
        logits
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let logits = ramps();
        let median = logits.per_head(0.5);
        for (found, exact) in median.iter().zip([74.0, 24.0, 174.0, 124.0]) {
            assert!((found - exact).abs() <= 0.0079 * (1.0 + exact), "{found} for {exact}");
        }
        assert_eq!(logits.pooled(1.0).expect("equal steps"), [Some(199.0), Some(149.0)]);
        assert_eq!(logits.pooled(0.0).expect("equal steps"), [Some(50.0), Some(0.0)]);
    }

    #[test]
    fn shards_merge_exactly() {
        let mut merged = LogitQuantiles::new(1, 2, Bins::new(vec![0, 50]).expect("ascending"));
        assert_eq!(merged.pooled(0.5).expect("equal steps"), [None, None]);
        assert!(merged.per_head(0.5).iter().all(|value| value.is_nan()));
        for (head, first, count) in [(1, 30, 70), (0, 0, 100), (1, 0, 30)] {
            let part: Vec<f32> = (first..first + count).map(|i| (head * 100 + i) as f32).collect();
            let mut shard = LogitQuantiles::new(1, 2, Bins::new(vec![0, 50]).expect("ascending"));
            shard.push(0, head, 99, first as u64, &part).expect("causal");
            merged.merge(&shard).expect("same shape");
        }
        assert_eq!(merged, ramps());
        assert!(merged.merge(&LogitQuantiles::new(1, 2, Bins::doubling(9))).is_err());
        assert!(merged.push(0, 2, 0, 0, &[]).is_err() && merged.push(0, 0, 0, 1, &[1.0]).is_err());
    }

    #[test]
    fn masked_keys_are_skipped_and_broken_ones_counted() {
        let mut logits = LogitQuantiles::new(1, 1, Bins::doubling(3));
        logits.push(0, 0, 3, 0, &[f32::NEG_INFINITY, 1.0, 1.0, 2.0]).expect("causal");
        assert_eq!(logits.pooled(1.0).expect("equal steps"), [Some(2.0), Some(1.0), Some(1.0)]);
        assert_eq!((logits.non_finite(), logits.broken_from()), (NonFinite::default(), None));
        logits.push(0, 0, 3, 0, &[f32::NAN, f32::INFINITY, 5.0, 2.0]).expect("causal");
        assert_eq!(logits.pooled(1.0).expect("equal steps"), [Some(2.0), Some(5.0), None]);
        assert!(logits.per_head(0.5)[[0, 0, 2]].is_nan());
        let seen = NonFinite { count: 2, first: Some(3) };
        assert_eq!((logits.non_finite(), logits.broken_from()), (seen, Some(2)));
    }
}
