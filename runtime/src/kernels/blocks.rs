//! Blocks of formats that candle has not, to f32: one block at a time, correct before fast.
//!
//! Layouts are those of ggml (`ggml/src/ggml-common.h`, `ggml-quants.c`). A block of 256 has runs of 32, a run has groups of 8.

use half::f16;

use super::codebooks;
use crate::model::block_format::{BlockFormat, E2M1, e4m3, e8m0_half, iq1_m_scale};

/// Levels of `IQ4_NL` and `IQ4_XS`.
const LEVELS_OF_4_BITS: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0,
];
/// Values that code books refer to.
const OF_IQ1: [f32; 4] = [-1.0, 0.0, 1.0, f32::NAN];
const OF_IQ2: [f32; 4] = [8.0, 25.0, 43.0, f32::NAN];
const OF_IQ3_XXS: [f32; 8] = [4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0];
const OF_IQ3_S: [f32; 8] = [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0];
/// `IQ1_S` and `IQ1_M` move their values by this, up or down.
const SHIFT: f32 = 0.125;

/// Writes the values of whole blocks.
pub(super) fn to_f32(format: BlockFormat, bytes: &[u8], out: &mut [f32]) {
    match format {
        BlockFormat::Iq1S => each(bytes, out, iq1_s),
        BlockFormat::Iq1M => each(bytes, out, iq1_m),
        BlockFormat::Iq2Xxs => each(bytes, out, iq2_xxs),
        BlockFormat::Iq2Xs => each(bytes, out, iq2_xs),
        BlockFormat::Iq2S => each(bytes, out, iq2_s),
        BlockFormat::Iq3Xxs => each(bytes, out, iq3_xxs),
        BlockFormat::Iq3S => each(bytes, out, iq3_s),
        BlockFormat::Iq4Nl => each(bytes, out, iq4_nl),
        BlockFormat::Iq4Xs => each(bytes, out, iq4_xs),
        BlockFormat::Mxfp4 => each(bytes, out, mxfp4),
        BlockFormat::Tq1_0 => each(bytes, out, tq1_0),
        BlockFormat::Tq2_0 => each(bytes, out, tq2_0),
        BlockFormat::ScaledE4M3 => each(bytes, out, scaled_e4m3),
    }
}

fn each<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) {
    for (block, out) in bytes.as_chunks::<BYTES>().0.iter().zip(out.as_chunks_mut::<VALUES>().0) {
        decode(block, out);
    }
}

fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_bits(u16_at(block, at)).to_f32()
}

/// Four bits: the lower of a byte for even `index`, the upper for odd.
fn nibble(bytes: &[u8], index: usize) -> u8 {
    bytes[index / 2] >> (4 * (index % 2)) & 15
}

/// A byte of signs whose highest makes their number even.
fn even_signs(seven: u32) -> u8 {
    let seven = (seven & 127) as u8;
    seven | ((seven.count_ones() % 2) as u8) << 7
}

/// Eight values of rows of `bits` per value, times `scale`, with a sign per bit.
fn group<const LEVELS: usize>(
    out: &mut [f32],
    row: u32,
    bits: u32,
    levels: &[f32; LEVELS],
    scale: f32,
    signs: u8,
) {
    for (i, out) in out.iter_mut().enumerate() {
        let level = levels[(row >> (bits * i as u32)) as usize % LEVELS];
        let sign = if signs >> i & 1 == 0 { 1.0 } else { -1.0 };
        *out = scale * level * sign;
    }
}

fn iq2_xxs(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (run, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let at = 2 + 8 * run;
        let word = u32_at(block, at + 4);
        let scale = d * (0.5 + (word >> 28) as f32) * 0.25;
        for (l, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let row = codebooks::IQ2_XXS[block[at + l] as usize];
            group(out, row.into(), 2, &OF_IQ2, scale, even_signs(word >> (7 * l)));
        }
    }
}

fn iq2_xs(block: &[u8; 74], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (k, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let code = u16_at(block, 2 + 2 * k);
        let scale = d * (0.5 + f32::from(nibble(&block[66..], k / 2))) * 0.25;
        let row = codebooks::IQ2_XS[code as usize & 511];
        group(out, row.into(), 2, &OF_IQ2, scale, even_signs((code >> 9).into()));
    }
}

fn iq2_s(block: &[u8; 82], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (k, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let high = block[66 + k / 4] >> (2 * (k % 4)) & 3;
        let scale = d * (0.5 + f32::from(nibble(&block[74..], k / 2))) * 0.25;
        let row = codebooks::IQ2_S[block[2 + k] as usize | (high as usize) << 8];
        group(out, row.into(), 2, &OF_IQ2, scale, block[34 + k]);
    }
}

/// Two rows of four values as one of eight.
fn pair(low: u16, high: u16) -> u32 {
    u32::from(low) | u32::from(high) << 12
}

fn iq3_xxs(block: &[u8; 98], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (run, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let word = u32_at(block, 66 + 4 * run);
        let scale = d * (0.5 + (word >> 28) as f32) * 0.5;
        for (l, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let row = |half: usize| codebooks::IQ3_XXS[block[2 + 8 * run + 2 * l + half] as usize];
            group(out, pair(row(0), row(1)), 3, &OF_IQ3_XXS, scale, even_signs(word >> (7 * l)));
        }
    }
}

fn iq3_s(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (k, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let row = |half: usize| {
            let code = 2 * k + half;
            let high = block[66 + code / 8] >> (code % 8) & 1;
            codebooks::IQ3_S[block[2 + code] as usize | (high as usize) << 8]
        };
        let scale = d * f32::from(1 + 2 * nibble(&block[106..], k / 4));
        group(out, pair(row(0), row(1)), 3, &OF_IQ3_S, scale, block[74 + k]);
    }
}

/// Eight values of a ternary row, moved and scaled.
fn ternary(out: &mut [f32], row: u16, scale: f32, down: bool) {
    let shift = if down { -SHIFT } else { SHIFT };
    for (i, out) in out.iter_mut().enumerate() {
        *out = scale * (OF_IQ1[row as usize >> (2 * i) & 3] + shift);
    }
}

fn iq1_s(block: &[u8; 50], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (k, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let word = u16_at(block, 34 + 2 * (k / 4));
        let scale = d * f32::from(2 * (word >> 12 & 7) + 1);
        let high = word >> (3 * (k % 4)) & 7;
        let row = codebooks::IQ1_S[block[2 + k] as usize | (high as usize) << 8];
        ternary(out, row, scale, word & 0x8000 != 0);
    }
}

fn iq1_m(block: &[u8; 56], out: &mut [f32; 256]) {
    let d = iq1_m_scale(block).to_f32();
    for (k, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let part = k / 2;
        let scale = d * f32::from(2 * (u16_at(block, 48 + 2 * (part / 4)) >> (3 * (part % 4)) & 7) + 1);
        let code = nibble(&block[32..], k);
        let row = codebooks::IQ1_S[block[k] as usize | (code as usize & 7) << 8];
        ternary(out, row, scale, code & 8 != 0);
    }
}

/// A run of 32 values of four bits: the lower ones of 16 bytes, then the upper ones.
fn nibbles(bytes: &[u8], levels: &[f32; 16], scale: f32, out: &mut [f32]) {
    for (i, &byte) in bytes.iter().enumerate() {
        out[i] = scale * levels[byte as usize & 15];
        out[16 + i] = scale * levels[byte as usize >> 4];
    }
}

fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    nibbles(&block[2..], &LEVELS_OF_4_BITS, half_at(block, 0), out);
}

fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let (d, high) = (half_at(block, 0), u16_at(block, 2));
    for (run, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let scale = nibble(&block[4..], run) as i32 | i32::from(high >> (2 * run) & 3) << 4;
        nibbles(&block[8 + 16 * run..][..16], &LEVELS_OF_4_BITS, d * (scale - 32) as f32, out);
    }
}

fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    nibbles(&block[1..], &E2M1, e8m0_half(block[0]), out);
}

fn tq1_0(block: &[u8; 54], out: &mut [f32; 256]) {
    let d = half_at(block, 52);
    // Bytes by their number, and how many values each has: digits to base 3, the highest first.
    let parts = [(0..32, 5), (32..48, 5), (48..52, 4)];
    let mut at = 0;
    for (bytes, digits) in parts {
        for power in [1u8, 3, 9, 27, 81].into_iter().take(digits) {
            for &byte in &block[bytes.clone()] {
                let digit = (u16::from(byte.wrapping_mul(power)) * 3) >> 8;
                out[at] = d * (f32::from(digit) - 1.0);
                at += 1;
            }
        }
    }
}

fn tq2_0(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 64);
    for (i, out) in out.iter_mut().enumerate() {
        let (half, digit, byte) = (i / 128, i / 32 % 4, i % 32);
        *out = d * (f32::from(block[32 * half + byte] >> (2 * digit) & 3) - 1.0);
    }
}

fn scaled_e4m3(block: &[u8; 36], out: &mut [f32; 32]) {
    let scale = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for (value, &stored) in out.iter_mut().zip(&block[4..]) {
        *value = e4m3(stored) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_fills_its_blocks() {
        for format in BlockFormat::ALL {
            let (values, bytes) = format.block();
            let mut out = vec![f32::NAN; 2 * values];
            to_f32(format, &vec![0; 2 * bytes], &mut out);
            assert!(out.iter().all(|value| value.is_finite()), "{format}");
        }
    }

    #[test]
    fn scales_of_mxfp4_are_powers_of_two() {
        for byte in 0..=254u8 {
            let expected = 2f64.powi(i32::from(byte) - 128);
            assert_eq!(f64::from(e8m0_half(byte)), expected, "{byte}");
        }
    }
}
