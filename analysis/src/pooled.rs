//! Attention maps of every query, pooled: the largest values in squares of tokens, by layer and head.
//!
//! The cell of the queries `a·s .. (a + 1)·s` and the keys `b·s .. (b + 1)·s` holds
//!
//! ```text
//! logit            max_ij w_ij       −inf where none is attended
//! log probability  max_ij ln p_ij    p = softmax over the attended keys of the whole row; nats
//! ```
//!
//! A cell is NaN once a query of it has a value that is not finite: the map itself says where. With `s` the side, so that no single strong pair is lost at any length. [`AttentionMaps`](crate::AttentionMaps) in
//! contrast has a few queries, and what a bin of keys has together. Memory: 8 bytes per cell below the diagonal, layer
//! and head. A row of cells is shared between copies until it changes: a copy on the way costs one row.

use std::num::NonZeroU64;
use std::sync::Arc;

use ndarray::Array3;

use crate::error::{Error, Result};

/// Streaming pooled maps of all heads; shards merge, in any order.
#[derive(Clone, Debug, PartialEq)]
pub struct PooledMaps {
    layers: usize,
    heads: usize,
    side: NonZeroU64,
    most: usize,
    rows: Vec<Arc<Row>>,
}

/// The cells of `side` queries. [layers, heads, row + 1]
#[derive(Clone, Debug, PartialEq)]
struct Row {
    logits: Array3<f32>,
    log_probabilities: Array3<f32>,
}

/// The largest values in a square of tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PooledCell {
    /// Largest logit; −inf where no key is attended, NaN where a query of the cell has a value that is not finite.
    pub logit: f32,
    /// Logarithm of the largest probability, in nats; as above.
    pub log_probability: f32,
}

impl PooledMaps {
    /// Empty maps of at most `rows` × `rows` cells of `side` × `side` tokens.
    pub fn new(layers: usize, heads: usize, rows: usize, side: NonZeroU64) -> Self {
        Self { layers, heads, side, most: rows, rows: Vec::new() }
    }

    /// Tokens from side to side of a cell.
    pub fn side(&self) -> u64 {
        self.side.get()
    }

    /// Raises consecutive cells of one head in the row of cells `row`, from column `first` on, to at least these values.
    ///
    /// # Errors
    /// A head or a row that does not exist; more logits than log probabilities or fewer; cells whose keys all come after
    /// the queries.
    pub fn push(
        &mut self,
        (layer, head): (usize, usize),
        row: usize,
        first: usize,
        logits: &[f32],
        log_probabilities: &[f32],
    ) -> Result<()> {
        let operation = "pooled maps";
        if layer >= self.layers || head >= self.heads {
            let expected = format!("a head of {} layers × {} heads", self.layers, self.heads);
            return Err(Error::mismatch(operation, expected, format!("layer {layer}, head {head}")));
        }
        if row >= self.most {
            let expected = format!("one of {} rows of cells", self.most);
            return Err(Error::mismatch(operation, expected, format!("row {row}")));
        }
        let columns = logits.len();
        if log_probabilities.len() != columns {
            let got = format!("{columns} and {}", log_probabilities.len());
            return Err(Error::mismatch(operation, "as many log probabilities as logits", got));
        }
        if first.checked_add(columns).is_none_or(|end| end > row + 1) {
            let expected = format!("at most {} cells in row {row}", row + 1);
            return Err(Error::mismatch(operation, expected, format!("{columns} cells from {first}")));
        }
        while self.rows.len() <= row {
            self.rows.push(Arc::new(Row::new((self.layers, self.heads, self.rows.len() + 1))));
        }
        let cells = Arc::make_mut(&mut self.rows[row]);
        for (column, (&logit, &log_probability)) in (first..).zip(logits.iter().zip(log_probabilities)) {
            raise(&mut cells.logits[[layer, head, column]], logit);
            raise(&mut cells.log_probabilities[[layer, head, column]], log_probability);
        }
        Ok(())
    }

    /// The same in cells of twice the side, for a text that has outgrown these: largest values of four cells. What was seen
    /// by cells of either side gives the same maps.
    ///
    /// # Errors
    /// A side that cannot be doubled.
    pub fn coarsened(&self) -> Result<Self> {
        let Some(side) = self.side.checked_mul(NonZeroU64::MIN.saturating_add(1)) else {
            return Err(Error::mismatch("pooled maps", "a side below 2^63", self.side));
        };
        let mut rows = Vec::with_capacity(self.rows.len().div_ceil(2));
        for (index, pair) in self.rows.chunks(2).enumerate() {
            let mut coarse = Row::new((self.layers, self.heads, index + 1));
            for fine in pair {
                for (own, more) in [
                    (&mut coarse.logits, &fine.logits),
                    (&mut coarse.log_probabilities, &fine.log_probabilities),
                ] {
                    for ((layer, head, column), &value) in more.indexed_iter() {
                        raise(&mut own[[layer, head, column / 2]], value);
                    }
                }
            }
            rows.push(Arc::new(coarse));
        }
        Ok(Self { side, rows, ..Self::new(self.layers, self.heads, self.most, side) })
    }

    /// Takes in what `other` saw.
    ///
    /// # Errors
    /// Maps of another shape.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let shape = |maps: &Self| (maps.layers, maps.heads, maps.most, maps.side);
        if shape(self) != shape(other) {
            let (expected, got) = (format!("{:?}", shape(self)), format!("{:?}", shape(other)));
            return Err(Error::mismatch("merging pooled maps", expected, got));
        }
        for (own, more) in self.rows.iter_mut().zip(&other.rows) {
            let own = Arc::make_mut(own);
            own.logits.zip_mut_with(&more.logits, |own, &more| raise(own, more));
            own.log_probabilities.zip_mut_with(&more.log_probabilities, |own, &more| raise(own, more));
        }
        self.rows.extend(other.rows.iter().skip(self.rows.len()).cloned());
        Ok(())
    }

    /// The cell of a pair of tokens; `None` where nothing has been seen yet, where the key's cell comes after the query's,
    /// and for a head that does not exist.
    pub fn at(&self, head: (usize, usize), query: u64, key: u64) -> Option<PooledCell> {
        let [row, column] = [query, key].map(|token| usize::try_from(token / self.side).ok());
        self.cell(head, row?, column?)
    }

    /// The cell of a row and a column of cells; `None` as above.
    pub fn cell(&self, (layer, head): (usize, usize), row: usize, column: usize) -> Option<PooledCell> {
        let (row, at) = (self.rows.get(row)?, [layer, head, column]);
        Some(PooledCell { logit: *row.logits.get(at)?, log_probability: *row.log_probabilities.get(at)? })
    }
}

impl Row {
    fn new(shape: (usize, usize, usize)) -> Self {
        let nothing = Array3::from_elem(shape, f32::NEG_INFINITY);
        Self { logits: nothing.clone(), log_probabilities: nothing }
    }
}

/// Raises `most` to at least `value`; NaN stays, and makes NaN.
pub fn raise(most: &mut f32, value: f32) {
    if value.is_nan() || value > *most {
        *most = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: f32 = f32::NEG_INFINITY;

    fn maps() -> PooledMaps {
        of_side(4)
    }

    fn of_side(side: u64) -> PooledMaps {
        PooledMaps::new(2, 3, 5, NonZeroU64::new(side).expect("at least a token"))
    }

    fn cell(maps: &PooledMaps, query: u64, key: u64) -> Option<(f32, f32)> {
        maps.at((1, 2), query, key).map(|cell| (cell.logit, cell.log_probability))
    }

    #[test]
    fn cells_keep_the_largest_and_rows_are_triangular() {
        let mut maps = maps();
        maps.push((1, 2), 2, 1, &[1.0, 5.0], &[-3.0, -0.5]).expect("in the triangle");
        maps.push((1, 2), 2, 0, &[0.0, 2.0], &[-9.0, -4.0]).expect("in the triangle");
        assert_eq!((cell(&maps, 8, 3), cell(&maps, 11, 4)), (Some((0.0, -9.0)), Some((2.0, -3.0))));
        assert_eq!((cell(&maps, 9, 11), cell(&maps, 9, 12)), (Some((5.0, -0.5)), None));
        assert_eq!((cell(&maps, 7, 0), cell(&maps, 12, 0)), (Some((NOTHING, NOTHING)), None));
        assert_eq!(maps.at((0, 0), 8, 0).map(|cell| cell.logit), Some(NOTHING));
        assert_eq!(maps.at((2, 0), 8, 0), None);
    }

    #[test]
    fn merged_is_whole_in_any_order() {
        let push = |maps: &mut PooledMaps, part: usize| match part {
            0 => maps.push((1, 2), 0, 0, &[1.0], &[-1.0]),
            1 => maps.push((1, 2), 1, 0, &[3.0, 2.0], &[-2.0, -3.0]),
            _ => maps.push((1, 2), 1, 1, &[f32::NAN], &[f32::NAN]),
        };
        let mut whole = maps();
        (0..3).for_each(|part| push(&mut whole, part).expect("in the triangle"));
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut merged = maps();
            for part in order {
                let mut one = maps();
                push(&mut one, part).expect("in the triangle");
                merged.merge(&one).expect("the same shape");
            }
            for (query, key) in [(0, 0), (4, 0), (7, 3)] {
                assert_eq!(cell(&merged, query, key), cell(&whole, query, key));
            }
            assert!(cell(&merged, 4, 4).expect("seen").0.is_nan(), "once not a number, never one again");
        }
    }

    #[test]
    fn coarsened_maps_are_those_of_larger_cells() {
        let of_side = |side| PooledMaps::new(2, 3, 8, NonZeroU64::new(side).expect("at least a token"));
        let (mut fine, mut coarse) = (of_side(2), of_side(4));
        for row in 0..5 {
            for column in 0..=row {
                let logit =
                    if (row, column) == (3, 1) { f32::NAN } else { ((row * 7 + column * 3) % 11) as f32 };
                fine.push((1, 2), row, column, &[logit], &[-logit]).expect("in the triangle");
                coarse.push((1, 2), row / 2, column / 2, &[logit], &[-logit]).expect("in the triangle");
            }
        }
        let coarsened = fine.coarsened().expect("doubled");
        assert_eq!(coarsened.side(), 4);
        for (query, key) in (0..12).flat_map(|query| (0..12).map(move |key| (query, key))) {
            let text = |maps: &PooledMaps| format!("{:?}", cell(maps, query, key));
            assert_eq!(text(&coarsened), text(&coarse), "{query} {key}");
        }
        assert!(cell(&coarsened, 4, 0).expect("seen").0.is_nan());
        assert!(of_side(1 << 63).coarsened().is_err());
    }

    #[test]
    fn a_copy_shares_rows_until_they_change() {
        let mut maps = maps();
        maps.push((0, 0), 0, 0, &[1.0], &[-1.0]).expect("in the triangle");
        maps.push((0, 0), 1, 0, &[1.0], &[-1.0]).expect("in the triangle");
        let copy = maps.clone();
        maps.push((0, 0), 1, 0, &[2.0], &[-1.0]).expect("in the triangle");
        assert!(Arc::ptr_eq(&maps.rows[0], &copy.rows[0]) && !Arc::ptr_eq(&maps.rows[1], &copy.rows[1]));
        assert_eq!(copy.at((0, 0), 4, 0).map(|cell| cell.logit), Some(1.0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut maps = maps();
        for (outcome, words) in [
            (maps.push((2, 0), 0, 0, &[], &[]), "layer 2, head 0"),
            (maps.push((0, 0), 0, 0, &[1.0], &[]), "1 and 0"),
            (maps.push((0, 0), 1, 1, &[1.0; 2], &[1.0; 2]), "at most 2 cells in row 1, got 2 cells from 1"),
            (maps.push((0, 0), 5, 0, &[], &[]), "one of 5 rows of cells, got row 5"),
            (maps.push((0, 0), usize::MAX, 0, &[1.0], &[1.0]), "one of 5 rows"),
            (maps.merge(&of_side(8)), "(2, 3, 5, 4), got (2, 3, 5, 8)"),
        ] {
            let message = outcome.expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
