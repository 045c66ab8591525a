//! Factor 2: does an unseen number of keys spread attention?

use lm_infinite_analysis::NonFinite;
use lm_infinite_analysis::curve::BandCurve;
use lm_infinite_analysis::effect::{MeanEffect, Verdict};
use lm_infinite_analysis::entropy::{self, EntropyExcess, EntropyGrowth};
use serde::{Deserialize, Serialize};

use super::super::head_effects::stays_above;
use super::super::onset::TokenOnset;
use super::super::outcome::{Outcome, SEED};
use super::verdict::FactorVerdict;
use crate::words::{grouped, not_finite_from};

/// Excess of the entropy that fails, in nats: a fifth more keys share the attention than numbers of keys like those of training,
/// and what their growth there gained, explain. Healthy models read within their training length stay within 0.1.
pub(crate) const ENTROPY_FACTOR_MARGIN: f64 = 0.2;

/// Factor 2. Over sampled queries beyond the training length, the entropy with all keys above that of the same query with as
/// many keys as in training, less what doublings of the keys gained within it (mean over heads;
/// [`EntropyExcess`]). It fails if the 95 % interval of the mean lies above 0.2 nats
/// (attention is spread over a fifth more keys), holds if it lies below; an entropy that is not finite fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntropyFactor {
    /// The rule above. Its effect is the mean excess of the entropy, in nats, `None` with fewer than 8 queries beyond the training
    /// length; its onset the query from which it fails, to the end of the text, and the sampled query before it; what is not finite
    /// are entropies of queries, of all layers and heads.
    #[serde(flatten)]
    pub verdict: FactorVerdict,
    /// Queries in the mean.
    #[serde(default)]
    pub n: usize,
    /// Largest mean entropy on both sides, in nats.
    pub growth: Option<EntropyGrowth>,
    /// Mean probability on the start tokens at the end of the training length (or of the text).
    pub start_mass: Option<f64>,
}

impl EntropyFactor {
    pub(in super::super) fn new(
        entropy: &BandCurve,
        start_mass: &BandCurve,
        excess: &EntropyExcess,
        non_finite: NonFinite,
        trained_length: u64,
    ) -> Self {
        let growth = entropy::growth(entropy, trained_length);
        let over_heads = excess.over_heads();
        let values: Vec<f64> = over_heads.iter().map(|(_, value)| *value).collect();
        let effect = MeanEffect::around_trend(&values, SEED).filter(|_| !non_finite.any());
        let outcome = match effect.map(|effect| Verdict::new(effect, ENTROPY_FACTOR_MARGIN).decision) {
            _ if non_finite.any() => Outcome::NotFinite,
            None => Outcome::Undecided,
            Some(decision) => decision.into(),
        };
        let onset = stays_above(&over_heads, ENTROPY_FACTOR_MARGIN).filter(|_| outcome == Outcome::Fails);
        let onset = onset.map(|[before, at]| TokenOnset { at, interval: [before, at] });
        let words = match effect {
            _ if non_finite.any() => format!(
                "{}: {} queries (over all layers and heads) have no entropy",
                not_finite_from("position", non_finite.first),
                grouped(non_finite.count)
            ),
            None => "undecided: too few sampled queries lie beyond the training length".to_owned(),
            Some(MeanEffect { mean, low, high, n, .. }) => format!(
                "{outcome}: {mean:+.2} nats ({low:+.2} to {high:+.2}, n = {n} queries) above as many keys as in training and \
                 their growth there, mean over heads; the margin is {ENTROPY_FACTOR_MARGIN}{}",
                onset.map_or(String::new(), |onset| onset.words()),
            ),
        };
        let known = start_mass.not_finite_from.is_none_or(|from| from >= trained_length);
        let inside = start_mass.points().take_while(|&(x, ..)| x < trained_length as f64);
        Self {
            verdict: FactorVerdict {
                words,
                effect: effect.map(|effect| effect.mean),
                interval: effect.map(|effect| [effect.low, effect.high]),
                ..FactorVerdict::new(outcome, onset, non_finite)
            },
            n: effect.map_or(0, |effect| effect.n),
            growth,
            start_mass: inside.last().filter(|_| known).map(|(_, mean, _)| mean),
        }
    }
}
