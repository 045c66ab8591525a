//! How much of an excess loss an intervention takes away.

use lm_infinite_analysis::causes::{PairedMeans, Share};
use lm_infinite_analysis::effect::MeanEffect;
use serde::{Deserialize, Serialize};

/// Seed of the bootstrap: a share is the same each time it is asked for.
pub(super) const SEED: u64 = 0;

/// The part of an excess that an intervention takes away, over the same tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// Mean loss that it takes away, in nats per token.
    pub nats: MeanEffect,
    /// As a share of the excess.
    pub share: Share,
}

impl Restored {
    /// What goes from the losses `bad` to `changed`, as a part of what goes from `bad` to `good`; the same tokens in all three.
    /// `None` where the excess is not surely above 0, a loss is not finite, or there are fewer than 8 tokens.
    pub fn new(bad: &[f32], good: &[f32], changed: &[f32]) -> Option<Self> {
        Self::part(bad, good, changed, [1.0, 0.0, -1.0])
    }

    /// What goes from the losses `changed` to `good`, as a part of what goes from `bad` to `good`: what is lost again. As
    /// [`Self::new`] otherwise.
    pub fn lost(bad: &[f32], good: &[f32], changed: &[f32]) -> Option<Self> {
        Self::part(bad, good, changed, [0.0, -1.0, 1.0])
    }

    fn part(bad: &[f32], good: &[f32], changed: &[f32], part: [f64; 3]) -> Option<Self> {
        let means = PairedMeans::new(&[bad, good, changed], SEED)?;
        let share = means.share(&part, &[1.0, -1.0, 0.0])?;
        Some(Self { nats: means.contrast(&part), share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_part_of_the_excess() {
        let noise: Vec<f32> = (0..200).map(|at| ((at * 37) % 19) as f32 / 19.0).collect();
        let plus = |rise: f32| -> Vec<f32> { noise.iter().map(|x| x + rise).collect() };
        let restored = Restored::new(&plus(2.0), &plus(0.0), &plus(0.5)).expect("an excess");
        assert!((restored.share.share - 0.75).abs() < 1e-6 && (restored.nats.mean - 1.5).abs() < 1e-6);
        let lost = Restored::lost(&plus(2.0), &plus(0.0), &plus(0.5)).expect("an excess");
        assert!((lost.share.share - 0.25).abs() < 1e-6 && (lost.nats.mean - 0.5).abs() < 1e-6);
        assert_eq!(Restored::new(&plus(0.0), &plus(1.0), &plus(0.5)), None);
        assert_eq!(Restored::new(&plus(2.0), &plus(0.0), &plus(f32::NAN)), None);
    }
}
