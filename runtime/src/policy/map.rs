//! A policy for most heads of a model, and others for some layers or heads.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AttentionPolicy, RetrievedKeys};
use crate::error::{Error, Result};

/// The policy of every head of a model. Written as JSON, a map without exceptions is its one policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyMap {
    /// Of every head that no exception names.
    #[serde(flatten)]
    default: AttentionPolicy,
    /// Later ones go before earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exceptions: Vec<Exception>,
}

/// Another policy in one layer, or in one head of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Exception {
    /// From 0.
    layer: usize,
    /// From 0; `None`: all of the layer.
    head: Option<usize>,
    policy: AttentionPolicy,
}

impl From<AttentionPolicy> for PolicyMap {
    fn from(default: AttentionPolicy) -> Self {
        Self { default, exceptions: Vec::new() }
    }
}

impl PolicyMap {
    /// The same with `policy` in all heads of `layer`.
    #[must_use]
    pub fn with_layer(mut self, layer: usize, policy: AttentionPolicy) -> Self {
        self.exceptions.push(Exception { layer, head: None, policy });
        self
    }

    /// The same with `policy` in one head.
    #[must_use]
    pub fn with_head(mut self, layer: usize, head: usize, policy: AttentionPolicy) -> Self {
        self.exceptions.push(Exception { layer, head: Some(head), policy });
        self
    }

    /// The policy of heads that are not named.
    pub fn default_policy(&self) -> &AttentionPolicy {
        &self.default
    }

    /// What head `head` of layer `layer` does ([`AttentionPolicy::at_layer`]).
    pub fn at(&self, layer: usize, head: usize) -> AttentionPolicy {
        let named = |exception: &&Exception| {
            exception.layer == layer && exception.head.is_none_or(|only| only == head)
        };
        let exception = self.exceptions.iter().rev().find(named);
        exception.map_or(&self.default, |exception| &exception.policy).at_layer(layer)
    }

    /// The policies of layer `layer` with `heads` heads, whose own attention has the window `own` ([`AttentionPolicy::within`]).
    pub fn layer(&self, layer: usize, heads: usize, own: Option<u64>) -> LayerPolicies {
        let mut distinct = Vec::new();
        let of_heads = (0..heads)
            .map(|head| {
                let policy = self.at(layer, head).within(own);
                distinct.iter().position(|known| *known == policy).unwrap_or_else(|| {
                    distinct.push(policy);
                    distinct.len() - 1
                })
            })
            .collect();
        LayerPolicies { distinct, of_heads }
    }

    /// Refuses policies that make no sense, each by itself or beside the others, and layers or heads that a model of `layers`
    /// layers of `heads` heads does not have.
    ///
    /// # Errors
    /// As said; the message names the policy.
    pub fn validate(&self, layers: usize, heads: usize) -> Result<()> {
        let refuse = |policy: &AttentionPolicy, reason: String| {
            Err(Error::Policy { policy: policy.to_string(), reason })
        };
        self.default.validate()?;
        for Exception { layer, head, policy } in &self.exceptions {
            policy.validate()?;
            if *layer >= layers || head.is_some_and(|head| head >= heads) {
                let head = head.map_or(String::new(), |head| format!(", head {head}"));
                let reason = format!("no layer {layer}{head} in a model of {layers} layers of {heads} heads");
                return refuse(policy, reason);
            }
            if policy.scaling != self.default.scaling {
                let reason = "its position encoding is scaled in another way than that of the other heads; all heads \
                              of a session share one encoding";
                return refuse(policy, reason.to_owned());
            }
        }
        for layer in 0..if self.exceptions.is_empty() { 0 } else { layers } {
            let policies = self.layer(layer, heads, None);
            let kept = policies.kept();
            // Old keys begin behind the start tokens of the cache.
            let other =
                policies.distinct.iter().find(|own| own.retrieved.is_some() && own.start != kept.start);
            if let Some(policy) = other.filter(|_| kept.window.is_some()) {
                let reason = format!(
                    "it retrieves keys in layer {layer}, where another head keeps {} start tokens; heads of one layer must keep as \
                     many beside retrieved keys",
                    kept.start
                );
                return refuse(policy, reason);
            }
        }
        Ok(())
    }
}

impl fmt::Display for PolicyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default)?;
        for Exception { layer, head, policy } in &self.exceptions {
            let head = head.map_or(String::new(), |head| format!(", head {head}"));
            write!(f, "; layer {layer}{head}: {policy}")?;
        }
        Ok(())
    }
}

/// The policies of the heads of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerPolicies {
    /// Each once.
    distinct: Vec<AttentionPolicy>,
    /// Index in `distinct`. [heads]
    of_heads: Vec<usize>,
}

impl LayerPolicies {
    /// The policies, each once, in the order of the first head that has it.
    pub fn distinct(&self) -> &[AttentionPolicy] {
        &self.distinct
    }

    /// The place of `head`'s policy among them.
    pub fn index(&self, head: usize) -> usize {
        self.of_heads[head]
    }

    /// The policy of `head`.
    pub fn of_head(&self, head: usize) -> &AttentionPolicy {
        &self.distinct[self.of_heads[head]]
    }

    /// A policy that keeps every key that one of them needs: what the cache of the layer is made for.
    pub fn kept(&self) -> AttentionPolicy {
        if let [only] = self.distinct.as_slice() {
            return only.clone();
        }
        let windows: Option<Vec<u64>> = self.distinct.iter().map(|policy| policy.window).collect();
        let window = windows.and_then(|windows| windows.into_iter().max());
        let start = self.distinct.iter().map(|policy| policy.start).max().unwrap_or(0);
        // Without a window everything is held, and old keys lie among the others.
        let retrieved: Option<RetrievedKeys> = self.distinct.iter().find_map(|policy| policy.retrieved);
        AttentionPolicy {
            start: window.map_or(0, |_| start),
            window,
            retrieved: retrieved.filter(|_| window.is_some()),
            ..AttentionPolicy::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PositionScaling, Positions};

    fn windowed(start: u64, window: u64) -> AttentionPolicy {
        AttentionPolicy { start, window: Some(window), ..Default::default() }
    }

    #[test]
    fn the_last_exception_that_names_a_head_holds() {
        let map = PolicyMap::from(AttentionPolicy::default())
            .with_layer(1, windowed(0, 4))
            .with_head(1, 2, windowed(1, 5))
            .with_head(0, 0, windowed(2, 6));
        let window = |layer, head| map.at(layer, head).window;
        assert_eq!([window(0, 0), window(0, 1)], [Some(6), None]);
        assert_eq!([window(1, 0), window(1, 2)], [Some(4), Some(5)]);
        let layer = map.layer(1, 4, None);
        assert_eq!(layer.distinct().len(), 2);
        assert_eq!([0, 1, 2, 3].map(|head| layer.index(head)), [0, 0, 1, 0]);
        assert_eq!(layer.of_head(2), &windowed(1, 5));
        assert!(map.to_string().ends_with("layer 0, head 0: start=2,window=6"), "{map}");
        assert_eq!(map.with_layer(1, windowed(0, 9)).layer(1, 4, None).distinct().len(), 1);
    }

    #[test]
    fn what_is_kept_is_enough_for_all() {
        let map = |policy: AttentionPolicy| PolicyMap::from(windowed(3, 6)).with_head(0, 1, policy);
        let kept = |policy| map(policy).layer(0, 2, None).kept();
        assert_eq!(kept(windowed(1, 9)), windowed(3, 9));
        assert_eq!(kept(AttentionPolicy::default()), AttentionPolicy::default());
        let in_cache = AttentionPolicy { positions: Positions::InCache, ..windowed(3, 6) };
        assert_eq!(kept(in_cache), windowed(3, 6));
        assert_eq!(PolicyMap::from(windowed(3, 6)).layer(0, 2, None).kept(), windowed(3, 6));
        let retrieved = Some(RetrievedKeys { k: 2, from_layer: 0, distance: 3 });
        assert_eq!(kept(AttentionPolicy { retrieved, ..windowed(3, 5) }).retrieved, retrieved);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let map = || PolicyMap::from(windowed(3, 6));
        let retrieved = Some(RetrievedKeys { k: 2, from_layer: 0, distance: 3 });
        let scaled =
            AttentionPolicy { scaling: PositionScaling::Linear { factor: 2.0 }, ..Default::default() };
        for (map, reason) in [
            (map().with_layer(2, windowed(0, 1)), "no layer 2 in a model"),
            (map().with_head(0, 4, windowed(0, 1)), "no layer 0, head 4"),
            (map().with_head(0, 0, windowed(0, 0)), "window must be at least 1"),
            (map().with_head(0, 0, scaled), "scaled in another way"),
            (map().with_head(1, 0, AttentionPolicy { retrieved, ..windowed(2, 6) }), "keeps 3 start tokens"),
            (PolicyMap::from(windowed(0, 0)), "window must be at least 1"),
        ] {
            let message = map.validate(2, 4).expect_err(reason).to_string();
            assert!(message.contains(reason), "{message}");
        }
        assert!(
            map().with_head(1, 0, AttentionPolicy { retrieved, ..windowed(3, 6) }).validate(2, 4).is_ok()
        );
    }

    #[test]
    fn a_map_without_exceptions_is_written_as_its_policy() {
        let policy = windowed(3, 6);
        let map = PolicyMap::from(policy.clone());
        let text = serde_json::to_string(&policy).expect("JSON");
        assert_eq!(serde_json::to_string(&map).expect("JSON"), text);
        assert_eq!(serde_json::from_str::<PolicyMap>(&text).expect("an older snapshot's"), map);
        let map = map.with_head(1, 0, windowed(0, 2));
        let text = serde_json::to_string(&map).expect("JSON");
        assert_eq!(serde_json::from_str::<PolicyMap>(&text).expect("the same"), map);
    }
}
