//! What each part of the fix is worth (paper Fig. 5): the loss of several policies over many segments of text, each against
//! the same tokens within the training length, with confidence bands over segments.
//!
//! One text tells hard and easy passages from strained and unstrained attention only by luck; the difference to the
//! reference, token by token and averaged over segments, does so by construction.

use std::sync::Arc;

use lm_infinite_analysis::nll::{BandBucket, DocumentBootstrap};
use lm_infinite_analysis::{Bins, NonFinite};
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::PolicySpec;
use lm_infinite_runtime::random;
use lm_infinite_runtime::session::Decoder;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::evaluate::{ReferenceWindows, evaluate, evaluate_in_segments};
use crate::words::{grouped, not_finite_from, tokens};

/// Replicates of the bootstrap, and the share of them that a band holds.
const REPLICATES: usize = 1000;
const LEVEL: f64 = 0.95;

/// Linear bins, up to 32 training lengths.
const BINS: u64 = 64;

/// What to compare.
#[derive(Clone, Debug)]
pub struct AblationPlan {
    /// Policies, in order.
    pub policies: Vec<PolicySpec>,
    /// Tokens of a segment, its BOS included.
    pub tokens: usize,
    /// How many segments.
    pub segments: usize,
    /// Seed of where they begin, and of the bootstrap.
    pub seed: u64,
}

/// The comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// Name of the model.
    pub model: String,
    /// L_pretrain.
    pub trained_length: u64,
    /// Tokens of a segment.
    pub tokens: u64,
    /// Segments.
    #[serde(alias = "stretches")]
    pub segments: u64,
    /// Tokens of the text, where segments were taken from more, with its documents drawn with replacement.
    #[serde(default)]
    pub repeated_from: Option<u64>,
    /// What there is to say of the text.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Mean loss of the reference, in nats per token; `None` where one is not finite.
    pub reference_nll: Option<f64>,
    /// Tokens of the reference, over all segments, whose loss is not finite. No policy can be held against them.
    #[serde(default)]
    pub reference_non_finite_tokens: u64,
    /// One per policy.
    pub runs: Vec<AblationRun>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AblationRun {
    /// As written.
    pub policy: String,
    /// Loss above the reference by position, with 95 % bands over segments.
    pub excess: Vec<BandBucket>,
    /// The same of all tokens beyond the training length; `None` where there is none. Without a mean where one is not finite.
    pub beyond: Option<BandBucket>,
    /// The same of the training length and of each doubling of it; none in results of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doublings: Vec<BandBucket>,
    /// Tokens, over all segments, whose loss above the reference is NaN or infinite.
    pub non_finite: u64,
    /// The smallest position of one in its segment.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
}

/// Runs every policy over every segment of `tokens` (a text without BOS). `progress` is told when one is done.
///
/// # Errors
/// A text shorter than a segment; as [`evaluate`].
pub fn ablation(
    model: &str,
    decoder: &Arc<Decoder>,
    tokens: &[u32],
    bos: Option<u32>,
    plan: &AblationPlan,
    progress: &dyn Fn(),
) -> Result<Ablation> {
    let trained = decoder.config().trained_length;
    let body = plan.tokens.saturating_sub(usize::from(bos.is_some()));
    if tokens.len() < body || plan.tokens < 2 {
        let got = format!(
            "it has {} tokens; a segment of {} needs as many, and at least 2 (--repeat draws its documents again)",
            tokens.len() + usize::from(bos.is_some()),
            plan.tokens
        );
        return Err(Error::input("text", got));
    }
    let bins = Bins::linear_then_doubling(trained.saturating_mul(32), plan.tokens as u64, BINS);
    let sides = Bins::new(if trained > 0 { vec![0, trained] } else { vec![0] })?;
    let doublings = doublings(trained, plan.tokens as u64);
    let doublings = Bins::new(std::iter::once(0).chain(doublings).collect())?;
    let empty = |bins: &Bins| DocumentBootstrap::new(bins.clone(), REPLICATES, plan.seed);
    let mut all = Vec::new();
    for _ in &plan.policies {
        all.push(([empty(&bins)?, empty(&sides)?, empty(&doublings)?], NonFinite::default()));
    }
    let starts = starts(tokens.len(), body, plan.segments, plan.seed);
    let window = ReferenceWindows::of(decoder.config(), plan.tokens as u64);
    let (mut sum, mut count, mut reference_broken) = (0.0, 0u64, NonFinite::default());
    for (segment, &at) in (0..).zip(&starts) {
        let text: Vec<u32> = bos.into_iter().chain(tokens[at..at + body].iter().copied()).collect();
        let reference = evaluate_in_segments(decoder, &text, bos, window, &|_| ())?;
        sum += reference.iter().map(|&nll| f64::from(nll)).sum::<f64>();
        count += reference.len() as u64;
        reference_broken.note_all(1, &reference, |nll| !nll.is_finite());
        for (spec, (bootstraps, non_finite)) in plan.policies.iter().zip(&mut all) {
            let nll = evaluate(decoder, &spec.policy, &text, None, &|_| ())?.nll;
            let excess: Vec<f32> =
                nll.iter().zip(&reference).map(|(nll, reference)| nll - reference).collect();
            non_finite.note_all(1, &excess, |value| !value.is_finite());
            bootstraps.iter_mut().for_each(|bootstrap| bootstrap.push(segment, 1, &excess));
            progress();
        }
    }
    let mut runs = Vec::new();
    let seen = |bucket: &BandBucket| bucket.nll.is_some() || bucket.non_finite.any();
    for (spec, ([by_position, by_side, by_doubling], non_finite)) in plan.policies.iter().zip(all) {
        runs.push(AblationRun {
            policy: spec.label.clone(),
            excess: by_position.bands(LEVEL)?,
            beyond: by_side.bands(LEVEL)?.into_iter().nth(1).filter(seen),
            doublings: by_doubling.bands(LEVEL)?.into_iter().skip(1).filter(seen).collect(),
            non_finite: non_finite.count,
            first_non_finite: non_finite.first,
        });
    }
    Ok(Ablation {
        model: model.into(),
        trained_length: trained,
        tokens: plan.tokens as u64,
        segments: starts.len() as u64,
        repeated_from: None,
        notes: coverage(tokens.len(), body, starts.len(), plan.segments),
        reference_nll: (count > 0 && !reference_broken.any()).then(|| sum / count as f64),
        reference_non_finite_tokens: reference_broken.count,
        runs,
    })
}

/// The training length and its doublings below `tokens`.
fn doublings(trained: u64, tokens: u64) -> impl Iterator<Item = u64> {
    let doubled = std::iter::successors(Some(trained), |length| length.checked_mul(2));
    doubled.take_while(move |&length| length > 0 && length < tokens)
}

/// Where at most `count` segments of `length` tokens begin in a text of `tokens`, none over another: overlapping ones would say
/// the same thing twice, and a band over them would be too narrow.
fn starts(tokens: usize, length: usize, count: usize, seed: u64) -> Vec<usize> {
    let count = count.min(tokens / length.max(1));
    let room = tokens - count * length;
    let mut random = random::expanded(seed);
    let mut gaps: Vec<usize> = (0..count).map(|_| random.random_range(0..=room)).collect();
    gaps.sort_unstable();
    gaps.iter().enumerate().map(|(index, gap)| gap + index * length).collect()
}

/// How much of the text was read, and whether it has fewer segments than were asked for.
fn coverage(tokens: usize, length: usize, segments: usize, asked: usize) -> Vec<Note> {
    let share = 100.0 * (segments * length) as f64 / tokens as f64;
    let mut said = format!(
        "{segments} segments without overlap are {share:.0} % of the {} tokens they are from",
        grouped(tokens as u64)
    );
    if segments < asked {
        said.push_str(&format!(
            "; {asked} were asked for, and no more fit (--repeat draws its documents again)"
        ));
    }
    vec![Note::new("segments", said)]
}

impl Ablation {
    /// One line per policy.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{}: {} segments of {} tokens, loss above the same tokens within the training length of {}, mean beyond it\n",
            self.model, self.segments, self.tokens, self.trained_length
        );
        text.extend(self.notes.iter().map(|note| format!("  {note}\n")));
        if self.reference_non_finite_tokens > 0 {
            text.push_str(&format!(
                "the loss of {} within the training length is not finite: no policy can be held against them\n",
                tokens(self.reference_non_finite_tokens)
            ));
        }
        for run in &self.runs {
            let value = match run.beyond.as_ref().map(|bucket| (bucket.nll, bucket.band)) {
                Some((None, _)) => not_finite_from("token", run.first_non_finite),
                Some((Some(nll), Some((low, high)))) => {
                    format!("{nll:+.3} nats (95 %: {low:+.3} to {high:+.3})")
                }
                Some((Some(nll), None)) => format!("{nll:+.3} nats (too few segments for a band)"),
                _ => "no token beyond it".to_owned(),
            };
            let broken = match run.non_finite {
                0 => String::new(),
                count => format!(
                    ", {} of all segments not finite, the first at {}",
                    tokens(count),
                    run.first_non_finite.map_or("?".to_owned(), grouped)
                ),
            };
            text.push_str(&format!("  {:<40} {value}{broken}\n", run.policy));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_do_not_overlap_and_lie_in_the_text() {
        for (tokens, length, asked) in
            [(1000, 10, 16), (160, 10, 16), (165, 10, 16), (50, 10, 16), (10, 10, 1), (10, 10, 3)]
        {
            let starts = starts(tokens, length, asked, 7);
            assert_eq!(starts.len(), asked.min(tokens / length), "{tokens} {length}");
            assert!(starts.windows(2).all(|pair| pair[1] >= pair[0] + length), "{starts:?}");
            assert!(starts.last().is_none_or(|last| last + length <= tokens));
        }
        assert!(starts(9, 10, 4, 0).is_empty());
        assert_ne!(starts(1000, 10, 16, 0), starts(1000, 10, 16, 1));
    }

    #[test]
    fn the_note_says_what_was_asked_and_what_fits() {
        let fits = coverage(1000, 10, 16, 16)[0].to_string();
        assert!(fits.contains("16 % of the 1,000 tokens") && !fits.contains("asked"), "{fits}");
        let fewer = coverage(50, 10, 5, 16)[0].to_string();
        assert!(fewer.contains("100 % of the 50 tokens") && fewer.contains("16 were asked for"), "{fewer}");
    }
}
