//! The largest values in tiles, held against those of all pairs; also where keys are split, and where nothing is finite.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, GROUPED, Shape, encodings, log_sum_exp, policies};
use crate::probe::HeadStatistics;

/// (head, query tile, key tile) → logit and logarithm of the probability.
type Tiles = BTreeMap<(usize, u64, u64), [f64; 2]>;

fn raise(tiles: &mut Tiles, at: (usize, u64, u64), values: [f64; 2]) {
    let tile = tiles.entry(at).or_insert([f64::NEG_INFINITY; 2]);
    tile.iter_mut().zip(values).for_each(|(most, value)| *most = most.max(value));
}

/// The tiles of all chunks; none of a row of tiles with a NaN, which is put among `broken` as (head, query tile).
fn told(got: &[HeadStatistics], broken: &mut BTreeSet<(usize, u64)>) -> Tiles {
    let mut tiles = Tiles::new();
    for report in got.iter().flat_map(|statistics| &statistics.tiles) {
        let values = report.logits.iter().zip(&report.log_probabilities);
        for (key_cell, (&logit, &log)) in (report.first_key_tile..).zip(values) {
            assert_eq!((logit.is_nan(), logit.is_finite()), (log.is_nan(), log.is_finite()));
            if logit.is_nan() {
                broken.insert((report.head, report.query_tile));
            } else if logit.is_finite() {
                let at = (report.head, report.query_tile, key_cell);
                raise(&mut tiles, at, [f64::from(logit), f64::from(log)]);
            }
        }
    }
    tiles.retain(|&(head, query_tile, _), _| !broken.contains(&(head, query_tile)));
    tiles
}

fn assert_close(got: &Tiles, expected: &Tiles, tolerance: f64, what: &str) {
    let keys = |tiles: &Tiles| tiles.keys().copied().collect::<Vec<_>>();
    assert_eq!(keys(got), keys(expected), "{what}");
    for ((at, got), expected) in got.iter().zip(expected.values()) {
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= tolerance, "{what}: tile {at:?}: {got} {expected}");
        }
    }
}

impl Case {
    /// Every tile with an attended key is told of, and no other, with the largest of all its pairs; where a query has no
    /// softmax, the tiles of all that share its row of tiles are NaN.
    pub fn check_cells(&self, got: &[HeadStatistics], logits: &[Vec<f64>], tolerance: f64, what: &str) {
        let (mut expected, mut broken) = (Tiles::new(), BTreeSet::new());
        for (head, logits) in logits.iter().enumerate() {
            for (query, row) in self.positions.iter().zip(logits.chunks(self.positions.len())) {
                let mut all = log_sum_exp(row);
                if let Some(sink) = self.sink(head).filter(|_| !all.is_nan()) {
                    all = log_sum_exp(&row.iter().copied().chain([sink]).collect::<Vec<_>>());
                }
                if all.is_nan() {
                    broken.insert((head, query / self.tile));
                }
                for (key, &logit) in self.positions.iter().zip(row).filter(|(_, logit)| logit.is_finite()) {
                    let at = (head, query / self.tile, key / self.tile);
                    raise(&mut expected, at, [logit, logit - all]);
                }
            }
        }
        expected.retain(|&(head, query_tile, _), _| !broken.contains(&(head, query_tile)));
        let mut found = BTreeSet::new();
        let tiles = told(got, &mut found);
        assert_eq!(found, broken, "{what}");
        assert_close(&tiles, &expected, 4.0 * tolerance, what);
    }
}

#[test]
fn cells_of_one_token_are_pairs() {
    let encoding = &encodings(GROUPED.heads, GROUPED.head_dim)[0];
    for policy in policies(6) {
        let case = Case::new(GROUPED, &policy, encoding, (0..30).collect());
        Case { tile: 1, ..case }.check(&[1, 7, 30]);
    }
}

/// Few rows over many keys: parts of the keys are read by several threads, and their maxima joined.
#[test]
fn keys_that_are_split_leave_the_largest_of_all_parts() {
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 4 };
    let encoding = &encodings(shape.heads, shape.head_dim)[0];
    for policy in [&policies(2500)[0], &policies(2500)[4]] {
        let case = Case::new(shape, policy, encoding, (0..2600).collect());
        let (split, whole) = (case.run(2599, true), case.run(2600, true));
        let mut broken = BTreeSet::new();
        let [split, whole] = [split, whole].map(|outcome| told(&outcome.statistics, &mut broken));
        assert!(broken.is_empty());
        assert_close(&split, &whole, 2e-5, &format!("{policy:?}"));
    }
}

#[test]
fn a_row_that_is_not_finite_makes_its_cells_so_and_no_other() {
    let shape = Shape { heads: 1, kv_heads: 1, head_dim: 4 };
    let encoding = &encodings(shape.heads, shape.head_dim)[0];
    for broken in [f32::NAN, f32::INFINITY] {
        let mut case = Case::new(shape, &policies(6)[0], encoding, (0..20).collect());
        // The query at 12, in the third row of tiles.
        case.data[0][12 * 4] = broken;
        let outcome = case.run(20, true);
        let tiles: Vec<_> = outcome.statistics.iter().flat_map(|statistics| &statistics.tiles).collect();
        assert_eq!(tiles.len(), 4);
        for report in tiles {
            let values = || report.logits.iter().chain(&report.log_probabilities);
            let is_nan = report.query_tile == 2;
            assert!(values().all(|value| value.is_nan() == is_nan), "{broken}: {report:?}");
        }
    }
}
