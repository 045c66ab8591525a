//! What every head does beyond the training length that training did not show, each effect with its interval, and which heads
//! exceed: many at once, so at a false discovery rate.

use lm_infinite_analysis::effect::{MeanEffect, rejections};
use serde::{Deserialize, Serialize};

use super::collector::Measurements;
use super::outcome::SEED;

/// A head's logits exceed what training showed if unseen distances raise them by more than this: a factor e in unnormalized
/// weight. Heads of healthy models, whose training length was declared a half, a quarter or an eighth of what it is, stay below it;
/// those that explode rise by 6 to 8.
pub(crate) const LOGIT_MARGIN: f64 = 1.0;
/// A head's entropy exceeds what training showed if unseen numbers of keys raise it by more than this, in nats: half as many keys
/// again share the attention.
pub(crate) const ENTROPY_MARGIN: f64 = 0.405;
/// Share of the heads said to exceed that do not, on average, at most.
const FALSE_DISCOVERY_RATE: f64 = 0.05;
/// Sampled queries in a running mean.
const RUN: usize = 5;

/// An effect in one head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadEffect {
    /// Mean over the sampled queries beyond the training length.
    pub effect: MeanEffect,
    /// Whether it lies above its margin, at a false discovery rate of 5 % over all heads of the run.
    pub exceeds: bool,
    /// Whether it may: that it lies above the margin is not rejected, at the same rate.
    pub may_exceed: bool,
    /// Position of the sampled query from which an effect that exceeds lies above the margin.
    pub from: Option<u64>,
}

/// The effects of all heads of one run. [layers × heads]
pub(super) struct HeadEffects {
    /// Of unseen distances on the logits of keys after the start tokens.
    pub logits: Vec<Option<HeadEffect>>,
    /// Of unseen distances on the logits of start tokens.
    pub logits_on_start: Vec<Option<HeadEffect>>,
    /// Of unseen numbers of keys on the entropy.
    pub entropy: Vec<Option<HeadEffect>>,
}

impl HeadEffects {
    pub fn new(measured: &Measurements) -> Self {
        let logits = [false, true].map(|on_start| measured.unseen_distances.by_head(on_start));
        let count = logits[0].len();
        let mut logits = effects(&logits.concat(), LOGIT_MARGIN);
        let logits_on_start = logits.split_off(count);
        Self { logits, logits_on_start, entropy: effects(&measured.entropy_excess.by_head(), ENTROPY_MARGIN) }
    }
}

/// The effects of many series of (position, value), held against one margin together.
pub(crate) fn effects(series: &[Vec<(u64, f64)>], margin: f64) -> Vec<Option<HeadEffect>> {
    let effect = |series: &Vec<(u64, f64)>| {
        let values: Vec<f64> = series.iter().map(|(_, value)| *value).collect();
        MeanEffect::around_trend(&values, SEED)
    };
    let effects: Vec<Option<MeanEffect>> = series.iter().map(effect).collect();
    let rejected = |p: fn(&MeanEffect, f64) -> f64| {
        let p: Vec<f64> =
            effects.iter().map(|effect| effect.map_or(f64::NAN, |effect| p(&effect, margin))).collect();
        rejections(&p, FALSE_DISCOVERY_RATE)
    };
    let (above, below) = (rejected(MeanEffect::p_at_most), rejected(MeanEffect::p_at_least));
    let of = |at: usize| {
        let effect = effects[at]?;
        let from = above[at].then(|| rises_above(&series[at], margin)).flatten();
        Some(HeadEffect { effect, exceeds: above[at], may_exceed: !below[at], from: from.map(|[_, at]| at) })
    };
    (0..series.len()).map(of).collect()
}

/// The position from which `series` stays above the margin in running means of 5, to its end, and the one before: between the
/// two it begins to. `None` if it ends below, or has no values.
pub(crate) fn stays_above(series: &[(u64, f64)], margin: f64) -> Option<[u64; 2]> {
    let run = RUN.min(series.len()).max(1);
    let first = series.windows(run).rposition(|run| mean(run) <= margin).map_or(0, |last| last + 1);
    (first + run <= series.len()).then(|| between(series, first)).flatten()
}

/// The same of a series that may come back below it, as logits do that turn with the distance: the first running mean above the
/// margin from which on the mean of the rest lies above it too. `None` if the mean of all does not.
pub(super) fn rises_above(series: &[(u64, f64)], margin: f64) -> Option<[u64; 2]> {
    let run = RUN.min(series.len()).max(1);
    let mut runs = series.windows(run).enumerate();
    let first =
        runs.find(|(at, run)| mean(run) > margin && mean(&series[*at..]) > margin).map_or(0, |(at, _)| at);
    (mean(series) > margin).then(|| between(series, first)).flatten()
}

fn mean(run: &[(u64, f64)]) -> f64 {
    run.iter().map(|(_, value)| value).sum::<f64>() / run.len() as f64
}

fn between(series: &[(u64, f64)], first: usize) -> Option<[u64; 2]> {
    let (at, _) = *series.get(first)?;
    Some([first.checked_sub(1).map_or(at, |before| series[before].0), at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_begins_where_it_stays_above_the_margin() {
        let rising: Vec<(u64, f64)> = (0..20).map(|at| (256 + 16 * at, at as f64 * 0.05)).collect();
        // Means of 5: that of the queries 2 to 6 is 0.2.
        assert_eq!(stays_above(&rising, 0.2), Some([256 + 16 * 2, 256 + 16 * 3]));
        let above: Vec<(u64, f64)> = (0..20).map(|at| (256 + at, 1.0)).collect();
        assert_eq!(stays_above(&above, 0.2), Some([256, 256]));
        assert_eq!(stays_above(&above, 2.0), None);
        assert_eq!(stays_above(&above[..3], 0.2), Some([256, 256]));
        assert_eq!(stays_above(&[], 0.2), None);
        // A fall to the margin ends one and not the other.
        let mut turning = rising.clone();
        turning[12].1 = -3.0;
        assert_eq!(rises_above(&turning, 0.2), Some([256 + 16 * 2, 256 + 16 * 3]));
        assert!(stays_above(&turning, 0.2).is_some_and(|[_, at]| at > 256 + 16 * 11));
        assert_eq!((rises_above(&rising, 0.6), rises_above(&[], 0.2)), (None, None));
        assert_eq!(rises_above(&above[..3], 0.2), Some([256, 256]));
    }

    /// Of 200 heads without an effect few are said to have one, of those with one most are.
    #[test]
    fn few_heads_exceed_by_chance() {
        let noise = |seed: u64| {
            (0..60u64).map(move |at| {
                let x = (seed * 60 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                (at, 3.0 * (x as f64 / f64::from(1 << 24) - 0.5))
            })
        };
        let series = |shift: f64| {
            (0..200).map(move |seed| noise(seed).map(|(at, value)| (at, value + shift)).collect::<Vec<_>>())
        };
        let at_margin = effects(&series(1.0).collect::<Vec<_>>(), 1.0);
        assert!(at_margin.iter().flatten().filter(|head| head.exceeds).count() <= 10);
        let mixed: Vec<_> = series(0.0).take(100).chain(series(2.0).take(100)).collect();
        let mixed = effects(&mixed, 1.0);
        let exceeding =
            |range: std::ops::Range<usize>| mixed[range].iter().flatten().filter(|head| head.exceeds).count();
        assert!(
            exceeding(0..100) == 0 && exceeding(100..200) >= 95,
            "{} {}",
            exceeding(0..100),
            exceeding(100..200)
        );
        assert!(mixed[..100].iter().flatten().filter(|head| head.may_exceed).count() <= 5);
        assert_eq!(effects(&[vec![], vec![(1, 0.0); 7]], 1.0), [None, None]);
    }
}
