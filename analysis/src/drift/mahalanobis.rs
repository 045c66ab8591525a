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
//!
//! Fewer states than dimensions span at most `n` directions. Outside of these `Σ_γ` is `γ·(tr Σ/p)` times the identity, so
//! that with the principal directions `v_i`, the variances `σ_i²` along them, and what `r` of `x − μ` they leave over,
//!
//! ```text
//! D²(x) = Σ_i (v_i·(x − μ))² / ((1 − γ)·σ_i² + γ·tr Σ/p) / p  +  ‖r‖² / (γ·tr Σ/p) / p
//! ```
//!
//! exactly. So [`Mahalanobis::fit`] costs what a thin SVD of the states costs, and nothing grows with the cube of the width.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::moments::StateMoments;
use super::states::{centre, check_width, is_finite};
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

/// A distribution of states to which distances are taken. Memory: 8·min(n, hidden)·hidden bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mahalanobis {
    /// Mean. `[hidden]`
    pub mean: Array1<f64>,
    /// The `γ` that was used.
    pub shrinkage: f64,
    /// Principal directions, orthonormal. [directions, hidden]
    directions: Array2<f64>,
    /// Shrunk variance along each. `[directions]`
    variances: Array1<f64>,
    /// Shrunk variance along every direction that is orthogonal to them: `γ·tr Σ/hidden`.
    floor: f64,
    /// All states are equal.
    degenerate: bool,
}

const OPERATION: &str = "Mahalanobis distance";

/// States that are taken at once: as f64 they need 8·hidden bytes each.
const BLOCK: usize = 64;

impl Mahalanobis {
    /// The distribution of states of shape [tokens, hidden], those left out that are not finite. Costs a thin SVD:
    /// O(n²·hidden) for n < hidden states, O(n·hidden²) for more. No finite state is an error.
    pub fn fit(states: ArrayView2<f32>, shrinkage: Shrinkage) -> Result<Self> {
        let (mean, centred) = centre(states, OPERATION)?;
        let count = centred.nrows() as f64;
        let trace = centred.iter().map(|value| value * value).sum::<f64>() / count;
        let spectrum = || {
            let (values, directions) = linalg::right_singular(centred)?;
            Ok((values.mapv(|value| value * value / count), directions))
        };
        Self::new(mean, count, trace, shrinkage, spectrum)
    }

    /// The same from the moments of any number of states, at O(hidden²) memory and the cost of an eigendecomposition,
    /// O(hidden³): minutes at a width of 4096.
    pub fn of_moments(moments: &StateMoments, shrinkage: Shrinkage) -> Result<Self> {
        let known = moments.mean().zip(moments.covariance());
        let (mean, covariance) = known.ok_or(Error::NoData { operation: OPERATION })?;
        let trace = covariance.diag().sum();
        let spectrum = || linalg::symmetric_eigen(covariance, OPERATION);
        Self::new(mean.to_owned(), moments.count() as f64, trace, shrinkage, spectrum)
    }

    /// From `count` states of this mean and total variance. `spectrum` gives the variances along the principal directions,
    /// and these.
    fn new(
        mean: Array1<f64>,
        count: f64,
        trace: f64,
        shrinkage: Shrinkage,
        spectrum: impl FnOnce() -> Result<(Array1<f64>, Array2<f64>)>,
    ) -> Result<Self> {
        if let Shrinkage::Fixed(gamma) = shrinkage
            && !(gamma > 0.0 && gamma <= 1.0)
        {
            return Err(Error::mismatch(OPERATION, "a shrinkage in (0, 1]", gamma));
        }
        // As for principal components: differences as small as rounding of the mean are no directions.
        let scale = mean.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let degenerate = trace.sqrt() <= scale * 1e-12;
        let (values, directions) = match degenerate {
            true => (Array1::zeros(0), Array2::zeros((0, mean.len()))),
            false => spectrum()?,
        };
        let values = values.mapv(|value| value.max(0.0));
        let size = mean.len() as f64;
        let gamma = match shrinkage {
            Shrinkage::Fixed(gamma) => gamma,
            Shrinkage::Oracle => oracle(trace, values.dot(&values), size, count),
        };
        let floor = gamma * trace / size;
        let variances = values.mapv(|value| (1.0 - gamma) * value + floor);
        Ok(Self { mean, shrinkage: gamma, directions, variances, floor, degenerate })
    }

    /// Distance of each state of shape [tokens, hidden]; NaN for a state that is not finite. If all states of the
    /// distribution were equal, 0 for a state equal to them and +inf for any other.
    pub fn distances(&self, states: ArrayView2<f32>) -> Result<Vec<f64>> {
        check_width(states, self.mean.len(), OPERATION)?;
        let blocks = states.axis_chunks_iter(Axis(0), BLOCK);
        Ok(blocks.flat_map(|block| self.of_block(block)).collect())
    }

    fn of_block(&self, states: ArrayView2<f32>) -> Vec<f64> {
        let size = self.mean.len() as f64;
        let centred = states.mapv(f64::from) - &self.mean;
        let along = centred.dot(&self.directions.t());
        // Where the directions are all there are, nothing is left over.
        let whole = self.directions.nrows() == self.mean.len();
        let left = if whole { Array2::zeros((0, 0)) } else { &centred - &along.dot(&self.directions) };
        let distance = |row: usize| {
            if !is_finite(states.row(row)) {
                return f64::NAN;
            }
            if self.degenerate {
                return if centred.row(row).iter().all(|value| *value == 0.0) { 0.0 } else { f64::INFINITY };
            }
            let inside: f64 = (along.row(row).iter().zip(&self.variances)).map(|(x, v)| x * x / v).sum();
            let outside = if whole { 0.0 } else { left.row(row).dot(&left.row(row)) / self.floor };
            ((inside + outside) / size).sqrt()
        };
        (0..states.nrows()).map(distance).collect()
    }
}

/// Of a covariance of `size` dimensions: its trace, and that of its square.
fn oracle(trace: f64, of_square: f64, size: f64, count: f64) -> f64 {
    let numerator = (1.0 - 2.0 / size) * of_square + trace * trace;
    let denominator = (count + 1.0 - 2.0 / size) * (of_square - trace * trace / size);
    // A multiple of the identity is its own target, and one state has no directions: both shrink wholly. Never to 0, so
    // that every direction has a spread.
    if denominator > 0.0 { (numerator / denominator).clamp(1e-9, 1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

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
        let distribution = Mahalanobis::of_moments(&ellipse(), Shrinkage::Fixed(1e-9)).expect("finite");
        let distances =
            distribution.distances(array![[5.0_f32, 0.0], [25.0, 0.0], [5.0, 0.2]].view()).expect("width");
        // Two deviations along one of two axes.
        for (distance, expected) in distances.iter().zip([0.0, 2.0_f64.sqrt(), 2.0_f64.sqrt()]) {
            assert!((distance - expected).abs() < 0.05, "{distances:?}");
        }
        let whole = Mahalanobis::of_moments(&ellipse(), Shrinkage::Fixed(1.0)).expect("finite");
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
        let distribution = Mahalanobis::of_moments(&moments, Shrinkage::Fixed(gamma)).expect("finite");
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
            Mahalanobis::of_moments(&StateMoments::of(few.view()), Shrinkage::default()).expect("finite");
        let fresh = distribution.distances(many.view()).expect("width");
        let mean = fresh.iter().sum::<f64>() / 2000.0;
        assert!((0.9..1.15).contains(&mean), "{mean} at γ = {}", distribution.shrinkage);
        assert!(distribution.shrinkage > 0.5, "{}", distribution.shrinkage);
        // With many states of an uneven spectrum there is nothing to shrink.
        let distribution = Mahalanobis::of_moments(&ellipse(), Shrinkage::Oracle).expect("finite");
        assert!(distribution.shrinkage < 1e-3, "{}", distribution.shrinkage);
    }

    #[test]
    fn degenerate_distributions_and_broken_states() {
        let constant = StateMoments::of(array![[0.1_f32, 2.0], [0.1, 2.0]].view());
        let point = Mahalanobis::of_moments(&constant, Shrinkage::Oracle).expect("finite");
        let states = array![[0.1_f32, 2.0], [0.2, 2.0], [f32::NAN, 2.0]];
        let distances = point.distances(states.view()).expect("width");
        assert_eq!(distances[..2], [0.0, f64::INFINITY]);
        assert!(distances[2].is_nan());
        let cloud = Mahalanobis::of_moments(&ellipse(), Shrinkage::Oracle).expect("finite");
        assert!(cloud.distances(states.view()).expect("width")[2].is_nan());
        assert!(cloud.distances(Array2::zeros((1, 3)).view()).is_err());
        assert!(Mahalanobis::of_moments(&StateMoments::new(2), Shrinkage::Oracle).is_err());
        for gamma in [0.0, -0.1, 1.1, f64::NAN] {
            assert!(Mahalanobis::of_moments(&ellipse(), Shrinkage::Fixed(gamma)).is_err());
        }
    }

    /// `states` with one direction far wider than the others, away from 0, as hidden states have them.
    fn wide(states: usize, hidden: usize, seed: u64) -> Array2<f32> {
        let mut wide = normal(states, hidden, seed) + 3.0;
        wide.column_mut(0).mapv_inplace(|value| value * 100.0);
        wide
    }

    #[test]
    fn few_states_give_the_distances_of_the_whole_covariance() {
        let shrinkages = [Shrinkage::Oracle, Shrinkage::Fixed(0.01), Shrinkage::Fixed(1.0)];
        for (states, hidden) in
            [(1, 5), (2, 5), (3, 40), (20, 40), (39, 40), (40, 40), (41, 40), (300, 40), (9, 1)]
        {
            let mut members = wide(states + 1, hidden, 3);
            // A state that is not finite is none.
            members[[states / 2, 0]] = f32::NAN;
            let moments = StateMoments::of(members.view());
            for shrinkage in shrinkages {
                let few = Mahalanobis::fit(members.view(), shrinkage).expect("finite");
                let dense = Mahalanobis::of_moments(&moments, shrinkage).expect("finite");
                let case = format!("{states} states of width {hidden}, {shrinkage:?}");
                assert!(close(few.shrinkage / dense.shrinkage, 1.0, 1e-9), "{case}");
                assert!(few.directions.nrows() <= states.min(hidden), "{case}");
                for seen in [&members, &wide(200, hidden, 4)] {
                    let few = few.distances(seen.view()).expect("width");
                    let dense = dense.distances(seen.view()).expect("width");
                    for (few, dense) in few.iter().zip(&dense) {
                        let equal = few == dense || few.is_nan() && dense.is_nan();
                        assert!(equal || (few / dense - 1.0).abs() < 1e-9, "{case}: {few} for {dense}");
                    }
                }
            }
        }
    }

    #[test]
    fn equal_states_and_none_are_as_with_the_whole_covariance() {
        let equal = Array2::from_elem((7, 30), 0.1_f32);
        let point = Mahalanobis::fit(equal.view(), Shrinkage::Oracle).expect("finite");
        let dense =
            Mahalanobis::of_moments(&StateMoments::of(equal.view()), Shrinkage::Oracle).expect("finite");
        let other = Array2::from_elem((1, 30), 0.2_f32);
        for distribution in [&point, &dense] {
            assert_eq!(distribution.distances(other.view()).expect("width"), [f64::INFINITY]);
        }
        assert_eq!(point.shrinkage, dense.shrinkage);
        let constant = array![[0.1_f32, 2.0], [0.1, 2.0]];
        let point = Mahalanobis::fit(constant.view(), Shrinkage::Oracle).expect("finite");
        assert_eq!(point.distances(constant.view()).expect("width"), [0.0, 0.0]);
        for nothing in [Array2::zeros((0, 3)), Array2::from_elem((2, 3), f32::NAN)] {
            assert!(Mahalanobis::fit(nothing.view(), Shrinkage::Oracle).is_err());
        }
        for gamma in [0.0, -0.1, 1.1, f64::NAN] {
            assert!(Mahalanobis::fit(wide(3, 9, 1).view(), Shrinkage::Fixed(gamma)).is_err());
        }
        let distribution = Mahalanobis::fit(wide(3, 9, 1).view(), Shrinkage::Oracle).expect("finite");
        assert!(distribution.distances(Array2::zeros((1, 8)).view()).is_err());
        assert_eq!(distribution.distances(Array2::zeros((0, 9)).view()).expect("width"), [0.0; 0]);
    }

    #[test]
    fn more_states_than_a_block_have_the_distances_of_their_own() {
        let (members, many) = (wide(12, 30, 5), wide(2 * BLOCK + 3, 30, 6));
        let distribution = Mahalanobis::fit(members.view(), Shrinkage::Oracle).expect("finite");
        let all = distribution.distances(many.view()).expect("width");
        assert_eq!(all.len(), 2 * BLOCK + 3);
        for row in [0, BLOCK - 1, BLOCK, 2 * BLOCK + 2] {
            let one = distribution.distances(many.slice(s![row..=row, ..])).expect("width");
            assert!(close(one[0] / all[row], 1.0, 1e-12), "{row}");
        }
    }

    #[test]
    fn the_width_of_large_models_costs_seconds_and_not_minutes() {
        let start = std::time::Instant::now();
        // No member has anything along the last axis.
        let mut members = wide(120, 4096, 7);
        members.column_mut(4095).fill(0.0);
        let distribution = Mahalanobis::fit(members.view(), Shrinkage::Oracle).expect("finite");
        let mut aside = members.clone();
        aside.column_mut(4095).fill(50.0);
        let own = distribution.distances(members.view()).expect("width");
        let aside = distribution.distances(aside.view()).expect("width");
        // An eigendecomposition at this width takes more than three minutes.
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
        let trace = members.mapv(f64::from).var_axis(Axis(0), 0.0).sum();
        for (own, aside) in own.iter().zip(&aside) {
            let expected = 50.0 * 50.0 / (distribution.shrinkage * trace);
            assert!(close((aside * aside - own * own) / expected, 1.0, 1e-9), "{own} {aside} {expected}");
        }
    }
}
