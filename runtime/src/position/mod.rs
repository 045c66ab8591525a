//! Position encodings: what the logit of a query and a key is at a given distance, one pair at a time and in bulk.

mod alibi;
mod rope;

use num_traits::Float;

pub use alibi::alibi_slopes;
pub use rope::{Rope, RotaryTable};

use crate::error::{Error, Result};
use crate::model::config::{ModelConfig, PositionConfig};
use crate::policy::PositionScaling;

/// How distance enters the attention logit.
#[derive(Clone, Debug, PartialEq)]
pub enum PositionEncoding {
    /// Rotary: `w = (R_d q)·k / sqrt(head_dim)`, pairs `(j, j + dim/2)`.
    Rope(Rope),
    /// `w = q·k / sqrt(head_dim) − slope_head · d`.
    Alibi {
        /// One slope per query head.
        slopes: Vec<f64>,
    },
    /// `w = q·k / sqrt(head_dim)`.
    None,
}

impl PositionEncoding {
    /// The encoding of a model, with the scaling of a policy in place of the checkpoint's own unless it is
    /// [`PositionScaling::None`].
    ///
    /// # Errors
    /// Where the scaling is not defined for the model's encoding.
    pub fn new(config: &ModelConfig, scaling: PositionScaling) -> Result<Self> {
        match config.position {
            PositionConfig::Rope { theta, dim, scaling: own, .. } => {
                let scaling = if scaling == PositionScaling::None { own } else { scaling };
                Ok(Self::Rope(Rope::new(theta, dim, scaling)))
            }
            PositionConfig::Alibi => match scaling {
                PositionScaling::None => Ok(Self::Alibi { slopes: alibi_slopes(config.heads) }),
                PositionScaling::Linear { factor } => {
                    let slopes = alibi_slopes(config.heads).iter().map(|slope| slope / factor).collect();
                    Ok(Self::Alibi { slopes })
                }
                other => Err(Error::unsupported(format!("{other:?}"), "ALiBi takes linear scaling only")),
            },
            PositionConfig::None if scaling == PositionScaling::None => Ok(Self::None),
            PositionConfig::None => {
                Err(Error::unsupported(format!("{scaling:?}"), "the model has no position encoding to scale"))
            }
        }
    }

    /// The scaled logit of `query` and `key` (each `[head_dim]`, before the encoding, half-split pairs) at `distance`.
    ///
    /// This is the definition; kernels are held against it. Angles are f64 for any `T`.
    pub fn logit<T: Float>(&self, head: usize, query: &[T], key: &[T], distance: u64) -> T {
        let real = |x: f64| T::from(x).expect("every float type holds an f64, rounded");
        let dot = |q: &[T], k: &[T]| q.iter().zip(k).fold(T::zero(), |sum, (&a, &b)| sum + a * b);
        let scale = real(1.0 / (query.len() as f64).sqrt());
        match self {
            Self::Rope(rope) => dot(&rope.rotated(query, distance as f64), key) * scale,
            Self::Alibi { slopes } => dot(query, key) * scale - real(slopes[head] * distance as f64),
            Self::None => dot(query, key) * scale,
        }
    }
}
