//! Products of block-quantized rows with a vector, written out for AVX2: what [`super::avx512`] does, eight values at a time.

use std::arch::x86_64::*;

use super::activations::Activations;

super::formats::dispatch!("avx2,f16c,fma");

/// `out[r] = row r · x` for Q4_1 (`BYTES` = 20: scale, offset, 16 bytes of nibbles) or Q4_0 (18: scale, nibbles; the
/// offset is −8 scales).
#[target_feature(enable = "avx2,f16c,fma")]
fn q4<const BYTES: usize>(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    let (values, sums) = (x.values.as_chunks::<32>().0, &x.block_sums[..]);
    let four_bits = _mm_set1_epi8(15);
    for (row, out) in bytes.chunks_exact(sums.len() * BYTES).zip(out) {
        let (mut total, mut offsets) = (_mm256_setzero_ps(), _mm_setzero_ps());
        for ((block, x), sum) in row.as_chunks::<BYTES>().0.iter().zip(values).zip(sums) {
            // Scale and, in Q4_1, offset: the first two halves.
            let head = i32::from_le_bytes([block[0], block[1], block[2], block[3]]);
            let scales = _mm_cvtph_ps(_mm_cvtsi32_si128(head));
            let packed = u128::from_le_bytes(*block.last_chunk::<16>().unwrap_or(&[0; 16]));
            // SAFETY: `u128` and `__m128i` are 16 bytes of plain bits.
            let packed = unsafe { std::mem::transmute::<u128, __m128i>(packed) };
            let low = _mm_and_si128(packed, four_bits);
            let high = _mm_and_si128(_mm_srli_epi16::<4>(packed), four_bits);
            let products = _mm256_mul_ps(unsigned(low), load(x, 0));
            let products = _mm256_fmadd_ps(unsigned(_mm_srli_si128::<8>(low)), load(x, 8), products);
            let products = _mm256_fmadd_ps(unsigned(high), load(x, 16), products);
            let products = _mm256_fmadd_ps(unsigned(_mm_srli_si128::<8>(high)), load(x, 24), products);
            total = _mm256_fmadd_ps(_mm256_broadcastss_ps(scales), products, total);
            offsets = _mm_fmadd_ps(scales, _mm_set1_ps(*sum), offsets);
        }
        let offset = if BYTES == 20 {
            _mm_cvtss_f32(_mm_movehdup_ps(offsets)) // Σ offset · sum, the second lane
        } else {
            -8.0 * _mm_cvtss_f32(offsets) // Σ scale · sum, the first
        };
        *out = sum(total) + offset;
    }
}

/// `out[r] = row r · x` for Q8_0: a scale and 32 signed bytes.
#[target_feature(enable = "avx2,f16c,fma")]
fn q8_0(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    let values = x.values.as_chunks::<32>().0;
    for (row, out) in bytes.chunks_exact(values.len() * 34).zip(out) {
        let mut total = _mm256_setzero_ps();
        for (block, x) in row.as_chunks::<34>().0.iter().zip(values) {
            let scale = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes([block[0], block[1]]))));
            let quarter = |at: usize| {
                // SAFETY: `at` is 2, 10, 18 or 26, and 8 bytes follow each inside the block.
                let packed = unsafe { _mm_loadl_epi64(block.as_ptr().add(at).cast()) };
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(packed))
            };
            let products = _mm256_mul_ps(quarter(2), load(x, 0));
            let products = _mm256_fmadd_ps(quarter(10), load(x, 8), products);
            let products = _mm256_fmadd_ps(quarter(18), load(x, 16), products);
            let products = _mm256_fmadd_ps(quarter(26), load(x, 24), products);
            total = _mm256_fmadd_ps(_mm256_broadcastss_ps(scale), products, total);
        }
        *out = sum(total);
    }
}

/// The lower eight bytes as floats.
#[target_feature(enable = "avx2")]
fn unsigned(bytes: __m128i) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))
}

/// Sum of all lanes, halving.
#[target_feature(enable = "avx2")]
fn sum(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// Values `at..at + 8` of a block; `at` is at most 24.
#[target_feature(enable = "avx2")]
fn load(x: &[f32; 32], at: usize) -> __m256 {
    debug_assert!(at <= 24);
    // SAFETY: 8 values follow `at` inside the block.
    unsafe { _mm256_loadu_ps(x.as_ptr().add(at)) }
}
