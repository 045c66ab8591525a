//! A diagnosis in words, and as the JSON that other programs rely on.

use std::fmt::Write;
use std::path::Path;

use lm_infinite_analysis::nll::{BreakOrder, FactorBreak};
use serde_json::{Value, json};

use super::heads::HeadReport;
use super::model::{Diagnosis, RunMeasurement};
use super::outcome::Outcome;
use crate::causes::Causes;
use crate::prediction::Predicted;
use crate::words::{bucket_json, grouped, not_finite_from, tokens};

impl Diagnosis {
    /// `diagnose --json`: `{"model","tokens","trained_length","runs":[…],"out"}`.
    pub fn to_json(&self, out: Option<&Path>) -> Value {
        let run = |run: &RunMeasurement| {
            json!({
                "policy": run.policy,
                "nll": run.nll,
                "perplexity": run.perplexity,
                "non_finite_tokens": run.non_finite_tokens,
                "first_non_finite": run.first_non_finite,
                "loss": {
                    "outcome": run.loss.outcome,
                    "effect": run.loss.effect.map(|effect| effect.mean),
                    "interval": run.loss.effect.map(|effect| [effect.low, effect.high]),
                    "onset": run.loss.onset,
                    "from": run.loss.from,
                    "n": run.loss.effect.map(|effect| effect.n),
                    "documents": run.loss.documents,
                    "block": run.loss.effect.map(|effect| effect.block),
                    "margin": self.loss_margin,
                    "tokens_needed": run.loss.tokens_needed,
                    "finite_part": run.loss.finite_part,
                },
                "buckets": run.buckets.iter().map(bucket_json).collect::<Vec<_>>(),
                "breaks": run.breaks,
                "prefill_tokens_per_second": run.prefill_tokens_per_second,
                "peak_rss_bytes": run.peak_rss_bytes,
                "kv_cache_bytes": run.kv_cache_bytes,
                "factors": run.factors,
                "order": run.order,
            })
        };
        let mut json = json!({
            "model": self.model,
            "tokens": self.tokens,
            "repeated_from": self.repeated_from,
            "notes": self.notes,
            "trained_length": self.trained_length,
            "reference_nll": self.reference_nll,
            "reference_window": self.reference_window,
            "reference_bias": self.reference_bias,
            "reference_non_finite_tokens": self.reference_non_finite_tokens,
            "reference_first_non_finite": self.reference_first_non_finite,
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
            "out": out.map(|out| out.display().to_string()),
        });
        if let Some(causes) = &self.causes {
            json["causes"] = causes.to_json();
        }
        if let Some(predicted) = &self.predicted {
            json["predicted"] = predicted.to_json();
        }
        json
    }

    /// What broke first and where, one paragraph per policy.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{}: trained on {} tokens, measured on {}\n",
            self.model,
            grouped(self.trained_length),
            grouped(self.tokens)
        );
        let causes = self.causes.iter().flat_map(Causes::sentences);
        let predicted = self.predicted.iter().flat_map(Predicted::sentences);
        text.extend(predicted.chain(causes).map(|sentence| format!("{sentence}\n")));
        text.extend(self.notes.iter().map(|note| format!("{note}\n")));
        if let Some(nll) = self.reference_nll {
            let context = self.reference_window.map_or(String::new(), |windows| windows.words(self.tokens));
            text.push_str(&format!(
                "read in windows of the training length, this text costs {nll:.3} nats{context}\n"
            ));
            text.extend(self.reference_bias.map(|bias| format!("  {}\n", bias.words())));
        }
        if self.reference_non_finite_tokens > 0 {
            text.push_str(&format!(
                "read in windows of the training length, the loss of this text is {} ({}): no loss can be held against it\n",
                not_finite_from("token", self.reference_first_non_finite),
                tokens(self.reference_non_finite_tokens),
            ));
        }
        for run in &self.runs {
            text.push_str(&run.summary(self.loss_margin));
        }
        text
    }
}

impl RunMeasurement {
    /// The verdict on the loss in words; of results that were written before losses had an effect, where it breaks.
    pub(crate) fn loss_words(&self, margin: f64) -> String {
        match (self.loss.effect, self.breaks) {
            (None, Some(at)) => {
                format!(
                    "breaks at token {}, by the rule of the version that wrote this",
                    grouped(at.position)
                )
            }
            _ => self.loss.words(margin),
        }
    }

    fn summary(&self, margin: f64) -> String {
        let mut text = String::new();
        let factors = &self.factors;
        let mut loss = Vec::new();
        match self.nll {
            Some(nll) => loss.push(format!("{nll:.3} nats")),
            None if self.non_finite_tokens == 0 => loss.push("no loss".to_owned()),
            None => {}
        }
        if self.non_finite_tokens > 0 {
            let from = not_finite_from("token", self.first_non_finite);
            loss.push(format!("{from} ({})", tokens(self.non_finite_tokens)));
            loss.extend(self.loss.finite_part.map(|part| part.words()));
        }
        if self.non_finite_tokens == 0 && self.nll.is_some() {
            loss.push(self.loss_words(margin));
        }
        let loss = loss.join("; ");
        let first = first_broken(&self.order, self.loss.outcome, factors.any_undecided());
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{}\n  loss     {loss}\n  logits   {}\n  entropy  {}\n  drift    {}\n  so       {first}\n",
            self.policy,
            factors.logits.verdict.words,
            factors.entropy.verdict.words,
            factors.drift.verdict.words
        );
        text.extend(self.sink_words().map(|words| format!("  sinks    {words}\n")));
        text
    }

    /// How much of attention goes to learned sinks, where the model has them: means over heads.
    fn sink_words(&self) -> Option<String> {
        let mean = |of: &dyn Fn(&HeadReport) -> Option<f64>| {
            let all: Vec<f64> = self.heads.iter().filter_map(of).collect();
            (!all.is_empty()).then(|| 100.0 * all.iter().sum::<f64>() / all.len() as f64)
        };
        let inside = mean(&|head| head.sink_mass_inside);
        let beyond = mean(&|head| head.sink_mass_beyond);
        let part = |mean: f64, words: &str| format!("{mean:.0} % of attention {words} the training length");
        let parts = [inside.map(|mean| part(mean, "within")), beyond.map(|mean| part(mean, "beyond"))];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let heads = self.heads.len();
        (!parts.is_empty()).then(|| {
            format!("the learned sink of a head takes {} (means over {heads} heads)", parts.join(", "))
        })
    }
}

/// Which factor failed first, which then, and which after the loss; where the loss did not fail, which left what training
/// showed nevertheless. An order is told only where intervals do not overlap.
pub(crate) fn first_broken(order: &BreakOrder, loss: Outcome, undecided: bool) -> String {
    let groups: Vec<String> = order.groups().iter().map(|group| group_words(group)).collect();
    let [first, rest @ ..] = groups.as_slice() else {
        return if undecided { "no factor is known to have failed" } else { "no factor failed" }.to_owned();
    };
    let then = rest.iter().map(|group| format!(", then {group}")).collect::<String>();
    if !matches!(loss, Outcome::Fails | Outcome::NotFinite) {
        let loss = if loss == Outcome::Holds { "the loss holds" } else { "of the loss nothing can be told" };
        return format!("{loss}; outside what training showed: {first}{then}");
    }
    let mut text = format!("first {first}{then}");
    let in_time: Vec<_> = order.before_loss().collect();
    let late: Vec<_> = order.factors.iter().filter(|broken| !in_time.contains(broken)).collect();
    if let Some(loss) = order.loss.filter(|_| !late.is_empty()) {
        let late: Vec<_> = late.iter().map(|broken| broken.factor.to_string()).collect();
        text.push_str(&format!("; the loss failed before {}, at {}", late.join(" and "), grouped(loss)));
    }
    text
}

/// `logits at 368`, or `logits and entropy together, between 340 and 372`.
fn group_words(group: &[FactorBreak]) -> String {
    if let [only] = group {
        return format!("{} at {}", only.factor, grouped(only.at));
    }
    let names: Vec<_> = group.iter().map(|broken| broken.factor.to_string()).collect();
    let low = group.iter().map(|broken| broken.span()[0]).min().unwrap_or(0);
    let high = group.iter().map(|broken| broken.span()[1]).max().unwrap_or(0);
    format!("{} together, between {} and {}", names.join(" and "), grouped(low), grouped(high))
}

#[cfg(test)]
mod tests {
    use lm_infinite_analysis::nll::Factor;

    use super::*;

    #[test]
    fn factors_are_told_in_order_and_held_against_the_loss() {
        let all = [
            (Factor::Drift, Some((900, [880, 900]))),
            (Factor::Logits, Some((368, [352, 368]))),
            (Factor::Entropy, None),
        ];
        let told = |loss| first_broken(&BreakOrder::new(all, loss), Outcome::Fails, false);
        assert_eq!(told(None), "first logits at 368, then drift at 900");
        let held = first_broken(&BreakOrder::new(all, None), Outcome::Holds, true);
        assert_eq!(held, "the loss holds; outside what training showed: logits at 368, then drift at 900");
        assert_eq!(
            told(Some((352, [340, 360]))),
            "first logits at 368, then drift at 900; the loss failed before drift, at 352"
        );
        let none =
            |undecided| first_broken(&BreakOrder::new([], Some((1, [1, 1]))), Outcome::Fails, undecided);
        assert_eq!(none(false), "no factor failed");
        assert_eq!(none(true), "no factor is known to have failed");
    }

    #[test]
    fn what_overlaps_has_no_order() {
        let all = [
            (Factor::Drift, Some((900, [880, 900]))),
            (Factor::Logits, Some((368, [340, 368]))),
            (Factor::Entropy, Some((352, [345, 372]))),
        ];
        assert_eq!(
            first_broken(&BreakOrder::new(all, Some((500, [480, 520]))), Outcome::Fails, false),
            "first logits and entropy together, between 340 and 372, then drift at 900; the loss failed before drift, at 500"
        );
    }
}
