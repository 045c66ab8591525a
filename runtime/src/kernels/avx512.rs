//! Products of block-quantized rows with a vector, written out for AVX-512: a third of the instructions that the
//! compiler makes of the plain loops in [`super::matvec`], which decoding spends most of its time in.

use std::arch::x86_64::*;

use super::activations::Activations;

super::formats::dispatch!("avx512f,f16c,fma");

/// `out[r] = row r · x` for Q4_1 (`BYTES` = 20: scale, offset, 16 bytes of nibbles) or Q4_0 (18: scale, nibbles; the
/// offset is −8 scales).
#[target_feature(enable = "avx512f,f16c,fma")]
fn q4<const BYTES: usize>(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    let (values, sums) = (x.values.as_chunks::<32>().0, &x.block_sums[..]);
    let integers = _mm512_setr_ps(0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.);
    for (row, out) in bytes.chunks_exact(sums.len() * BYTES).zip(out) {
        let (mut total, mut offsets) = (_mm512_setzero_ps(), _mm_setzero_ps());
        for ((block, x), sum) in row.as_chunks::<BYTES>().0.iter().zip(values).zip(sums) {
            // Scale and, in Q4_1, offset: the first two halves.
            let head = i32::from_le_bytes([block[0], block[1], block[2], block[3]]);
            let scales = _mm_cvtph_ps(_mm_cvtsi32_si128(head));
            let packed = u128::from_le_bytes(*block.last_chunk::<16>().unwrap_or(&[0; 16]));
            // SAFETY: `u128` and `__m128i` are 16 bytes of plain bits.
            let packed = unsafe { std::mem::transmute::<u128, __m128i>(packed) };
            // Each lane looks its low four bits up in the table of the integers 0 to 15.
            let wide = _mm512_cvtepu8_epi32(packed);
            let low = _mm512_permutexvar_ps(wide, integers);
            let high = _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(wide), integers);
            let products = _mm512_mul_ps(low, load(x, 0));
            let products = _mm512_fmadd_ps(high, load(x, 16), products);
            total = _mm512_fmadd_ps(_mm512_broadcastss_ps(scales), products, total);
            offsets = _mm_fmadd_ps(scales, _mm_set1_ps(*sum), offsets);
        }
        let offset = if BYTES == 20 {
            _mm_cvtss_f32(_mm_movehdup_ps(offsets)) // Σ offset · sum, the second lane
        } else {
            -8.0 * _mm_cvtss_f32(offsets) // Σ scale · sum, the first
        };
        *out = _mm512_reduce_add_ps(total) + offset;
    }
}

/// `out[r] = row r · x` for Q8_0: a scale and 32 signed bytes.
#[target_feature(enable = "avx512f,f16c,fma")]
fn q8_0(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    let values = x.values.as_chunks::<32>().0;
    for (row, out) in bytes.chunks_exact(values.len() * 34).zip(out) {
        let mut total = _mm512_setzero_ps();
        for (block, x) in row.as_chunks::<34>().0.iter().zip(values) {
            let scale = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes([block[0], block[1]]))));
            let half = |at: usize| {
                // SAFETY: `at` is 2 or 18, and 16 bytes follow either inside the block.
                let packed = unsafe { _mm_loadu_si128(block.as_ptr().add(at).cast()) };
                _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(packed))
            };
            let products = _mm512_mul_ps(half(2), load(x, 0));
            let products = _mm512_fmadd_ps(half(18), load(x, 16), products);
            total = _mm512_fmadd_ps(_mm512_broadcastss_ps(scale), products, total);
        }
        *out = _mm512_reduce_add_ps(total);
    }
}

/// Values `at..at + 16` of a block; `at` is 0 or 16.
#[target_feature(enable = "avx512f")]
fn load(x: &[f32; 32], at: usize) -> __m512 {
    debug_assert!(at <= 16);
    // SAFETY: 16 values follow `at` inside the block.
    unsafe { _mm512_loadu_ps(x.as_ptr().add(at)) }
}
