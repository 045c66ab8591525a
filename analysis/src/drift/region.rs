//! The region of a set of states: its mean and its spread.

use ndarray::{Array1, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::moments::StateMoments;
use super::states::{centre, check_width};
use crate::error::{Error, Result};

/// Mean and spread of a set of states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

    /// The same region from the moments of any number of states.
    pub fn of_moments(moments: &StateMoments) -> Result<Self> {
        let mean = moments.mean().ok_or(Error::NoData { operation: "region of states" })?.to_owned();
        let rms = (moments.scatter().diag().sum() / moments.count() as f64).sqrt();
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

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::testing::{close, normal};

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

    #[test]
    fn moments_give_the_region_of_the_states() {
        let states = normal(50, 6, 4);
        let direct = StateRegion::fit(states.view()).expect("finite");
        let streamed = StateRegion::of_moments(&StateMoments::of(states.view())).expect("finite");
        assert!(close(direct.rms, streamed.rms, 1e-12));
        assert!((direct.mean - streamed.mean).iter().all(|difference| difference.abs() < 1e-12));
        assert!(StateRegion::of_moments(&StateMoments::new(3)).is_err());
    }
}
