//! What was predicted, by the rules of a diagnosis.

use std::ops::Range;

use lm_infinite_analysis::BandCurve;
use lm_infinite_analysis::NonFinite;
use lm_infinite_analysis::effect::{MeanEffect, Verdict};
use lm_infinite_runtime::model::ModelConfig;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::watch::Watch;
use crate::diagnose::{
    ENTROPY_FACTOR_MARGIN, HEAD_ENTROPY_MARGIN, HEAD_LOGIT_MARGIN, HeadEffect, Outcome, SEED, TokenOnset,
    effects, heads_needed, stays_above,
};
use crate::error::Result;

/// What was read at every length.
pub(super) struct Observed {
    pub config: ModelConfig,
    /// The training length first.
    pub lengths: Vec<u64>,
    pub windows: usize,
    pub body: usize,
    pub margin: f64,
    /// By length: losses of the same tokens, in nats.
    pub losses: Vec<Vec<f32>>,
    /// By length: where the queries stand that were looked at.
    pub looked_at: Vec<Range<u64>>,
    /// One per window.
    pub watches: Vec<Watch>,
}

/// What a model will do beyond its training length; written as `predicted.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// L_pretrain, and the longest window that was read.
    pub trained_length: u64,
    /// The longest length.
    pub length: u64,
    /// Windows of the training length.
    pub windows: usize,
    /// Tokens of each that were read at every length.
    pub body: usize,
    /// A loss fails that rises by more than this, in nats.
    pub margin: f64,
    /// What becomes of the loss. It fails if the 95 % interval of its rise lies above the margin at some length, and holds if it
    /// lies below at every one.
    pub outcome: Outcome,
    /// The first length at which it fails. The interval begins at the last length before its rise may lie above the margin.
    pub onset: Option<TokenOnset>,
    /// Losses that are NaN or infinite, by the length at which they were read.
    pub non_finite: NonFinite,
    /// Every length.
    pub lengths: Vec<AtLength>,
    /// What becomes of the logits: by the rule of the factor in a diagnosis.
    pub logits: Outcome,
    /// The first length at which they leave what training showed.
    pub logits_at: Option<u64>,
    /// What becomes of the entropy, likewise.
    pub entropy: Outcome,
    /// Its mean excess over heads and lengths, in nats.
    pub entropy_effect: Option<MeanEffect>,
    /// The first length at which it does.
    pub entropy_at: Option<u64>,
    /// Prefix maximum of the logit against distance, mean over heads, on keys after the start tokens; at each length of the queries of one
    /// window, so that the maximum is one over about as many as in a diagnosis.
    pub logits_by_distance: BandCurve,
    /// Every head, by layer.
    pub heads: Vec<PredictedHead>,
}

/// At one length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtLength {
    /// Tokens of the context.
    pub length: u64,
    /// What the same tokens cost more than at the training length, in nats; `None` where one is not finite.
    pub loss: Option<MeanEffect>,
    /// Entropy of a row, mean over heads, in nats.
    pub entropy: Option<MeanEffect>,
    /// The same above that of as many keys as in training and their growth there.
    pub entropy_excess: Option<MeanEffect>,
}

/// One head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedHead {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// What unseen distances add to the logits of keys after the start tokens, over all lengths.
    pub logits: Option<HeadEffect>,
    /// To those of start tokens.
    pub logits_on_start: Option<HeadEffect>,
    /// What unseen numbers of keys add to the entropy, in nats.
    pub entropy: Option<HeadEffect>,
    /// The three at every length beyond the training length.
    pub lengths: Vec<HeadAtLength>,
}

/// One head at one length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadAtLength {
    /// Tokens of the context.
    pub length: u64,
    /// As in [`PredictedHead`].
    pub logits: Option<MeanEffect>,
    /// As in [`PredictedHead`].
    pub logits_on_start: Option<MeanEffect>,
    /// As in [`PredictedHead`].
    pub entropy: Option<MeanEffect>,
}

impl PredictedHead {
    /// Whether its logits leave what training showed.
    pub fn logits_exceed(&self) -> bool {
        [self.logits, self.logits_on_start].iter().flatten().any(|effect| effect.exceeds)
    }

    /// Whether its entropy does.
    pub fn entropy_exceeds(&self) -> bool {
        self.entropy.is_some_and(|effect| effect.exceeds)
    }

    /// The larger excess of its logits, on start tokens or on other keys.
    pub fn largest_logit_excess(&self) -> Option<f64> {
        [self.logits, self.logits_on_start].iter().flatten().map(|effect| effect.effect.mean).reduce(f64::max)
    }
}

/// Values of sampled queries in order of position, those of all windows together.
type Series = Vec<(u64, f64)>;

impl Predicted {
    pub(super) fn new(observed: Observed) -> Result<Self> {
        let Observed { config, lengths, windows, body, margin, losses, looked_at, watches } = observed;
        for watch in &watches {
            watch.check()?;
        }
        let trained = config.trained_length;
        let within = |series: &Series, range: &Range<u64>| -> Vec<f64> {
            series.iter().filter(|(at, _)| range.contains(at)).map(|&(_, value)| value).collect()
        };
        let mean = |values: &[f64]| MeanEffect::of(values, SEED);
        let over_heads = joined(watches.iter().map(|watch| watch.entropy.over_heads()));
        let mut non_finite = NonFinite::default();
        let mut all = Vec::new();
        for ((&length, losses_here), range) in lengths.iter().zip(&losses).zip(&looked_at) {
            non_finite.note(length, losses_here.iter().filter(|loss| !loss.is_finite()).count() as u64);
            let excess: Vec<f64> =
                losses_here.iter().zip(&losses[0]).map(|(loss, within)| f64::from(loss - within)).collect();
            let entropies: Vec<f64> =
                watches.iter().flat_map(|watch| watch.entropies(range.clone())).collect();
            all.push(AtLength {
                length,
                loss: mean(&excess),
                entropy: mean(&entropies),
                entropy_excess: mean(&within(&over_heads, range)),
            });
        }
        let (outcome, onset) = verdict(&all, margin, non_finite);

        let by_head = |of: &dyn Fn(&Watch) -> Vec<Series>| -> Vec<Series> {
            let each: Vec<Vec<Series>> = watches.iter().map(of).collect();
            let head = |at: usize| joined(each.iter().map(|window| window[at].clone()));
            (0..config.layers * config.heads).map(head).collect()
        };
        let logits = [false, true].map(|on_start| by_head(&|watch| watch.unseen.by_head(on_start)));
        let entropy = by_head(&|watch| watch.entropy.by_head());
        let mut logit_effects = effects(&logits.concat(), HEAD_LOGIT_MARGIN);
        let on_start_effects = logit_effects.split_off(config.layers * config.heads);
        let entropy_effects = effects(&entropy, HEAD_ENTROPY_MARGIN);
        let head = |at: usize| {
            let at_length = |(&length, range): (&u64, &Range<u64>)| HeadAtLength {
                length,
                logits: mean(&within(&logits[0][at], range)),
                logits_on_start: mean(&within(&logits[1][at], range)),
                entropy: mean(&within(&entropy[at], range)),
            };
            PredictedHead {
                layer: at / config.heads,
                head: at % config.heads,
                logits: logit_effects[at],
                logits_on_start: on_start_effects[at],
                entropy: entropy_effects[at],
                lengths: lengths.iter().zip(&looked_at).skip(1).map(at_length).collect(),
            }
        };
        let heads: Vec<PredictedHead> = (0..config.layers * config.heads).into_par_iter().map(head).collect();
        let broken =
            NonFinite::total(&watches.iter().map(|watch| watch.unseen.non_finite()).collect::<Vec<_>>());
        let (logits, logits_at) = logit_verdict(&heads, broken);
        let broken =
            NonFinite::total(&watches.iter().map(|watch| watch.entropy.non_finite()).collect::<Vec<_>>());
        let (entropy, entropy_effect, entropy_at) = entropy_verdict(&over_heads, broken);
        let mut by_distance = watches[0].logits.clone();
        for watch in &watches[1..] {
            by_distance.merge(&watch.logits)?;
        }
        Ok(Self {
            trained_length: trained,
            length: lengths[lengths.len() - 1],
            windows,
            body,
            margin,
            outcome,
            onset,
            non_finite,
            lengths: all,
            logits,
            logits_at,
            entropy,
            entropy_effect,
            entropy_at,
            logits_by_distance: by_distance.over_heads(),
            heads,
        })
    }

    /// The longest length, and what the loss does there.
    pub fn last(&self) -> Option<&AtLength> {
        self.lengths.last()
    }
}

/// Series of several windows as one, in order of position.
fn joined(windows: impl Iterator<Item = Series>) -> Series {
    let mut all: Series = windows.flatten().collect();
    all.sort_by_key(|&(at, _)| at);
    all
}

fn verdict(lengths: &[AtLength], margin: f64, non_finite: NonFinite) -> (Outcome, Option<TokenOnset>) {
    if non_finite.any() {
        return (Outcome::NotFinite, None);
    }
    let beyond = lengths.get(1..).unwrap_or_default();
    let effect =
        |at: &AtLength| at.loss.map_or([f64::NEG_INFINITY, f64::INFINITY], |loss| [loss.low, loss.high]);
    let Some(first) = beyond.iter().position(|at| effect(at)[0] > margin) else {
        let holds = !beyond.is_empty() && beyond.iter().all(|at| effect(at)[1] < margin);
        return (if holds { Outcome::Holds } else { Outcome::Undecided }, None);
    };
    // Lengths begin with the training length, so the one before the i-th beyond it is the i-th.
    let may = beyond.iter().position(|at| effect(at)[1] > margin).unwrap_or(first);
    let at = beyond[first].length;
    (Outcome::Fails, Some(TokenOnset { at, interval: [lengths[may].length, at] }))
}

fn logit_verdict(heads: &[PredictedHead], non_finite: NonFinite) -> (Outcome, Option<u64>) {
    let kinds =
        |head: &PredictedHead| [head.logits, head.logits_on_start].into_iter().flatten().collect::<Vec<_>>();
    let measured: Vec<Vec<HeadEffect>> = heads.iter().map(kinds).filter(|kinds| !kinds.is_empty()).collect();
    let count =
        |holds: fn(&HeadEffect) -> bool| measured.iter().filter(|kinds| kinds.iter().any(holds)).count();
    let needed = heads_needed(measured.len());
    let exceeding = || measured.iter().flatten().filter(|effect| effect.exceeds);
    if non_finite.any() {
        (Outcome::NotFinite, non_finite.first)
    } else if measured.is_empty() {
        (Outcome::Undecided, None)
    } else if count(|effect| effect.exceeds) >= needed {
        (Outcome::Fails, exceeding().filter_map(|effect| effect.from).min())
    } else if count(|effect| effect.exceeds || effect.may_exceed) < needed {
        (Outcome::Holds, None)
    } else {
        (Outcome::Undecided, None)
    }
}

fn entropy_verdict(series: &Series, non_finite: NonFinite) -> (Outcome, Option<MeanEffect>, Option<u64>) {
    let values: Vec<f64> = series.iter().map(|(_, value)| *value).collect();
    let effect = MeanEffect::around_trend(&values, SEED);
    let outcome = match effect.map(|effect| Verdict::new(effect, ENTROPY_FACTOR_MARGIN).decision) {
        _ if non_finite.any() => Outcome::NotFinite,
        None => Outcome::Undecided,
        Some(decision) => decision.into(),
    };
    let at = stays_above(series, ENTROPY_FACTOR_MARGIN).filter(|_| outcome == Outcome::Fails);
    (outcome, effect, at.map(|[_, at]| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(length: u64, low: f64, high: f64) -> AtLength {
        let loss = MeanEffect { mean: (low + high) / 2.0, low, high, n: 100, block: 1 };
        AtLength { length, loss: Some(loss), entropy: None, entropy_excess: None }
    }

    #[test]
    fn a_loss_fails_at_the_first_length_whose_interval_lies_above_the_margin() {
        let none = NonFinite::default();
        let rising =
            [at(100, 0.0, 0.0), at(120, -0.1, 0.1), at(140, 0.1, 0.3), at(160, 0.3, 0.5), at(200, 0.1, 0.3)];
        let onset = TokenOnset { at: 160, interval: [120, 160] };
        assert_eq!(verdict(&rising, 0.2, none), (Outcome::Fails, Some(onset)));
        assert_eq!(verdict(&rising[..2], 0.2, none), (Outcome::Holds, None));
        assert_eq!(verdict(&rising[..3], 0.2, none), (Outcome::Undecided, None));
        assert_eq!(verdict(&rising[..1], 0.2, none), (Outcome::Undecided, None));
        let lost = NonFinite { count: 1, first: Some(120) };
        assert_eq!(verdict(&rising, 0.2, lost), (Outcome::NotFinite, None));
        let unknown = AtLength { loss: None, ..rising[1] };
        assert_eq!(verdict(&[rising[0], unknown], 0.2, none), (Outcome::Undecided, None));
    }

    #[test]
    fn an_entropy_fails_by_the_rule_of_the_diagnosis() {
        let series = |height: f64| (0..40).map(|at| (300 + at, height + 0.01 * (at % 3) as f64)).collect();
        let none = NonFinite::default();
        assert_eq!(entropy_verdict(&series(0.0), none).0, Outcome::Holds);
        let (outcome, effect, at) = entropy_verdict(&series(0.5), none);
        assert_eq!((outcome, at), (Outcome::Fails, Some(300)));
        assert!(effect.is_some_and(|effect| (effect.mean - 0.51).abs() < 0.01));
        assert_eq!(entropy_verdict(&Series::new(), none).0, Outcome::Undecided);
        let lost = NonFinite { count: 1, first: Some(300) };
        assert_eq!(entropy_verdict(&series(0.0), lost).0, Outcome::NotFinite);
    }

    #[test]
    fn windows_are_joined_by_position() {
        let windows = [vec![(3, 0.1), (9, 0.2)], vec![(3, 0.3), (7, 0.4)]];
        assert_eq!(joined(windows.into_iter()), [(3, 0.1), (3, 0.3), (7, 0.4), (9, 0.2)]);
    }
}
