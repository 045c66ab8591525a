//! The shape that all accumulators per head share, and its checks.

use ndarray::{Array2, Array3, ArrayView1, s};
use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::error::{Error, Result};

/// Layers × heads × bins. Two accumulators merge if and only if their grids are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadGrid {
    pub layers: usize,
    pub heads: usize,
    pub bins: Bins,
}

impl HeadGrid {
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        Self { layers, heads, bins }
    }

    /// One value per cell. [layers, heads, bins]
    pub fn filled<T: Clone>(&self, value: T) -> Array3<T> {
        Array3::from_elem((self.layers, self.heads, self.bins.len()), value)
    }

    /// Every (layer, head), ascending.
    pub fn cells(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let heads = self.heads;
        (0..self.layers).flat_map(move |layer| (0..heads).map(move |head| (layer, head)))
    }

    /// An error unless the head exists.
    pub fn check_head(&self, operation: &'static str, layer: usize, head: usize) -> Result<()> {
        if layer < self.layers && head < self.heads {
            return Ok(());
        }
        let expected = format!("a head of {} layers × {} heads", self.layers, self.heads);
        Err(Error::mismatch(operation, expected, format!("layer {layer}, head {head}")))
    }

    /// An error unless the grids are equal.
    pub fn check_equal(&self, other: &Self, operation: &'static str) -> Result<()> {
        let shape = |grid: &Self| (grid.layers, grid.heads, grid.bins.len());
        if self == other {
            Ok(())
        } else if shape(self) == shape(other) {
            Err(Error::mismatch(operation, "equal bins", "bins with other edges"))
        } else {
            Err(Error::mismatch(operation, format!("{:?}", shape(self)), format!("{:?}", shape(other))))
        }
    }

    /// An error unless `values` has a value for each cell: what was read from a file need not.
    pub fn check_shape<T>(&self, values: &Array3<T>, operation: &'static str) -> Result<()> {
        let expected = (self.layers, self.heads, self.bins.len());
        if values.dim() == expected {
            return Ok(());
        }
        Err(Error::mismatch(operation, format!("{expected:?} values"), format!("{:?}", values.dim())))
    }

    /// An error unless `values` has a value for each head.
    pub fn check_heads<T>(&self, values: &Array2<T>, operation: &'static str) -> Result<()> {
        let expected = (self.layers, self.heads);
        if values.dim() == expected {
            return Ok(());
        }
        Err(Error::mismatch(operation, format!("{expected:?} values"), format!("{:?}", values.dim())))
    }

    /// Middle of each bin, in tokens; the last bin closes at `end`.
    pub fn middles(&self, end: u64) -> Vec<f64> {
        let middle = |(bin, &lower): (usize, &u64)| {
            let upper = self
                .bins
                .end(bin)
                .unwrap_or(end.max(lower.saturating_add(1)))
                .min(end.max(lower.saturating_add(1)));
            (lower as f64 + (upper - 1) as f64) / 2.0
        };
        self.bins.lower().iter().enumerate().map(middle).collect()
    }
}

/// The bins of one head.
pub fn row<T>(values: &Array3<T>, (layer, head): (usize, usize)) -> ArrayView1<'_, T> {
    values.slice(s![layer, head, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_merge_only_with_their_like() {
        let grid = |layers, edge| HeadGrid::new(layers, 2, Bins::new(vec![0, edge]).expect("ascending"));
        assert!(grid(1, 4).check_equal(&grid(1, 4), "merging").is_ok());
        let message =
            |other: &HeadGrid| grid(1, 4).check_equal(other, "merging").expect_err("differs").to_string();
        assert_eq!(message(&grid(1, 5)), "merging: expected equal bins, got bins with other edges");
        assert_eq!(message(&grid(3, 4)), "merging: expected (1, 2, 2), got (3, 2, 2)");
    }

    #[test]
    fn heads_that_do_not_exist_are_refused() {
        let grid = HeadGrid::new(1, 2, Bins::doubling(4));
        assert!(grid.check_head("x", 0, 1).is_ok());
        assert!(grid.check_head("x", 1, 0).is_err() && grid.check_head("x", 0, 2).is_err());
        assert_eq!(
            HeadGrid::new(2, 2, Bins::doubling(1)).cells().collect::<Vec<_>>(),
            [(0, 0), (0, 1), (1, 0), (1, 1)]
        );
    }
}
