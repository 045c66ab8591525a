//! The largest values in cells, held against those of all pairs; also where keys are split, and where nothing is finite.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, GROUPED, Shape, encodings, log_sum_exp, policies};
use crate::probe::HeadStatistics;

/// (head, query cell, key cell) → logit and logarithm of the probability.
type Cells = BTreeMap<(usize, u64, u64), [f64; 2]>;

fn raise(cells: &mut Cells, at: (usize, u64, u64), values: [f64; 2]) {
    let cell = cells.entry(at).or_insert([f64::NEG_INFINITY; 2]);
    cell.iter_mut().zip(values).for_each(|(most, value)| *most = most.max(value));
}

/// The cells of all chunks; none of a row of cells with a NaN, which is put among `broken` as (head, query cell).
fn told(got: &[HeadStatistics], broken: &mut BTreeSet<(usize, u64)>) -> Cells {
    let mut cells = Cells::new();
    for report in got.iter().flat_map(|statistics| &statistics.cells) {
        let values = report.logits.iter().zip(&report.log_probabilities);
        for (key_cell, (&logit, &log)) in (report.first_key_cell..).zip(values) {
            assert_eq!((logit.is_nan(), logit.is_finite()), (log.is_nan(), log.is_finite()));
            if logit.is_nan() {
                broken.insert((report.head, report.query_cell));
            } else if logit.is_finite() {
                let at = (report.head, report.query_cell, key_cell);
                raise(&mut cells, at, [f64::from(logit), f64::from(log)]);
            }
        }
    }
    cells.retain(|&(head, query_cell, _), _| !broken.contains(&(head, query_cell)));
    cells
}

fn assert_close(got: &Cells, expected: &Cells, tolerance: f64, what: &str) {
    let keys = |cells: &Cells| cells.keys().copied().collect::<Vec<_>>();
    assert_eq!(keys(got), keys(expected), "{what}");
    for ((at, got), expected) in got.iter().zip(expected.values()) {
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= tolerance, "{what}: cell {at:?}: {got} {expected}");
        }
    }
}

impl Case {
    /// Every cell with an attended key is told of, and no other, with the largest of all its pairs; where a query has no
    /// softmax, the cells of all that share its row of cells are NaN.
    pub fn check_cells(&self, got: &[HeadStatistics], logits: &[Vec<f64>], tolerance: f64, what: &str) {
        let (mut expected, mut broken) = (Cells::new(), BTreeSet::new());
        for (head, logits) in logits.iter().enumerate() {
            for (query, row) in self.positions.iter().zip(logits.chunks(self.positions.len())) {
                let all = log_sum_exp(row);
                if all.is_nan() {
                    broken.insert((head, query / self.cell));
                }
                for (key, &logit) in self.positions.iter().zip(row).filter(|(_, logit)| logit.is_finite()) {
                    let at = (head, query / self.cell, key / self.cell);
                    raise(&mut expected, at, [logit, logit - all]);
                }
            }
        }
        expected.retain(|&(head, query_cell, _), _| !broken.contains(&(head, query_cell)));
        let mut found = BTreeSet::new();
        let cells = told(got, &mut found);
        assert_eq!(found, broken, "{what}");
        assert_close(&cells, &expected, 4.0 * tolerance, what);
    }
}

#[test]
fn cells_of_one_token_are_pairs() {
    let encoding = &encodings(GROUPED.heads, GROUPED.head_dim)[0];
    for policy in policies(6) {
        let case = Case::new(GROUPED, &policy, encoding, (0..30).collect());
        Case { cell: 1, ..case }.check(&[1, 7, 30]);
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
        // The query at 12, in the third row of cells.
        case.data[0][12 * 4] = broken;
        let outcome = case.run(20, true);
        let cells: Vec<_> = outcome.statistics.iter().flat_map(|statistics| &statistics.cells).collect();
        assert_eq!(cells.len(), 4);
        for report in cells {
            let values = || report.logits.iter().chain(&report.log_probabilities);
            let is_nan = report.query_cell == 2;
            assert!(values().all(|value| value.is_nan() == is_nan), "{broken}: {report:?}");
        }
    }
}
