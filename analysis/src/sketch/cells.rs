//! How many values lie in each cell of a histogram whose cells are numbered by whole numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Cells `-NEAR..NEAR` are counted in a table: at steps of 1/64 on the asinh scale, all of a size below 1,490.
const NEAR: i32 = 512;

/// Counts by cell. Memory: 8 kB for the table from its first value on, and 16 bytes for each other cell that holds a value.
///
/// It is written as a map of cells to counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<i32, u64>", into = "BTreeMap<i32, u64>")]
pub struct Cells {
    /// Counts of cells `-NEAR..NEAR`; empty where none holds a value.
    near: Vec<u64>,
    /// Counts of the others that hold a value.
    far: BTreeMap<i32, u64>,
}

impl Cells {
    /// Adds values to one cell.
    pub fn add(&mut self, cell: i32, count: u64) {
        if count == 0 {
            return;
        }
        if !(-NEAR..NEAR).contains(&cell) {
            *self.far.entry(cell).or_insert(0) += count;
            return;
        }
        if self.near.is_empty() {
            self.near.resize(2 * NEAR as usize, 0);
        }
        self.near[(cell + NEAR) as usize] += count;
    }

    /// Cells that hold a value, with their counts, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i32, u64)> {
        let of = |(&cell, &count): (&i32, &u64)| (cell, count);
        let near = (-NEAR..NEAR).zip(self.near.iter().copied()).filter(|&(_, count)| count > 0);
        self.far.range(..-NEAR).map(of).chain(near).chain(self.far.range(NEAR..).map(of))
    }
}

impl From<BTreeMap<i32, u64>> for Cells {
    fn from(counts: BTreeMap<i32, u64>) -> Self {
        let mut cells = Self::default();
        counts.into_iter().for_each(|(cell, count)| cells.add(cell, count));
        cells
    }
}

impl From<Cells> for BTreeMap<i32, u64> {
    fn from(cells: Cells) -> Self {
        cells.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_those_of_a_map_in_whatever_order_they_come() {
        let edges = [i32::MIN, -9000, -NEAR - 1, -NEAR, -1, 0, 1, NEAR - 1, NEAR, NEAR + 1, i32::MAX];
        for order in [edges.to_vec(), edges.iter().rev().copied().collect()] {
            let (mut cells, mut map) = (Cells::default(), BTreeMap::new());
            for (round, count) in [(0, 1), (1, 0), (2, 5)] {
                for &cell in order.iter().skip(round) {
                    cells.add(cell, count);
                    *map.entry(cell).or_insert(0) += count;
                }
            }
            assert_eq!(cells.iter().collect::<BTreeMap<_, _>>(), map);
            assert!(cells.iter().is_sorted());
            assert_eq!(Cells::from(map.clone()), cells);
            let text = serde_json::to_string(&map).expect("writes");
            assert_eq!(serde_json::to_string(&cells).expect("writes"), text);
            assert_eq!(serde_json::from_str::<Cells>(&text).expect("reads"), cells);
        }
        assert_eq!(Cells::default().iter().count(), 0);
    }
}
