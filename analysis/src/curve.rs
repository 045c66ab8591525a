//! A curve with a band: mean ± standard deviation over heads.

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

/// Mean and population standard deviation over all layers and heads, against `x`.
///
/// `None` where no head has a finite value (NaN and ±inf never enter a mean).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BandCurve {
    /// Position or distance, in tokens.
    pub x: Vec<f64>,
    /// Mean over heads.
    pub mean: Vec<Option<f64>>,
    /// Standard deviation over heads.
    pub std: Vec<Option<f64>>,
}

impl BandCurve {
    /// Summarizes `values` of shape [layers, heads, bins]; `x` has one entry per bin (bins beyond it are dropped).
    pub fn over_heads(values: &Array3<f64>, x: Vec<f64>) -> Self {
        let mut curve = Self { x, ..Self::default() };
        for bin in values.axis_iter(Axis(2)).take(curve.x.len()) {
            let finite = || bin.iter().copied().filter(|value| value.is_finite());
            let count = finite().count() as f64;
            let mean = finite().sum::<f64>() / count;
            let variance = finite().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            curve.mean.push((count > 0.0).then_some(mean));
            curve.std.push((count > 0.0).then(|| variance.sqrt()));
        }
        curve.x.truncate(curve.mean.len());
        curve
    }

    /// Points (x, mean, std) that have a value.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let values = self.mean.iter().zip(&self.std);
        self.x.iter().zip(values).filter_map(|(&x, (&mean, &std))| Some((x, mean?, std?)))
    }

    /// Drops points at the end that have no value.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        let end = self.mean.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.x.truncate(end);
        self.mean.truncate(end);
        self.std.truncate(end);
        self
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn mean_and_deviation_ignore_what_is_not_finite() {
        let values = array![[[1.0, f64::NAN, f64::NEG_INFINITY], [3.0, 5.0, f64::NAN]]];
        let curve = BandCurve::over_heads(&values, vec![0.0, 1.0, 2.0]);
        assert_eq!(curve.mean, [Some(2.0), Some(5.0), None]);
        assert_eq!(curve.std, [Some(1.0), Some(0.0), None]);
        assert_eq!(curve.trimmed().x, [0.0, 1.0]);
    }

    #[test]
    fn nothing_gives_an_empty_curve() {
        let curve = BandCurve::over_heads(&Array3::zeros((0, 0, 0)), vec![1.0]);
        assert_eq!(curve, BandCurve::default());
    }
}
