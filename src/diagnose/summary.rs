//! A diagnosis in words, and as the JSON that other programs rely on.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::model::{Diagnosis, RunMeasurement};

impl Diagnosis {
    /// `diagnose --json`: `{"model","tokens","trained_length","runs":[…],"out"}`.
    pub fn to_json(&self, out: Option<&Path>) -> Value {
        let bucket =
            |b: &lm_infinite_analysis::nll::NllBucket| json!({ "from": b.from, "to": b.to, "nll": b.nll });
        let run = |run: &RunMeasurement| {
            json!({
                "policy": run.policy,
                "nll": run.nll,
                "perplexity": run.perplexity,
                "buckets": run.buckets.iter().map(bucket).collect::<Vec<_>>(),
                "breaks": run.breaks,
                "prefill_tokens_per_second": run.prefill_tokens_per_second,
                "peak_rss_bytes": run.peak_rss_bytes,
                "kv_cache_bytes": run.kv_cache_bytes,
                "factors": run.factors,
            })
        };
        json!({
            "model": self.model,
            "tokens": self.tokens,
            "trained_length": self.trained_length,
            "reference_nll": self.reference_nll,
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
            "out": out.map(|out| out.display().to_string()),
        })
    }

    /// What broke first and where, one paragraph per policy.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{}: trained on {} tokens, measured on {}\n",
            self.model,
            grouped(self.trained_length),
            grouped(self.tokens)
        );
        if let Some(nll) = self.reference_nll {
            let margin = self.break_rule.margin;
            text.push_str(&format!(
                "read in pieces of the training length, this text costs {nll:.3} nats; a loss {margin} above that, token by \
                 token, is broken\n"
            ));
        }
        for run in &self.runs {
            text.push_str(&run.summary());
        }
        text
    }
}

impl RunMeasurement {
    fn summary(&self) -> String {
        let mut text = String::new();
        let factors = &self.factors;
        let loss = self.nll.map_or("not finite".to_owned(), |nll| format!("{nll:.3} nats"));
        let broken = match &self.breaks {
            None => "does not break".to_owned(),
            Some(at) => {
                let more = at.nll.map_or("not finite".to_owned(), |nll| format!("{nll:+.2} nats from there"));
                format!("breaks at token {} ({more})", grouped(at.position))
            }
        };
        let first = match factors.broken().as_slice() {
            [] => "no factor broke".to_owned(),
            [(name, at), rest @ ..] => {
                let then: String =
                    rest.iter().map(|(name, at)| format!(", then {name} at {}", grouped(*at))).collect();
                format!("{name} broke first, at {}{then}", grouped(*at))
            }
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{}\n  loss     {loss}; {broken}\n  logits   {}\n  entropy  {}\n  drift    {}\n  so       {first}\n",
            self.policy, factors.logits.verdict, factors.entropy.verdict, factors.drift.verdict
        );
        text
    }
}

/// A number with its thousands apart: `12,288`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0, 999, 1000, 12_288, 1_000_000].map(grouped),
            ["0", "999", "1,000", "12,288", "1,000,000"]
        );
    }
}
