//! Mahalanobis distance: how far a state lies from a distribution, each direction in units of its own spread.
//!
//! ```text
//! D(x) = sqrt( (x − μ)ᵀ Σ_γ⁻¹ (x − μ) / hidden ),     Σ_γ = (1 − γ)·Σ + γ·(tr Σ / hidden)·I
//! ```
//!
//! Divided by `hidden`, so that states of the distribution itself are near 1 in root mean square. Plain `Σ` is singular as
//! soon as there are fewer states than dimensions, and its smallest eigenvalues come out too small long before that; the
//! estimate is therefore shrunk towards a multiple of the identity that has the same trace (Ledoit and Wolf 2004). `γ` is
//! given, or the oracle approximation of Chen, Wiesel, Eldar and Hero (2010), which needs moments alone: with `p` = hidden
//! and `n` states,
//!
//! ```text
//! γ = min(1, ((1 − 2/p)·tr Σ² + tr² Σ) / ((n + 1 − 2/p)·(tr Σ² − tr² Σ/p)))
//! ```

use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::moments::StateMoments;
use super::states::{check_width, is_finite};
use crate::error::{Error, Result};
use crate::linalg;

/// How strongly a covariance is pulled towards the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Shrinkage {
    /// The oracle approximation above.
    #[default]
    Oracle,
    /// This `γ`, above 0 and at most 1.
    Fixed(f64),
}

/// A distribution of states to which distances are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mahalanobis {
    /// Mean. `[hidden]`
    pub mean: Array1<f64>,
    /// The `γ` that was used.
    pub shrinkage: f64,
    /// Principal directions, each divided by its shrunk deviation; zeros if all states are equal. [hidden, hidden]
    whitening: Array2<f64>,
    /// All states are equal.
    degenerate: bool,
}

impl Mahalanobis {
    /// The distribution of the states in `moments`. Costs an eigendecomposition, O(hidden³). No finite state is an error.
    pub fn new(moments: &StateMoments, shrinkage: Shrinkage) -> Result<Self> {
        let operation = "Mahalanobis distance";
        let (mean, covariance) =
            moments.mean().zip(moments.covariance()).ok_or(Error::NoData { operation })?;
        let size = mean.len() as f64;
        let trace = covariance.diag().sum();
        let gamma = match shrinkage {
            Shrinkage::Fixed(gamma) if gamma > 0.0 && gamma <= 1.0 => gamma,
            Shrinkage::Fixed(gamma) => {
                return Err(Error::mismatch(operation, "a shrinkage in (0, 1]", gamma));
            }
            Shrinkage::Oracle => oracle(&covariance, moments.count() as f64),
        };
        // As for principal components: differences as small as rounding of the mean are no directions.
        let scale = mean.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let degenerate = trace.sqrt() <= scale * 1e-12;
        let (values, mut whitening) = linalg::symmetric_eigen(covariance, operation)?;
        for (value, mut direction) in values.iter().zip(whitening.rows_mut()) {
            let variance = (1.0 - gamma) * value.max(0.0) + gamma * trace / size;
            direction *= if degenerate { 0.0 } else { 1.0 / (variance * size).sqrt() };
        }
        Ok(Self { mean: mean.to_owned(), shrinkage: gamma, whitening, degenerate })
    }

    /// Distance of each state of shape [tokens, hidden]; NaN for a state that is not finite. If all states of the
    /// distribution were equal, 0 for a state equal to them and +inf for any other.
    pub fn distances(&self, states: ArrayView2<f32>) -> Result<Vec<f64>> {
        check_width(states, self.mean.len(), "Mahalanobis distance")?;
        let centred = states.mapv(f64::from) - &self.mean;
        if self.degenerate {
            let far = |row: ndarray::ArrayView1<f64>| {
                if row.iter().all(|v| *v == 0.0) { 0.0 } else { f64::INFINITY }
            };
            let of = |(centred, state)| if is_finite(state) { far(centred) } else { f64::NAN };
            return Ok(centred.rows().into_iter().zip(states.rows()).map(of).collect());
        }
        let white = centred.dot(&self.whitening.t());
        let of = |(white, state): (ndarray::ArrayView1<f64>, _)| {
            if is_finite(state) { white.dot(&white).sqrt() } else { f64::NAN }
        };
        Ok(white.rows().into_iter().zip(states.rows()).map(of).collect())
    }
}

fn oracle(covariance: &Array2<f64>, count: f64) -> f64 {
    let size = covariance.nrows() as f64;
    let trace = covariance.diag().sum();
    let of_square: f64 = covariance.iter().map(|value| value * value).sum();
    let numerator = (1.0 - 2.0 / size) * of_square + trace * trace;
    let denominator = (count + 1.0 - 2.0 / size) * (of_square - trace * trace / size);
    // A multiple of the identity is its own target, and one state has no directions: both shrink wholly. Never to 0, so
    // that every direction has a spread.
    if denominator > 0.0 { (numerator / denominator).clamp(1e-9, 1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::*;
    use crate::testing::{close, normal};

    /// Deviations 10 and 0.1 along the axes, mean (5, 0).
    fn ellipse() -> StateMoments {
        let mut states = normal(20_000, 2, 8);
        for (mut column, (deviation, mean)) in states.columns_mut().into_iter().zip([(10.0, 5.0), (0.1, 0.0)])
        {
            column.mapv_inplace(|value| value * deviation + mean);
        }
        StateMoments::of(states.view())
    }

    #[test]
    fn each_direction_counts_in_its_own_spread() {
        let distribution = Mahalanobis::new(&ellipse(), Shrinkage::Fixed(1e-9)).expect("finite");
        let distances =
            distribution.distances(array![[5.0_f32, 0.0], [25.0, 0.0], [5.0, 0.2]].view()).expect("width");
        // Two deviations along one of two axes.
        for (distance, expected) in distances.iter().zip([0.0, 2.0_f64.sqrt(), 2.0_f64.sqrt()]) {
            assert!((distance - expected).abs() < 0.05, "{distances:?}");
        }
        let whole = Mahalanobis::new(&ellipse(), Shrinkage::Fixed(1.0)).expect("finite");
        let distances = whole.distances(array![[25.0_f32, 0.0], [5.0, 0.2]].view()).expect("width");
        assert!(close(distances[0], 2.0, 0.05) && distances[1] < 0.03, "{distances:?}");
    }

    #[test]
    fn distances_solve_the_stated_equation() {
        let states = normal(60, 3, 5).dot(&normal(3, 3, 6));
        let moments = StateMoments::of(states.view());
        let gamma = 0.2;
        let covariance = moments.covariance().expect("seen");
        let trace = covariance.diag().sum();
        let shrunk = covariance * (1.0 - gamma) + Array2::<f64>::eye(3) * (gamma * trace / 3.0);
        let distribution = Mahalanobis::new(&moments, Shrinkage::Fixed(gamma)).expect("finite");
        for (state, distance) in
            states.rows().into_iter().zip(distribution.distances(states.view()).expect("width"))
        {
            // Σ y = x − μ by Cramer's rule, with no eigenvector in sight.
            let x = state.mapv(f64::from) - moments.mean().expect("seen");
            let determinant = |m: &Array2<f64>| {
                m[[0, 0]] * (m[[1, 1]] * m[[2, 2]] - m[[1, 2]] * m[[2, 1]])
                    - m[[0, 1]] * (m[[1, 0]] * m[[2, 2]] - m[[1, 2]] * m[[2, 0]])
                    + m[[0, 2]] * (m[[1, 0]] * m[[2, 1]] - m[[1, 1]] * m[[2, 0]])
            };
            let solved = (0..3).map(|column| {
                let mut replaced = shrunk.clone();
                replaced.index_axis_mut(Axis(1), column).assign(&x);
                determinant(&replaced) / determinant(&shrunk)
            });
            let expected = (solved.zip(&x).map(|(y, x)| y * x).sum::<f64>() / 3.0).sqrt();
            assert!(close(distance, expected, 1e-10), "{distance} for {expected}");
        }
    }

    #[test]
    fn members_are_near_one_even_with_fewer_states_than_dimensions() {
        let (few, many) = (normal(20, 50, 1), normal(2000, 50, 2));
        let distribution =
            Mahalanobis::new(&StateMoments::of(few.view()), Shrinkage::default()).expect("finite");
        let fresh = distribution.distances(many.view()).expect("width");
        let mean = fresh.iter().sum::<f64>() / 2000.0;
        assert!((0.9..1.15).contains(&mean), "{mean} at γ = {}", distribution.shrinkage);
        assert!(distribution.shrinkage > 0.5, "{}", distribution.shrinkage);
        // With many states of an uneven spectrum there is nothing to shrink.
        let distribution = Mahalanobis::new(&ellipse(), Shrinkage::Oracle).expect("finite");
        assert!(distribution.shrinkage < 1e-3, "{}", distribution.shrinkage);
    }

    #[test]
    fn degenerate_distributions_and_broken_states() {
        let constant = StateMoments::of(array![[0.1_f32, 2.0], [0.1, 2.0]].view());
        let point = Mahalanobis::new(&constant, Shrinkage::Oracle).expect("finite");
        let states = array![[0.1_f32, 2.0], [0.2, 2.0], [f32::NAN, 2.0]];
        let distances = point.distances(states.view()).expect("width");
        assert_eq!(distances[..2], [0.0, f64::INFINITY]);
        assert!(distances[2].is_nan());
        let cloud = Mahalanobis::new(&ellipse(), Shrinkage::Oracle).expect("finite");
        assert!(cloud.distances(states.view()).expect("width")[2].is_nan());
        assert!(cloud.distances(Array2::zeros((1, 3)).view()).is_err());
        assert!(Mahalanobis::new(&StateMoments::new(2), Shrinkage::Oracle).is_err());
        for gamma in [0.0, -0.1, 1.1, f64::NAN] {
            assert!(Mahalanobis::new(&ellipse(), Shrinkage::Fixed(gamma)).is_err());
        }
    }
}
