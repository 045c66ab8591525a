//! Products of block-quantized rows with a vector, written out for NEON: what [`super::avx512`](crate::kernels) does on
//! x86, four values at a time.

use std::arch::aarch64::*;

use super::activations::Activations;
use super::dequantize::half_to_f32;

super::formats::dispatch!("neon");

/// `out[r] = row r · x` for Q4_1 (`BYTES` = 20: scale, offset, 16 bytes of nibbles) or Q4_0 (18: scale, nibbles; the
/// offset is −8 scales).
#[target_feature(enable = "neon")]
fn q4<const BYTES: usize>(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    let (values, sums) = (x.values.as_chunks::<32>().0, &x.block_sums[..]);
    for (row, out) in bytes.chunks_exact(sums.len() * BYTES).zip(out) {
        let (mut total, mut offset) = (vdupq_n_f32(0.0), 0.0f32);
        for ((block, x), sum) in row.as_chunks::<BYTES>().0.iter().zip(values).zip(sums) {
            let scale = half_to_f32([block[0], block[1]]);
            let packed: &[u8; 16] = block.last_chunk().unwrap_or(&[0; 16]);
            // SAFETY: 16 bytes are there.
            let packed = unsafe { vld1q_u8(packed.as_ptr()) };
            let low = vandq_u8(packed, vdupq_n_u8(15));
            let high = vshrq_n_u8::<4>(packed);
            let products = add_unsigned(vdupq_n_f32(0.0), low, x, 0);
            let products = add_unsigned(products, high, x, 16);
            total = vfmaq_n_f32(total, products, scale);
            let by = if BYTES == 20 { half_to_f32([block[2], block[3]]) } else { -8.0 * scale };
            offset = by.mul_add(*sum, offset);
        }
        *out = vaddvq_f32(total) + offset;
    }
}

/// `out[r] = row r · x` for Q8_0: a scale and 32 signed bytes.
#[target_feature(enable = "neon")]
fn q8_0(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    let values = x.values.as_chunks::<32>().0;
    for (row, out) in bytes.chunks_exact(values.len() * 34).zip(out) {
        let mut total = vdupq_n_f32(0.0);
        for (block, x) in row.as_chunks::<34>().0.iter().zip(values) {
            let scale = half_to_f32([block[0], block[1]]);
            let mut products = vdupq_n_f32(0.0);
            for at in [0, 16] {
                // SAFETY: 16 bytes follow `2 + at` inside the block.
                let packed = unsafe { vld1q_s8(block.as_ptr().add(2 + at).cast()) };
                for (part, wide) in
                    [vmovl_s8(vget_low_s8(packed)), vmovl_high_s8(packed)].into_iter().enumerate()
                {
                    let (low, high) = (vmovl_s16(vget_low_s16(wide)), vmovl_high_s16(wide));
                    products = vfmaq_f32(products, vcvtq_f32_s32(low), load(x, at + 8 * part));
                    products = vfmaq_f32(products, vcvtq_f32_s32(high), load(x, at + 8 * part + 4));
                }
            }
            total = vfmaq_n_f32(total, products, scale);
        }
        *out = vaddvq_f32(total);
    }
}

/// `products += bytes · x[at..at + 16]`, four sums.
#[target_feature(enable = "neon")]
fn add_unsigned(mut products: float32x4_t, bytes: uint8x16_t, x: &[f32; 32], at: usize) -> float32x4_t {
    for (part, wide) in [vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes)].into_iter().enumerate() {
        let (low, high) = (vmovl_u16(vget_low_u16(wide)), vmovl_high_u16(wide));
        products = vfmaq_f32(products, vcvtq_f32_u32(low), load(x, at + 8 * part));
        products = vfmaq_f32(products, vcvtq_f32_u32(high), load(x, at + 8 * part + 4));
    }
    products
}

/// Values `at..at + 4` of a block; `at` is at most 28.
#[target_feature(enable = "neon")]
fn load(x: &[f32; 32], at: usize) -> float32x4_t {
    debug_assert!(at <= 28);
    // SAFETY: 4 values follow `at` inside the block.
    unsafe { vld1q_f32(x.as_ptr().add(at)) }
}
