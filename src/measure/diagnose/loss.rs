//! What a policy costs beyond the training length: its loss against the same tokens within it.

use lm_infinite_analysis::effect::{Decision, MeanEffect, Onset, Verdict};
use lm_infinite_analysis::{NonFinite, nll::Break};
use serde::{Deserialize, Serialize};

use super::onset::TokenOnset;
use super::outcome::{Outcome, SEED};
use crate::words::grouped;

/// A loss fails if it rises by more than this, in nats per token: a perplexity that is 22 % higher. Texts that differ in
/// nothing but where they are cut differ by up to 0.15, because models read some texts worse the more of them they see.
pub const LOSS_MARGIN: f64 = 0.2;

/// Parts of the compared tokens, the last ones, that are looked at besides all of them: a half and a quarter.
const LATE: [usize; 2] = [2, 4];

/// A later part fails by itself if its interval, wider by this, lies above the margin: at a level of more than 99 %, so that
/// three looks together err as often as one.
const LATE_WIDER: f64 = 1.5;

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
    /// From how many documents the tokens come, where the interval is one over documents too
    /// ([`MeanEffect::of_documents`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Of a loss that is not finite: that it fails before, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finite_part: Option<FinitePart>,
}

/// The failure of the tokens before the first one whose loss is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinitePart {
    /// As [`LossVerdict::effect`], of these tokens.
    pub effect: MeanEffect,
    /// As [`LossVerdict::from`].
    pub from: u64,
    /// As [`LossVerdict::onset`].
    pub onset: TokenOnset,
}

impl FinitePart {
    /// In words.
    pub fn words(&self) -> String {
        format!("before that it {}", fails(&above(self.effect, None, self.from), self.onset))
    }
}

/// `fails: +2.40 nats (…) …; begins at token 348 (279 to 352)`
fn fails(above: &str, onset: TokenOnset) -> String {
    let [low, high] = onset.interval.map(grouped);
    format!("fails: {above}; begins at token {} ({low} to {high})", grouped(onset.at))
}

fn above(effect: MeanEffect, documents: Option<u64>, from: u64) -> String {
    format!(
        "{:+.2} nats ({:+.2} to {:+.2}, n = {}{}) against the same tokens within the training length, from token {} on",
        effect.mean,
        effect.low,
        effect.high,
        grouped(effect.n as u64),
        documents.map_or(String::new(), |number| format!(" in {} documents", grouped(number))),
        grouped(from),
    )
}

impl LossVerdict {
    /// The verdict on `excess`, the differences of tokens 1..n, from token `from` on. `documents` are the positions at which
    /// documents start.
    pub(super) fn new(
        excess: &[f64],
        documents: &[u64],
        from: u64,
        margin: f64,
        non_finite: NonFinite,
    ) -> (Self, Option<Break>) {
        let from = from.max(1);
        if non_finite.any() {
            return Self::not_finite(excess, documents, from, margin, non_finite.first);
        }
        let skipped = usize::try_from(from - 1).unwrap_or(usize::MAX);
        let compared = excess.get(skipped..).unwrap_or_default();
        let Some((effect, mut number)) = over_documents(compared, documents, from) else {
            return (Self { from, ..Self::default() }, None);
        };
        let mut verdict = Verdict::new(effect, margin);
        let mut begin = from;
        // A failure that comes late is a small part of the mean over all, and makes its interval wide.
        for part in LATE {
            let late = compared.len() - compared.len() / part;
            let first = from + late as u64;
            let Some((effect, of)) = over_documents(&compared[late..], documents, first) else { continue };
            if verdict.decision != Decision::Fails && effect.mean - LATE_WIDER * effect.half_width() > margin
            {
                (verdict, begin, number) = (Verdict::new(effect, margin), first, of);
            }
        }
        let outcome = Outcome::from(verdict.decision);
        let onset = (outcome == Outcome::Fails).then(|| first_failing(excess, from, margin));
        let breaks = onset.map(|onset| {
            let behind = &excess[usize::try_from(onset.at - 1).unwrap_or(0).min(excess.len() - 1)..];
            let mean = behind.iter().sum::<f64>() / behind.len() as f64;
            Break { position: onset.at, nll: Some(mean), threshold: margin }
        });
        let tokens_needed = verdict.values_needed.map(|values| values as u64);
        let (effect, documents) = (Some(verdict.effect), number.map(|number| number as u64));
        (Self { outcome, effect, from: begin, onset, tokens_needed, documents, finite_part: None }, breaks)
    }

    /// Of losses that are not finite, the first one that of token `first`: with the verdict on those before it, if that is a
    /// failure.
    fn not_finite(
        excess: &[f64],
        documents: &[u64],
        from: u64,
        margin: f64,
        first: Option<u64>,
    ) -> (Self, Option<Break>) {
        let before = first.and_then(|first| usize::try_from(first.saturating_sub(1)).ok()).unwrap_or(0);
        let before = &excess[..before.min(excess.len())];
        let (before, _) = Self::new(before, documents, from, margin, NonFinite::default());
        let part = before.effect.zip(before.onset);
        let finite_part = part.map(|(effect, onset)| FinitePart { effect, from: before.from, onset });
        let position = finite_part.map(|part| part.onset.at).or(first);
        let breaks = position.map(|position| Break { position, nll: None, threshold: margin });
        (Self { outcome: Outcome::NotFinite, from, finite_part, ..Self::default() }, breaks)
    }

    /// In words, without what is not finite.
    pub fn words(&self, margin: f64) -> String {
        let Some(effect) = self.effect else {
            return format!("undecided: too few tokens can be compared from token {} on", grouped(self.from));
        };
        let above = above(effect, self.documents, self.from);
        match (self.outcome, self.onset, self.tokens_needed) {
            (Outcome::Fails, Some(onset), _) => fails(&above, onset),
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

/// The mean of `values`, those of token `first` and the ones behind it, and from how many of the documents that start at these
/// positions they come, where the interval is one over documents too.
fn over_documents(values: &[f64], documents: &[u64], first: u64) -> Option<(MeanEffect, Option<usize>)> {
    let within = documents.iter().filter_map(|start| usize::try_from(start.checked_sub(first)?).ok());
    MeanEffect::of_documents(values, &within.collect::<Vec<_>>(), SEED)
}

/// Where `excess`, the differences of tokens 1..n that fail from token `from` on, begins to: the change of its mean; where what
/// lies before the change fails too, the change of that, and so on.
fn first_failing(excess: &[f64], from: u64, margin: f64) -> TokenOnset {
    let token = |index: usize| (index as u64 + 1).max(from);
    let skipped = usize::try_from(from - 1).unwrap_or(usize::MAX);
    let mut onset = TokenOnset::exactly(from);
    let mut end = excess.len();
    while let Some(change) = Onset::of(&excess[..end], SEED) {
        if change.after <= change.before {
            // It begins at once, and falls later.
            return TokenOnset { at: from, interval: [from, token(change.low)] };
        }
        onset = TokenOnset { at: token(change.at), interval: [token(change.low), token(change.high)] };
        let before = excess.get(skipped..change.at).unwrap_or_default();
        if MeanEffect::of(before, SEED).is_none_or(|effect| effect.low <= margin) {
            break;
        }
        end = change.at;
    }
    onset
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
        let (verdict, breaks) =
            LossVerdict::new(&excess(999, 1.0), &[], 256, LOSS_MARGIN, NonFinite::default());
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
        let (verdict, _) = LossVerdict::new(&twice, &[], 256, LOSS_MARGIN, NonFinite::default());
        let onset = verdict.onset.expect("it fails");
        assert!(onset.at.abs_diff(500) < 30, "{onset:?}");
        // Nor is the end of a high beginning.
        let mut falling = excess(255, 2.0);
        falling[1200..].iter_mut().for_each(|value| *value -= 1.5);
        let (verdict, _) = LossVerdict::new(&falling, &[], 256, LOSS_MARGIN, NonFinite::default());
        assert_eq!(verdict.onset.map(|onset| onset.at), Some(256));
        for rise in [0.0, 0.05, -0.5] {
            let (verdict, breaks) =
                LossVerdict::new(&excess(255, rise), &[], 256, LOSS_MARGIN, NonFinite::default());
            assert_eq!((verdict.outcome, breaks), (Outcome::Holds, None), "{rise}");
        }
    }

    #[test]
    fn near_the_margin_it_says_how_much_text_would_decide() {
        let (verdict, breaks) =
            LossVerdict::new(&excess(255, 0.19), &[], 256, LOSS_MARGIN, NonFinite::default());
        assert_eq!((verdict.outcome, breaks), (Outcome::Undecided, None));
        assert!(verdict.tokens_needed > Some(2000), "{verdict:?}");
        assert!(verdict.words(LOSS_MARGIN).contains("tokens from there on would decide"));
    }

    #[test]
    fn without_tokens_beyond_nothing_is_said_and_nan_is_an_outcome() {
        for n in [0, 1, 255, 260] {
            let (verdict, breaks) = LossVerdict::new(&noise(n), &[], 256, LOSS_MARGIN, NonFinite::default());
            assert_eq!((verdict.outcome, verdict.effect, breaks), (Outcome::Undecided, None, None), "{n}");
            assert!(verdict.words(LOSS_MARGIN).contains("too few tokens can be compared from token 256 on"));
        }
        let lost = NonFinite { count: 3, first: Some(700) };
        let (verdict, breaks) = LossVerdict::new(&excess(255, 0.0), &[], 256, LOSS_MARGIN, lost);
        assert_eq!((verdict.outcome, breaks.map(|at| at.position)), (Outcome::NotFinite, Some(700)));
        assert_eq!((verdict.effect, verdict.finite_part), (None, None));
    }

    #[test]
    fn a_loss_that_fails_and_then_is_not_finite_is_both() {
        let mut values = excess(255, 1.0);
        values[1199..1300].fill(f64::NAN);
        let lost = NonFinite { count: 101, first: Some(1200) };
        let (verdict, breaks) = LossVerdict::new(&values, &[], 256, LOSS_MARGIN, lost);
        let part = verdict.finite_part.expect("it fails before");
        assert_eq!((verdict.outcome, verdict.effect, verdict.onset), (Outcome::NotFinite, None, None));
        assert_eq!(breaks.map(|at| (at.position, at.nll)), Some((part.onset.at, None)));
        // Tokens 256 to 1,199.
        assert_eq!((part.effect.n, part.from, part.onset.at), (944, 256, 256));
        assert!((part.effect.mean - 1.0).abs() < 0.1, "{part:?}");
        assert!(part.words().starts_with("before that it fails: +1.0"), "{}", part.words());
        // With nothing before, or nothing to hold it against, there is no more to say.
        for (values, first) in [(&values[..], 200), (&[], 1200)] {
            let lost = NonFinite { count: 1, first: Some(first) };
            let (verdict, breaks) = LossVerdict::new(values, &[], 256, LOSS_MARGIN, lost);
            assert_eq!((verdict.finite_part, breaks.map(|at| at.position)), (None, Some(first)));
        }
    }

    #[test]
    fn a_rise_in_one_of_many_documents_does_not_speak_for_the_others() {
        // Every document has a level of its own, some high, on average above the margin.
        let levels = [0.9, -0.3, 1.1, -0.4, 0.1, 1.2, -0.5, 0.9, -0.2, 0.4, 0.0, 0.5];
        let mut values = noise(255 + 12 * 150);
        values[..255].fill(0.0);
        let mut starts = vec![0];
        for (at, level) in levels.iter().enumerate() {
            let begin = 255 + at * 150;
            values[begin..begin + 150].iter_mut().for_each(|value| *value += level);
            starts.push(begin as u64 + 1);
        }
        let verdict =
            |starts: &[u64]| LossVerdict::new(&values, starts, 256, LOSS_MARGIN, NonFinite::default()).0;
        let (with, without) = (verdict(&starts), verdict(&[]));
        assert_eq!((with.outcome, with.documents), (Outcome::Undecided, Some(12)));
        let width = |verdict: &LossVerdict| verdict.effect.map_or(0.0, |effect| effect.half_width());
        assert!(width(&with) >= width(&without), "{with:?} {without:?}");
        let words = with.words(LOSS_MARGIN);
        assert!(words.contains("n = 1,800 in 12 documents)"), "{words}");
        // A few say nothing.
        assert_eq!(verdict(&starts[..6]).documents, None);
    }
}
