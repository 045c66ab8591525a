//! What a method changes about attention, as data: independent toggles, not a class per method.

mod map;
mod own;
mod preset;
mod region;
mod remap;
mod scaling;
mod spec;
mod temperature;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use map::{LayerPolicies, PolicyMap};
pub use preset::PRESETS;
pub use region::{Region, Spans, region};
pub use remap::DistanceRemap;
pub use scaling::{LongRopeFactors, PositionScaling};
pub use spec::{PolicySpec, parse_length, with_key};
pub use temperature::Temperature;

use crate::error::{Error, Result};

/// A list of this many keys is kept for every query of a block.
const MOST_RETRIEVED: u64 = 1 << 16;

/// Which keys a query attends to, and which distances the position encoding is given.
///
/// Source: LM-Infinite (arXiv 2308.16137) section 3; StreamingLLM (arXiv 2309.17453) for [`Positions::InCache`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttentionPolicy {
    /// Number of start tokens that are always attended.
    pub start: u64,
    /// `Some(W)`: keys at distance `0 ≤ d < W` are attended; `None`: all of them.
    pub window: Option<u64>,
    /// `Some(C)`: the position encoding is given `min(d, C)`.
    pub ceiling: Option<u64>,
    /// Which positions distances are counted in.
    pub positions: Positions,
    /// Keys between start and window that are attended all the same.
    #[serde(rename = "middle", default, skip_serializing_if = "Option::is_none")]
    pub retrieved: Option<RetrievedKeys>,
    /// Start tokens that are dropped, although there is no window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DroppedStart>,
    /// Distances mapped to others by position; without a ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remap: Option<DistanceRemap>,
    /// Queries that grow with the number of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Temperature>,
    /// Change to the position encoding itself; [`PositionScaling::None`] keeps the checkpoint's own.
    pub scaling: PositionScaling,
}

/// The first `tokens` keys are attended at distances `0 ≤ d < beyond` alone, as under a window of `beyond`; every later key is
/// attended at any distance. So nothing is lost but the start tokens, as far as a window would lose them.
///
/// Source: the third factor of LM-Infinite, section 3, taken alone: its paper measures it by windows, which drop all old keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedStart {
    /// Number of start tokens.
    pub tokens: u64,
    /// First distance at which they are not attended.
    pub beyond: u64,
}

/// The keys between start tokens and window that a query attends to: per head, the `k` with the largest logit at `distance`.
/// Of equal logits the earlier key counts as larger; a logit that is not a number is never chosen.
///
/// Source: LM-Infinite section 3.3 (its code does so for the last query only; here for every query).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrievedKeys {
    /// Keys per head, at most.
    pub k: u64,
    /// First layer that has them, counted from 0.
    pub from_layer: u64,
    /// Distance that the position encoding is given for them.
    pub distance: u64,
}

/// How the distance between a query and a key is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// The distance in the text.
    #[default]
    True,
    /// The distance among the keys that are kept: start key `j` is seen from query `i` at `min(i, start + window − 1) − j`.
    InCache,
}

impl AttentionPolicy {
    /// Keys in start and window together; `None` without a window. A layer with [`Self::retrieved`] needs all others too.
    pub fn kept_keys(&self) -> Option<u64> {
        self.window.map(|window| window.saturating_add(self.start))
    }

    /// What layer `layer` (counted from 0) does: `retrieved` is there only where it has an effect.
    #[must_use]
    pub fn at_layer(&self, layer: usize) -> Self {
        let retrieved = self.retrieved.filter(|keys| keys.k > 0 && keys.from_layer <= layer as u64);
        Self { retrieved, ..self.clone() }
    }

    /// Refuses a policy that makes no sense by itself.
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::Policy { policy: self.to_string(), reason });
        if self.window == Some(0) {
            return refuse("window must be at least 1 (a query attends to itself), got 0".into());
        }
        if self.ceiling == Some(0) {
            return refuse("ceiling must be at least 1, got 0".into());
        }
        if self.start > 0 && self.window.is_none() {
            return refuse(format!("start={} needs a window: without one every key is attended", self.start));
        }
        if self.kept_keys().is_some_and(|n| n > 1 << 48) {
            return refuse("start + window is larger than any cache (2^48)".into());
        }
        if self.positions == Positions::InCache {
            if self.window.is_none() {
                return refuse("positions counted in the cache need a window".into());
            }
            if self.ceiling.is_some() {
                return refuse(
                    "positions counted in the cache are bounded already; leave out the ceiling".into(),
                );
            }
        }
        if let Some(dropped) = self.dropped {
            if self.window.is_some() {
                return refuse(
                    "a window drops start tokens by itself (start=0); without start tokens there is no window".into(),
                );
            }
            if dropped.tokens == 0 {
                return refuse("start tokens that are dropped must be at least 1, got 0".into());
            }
            if dropped.beyond == 0 {
                return refuse("beyond must be at least 1 (a query attends to itself), got 0".into());
            }
        }
        if let Some(retrieved) = self.retrieved {
            if self.window.is_none() {
                return refuse("retrieved keys need a window: without one every key is attended".into());
            }
            if let Some(window) = self.window.filter(|&window| retrieved.distance > window) {
                return refuse(format!(
                    "distance of retrieved keys is {}, beyond the window of {window}: no key that the window shows is as far; give \
                     distance={window} or less, or leave it out and it is half of the window",
                    retrieved.distance
                ));
            }
            if retrieved.distance == 0 {
                return refuse("distance of retrieved keys must be at least 1, got 0".into());
            }
            if retrieved.k > MOST_RETRIEVED {
                return refuse(format!("k must be at most {MOST_RETRIEVED}, got {}", retrieved.k));
            }
        }
        if let Some(remap) = self.remap {
            if self.ceiling.is_some() || self.positions == Positions::InCache {
                return refuse(
                    "grouped or chunked positions are a rule for distances, and so is a ceiling or a position in the cache; \
                     give one of them"
                        .into(),
                );
            }
            remap.validate().or_else(refuse)?;
        }
        if self.temperature.is_some_and(|temperature| temperature.from < 2) {
            return refuse("from must be at least 2 keys (ln 1 is 0)".into());
        }
        self.scaling.validate().or_else(refuse)
    }
}

impl fmt::Display for AttentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start={}", self.start)?;
        if let Some(window) = self.window {
            write!(f, ",window={window}")?;
        }
        if let Some(ceiling) = self.ceiling {
            write!(f, ",ceiling={ceiling}")?;
        }
        if self.positions == Positions::InCache {
            write!(f, ",positions=in-cache")?;
        }
        if let Some(DroppedStart { tokens, beyond }) = self.dropped {
            write!(f, ",dropped={tokens},beyond={beyond}")?;
        }
        if let Some(RetrievedKeys { k, from_layer, distance }) = self.retrieved {
            write!(f, ",k={k},from_layer={from_layer},distance={distance}")?;
        }
        match self.remap {
            None => {}
            Some(DistanceRemap::Grouped { group, window }) => write!(f, ",group={group},neighbors={window}")?,
            Some(DistanceRemap::Chunked { chunk, local }) => write!(f, ",chunk={chunk},local={local}")?,
        }
        if let Some(Temperature { from }) = self.temperature {
            write!(f, ",temperature-from={from}")?;
        }
        match self.scaling {
            PositionScaling::None => Ok(()),
            PositionScaling::Linear { factor } => write!(f, ",pi={factor}"),
            PositionScaling::Ntk { factor } => write!(f, ",ntk={factor}"),
            PositionScaling::Yarn { factor, .. } => write!(f, ",yarn={factor}"),
            PositionScaling::Llama3 { factor, .. } => write!(f, ",llama3={factor}"),
            PositionScaling::DynamicNtk { factor, .. } => write!(f, ",dynamic-ntk={factor}"),
            PositionScaling::LongRope { .. } => write!(f, ",longrope"),
        }
    }
}
