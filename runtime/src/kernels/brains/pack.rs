//! From stored rows to panels.

use rayon::prelude::*;

use crate::model::packed::{BrainPanels, Line, ROWS};

/// Rows of `columns` bfloat16 in `bytes`, on all threads.
///
/// # Panics
/// Where `bytes` are no whole rows.
pub fn pack(bytes: &[u8], columns: usize) -> BrainPanels {
    let width = 2 * columns;
    assert!(width > 0 && bytes.len().is_multiple_of(width), "whole rows");
    let pairs = columns.div_ceil(2);
    let mut lines = vec![Line([[0; 4]; ROWS]); bytes.len().div_ceil(ROWS * width) * pairs];
    lines.par_chunks_mut(pairs).zip(bytes.par_chunks(ROWS * width)).for_each(|(lines, rows)| {
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (line, pair) in lines.iter_mut().zip(row.chunks(4)) {
                line.0[lane][..pair.len()].copy_from_slice(pair);
            }
        }
    });
    BrainPanels { pairs, lines }
}
