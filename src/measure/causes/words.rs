//! Causes in sentences, and as the JSON that other programs rely on.

use lm_infinite_analysis::causes::{ByCause, Cause, Share};
use lm_infinite_analysis::effect::MeanEffect;
use serde_json::{Value, json};

use super::places::{HeadEffect, LayerEffect};
use super::result::Causes;
use super::smallest::{Place, SmallestFix};
use crate::diagnose::head_name;
use crate::words::{grouped, not_finite_from, tokens};

/// Places that a sentence names; the table has all.
const NAMED: usize = 8;

impl Causes {
    /// What fails by how much, because of what, where, what the smallest fix is, and what predicts it: a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        for run in self.runs.iter().filter(|run| run.non_finite_tokens > 0) {
            let sentence = format!(
                "the loss of {} is {} ({}): no shares",
                run.policy,
                not_finite_from("token", run.first_non_finite),
                tokens(run.non_finite_tokens)
            );
            // Two cells of the factorial may be one policy.
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
        let Some(effects) = self.factorial.effects else {
            if said.is_empty() {
                let from = grouped(self.from);
                said.push(format!("too few tokens from token {from} on to tell causes apart: no shares"));
            }
            return said;
        };
        let vanilla = effects.vanilla;
        said.push(match vanilla.shares {
            Some([distances, keys]) => format!(
                "of {} that vanilla costs more than lm-infinite (both keep the start tokens): distances {distances}, \
                 number of keys {keys}",
                nats(&vanilla.excess)
            ),
            None => format!(
                "vanilla costs {} more than lm-infinite from token {} on: there is nothing to explain",
                nats(&vanilla.excess),
                grouped(self.from)
            ),
        });
        said.push(match &effects.shares {
            Some(shares) => format!(
                "of {} with start tokens dropped as well: {}",
                nats(&effects.total),
                Cause::ALL.map(|cause| format!("{cause} {}", shares.get(cause))).join(", ")
            ),
            None => format!(
                "with start tokens dropped as well the model costs {} more: there is nothing to explain",
                nats(&effects.total)
            ),
        });
        said.extend(self.temperature.as_ref().map(|remedy| remedy.words()));
        said.extend(self.where_words());
        said.extend(self.smallest_fix.as_ref().map(|fix| fix.words()));
        said.extend(self.prediction_words());
        said.extend(self.notes.iter().map(ToString::to_string));
        said
    }

    fn where_words(&self) -> Option<String> {
        let places = self.places.as_ref()?;
        let best_layer = most(&places.layers, |effect| effect.restored.map(|restored| restored.share));
        let needed = most(&places.layers, |effect| effect.lost.map(|lost| lost.share));
        let best_head = most(&places.heads, |effect| effect.restored.map(|restored| restored.share));
        let mut parts = Vec::new();
        if let Some((LayerEffect { layer, .. }, share)) = best_layer {
            parts.push(format!("the fix in one layer restores most in L{layer}: {share}"));
        }
        if let Some((HeadEffect { layer, head, .. }, share)) = best_head {
            parts.push(format!("in one head most in {}: {share}", head_name((layer, head))));
        }
        if let Some((LayerEffect { layer, .. }, share)) = needed {
            parts.push(format!("everywhere but in L{layer} it leaves most of the excess: {share}"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn prediction_words(&self) -> Option<String> {
        let known: Vec<String> = self
            .predictions
            .iter()
            .filter_map(|prediction| Some(format!("{} {}", prediction.quantity, prediction.correlation?)))
            .collect();
        (!known.is_empty()).then(|| {
            format!("rank correlation over heads with what the fix in each restores: {}", known.join(", "))
        })
    }

    /// The part `causes` of `diagnose --json`: `{"excess","interval","shares",…}`.
    pub fn to_json(&self) -> Value {
        let effects = self.factorial.effects.as_ref();
        let share = |share: &Share| json!({ "share": share.share, "interval": share.interval });
        let by_cause = |shares: &ByCause<Share>| {
            json!({
                "distances": share(&shares.distances),
                "keys": share(&shares.keys),
                "start": share(&shares.start),
            })
        };
        let mut json = json!({
            "from": self.from,
            "n": self.factorial.n,
            "excess": effects.map(|effects| effects.total.mean),
            "interval": effects.map(|effects| [effects.total.low, effects.total.high]),
            "shares": effects.and_then(|effects| effects.shares.as_ref()).map(by_cause),
            "vanilla": effects.map(|effects| {
                let vanilla = &effects.vanilla;
                json!({
                    "excess": vanilla.excess.mean,
                    "interval": [vanilla.excess.low, vanilla.excess.high],
                    "shares": vanilla.shares.as_ref().map(|[distances, keys]| json!({
                        "distances": share(distances),
                        "keys": share(keys),
                    })),
                })
            }),
            "policies": self.runs,
        });
        if let Some(places) = &self.places {
            let layer = |effect: &LayerEffect| {
                json!({
                    "layer": effect.layer,
                    "restored": effect.restored.map(|restored| restored.share.share),
                    "interval": effect.restored.map(|restored| restored.share.interval),
                    "lost_without": effect.lost.map(|lost| lost.share.share),
                    "lost_without_interval": effect.lost.map(|lost| lost.share.interval),
                })
            };
            let head = |effect: &HeadEffect| {
                json!({
                    "layer": effect.layer,
                    "head": effect.head,
                    "restored": effect.restored.map(|restored| restored.share.share),
                    "interval": effect.restored.map(|restored| restored.share.interval),
                })
            };
            json["layers"] = places.layers.iter().map(layer).collect();
            json["heads"] = places.heads.iter().map(head).collect();
        }
        if let Some(fix) = &self.smallest_fix {
            let heads: Vec<_> =
                fix.places.iter().filter_map(|place| Some([place.layer, place.head?])).collect();
            let layers: Vec<_> =
                fix.places.iter().filter(|place| place.head.is_none()).map(|place| place.layer).collect();
            json["smallest_fix"] = json!({
                "heads": heads,
                "layers": layers,
                "of": fix.of,
                "restored": fix.restored.share.share,
                "interval": fix.restored.share.interval,
                "random": fix.random,
                "cache_bytes": fix.cache_bytes,
                "cache_bytes_vanilla": fix.cache_bytes_vanilla,
                "attended_share": fix.attended_share,
            });
        }
        if let Some(remedy) = &self.temperature {
            json["temperature"] = json!({
                "policy": remedy.policy,
                "restored": remedy.restored.mean,
                "interval": [remedy.restored.low, remedy.restored.high],
                "share_of_fewer_keys": remedy.share.as_ref().map(share),
            });
        }
        if !self.predictions.is_empty() {
            json["predictions"] = json!(self.predictions);
        }
        json
    }
}

impl SmallestFix {
    /// In a sentence.
    pub fn words(&self) -> String {
        let heads = self.places.iter().any(|place| place.head.is_some());
        let what = if heads { "heads" } else { "layers" };
        let mut names: Vec<String> = self.places.iter().take(NAMED).map(Place::name).collect();
        if self.places.len() > NAMED {
            names.push("…".to_owned());
        }
        let random = self.random.map_or(String::new(), |random| {
            let [mean, low, high] =
                [random.mean, random.range[0], random.range[1]].map(|share| (100.0 * share).round());
            format!("; {} random sets as large restore {mean} % in the mean ({low} to {high})", random.draws)
        });
        let saved = |part: f64| (100.0 * (1.0 - part)).round().max(0.0);
        format!(
            "the fix in {} of {} {what} ({}) restores {}{random}; it saves {} % of the cache and {} % of the attended pairs",
            self.places.len(),
            self.of,
            names.join(", "),
            self.restored.share,
            saved(self.cache_bytes as f64 / self.cache_bytes_vanilla.max(1) as f64),
            saved(self.attended_share),
        )
    }
}

impl Place {
    /// `L3 H1` for a head, `L3` for the layer.
    pub fn name(&self) -> String {
        self.head.map_or_else(|| format!("L{}", self.layer), |head| head_name((self.layer, head)))
    }
}

/// `+2.39 nats (2.18 to 2.65)`.
fn nats(effect: &MeanEffect) -> String {
    format!("{:+.2} nats ({:.2} to {:.2})", effect.mean, effect.low, effect.high)
}

/// The place with the largest share.
fn most<T: Copy>(places: &[T], share: impl Fn(&T) -> Option<Share>) -> Option<(T, Share)> {
    let known = places.iter().filter_map(|place| Some((*place, share(place)?)));
    known.max_by(|a, b| a.1.share.total_cmp(&b.1.share))
}
