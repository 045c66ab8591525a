//! A curve with a band: mean ± standard deviation over heads.

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

/// Mean and population standard deviation over all layers and heads, against `x`.
///
/// `None` where no head has a finite value, and where a head has seen values that are not finite: a mean over the others
/// would pass over it. Heads that have seen nothing do not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Columns")]
pub struct BandCurve {
    /// Position or distance, in tokens.
    pub x: Vec<f64>,
    /// Mean over heads.
    pub mean: Vec<Option<f64>>,
    /// Standard deviation over heads.
    pub std: Vec<Option<f64>>,
    /// First position or distance, in tokens, at which a value of some head is not finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_finite_from: Option<u64>,
}

/// A curve as a file says it.
#[derive(Deserialize)]
struct Columns {
    x: Vec<f64>,
    mean: Vec<Option<f64>>,
    std: Vec<Option<f64>>,
    #[serde(default)]
    not_finite_from: Option<u64>,
}

impl TryFrom<Columns> for BandCurve {
    type Error = String;

    fn try_from(Columns { x, mean, std, not_finite_from }: Columns) -> Result<Self, String> {
        if x.len() == mean.len() && x.len() == std.len() {
            return Ok(Self { x, mean, std, not_finite_from });
        }
        let (means, deviations) = (mean.len(), std.len());
        Err(format!("a curve with {} places, {means} means and {deviations} deviations", x.len()))
    }
}

impl BandCurve {
    /// Summarizes `values` of shape [layers, heads, bins]; `x` has one entry per bin (bins beyond it are dropped). NaN and
    /// ±inf are heads that have seen nothing in a bin; `broken` says of which bins some head has seen values that are not
    /// finite.
    pub fn over_heads(values: &Array3<f64>, x: Vec<f64>, broken: impl Fn(usize) -> bool) -> Self {
        let mut curve = Self { x, ..Self::default() };
        for (index, bin) in values.axis_iter(Axis(2)).take(curve.x.len()).enumerate() {
            let seen = !broken(index);
            let finite = || bin.iter().copied().filter(|value| seen && value.is_finite());
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
    fn heads_that_saw_nothing_do_not_count_and_broken_ones_leave_no_mean() {
        let values = array![[[1.0, f64::NAN, f64::NEG_INFINITY], [3.0, 5.0, f64::NAN]]];
        let broken = BandCurve::over_heads(&values, vec![0.0, 1.0, 2.0], |bin| bin == 1);
        assert_eq!((broken.mean, broken.std), (vec![Some(2.0), None, None], vec![Some(1.0), None, None]));
        let curve = BandCurve::over_heads(&values, vec![0.0, 1.0, 2.0], |_| false);
        assert_eq!(curve.mean, [Some(2.0), Some(5.0), None]);
        assert_eq!(curve.std, [Some(1.0), Some(0.0), None]);
        assert_eq!(curve.trimmed().x, [0.0, 1.0]);
    }

    #[test]
    fn a_file_has_no_curve_without_all_its_values() {
        let read = |mean: &str| {
            serde_json::from_str::<BandCurve>(&format!(r#"{{"x":[1.0],"mean":{mean},"std":[null]}}"#))
        };
        assert_eq!(read("[2.0]").expect("a curve").points().count(), 0);
        for mean in ["[]", "[2.0, 3.0]"] {
            assert!(read(mean).expect_err("none").to_string().contains("a curve with 1 places"));
        }
    }

    #[test]
    fn nothing_gives_an_empty_curve() {
        let curve = BandCurve::over_heads(&Array3::zeros((0, 0, 0)), vec![1.0], |_| false);
        assert_eq!(curve, BandCurve::default());
    }
}
