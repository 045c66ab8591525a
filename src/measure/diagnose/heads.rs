//! What each head does on both sides of the training length.

use std::collections::BTreeMap;

use lm_infinite_analysis::drift::head_sinks;
use lm_infinite_analysis::entropy::{EntropyCurves, EntropyGrowth};
use lm_infinite_analysis::explosion::{Extent, HeadRange, LogitsByDistance, RangeRule};
use ndarray::{Array3, ArrayView1, s};
use serde::{Deserialize, Serialize};

use super::collector::Measurements;
use super::head_effects::{HeadEffect, HeadEffects};
use super::plan::START_TOKENS;

/// One head of one run. Every value is `None` where the run has nothing to take it from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadReport {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// Smallest and largest logit at distances within the training length, on keys after the start tokens.
    pub logits_inside: Option<Extent>,
    /// The same beyond it. A policy with a window sees no key there.
    pub logits_outside: Option<Extent>,
    /// What unseen distances add to the logits on these keys: the same queries and keys at their distances and at distances of
    /// training.
    #[serde(default)]
    pub logit_excess: Option<HeadEffect>,
    /// Position of the sampled query from which that exceeds 1.0, where it does.
    pub logits_break: Option<u64>,
    /// The three for keys among the start tokens.
    pub start_logits_inside: Option<Extent>,
    /// Beyond the training length.
    pub start_logits_outside: Option<Extent>,
    /// What unseen distances add to the logits on start tokens.
    #[serde(default)]
    pub start_logit_excess: Option<HeadEffect>,
    /// Position of the sampled query from which that exceeds 1.0, where it does.
    pub start_logits_break: Option<u64>,
    /// Largest mean entropy on both sides, in nats.
    pub entropy: Option<EntropyGrowth>,
    /// What unseen numbers of keys add to the entropy.
    #[serde(default)]
    pub entropy_excess: Option<HeadEffect>,
    /// Position of the sampled query from which that exceeds 0.405 nats, where it does.
    #[serde(default)]
    pub entropy_break: Option<u64>,
    /// Mean of `e^H` over queries within the training length, in keys.
    pub effective_keys_inside: Option<f64>,
    /// The same beyond it.
    pub effective_keys_beyond: Option<f64>,
    /// Mean probability on the start tokens, over queries within the training length that see other keys too.
    pub start_mass_inside: Option<f64>,
    /// The same beyond it.
    pub start_mass_beyond: Option<f64>,
    /// Mean probability on the head's learned sink, over the same queries; `None` where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_mass_inside: Option<f64>,
    /// The same beyond the training length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_mass_beyond: Option<f64>,
    /// Mean distance that attention reaches, in tokens, over queries within the training length (to the width of a bin).
    pub mean_distance_inside: Option<f64>,
    /// The same beyond it.
    pub mean_distance_beyond: Option<f64>,
    /// Entropy of the longest rows seen whole, and what their logits alone say of it (appendix D).
    #[serde(default)]
    pub longest_rows: Option<EntropyCurves<f64>>,
    /// Queries whose row is not finite: NaN or +inf among its logits. No mean or maximum above passes over one.
    #[serde(default)]
    pub non_finite_queries: u64,
    /// The first position of one.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
}

impl HeadReport {
    /// How far the largest logit beyond the training length lies above that within it.
    pub fn logit_rise(&self) -> Option<f32> {
        Some(self.logits_outside?.high - self.logits_inside?.high)
    }

    /// What unseen distances add to the logits, on start tokens or on other keys, whichever is more.
    pub fn largest_logit_excess(&self) -> Option<f64> {
        let both = [self.logit_excess, self.start_logit_excess].into_iter().flatten();
        both.map(|excess| excess.effect.mean).reduce(f64::max)
    }

    /// Whether logits or entropy leave what training showed, or are not finite.
    pub fn broke(&self) -> bool {
        let exceeds = |effect: Option<HeadEffect>| effect.is_some_and(|effect| effect.exceeds);
        [self.logit_excess, self.start_logit_excess, self.entropy_excess].into_iter().any(exceeds)
            || self.non_finite_queries > 0
    }

    /// One report per head, by layer.
    pub(super) fn all(seen: &Measurements, effects: &HeadEffects) -> Vec<Self> {
        let (trained, read) = (seen.plan.trained_length, seen.read);
        let [logits, on_start] = [&seen.logits, &seen.logits_start].map(|logits| sides(logits, trained));
        let entropy = seen.entropy.heads(trained, read);
        let sinks = head_sinks(&seen.entropy.start_mass, START_TOKENS, trained);
        let learned = seen.sink_mass.as_ref().map(|means| head_sinks(means, START_TOKENS, trained));
        let keys_inside = seen.entropy.effective_keys.means_between(0, trained);
        let keys_beyond = seen.entropy.effective_keys.means_between(trained, u64::MAX);
        let middles = middles(seen.plan.mass_distances.lower(), read);
        let rows = seen.entropy_rows.means();
        let (near, far) = (seen.mass_inside.means(), seen.mass_beyond.means());
        let broken_queries = seen.logits_by_length.non_finite_by_head();
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let learned_of = |layer: usize, head: usize| {
            learned.iter().flatten().find(|sink| (sink.layer, sink.head) == (layer, head))
        };
        let report = |sink: &lm_infinite_analysis::drift::HeadSink| {
            let (layer, head) = (sink.layer, sink.head);
            let (range, start) = (logits.get(&(layer, head)), on_start.get(&(layer, head)));
            let effect =
                |of: &[Option<HeadEffect>]| of.get(layer * seen.plan.heads + head).copied().flatten();
            let logit_excess = effect(&effects.logits);
            let start_logit_excess = effect(&effects.logits_on_start);
            let entropy_excess = effect(&effects.entropy);
            let from = |effect: Option<HeadEffect>| effect.and_then(|effect| effect.from);
            let distance = |mass: ArrayView1<f64>| {
                finite(mass.iter().zip(&middles).map(|(mass, middle)| mass * middle).sum())
            };
            Self {
                layer,
                head,
                logits_inside: range.map(|range| range.inside),
                logits_outside: range.map(|range| range.outside),
                logit_excess,
                logits_break: from(logit_excess),
                start_logits_inside: start.map(|range| range.inside),
                start_logits_outside: start.map(|range| range.outside),
                start_logit_excess,
                start_logits_break: from(start_logit_excess),
                entropy_excess,
                entropy_break: from(entropy_excess),
                entropy: entropy.iter().find(|e| (e.layer, e.head) == (layer, head)).map(|e| e.growth),
                effective_keys_inside: finite(keys_inside[[layer, head]]),
                effective_keys_beyond: finite(keys_beyond[[layer, head]]),
                start_mass_inside: sink.inside,
                start_mass_beyond: sink.beyond,
                sink_mass_inside: learned_of(layer, head).and_then(|sink| sink.inside),
                sink_mass_beyond: learned_of(layer, head).and_then(|sink| sink.beyond),
                mean_distance_inside: distance(near.slice(s![layer, head, ..])),
                mean_distance_beyond: distance(far.slice(s![layer, head, ..])),
                longest_rows: longest(&rows, layer, head)
                    .filter(|_| !seen.entropy_rows.without_entropy_by_head()[[layer, head]].any()),
                non_finite_queries: broken_queries[[layer, head]].count,
                first_non_finite: broken_queries[[layer, head]].first,
            }
        };
        sinks.iter().map(report).collect()
    }
}

/// The last bin of position that has a row of this head.
fn longest(rows: &EntropyCurves<Array3<f64>>, layer: usize, head: usize) -> Option<EntropyCurves<f64>> {
    let seen = rows.entropy.slice(s![layer, head, ..]);
    let bin = seen.iter().rposition(|entropy| entropy.is_finite())?;
    Some(rows.map(|values| values[[layer, head, bin]]))
}

/// The heads that saw keys on both sides of the training length.
fn sides(logits: &LogitsByDistance, trained_length: u64) -> BTreeMap<(usize, usize), HeadRange> {
    let ranges = logits.ranges(trained_length, &RangeRule::default()).into_iter();
    ranges.map(|head| ((head.layer, head.head), head)).collect()
}

/// Middles of bins with these lower edges over `0..end`, where the bin that has it closes.
fn middles(lower: &[u64], end: u64) -> Vec<f64> {
    let ends = lower.iter().skip(1).copied().chain([end]);
    let middle = |(&from, to): (&u64, u64)| (from as f64 + to.min(end).max(from + 1) as f64 - 1.0) / 2.0;
    lower.iter().zip(ends).map(middle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    #[test]
    fn every_head_has_a_report_and_only_unbounded_ones_break() {
        let diagnosis = synthetic::diagnosis(512, 2048, &["vanilla", "lm-infinite"]);
        let [vanilla, infinite] = diagnosis.runs.as_slice() else { panic!("two runs") };
        let shape = (diagnosis.config.layers, diagnosis.config.heads);
        for run in [vanilla, infinite] {
            assert_eq!(run.heads.len(), shape.0 * shape.1);
            assert!(
                run.heads.iter().enumerate().all(|(i, h)| (h.layer, h.head) == (i / shape.1, i % shape.1))
            );
        }
        assert!(
            vanilla.heads.iter().any(|head| head.logits_break.is_some_and(|at| at >= 512)),
            "none breaks"
        );
        assert!(
            infinite.heads.iter().all(|head| head.logits_outside.is_none() && head.logits_break.is_none())
        );
        assert!(infinite.heads.iter().filter(|head| head.broke()).count() < infinite.heads.len() / 10);
        let head = &vanilla.heads[0];
        assert!(head.entropy.is_some() && head.effective_keys_beyond > head.effective_keys_inside);
        assert!(head.start_mass_inside.is_some_and(|mass| (0.0..=1.0).contains(&mass)));
    }

    #[test]
    fn middles_close_at_the_end() {
        assert_eq!(middles(&[0, 1, 2, 4], 7), [0.0, 1.0, 2.5, 5.0]);
        assert_eq!(middles(&[0, 1, 2, 4, 8, 16], 7), [0.0, 1.0, 2.5, 5.0, 8.0, 16.0]);
        assert_eq!(middles(&[0], 0), [0.0]);
    }
}
