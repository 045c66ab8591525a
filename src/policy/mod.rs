//! What a method changes about attention, as data: independent toggles, not a class per method.

mod preset;
mod region;

use serde::{Deserialize, Serialize};

pub use preset::{PRESETS, PolicySpec, parse_length};
pub use region::{Region, Spans, region};

use crate::error::{Error, Result};

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
    /// Change to the position encoding itself; [`PositionScaling::None`] keeps the checkpoint's own.
    pub scaling: PositionScaling,
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

impl AttentionPolicy {
    /// Largest number of keys that are ever needed; `None` without a window.
    pub fn kept_keys(&self) -> Option<u64> {
        self.window.map(|window| window.saturating_add(self.start))
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
