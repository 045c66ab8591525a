//! Count, mean and scatter matrix of a stream of states, mergeable.
//!
//! Kept are `n`, `x̄` and `S = Σ (x − x̄)(x − x̄)ᵀ`; the covariance is `S/n`. Blocks and shards merge by Chan, Golub and
//! LeVeque (1979): with `δ = x̄_b − x̄_a`, `x̄ = x̄_a + δ·n_b/n` and `S = S_a + S_b + δδᵀ·n_a·n_b/n`.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::states::{check_width, finite};
use crate::error::{Error, Result};

/// Moments of finite states. Memory: 8·hidden² bytes, whatever the number of states; cost hidden² per state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateMoments {
    count: u64,
    non_finite: u64,
    /// `[hidden]`
    mean: Array1<f64>,
    /// [hidden, hidden]
    scatter: Array2<f64>,
}

impl StateMoments {
    /// Empty, for states of width `hidden`.
    pub fn new(hidden: usize) -> Self {
        Self {
            count: 0,
            non_finite: 0,
            mean: Array1::zeros(hidden),
            scatter: Array2::zeros((hidden, hidden)),
        }
    }

    /// Moments of states of shape [tokens, hidden].
    pub fn of(states: ArrayView2<f32>) -> Self {
        let mut moments = Self::new(states.ncols());
        moments.add(states);
        moments
    }

    /// Adds states of shape [tokens, hidden].
    pub fn push(&mut self, states: ArrayView2<f32>) -> Result<()> {
        check_width(states, self.mean.len(), "moments of states")?;
        self.add(states);
        Ok(())
    }

    fn add(&mut self, states: ArrayView2<f32>) {
        let (rows, values) = finite(states);
        self.non_finite += (states.nrows() - rows.len()) as u64;
        self.add_finite(values);
    }

    /// Adds finite states, which must have the right width.
    pub(super) fn add_finite(&mut self, states: Array2<f64>) {
        let Some(mean) = states.mean_axis(Axis(0)) else { return };
        let count = states.nrows() as u64;
        let centred = states - &mean;
        let scatter = centred.t().dot(&centred);
        self.combine(count, &mean, &scatter);
    }

    fn combine(&mut self, count: u64, mean: &Array1<f64>, scatter: &Array2<f64>) {
        let total = self.count + count;
        if total == 0 {
            return;
        }
        let share = count as f64 / total as f64;
        let delta = mean - &self.mean;
        let weight = self.count as f64 * share;
        self.mean.scaled_add(share, &delta);
        self.scatter += scatter;
        if weight > 0.0 {
            let column = delta.view().insert_axis(Axis(1));
            self.scatter.scaled_add(weight, &column.dot(&column.t()));
        }
        self.count = total;
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.mean.len() != other.mean.len() {
            let expected = format!("states of width {}", self.mean.len());
            return Err(Error::mismatch("merging moments of states", expected, other.mean.len()));
        }
        self.combine(other.count, &other.mean, &other.scatter);
        self.non_finite += other.non_finite;
        Ok(())
    }

    /// Finite states seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// States with a NaN or ±inf, which were left out.
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// Width of the states.
    pub fn hidden(&self) -> usize {
        self.mean.len()
    }

    /// Mean, `[hidden]`; `None` of nothing.
    pub fn mean(&self) -> Option<&Array1<f64>> {
        (self.count > 0).then_some(&self.mean)
    }

    /// Scatter `Σ (x − x̄)(x − x̄)ᵀ`, [hidden, hidden].
    pub fn scatter(&self) -> &Array2<f64> {
        &self.scatter
    }

    /// Population covariance, [hidden, hidden]; `None` of nothing.
    pub fn covariance(&self) -> Option<Array2<f64>> {
        (self.count > 0).then(|| &self.scatter / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;
    use crate::testing::{close, normal};

    fn agree(a: &StateMoments, b: &StateMoments) {
        assert_eq!((a.count, a.non_finite), (b.count, b.non_finite));
        for (a, b) in a.mean.iter().chain(&a.scatter).zip(b.mean.iter().chain(&b.scatter)) {
            assert!(close(*a, *b, 1e-11), "{a} {b}");
        }
    }

    #[test]
    fn covariance_is_that_of_a_double_loop() {
        let states = normal(40, 3, 1) + 100.0;
        let covariance = StateMoments::of(states.view()).covariance().expect("seen");
        let mean = |i: usize| states.column(i).iter().map(|&v| f64::from(v)).sum::<f64>() / 40.0;
        for i in 0..3 {
            for j in 0..3 {
                let products = (states.rows().into_iter())
                    .map(|row| (f64::from(row[i]) - mean(i)) * (f64::from(row[j]) - mean(j)));
                assert!(close(covariance[[i, j]], products.sum::<f64>() / 40.0, 1e-12));
            }
        }
    }

    #[test]
    fn shards_merge_into_the_whole_in_any_order() {
        let mut states = normal(90, 4, 7) * 3.0 + 50.0;
        states[[13, 2]] = f32::NAN;
        let whole = StateMoments::of(states.view());
        let parts = [0..1, 1..40, 40..90].map(|rows| StateMoments::of(states.slice(s![rows, ..])));
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let mut merged = StateMoments::new(4);
            for part in order {
                merged.merge(&parts[part]).expect("equal widths");
            }
            agree(&merged, &whole);
        }
        let mut fed = StateMoments::new(4);
        for row in states.axis_chunks_iter(Axis(0), 7) {
            fed.push(row).expect("equal widths");
        }
        agree(&fed, &whole);
        assert_eq!((whole.count(), whole.non_finite(), fed.scatter.len()), (89, 1, 16));
    }

    #[test]
    fn nothing_one_state_and_wrong_widths() {
        let mut moments = StateMoments::new(2);
        moments.push(Array2::zeros((0, 2)).view()).expect("no states");
        moments.push(array![[f32::NAN, 1.0]].view()).expect("a broken state");
        moments.merge(&StateMoments::new(2)).expect("equal widths");
        assert_eq!((moments.count(), moments.mean(), moments.covariance()), (0, None, None));
        moments.push(array![[3.0, -4.0_f32]].view()).expect("one state");
        assert_eq!(moments.mean(), Some(&array![3.0, -4.0]));
        assert_eq!(moments.covariance(), Some(Array2::zeros((2, 2))));
        assert!(moments.push(Array2::zeros((1, 3)).view()).is_err());
        assert!(moments.merge(&StateMoments::new(3)).is_err());
    }
}
