//! Whether and where the entropy rises beyond what training showed.

use serde::{Deserialize, Serialize};

use crate::curve::BandCurve;

/// What the entropy does beyond the training length.
///
/// The rule of the first break: the first bin beyond the training length whose mean exceeds the largest mean inside it by
/// more than `margin`, and from which on most bins do: one hard segment of text is no break. A bin belongs to the side
/// where its middle lies.
///
/// Where the entropy is not finite at some position inside the training length, there is no growth; where it is beyond, all
/// that is known of the positions beyond is left out, since no maximum and no mean passes over it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntropyGrowth {
    /// Largest mean over heads up to the training length, in nats.
    pub inside: f64,
    /// Largest mean over heads beyond it, in nats; `None` if the text ends before, or where one is not finite.
    pub outside: Option<f64>,
    /// Mean of the bins beyond it, in nats.
    pub outside_mean: Option<f64>,
    /// First position from which the mean over heads exceeds `inside` by more than the margin.
    pub exceeds_from: Option<f64>,
    /// The margin, in nats.
    pub margin: f64,
}

/// Compares the curve on both sides of `trained_length`. `None` if it has no value inside, or one that is not finite.
pub fn growth(curve: &BandCurve, trained_length: u64, margin: f64) -> Option<EntropyGrowth> {
    growth_of(curve.points().map(|(x, mean, _)| (x, mean)), curve.not_finite_from, trained_length, margin)
}

/// The same of points (position, entropy), of which the one at `not_finite_from` is the first that is left out because it
/// is not finite.
pub(super) fn growth_of(
    points: impl Iterator<Item = (f64, f64)>,
    not_finite_from: Option<u64>,
    trained_length: u64,
    margin: f64,
) -> Option<EntropyGrowth> {
    if not_finite_from.is_some_and(|at| at < trained_length) {
        return None;
    }
    let (inside, outside): (Vec<_>, Vec<_>) = points.partition(|&(x, _)| x < trained_length as f64);
    let largest = |part: &[(f64, f64)]| part.iter().map(|&(_, value)| value).reduce(f64::max);
    let level = largest(&inside)?;
    if not_finite_from.is_some() {
        return Some(EntropyGrowth {
            inside: level,
            outside: None,
            outside_mean: None,
            exceeds_from: None,
            margin,
        });
    }
    let above: Vec<bool> = outside.iter().map(|&(_, value)| value > level + margin).collect();
    let lasts = |from: usize| 2 * above[from..].iter().filter(|&&above| above).count() > above.len() - from;
    let first = (0..above.len()).find(|&bin| above[bin] && lasts(bin));
    let mean = outside.iter().map(|&(_, value)| value).sum::<f64>() / outside.len() as f64;
    Some(EntropyGrowth {
        inside: level,
        outside: largest(&outside),
        outside_mean: (!outside.is_empty()).then_some(mean),
        exceeds_from: first.map(|bin| outside[bin].0),
        margin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_entropy_never_exceeds() {
        let curve = BandCurve {
            x: vec![0.0, 9.0, 20.0],
            mean: vec![Some(2.0); 3],
            std: vec![Some(0.0); 3],
            not_finite_from: None,
        };
        let flat = growth(&curve, 10, 0.1).expect("has an inside");
        assert_eq!((flat.inside, flat.outside, flat.exceeds_from), (2.0, Some(2.0), None));
        assert_eq!(growth(&curve, 100, 0.1).expect("has an inside").outside, None);
        assert_eq!(growth(&BandCurve::default(), 10, 0.1), None);
    }

    #[test]
    fn no_maximum_passes_over_what_is_not_finite() {
        let curve = |not_finite_from| BandCurve {
            x: vec![0.0, 9.0, 20.0, 30.0],
            mean: vec![Some(1.0), Some(2.0), None, Some(9.0)],
            std: vec![Some(0.0), Some(0.0), None, Some(0.0)],
            not_finite_from,
        };
        let beyond = growth(&curve(Some(20)), 10, 0.1).expect("has an inside");
        assert_eq!((beyond.inside, beyond.outside, beyond.outside_mean), (2.0, None, None));
        assert_eq!((beyond.exceeds_from, growth(&curve(Some(9)), 10, 0.1)), (None, None));
        assert_eq!(growth(&curve(None), 10, 0.1).expect("unseen").outside, Some(9.0));
    }

    #[test]
    fn one_high_bin_is_no_break() {
        let of = |mean: &[f64]| {
            let points = mean.iter().enumerate().map(|(x, &mean)| (x as f64, mean));
            growth_of(points, None, 1, 0.5).expect("has an inside")
        };
        let once = of(&[1.0, 2.0, 1.0, 1.0]);
        assert_eq!((once.outside, once.exceeds_from), (Some(2.0), None));
        assert!((once.outside_mean.expect("a mean") - 4.0 / 3.0).abs() < 1e-12);
        assert_eq!(of(&[1.0, 2.0, 1.0, 2.0, 2.0]).exceeds_from, Some(1.0));
        assert_eq!(of(&[1.0, 2.0, 1.0, 1.0, 2.0]).exceeds_from, Some(4.0));
    }

    #[test]
    fn what_happens_inside_is_no_break() {
        let curve = |mean: [f64; 3]| BandCurve {
            x: vec![0.0, 9.0, 20.0],
            mean: mean.map(Some).to_vec(),
            std: vec![Some(0.0); 3],
            not_finite_from: None,
        };
        assert_eq!(growth(&curve([1.0, 5.0, 4.0]), 10, 0.1).expect("has an inside").exceeds_from, None);
        assert_eq!(growth(&curve([1.0, 5.0, 5.2]), 10, 0.1).expect("has an inside").exceeds_from, Some(20.0));
        assert_eq!(growth(&curve([1.0, 5.0, 5.2]), 9, 0.1).expect("has an inside").exceeds_from, Some(9.0));
    }
}
