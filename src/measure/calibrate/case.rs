//! One case: a verdict on one text, the right answer, and how it is known.

use std::fmt;

use lm_infinite_analysis::effect::MeanEffect;
use serde::{Deserialize, Serialize};

use super::texts::Source;
use crate::diagnose::{FactorVerdict, Outcome, RunMeasurement};

/// A case by the number of its text and of its row.
pub type CaseKey = (usize, usize);

/// Seed of the intervals of readings.
const SEED: u64 = 0;

/// Parts of the compared tokens, the last ones, that the verdict on a loss looks at: all, a half, a quarter.
const PARTS: [usize; 3] = [1, 2, 4];

/// What a verdict is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The loss.
    Loss,
    /// Factor 1: logits at unseen distances.
    Logits,
    /// Factor 2: entropy over unseen numbers of keys.
    Entropy,
    /// Factor 3: hidden states.
    Drift,
}

impl Measure {
    /// All four, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Loss, Self::Logits, Self::Entropy, Self::Drift];
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Logits => "logits",
            Self::Entropy => "entropy",
            Self::Drift => "drift",
        })
    }
}

/// A verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// On what.
    pub measure: Measure,
    /// In one word.
    pub outcome: Outcome,
    /// The effect in the measure's unit, where it has one.
    pub effect: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// In words.
    pub verdict: String,
}

/// What a reading says of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Its effect lies below the margin.
    Below,
    /// Its effect lies above the margin.
    Above,
    /// The margin lies in its interval.
    Near,
    /// There is none: too few tokens, or one whose loss is not finite.
    Unknown,
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below => "below",
            Self::Above => "above",
            Self::Near => "near",
            Self::Unknown => "unknown",
        })
    }
}

/// A reading that says what the right answer is: the mean excess of the loss, in nats per token, and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Its texts.
    pub source: Source,
    /// Mean excess over all compared tokens.
    pub effect: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// Tokens compared.
    pub tokens: u64,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Index of its row.
    pub row: usize,
    /// The text.
    pub text: String,
    /// Tokens of it that were read.
    pub tokens: u64,
    /// What the reading says.
    pub truth: Truth,
    /// The reading; `None` where there is none.
    pub reading: Option<Reading>,
    /// The verdicts, in the order of [`Measure::ALL`].
    pub judged: Vec<Judged>,
}

/// A case, and what the other cases of its row may need of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Index of its text.
    pub text: usize,
    /// The case. Where its row has no longer readings, what is right is not known before all cases are there.
    pub case: Case,
    /// Excess of the loss over its compared tokens, in nats, where other cases of the row have it for their reading; else empty.
    pub excess: Vec<f64>,
}

impl Measured {
    /// Which case it is: its text and its row.
    pub fn key(&self) -> CaseKey {
        (self.text, self.case.row)
    }
}

/// The reading of `texts`, for each the excess of the loss over its compared tokens, against `margin`.
///
/// It looks at the last half and quarter too, as the verdict does: it says [`Truth::Above`] if any of these parts has its
/// interval above the margin, and [`Truth::Below`] if all have their means below it and the whole its interval.
pub fn reading(texts: &[Vec<f64>], margin: f64, source: Source) -> (Truth, Option<Reading>) {
    let part = |part: usize| -> Option<MeanEffect> {
        let values: Vec<f64> =
            texts.iter().flat_map(|text| text[text.len() - text.len() / part..].iter().copied()).collect();
        MeanEffect::of(&values, SEED)
    };
    let Some(whole) = part(1) else { return (Truth::Unknown, None) };
    let parts: Vec<MeanEffect> = PARTS.into_iter().filter_map(part).collect();
    let truth = if parts.iter().any(|effect| effect.low > margin) {
        Truth::Above
    } else if whole.high < margin && parts.iter().all(|effect| effect.mean < margin) {
        Truth::Below
    } else {
        Truth::Near
    };
    let reading =
        Reading { source, effect: whole.mean, interval: [whole.low, whole.high], tokens: whole.n as u64 };
    (truth, Some(reading))
}

/// The four verdicts on a run.
pub fn judged(run: &RunMeasurement, margin: f64) -> Vec<Judged> {
    let factors = &run.factors;
    let factor = |measure: Measure, verdict: &FactorVerdict| Judged {
        measure,
        outcome: verdict.outcome,
        effect: verdict.effect,
        interval: verdict.interval,
        verdict: verdict.words.clone(),
    };
    let loss = run.loss;
    let verdict = match loss.outcome {
        Outcome::NotFinite => crate::words::not_finite_from("token", run.first_non_finite),
        _ => loss.words(margin),
    };
    vec![
        Judged {
            measure: Measure::Loss,
            outcome: loss.outcome,
            effect: loss.effect.map(|effect| effect.mean),
            interval: loss.effect.map(|effect| [effect.low, effect.high]),
            verdict,
        },
        factor(Measure::Logits, &factors.logits.verdict),
        factor(Measure::Entropy, &factors.entropy.verdict),
        factor(Measure::Drift, &factors.drift.verdict),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, rise: f64) -> Vec<f64> {
        (0..n).map(|at| ((at * 7919 % 1000) as f64 / 500.0 - 1.0) * 0.5 + rise).collect()
    }

    #[test]
    fn a_reading_is_below_above_or_near_the_margin() {
        let truth = |texts: &[Vec<f64>]| reading(texts, 0.2, Source::SameKind).0;
        assert_eq!(truth(&[noise(1000, 0.0), noise(1000, 0.05)]), Truth::Below);
        assert_eq!(truth(&[noise(1000, 0.4), noise(1000, 0.5)]), Truth::Above);
        assert_eq!(truth(&[noise(1000, 0.2), noise(1000, 0.2)]), Truth::Near);
        // It rises in the last quarter of every text alone: small in the mean, and there all the same.
        let mut late = noise(1000, 0.0);
        late[750..].iter_mut().for_each(|value| *value += 0.6);
        let (truth_late, seen) = reading(&[late.clone(), late], 0.2, Source::SameKind);
        assert_eq!(truth_late, Truth::Above);
        assert!(seen.is_some_and(|seen| seen.effect < 0.2 && seen.tokens == 2000));
        assert_eq!(truth(&[]), Truth::Unknown);
        assert_eq!(truth(&[noise(100, 0.0), vec![f64::NAN]]), Truth::Unknown);
    }
}
