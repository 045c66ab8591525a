//! What every measurement of hidden states does first.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};

pub fn is_finite(state: ArrayView1<f32>) -> bool {
    state.iter().all(|value| value.is_finite())
}

pub fn check_width(states: ArrayView2<f32>, hidden: usize, operation: &'static str) -> Result<()> {
    if states.ncols() == hidden {
        Ok(())
    } else {
        Err(Error::mismatch(operation, format!("states of width {hidden}"), states.ncols()))
    }
}

/// The states without NaN and ±inf, and their rows.
pub fn finite(states: ArrayView2<f32>) -> (Vec<usize>, Array2<f64>) {
    let rows = states.rows().into_iter().enumerate();
    let finite: Vec<usize> = rows.filter(|(_, state)| is_finite(*state)).map(|(row, _)| row).collect();
    let states = states.select(Axis(0), &finite).mapv(f64::from);
    (finite, states)
}

/// Mean of the finite states and these states minus it.
pub fn centre(states: ArrayView2<f32>, operation: &'static str) -> Result<(Array1<f64>, Array2<f64>)> {
    let (_, states) = finite(states);
    let mean =
        states.mean_axis(Axis(0)).filter(|mean| !mean.is_empty()).ok_or(Error::NoData { operation })?;
    let centred = states - &mean;
    Ok((mean, centred))
}

/// Makes differences from the mean 0 where all of them are as small as rounding of the mean: they are no directions.
pub fn drop_rounding(mean: &Array1<f64>, centred: &mut Array2<f64>) {
    let largest = centred.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let scale = mean.iter().fold(largest, |most, value| most.max(value.abs()));
    if largest <= scale * 1e-12 {
        centred.fill(0.0);
    }
}
