//! Where hidden states lie: principal components, and the distance of tokens to a region (factor 3; paper section 3,
//! Fig. 1c and appendix E).
//!
//! PCA of the centred states `X − mean`, by SVD in f64; component signs are fixed. A region is the mean of a set of
//! states and its spread `rms = sqrt(mean ‖x − mean‖²)`; the distance of a state to it is `‖x − mean‖ / rms`, so that
//! members are at 1 on (root mean square) average. Start tokens far above that have a region of their own.
//!
//! States that hold a NaN or ±inf stay out of a fit, and are themselves projected to NaN and at distance NaN.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};
use crate::linalg;

/// Principal components, fitted once and then a frame of reference for any states.
#[derive(Clone, Debug, PartialEq)]
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
    /// zeros; no finite state is an error. Costs an SVD of the states.
    pub fn fit(states: ArrayView2<f32>, components: usize) -> Result<Self> {
        let (mean, mut centred) = centre(states, "principal components")?;
        let largest = centred.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        // Differences as small as rounding of the mean are no directions.
        let scale = mean.iter().fold(largest, |m, v| m.max(v.abs()));
        if largest <= scale * 1e-12 {
            centred.fill(0.0);
        }
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

/// Mean and spread of a set of states.
#[derive(Clone, Debug, PartialEq)]
pub struct StateRegion {
    /// `[hidden]`
    pub mean: Array1<f64>,
    /// `sqrt(mean ‖x − mean‖²)`
    pub rms: f64,
}

impl StateRegion {
    /// The region of states of shape [tokens, hidden]; no finite state is an error.
    pub fn fit(states: ArrayView2<f32>) -> Result<Self> {
        let (mean, centred) = centre(states, "region of states")?;
        let rms = (centred.iter().map(|v| v * v).sum::<f64>() / centred.nrows() as f64).sqrt();
        Ok(Self { mean, rms })
    }

    /// Distance of each state of shape [tokens, hidden] to the mean, in units of `rms`. With `rms` = 0, 0 for a state
    /// equal to the mean and +inf for any other.
    pub fn distances(&self, states: ArrayView2<f32>) -> Result<Vec<f64>> {
        check_width(states, self.mean.len(), "distance to a region")?;
        Ok(states.rows().into_iter().map(|state| self.distance(state.mapv(f64::from).view())).collect())
    }

    /// Distance of the mean of states of shape [tokens, hidden] to the mean of the region, in units of `rms`.
    pub fn distance_of_mean(&self, states: ArrayView2<f32>) -> Result<f64> {
        check_width(states, self.mean.len(), "distance to a region")?;
        let (mean, _) = centre(states, "distance to a region")?;
        Ok(self.distance(mean.view()))
    }

    fn distance(&self, state: ArrayView1<f64>) -> f64 {
        let distance = (&state - &self.mean).mapv(|v| v * v).sum().sqrt();
        if distance == 0.0 {
            0.0
        } else if distance.is_finite() {
            distance / self.rms
        } else {
            f64::NAN
        }
    }
}

fn is_finite(state: ArrayView1<f32>) -> bool {
    state.iter().all(|value| value.is_finite())
}

fn check_width(states: ArrayView2<f32>, hidden: usize, operation: &'static str) -> Result<()> {
    if states.ncols() == hidden {
        Ok(())
    } else {
        Err(Error::mismatch(operation, format!("states of width {hidden}"), states.ncols()))
    }
}

/// Mean of the finite states and these states minus it.
fn centre(states: ArrayView2<f32>, operation: &'static str) -> Result<(Array1<f64>, Array2<f64>)> {
    let finite: Vec<usize> = states
        .rows()
        .into_iter()
        .enumerate()
        .filter(|(_, state)| is_finite(*state))
        .map(|(row, _)| row)
        .collect();
    let states = states.select(Axis(0), &finite).mapv(f64::from);
    let mean =
        states.mean_axis(Axis(0)).filter(|mean| !mean.is_empty()).ok_or(Error::NoData { operation })?;
    let centred = states - &mean;
    Ok((mean, centred))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

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
    fn distance_in_units_of_the_spread() {
        let rest = array![[1.0, 0.0_f32], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        let region = StateRegion::fit(rest.view()).expect("finite");
        assert!((region.rms - 1.0).abs() < 1e-12);
        let start = array![[6.0, 8.0_f32], [6.0, 8.0]];
        assert!((region.distance_of_mean(start.view()).expect("width") - 10.0).abs() < 1e-12);
        let point = StateRegion::fit(array![[1.0, 1.0_f32]].view()).expect("finite");
        assert_eq!(
            point.distances(array![[1.0, 1.0_f32], [2.0, 1.0]].view()).expect("width"),
            [0.0, f64::INFINITY]
        );
    }
}
