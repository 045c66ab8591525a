//! How a policy, or a checkpoint, changes the position encoding itself.

use std::fmt;

use serde::{Deserialize, Serialize};

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
        /// What rotated dimensions of query and key are each multiplied by; `None`: as published, `0.1 ln(factor) + 1`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attention_factor: Option<f64>,
        /// The dimensions at which the two numbers of rotations are reached are not rounded outwards to whole pairs, as the
        /// published code does.
        #[serde(default, skip_serializing_if = "is_false")]
        exact_bounds: bool,
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
    /// Dynamic NTK: the NTK-aware base of the length that is being read, so that nothing changes within the trained one. For
    /// a query at position `i ≥ L`, the length is `n = (⌊i/L⌋ + 1)·L` and RoPE's base is multiplied by
    /// `(factor·n/L − (factor − 1))^(dim / (dim − 2))`.
    ///
    /// Source: `rope_type` "dynamic" of Hugging Face's transformers, which takes the length of the whole input for `n`; in steps
    /// of L the result does not depend on how the input is cut, nor on what comes after.
    DynamicNtk {
        /// 1: the ratio of `n` to the trained length.
        factor: f64,
        /// L, in tokens.
        original_length: u64,
    },
    /// LongRoPE (Ding et al. 2024, arXiv 2402.13753): frequencies divided by the checkpoint's own factors
    /// ([`LongRope`](crate::model::config::LongRope)).
    LongRope {
        /// Which of them.
        factors: LongRopeFactors,
    },
}

/// Which factors of LongRoPE divide the frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LongRopeFactors {
    /// The short ones for queries within the trained length, the long ones beyond: as the checkpoint is meant to be read.
    ByLength,
    /// The short ones for all.
    Short,
    /// The long ones for all.
    Long,
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
            Self::DynamicNtk { factor, original_length } => {
                write!(f, "dynamic NTK scaling by {factor} beyond {original_length} tokens")
            }
            Self::LongRope { factors } => f.write_str(match factors {
                LongRopeFactors::ByLength => "LongRoPE, by length",
                LongRopeFactors::Short => "LongRoPE, short factors",
                LongRopeFactors::Long => "LongRoPE, long factors",
            }),
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl PositionScaling {
    /// YaRN with its published constants.
    pub fn yarn(factor: f64, original_length: u64) -> Self {
        let (beta_fast, beta_slow) = (32.0, 1.0);
        Self::Yarn {
            factor,
            original_length,
            beta_fast,
            beta_slow,
            attention_factor: None,
            exact_bounds: false,
        }
    }

    /// This scaling after the checkpoint's `own`.
    ///
    /// # Errors
    /// Where the two together are not defined: both change the same frequencies by rules that were made for a model without
    /// the other. Linear scalings multiply.
    pub fn after(self, own: Self) -> std::result::Result<Self, String> {
        match (own, self) {
            (own, Self::None) => Ok(own),
            (Self::None, asked) => Ok(asked),
            (Self::Linear { factor: own }, Self::Linear { factor }) => {
                Ok(Self::Linear { factor: own * factor })
            }
            (Self::LongRope { .. }, asked @ Self::LongRope { .. }) => Ok(asked),
            (own, asked) => Err(format!(
                "the checkpoint's own position encoding is changed already ({own}); {asked} is defined for a model without that, and \
                 would replace it. Only linear scaling composes with linear scaling"
            )),
        }
    }

    /// What holds for a query at `position`, and the first later position for which something else does (`u64::MAX` where none
    /// does). `original_length` is LongRoPE's, where the checkpoint has it.
    pub fn at(self, position: u64, original_length: u64) -> (Self, u64) {
        match self {
            Self::DynamicNtk { original_length, .. } if position < original_length => {
                (Self::None, original_length)
            }
            Self::DynamicNtk { factor, original_length } => {
                let lengths = position / original_length + 1;
                let scaled = Self::Ntk { factor: factor * lengths as f64 - (factor - 1.0) };
                (scaled, lengths.saturating_mul(original_length))
            }
            Self::LongRope { factors: LongRopeFactors::ByLength } if position < original_length => {
                (Self::LongRope { factors: LongRopeFactors::Short }, original_length)
            }
            Self::LongRope { factors: LongRopeFactors::ByLength } => {
                (Self::LongRope { factors: LongRopeFactors::Long }, u64::MAX)
            }
            constant => (constant, u64::MAX),
        }
    }

    pub(super) fn validate(&self) -> std::result::Result<(), String> {
        let positive = |name: &str, value: f64, least: f64| {
            if value.is_finite() && value >= least {
                Ok(())
            } else {
                Err(format!("{name} must be a number ≥ {least}, got {value}"))
            }
        };
        match *self {
            Self::None | Self::LongRope { .. } => Ok(()),
            Self::Linear { factor } | Self::Ntk { factor } => positive("factor", factor, 1.0),
            Self::DynamicNtk { factor, original_length } => {
                positive("factor", factor, 1.0)?;
                positive("original length", original_length as f64, 1.0)
            }
            Self::Yarn {
                factor,
                original_length,
                beta_fast,
                beta_slow,
                attention_factor,
                exact_bounds: _,
            } => {
                positive("factor", factor, 1.0)?;
                positive("original length", original_length as f64, 1.0)?;
                positive("beta_slow", beta_slow, 1e-6)?;
                positive("beta_fast", beta_fast, beta_slow)?;
                attention_factor.map_or(Ok(()), |factor| positive("attention factor", factor, 1e-6))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamic_ntk_leaves_the_trained_length_alone_and_grows_in_steps_of_it() {
        let dynamic = |factor| PositionScaling::DynamicNtk { factor, original_length: 16 };
        for position in [0, 15] {
            assert_eq!(dynamic(2.0).at(position, 0), (PositionScaling::None, 16));
        }
        assert_eq!(dynamic(1.0).at(16, 0), (PositionScaling::Ntk { factor: 2.0 }, 32));
        assert_eq!(dynamic(1.0).at(31, 0), (PositionScaling::Ntk { factor: 2.0 }, 32));
        assert_eq!(dynamic(2.0).at(32, 0), (PositionScaling::Ntk { factor: 5.0 }, 48));
        let (far, end) = dynamic(1.0).at(u64::MAX - 3, 0);
        assert!(end > u64::MAX - 20 && matches!(far, PositionScaling::Ntk { factor } if factor > 1e18));
    }

    #[test]
    fn long_factors_begin_where_the_trained_length_ends() {
        let of = |factors| PositionScaling::LongRope { factors };
        let by_length = of(LongRopeFactors::ByLength);
        assert_eq!(by_length.at(15, 16), (of(LongRopeFactors::Short), 16));
        assert_eq!(by_length.at(16, 16), (of(LongRopeFactors::Long), u64::MAX));
        assert_eq!(of(LongRopeFactors::Long).at(0, 16), (of(LongRopeFactors::Long), u64::MAX));
    }

    #[test]
    fn a_scaling_composes_with_the_checkpoints_own_or_is_refused() {
        use PositionScaling::{Linear, None, Ntk};
        assert_eq!(Linear { factor: 2.0 }.after(Linear { factor: 4.0 }), Ok(Linear { factor: 8.0 }));
        assert_eq!(Linear { factor: 1.0 }.after(Linear { factor: 4.0 }), Ok(Linear { factor: 4.0 }));
        assert_eq!(None.after(Ntk { factor: 4.0 }), Ok(Ntk { factor: 4.0 }));
        assert_eq!(Ntk { factor: 4.0 }.after(None), Ok(Ntk { factor: 4.0 }));
        let refused = Ntk { factor: 2.0 }.after(Linear { factor: 4.0 }).expect_err("not defined");
        assert!(refused.contains("positions divided by 4") && refused.contains("NTK-aware"), "{refused}");
    }
}
