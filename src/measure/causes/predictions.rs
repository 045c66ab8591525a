//! Whether what a diagnosis measures of a head predicts what the fix in that head restores: the paper's three explanations, tested.

use lm_infinite_analysis::causes::RankCorrelation;
use serde::{Deserialize, Serialize};

use super::places::HeadEffect;
use super::restored::SEED;

/// What was measured of one head of the model as it is. `None` where there is nothing to take it from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredHead {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// How far its logits rise beyond the training length.
    pub logit_excess: Option<f64>,
    /// How far its entropy rises, in nats.
    pub entropy_excess: Option<f64>,
    /// Probability on the start tokens.
    pub start_mass: Option<f64>,
}

/// The rank correlation of one measured quantity with the restored loss, over heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// `logit excess`, `entropy excess` or `start mass`.
    pub quantity: String,
    /// `None` with too few heads, or heads that do not differ.
    pub correlation: Option<RankCorrelation>,
}

/// A quantity of a head.
type Quantity = (&'static str, fn(&MeasuredHead) -> Option<f64>);

/// Rank correlations over heads with what the fix in the head alone restores, in nats; heads without a value are left out.
pub fn predictions(heads: &[HeadEffect], measured: &[MeasuredHead]) -> Vec<Prediction> {
    const QUANTITIES: [Quantity; 3] = [
        ("logit excess", |head| head.logit_excess),
        ("entropy excess", |head| head.entropy_excess),
        ("start mass", |head| head.start_mass),
    ];
    let of = |(quantity, value): Quantity| {
        let pair = |effect: &HeadEffect| {
            let same = |head: &&MeasuredHead| (head.layer, head.head) == (effect.layer, effect.head);
            Some((value(measured.iter().find(same)?)?, effect.restored?.nats.mean))
        };
        let pairs: Vec<_> = heads.iter().filter_map(pair).collect();
        Prediction { quantity: quantity.to_owned(), correlation: RankCorrelation::of(&pairs, SEED) }
    };
    QUANTITIES.map(of).to_vec()
}

#[cfg(test)]
mod tests {
    use lm_infinite_analysis::causes::Share;
    use lm_infinite_analysis::effect::MeanEffect;

    use super::*;
    use crate::causes::Restored;

    #[test]
    fn heads_are_matched_by_their_place() {
        let effect = |at: usize| {
            let mean = at as f64 / 10.0;
            let nats = MeanEffect { mean, low: mean, high: mean, n: 100, block: 1 };
            let share = Share { share: mean, interval: [mean; 2] };
            HeadEffect { layer: at / 3, head: at % 3, restored: Some(Restored { nats, share }) }
        };
        let heads: Vec<_> = (0..12).map(effect).collect();
        let measure = |at: usize| MeasuredHead {
            layer: at / 3,
            head: at % 3,
            logit_excess: Some((at * at) as f64),
            entropy_excess: Some(-(at as f64)),
            start_mass: (at < 7).then_some(at as f64),
        };
        let measured: Vec<_> = (0..12).rev().map(measure).collect();
        let found = predictions(&heads, &measured);
        let rho = |at: usize| found[at].correlation.map(|found| (found.rho, found.n));
        assert_eq!([rho(0), rho(1)], [Some((1.0, 12)), Some((-1.0, 12))]);
        assert_eq!((rho(2), found[2].quantity.as_str()), (None, "start mass"));
    }
}
