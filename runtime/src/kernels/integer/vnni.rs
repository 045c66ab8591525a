//! Integer products in the instructions of AVX-512 VNNI, which multiply 64 pairs of bytes at once.

use std::arch::x86_64::*;

use super::activations::{Codes, TokenCodes};
use super::codes::{Affine, Block, GROUP};
use super::panel::{Panel, ROWS};

/// Rows that are multiplied side by side, so that sums need not wait for each other.
const SIDE_BY_SIDE: usize = 4;

/// [`super::rows::rows_times_codes`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
pub(super) fn rows<B: Block>(bytes: &[u8], x: TokenCodes<'_>, out: &mut [f32]) {
    let width = x.groups() / B::GROUPS * B::BYTES;
    let (fours, rest) = out.as_chunks_mut::<SIDE_BY_SIDE>();
    let (most, last) = bytes.split_at(fours.len() * SIDE_BY_SIDE * width);
    for (rows, out) in most.chunks_exact(SIDE_BY_SIDE * width).zip(fours) {
        *out = side_by_side::<B, SIDE_BY_SIDE>(rows, width, x);
    }
    for (row, out) in last.chunks_exact(width).zip(rest) {
        [*out] = side_by_side::<B, 1>(row, width, x);
    }
}

/// `N` rows of `width` bytes, side by side.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
fn side_by_side<B: Block, const N: usize>(rows: &[u8], width: usize, x: TokenCodes<'_>) -> [f32; N] {
    let (mut totals, mut offsets) = ([_mm256_setzero_ps(); N], [0.0f32; N]);
    for at in 0..width / B::BYTES {
        for within in 0..B::GROUPS {
            let group = at * B::GROUPS + within;
            let scale = x.scales[group];
            // SAFETY: 32 bytes.
            let codes = unsafe { _mm256_loadu_si256(x.words[group].as_ptr().cast()) };
            for n in 0..N {
                let block = &rows[n * width + at * B::BYTES..][..B::BYTES];
                let weights = B::codes(block, within);
                let [first, second] = B::affine(block, within);
                let dot = _mm256_dpbusd_epi32(_mm256_setzero_si256(), load(&weights), codes);
                let dot = _mm256_cvtepi32_ps(dot);
                if B::HALVES {
                    let scales = [first, second].map(|half| _mm_set1_ps(half.scale * scale));
                    totals[n] = _mm256_fmadd_ps(dot, _mm256_set_m128(scales[1], scales[0]), totals[n]);
                    offsets[n] = first.offset.mul_add(x.half_sums[group][0], offsets[n]);
                    offsets[n] = second.offset.mul_add(x.half_sums[group][1], offsets[n]);
                } else {
                    let Affine { scale: of_weights, offset } = first;
                    totals[n] = _mm256_fmadd_ps(dot, _mm256_set1_ps(of_weights * scale), totals[n]);
                    offsets[n] = offset.mul_add(x.sums[group], offsets[n]);
                }
            }
        }
    }
    std::array::from_fn(|n| sum(totals[n]) + offsets[n])
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load(bytes: &[u8; GROUP]) -> __m256i {
    // SAFETY: 32 bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Sum of all lanes, halving.
#[target_feature(enable = "avx512f,avx512vl")]
fn sum(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// [`Panel::times`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
pub(super) fn times(panel: &Panel, x: &Codes, take: &mut impl FnMut(usize, &[f32; ROWS])) {
    let tokens = x.tokens();
    let mut token = 0;
    while token + 8 <= tokens {
        if panel.halves {
            block::<8, true>(panel, x, token, take)
        } else {
            block::<8, false>(panel, x, token, take)
        }
        token += 8;
    }
    while token < tokens {
        if panel.halves {
            block::<1, true>(panel, x, token, take)
        } else {
            block::<1, false>(panel, x, token, take)
        }
        token += 1;
    }
}

/// `T` tokens from `first` on. Each sum is that of the definition, operation by operation.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
fn block<const T: usize, const HALVES: bool>(
    panel: &Panel,
    x: &Codes,
    first: usize,
    take: &mut impl FnMut(usize, &[f32; ROWS]),
) {
    let mut totals = [_mm512_setzero_ps(); T];
    let parts = if HALVES { 2 } else { 1 };
    let x: [TokenCodes<'_>; T] = std::array::from_fn(|t| x.token(first + t));
    for (group, weights) in panel.words.as_chunks::<8>().0.iter().enumerate() {
        for part in 0..parts {
            let mut dots = [_mm512_setzero_si512(); T];
            for word in part * 8 / parts..(part + 1) * 8 / parts {
                // SAFETY: 16 aligned words.
                let weights = unsafe { _mm512_load_si512(weights[word].0.as_ptr().cast()) };
                for t in 0..T {
                    let codes = _mm512_set1_epi32(x[t].words[group][word]);
                    dots[t] = _mm512_dpbusd_epi32(dots[t], weights, codes);
                }
            }
            // SAFETY: 16 aligned values each.
            let (scales, offsets) = unsafe {
                (
                    _mm512_load_ps(panel.scales[parts * group + part].0.as_ptr()),
                    _mm512_load_ps(panel.offsets[parts * group + part].0.as_ptr()),
                )
            };
            for t in 0..T {
                let sum = if HALVES { x[t].half_sums[group][part] } else { x[t].sums[group] };
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(x[t].scales[group]));
                totals[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), scale, totals[t]);
                totals[t] = _mm512_fmadd_ps(offsets, _mm512_set1_ps(sum), totals[t]);
            }
        }
    }
    for (t, total) in totals.into_iter().enumerate() {
        let mut values = [0.0; ROWS];
        // SAFETY: 16 values.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), total) };
        take(first + t, &values);
    }
}
