//! What a method changes about attention, as data: independent toggles, not a class per method.

mod map;
mod preset;
mod region;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use map::{LayerPolicies, PolicyMap};
pub use preset::{PRESETS, PolicySpec, parse_length, with_key};
pub use region::{Region, Spans, region};

use crate::error::{Error, Result};

/// A list of this many keys is kept for every query of a block.
const MOST_MIDDLE: u64 = 1 << 16;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub middle: Option<Middle>,
    /// Start tokens that are dropped, although there is no window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DroppedStart>,
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
pub struct Middle {
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

/// Scaling of the position encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum PositionScaling {
    /// None.
    #[default]
    None,
    /// Position interpolation (Chen et al. 2023, arXiv 2306.15595): positions divided by `factor`.
    Linear {
        /// Ratio of the wanted to the trained length.
        factor: f64,
    },
    /// NTK-aware: RoPE's base becomes `base · factor^(dim / (dim − 2))`.
    Ntk {
        /// Ratio of the wanted to the trained length.
        factor: f64,
    },
    /// YaRN (Peng et al. 2023, arXiv 2309.00071), "NTK by parts" with attention temperature.
    Yarn {
        /// Ratio of the wanted to the trained length.
        factor: f64,
        /// Length the model was trained on, in tokens.
        original_length: u64,
        /// Rotations over `original_length` above which a dimension is left alone (published: 32).
        beta_fast: f64,
        /// Rotations below which a dimension is fully interpolated (published: 1).
        beta_slow: f64,
    },
    /// Llama 3.1's frequency bands, as checkpoints of that family declare them.
    Llama3 {
        /// Ratio of the wanted to the trained length.
        factor: f64,
        /// Length of the first training stage, in tokens.
        original_length: u64,
        /// Wavelengths above `original_length / low_frequency` are divided by `factor`.
        low_frequency: f64,
        /// Wavelengths below `original_length / high_frequency` are left alone.
        high_frequency: f64,
    },
}

impl fmt::Display for PositionScaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "not scaled"),
            Self::Linear { factor } => write!(f, "positions divided by {factor}"),
            Self::Ntk { factor } => write!(f, "NTK-aware scaling by {factor}"),
            Self::Yarn { factor, original_length, .. } => {
                write!(f, "YaRN by {factor} from {original_length} tokens")
            }
            Self::Llama3 { factor, original_length, .. } => {
                write!(f, "Llama 3 scaling by {factor} from {original_length} tokens")
            }
        }
    }
}

impl AttentionPolicy {
    /// Keys in start and window together; `None` without a window. A layer with [`Self::middle`] needs all others too.
    pub fn kept_keys(&self) -> Option<u64> {
        self.window.map(|window| window.saturating_add(self.start))
    }

    /// What layer `layer` (counted from 0) does: `middle` is there only where it has an effect.
    #[must_use]
    pub fn at_layer(&self, layer: usize) -> Self {
        let middle = self.middle.filter(|middle| middle.k > 0 && middle.from_layer <= layer as u64);
        Self { middle, ..self.clone() }
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
        if let Some(middle) = self.middle {
            if self.window.is_none() {
                return refuse("retrieved keys need a window: without one every key is attended".into());
            }
            if let Some(window) = self.window.filter(|&window| middle.distance > window) {
                return refuse(format!(
                    "distance of retrieved keys is {}, beyond the window of {window}: no key that the window shows is as far; give \
                     distance={window} or less, or leave it out and it is half of the window",
                    middle.distance
                ));
            }
            if middle.distance == 0 {
                return refuse("distance of retrieved keys must be at least 1, got 0".into());
            }
            if middle.k > MOST_MIDDLE {
                return refuse(format!("k must be at most {MOST_MIDDLE}, got {}", middle.k));
            }
        }
        self.scaling.validate().or_else(refuse)
    }
}

impl PositionScaling {
    fn validate(&self) -> std::result::Result<(), String> {
        let positive = |name: &str, value: f64, least: f64| {
            if value.is_finite() && value >= least {
                Ok(())
            } else {
                Err(format!("{name} must be a number ≥ {least}, got {value}"))
            }
        };
        match *self {
            Self::None => Ok(()),
            Self::Linear { factor } | Self::Ntk { factor } => positive("factor", factor, 1.0),
            Self::Yarn { factor, original_length, beta_fast, beta_slow } => {
                positive("factor", factor, 1.0)?;
                positive("original length", original_length as f64, 1.0)?;
                positive("beta_slow", beta_slow, 1e-6)?;
                positive("beta_fast", beta_fast, beta_slow)
            }
            Self::Llama3 { factor, original_length, low_frequency, high_frequency } => {
                positive("factor", factor, 1.0)?;
                positive("original length", original_length as f64, 1.0)?;
                positive("low_frequency", low_frequency, 1e-6)?;
                if high_frequency > low_frequency {
                    Ok(())
                } else {
                    Err("high_frequency must exceed low_frequency".into())
                }
            }
        }
    }
}
