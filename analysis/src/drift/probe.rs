//! A linear probe that reads the position out of hidden states.
//!
//! Target `y = ln(1 + position)`: the signal that Observation 1 builds decays like `1/t`, so equal *ratios* of position
//! are about equally hard to tell apart. Ridge regression on centred states, with the penalty in units of the mean
//! variance of a feature, so that it does not depend on the scale of the model:
//!
//! ```text
//! β = (S_xx + λ·(tr S_xx / hidden)·I)⁻¹ S_xy,      ŷ = ȳ + β·(x − x̄)
//! R² = 1 − Σ (y − ŷ)² / Σ (y − ȳ_held)²           over held-out positions
//! ```
//!
//! Held out is every `held_out_every`-th state, counted by its index among all states in order of position, so that training
//! and test positions lie in the same range and are as many as the rule says, however the positions were sampled. (Counted by
//! the position itself, a grid whose stride shares a divisor with the rule would have all of its states on one side.)
//! R² is 1 for a perfect probe, 0 for one no better than the mean of the held-out positions, and below 0 for a worse one.
//! Both sums come from the moments of `(x, y)`, so no state is kept; [`ProbeResult::of_states`] is the same of a few states
//! that are at hand, at a cost that does not grow with the cube of the width.

use ndarray::{Array2, ArrayView1, ArrayView2, s};
use serde::{Deserialize, Serialize};

use super::moments::StateMoments;
use super::states::{check_width, finite};
use crate::error::{Error, Result};
use crate::linalg;

/// How the probe is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeRule {
    /// `λ`, in units of the mean variance of a feature; above 0.
    pub ridge: f64,
    /// States whose index leaves `held_out_every − 1` when divided by it are held out; at least 2.
    pub held_out_every: u64,
}

impl Default for ProbeRule {
    fn default() -> Self {
        Self { ridge: 1e-3, held_out_every: 4 }
    }
}

impl ProbeRule {
    pub(super) fn check(&self) -> Result<()> {
        if self.ridge.is_finite() && self.ridge > 0.0 && self.held_out_every >= 2 {
            return Ok(());
        }
        let expected = "a ridge above 0 and one in two or more positions held out";
        Err(Error::mismatch(OPERATION, expected, format!("{self:?}")))
    }

    /// Whether the state of this index is held out.
    pub(super) fn holds_out(&self, index: u64) -> bool {
        index % self.held_out_every == self.held_out_every - 1
    }
}

const OPERATION: &str = "position probe";

/// Refuses positions that are not ascending, or not one for each state.
pub(super) fn check_positions(positions: &[u64], states: ArrayView2<f32>) -> Result<()> {
    if let Some(pair) = positions.windows(2).find(|pair| pair[0] >= pair[1]) {
        let got = format!("{} after {}", pair[1], pair[0]);
        return Err(Error::mismatch(OPERATION, "ascending positions", got));
    }
    if positions.len() == states.nrows() {
        return Ok(());
    }
    Err(Error::mismatch(OPERATION, format!("{} positions", states.nrows()), positions.len()))
}

/// Streaming probe. Memory: 16·(hidden + 1)² bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct PositionProbe {
    rule: ProbeRule,
    train: StateMoments,
    held_out: StateMoments,
    non_finite: u64,
}

/// What the probe can read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// How it was fitted.
    pub rule: ProbeRule,
    /// States it was fitted to.
    pub trained_on: u64,
    /// States it was tested on.
    pub held_out: u64,
    /// States with a NaN or ±inf, which were left out.
    pub non_finite: u64,
    /// R² on the states that it was fitted to; `None` if they have fewer than two positions.
    pub r2_train: Option<f64>,
    /// R² on held-out positions; `None` if there are fewer than two.
    pub r2: Option<f64>,
    /// Root of the mean squared error on held-out positions, in nats of `ln(1 + position)`.
    pub rmse: Option<f64>,
}

impl PositionProbe {
    /// Empty, for states of width `hidden`.
    pub fn new(hidden: usize, rule: ProbeRule) -> Result<Self> {
        rule.check()?;
        let moments = StateMoments::new(hidden + 1);
        Ok(Self { rule, train: moments.clone(), held_out: moments, non_finite: 0 })
    }

    /// Adds states of shape [tokens, hidden] at these positions, in ascending order. `first_index` is the index of the first
    /// of them among all states that the probe sees: how many come before it, in other pushes and other shards.
    pub fn push(&mut self, first_index: u64, positions: &[u64], states: ArrayView2<f32>) -> Result<()> {
        let hidden = self.train.hidden() - 1;
        check_width(states, hidden, OPERATION)?;
        check_positions(positions, states)?;
        let (rows, values) = finite(states);
        self.non_finite += (states.nrows() - rows.len()) as u64;
        for (moments, side) in [(&mut self.train, false), (&mut self.held_out, true)] {
            let is_held_out = |row: usize| self.rule.holds_out(first_index.wrapping_add(row as u64));
            let chosen: Vec<usize> = (0..rows.len()).filter(|&i| is_held_out(rows[i]) == side).collect();
            let mut joint = Array2::zeros((chosen.len(), hidden + 1));
            for (mut joint, &i) in joint.rows_mut().into_iter().zip(&chosen) {
                joint.slice_mut(s![..hidden]).assign(&values.row(i));
                joint[hidden] = (positions[rows[i]] as f64).ln_1p();
            }
            moments.add_finite(joint);
        }
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.rule != other.rule {
            return Err(Error::mismatch(
                "merging position probes",
                format!("{:?}", self.rule),
                format!("{:?}", other.rule),
            ));
        }
        self.train.merge(&other.train)?;
        self.held_out.merge(&other.held_out)?;
        self.non_finite += other.non_finite;
        Ok(())
    }

    /// Fits and tests the probe. Costs an eigendecomposition, O(hidden³). No state to fit to is an error.
    pub fn result(&self) -> Result<ProbeResult> {
        let hidden = self.train.hidden() - 1;
        let mean = self.train.mean().ok_or(Error::NoData { operation: OPERATION })?;
        let features = self.train.scatter().slice(s![..hidden, ..hidden]).to_owned();
        let penalty = self.rule.ridge * features.diag().sum() / hidden.max(1) as f64;
        let with_target = self.train.scatter().slice(s![..hidden, hidden]);
        let (values, vectors) = linalg::symmetric_eigen(features, OPERATION)?;
        let mut along = vectors.dot(&with_target);
        along.zip_mut_with(&values, |along, &value| {
            let stiffness = value.max(0.0) + penalty;
            *along = if stiffness > 0.0 { *along / stiffness } else { 0.0 };
        });
        let weights = vectors.t().dot(&along);
        let test = |moments: &StateMoments| errors(moments, mean.view(), weights.view());
        let (train, held_out) = (test(&self.train), test(&self.held_out));
        let r2 = |(squares, total): (f64, f64)| (total > 0.0).then(|| 1.0 - squares / total);
        Ok(ProbeResult {
            rule: self.rule,
            trained_on: self.train.count(),
            held_out: self.held_out.count(),
            non_finite: self.non_finite,
            r2_train: train.and_then(r2),
            r2: held_out.and_then(r2),
            rmse: held_out.map(|(squares, _)| (squares / self.held_out.count() as f64).sqrt()),
        })
    }
}

/// Sum of squared errors of `ŷ = ȳ + β·(x − x̄)` with the means of the training side, and the total sum of squares of y.
///
/// With the moments of the tested side, `Σ (y − ŷ)² = S_yy − 2β·S_xy + βᵀS_xx β + n·(mean error)²`.
fn errors(moments: &StateMoments, mean: ArrayView1<f64>, weights: ArrayView1<f64>) -> Option<(f64, f64)> {
    let hidden = weights.len();
    let own = moments.mean()?;
    let scatter = moments.scatter();
    let features = scatter.slice(s![..hidden, ..hidden]);
    let with_target = scatter.slice(s![..hidden, hidden]);
    let total = scatter[[hidden, hidden]];
    let shift = own - &mean;
    let bias = shift[hidden] - weights.dot(&shift.slice(s![..hidden]));
    let squares = total - 2.0 * weights.dot(&with_target)
        + weights.dot(&features.dot(&weights))
        + moments.count() as f64 * bias * bias;
    Some((squares.max(0.0), total))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Axis, array};

    use super::*;
    use crate::testing::{close, normal};

    /// States of noise, with `signal · ln(1 + position)` along one fixed direction.
    fn states(tokens: usize, signal: f32) -> (Vec<u64>, Array2<f32>) {
        let mut states = normal(tokens, 6, 21);
        let direction = array![1.0_f32, -2.0, 0.5, 0.0, 1.0, 3.0];
        for (position, mut state) in states.rows_mut().into_iter().enumerate() {
            state.scaled_add(signal * (position as f32).ln_1p(), &direction);
        }
        ((0..tokens as u64).collect(), states)
    }

    fn probe(tokens: usize, signal: f32) -> PositionProbe {
        let (positions, states) = states(tokens, signal);
        let mut probe = PositionProbe::new(6, ProbeRule::default()).expect("a rule");
        probe.push(0, &positions, states.view()).expect("fits");
        probe
    }

    #[test]
    fn the_held_out_states_are_as_many_as_asked_and_spread_like_the_others_at_any_length_and_stride() {
        for every in [2, 3, 4, 5] {
            for stride in [1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 32, 64] {
                for count in [16_u64, 63, 64, 100, 257] {
                    let positions: Vec<u64> = (0..count).map(|index| 64 + stride * index).collect();
                    let states = normal(count as usize, 2, 7);
                    let rule = ProbeRule { held_out_every: every, ..ProbeRule::default() };
                    let mut probe = PositionProbe::new(2, rule).expect("a rule");
                    probe.push(0, &positions, states.view()).expect("fits");
                    let case = format!("{count} states, stride {stride}, every {every}");
                    assert_eq!(probe.held_out.count(), count / every, "{case}");
                    assert_eq!(probe.train.count(), count - count / every, "{case}");
                    let mean = |moments: &StateMoments| moments.mean().expect("seen")[2];
                    // Both sides have the same mean target, up to a share of its range of one step of the rule.
                    let range =
                        (positions[positions.len() - 1] as f64).ln_1p() - (positions[0] as f64).ln_1p();
                    let apart = (mean(&probe.held_out) - mean(&probe.train)).abs();
                    assert!(apart <= range * every as f64 / count as f64, "{case}: {apart} of {range}");
                }
            }
        }
    }

    #[test]
    fn position_is_read_where_it_is_written_and_only_there() {
        let written = probe(2000, 1.0).result().expect("seen");
        assert!(written.r2.expect("held out") > 0.9, "{written:?}");
        assert_eq!((written.trained_on, written.held_out), (1500, 500));
        let noise = probe(2000, 0.0).result().expect("seen").r2.expect("held out");
        assert!((-0.1..0.05).contains(&noise), "{noise}");
        let exact = probe(2000, 1e4).result().expect("seen");
        assert!(exact.r2.expect("held out") > 0.999, "{exact:?}");
    }

    #[test]
    fn the_probe_is_ridge_regression_by_gradient() {
        let (positions, states) = states(60, 0.3);
        let found = probe(60, 0.3).result().expect("seen");
        let held = |i: &usize| i % 4 == 3;
        let train: Vec<usize> = (0..60).filter(|i| !held(i)).collect();
        let test: Vec<usize> = (0..60).filter(held).collect();
        let x = states.mapv(f64::from);
        let y: Array1<f64> = positions.iter().map(|&p| (p as f64).ln_1p()).collect();
        let (x_mean, y_mean) = (
            x.select(Axis(0), &train).mean_axis(Axis(0)).expect("many"),
            y.select(Axis(0), &train).mean().expect("many"),
        );
        let (xt, yt) = (x.select(Axis(0), &train) - &x_mean, y.select(Axis(0), &train) - y_mean);
        let penalty = 1e-3 * xt.iter().map(|v| v * v).sum::<f64>() / 6.0;
        let mut weights = Array1::zeros(6);
        for _ in 0..20_000 {
            let gradient = xt.t().dot(&(xt.dot(&weights) - &yt)) + &weights * penalty;
            weights.scaled_add(-1e-4, &gradient);
        }
        let predicted = (x.select(Axis(0), &test) - &x_mean).dot(&weights) + y_mean;
        let actual = y.select(Axis(0), &test);
        let squares = (&actual - &predicted).mapv(|v| v * v).sum();
        let mean = actual.mean().expect("many");
        let r2 = 1.0 - squares / actual.mapv(|v| (v - mean).powi(2)).sum();
        assert!(close(found.r2.expect("held out"), r2, 1e-6), "{found:?} for {r2}");
        assert!(close(found.rmse.expect("held out"), (squares / 15.0).sqrt(), 1e-6));
    }

    #[test]
    fn shards_merge_in_any_order() {
        let (positions, states) = states(200, 0.5);
        let whole = probe(200, 0.5).result().expect("seen");
        let mut merged = PositionProbe::new(6, ProbeRule::default()).expect("a rule");
        for part in [130..200, 0..37, 37..130] {
            let mut shard = PositionProbe::new(6, ProbeRule::default()).expect("a rule");
            let states = states.slice(s![part.clone(), ..]);
            shard.push(part.start as u64, &positions[part], states).expect("fits");
            merged.merge(&shard).expect("equal rules");
        }
        assert_eq!(merged.train.scatter().len(), 49);
        let merged = merged.result().expect("seen");
        assert_eq!((merged.trained_on, merged.held_out), (whole.trained_on, whole.held_out));
        assert!(close(merged.r2.expect("held out"), whole.r2.expect("held out"), 1e-9));
    }

    #[test]
    fn constant_states_predict_the_mean_and_nothing_is_an_error() {
        let mut constant = PositionProbe::new(2, ProbeRule::default()).expect("a rule");
        assert!(constant.result().is_err());
        constant.push(0, &[0], array![[1.0_f32, 2.0]].view()).expect("fits");
        let one = constant.result().expect("one state");
        assert_eq!((one.r2, one.r2_train, one.rmse), (None, None, None));
        let positions: Vec<u64> = (1..40).collect();
        constant
            .push(1, &positions, Array2::from_shape_fn((39, 2), |(_, j)| 1.0 + j as f32).view())
            .expect("fits");
        let result = constant.result().expect("seen");
        assert!(result.r2.expect("held out") <= 0.0 && result.r2_train.expect("many").abs() < 1e-12);
        constant.push(40, &[40, 41], array![[f32::NAN, 1.0], [1.0, f32::INFINITY]].view()).expect("fits");
        assert_eq!(constant.result().expect("seen").non_finite, 2);
    }

    #[test]
    fn rules_and_shapes_are_checked() {
        for rule in [ProbeRule { ridge: 0.0, held_out_every: 4 }, ProbeRule { ridge: 1.0, held_out_every: 1 }]
        {
            assert!(PositionProbe::new(2, rule).is_err());
        }
        let mut probe = PositionProbe::new(2, ProbeRule::default()).expect("a rule");
        assert!(probe.push(0, &[0], Array2::zeros((1, 3)).view()).is_err());
        assert!(probe.push(0, &[0, 1], Array2::zeros((1, 2)).view()).is_err());
        assert!(probe.push(0, &[1, 1], Array2::zeros((2, 2)).view()).is_err());
        let other = PositionProbe::new(2, ProbeRule { ridge: 1.0, held_out_every: 4 }).expect("a rule");
        assert!(probe.merge(&other).is_err());
    }
}
