//! Methods side by side on one model: what each keeps of the loss and of retrieval, and what it costs in memory and time.

use std::fmt::Write;

use lm_infinite_analysis::Proportion;
use serde::{Deserialize, Serialize};

use crate::ablation::AblationRun;
use crate::bench::BenchRun;
use crate::words::{grouped, not_finite_from};

/// What was found of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// As written.
    pub policy: String,
    /// Loss above the same tokens within the training length.
    pub loss: AblationRun,
    /// Passkeys found at each length.
    pub retrieval: Vec<Retrieved>,
    /// Memory and speed at the whole length.
    pub cost: BenchRun,
}

/// Passkeys found at one length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retrieved {
    /// Tokens of a prompt.
    pub length: u64,
    /// Share of the keys that were found.
    pub share: Proportion,
    /// Prompts without an answer, because the logits after them are not finite.
    pub not_finite: u64,
}

/// A comparison of methods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the model.
    pub model: String,
    /// L_pretrain.
    pub trained_length: u64,
    /// Tokens of a segment, and the length that memory and speed are of.
    pub tokens: u64,
    /// Segments that the loss is a mean over.
    pub segments: u64,
    /// Prompts at each length.
    pub samples: u64,
    /// One per method.
    pub methods: Vec<Compared>,
}

impl Compared {
    /// The longest prompts.
    pub fn longest(&self) -> Option<&Retrieved> {
        self.retrieval.last()
    }
}

impl Comparison {
    /// A line for each method.
    pub fn summary(&self) -> String {
        let mut words = format!(
            "{}, trained on {} tokens. Loss: mean over tokens {} to {} above the same tokens within the training length, {} segments, with \
             95 % intervals over segments. Keys: passkeys found, {} prompts a length, with 95 % intervals (Wilson). Memory and speed at {} \
             tokens\n\n",
            self.model,
            grouped(self.trained_length),
            grouped(self.trained_length),
            grouped(self.tokens.saturating_sub(1)),
            self.segments,
            self.samples,
            grouped(self.tokens),
        );
        let width = self.methods.iter().map(|method| method.policy.chars().count()).max().unwrap_or(0).max(6);
        let lengths: Vec<u64> = self
            .methods
            .first()
            .map(|method| method.retrieval.iter().map(|retrieved| retrieved.length).collect())
            .unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(words, "{:<width$}  {:>24}", "policy", "loss (nats)");
        for &length in &lengths {
            let _ = write!(words, "  {:>18}", format!("keys at {}", grouped(length)));
        }
        let _ = writeln!(words, "  {:>9}  {:>11}  {:>10}", "cache MB", "prefill t/s", "decode t/s");
        for method in &self.methods {
            let _ = write!(words, "{:<width$}  {:>24}", method.policy, loss(&method.loss));
            for retrieved in &method.retrieval {
                let lost = if retrieved.not_finite > 0 { " NaN" } else { "" };
                let _ = write!(words, "  {:>18}", format!("{}{lost}", percent(&retrieved.share)));
            }
            let cost = &method.cost;
            let _ = writeln!(
                words,
                "  {:>9.1}  {:>11.0}  {:>10.1}",
                cost.kv_cache_bytes as f64 / 1e6,
                cost.prefill_tokens_per_second,
                cost.decode_tokens_per_second
            );
        }
        words
    }
}

fn percent(share: &Proportion) -> String {
    let [share, low, high] = [share.share, share.low, share.high].map(|share| 100.0 * share);
    format!("{share:.0} % ({low:.0} to {high:.0})")
}

fn loss(run: &AblationRun) -> String {
    match run.beyond.as_ref().map(|bucket| (bucket.nll, bucket.band)) {
        Some((None, _)) => not_finite_from("token", run.first_non_finite),
        Some((Some(nll), Some((low, high)))) => format!("{nll:+.2} ({low:+.2} to {high:+.2})"),
        Some((Some(nll), None)) => format!("{nll:+.2} (no interval)"),
        None => "none beyond".into(),
    }
}
