//! What a policy costs beyond the training length: its loss against the same tokens within it.

use lm_infinite_analysis::effect::{Decision, MeanEffect, Onset, Verdict};
use lm_infinite_analysis::{NonFinite, nll::Break};
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use crate::words::grouped;

/// A loss fails if it rises by more than this, in nats per token: a perplexity that is 22 % higher. Texts that differ in
/// nothing but where they are cut differ by up to 0.15, because models read some texts worse the more of them they see.
pub const LOSS_MARGIN: f64 = 0.2;

/// Parts of the compared tokens, the last ones, that are looked at besides all of them: a half and a quarter.
const LATE: [usize; 2] = [2, 4];

/// A later part fails by itself if its interval, wider by this, lies above the margin: at a level of more than 99 %, so that
/// three looks together err as often as one.
const LATE_WIDER: f64 = 1.5;

/// Seed of every bootstrap: a verdict is the same each time it is asked for.
pub(crate) const SEED: u64 = 0;

/// The verdict on the loss of one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossVerdict {
    /// In one word.
    #[serde(default)]
    pub outcome: Outcome,
    /// Mean of what the tokens from [`LossVerdict::from`] on cost more than the same tokens within the training length, in nats,
    /// with its 95 % interval; `None` where there are too few, or one that is not finite.
    pub effect: Option<MeanEffect>,
    /// First token that is compared: where the policy may begin to differ; of a loss that fails late, the begin of the last half
    /// or quarter of these tokens.
    pub from: u64,
    /// Where it fails: the token from which it does, with a 95 % interval.
    pub onset: Option<TokenOnset>,
    /// Where nothing is decided: about how many tokens from [`LossVerdict::from`] on would decide it.
    pub tokens_needed: Option<u64>,
}

/// The token at which a loss changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenOnset {
    /// The first token behind the change.
    pub at: u64,
    /// 95 % interval.
    pub interval: [u64; 2],
}

impl TokenOnset {
    /// `; begins at position 368 (352 to 384)`, to go on with.
    pub(super) fn words(&self) -> String {
        let [low, high] = self.interval.map(grouped);
        format!("; begins at position {} ({low} to {high})", grouped(self.at))
    }

    /// Where `excess`, the differences of tokens 1..n that fail from token `from` on, begins to: the change of its mean; where
    /// what lies before the change fails too, the change of that, and so on.
    fn first(excess: &[f64], from: u64, margin: f64) -> Self {
        let token = |index: usize| (index as u64 + 1).max(from);
        let skipped = usize::try_from(from - 1).unwrap_or(usize::MAX);
        let mut onset = Self { at: from, interval: [from, from] };
        let mut end = excess.len();
        while let Some(change) = Onset::of(&excess[..end], SEED) {
            if change.after <= change.before {
                // It begins at once, and falls later.
                return Self { at: from, interval: [from, token(change.low)] };
            }
            onset = Self { at: token(change.at), interval: [token(change.low), token(change.high)] };
            let before = excess.get(skipped..change.at).unwrap_or_default();
            if MeanEffect::of(before, SEED).is_none_or(|effect| effect.low <= margin) {
                break;
            }
            end = change.at;
        }
        onset
    }
}

impl LossVerdict {
    /// The verdict on `excess`, the differences of tokens 1..n, from token `from` on.
    pub(super) fn new(
        excess: &[f64],
        from: u64,
        margin: f64,
        non_finite: NonFinite,
    ) -> (Self, Option<Break>) {
        let from = from.max(1);
        if non_finite.any() {
            let lost = non_finite.first.map(|position| Break { position, nll: None, threshold: margin });
            return (Self { outcome: Outcome::NotFinite, from, ..Self::default() }, lost);
        }
        let skipped = usize::try_from(from - 1).unwrap_or(usize::MAX);
        let compared = excess.get(skipped..).unwrap_or_default();
        let Some(effect) = MeanEffect::of(compared, SEED) else {
            return (Self { from, ..Self::default() }, None);
        };
        let mut verdict = Verdict::new(effect, margin);
        let mut begin = from;
        // A failure that comes late is a small part of the mean over all, and makes its interval wide.
        for part in LATE {
            let late = compared.len() - compared.len() / part;
            let Some(effect) = MeanEffect::of(&compared[late..], SEED) else { continue };
            if verdict.decision != Decision::Fails && effect.mean - LATE_WIDER * effect.half_width() > margin
            {
                (verdict, begin) = (Verdict::new(effect, margin), from + late as u64);
            }
        }
        let outcome = Outcome::from(verdict.decision);
        let onset = (outcome == Outcome::Fails).then(|| TokenOnset::first(excess, from, margin));
        let breaks = onset.map(|onset| {
            let behind = &excess[usize::try_from(onset.at - 1).unwrap_or(0).min(excess.len() - 1)..];
            let mean = behind.iter().sum::<f64>() / behind.len() as f64;
            Break { position: onset.at, nll: Some(mean), threshold: margin }
        });
        let tokens_needed = verdict.values_needed.map(|values| values as u64);
        (Self { outcome, effect: Some(verdict.effect), from: begin, onset, tokens_needed }, breaks)
    }

    /// In words, without what is not finite.
    pub fn words(&self, margin: f64) -> String {
        let Some(effect) = self.effect else {
            return format!("undecided: too few tokens can be compared from token {} on", grouped(self.from));
        };
        let above = format!(
            "{:+.2} nats ({:+.2} to {:+.2}, n = {}) against the same tokens within the training length, from token {} on",
            effect.mean,
            effect.low,
            effect.high,
            grouped(effect.n as u64),
            grouped(self.from),
        );
        match (self.outcome, self.onset, self.tokens_needed) {
            (Outcome::Fails, Some(onset), _) => {
                let [low, high] = onset.interval.map(grouped);
                format!("fails: {above}; begins at token {} ({low} to {high})", grouped(onset.at))
            }
            (Outcome::Undecided, _, Some(needed)) => {
                let needed = grouped(needed.next_multiple_of(1000));
                format!(
                    "undecided: {above}; the margin is {margin}, about {needed} tokens from there on would decide"
                )
            }
            (outcome, ..) => format!("{outcome}: {above}; the margin is {margin}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> Vec<f64> {
        (0..n).map(|at| ((at * 7919 % 1000) as f64 / 500.0 - 1.0) * 0.5).collect()
    }

    fn excess(from: usize, rise: f64) -> Vec<f64> {
        let mut values = noise(2000);
        values[from..].iter_mut().for_each(|value| *value += rise);
        values[..255].fill(0.0);
        values
    }

    #[test]
    fn a_rise_fails_where_it_begins_and_none_holds() {
        let (verdict, breaks) = LossVerdict::new(&excess(999, 1.0), 256, LOSS_MARGIN, NonFinite::default());
        let onset = verdict.onset.expect("it fails");
        assert_eq!((verdict.outcome, breaks.map(|at| at.position)), (Outcome::Fails, Some(onset.at)));
        assert!(
            onset.at.abs_diff(1000) < 20 && onset.interval[0] <= 1000 && 1000 <= onset.interval[1],
            "{onset:?}"
        );
        assert!(verdict.words(LOSS_MARGIN).starts_with("fails: +"), "{}", verdict.words(LOSS_MARGIN));
        // A second, larger step is not the begin.
        let mut twice = excess(499, 0.6);
        twice[1499..].iter_mut().for_each(|value| *value += 3.0);
        let (verdict, _) = LossVerdict::new(&twice, 256, LOSS_MARGIN, NonFinite::default());
        let onset = verdict.onset.expect("it fails");
        assert!(onset.at.abs_diff(500) < 30, "{onset:?}");
        // Nor is the end of a high beginning.
        let mut falling = excess(255, 2.0);
        falling[1200..].iter_mut().for_each(|value| *value -= 1.5);
        let (verdict, _) = LossVerdict::new(&falling, 256, LOSS_MARGIN, NonFinite::default());
        assert_eq!(verdict.onset.map(|onset| onset.at), Some(256));
        for rise in [0.0, 0.05, -0.5] {
            let (verdict, breaks) =
                LossVerdict::new(&excess(255, rise), 256, LOSS_MARGIN, NonFinite::default());
            assert_eq!((verdict.outcome, breaks), (Outcome::Holds, None), "{rise}");
        }
    }

    #[test]
    fn near_the_margin_it_says_how_much_text_would_decide() {
        let (verdict, breaks) = LossVerdict::new(&excess(255, 0.19), 256, LOSS_MARGIN, NonFinite::default());
        assert_eq!((verdict.outcome, breaks), (Outcome::Undecided, None));
        assert!(verdict.tokens_needed > Some(2000), "{verdict:?}");
        assert!(verdict.words(LOSS_MARGIN).contains("tokens from there on would decide"));
    }

    #[test]
    fn without_tokens_beyond_nothing_is_said_and_nan_is_an_outcome() {
        for n in [0, 1, 255, 260] {
            let (verdict, breaks) = LossVerdict::new(&noise(n), 256, LOSS_MARGIN, NonFinite::default());
            assert_eq!((verdict.outcome, verdict.effect, breaks), (Outcome::Undecided, None, None), "{n}");
            assert!(verdict.words(LOSS_MARGIN).contains("too few tokens can be compared from token 256 on"));
        }
        let lost = NonFinite { count: 3, first: Some(700) };
        let (verdict, breaks) = LossVerdict::new(&excess(255, 1.0), 256, LOSS_MARGIN, lost);
        assert_eq!((verdict.outcome, breaks.map(|at| at.position)), (Outcome::NotFinite, Some(700)));
    }
}
