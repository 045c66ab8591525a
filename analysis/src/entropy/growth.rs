//! The entropy on both sides of the training length.

use serde::{Deserialize, Serialize};

use crate::curve::BandCurve;

/// What the entropy does beyond the training length.
///
/// A bin belongs to the side where its middle lies. This compares queries with other numbers of keys, and decides nothing:
/// [`EntropyExcess`](super::EntropyExcess) does.
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
}

/// Compares the curve on both sides of `trained_length`. `None` if it has no value inside, or one that is not finite.
pub fn growth(curve: &BandCurve, trained_length: u64) -> Option<EntropyGrowth> {
    growth_of(curve.points().map(|(x, mean, _)| (x, mean)), curve.not_finite_from, trained_length)
}

/// The same of points (position, entropy), of which the one at `not_finite_from` is the first that is left out because it
/// is not finite.
pub(super) fn growth_of(
    points: impl Iterator<Item = (f64, f64)>,
    not_finite_from: Option<u64>,
    trained_length: u64,
) -> Option<EntropyGrowth> {
    if not_finite_from.is_some_and(|at| at < trained_length) {
        return None;
    }
    let (inside, outside): (Vec<_>, Vec<_>) = points.partition(|&(x, _)| x < trained_length as f64);
    let largest = |part: &[(f64, f64)]| part.iter().map(|&(_, value)| value).reduce(f64::max);
    let level = largest(&inside)?;
    if not_finite_from.is_some() {
        return Some(EntropyGrowth { inside: level, outside: None, outside_mean: None });
    }
    let mean = outside.iter().map(|&(_, value)| value).sum::<f64>() / outside.len() as f64;
    Some(EntropyGrowth {
        inside: level,
        outside: largest(&outside),
        outside_mean: (!outside.is_empty()).then_some(mean),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_their_largest() {
        let curve = BandCurve {
            x: vec![0.0, 9.0, 20.0],
            mean: vec![Some(2.0); 3],
            std: vec![Some(0.0); 3],
            not_finite_from: None,
        };
        let flat = growth(&curve, 10).expect("has an inside");
        assert_eq!((flat.inside, flat.outside, flat.outside_mean), (2.0, Some(2.0), Some(2.0)));
        assert_eq!(growth(&curve, 100).expect("has an inside").outside, None);
        assert_eq!(growth(&BandCurve::default(), 10), None);
    }

    #[test]
    fn no_maximum_passes_over_what_is_not_finite() {
        let curve = |not_finite_from| BandCurve {
            x: vec![0.0, 9.0, 20.0, 30.0],
            mean: vec![Some(1.0), Some(2.0), None, Some(9.0)],
            std: vec![Some(0.0), Some(0.0), None, Some(0.0)],
            not_finite_from,
        };
        let beyond = growth(&curve(Some(20)), 10).expect("has an inside");
        assert_eq!((beyond.inside, beyond.outside, beyond.outside_mean), (2.0, None, None));
        assert_eq!(growth(&curve(Some(9)), 10), None);
        assert_eq!(growth(&curve(None), 10).expect("unseen").outside, Some(9.0));
    }
}
