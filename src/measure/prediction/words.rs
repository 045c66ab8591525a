//! A prediction in sentences, and as the JSON that other programs rely on.

use lm_infinite_analysis::effect::MeanEffect;
use serde_json::{Value, json};

use super::result::{AtLength, Predicted, PredictedHead};
use crate::diagnose::{HeadEffect, Outcome, head_name};
use crate::words::{grouped, tokens};

/// Heads that a sentence names; the table has all.
const NAMED: usize = 8;

impl Predicted {
    /// What becomes of the loss, of the logits and of the entropy: a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let read = format!(
            "predicted from {} windows of {} tokens, nothing longer was read",
            grouped(self.windows as u64),
            grouped(self.trained_length)
        );
        let end = self.last().and_then(|at| at.loss).map_or(String::new(), |loss| {
            format!(
                ", {:+.2} nats ({:+.2} to {:+.2}, n = {}) at {}",
                loss.mean,
                loss.low,
                loss.high,
                grouped(loss.n as u64),
                grouped(self.length)
            )
        });
        let loss = match (self.outcome, self.onset) {
            _ if self.lengths.len() < 2 => "no length beyond the training length was asked for".to_owned(),
            (Outcome::Fails, Some(onset)) => {
                let [low, high] = onset.interval.map(grouped);
                format!("the loss fails from about {} on ({low} to {high}){end}", grouped(onset.at))
            }
            (Outcome::NotFinite, _) => format!(
                "the loss is not finite at {} ({})",
                grouped(self.non_finite.first.unwrap_or(self.length)),
                tokens(self.non_finite.count)
            ),
            (Outcome::Holds, _) => format!("the loss holds{end}; the margin is {}", self.margin),
            _ => format!("of the loss nothing can be told{end}; the margin is {}", self.margin),
        };
        let mut said = vec![format!("{read}: {loss}")];
        if self.lengths.len() < 2 {
            return said;
        }
        let count = self.heads.len();
        let from = |at: Option<u64>| at.map_or(String::new(), |at| format!(", from {} on", grouped(at)));
        let named = |exceeds: fn(&PredictedHead) -> bool, size: fn(&PredictedHead) -> Option<f64>| {
            let mut heads: Vec<&PredictedHead> = self.heads.iter().filter(|head| exceeds(head)).collect();
            heads.sort_by(|a, b| size(b).unwrap_or(0.0).total_cmp(&size(a).unwrap_or(0.0)));
            let more = if heads.len() > NAMED { ", …" } else { "" };
            let names: Vec<_> =
                heads.iter().take(NAMED).map(|head| head_name((head.layer, head.head))).collect();
            match heads.len() {
                0 => format!("none of {count} heads"),
                n => format!("{n} of {count} heads ({}{more})", names.join(", ")),
            }
        };
        let logits = named(PredictedHead::logits_exceed, PredictedHead::largest_logit_excess);
        said.push(format!("predicted logits: {}, in {logits}{}", self.logits, from(self.logits_at)));
        let entropy =
            named(PredictedHead::entropy_exceeds, |head| head.entropy.map(|entropy| entropy.effect.mean));
        let effect =
            self.entropy_effect.map_or(String::new(), |MeanEffect { mean, low, high, n, .. }| {
                format!(
                    ", {mean:+.2} nats ({low:+.2} to {high:+.2}, n = {} queries) in the mean over heads",
                    grouped(n as u64)
                )
            });
        let at = from(self.entropy_at);
        said.push(format!("predicted entropy: {}{effect}{at}; it exceeds in {entropy}", self.entropy));
        said
    }

    /// `"predicted"` of `diagnose --json`.
    pub fn to_json(&self) -> Value {
        let effect = |effect: Option<MeanEffect>| {
            effect.map(|MeanEffect { mean, low, high, n, .. }| {
                json!({ "effect": mean, "interval": [low, high], "n": n })
            })
        };
        let of_head = |of: Option<HeadEffect>| {
            let mut json = effect(of.map(|of| of.effect))?;
            json["exceeds"] = of.is_some_and(|of| of.exceeds).into();
            json["from"] = of.and_then(|of| of.from).into();
            Some(json)
        };
        let last = self.last().and_then(|at| at.loss).filter(|_| self.lengths.len() > 1);
        json!({
            "length": self.length,
            "windows": self.windows,
            "loss": {
                "outcome": self.outcome,
                "effect": last.map(|loss| loss.mean),
                "interval": last.map(|loss| [loss.low, loss.high]),
                "n": last.map(|loss| loss.n),
                "margin": self.margin,
                "onset": self.onset,
                "non_finite_tokens": self.non_finite.count,
            },
            "logits": { "outcome": self.logits, "at": self.logits_at },
            "entropy": {
                "outcome": self.entropy,
                "effect": self.entropy_effect.map(|effect| effect.mean),
                "interval": self.entropy_effect.map(|effect| [effect.low, effect.high]),
                "at": self.entropy_at,
            },
            "lengths": self.lengths.iter().map(|at: &AtLength| json!({
                "length": at.length,
                "loss": effect(at.loss),
                "entropy": effect(at.entropy),
                "entropy_excess": effect(at.entropy_excess),
            })).collect::<Vec<_>>(),
            "heads": self.heads.iter().map(|head| json!({
                "layer": head.layer,
                "head": head.head,
                "logits": of_head(head.logits),
                "logits_on_start": of_head(head.logits_on_start),
                "entropy": of_head(head.entropy),
            })).collect::<Vec<_>>(),
        })
    }
}
