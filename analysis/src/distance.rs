//! Mean probability mass by distance: how far each head looks.
//!
//! `m_b = mean over queries of Σ_{j: i−j in bin b} p_ij`, per layer and head; a share of 1. Distances are true ones,
//! whatever the policy tells the position encoding. A query with a NaN or ±inf in any bin is counted and located; its head
//! then has no means (NaN), since they would pass over it.

use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::error::{Error, Result};
use crate::grid::HeadGrid;
use crate::non_finite::NonFinite;

/// Streaming mean of the mass per distance bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MassByDistance {
    grid: HeadGrid,
    /// [layers, heads, bins]
    sums: Array3<f64>,
    /// Queries. [layers, heads]
    counts: Array2<u64>,
    /// [layers, heads]
    non_finite: Array2<NonFinite>,
}

impl MassByDistance {
    /// Empty.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let grid = HeadGrid::new(layers, heads, bins);
        let non_finite = Array2::from_elem((layers, heads), NonFinite::default());
        Self { sums: grid.filled(0.0), grid, counts: Array2::zeros((layers, heads)), non_finite }
    }

    /// Adds consecutive queries of one head, the first at `position`; `masses` is [queries, bins] in row-major order.
    pub fn push(&mut self, layer: usize, head: usize, position: u64, masses: &[f32]) -> Result<()> {
        self.grid.check_head("mass by distance", layer, head)?;
        let bins = self.grid.bins.len();
        if !masses.len().is_multiple_of(bins) {
            let expected = format!("{bins} masses per query");
            return Err(Error::mismatch("mass by distance", expected, format!("{} masses", masses.len())));
        }
        for (position, query) in (position..).zip(masses.chunks_exact(bins)) {
            if query.iter().all(|mass| mass.is_finite()) {
                for (bin, &mass) in query.iter().enumerate() {
                    self.sums[[layer, head, bin]] += f64::from(mass);
                }
                self.counts[[layer, head]] += 1;
            } else {
                self.non_finite[[layer, head]].note(position, 1);
            }
        }
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let operation = "merging mass by distance";
        self.grid.check_equal(&other.grid, operation)?;
        self.grid.check_shape(&other.sums, operation)?;
        self.grid.check_heads(&other.counts, operation)?;
        self.grid.check_heads(&other.non_finite, operation)?;
        self.sums += &other.sums;
        self.counts += &other.counts;
        self.non_finite.zip_mut_with(&other.non_finite, NonFinite::merge);
        Ok(())
    }

    /// Bins of distance.
    pub fn bins(&self) -> &Bins {
        &self.grid.bins
    }

    /// Queries with a mass that was not finite, of all heads.
    pub fn non_finite(&self) -> NonFinite {
        NonFinite::total(&self.non_finite)
    }

    /// Mean mass, of shape [layers, heads, bins]; NaN for a head that saw no query, or one that was not finite.
    pub fn means(&self) -> Array3<f64> {
        let mut counts = self.counts.mapv(|count| if count > 0 { count as f64 } else { f64::NAN });
        counts.zip_mut_with(&self.non_finite, |count, broken| {
            if broken.any() {
                *count = f64::NAN;
            }
        });
        &self.sums / &counts.insert_axis(Axis(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_add_up_to_one() {
        let mut mass = MassByDistance::new(1, 1, Bins::doubling(4));
        mass.push(0, 0, 0, &[1.0, 0.0, 0.0, 0.5, 0.25, 0.25]).expect("two queries");
        assert_eq!(mass.means().as_slice(), Some(&[0.75, 0.125, 0.125][..]));
    }

    #[test]
    fn a_head_with_a_broken_query_has_no_means() {
        let mut mass = MassByDistance::new(1, 2, Bins::doubling(4));
        mass.push(0, 0, 7, &[0.5, 0.5, 0.0, f32::NAN, 0.5, 0.5]).expect("two queries");
        mass.push(0, 1, 7, &[0.5, 0.5, 0.0]).expect("one query");
        assert_eq!(mass.non_finite(), NonFinite { count: 1, first: Some(8) });
        let means = mass.means();
        assert!((0..3).all(|bin| means[[0, 0, bin]].is_nan()) && means[[0, 1, 0]] == 0.5);
    }

    #[test]
    fn shards_merge_and_shapes_are_checked() {
        let new = || MassByDistance::new(1, 1, Bins::doubling(4));
        let (mut left, mut right, mut whole) = (new(), new(), new());
        left.push(0, 0, 0, &[1.0, 0.0, 0.0]).expect("one query");
        right.push(0, 0, 1, &[0.0, 0.0, 1.0]).expect("one query");
        whole.push(0, 0, 0, &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]).expect("two queries");
        left.merge(&right).expect("same shape");
        assert_eq!(left, whole);
        assert!(new().means()[[0, 0, 0]].is_nan());
        assert!(left.push(0, 0, 2, &[1.0]).is_err() && left.push(0, 1, 2, &[]).is_err());
        assert!(left.merge(&MassByDistance::new(1, 1, Bins::doubling(64))).is_err());
    }
}
