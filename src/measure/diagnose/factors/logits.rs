//! Factor 1: do unseen distances raise the logits?

use lm_infinite_analysis::NonFinite;
use lm_infinite_analysis::effect::MeanEffect;
use lm_infinite_analysis::explosion::HeadExcess;
use serde::{Deserialize, Serialize};

use super::super::collector::Measurements;
use super::super::head::head_name;
use super::super::head_effects::{HeadEffect, HeadEffects, LOGIT_MARGIN, rises_above};
use super::super::onset::TokenOnset;
use super::super::outcome::Outcome;
use super::verdict::FactorVerdict;
use crate::words::{grouped, not_finite_from};

/// Share of the heads that must exceed for the factor to fail, and one head at least: one head of a large model may be made to
/// look far.
const SHARE: f64 = 0.01;

/// Sampled queries beyond the training length without which nothing is said.
const LEAST_QUERIES: usize = 8;

/// Factor 1. For sampled queries and keys at unseen distances: the largest logit at their distances above that of the same keys
/// at distances of training (the 95 % quantile of draws, [`UnseenDistances`](lm_infinite_analysis::explosion::UnseenDistances)), per head the mean over
/// queries. It fails if in at least 1 % of the heads that lies above 1.0 (Benjamini and Hochberg, false discovery rate 5 %), be
/// it on start tokens or on other keys; it holds if fewer may, by the same test; or if a policy gives no key an unseen distance.
/// A logit that is NaN or +inf fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitFactor {
    /// The rule above. Its effect is the excess at unseen distances, in logits, of the last of the heads that are needed to fail, by
    /// size: the 1 % largest lie above it (`None` where no key has an unseen distance); the interval is that of as many heads, the
    /// same place among the lower and among the upper ends of their 95 % intervals. Its onset is the query from which the exceeding
    /// heads do in the mean, to the end of the text, and the one before it. What is not finite are logits of sampled queries, NaN
    /// or +inf; the first one is that of any query.
    #[serde(flatten)]
    pub verdict: FactorVerdict,
    /// Sampled queries of each head, at most.
    #[serde(default)]
    pub n: usize,
    /// Mean over heads of the largest logit at distances within the training length, on those keys that rise more; `None`
    /// where a logit is not finite. This compares other keys and other numbers of them, and decides nothing.
    pub inside: Option<f64>,
    /// The same beyond it.
    pub outside: Option<f64>,
    /// Heads with keys at unseen distances.
    pub heads: usize,
    /// Heads that exceed.
    pub heads_exceeding: usize,
    /// Heads that exceed on start tokens.
    pub heads_exceeding_on_start: usize,
    /// Heads that exceed or may.
    #[serde(default)]
    pub heads_possibly_exceeding: usize,
    /// Heads that would have to.
    #[serde(default)]
    pub heads_needed: usize,
    /// The largest excess.
    #[serde(default)]
    pub largest_excess: Option<LargestExcess>,
    /// The largest logits of that head on both sides of the training length.
    pub largest: Option<HeadExcess>,
    /// Queries, of all positions, layers and heads, with such a logit.
    #[serde(default)]
    pub non_finite_queries: u64,
}

/// The head whose logits unseen distances raise most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LargestExcess {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// Whether it is on start tokens, or on the other keys.
    pub on_start: bool,
    /// Its excess, in logits.
    pub effect: MeanEffect,
    /// What clamping all keys to the training length takes from its largest logit, in the mean over queries.
    pub clamped: f64,
}

/// Heads of `heads` that must exceed for the factor to fail.
pub(crate) fn heads_needed(heads: usize) -> usize {
    ((heads as f64 * SHARE).ceil() as usize).max(1)
}

/// The two kinds of keys of one head; the first has the larger excess.
struct Measured {
    at: usize,
    kinds: Vec<(bool, HeadEffect)>,
}

impl Measured {
    fn top(&self) -> (bool, HeadEffect) {
        self.kinds[0]
    }

    fn any(&self, holds: fn(&HeadEffect) -> bool) -> bool {
        self.kinds.iter().any(|(_, effect)| holds(effect))
    }
}

impl LogitFactor {
    pub(in super::super) fn new(measured: &Measurements, effects: &HeadEffects) -> Self {
        let sampled = NonFinite::total(&[measured.logits.non_finite(), measured.logits_start.non_finite()]);
        let queries = measured.logits_by_length.non_finite();
        let non_finite = NonFinite::total(&[sampled, queries, measured.unseen_distances.non_finite()]);
        let heads = measured_heads(effects);
        let needed = heads_needed(heads.len());
        let exceeding: Vec<&Measured> =
            heads.iter().filter(|head| head.any(|effect| effect.exceeds)).collect();
        let possible =
            heads.iter().filter(|head| head.any(|effect| effect.exceeds || effect.may_exceed)).count();
        let on_start = |head: &&&Measured| head.kinds.iter().any(|(start, effect)| *start && effect.exceeds);
        let exceeding_on_start = exceeding.iter().filter(on_start).count();
        let outcome = if non_finite.any() {
            Outcome::NotFinite
        } else if heads.is_empty() && measured.sampled_beyond() < LEAST_QUERIES {
            Outcome::Undecided
        } else if exceeding.len() >= needed {
            Outcome::Fails
        } else if possible < needed {
            Outcome::Holds
        } else {
            Outcome::Undecided
        };
        let onset = (outcome == Outcome::Fails).then(|| onset(measured, &exceeding)).flatten();
        let place = |end: fn(&MeanEffect) -> f64| {
            let mut all: Vec<f64> = heads.iter().map(|head| end(&head.top().1.effect)).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            all.get(needed - 1).copied().filter(|_| !non_finite.any())
        };
        let effect = place(|effect| effect.mean);
        let interval = place(|effect| effect.low).zip(place(|effect| effect.high)).map(<[f64; 2]>::from);
        let top = heads.iter().max_by(|a, b| a.top().1.effect.mean.total_cmp(&b.top().1.effect.mean));
        let width = measured.plan.heads;
        let largest_excess = top.filter(|_| !non_finite.any()).map(|head| {
            let (on_start, HeadEffect { effect, .. }) = head.top();
            let clamped = measured.unseen_distances.clamped(on_start)[head.at].unwrap_or(0.0);
            LargestExcess { layer: head.at / width, head: head.at % width, on_start, effect, clamped }
        });
        let (inside, outside, largest) = prefix_maxima(measured, largest_excess, non_finite);
        let n = heads.iter().map(|head| head.top().1.effect.n).max().unwrap_or(0);
        let mut factor = Self {
            verdict: FactorVerdict {
                effect,
                interval,
                non_finite: sampled.count,
                ..FactorVerdict::new(outcome, onset, non_finite)
            },
            n,
            inside,
            outside,
            heads: heads.len(),
            heads_exceeding: exceeding.len(),
            heads_exceeding_on_start: exceeding_on_start,
            heads_possibly_exceeding: possible,
            heads_needed: needed,
            largest_excess,
            largest,
            non_finite_queries: queries.count,
        };
        factor.verdict.words = factor.words();
        factor
    }

    fn words(&self) -> String {
        let Self { heads, heads_exceeding, heads_exceeding_on_start, heads_needed, n, .. } = *self;
        let FactorVerdict { outcome, onset, non_finite, first_non_finite, .. } = self.verdict;
        match (outcome, self.largest_excess) {
            (Outcome::NotFinite, _) => format!(
                "{}: {} queries (over all layers and heads) have a logit that is NaN or +inf, {} logits of sampled ones",
                not_finite_from("position", first_non_finite),
                grouped(self.non_finite_queries),
                grouped(non_finite),
            ),
            (Outcome::Undecided, None) => {
                "undecided: too few sampled queries lie beyond the training length".to_owned()
            }
            (_, None) => format!("{outcome}: no key is attended at a distance beyond the training length"),
            (_, Some(top)) => {
                let may = match outcome {
                    Outcome::Undecided => format!(", perhaps of {}", self.heads_possibly_exceeding),
                    _ => String::new(),
                };
                let start = match heads_exceeding_on_start {
                    0 => String::new(),
                    count => format!("{count} of them on start tokens; "),
                };
                let MeanEffect { mean, low, high, .. } = top.effect;
                format!(
                    "{outcome}: unseen distances raise the logits of {heads_exceeding} of {heads} heads by more than \
                     {LOGIT_MARGIN:.1}{may} ({start}same queries and keys; {heads_needed} would be enough to fail); most by {mean:+.1} \
                     ({low:+.1} to {high:+.1}, n = {n} queries), {}{}{}",
                    head_name((top.layer, top.head)),
                    if top.on_start { ", on start tokens" } else { "" },
                    onset.map_or(String::new(), |onset| onset.words()),
                )
            }
        }
    }
}

/// The heads with keys at unseen distances, each with its larger effect first.
fn measured_heads(effects: &HeadEffects) -> Vec<Measured> {
    let of = |(at, (start, other)): (usize, (&Option<HeadEffect>, &Option<HeadEffect>))| {
        let mut kinds: Vec<(bool, HeadEffect)> = [(true, *start), (false, *other)]
            .into_iter()
            .filter_map(|(kind, effect)| Some((kind, effect?)))
            .collect();
        kinds.sort_by(|a, b| b.1.effect.mean.total_cmp(&a.1.effect.mean));
        (!kinds.is_empty()).then_some(Measured { at, kinds })
    };
    effects.logits_on_start.iter().zip(&effects.logits).enumerate().filter_map(of).collect()
}

/// Where the exceeding heads leave the margin in the mean.
fn onset(measured: &Measurements, exceeding: &[&Measured]) -> Option<TokenOnset> {
    let by_head = [false, true].map(|on_start| measured.unseen_distances.by_head(on_start));
    let mut sums = std::collections::BTreeMap::<u64, (f64, f64)>::new();
    for head in exceeding {
        // A start token that exceeds may do so later than the other keys.
        let kinds = head.kinds.iter().filter(|(_, effect)| effect.exceeds);
        for &(query, value) in kinds.flat_map(|(on_start, _)| &by_head[usize::from(*on_start)][head.at]) {
            let sum = sums.entry(query).or_default();
            *sum = (sum.0 + value, sum.1 + 1.0);
        }
    }
    let means: Vec<(u64, f64)> = sums.into_iter().map(|(query, (sum, count))| (query, sum / count)).collect();
    rises_above(&means, LOGIT_MARGIN).map(|[before, at]| TokenOnset { at, interval: [before, at] })
}

/// Means over heads of the largest logit at distances within and beyond the training length, each head on those keys that rise
/// more, and the head of `largest` alone.
fn prefix_maxima(
    measured: &Measurements,
    largest: Option<LargestExcess>,
    non_finite: NonFinite,
) -> (Option<f64>, Option<f64>, Option<HeadExcess>) {
    let trained = measured.plan.trained_length;
    let [start, other] = [&measured.logits_start, &measured.logits].map(|logits| logits.excess(trained));
    let top = largest.and_then(|top| {
        let of = if top.on_start { &start } else { &other };
        of.iter().find(|head| (head.layer, head.head) == (top.layer, top.head)).copied()
    });
    let mut heads = std::collections::BTreeMap::<(usize, usize), HeadExcess>::new();
    for new in start.into_iter().chain(other) {
        let head = heads.entry((new.layer, new.head)).or_insert(new);
        if new.outside - new.inside > head.outside - head.inside {
            *head = new;
        }
    }
    // Of the heads that are finite alone they would pass over the others.
    let mean = |of: fn(&HeadExcess) -> f32| {
        let sum: f64 = heads.values().map(|head| f64::from(of(head))).sum();
        (!heads.is_empty() && !non_finite.any()).then(|| sum / heads.len() as f64)
    };
    (mean(|head| head.inside), mean(|head| head.outside), top)
}
