//! Matrices that are stored as FP8 (E4M3) beside scales: the weight is the product.
//!
//! Where neighbours in a row share their scales, products are computed when they are needed, from 9 bits a weight; else they are
//! held as f32. The values are the same: a product in f32, rounded once.

use rayon::prelude::*;

use crate::model::block_format::{BlockFormat, e4m3};
use crate::model::weights::WeightType;

/// Which weights of a matrix share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// All.
    One,
    /// Those of a row.
    Rows,
    /// Those of a block of so many rows and columns; the last ones may be shorter.
    Blocks([usize; 2]),
}

impl std::fmt::Display for Scales {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One => f.write_str("one scale a matrix"),
            Self::Rows => f.write_str("a scale for each row"),
            Self::Blocks([rows, columns]) => write!(f, "a scale for each block of {rows} × {columns}"),
        }
    }
}

impl Scales {
    /// Shapes that the scales of a matrix of this size may have.
    pub fn shapes(self, rows: usize, columns: usize) -> Vec<Vec<usize>> {
        match self {
            Self::One => vec![vec![], vec![1], vec![1, 1]],
            Self::Rows => vec![vec![rows, 1], vec![rows]],
            Self::Blocks([of_rows, of_columns]) => {
                vec![vec![rows.div_ceil(of_rows), columns.div_ceil(of_columns)]]
            }
        }
    }

    /// Rows and columns that share a scale.
    fn block(self, rows: usize, columns: usize) -> [usize; 2] {
        match self {
            Self::One => [rows, columns],
            Self::Rows => [1, columns],
            Self::Blocks(block) => block,
        }
    }

    /// How a matrix of this size is held.
    pub fn weight_type(self, rows: usize, columns: usize) -> WeightType {
        let format = BlockFormat::ScaledE4M3;
        let (run, _) = format.block();
        let [_, of_columns] = self.block(rows, columns);
        let runs = columns.is_multiple_of(run) && (of_columns >= columns || of_columns.is_multiple_of(run));
        if runs { WeightType::Block(format) } else { WeightType::F32 }
    }

    /// The weights as [`Self::weight_type`] has them. `stored`: [rows, columns]; `scales`: of one of [`Self::shapes`].
    pub fn multiplied(self, stored: &[u8], scales: &[f32], rows: usize, columns: usize) -> Vec<u8> {
        let weight_type = self.weight_type(rows, columns);
        let (run, bytes) = weight_type.block();
        let [of_rows, of_columns] = self.block(rows, columns).map(|size| size.max(1));
        let across = columns.div_ceil(of_columns);
        let mut out = vec![0; columns / run * bytes * rows];
        let width = (columns / run * bytes).max(1);
        out.par_chunks_mut(width).zip(stored.par_chunks(columns.max(1))).enumerate().for_each(
            |(row, (out, stored))| {
                let scale = |column: usize| scales[row / of_rows * across + column / of_columns];
                for ((index, out), stored) in
                    out.chunks_exact_mut(bytes).enumerate().zip(stored.chunks_exact(run))
                {
                    let scale = scale(index * run);
                    if weight_type == WeightType::F32 {
                        out.copy_from_slice(&(e4m3(stored[0]) * scale).to_le_bytes());
                    } else {
                        out[..4].copy_from_slice(&scale.to_le_bytes());
                        out[4..].copy_from_slice(stored);
                    }
                }
            },
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kernels::dequantize::rows_to_f32;
    use crate::model::weights::Matrix;

    #[test]
    fn weights_are_the_products_however_they_are_held() {
        let blocks = [[1, 1], [2, 32], [3, 40], [128, 128], [5, 64], [7, 200]];
        for scheme in [Scales::One, Scales::Rows].into_iter().chain(blocks.map(Scales::Blocks)) {
            for (rows, columns) in [(1, 1), (5, 31), (5, 32), (6, 33), (7, 64), (9, 160)] {
                let stored: Vec<u8> =
                    (0..rows * columns).map(|at| (at * 37 % 127 + at % 2 * 128) as u8).collect();
                let count: usize = scheme.shapes(rows, columns)[0].iter().product();
                let scales: Vec<f32> = (0..count).map(|at| 0.001 * (at as f32 + 1.3)).collect();
                let bytes = scheme.multiplied(&stored, &scales, rows, columns);
                let (range, weight_type) = (0..bytes.len(), scheme.weight_type(rows, columns));
                let matrix = Matrix::new(Arc::new(bytes), range, weight_type, rows, columns).expect("whole");
                let mut got = vec![0.0; rows * columns];
                rows_to_f32(&matrix, 0, &mut got);
                for (at, got) in got.into_iter().enumerate() {
                    let (row, column) = (at / columns, at % columns);
                    let scale = match scheme {
                        Scales::One => scales[0],
                        Scales::Rows => scales[row],
                        Scales::Blocks([a, b]) => scales[row / a * columns.div_ceil(b) + column / b],
                    };
                    assert_eq!(got, e4m3(stored[at]) * scale, "{scheme} {rows}×{columns} {at}");
                }
            }
        }
        assert_eq!(
            Scales::Blocks([128, 128]).weight_type(1, 160),
            WeightType::Block(BlockFormat::ScaledE4M3)
        );
        assert_eq!(Scales::Blocks([128, 48]).weight_type(1, 160), WeightType::F32);
        assert_eq!(Scales::One.weight_type(3, 33), WeightType::F32);
    }
}
