//! How far heads lie apart: what 10 % and 90 % of them stay below, along a curve of their means.

use lm_infinite_analysis::BandCurve;
use ndarray::{Array3, Axis};

use super::model::RunMeasurement;

/// Quantiles over all heads, at one place of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadBand {
    /// Position or distance, in tokens.
    pub x: f64,
    /// 10 % of the heads lie below.
    pub low: f64,
    /// 90 % of the heads lie below.
    pub high: f64,
}

impl RunMeasurement {
    /// Of the largest logit up to a distance, on keys after the start tokens.
    pub fn logit_band(&self) -> Vec<HeadBand> {
        bands(&self.curves.logits, &prefix_maxima(&self.arrays.max_logit))
    }

    /// The same on the start tokens.
    pub fn start_logit_band(&self) -> Vec<HeadBand> {
        bands(&self.curves.logits_start, &prefix_maxima(&self.arrays.max_logit_start))
    }

    /// Of the entropy, by position.
    pub fn entropy_band(&self) -> Vec<HeadBand> {
        bands(&self.curves.entropy, &self.arrays.entropy)
    }

    /// Of the probability on the start tokens, by position.
    pub fn start_mass_band(&self) -> Vec<HeadBand> {
        bands(&self.curves.start_mass, &self.arrays.start_mass)
    }
}

/// Quantiles of `heads` [layers, heads, bins] in every bin of `curve` that has a value; nothing without the values of several
/// heads.
fn bands(curve: &BandCurve, heads: &Array3<f32>) -> Vec<HeadBand> {
    let (layers, per_layer, bins) = heads.dim();
    if layers * per_layer < 2 {
        return Vec::new();
    }
    let of = |(bin, (&x, mean)): (usize, (&f64, &Option<f64>))| {
        mean.filter(|_| bin < bins)?;
        let all = heads.index_axis(Axis(2), bin);
        let mut values: Vec<f32> = all.iter().copied().filter(|value| value.is_finite()).collect();
        values.sort_by(f32::total_cmp);
        let quantile = |share: f64| {
            let at = share * (values.len() - 1) as f64;
            let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
            f64::from(low) + f64::from(high - low) * at.fract()
        };
        (!values.is_empty()).then(|| HeadBand { x, low: quantile(0.1), high: quantile(0.9) })
    };
    curve.x.iter().zip(&curve.mean).enumerate().filter_map(of).collect()
}

/// Of every head the largest value up to each bin.
fn prefix_maxima(values: &Array3<f32>) -> Array3<f32> {
    let mut maxima = values.clone();
    maxima.accumulate_axis_inplace(Axis(2), |&before, value| *value = value.max(before));
    maxima
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_of_ten_heads_lie_within() {
        let heads =
            Array3::from_shape_fn((1, 11, 2), |(_, head, bin)| if bin == 0 { head as f32 } else { f32::NAN });
        let curve = BandCurve {
            x: vec![3.0, 7.0, 9.0],
            mean: vec![Some(5.0), Some(1.0), Some(1.0)],
            std: vec![Some(0.0); 3],
            not_finite_from: None,
        };
        assert_eq!(bands(&curve, &heads), [HeadBand { x: 3.0, low: 1.0, high: 9.0 }]);
        assert!(bands(&curve, &Array3::zeros((1, 1, 3))).is_empty());
        let rising = Array3::from_shape_vec((1, 1, 3), vec![1.0, 3.0, 2.0]).expect("a shape");
        assert_eq!(prefix_maxima(&rising).into_raw_vec_and_offset().0, [1.0, 3.0, 3.0]);
    }
}
