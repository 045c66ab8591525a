//! Stored weights to f32, a run of rows at a time.
//!
//! The common formats are written out here, compiled per instruction set; the others go through candle's converters, and
//! those that candle has not through `blocks`.

use candle_core::quantized::{GgmlDType, k_quants};
use multiversion::multiversion;

use super::blocks;
use crate::model::weights::{Matrix, WeightType};

/// Writes rows `first..first + out.len() / columns` of `matrix` to `out` as f32.
pub fn rows_to_f32(matrix: &Matrix, first: usize, out: &mut [f32]) {
    let count = out.len() / matrix.columns().max(1);
    let width = matrix.row_bytes();
    let bytes = &matrix.bytes()[first * width..(first + count) * width];
    match matrix.weight_type() {
        WeightType::F32 => floats(bytes, out),
        WeightType::F16 => halves(bytes, out),
        WeightType::Bf16 => brains(bytes, out),
        WeightType::Quantized(GgmlDType::Q4_0) => q4_0(bytes, out),
        WeightType::Quantized(GgmlDType::Q4_1) => q4_1(bytes, out),
        WeightType::Quantized(GgmlDType::Q8_0) => q8_0(bytes, out),
        WeightType::Quantized(other) => by_candle(other, bytes, out),
        WeightType::Block(format) => blocks::to_f32(format, bytes, out),
    }
}

/// IEEE half to single for finite values: exact, without a branch or a table.
#[inline(always)]
pub fn half_to_f32(bytes: [u8; 2]) -> f32 {
    let half = u16::from_le_bytes(bytes) as u32;
    // The exponent is re-biased by a multiplication, which also gets subnormals right.
    let magnitude = f32::from_bits((half & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    f32::from_bits(magnitude.to_bits() | (half & 0x8000) << 16)
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn floats(bytes: &[u8], out: &mut [f32]) {
    for (out, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *out = f32::from_le_bytes(*b);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn halves(bytes: &[u8], out: &mut [f32]) {
    for (out, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *out = half_to_f32(*b);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn brains(bytes: &[u8], out: &mut [f32]) {
    for (out, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *out = f32::from_bits((u16::from_le_bytes(*b) as u32) << 16);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn q4_0(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let d = half_to_f32([block[0], block[1]]);
        for i in 0..16 {
            out[i] = ((block[2 + i] & 15) as i32 - 8) as f32 * d;
        }
        for i in 0..16 {
            out[16 + i] = ((block[2 + i] >> 4) as i32 - 8) as f32 * d;
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn q4_1(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.as_chunks::<20>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let d = half_to_f32([block[0], block[1]]);
        let m = half_to_f32([block[2], block[3]]);
        for i in 0..16 {
            out[i] = (block[4 + i] & 15) as i32 as f32 * d + m;
        }
        for i in 0..16 {
            out[16 + i] = (block[4 + i] >> 4) as i32 as f32 * d + m;
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn q8_0(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.as_chunks::<34>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let d = half_to_f32([block[0], block[1]]);
        for i in 0..32 {
            out[i] = (block[2 + i] as i8) as f32 * d;
        }
    }
}

fn by_candle(format: GgmlDType, bytes: &[u8], out: &mut [f32]) {
    macro_rules! convert {
        ($($format:ident => $block:ident),+ $(,)?) => {
            match format {
                $(GgmlDType::$format => whole_blocks::<k_quants::$block>(bytes, out),)+
                GgmlDType::F32 => floats(bytes, out),
                GgmlDType::F16 => halves(bytes, out),
                GgmlDType::BF16 => brains(bytes, out),
                GgmlDType::Q4_0 => q4_0(bytes, out),
                GgmlDType::Q4_1 => q4_1(bytes, out),
                GgmlDType::Q8_0 => q8_0(bytes, out),
            }
        };
    }
    convert!(
        Q5_0 => BlockQ5_0, Q5_1 => BlockQ5_1, Q8_1 => BlockQ8_1,
        Q2K => BlockQ2K, Q3K => BlockQ3K, Q4K => BlockQ4K, Q5K => BlockQ5K, Q6K => BlockQ6K, Q8K => BlockQ8K,
    );
}

fn whole_blocks<B: k_quants::GgmlType + Clone>(bytes: &[u8], out: &mut [f32]) {
    let size = std::mem::size_of::<B>();
    let mut block = vec![B::zeros(); 1];
    for (bytes, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(B::BLCK_SIZE)) {
        // SAFETY: block types are plain `repr(C)` numbers for which any bytes are valid; copied, so alignment is right.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.as_mut_ptr().cast::<u8>(), size) };
        B::to_float(&block, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_converts_exactly() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits);
            if expected.is_finite() {
                assert_eq!(half_to_f32(bits.to_le_bytes()).to_bits(), expected.to_f32().to_bits());
            }
        }
    }

    #[test]
    fn written_out_formats_agree_with_candle() {
        let values: Vec<f32> = (0..128).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
        fn check<B: k_quants::GgmlType + Clone>(values: &[f32], ours: impl Fn(&[u8], &mut [f32])) {
            let mut stored = vec![B::zeros(); values.len() / B::BLCK_SIZE];
            B::from_float(values, &mut stored);
            let size = std::mem::size_of_val(&stored[..]);
            // SAFETY: plain numbers without padding.
            let bytes = unsafe { std::slice::from_raw_parts(stored.as_ptr().cast::<u8>(), size) };
            let (mut expected, mut got, mut slow) =
                (vec![0.0; values.len()], vec![0.0; values.len()], vec![0.0; values.len()]);
            B::to_float(&stored, &mut expected);
            ours(bytes, &mut got);
            whole_blocks::<B>(bytes, &mut slow);
            assert_eq!(slow, expected);
            for (a, b) in got.iter().zip(&expected) {
                assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{a} {b}");
            }
        }
        check::<k_quants::BlockQ4_0>(&values, q4_0);
        check::<k_quants::BlockQ4_1>(&values, q4_1);
        check::<k_quants::BlockQ8_0>(&values, q8_0);
    }
}
