//! What a long run measured: losses and costs of several policies over one text, or over a shard of it.

use std::fmt::Write;
use std::path::Path;

use lm_infinite_runtime::note::Note;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::running_totals::RunningTotals;
use super::shard::Shard;
use crate::words::{bucket_json, loss, loss_and_perplexity};

/// Losses and costs of several policies over one long text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LongResult {
    /// Name of the model.
    pub model: String,
    /// L_pretrain.
    pub trained_length: u64,
    /// Length of the text, in tokens.
    pub tokens: u64,
    /// The part of it that was read.
    pub shard: Shard,
    /// What there is to say of the text.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// One per policy, in the order asked for.
    pub runs: Vec<LongRunResult>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LongRunResult {
    /// As written.
    pub policy: String,
    /// What it did.
    #[serde(alias = "tally")]
    pub totals: RunningTotals,
}

impl LongResult {
    /// Position from which on the text repeats.
    pub fn repeated_from(&self) -> Option<u64> {
        self.runs.iter().find_map(|run| run.totals.mark.repeats_from)
    }

    /// `perplexity --json`: the fields of a short run, and `log_buckets`.
    pub fn to_json(&self, out: &Path) -> Value {
        let run = |run: &LongRunResult| {
            let buckets = |losses: &lm_infinite_analysis::nll::NllByPosition| {
                let buckets = losses.buckets(self.tokens).into_iter();
                buckets.map(|bucket| bucket_json(&bucket)).collect::<Vec<_>>()
            };
            let totals = &run.totals;
            json!({
                "policy": run.policy,
                "nll": totals.linear.mean(),
                "perplexity": totals.linear.mean().map(f64::exp),
                "non_finite_tokens": totals.linear.non_finite().count,
                "first_non_finite": totals.linear.non_finite().first,
                "buckets": buckets(&totals.linear),
                "log_buckets": buckets(&totals.logarithmic),
                "prefill_tokens_per_second": totals.tokens_per_second(),
                "peak_rss_bytes": totals.peak_rss_bytes(),
                "kv_cache_bytes": totals.memory.last().map_or(0, |sample| sample.kv_cache_bytes),
            })
        };
        json!({
            "model": self.model,
            "tokens": self.tokens,
            "shard": self.shard.to_string(),
            "text": self.runs.first().map(|run| &run.totals.mark.text),
            "repeated_from": self.repeated_from(),
            "notes": self.notes,
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
            "out": out.display().to_string(),
        })
    }

    /// One paragraph per policy.
    pub fn summary(&self) -> String {
        let mut text: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        for LongRunResult { policy, totals } in &self.runs {
            let megabytes = |bytes: Option<u64>| {
                bytes.map_or("?".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1e6))
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{policy}\n  {}\n  {} tokens read in {:.0} s of work ({:.0} tokens/s), at most {} MB",
                loss_and_perplexity(&totals.linear),
                totals.tokens_read(),
                totals.seconds,
                totals.tokens_per_second(),
                megabytes(totals.peak_rss_bytes()),
            );
            // One line to a doubling, and one for the rest. What another shard reads, and the first token, have no loss here.
            let buckets = totals.logarithmic.buckets(self.shard.part(self.tokens).end);
            let (mut from, mut seen) = (0, false);
            for (at, bucket) in buckets.iter().enumerate() {
                seen |= bucket.nll.is_some() || bucket.non_finite > 0;
                let last = at + 1 == buckets.len();
                if bucket.to.is_power_of_two() || last {
                    let end = if last { u64::MAX } else { bucket.to };
                    let mean = totals.logarithmic.mean_between(from, end);
                    if seen {
                        let mean = loss(mean, totals.logarithmic.non_finite_between(from, end));
                        let _ = writeln!(text, "  {from:>12} … {:>12}  {mean}", bucket.to);
                    }
                    (from, seen) = (bucket.to, false);
                }
            }
        }
        text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::long_run::Mark;

    /// Two shards of a text of 100 tokens, whose losses are their positions, the second with a halo of 10.
    pub(crate) fn shards() -> [LongResult; 2] {
        let losses: Vec<f32> = (0..100).map(|position| position as f32).collect();
        [(0, 0, 0, 50), (1, 40, 50, 100)].map(|(index, begin, from, end)| {
            let mut totals = RunningTotals::new(100, 10);
            (totals.shard, totals.position, totals.begin, totals.from) = (index, begin, begin, from);
            for at in (begin..end).step_by(10) {
                let first = if at == 0 { 1 } else { at };
                totals.add(10, &losses[first as usize..at as usize + 10], Mark::default(), 1.0, 0);
            }
            totals.look_at_memory(0);
            LongResult {
                model: "tiny".into(),
                trained_length: 16,
                tokens: 100,
                shard: Shard { index, count: 2 },
                notes: Vec::new(),
                runs: vec![LongRunResult { policy: "lm-infinite".into(), totals }],
            }
        })
    }

    pub(crate) fn merged() -> LongResult {
        let [mut whole, more] = shards();
        whole.runs[0].totals.merge(&more.runs[0].totals).expect("equal buckets");
        whole.shard = Shard::WHOLE;
        whole
    }

    #[test]
    fn a_summary_has_one_line_for_each_doubling_with_losses_and_all_of_the_last_one() {
        let lines = |result: &LongResult| -> Vec<String> {
            let text = result.summary();
            let words =
                text.lines().skip(3).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            words.collect()
        };
        let all = lines(&merged());
        assert_eq!(all[0], "1 … 2 1.0000", "the first token has no loss");
        assert_eq!(all[all.len() - 2..], ["32 … 64 47.5000", "64 … 100 81.5000"]);
        let [first, second] = shards();
        assert_eq!(lines(&first).last().map(String::as_str), Some("32 … 50 40.5000"), "0 to 49");
        assert_eq!(lines(&second), ["32 … 64 56.5000", "64 … 100 81.5000"], "50 to 99");
        let mut damaged = merged();
        damaged.runs[0].totals.logarithmic = lm_infinite_analysis::nll::NllByPosition::new(1);
        damaged.runs[0].totals.logarithmic.extend(1, &[f32::NAN]);
        assert_eq!(lines(&damaged), ["1 … 2 not finite from token 1 (1 token)"]);
    }

    /// The whole, with two losses from position `at` on that are not finite.
    pub(crate) fn broken(at: usize) -> LongResult {
        let mut shards = shards();
        let totals = &mut shards[1].runs[0].totals;
        for losses in [&mut totals.linear, &mut totals.logarithmic] {
            losses.extend(at as u64, &[f32::NAN, f32::INFINITY]);
        }
        let [mut whole, more] = shards;
        whole.runs[0].totals.merge(&more.runs[0].totals).expect("equal buckets");
        whole.shard = Shard::WHOLE;
        whole
    }

    #[test]
    fn a_loss_that_is_not_finite_is_said_in_words_json_and_tables_and_survives_a_merge() {
        let result = broken(70);
        assert!(result.summary().contains("not finite from token 70 (2 tokens)"), "{}", result.summary());
        let json = result.to_json(Path::new("out"));
        let run = &json["runs"][0];
        assert_eq!((&run["nll"], &run["perplexity"]), (&Value::Null, &Value::Null));
        assert_eq!((&run["non_finite_tokens"], &run["first_non_finite"]), (&json!(2), &json!(70)));
        let bucket = &run["buckets"][7];
        assert_eq!((&bucket["nll"], &bucket["non_finite_tokens"]), (&Value::Null, &json!(2)));
        assert!(run["buckets"][6]["nll"].is_f64() && run["buckets"][6].get("non_finite_tokens").is_none());
        // What is stored says the same when it is read again.
        let stored = serde_json::to_string(&result).expect("writes");
        let read: LongResult = serde_json::from_str(&stored).expect("reads");
        assert_eq!(read, result);
    }
}
