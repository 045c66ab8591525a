//! Block formats beside those of GGML that candle has: sizes and names. What the bytes mean stands in `kernels/blocks.rs`.

use std::fmt;

use half::f16;

/// A block format: numbers of few bits that a code book turns into values, and scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockFormat {
    /// 1.56 bits, code book of ternary rows.
    Iq1S,
    /// 1.75 bits, code book of ternary rows.
    Iq1M,
    /// 2.06 bits, code book of 256 rows.
    Iq2Xxs,
    /// 2.31 bits, code book of 512 rows.
    Iq2Xs,
    /// 2.56 bits, code book of 1,024 rows.
    Iq2S,
    /// 3.06 bits, code book of 256 rows.
    Iq3Xxs,
    /// 3.44 bits, code book of 512 rows.
    Iq3S,
    /// 4.5 bits, 16 uneven levels.
    Iq4Nl,
    /// 4.25 bits, 16 uneven levels.
    Iq4Xs,
    /// 4.25 bits: E2M1 values under an E8M0 scale (OCP Microscaling Formats 1.0).
    Mxfp4,
    /// 1.69 bits, ternary, five to a byte.
    Tq1_0,
    /// 2.06 bits, ternary, four to a byte.
    Tq2_0,
    /// 9 bits: an f32 scale, behind it 32 values of FP8 (E4M3). No file has it: it is what FP8 weights and their scales become.
    ScaledE4M3,
}

impl BlockFormat {
    /// Those of GGML.
    pub const ALL: [Self; 12] = [
        Self::Iq1S,
        Self::Iq1M,
        Self::Iq2Xxs,
        Self::Iq2Xs,
        Self::Iq2S,
        Self::Iq3Xxs,
        Self::Iq3S,
        Self::Iq4Nl,
        Self::Iq4Xs,
        Self::Mxfp4,
        Self::Tq1_0,
        Self::Tq2_0,
    ];

    /// Elements per block and bytes per block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::Iq1S => (256, 50),
            Self::Iq1M => (256, 56),
            Self::Iq2Xxs | Self::Tq2_0 => (256, 66),
            Self::Iq2Xs => (256, 74),
            Self::Iq2S => (256, 82),
            Self::Iq3Xxs => (256, 98),
            Self::Iq3S => (256, 110),
            Self::Iq4Nl => (32, 18),
            Self::Iq4Xs => (256, 136),
            Self::Mxfp4 => (32, 17),
            Self::Tq1_0 => (256, 54),
            Self::ScaledE4M3 => (32, 36),
        }
    }
}

impl BlockFormat {
    /// Are all values of a block finite? In all but one of the formats the scale alone decides.
    pub(crate) fn is_finite(self, block: &[u8]) -> bool {
        match self {
            Self::Iq1S
            | Self::Iq2Xxs
            | Self::Iq2Xs
            | Self::Iq2S
            | Self::Iq3Xxs
            | Self::Iq3S
            | Self::Iq4Nl
            | Self::Iq4Xs => half_at(block, 0).is_finite(),
            Self::Tq1_0 => half_at(block, 52).is_finite(),
            Self::Tq2_0 => half_at(block, 64).is_finite(),
            Self::Iq1M => iq1_m_scale(block).is_finite(),
            // 255 is NaN by the format's definition; just below, the larger values have no place in f32.
            Self::Mxfp4 => {
                let largest = block[1..].iter().flat_map(|byte| [byte & 7, byte >> 4 & 7]).max().unwrap_or(0);
                block[0] != u8::MAX && (e8m0_half(block[0]) * E2M1[largest as usize]).is_finite()
            }
            Self::ScaledE4M3 => {
                let scale = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
                let largest = block[4..].iter().map(|byte| byte & 0x7f).max().unwrap_or(0);
                scale.is_finite() && (e4m3(largest) * scale).is_finite()
            }
        }
    }
}

/// The number of half precision at byte `at`.
fn half_at(block: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([block[at], block[at + 1]])
}

/// The scale of an `IQ1_M` block: its bits are the upper four of four numbers.
pub(crate) fn iq1_m_scale(block: &[u8]) -> f16 {
    f16::from_bits(
        (0..4).fold(0, |bits, part| bits | half_at(block, 48 + 2 * part).to_bits() >> 12 << (4 * part)),
    )
}

/// Half of the power of two that an E8M0 byte stands for, since [`E2M1`] is doubled.
pub(crate) fn e8m0_half(byte: u8) -> f32 {
    match byte {
        0 | 1 => f32::from_bits(0x0020_0000 << byte),
        _ => f32::from_bits(u32::from(byte - 1) << 23),
    }
}

/// The value of an FP8 number with four bits of exponent and three of mantissa (E4M3 of Micikevicius et al. 2022, arXiv 2209.05433):
/// no infinity, and NaN where all bits but the sign are set.
pub(crate) fn e4m3(byte: u8) -> f32 {
    let magnitude = byte & 0x7f;
    if magnitude == 0x7f {
        return f32::NAN;
    }
    // The exponent is re-biased by a multiplication with 2^120, which also gets subnormals right.
    let value = f32::from_bits(u32::from(magnitude) << 20) * f32::from_bits(0x7b80_0000);
    f32::from_bits(value.to_bits() | u32::from(byte & 0x80) << 24)
}

/// E2M1's values, doubled: the numbers that `MXFP4` scales.
pub(crate) const E2M1: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];
impl fmt::Display for BlockFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iq1S => "IQ1_S",
            Self::Iq1M => "IQ1_M",
            Self::Iq2Xxs => "IQ2_XXS",
            Self::Iq2Xs => "IQ2_XS",
            Self::Iq2S => "IQ2_S",
            Self::Iq3Xxs => "IQ3_XXS",
            Self::Iq3S => "IQ3_S",
            Self::Iq4Nl => "IQ4_NL",
            Self::Iq4Xs => "IQ4_XS",
            Self::Mxfp4 => "MXFP4",
            Self::Tq1_0 => "TQ1_0",
            Self::Tq2_0 => "TQ2_0",
            Self::ScaledE4M3 => "F8_E4M3 with scales",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_eight_bits_is_what_the_format_defines() {
        for byte in 0..=u8::MAX {
            let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f64::from(byte & 7) / 8.0);
            let size = match (exponent, byte & 7) {
                (15, 7) => f64::NAN,
                (0, _) => mantissa * 2f64.powi(-6),
                _ => (1.0 + mantissa) * 2f64.powi(exponent - 7),
            };
            let want = if byte & 0x80 == 0 { size } else { -size } as f32;
            let got = e4m3(byte);
            assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{byte}: {got} {want}");
        }
        assert_eq!([e4m3(0x7e), e4m3(0xfe), e4m3(0x38), e4m3(1)], [448.0, -448.0, 1.0, 2f32.powi(-9)]);
    }
}
