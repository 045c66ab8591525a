//! What the report says of a verdict, in words and in its table: both come from here.

use serde::Serialize;

use crate::diagnose::{FactorVerdict, Outcome, RunMeasurement};
use crate::words::{grouped, not_finite_from, tokens};

/// A verdict as the report tells it: one word, a mark for the table, and the rest of its words.
#[derive(Debug, Serialize)]
pub struct Mark {
    name: &'static str,
    /// In one word.
    outcome: String,
    /// How it is coloured.
    class: &'static str,
    /// In the table: what became of it, and where.
    mark: String,
    words: String,
}

impl Mark {
    /// `at` is where it fails, `lost` where it is not finite.
    fn new(name: &'static str, outcome: Outcome, at: Option<u64>, lost: Option<u64>, words: String) -> Self {
        let from = |at: Option<u64>| at.map_or(String::new(), |at| format!(" from {}", grouped(at)));
        let (class, mark) = match outcome {
            Outcome::Fails => ("bad", format!("✗ {}", at.map_or("fails".to_owned(), grouped))),
            Outcome::NotFinite if at.is_some() && at < lost => {
                ("bad", format!("✗ {}, not finite{}", at.map_or(String::new(), grouped), from(lost)))
            }
            Outcome::NotFinite => ("bad", format!("✗ not finite{}", from(lost))),
            Outcome::Holds => ("good", "✓".to_owned()),
            Outcome::Undecided => ("muted", "–".to_owned()),
        };
        Self { name, outcome: outcome.to_string(), class, mark, words }
    }

    /// The verdict on a loss. Results of before losses had an effect say only where it breaks.
    pub fn of_loss(run: &RunMeasurement, margin: f64) -> Self {
        let older = run.loss.effect.is_none() && run.breaks.is_some();
        let (lost, at) = (run.first_non_finite, run.breaks.map(|at| at.position));
        if run.non_finite_tokens > 0 {
            let count = tokens(run.non_finite_tokens);
            let words = format!("{} ({count})", not_finite_from("token", lost));
            return Self::new(
                "loss",
                Outcome::NotFinite,
                at.filter(|_| run.loss.finite_part.is_some()),
                lost,
                words,
            );
        }
        let outcome = if older { Outcome::Fails } else { run.loss.outcome };
        Self::new("loss", outcome, at, None, run.loss_words(margin))
    }

    /// The verdict on a factor.
    pub fn of_factor(name: &'static str, verdict: &FactorVerdict) -> Self {
        let (outcome, lost) = (verdict.outcome(), verdict.first_non_finite);
        // The first word is the outcome, which is told beside it.
        let rest = verdict.words.split_once(": ").filter(|_| outcome != Outcome::NotFinite);
        let words = rest.map_or(verdict.words.as_str(), |(_, words)| words).to_owned();
        Self::new(name, outcome, verdict.at.filter(|_| outcome == Outcome::Fails), lost, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_before_it_was_lost_has_both_places_and_what_holds_none() {
        let mark =
            |outcome, at, lost| Mark::new("loss", outcome, at, lost, String::new()).mark.replace("✗ ", "");
        assert_eq!(mark(Outcome::Fails, Some(1348), None), "1,348");
        assert_eq!(mark(Outcome::NotFinite, Some(348), Some(1200)), "348, not finite from 1,200");
        assert_eq!(mark(Outcome::NotFinite, None, Some(1200)), "not finite from 1,200");
        assert_eq!(mark(Outcome::NotFinite, None, None), "not finite");
        assert_eq!(mark(Outcome::Holds, None, None), "✓");
        assert_eq!(mark(Outcome::Undecided, None, None), "–");
    }
}
