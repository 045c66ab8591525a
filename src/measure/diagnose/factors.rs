//! Which factor broke, and where: the rules, with their margins, and their verdicts in words.

use std::collections::BTreeMap;

use lm_infinite_analysis::NonFinite;
use lm_infinite_analysis::curve::BandCurve;
use lm_infinite_analysis::effect::{MeanEffect, Verdict};
use lm_infinite_analysis::entropy::{self, EntropyExcess, EntropyGrowth};
use lm_infinite_analysis::explosion::{HeadExcess, LogitsByDistance, LogitsByLength};
use lm_infinite_analysis::nll::{BreakOrder, Factor};
use lm_infinite_runtime::policy::AttentionPolicy;
use serde::{Deserialize, Serialize};

use super::drift::SiteDrift;
use super::loss::{SEED, TokenOnset};
use super::outcome::Outcome;
use crate::words::{grouped, not_finite_from};

/// A head's logits exceed what training showed if they rise by more than this: a factor e in unnormalized weight.
pub(super) const LOGIT_MARGIN: f32 = 1.0;
/// Share of the heads that must do so for the factor to count as broken.
const LOGIT_SHARE: f64 = 0.1;
/// Rise of a head's mean entropy above its largest value in the training length that its report marks, in nats: half as many
/// keys again share the attention.
pub(super) const ENTROPY_MARGIN: f64 = 0.405;
/// Excess of the entropy that fails, in nats: a fifth more keys share the attention than numbers of keys like those of training,
/// and what their growth there gained, explain. Healthy models read within their training length stay within 0.1.
const ENTROPY_EXCESS_MARGIN: f64 = 0.2;
/// Sampled queries in a running mean.
const RUN: usize = 5;
/// Distance from which a start token counts as in a region of its own, in units of the spread of the others.
const START_APART: f64 = 3.0;

/// The three factors of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factors {
    /// Factor 1: unseen distances.
    pub logits: LogitFactor,
    /// Factor 2: unseen number of tokens.
    pub entropy: EntropyFactor,
    /// Factor 3: start tokens and the regions of features.
    pub drift: DriftFactor,
}

/// Factor 1. Broken if at least 10 % of the heads have, at distances beyond the training length, a logit more than 1.0
/// above their largest within it, be it on start tokens or on other keys (each compared with its own kind); or if a logit is
/// NaN or +inf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitFactor {
    /// The rule above.
    pub broke: bool,
    /// The rule above, in one word.
    #[serde(default)]
    pub outcome: Outcome,
    /// Distance, in tokens, from which it holds; where a query at a smaller position has a logit that is not finite, that
    /// position.
    pub at: Option<u64>,
    /// In words.
    pub verdict: String,
    /// Mean over heads of the largest logit within the training length, on those keys that rise more; `None` where a logit
    /// is not finite.
    pub inside: Option<f64>,
    /// The same beyond it.
    pub outside: Option<f64>,
    /// Heads that attended on both sides, and all of whose logits are finite.
    pub heads: usize,
    /// Heads that exceed.
    pub heads_exceeding: usize,
    /// Heads that exceed on start tokens.
    pub heads_exceeding_on_start: usize,
    /// The head that exceeds most.
    pub largest: Option<HeadExcess>,
    /// Logits of sampled queries that were NaN or +inf.
    pub non_finite: u64,
    /// Queries, of all positions, layers and heads, with such a logit.
    #[serde(default)]
    pub non_finite_queries: u64,
    /// The first position of one.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
}

/// Factor 2. Over sampled queries beyond the training length, the entropy with all keys above that of the same query with as
/// many keys as in training, less what doublings of the keys gained within it (mean over heads;
/// [`EntropyExcess`]). It fails if the 95 % interval of the mean lies above 0.2 nats
/// (attention is spread over a fifth more keys), holds if it lies below; an entropy that is not finite fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntropyFactor {
    /// The rule above.
    pub broke: bool,
    /// The rule above, in one word.
    #[serde(default)]
    pub outcome: Outcome,
    /// Position, in tokens, of the sampled query from which it fails.
    pub at: Option<u64>,
    /// In words.
    pub verdict: String,
    /// Mean excess of the entropy, in nats; `None` with fewer than 8 queries beyond the training length.
    #[serde(default)]
    pub effect: Option<f64>,
    /// Its 95 % interval.
    #[serde(default)]
    pub interval: Option<[f64; 2]>,
    /// Queries in the mean.
    #[serde(default)]
    pub n: usize,
    /// Where it fails: the query from which it does, to the end of the text, and the sampled query before it.
    #[serde(default)]
    pub onset: Option<TokenOnset>,
    /// Largest mean entropy on both sides, in nats.
    pub growth: Option<EntropyGrowth>,
    /// Mean probability on the start tokens at the end of the training length (or of the text).
    pub start_mass: Option<f64>,
    /// Queries, of all layers and heads, whose entropy is not finite.
    #[serde(default)]
    pub non_finite: u64,
    /// The first position of one.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
}

/// Factor 3. Broken if start tokens have a region of their own (one of them 3 times the spread of the others away, after
/// some block) and the policy drops them, or if most hidden states leave the region that they had within the training length;
/// or if a hidden state is not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftFactor {
    /// The rule above.
    pub broke: bool,
    /// The rule above, in one word.
    #[serde(default)]
    pub outcome: Outcome,
    /// Position, in tokens, from which it holds.
    pub at: Option<u64>,
    /// In words.
    pub verdict: String,
    /// Distance of the farthest start token to the others, largest over layers, in units of their spread. The embedding
    /// does not count: there, a distance is the token's and not the position's.
    pub start_distance: Option<f64>,
    /// Blocks passed where it is so far.
    pub start_layer: Option<usize>,
    /// Distance of the mean of all start tokens there.
    pub start_mean_distance: Option<f64>,
    /// Position from which queries no longer see the start tokens.
    pub start_dropped_at: Option<u64>,
    /// Largest share, over layers, of states beyond the training length that left their region.
    pub outside_share: Option<f64>,
    /// First position from which most states lie outside, over layers.
    pub leaves_at: Option<u64>,
    /// Sampled hidden states, of all sites, that are not finite.
    #[serde(default)]
    pub non_finite: u64,
    /// The first sampled position of one.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
}

impl LogitFactor {
    pub(super) fn new(
        logits: &LogitsByDistance,
        on_start: &LogitsByDistance,
        by_length: &LogitsByLength,
        trained_length: u64,
    ) -> Self {
        let (sampled, queries) =
            (NonFinite::total(&[logits.non_finite(), on_start.non_finite()]), by_length.non_finite());
        let non_finite = NonFinite::total(&[sampled, queries]);
        let start = on_start.excess(trained_length, LOGIT_MARGIN);
        let heads_exceeding_on_start = start.iter().filter(|head| head.exceeds_from.is_some()).count();
        let heads = rising_more(start.into_iter().chain(logits.excess(trained_length, LOGIT_MARGIN)));
        let mean = |of: fn(&HeadExcess) -> f32| {
            (!heads.is_empty())
                .then(|| heads.iter().map(|h| f64::from(of(h))).sum::<f64>() / heads.len() as f64)
        };
        let mut from: Vec<u64> = heads.iter().filter_map(|head| head.exceeds_from).collect();
        from.sort_unstable();
        let needed = ((heads.len() as f64 * LOGIT_SHARE).ceil() as usize).max(1);
        let at = from.get(needed - 1).copied();
        let largest =
            heads.iter().copied().max_by(|a, b| (a.outside - a.inside).total_cmp(&(b.outside - b.inside)));
        // Of the heads that are finite alone they would pass over the others.
        let known = |value: Option<f64>| value.filter(|_| !non_finite.any());
        let (inside, outside) = (known(mean(|h| h.inside)), known(mean(|h| h.outside)));
        let verdict = match (inside, outside, largest) {
            _ if non_finite.any() => {
                let before = at.filter(|&at| non_finite.first.is_some_and(|first| at < first));
                format!(
                    "{}: {} queries (over all layers and heads) have a logit that is NaN or +inf, {} logits of sampled \
                     ones{}",
                    not_finite_from("position", non_finite.first),
                    grouped(queries.count),
                    grouped(sampled.count),
                    before.map_or(String::new(), |at| format!(
                        "; broken before, from distance {}",
                        grouped(at)
                    )),
                )
            }
            (Some(inside), Some(outside), Some(top)) => format!(
                "{}: {} of {} heads ({heads_exceeding_on_start} on start tokens) exceed their largest logit within the \
                 training length by more than {LOGIT_MARGIN:.1}{}; \
                 mean of the maxima {inside:.1} within, {outside:.1} beyond; largest rise {:+.1} (layer {}, head {})",
                if at.is_some() { "broken" } else { "holds" },
                from.len(),
                heads.len(),
                at.map_or(String::new(), |at| format!(", {needed} of them from distance {}", grouped(at))),
                rise(&top),
                top.layer,
                top.head,
            ),
            _ => "holds: no key beyond the training length is attended".to_owned(),
        };
        Self {
            broke: at.is_some() || non_finite.any(),
            outcome: Outcome::of(at.is_some(), non_finite),
            at: at.into_iter().chain(non_finite.first).min(),
            verdict,
            inside,
            outside,
            heads: heads.len(),
            heads_exceeding: from.len(),
            heads_exceeding_on_start,
            largest,
            non_finite: sampled.count,
            non_finite_queries: queries.count,
            first_non_finite: non_finite.first,
        }
    }
}

fn rise(head: &HeadExcess) -> f32 {
    head.outside - head.inside
}

/// One entry per head: the one that rises more, from the first distance of any.
fn rising_more(all: impl Iterator<Item = HeadExcess>) -> Vec<HeadExcess> {
    let mut heads: BTreeMap<(usize, usize), HeadExcess> = BTreeMap::new();
    for new in all {
        let head = heads.entry((new.layer, new.head)).or_insert(new);
        let exceeds_from = [head.exceeds_from, new.exceeds_from].into_iter().flatten().min();
        let more = if rise(&new) > rise(head) { new } else { *head };
        *head = HeadExcess { exceeds_from, ..more };
    }
    heads.into_values().collect()
}

impl EntropyFactor {
    pub(super) fn new(
        entropy: &BandCurve,
        start_mass: &BandCurve,
        excess: &EntropyExcess,
        non_finite: NonFinite,
        trained_length: u64,
    ) -> Self {
        let growth = entropy::growth(entropy, trained_length, ENTROPY_MARGIN);
        let (positions, values): (Vec<u64>, Vec<f64>) = excess.over_heads().into_iter().unzip();
        let effect = MeanEffect::around_trend(&values, SEED).filter(|_| !non_finite.any());
        let decision = effect.map(|effect| Verdict::new(effect, ENTROPY_EXCESS_MARGIN).decision);
        let outcome = match decision {
            _ if non_finite.any() => Outcome::NotFinite,
            None => Outcome::Undecided,
            Some(decision) => decision.into(),
        };
        let onset = (outcome == Outcome::Fails).then(|| onset(&positions, &values)).flatten();
        let verdict = match effect {
            _ if non_finite.any() => format!(
                "{}: {} queries (over all layers and heads) have no entropy",
                not_finite_from("position", non_finite.first),
                grouped(non_finite.count)
            ),
            None => "undecided: too few sampled queries lie beyond the training length".to_owned(),
            Some(effect) => format!(
                "{outcome}: {:+.2} nats ({:+.2} to {:+.2}, n = {} queries) above as many keys as in training and their growth \
                 there, mean over heads; the margin is {ENTROPY_EXCESS_MARGIN}{}",
                effect.mean,
                effect.low,
                effect.high,
                effect.n,
                onset.map_or(String::new(), |onset| {
                    let [low, high] = onset.interval.map(grouped);
                    format!("; begins at position {} ({low} to {high})", grouped(onset.at))
                }),
            ),
        };
        let known = start_mass.not_finite_from.is_none_or(|from| from >= trained_length);
        let inside = start_mass.points().take_while(|&(x, ..)| x < trained_length as f64);
        let at = onset.map(|onset| onset.at).or(non_finite.first);
        Self {
            broke: matches!(outcome, Outcome::Fails | Outcome::NotFinite),
            outcome,
            at,
            verdict,
            effect: effect.map(|effect| effect.mean),
            interval: effect.map(|effect| [effect.low, effect.high]),
            n: effect.map_or(0, |effect| effect.n),
            onset,
            growth,
            start_mass: inside.last().filter(|_| known).map(|(_, mean, _)| mean),
            non_finite: non_finite.count,
            first_non_finite: non_finite.first,
        }
    }
}

/// The query from which `values`, in running means of [`RUN`], stay above the margin to the end; between the query before it
/// and this one they begin to.
fn onset(positions: &[u64], values: &[f64]) -> Option<TokenOnset> {
    let below = |run: &[f64]| run.iter().sum::<f64>() / run.len() as f64 <= ENTROPY_EXCESS_MARGIN;
    let mut runs = values.windows(RUN.min(values.len()).max(1));
    let first = runs.rposition(below).map_or(0, |last| last + 1);
    let at = *positions.get(first)?;
    Some(TokenOnset { at, interval: [first.checked_sub(1).map_or(at, |before| positions[before]), at] })
}

impl DriftFactor {
    pub(super) fn new(
        sites: &[SiteDrift],
        policy: &AttentionPolicy,
        non_finite: NonFinite,
        tokens: u64,
    ) -> Self {
        let farthest = sites
            .iter()
            .filter(|site| site.layer > 0)
            .filter_map(|site| Some((site.farthest_start?, site)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let apart = farthest.is_some_and(|(distance, _)| distance > START_APART);
        // Query i sees key 0 through the window up to i = window − 1.
        let dropped = policy.window.filter(|&window| policy.start == 0 && window < tokens);
        let leaves_at = sites.iter().filter_map(|site| site.leaves_at).min();
        let outside_share = sites.iter().filter_map(|site| site.outside_share).reduce(f64::max);
        let at = [dropped.filter(|_| apart), leaves_at].into_iter().flatten().min();
        let start = match farthest {
            None => "start tokens not measured (too few states within the training length)".to_owned(),
            Some((distance, site)) => format!(
                "start tokens lie up to {distance:.1}× the spread of the others away (after block {}){}",
                site.layer,
                match (dropped, apart) {
                    (Some(position), _) => format!(" and are dropped from position {}", grouped(position)),
                    (None, true) => " and stay attended".to_owned(),
                    (None, false) => ": no region of their own".to_owned(),
                }
            ),
        };
        let left = match (leaves_at, outside_share) {
            (Some(position), _) => {
                format!("; most later states leave their region from position {}", grouped(position))
            }
            (None, Some(share)) => {
                format!("; later states stay in their region ({:.0} % outside)", share * 100.0)
            }
            (None, None) => String::new(),
        };
        let outcome = match (farthest, outside_share) {
            (None, None) if at.is_none() && !non_finite.any() => Outcome::Undecided,
            _ => Outcome::of(at.is_some(), non_finite),
        };
        let verdict = match outcome {
            Outcome::NotFinite => format!(
                "{}: {} sampled hidden states (over all layers) are NaN or infinite; {start}{left}",
                not_finite_from("position", non_finite.first),
                grouped(non_finite.count)
            ),
            Outcome::Undecided => format!("undecided: {start}"),
            _ => format!("{}: {start}{left}", if at.is_some() { "broken" } else { "holds" }),
        };
        Self {
            broke: at.is_some() || non_finite.any(),
            outcome,
            at: at.into_iter().chain(non_finite.first).min(),
            verdict,
            start_distance: farthest.map(|(distance, _)| distance),
            start_layer: farthest.map(|(_, site)| site.layer),
            start_mean_distance: farthest.and_then(|(_, site)| site.start_distance),
            start_dropped_at: dropped,
            outside_share,
            leaves_at,
            non_finite: non_finite.count,
            first_non_finite: non_finite.first,
        }
    }
}

impl Factors {
    /// The factors that broke, first to last, against the first break of the loss, known to `tolerance` tokens.
    pub fn order(&self, loss: Option<u64>, tolerance: u64) -> BreakOrder {
        let at = [
            (Factor::Logits, self.logits.at),
            (Factor::Entropy, self.entropy.at),
            (Factor::Drift, self.drift.at),
        ];
        BreakOrder::new(at, loss, tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_begins_to_fail_where_it_stays_above_the_margin() {
        let positions: Vec<u64> = (0..20).map(|at| 256 + 16 * at).collect();
        let rising: Vec<f64> = (0..20).map(|at| f64::from(at) * 0.05).collect();
        // Means of 5: that of the queries 2 to 6 is 0.2.
        let found = onset(&positions, &rising).expect("queries");
        assert_eq!((found.at, found.interval), (256 + 16 * 3, [256 + 16 * 2, 256 + 16 * 3]));
        assert_eq!(onset(&positions, &[1.0; 20]).map(|found| found.interval), Some([256, 256]));
        assert_eq!(onset(&[], &[]), None);
    }
}
