//! How a cache holds keys and values.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// Type of the numbers that are held. Everything is computed in f32.
///
/// Keys and values are rounded as soon as they are computed, also for the tokens that are read with them, so that it does not matter which
/// tokens are read together, but for numbers between two of the type, which another order of sums may bring to the other one. A session
/// refuses to hold a finite number that is beyond the type's range, where it would become infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvType {
    /// As computed.
    #[default]
    F32,
    /// IEEE half: 11 significant bits, up to 65,504.
    F16,
    /// bfloat16: 8 significant bits.
    Bf16,
}

impl KvType {
    pub(crate) fn is_f32(&self) -> bool {
        *self == Self::F32
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        if self.is_f32() { size_of::<f32>() } else { size_of::<u16>() }
    }

    /// The first number that is finite, and would become infinite when it is rounded.
    pub(crate) fn beyond(self, values: &[f32]) -> Option<f32> {
        // Halfway between the largest number and the next that the exponent does not hold; even bits win, which are those of infinity.
        let most = match self {
            Self::F32 => return None,
            Self::F16 => 65_520.0,
            Self::Bf16 => f32::from_bits(0x7f7f_8000),
        };
        values.iter().copied().find(|x| x.is_finite() && x.abs() >= most)
    }

    /// Rounds numbers to what is held.
    pub(crate) fn round(self, values: &mut [f32]) {
        match self {
            Self::F32 => {}
            Self::F16 => values.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32()),
            Self::Bf16 => values.iter_mut().for_each(|x| *x = bf16::from_f32(*x).to_f32()),
        }
    }

    /// Bits of numbers, which are rounded.
    pub(crate) fn pack(self, values: &[f32], bits: &mut [u16]) {
        for (bits, &x) in bits.iter_mut().zip(values) {
            *bits = match self {
                Self::Bf16 => bf16::from_f32(x).to_bits(),
                Self::F32 | Self::F16 => f16::from_f32(x).to_bits(),
            };
        }
    }

    /// The numbers with these bits, in place of what `values` has.
    pub(crate) fn unpack(self, bits: &[u16], values: &mut Vec<f32>) {
        values.resize(bits.len(), 0.0);
        match self {
            Self::Bf16 => {
                for (x, &bits) in values.iter_mut().zip(bits) {
                    *x = f32::from_bits(u32::from(bits) << 16);
                }
            }
            Self::F32 | Self::F16 => bits.reinterpret_cast::<f16>().convert_to_f32_slice(values),
        }
    }
}

/// Numbers that are held one behind the other.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// As bits of F16 or BF16.
    Half(KvType, &'a [u16]),
}

impl<'a> Stored<'a> {
    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Half(_, bits) => bits.len(),
        }
    }

    /// Those at `range`.
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(&values[range]),
            Self::Half(kv, bits) => Self::Half(kv, &bits[range]),
        }
    }

    /// The numbers, in `buffer` where they are not held as they are.
    pub(crate) fn read<'b>(self, buffer: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        match self {
            Self::F32(values) => values,
            Self::Half(kv, bits) => {
                kv.unpack(bits, buffer);
                buffer
            }
        }
    }

    /// The numbers, copied where they are not held as they are.
    pub fn numbers(self) -> Cow<'a, [f32]> {
        match self {
            Self::F32(values) => Cow::Borrowed(values),
            Self::Half(kv, bits) => {
                let mut values = Vec::new();
                kv.unpack(bits, &mut values);
                Cow::Owned(values)
            }
        }
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for KvType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::F32, Self::F16, Self::Bf16]
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("expected f32, f16 or bf16, got `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_beyond_where_it_would_become_infinite() {
        for kind in [KvType::F32, KvType::F16, KvType::Bf16] {
            let near = [65_504.0, 65_519.9, 65_520.0, 3.38e38, 3.39e38, 3.395e38, 3.4e38, f32::MAX];
            for x in near.into_iter().flat_map(|x| [x, -x]) {
                let mut rounded = [x];
                kind.round(&mut rounded);
                assert_eq!(kind.beyond(&[0.0, x]), (!rounded[0].is_finite()).then_some(x), "{kind} {x}");
            }
            assert_eq!(kind.beyond(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]), None, "{kind}");
            assert_eq!(kind.beyond(&[]), None);
        }
    }

    #[test]
    fn numbers_are_rounded_once_whichever_way() {
        let mut values: Vec<f32> = (0..5000u32).map(|at| (at as f32 - 2500.0) * 0.137e-3).collect();
        values.extend([
            0.0,
            -0.0,
            1e-8,
            6e-8,
            65_504.0,
            65_520.0,
            1e30,
            -1e30,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ]);
        for kind in [KvType::F16, KvType::Bf16] {
            let mut rounded = values.clone();
            kind.round(&mut rounded);
            let mut bits = vec![0; values.len()];
            kind.pack(&values, &mut bits);
            let mut unpacked = Vec::new();
            kind.unpack(&bits, &mut unpacked);
            for ((x, rounded), unpacked) in values.iter().zip(&rounded).zip(&unpacked) {
                assert!(
                    rounded.to_bits() == unpacked.to_bits() || rounded.is_nan() && unpacked.is_nan(),
                    "{kind} {x}"
                );
                let most = if kind == KvType::F16 { 2f32.powi(-11) } else { 2f32.powi(-8) };
                if x.abs() > 1e-4 && x.abs() < 65_504.0 {
                    assert!((rounded / x - 1.0).abs() <= most, "{kind} {x} {rounded}");
                }
            }
            let mut again = rounded.clone();
            kind.round(&mut again);
            assert!(
                again.iter().zip(&rounded).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan()),
                "{kind}"
            );
        }
        assert_eq!(
            ["f32", "f16", "bf16"].map(|text| text.parse::<KvType>().map(|kind| kind.to_string())),
            ["f32", "f16", "bf16"].map(|text| Ok(text.to_owned()))
        );
        assert!("f8".parse::<KvType>().is_err());
    }
}
