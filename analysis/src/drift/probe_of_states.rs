//! The position probe of a few states that are at hand, in the dual form of ridge regression.
//!
//! With the centred states `X` that are fitted to, one a row, and `K = X·Xᵀ`,
//!
//! ```text
//! ŷ(x) = ȳ + (X·(x − x̄))·α,      (K + λ·u·I)·α = y − ȳ
//! ```
//!
//! which is the `ŷ` of [`PositionProbe`](super::PositionProbe) exactly (push-through identity). The unit `u` of the penalty is the
//! mean variance of a feature, as there; but of at most as many features as there are states, since more directions they do
//! not span: `u = tr K / min(states, hidden)`.

use ndarray::{Array1, ArrayView2, Axis};

use super::probe::{ProbeResult, ProbeRule, check_positions};
use super::states::{drop_rounding, finite};
use crate::error::{Error, Result};
use crate::linalg;

impl ProbeResult {
    /// Fits and tests a probe on states of shape [tokens, hidden] at these positions, in ascending order. Costs
    /// O(tokens²·(tokens + hidden)), and 16·tokens·hidden bytes of memory. No state to fit to is an error; so is a penalty that is
    /// nothing but rounding beside the states.
    pub fn of_states(rule: ProbeRule, positions: &[u64], states: ArrayView2<f32>) -> Result<Self> {
        let operation = "position probe";
        rule.check()?;
        check_positions(positions, states)?;
        let directions = states.nrows().min(states.ncols());
        let (rows, values) = finite(states);
        let (held_out, train): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|&row| rule.holds_out(rows[row] as u64));
        let mean = values.select(Axis(0), &train).mean_axis(Axis(0)).ok_or(Error::NoData { operation })?;
        let mut centred = values - &mean;
        drop_rounding(&mean, &mut centred);
        let target: Array1<f64> = rows.iter().map(|&row| (positions[row] as f64).ln_1p()).collect();
        let known = target.select(Axis(0), &train);
        let level = known.mean().ok_or(Error::NoData { operation })?;
        // [all, train]
        let products = centred.dot(&centred.select(Axis(0), &train).t());
        let mut kernel = products.select(Axis(0), &train);
        let total = kernel.diag().sum();
        let weights = if total > 0.0 {
            let penalty = rule.ridge * total / directions as f64;
            kernel.diag_mut().mapv_inplace(|value| value + penalty);
            linalg::solve_positive(kernel, &(known - level), operation)?
        } else {
            Array1::zeros(train.len())
        };
        let errors = &target - &(products.dot(&weights) + level);
        let test = |side: &[usize]| {
            let target = target.select(Axis(0), side);
            let mean = target.mean()?;
            let squares: f64 = side.iter().map(|&row| errors[row] * errors[row]).sum();
            Some((squares, target.mapv(|value| (value - mean) * (value - mean)).sum()))
        };
        let r2 = |(squares, total): (f64, f64)| (total > 0.0).then(|| 1.0 - squares / total);
        let tested = test(&held_out);
        Ok(Self {
            rule,
            trained_on: train.len() as u64,
            held_out: held_out.len() as u64,
            non_finite: (states.nrows() - rows.len()) as u64,
            r2_train: test(&train).and_then(r2),
            r2: tested.and_then(r2),
            rmse: tested.map(|(squares, _)| (squares / held_out.len() as f64).sqrt()),
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::drift::PositionProbe;
    use crate::testing::{close, normal};

    /// The probe from moments, with the penalty in the unit of the dual form.
    fn streamed(rule: ProbeRule, positions: &[u64], states: &Array2<f32>) -> Result<ProbeResult> {
        let (tokens, hidden) = states.dim();
        let ridge = rule.ridge * hidden as f64 / tokens.min(hidden) as f64;
        let mut probe = PositionProbe::new(hidden, ProbeRule { ridge, ..rule })?;
        probe.push(0, positions, states.view())?;
        Ok(ProbeResult { rule, ..probe.result()? })
    }

    fn agree(found: &ProbeResult, expected: &ProbeResult, case: &str) {
        let counts = |of: &ProbeResult| (of.trained_on, of.held_out, of.non_finite);
        assert_eq!(counts(found), counts(expected), "{case}");
        for (found, expected) in
            [(found.r2, expected.r2), (found.r2_train, expected.r2_train), (found.rmse, expected.rmse)]
        {
            let equal = match (found, expected) {
                (Some(found), Some(expected)) => close(found, expected, 1e-9),
                (found, expected) => found == expected,
            };
            assert!(equal, "{case}: {found:?} for {expected:?}");
        }
    }

    #[test]
    fn few_states_give_the_probe_of_the_moments() {
        for (tokens, hidden) in [(1, 4), (2, 4), (3, 30), (29, 30), (30, 30), (31, 30), (200, 30), (40, 1)] {
            for ridge in [1e-3, 0.03, 10.0] {
                let mut states = normal(tokens, hidden, 9) + 2.0;
                let positions: Vec<u64> = (0..tokens as u64).map(|index| 3 * index + index % 2).collect();
                for (mut state, &position) in states.rows_mut().into_iter().zip(&positions) {
                    state[0] = 30.0 * (position as f32).ln_1p();
                }
                for broken in [None, Some(tokens / 2)] {
                    if let Some(row) = broken {
                        states[[row, hidden - 1]] = f32::INFINITY;
                    }
                    let rule = ProbeRule { ridge, held_out_every: 3 };
                    let case = format!("{tokens} states of width {hidden}, ridge {ridge}, broken {broken:?}");
                    let found = ProbeResult::of_states(rule, &positions, states.view());
                    match (found, streamed(rule, &positions, &states)) {
                        (Ok(found), Ok(expected)) => agree(&found, &expected, &case),
                        (found, expected) => {
                            assert!(found.is_err() && expected.is_err(), "{case}: {found:?}, {expected:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn equal_states_predict_the_mean() {
        let positions: Vec<u64> = (0..40).collect();
        let equal = Array2::from_elem((40, 3), 0.1_f32);
        let found = ProbeResult::of_states(ProbeRule::default(), &positions, equal.view()).expect("seen");
        assert!(
            found.r2_train.expect("many").abs() < 1e-12 && found.r2.expect("held out") <= 0.0,
            "{found:?}"
        );
    }

    #[test]
    fn nothing_and_what_does_not_fit_are_errors() {
        let of = |rule, positions: &[u64], states: Array2<f32>| {
            ProbeResult::of_states(rule, positions, states.view())
        };
        let usual = ProbeRule::default();
        assert!(of(usual, &[], Array2::zeros((0, 3))).is_err());
        assert!(of(usual, &[4], array![[f32::NAN, 1.0]]).is_err());
        assert!(of(usual, &[4], Array2::zeros((2, 3))).is_err());
        assert!(of(usual, &[4, 4], Array2::zeros((2, 3))).is_err());
        assert!(of(ProbeRule { ridge: 0.0, ..usual }, &[4], Array2::zeros((1, 3))).is_err());
        // Of a width of 0 nothing can be read.
        assert_eq!(of(usual, &[1, 2, 3, 4], Array2::zeros((4, 0))).expect("the mean").r2_train, Some(0.0));
    }
}
