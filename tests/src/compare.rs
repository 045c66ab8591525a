//! The one comparison of numbers in these tests.

use std::fmt;

use ndarray::{ArrayViewD, Dimension, IxDyn};

/// How far a value may be from the wanted one: `|got − want| ≤ absolute + relative · |want|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// In units of the values.
    pub absolute: f64,
    /// As a fraction of the wanted value.
    pub relative: f64,
}

impl Tolerance {
    /// A fixed distance, whatever the value.
    pub const fn absolute(absolute: f64) -> Self {
        Self { absolute, relative: 0.0 }
    }
}

/// Why two arrays are not the same.
#[derive(Debug, PartialEq)]
pub enum Mismatch {
    /// Shapes `got` and `want`.
    Shape { got: Vec<usize>, want: Vec<usize> },
    /// There was nothing to compare, which proves nothing.
    Empty,
    /// Values out of tolerance: the worst one and how many there are.
    Values { failures: usize, of: usize, worst: Vec<usize>, got: f32, want: f32 },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { got, want } => write!(f, "shape {got:?}, wanted {want:?}"),
            Self::Empty => write!(f, "nothing to compare"),
            Self::Values { failures, of, worst, got, want } => {
                write!(f, "{failures} of {of} values differ, worst at {worst:?}: {got}, wanted {want}")
            }
        }
    }
}

/// Compares value by value. An infinity equals only itself; NaN equals nothing, itself included: no golden holds one.
pub fn compare(
    got: ArrayViewD<'_, f32>,
    want: ArrayViewD<'_, f32>,
    tolerance: Tolerance,
) -> Result<(), Mismatch> {
    if got.shape() != want.shape() {
        return Err(Mismatch::Shape { got: got.shape().to_vec(), want: want.shape().to_vec() });
    }
    if want.is_empty() {
        return Err(Mismatch::Empty);
    }
    let mut failures = 0;
    let mut worst: Option<(f64, IxDyn)> = None;
    for (index, &expected) in want.indexed_iter() {
        let excess = excess(f64::from(got[&index]), f64::from(expected), tolerance);
        if excess > 0.0 {
            failures += 1;
            if worst.as_ref().is_none_or(|(largest, _)| excess > *largest) {
                worst = Some((excess, index));
            }
        }
    }
    worst.map_or(Ok(()), |(_, index)| {
        Err(Mismatch::Values {
            failures,
            of: want.len(),
            got: got[&index],
            want: want[&index],
            worst: index.slice().to_vec(),
        })
    })
}

/// How far outside the tolerance a value is; 0 inside, infinite where a value is not finite and not the same.
fn excess(got: f64, want: f64, tolerance: Tolerance) -> f64 {
    // Finite against infinite must not pass through `∞ ≤ relative · ∞`.
    if !got.is_finite() || !want.is_finite() {
        return if got == want { 0.0 } else { f64::INFINITY };
    }
    ((got - want).abs() - (tolerance.absolute + tolerance.relative * want.abs())).max(0.0)
}

/// Panics with `what` and the mismatch unless [`compare`] is satisfied.
#[track_caller]
pub fn assert_close<'a>(
    what: &str,
    got: impl Into<ArrayViewD<'a, f32>>,
    want: impl Into<ArrayViewD<'a, f32>>,
    tolerance: Tolerance,
) {
    if let Err(mismatch) = compare(got.into(), want.into(), tolerance) {
        panic!("{what}: {mismatch} (tolerance {} + {}·|want|)", tolerance.absolute, tolerance.relative);
    }
}

/// A slice as a one-dimensional view.
pub fn line(values: &[f32]) -> ArrayViewD<'_, f32> {
    ndarray::ArrayView1::from(values).into_dyn()
}

/// Two JSON values are equal, but for numbers that may differ by a part `relative` of them.
#[track_caller]
pub fn assert_nearly(what: &str, got: &serde_json::Value, want: &serde_json::Value, relative: f64) {
    use serde_json::Value;
    match (got, want) {
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{what}: other fields");
            a.iter().for_each(|(key, a)| assert_nearly(&format!("{what}.{key}"), a, &b[key], relative));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{what}");
            a.iter()
                .zip(b)
                .enumerate()
                .for_each(|(at, (a, b))| assert_nearly(&format!("{what}[{at}]"), a, b, relative));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("a float"), b.as_f64().expect("a float"));
            assert!((a - b).abs() <= relative * b.abs(), "{what}: {a}, expected {b}");
        }
        (a, b) => assert_eq!(a, b, "{what}"),
    }
}

mod tests {
    use ndarray::Array2;

    use super::*;

    const LOOSE: Tolerance = Tolerance { absolute: 0.1, relative: 0.1 };

    fn check(got: &[f32], want: &[f32]) -> Result<(), Mismatch> {
        compare(line(got), line(want), LOOSE)
    }

    fn fails_at(result: Result<(), Mismatch>) -> (usize, Vec<usize>) {
        match result {
            Err(Mismatch::Values { failures, worst, .. }) => (failures, worst),
            other => panic!("expected differing values, got {other:?}"),
        }
    }

    #[test]
    fn bounds_are_kept_on_both_sides() {
        assert_eq!(check(&[10.0, 11.0, 9.0, -11.0], &[10.0, 10.0, 10.0, -10.0]), Ok(()));
        assert_eq!(fails_at(check(&[10.0, 11.2], &[10.0, 10.0])), (1, vec![1]));
        assert_eq!(fails_at(check(&[8.8, 10.0], &[10.0, 10.0])), (1, vec![0]));
    }

    #[test]
    fn zero_is_held_to_the_absolute_part() {
        assert_eq!(check(&[0.05, -0.05], &[0.0, 0.0]), Ok(()));
        assert_eq!(fails_at(check(&[0.2], &[0.0])), (1, vec![0]));
        assert_eq!(fails_at(check(&[-0.2], &[-0.0])), (1, vec![0]));
    }

    #[test]
    fn nan_equals_nothing() {
        assert_eq!(fails_at(check(&[f32::NAN, 1.0], &[1.0, 1.0])), (1, vec![0]));
        assert_eq!(fails_at(check(&[1.0, 1.0], &[1.0, f32::NAN])), (1, vec![1]));
        assert_eq!(fails_at(check(&[f32::NAN], &[f32::NAN])), (1, vec![0]));
    }

    #[test]
    fn infinity_equals_itself_only() {
        let inf = f32::INFINITY;
        assert_eq!(check(&[inf, -inf], &[inf, -inf]), Ok(()));
        for (got, want) in [(inf, -inf), (1e30, inf), (inf, 1e30), (f32::NAN, inf)] {
            assert_eq!(fails_at(check(&[got], &[want])), (1, vec![0]), "{got} against {want}");
        }
    }

    #[test]
    fn the_worst_value_and_the_count_are_reported() {
        let want = Array2::<f32>::zeros((2, 3)).into_dyn();
        let mut got = want.clone();
        (got[[0, 1]], got[[1, 2]], got[[1, 0]]) = (0.5, -3.0, 0.05);
        let expected = Mismatch::Values { failures: 2, of: 6, worst: vec![1, 2], got: -3.0, want: 0.0 };
        assert_eq!(compare(got.view(), want.view(), LOOSE), Err(expected));
    }

    #[test]
    fn shapes_must_agree_even_at_the_same_length() {
        let (a, b) = (Array2::<f32>::zeros((2, 3)).into_dyn(), Array2::<f32>::zeros((3, 2)).into_dyn());
        let expected = Mismatch::Shape { got: vec![2, 3], want: vec![3, 2] };
        assert_eq!(compare(a.view(), b.view(), LOOSE), Err(expected));
        assert!(matches!(check(&[1.0], &[1.0, 1.0]), Err(Mismatch::Shape { .. })));
    }

    #[test]
    fn nothing_is_no_proof() {
        assert_eq!(check(&[], &[]), Err(Mismatch::Empty));
    }
}
