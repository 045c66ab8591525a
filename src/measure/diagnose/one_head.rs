//! One head alone: its own curves in place of the means over all heads, so that figures and tables can be of one head.

use lm_infinite_analysis::BandCurve;
use lm_infinite_analysis::entropy::EntropyCurves;
use ndarray::Array3;

use super::head::Head;
use super::model::{Curves, Diagnosis, RunMeasurement};

impl Diagnosis {
    /// The same diagnosis with the curves of one head (their standard deviation is 0) and the report of no other. What is known of
    /// all heads together only (quantiles, bounds of the entropy, effective keys, logits by length) is left empty. `None`
    /// where there is no such head.
    pub fn of_head(&self, head: Head) -> Option<Self> {
        let mut diagnosis = self.clone();
        for run in &mut diagnosis.runs {
            run.curves = run.curves_of_head(head)?;
            run.heads.retain(|report| (report.layer, report.head) == head);
        }
        (!diagnosis.runs.is_empty()).then_some(diagnosis)
    }
}

impl RunMeasurement {
    /// Curves of one head, on the axes of the means over heads; see [`Diagnosis::of_head`].
    pub fn curves_of_head(&self, head: Head) -> Option<Curves> {
        let (pooled, arrays) = (&self.curves, &self.arrays);
        let report = self.heads.iter().find(|report| (report.layer, report.head) == head);
        let by_position = |pooled, values| {
            let not_finite_from = report.and_then(|report| report.first_non_finite);
            Some(BandCurve { not_finite_from, ..curve(pooled, values, head)? })
        };
        Some(Curves {
            logits: so_far(curve(&pooled.logits, &arrays.max_logit, head)?),
            logits_start: so_far(curve(&pooled.logits_start, &arrays.max_logit_start, head)?),
            logits_last: so_far(curve(&pooled.logits_last, &arrays.max_logit_last, head)?),
            logits_by_length: BandCurve::default(),
            logit_quantiles: Vec::new(),
            entropy: by_position(&pooled.entropy, &arrays.entropy)?,
            effective_keys: BandCurve::default(),
            entropy_bounds: EntropyCurves::default(),
            start_mass: by_position(&pooled.start_mass, &arrays.start_mass)?,
        })
    }
}

/// The values of `head` [layers, heads, bins], at the places of the mean over heads. It is not finite from the first bin on
/// that is NaN (−inf is a bin without a key).
fn curve(pooled: &BandCurve, values: &Array3<f32>, (layer, head): Head) -> Option<BandCurve> {
    let (layers, heads, _) = values.dim();
    if layer >= layers || head >= heads {
        return None;
    }
    let finite = |&value: &f32| value.is_finite().then_some(f64::from(value));
    let values = values.slice(ndarray::s![layer, head, ..]);
    let mean: Vec<_> = values.iter().map(finite).take(pooled.x.len()).collect();
    let std = mean.iter().map(|value| value.map(|_| 0.0)).collect();
    // The places are the last distances of bins.
    let broken = values.iter().take(pooled.x.len()).position(|value| value.is_nan());
    let begin =
        |bin: usize| bin.checked_sub(1).map_or(0, |before| (pooled.x[before] as u64).saturating_add(1));
    Some(BandCurve { x: pooled.x[..mean.len()].to_vec(), mean, std, not_finite_from: broken.map(begin) })
}

/// Prefix maximum: a bin without a key keeps what was there before it; from one on that is not finite there is none.
fn so_far(mut curve: BandCurve) -> BandCurve {
    let mut most: Option<f64> = None;
    let end = curve.not_finite_from.map_or(f64::INFINITY, |from| from as f64);
    for ((&x, mean), std) in curve.x.iter().zip(&mut curve.mean).zip(&mut curve.std) {
        most = most.into_iter().chain(*mean).reduce(f64::max).filter(|_| x < end);
        (*mean, *std) = (most, most.map(|_| 0.0));
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    #[test]
    fn the_curves_of_all_heads_have_the_mean_of_the_whole() {
        let whole = synthetic::diagnosis(128, 512, &["vanilla", "lm-infinite"]);
        let (layers, heads, _) = whole.runs[0].arrays.entropy.dim();
        for run in &whole.runs {
            let each: Vec<Curves> = (0..layers * heads)
                .map(|at| run.curves_of_head((at / heads, at % heads)).expect("a head"))
                .collect();
            for curve in [
                |curves: &Curves| curves.logits.clone(),
                |curves: &Curves| curves.logits_last.clone(),
                |curves: &Curves| curves.entropy.clone(),
                |curves: &Curves| curves.start_mass.clone(),
            ] {
                let pooled = curve(&run.curves);
                assert!(!pooled.x.is_empty());
                for (bin, mean) in pooled.mean.iter().enumerate() {
                    let values: Vec<f64> = each.iter().filter_map(|curves| curve(curves).mean[bin]).collect();
                    let of_heads = values.iter().sum::<f64>() / values.len() as f64;
                    assert!(mean.is_none_or(|mean| (mean - of_heads).abs() < 1e-5), "{mean:?} {of_heads}");
                }
            }
        }
    }

    #[test]
    fn a_curve_of_one_head_ends_where_it_is_not_finite() {
        let mut run = synthetic::diagnosis(128, 512, &["vanilla"]).runs.remove(0);
        let sound = run.curves_of_head((0, 0)).expect("a head");
        assert_eq!((sound.logits.not_finite_from, sound.entropy.not_finite_from), (None, None));
        run.arrays.max_logit[[0, 0, 5]] = f32::NAN;
        run.arrays.entropy[[0, 0, 7]] = f32::NAN;
        run.heads[0].first_non_finite = Some(29);
        let broken = run.curves_of_head((0, 0)).expect("a head");
        let from = sound.logits.x[4] as u64 + 1;
        assert_eq!((broken.logits.not_finite_from, broken.entropy.not_finite_from), (Some(from), Some(29)));
        // A maximum so far is not known any more, a mean is again.
        assert!(
            broken.logits.mean[..5] == sound.logits.mean[..5]
                && broken.logits.mean[5..].iter().all(Option::is_none)
        );
        assert!(broken.entropy.mean[7].is_none() && broken.entropy.mean[8] == sound.entropy.mean[8]);
    }

    #[test]
    fn a_diagnosis_of_one_head_reports_no_other() {
        let whole = synthetic::diagnosis(128, 256, &["vanilla", "lm-infinite"]);
        let one = whole.of_head((1, 2)).expect("a head");
        assert!(one.runs.iter().all(|run| run.heads.len() == 1 && run.heads[0].layer == 1));
        assert!(one.runs[0].curves.entropy.std.iter().flatten().all(|&std| std == 0.0));
        assert!(whole.of_head((99, 0)).is_none() && whole.of_head((0, 99)).is_none());
    }
}
