//! Number of keys by its other remedy: the temperature keeps every key and makes queries grow with ln n, where the Λ mask leaves
//! keys out. What it restores of what the mask restores is due to how many keys there are; the rest to which they are.

use std::sync::Arc;

use lm_infinite_analysis::causes::{Cause, CauseSet, PairedMeans, Share};
use lm_infinite_analysis::effect::MeanEffect;
use lm_infinite_runtime::policy::PolicySpec;
use lm_infinite_runtime::session::Decoder;
use serde::{Deserialize, Serialize};

use super::factorial::{CauseRuns, behind};
use super::restored::SEED;
use crate::error::Result;
use crate::evaluate::evaluate;

/// The loss with distances clamped and all keys, with a temperature and without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemperatureRemedy {
    /// The policy that has it.
    pub policy: String,
    /// What it takes from the loss of `ceiling`, in nats per token.
    pub restored: MeanEffect,
    /// What `lm-infinite`, which leaves keys out, takes from it.
    pub fewer_keys: MeanEffect,
    /// The first as a part of the second; `None` unless the second is surely above 0.
    pub share: Option<Share>,
}

impl TemperatureRemedy {
    /// Runs `ceiling+temperature` over `tokens`, those of `runs`. `None` where a loss is not finite, or of too few tokens.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn measure(
        decoder: &Arc<Decoder>,
        tokens: &[u32],
        runs: &CauseRuns,
        progress: &dyn Fn(u64),
    ) -> Result<Option<Self>> {
        let spec = PolicySpec::parse("ceiling+temperature", runs.trained_length())?;
        let losses = evaluate(decoder, &spec.policy, tokens, None, progress)?.nll;
        let (all, fewer) = (CauseSet::of(&[Cause::Keys]), CauseSet::NONE);
        let changed = behind(&losses, runs.from());
        Ok(Self::new(spec.label, [runs.compared(all), runs.compared(fewer), changed]))
    }

    /// Of losses over the same tokens: all keys, fewer keys, all keys with the temperature.
    fn new(policy: String, losses: [&[f32]; 3]) -> Option<Self> {
        let means = PairedMeans::new(&losses, SEED)?;
        let (fewer_keys, restored) = ([1.0, -1.0, 0.0], [1.0, 0.0, -1.0]);
        Some(Self {
            policy,
            restored: means.contrast(&restored),
            fewer_keys: means.contrast(&fewer_keys),
            share: means.share(&restored, &fewer_keys),
        })
    }

    /// In a sentence.
    pub fn words(&self) -> String {
        let nats = |effect: &MeanEffect| {
            format!("{:+.2} nats ({:.2} to {:.2})", -effect.mean, -effect.high, -effect.low)
        };
        let what = match self.share {
            Some(share) => format!(
                ", {share} of what leaving keys out does ({}): so much is due to how many keys there are, the rest to which",
                nats(&self.fewer_keys)
            ),
            None => {
                format!("; leaving keys out does not surely lower it either ({})", nats(&self.fewer_keys))
            }
        };
        format!(
            "with distances clamped and every key kept, a temperature of ln n changes the loss by {}{what}",
            nats(&self.restored)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_part_of_what_fewer_keys_restore() {
        let noise: Vec<f32> = (0..200).map(|at| ((at * 37) % 19) as f32 / 19.0).collect();
        let plus = |rise: f32| -> Vec<f32> { noise.iter().map(|x| x + rise).collect() };
        let (all, fewer) = (plus(1.0), plus(0.0));
        let remedy = |temperature: &[f32]| TemperatureRemedy::new("p".into(), [&all, &fewer, temperature]);
        let half = remedy(&plus(0.5)).expect("finite");
        assert!((half.share.expect("a rise").share - 0.5).abs() < 1e-6);
        assert!(
            half.words().contains("changes the loss by −0.50") || half.words().contains("by -0.50"),
            "{}",
            half.words()
        );
        assert!(remedy(&plus(f32::NAN)).is_none());
        let nothing = TemperatureRemedy::new("p".into(), [&all, &all, &all]).expect("finite");
        assert_eq!(nothing.share, None);
        assert!(nothing.words().contains("does not surely lower"), "{}", nothing.words());
    }
}
