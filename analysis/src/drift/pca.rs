//! Principal components of the centred states `X − mean`, in f64, with fixed signs (paper Fig. 1c and appendix E).
//!
//! The components are the right singular vectors of `X − mean`; the share of the variance along component `c` is
//! `s_c² / Σ s²`. The sign of each makes its largest coordinate positive.

use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::moments::StateMoments;
use super::states::{centre, check_width, drop_rounding, is_finite};
use crate::error::{Error, Result};
use crate::linalg;

/// Principal components, fitted once and then a frame of reference for any states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pca {
    /// `[hidden]`
    pub mean: Array1<f64>,
    /// Unit vectors, largest variance first; rows of zeros where the states span fewer directions. [components, hidden]
    pub components: Array2<f64>,
    /// Share of the total variance per component; 0 where all states are equal. `[components]`
    pub explained: Vec<f64>,
}

impl Pca {
    /// Fits `components` directions to states of shape [tokens, hidden]. One state or equal states give components of
    /// zeros; no finite state is an error. Costs a thin SVD: O(n²·hidden) for n < hidden states, O(n·hidden²) for more.
    pub fn fit(states: ArrayView2<f32>, components: usize) -> Result<Self> {
        let (mean, mut centred) = centre(states, "principal components")?;
        drop_rounding(&mean, &mut centred);
        let total: f64 = centred.iter().map(|v| v * v).sum();
        let mut fitted = Self {
            components: Array2::zeros((components, mean.len())),
            mean,
            explained: vec![0.0; components],
        };
        if total > 0.0 {
            let (values, vectors) = linalg::right_singular(centred)?;
            for (component, (value, vector)) in values.iter().zip(vectors.rows()).enumerate().take(components)
            {
                let share = value * value / total;
                if share > 1e-24 {
                    fitted.components.row_mut(component).assign(&vector);
                    fitted.explained[component] = share;
                }
            }
        }
        Ok(fitted)
    }

    /// The same components from the moments of any number of states, at O(hidden²) memory and the cost of an
    /// eigendecomposition O(hidden³). Squaring the states loses half of the digits: directions whose share of the variance
    /// is below 1e-12 count as none here (1e-24 in [`Pca::fit`]).
    pub fn of_moments(moments: &StateMoments, components: usize) -> Result<Self> {
        let operation = "principal components";
        let mean = moments.mean().ok_or(Error::NoData { operation })?.to_owned();
        let (values, vectors) = linalg::symmetric_eigen(moments.scatter().to_owned(), operation)?;
        let total: f64 = moments.scatter().diag().sum();
        let mut fitted = Self {
            components: Array2::zeros((components, mean.len())),
            mean,
            explained: vec![0.0; components],
        };
        for (component, (value, vector)) in values.iter().zip(vectors.rows()).enumerate().take(components) {
            if *value > total * 1e-12 {
                fitted.components.row_mut(component).assign(&vector);
                fitted.explained[component] = value / total;
            }
        }
        Ok(fitted)
    }

    /// Coordinates of states of shape [tokens, hidden], as [tokens, components], in the units of the states.
    pub fn project(&self, states: ArrayView2<f32>) -> Result<Array2<f64>> {
        check_width(states, self.mean.len(), "projecting states")?;
        let mut projected = (states.mapv(f64::from) - &self.mean).dot(&self.components.t());
        for (mut out, state) in projected.rows_mut().into_iter().zip(states.rows()) {
            if !is_finite(state) {
                out.fill(f64::NAN);
            }
        }
        Ok(projected)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::drift::StateRegion;
    use crate::testing::{close, normal};

    #[test]
    fn components_of_a_known_ellipse() {
        let states = array![[3.0, 0.0, 1.0], [-3.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, -1.0, 1.0_f32]];
        let pca = Pca::fit(states.view(), 2).expect("finite");
        assert!((pca.explained[0] - 0.9).abs() < 1e-12 && (pca.explained[1] - 0.1).abs() < 1e-12);
        let projected = pca.project(states.view()).expect("same width");
        let expected = array![[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        assert!(projected.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{projected}");
    }

    #[test]
    fn the_largest_coordinate_of_a_component_is_positive() {
        for sign in [1.0_f32, -1.0] {
            let states = array![[sign, -2.0 * sign, 0.1], [-sign, 2.0 * sign, 0.2], [0.0, 0.0, 0.3]];
            let pca = Pca::fit(states.view(), 1).expect("finite");
            assert!(pca.components[[0, 1]] > 0.8, "{}", pca.components);
        }
    }

    #[test]
    fn degenerate_states_have_components_of_zeros() {
        let one = array![[1.0, 2.0_f32]];
        let equal = array![[0.1, 0.7_f32], [0.1, 0.7], [0.1, 0.7]];
        for states in [one, equal] {
            let pca = Pca::fit(states.view(), 3).expect("finite");
            assert_eq!(pca.explained, [0.0; 3]);
            assert_eq!(
                pca.project(states.view()).expect("same width"),
                Array2::<f64>::zeros((states.nrows(), 3))
            );
        }
        let line = array![[1.0, 1.0_f32], [2.0, 2.0]];
        let pca = Pca::fit(line.view(), 3).expect("finite");
        assert!((pca.explained[0] - 1.0).abs() < 1e-12);
        assert_eq!(pca.components.row(2).sum(), 0.0);
    }

    #[test]
    fn broken_states_stay_out_of_the_fit() {
        let states = array![[1.0, 0.0], [f32::NAN, 9.0], [-1.0, 0.0], [0.0, f32::INFINITY]];
        let pca = Pca::fit(states.view(), 1).expect("two finite states");
        let projected = pca.project(states.view()).expect("same width");
        assert!((projected[[0, 0]] - 1.0).abs() < 1e-12 && (projected[[2, 0]] + 1.0).abs() < 1e-12);
        assert!(projected[[1, 0]].is_nan() && projected[[3, 0]].is_nan());
        let distances =
            StateRegion::fit(states.view()).expect("finite").distances(states.view()).expect("width");
        assert!(distances[0] == 1.0 && distances[1].is_nan() && distances[3].is_nan());
    }

    #[test]
    fn nothing_to_fit_and_wrong_widths_are_errors() {
        let empty = Array2::<f32>::zeros((0, 3));
        let broken = array![[f32::NAN, 1.0]];
        assert!(Pca::fit(empty.view(), 2).is_err() && StateRegion::fit(broken.view()).is_err());
        let pca = Pca::fit(array![[1.0, 2.0_f32]].view(), 1).expect("finite");
        assert!(pca.project(empty.view()).is_err());
    }

    #[test]
    fn components_of_a_known_spectrum() {
        // Coordinates with deviations 4, 2, 1 and 0, turned by a rotation of the first with the last.
        let mut states = normal(4000, 4, 11).mapv(f64::from);
        for (mut column, deviation) in states.columns_mut().into_iter().zip([4.0, 2.0, 1.0, 0.0]) {
            column *= deviation;
        }
        let (sin, cos) = 0.3_f64.sin_cos();
        let turn = array![[cos, 0., 0., sin], [0., 1., 0., 0.], [0., 0., 1., 0.], [-sin, 0., 0., cos]];
        let states = states.dot(&turn).mapv(|v| v as f32);
        let pca = Pca::fit(states.view(), 4).expect("finite");
        for (share, expected) in pca.explained.iter().zip([16.0 / 21.0, 4.0 / 21.0, 1.0 / 21.0, 0.0]) {
            assert!((share - expected).abs() < 0.01, "{:?}", pca.explained);
        }
        assert!((pca.components[[0, 0]] - cos).abs() < 0.02 && (pca.components[[0, 3]] - sin).abs() < 0.02);
    }

    #[test]
    fn moments_give_the_components_of_the_states() {
        let states = normal(300, 5, 2).dot(&normal(5, 5, 3));
        let moments = StateMoments::of(states.view());
        let (direct, streamed) = (Pca::fit(states.view(), 5), Pca::of_moments(&moments, 5));
        let (direct, streamed) = (direct.expect("finite"), streamed.expect("finite"));
        for (a, b) in direct.explained.iter().zip(&streamed.explained) {
            assert!(close(*a, *b, 1e-10));
        }
        for (a, b) in direct.components.iter().zip(&streamed.components) {
            assert!(close(*a, *b, 1e-8), "{} {}", direct.components, streamed.components);
        }
        let constant = StateMoments::of(array![[0.1_f32, 0.7], [0.1, 0.7], [0.1, 0.7]].view());
        assert_eq!(Pca::of_moments(&constant, 3).expect("finite").explained, [0.0; 3]);
        assert!(Pca::of_moments(&StateMoments::new(3), 1).is_err());
    }
}
