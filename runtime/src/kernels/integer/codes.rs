//! Stored blocks as groups of 32 weights: codes, scales and offsets.
//!
//! Layouts are those of ggml (`ggml/src/ggml-common.h`, `ggml-quants.c`).

use candle_core::quantized::GgmlDType;

use crate::kernels::dequantize::half_to_f32;

/// Weights of a group.
pub const GROUP: usize = 32;

/// A weight is `scale · code + offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Affine {
    /// Of a code.
    pub scale: f32,
    /// Beside it.
    pub offset: f32,
}

/// A format whose groups are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `Q4_0`
    Q4_0,
    /// `Q4_1`
    Q4_1,
    /// `Q8_0`
    Q8_0,
    /// `Q4_K`
    Q4K,
    /// `Q5_K`
    Q5K,
    /// `Q6_K`
    Q6K,
}

impl Format {
    /// The one that candle calls `format`.
    pub fn of(format: GgmlDType) -> Option<Self> {
        Some(match format {
            GgmlDType::Q4_0 => Self::Q4_0,
            GgmlDType::Q4_1 => Self::Q4_1,
            GgmlDType::Q8_0 => Self::Q8_0,
            GgmlDType::Q4K => Self::Q4K,
            GgmlDType::Q5K => Self::Q5K,
            GgmlDType::Q6K => Self::Q6K,
            _ => return None,
        })
    }
}

/// How a format stores a block: what kernels are compiled for.
pub trait Block {
    /// Bytes of a block.
    const BYTES: usize;
    /// Groups in it.
    const GROUPS: usize;
    /// Whether the two halves of a group have scales of their own.
    const HALVES: bool = false;

    /// The codes of group `group`.
    fn codes(block: &[u8], group: usize) -> [u8; GROUP];

    /// Scale and offset of its first and its second half; the same, unless [`Self::HALVES`].
    fn affine(block: &[u8], group: usize) -> [Affine; 2];
}

#[inline(always)]
fn half(block: &[u8], at: usize) -> f32 {
    half_to_f32([block[at], block[at + 1]])
}

/// The low nibbles of 16 bytes, then the high ones.
#[inline(always)]
fn nibbles(bytes: &[u8]) -> [u8; GROUP] {
    let (mut codes, bytes) = ([0; GROUP], &bytes[..16]);
    for i in 0..16 {
        codes[i] = bytes[i] & 15;
        codes[16 + i] = bytes[i] >> 4;
    }
    codes
}

/// Scale and offset, 16 bytes of nibbles without a sign.
pub struct Q4_1;

impl Block for Q4_1 {
    const BYTES: usize = 20;
    const GROUPS: usize = 1;

    #[inline(always)]
    fn codes(block: &[u8], _: usize) -> [u8; GROUP] {
        nibbles(&block[4..20])
    }

    #[inline(always)]
    fn affine(block: &[u8], _: usize) -> [Affine; 2] {
        [Affine { scale: half(block, 0), offset: half(block, 2) }; 2]
    }
}

/// Scale, 16 bytes of nibbles less 8.
pub struct Q4_0;

impl Block for Q4_0 {
    const BYTES: usize = 18;
    const GROUPS: usize = 1;

    #[inline(always)]
    fn codes(block: &[u8], _: usize) -> [u8; GROUP] {
        nibbles(&block[2..18])
    }

    #[inline(always)]
    fn affine(block: &[u8], _: usize) -> [Affine; 2] {
        let scale = half(block, 0);
        [Affine { scale, offset: -8.0 * scale }; 2]
    }
}

/// Scale, 32 signed bytes.
pub struct Q8_0;

impl Block for Q8_0 {
    const BYTES: usize = 34;
    const GROUPS: usize = 1;

    #[inline(always)]
    fn codes(block: &[u8], _: usize) -> [u8; GROUP] {
        let mut codes = [0; GROUP];
        for (code, byte) in codes.iter_mut().zip(&block[2..34]) {
            // Signed to unsigned, moved by 128.
            *code = byte ^ 0x80;
        }
        codes
    }

    #[inline(always)]
    fn affine(block: &[u8], _: usize) -> [Affine; 2] {
        let scale = half(block, 0);
        [Affine { scale, offset: -128.0 * scale }; 2]
    }
}

/// Scale and minimum of six bits each, of group `group` of eight.
#[inline(always)]
fn six_bits(scales: &[u8], group: usize) -> (f32, f32) {
    let scales = &scales[..12];
    let (scale, minimum) = if group < 4 {
        (scales[group] & 63, scales[group + 4] & 63)
    } else {
        let (low, high) = (scales[group + 4], (scales[group - 4] >> 6, scales[group] >> 6));
        (low & 15 | high.0 << 4, low >> 4 | high.1 << 4)
    };
    (f32::from(scale), f32::from(minimum))
}

#[inline(always)]
fn scaled_twice(block: &[u8], group: usize) -> [Affine; 2] {
    let (scale, minimum) = six_bits(&block[4..16], group);
    [Affine { scale: half(block, 0) * scale, offset: -half(block, 2) * minimum }; 2]
}

/// The nibbles of a group of 32 of a block of 256: the low ones of 32 bytes for even groups, the high ones for odd.
#[inline(always)]
fn wide_nibbles(bytes: &[u8], group: usize) -> [u8; GROUP] {
    let bytes = &bytes[32 * (group / 2)..][..32];
    let mut codes = [0; GROUP];
    for (code, byte) in codes.iter_mut().zip(bytes) {
        *code = byte >> (4 * (group % 2)) & 15;
    }
    codes
}

/// Eight groups of 4 bits, with scales and minima of 6.
pub struct Q4K;

impl Block for Q4K {
    const BYTES: usize = 144;
    const GROUPS: usize = 8;

    #[inline(always)]
    fn codes(block: &[u8], group: usize) -> [u8; GROUP] {
        wide_nibbles(&block[16..144], group)
    }

    #[inline(always)]
    fn affine(block: &[u8], group: usize) -> [Affine; 2] {
        scaled_twice(block, group)
    }
}

/// The same with a fifth bit.
pub struct Q5K;

impl Block for Q5K {
    const BYTES: usize = 176;
    const GROUPS: usize = 8;

    #[inline(always)]
    fn codes(block: &[u8], group: usize) -> [u8; GROUP] {
        let mut codes = wide_nibbles(&block[48..176], group);
        for (code, high) in codes.iter_mut().zip(&block[16..48]) {
            *code |= (high >> group & 1) << 4;
        }
        codes
    }

    #[inline(always)]
    fn affine(block: &[u8], group: usize) -> [Affine; 2] {
        scaled_twice(block, group)
    }
}

/// Sixteen runs of 16 weights of 6 bits less 32, with scales of 8 bits.
pub struct Q6K;

impl Block for Q6K {
    const BYTES: usize = 210;
    const GROUPS: usize = 8;
    const HALVES: bool = true;

    #[inline(always)]
    fn codes(block: &[u8], group: usize) -> [u8; GROUP] {
        // Halves of 128 weights have four groups each; groups 2 and 3 are the high nibbles of groups 0 and 1.
        let (of, within) = (group / 4, group % 4);
        let low = &block[64 * of + 32 * (within % 2)..][..32];
        let high = &block[128 + 32 * of..][..32];
        let mut codes = [0; GROUP];
        for i in 0..GROUP {
            codes[i] = low[i] >> (4 * (within / 2)) & 15 | (high[i] >> (2 * within) & 3) << 4;
        }
        codes
    }

    #[inline(always)]
    fn affine(block: &[u8], group: usize) -> [Affine; 2] {
        let scale = half(block, 208);
        [0, 1].map(|part| {
            let scale = scale * f32::from(block[192 + 2 * group + part] as i8);
            Affine { scale, offset: -32.0 * scale }
        })
    }
}

/// An expression for the block of a format, which it calls `$block`.
macro_rules! with_block {
    ($format:expr, $block:ident => $body:expr) => {
        match $format {
            Format::Q4_0 => {
                type $block = codes::Q4_0;
                $body
            }
            Format::Q4_1 => {
                type $block = codes::Q4_1;
                $body
            }
            Format::Q8_0 => {
                type $block = codes::Q8_0;
                $body
            }
            Format::Q4K => {
                type $block = codes::Q4K;
                $body
            }
            Format::Q5K => {
                type $block = codes::Q5K;
                $body
            }
            Format::Q6K => {
                type $block = codes::Q6K;
                $body
            }
        }
    };
}

pub(super) use with_block;
