//! Products of bfloat16 in the instructions of AVX-512 BF16, which multiply 32 pairs at once.

use std::arch::x86_64::*;

use super::activations::Brains;
use crate::model::packed::{BrainPanels, Line, ROWS};

/// Tokens that are multiplied side by side, by two panels: as many sums as there are registers for.
const TOKENS: usize = 12;

/// [`super::product::panels_times_brains`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) fn times(
    packed: &BrainPanels,
    first: usize,
    count: usize,
    x: &Brains,
    take: &mut impl FnMut(usize, usize, &[f32; ROWS]),
) {
    let lines = |panel: usize| &packed.lines[panel * packed.pairs..][..packed.pairs];
    for panel in (first..first + count).step_by(2) {
        if panel + 1 < first + count {
            tokens([lines(panel), lines(panel + 1)], x, &mut |token, at, sums| take(token, panel + at, sums));
        } else {
            tokens([lines(panel)], x, &mut |token, at, sums| take(token, panel + at, sums));
        }
    }
}

/// All tokens, some side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn tokens<const PANELS: usize>(
    lines: [&[Line]; PANELS],
    x: &Brains,
    take: &mut impl FnMut(usize, usize, &[f32; ROWS]),
) {
    let tokens = x.tokens();
    let mut token = 0;
    while token + TOKENS <= tokens {
        some::<TOKENS, PANELS>(lines, x, token, take);
        token += TOKENS;
    }
    while token + 4 <= tokens {
        some::<4, PANELS>(lines, x, token, take);
        token += 4;
    }
    while token < tokens {
        some::<1, PANELS>(lines, x, token, take);
        token += 1;
    }
}

/// `T` tokens from `first` on. Pairs are added one after the other, whatever `T` is.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn some<const T: usize, const PANELS: usize>(
    lines: [&[Line]; PANELS],
    x: &Brains,
    first: usize,
    take: &mut impl FnMut(usize, usize, &[f32; ROWS]),
) {
    let words: [&[u32]; T] = std::array::from_fn(|t| x.token(first + t));
    let mut totals = [[_mm512_setzero_ps(); T]; PANELS];
    for pair in 0..x.pairs {
        let mut weights = [_mm512_setzero_si512(); PANELS];
        for (weights, lines) in weights.iter_mut().zip(lines) {
            // SAFETY: 64 aligned bytes.
            *weights = unsafe { _mm512_load_si512(lines[pair].0.as_ptr().cast()) };
        }
        for t in 0..T {
            let word = _mm512_set1_epi32(words[t][pair].cast_signed());
            for (totals, weights) in totals.iter_mut().zip(weights) {
                // SAFETY: registers of the same size, whose bits are pairs of bfloat16.
                let (weights, word) = unsafe { (as_brains(weights), as_brains(word)) };
                totals[t] = _mm512_dpbf16_ps(totals[t], weights, word);
            }
        }
    }
    for (panel, totals) in totals.into_iter().enumerate() {
        for (t, total) in totals.into_iter().enumerate() {
            let mut values = [0.0; ROWS];
            // SAFETY: 16 values.
            unsafe { _mm512_storeu_ps(values.as_mut_ptr(), total) };
            take(first + t, panel, &values);
        }
    }
}

/// # Safety
/// On a processor with AVX-512.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn as_brains(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of plain bits.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}
