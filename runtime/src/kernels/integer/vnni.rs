//! Integer products in the instructions of AVX-512 VNNI, which multiply 64 pairs of bytes at once.

use std::arch::x86_64::*;

use super::activations::{Codes, TokenCodes};
use crate::model::packed::{IntegerPanels, Line, ROWS, Scales};

/// Tokens that are multiplied side by side.
const TOKENS: usize = 8;

/// [`super::product::panel_times_codes`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
pub(super) fn times(
    packed: &IntegerPanels,
    panel: usize,
    x: &Codes,
    take: &mut impl FnMut(usize, &[f32; ROWS]),
) {
    let groups = packed.groups;
    let range = panel * groups..(panel + 1) * groups;
    let codes = &packed.codes[range.start * packed.lines()..range.end * packed.lines()];
    match (&packed.scales, packed.four_bits) {
        (Scales::Scaled { scales, factor }, true) => {
            tokens::<true, _>(codes, &Scaled { scales: &scales[range], factor: *factor }, x, take);
        }
        (Scales::Scaled { scales, factor }, false) => {
            tokens::<false, _>(codes, &Scaled { scales: &scales[range], factor: *factor }, x, take);
        }
        (Scales::Affine(scales), true) => tokens::<true, _>(codes, &Affine(&scales[range]), x, take),
        (Scales::Affine(scales), false) => tokens::<false, _>(codes, &Affine(&scales[range]), x, take),
        (Scales::Floats { scales, halves: false }, true) => {
            tokens::<true, _>(codes, &Floats::<false>(&scales[range]), x, take);
        }
        (Scales::Floats { scales, halves: false }, false) => {
            tokens::<false, _>(codes, &Floats::<false>(&scales[range]), x, take);
        }
        (Scales::Floats { scales, halves: true }, true) => {
            tokens::<true, _>(codes, &Floats::<true>(&scales[2 * range.start..2 * range.end]), x, take);
        }
        (Scales::Floats { scales, halves: true }, false) => {
            tokens::<false, _>(codes, &Floats::<true>(&scales[2 * range.start..2 * range.end]), x, take);
        }
    }
}

/// Scales and offsets of the rows of a panel.
trait OfGroup {
    /// Whether halves of a group have their own.
    const HALVES: bool = false;

    /// Scales and offsets of part `part` of a group.
    ///
    /// # Safety
    /// On a processor with AVX-512.
    unsafe fn load(&self, group: usize, part: usize) -> (__m512, __m512);
}

struct Scaled<'a> {
    scales: &'a [[u16; ROWS]],
    factor: f32,
}

struct Affine<'a>(&'a [[[u16; ROWS]; 2]]);

struct Floats<'a, const HALVES: bool>(&'a [[[f32; ROWS]; 2]]);

/// Sixteen halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
fn halves(bits: &[u16; ROWS]) -> __m512 {
    // SAFETY: 32 bytes.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(bits.as_ptr().cast()) })
}

impl OfGroup for Scaled<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
    unsafe fn load(&self, group: usize, _: usize) -> (__m512, __m512) {
        let scales = halves(&self.scales[group]);
        (scales, _mm512_mul_ps(_mm512_set1_ps(self.factor), scales))
    }
}

impl OfGroup for Affine<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
    unsafe fn load(&self, group: usize, _: usize) -> (__m512, __m512) {
        let [scales, offsets] = &self.0[group];
        (halves(scales), halves(offsets))
    }
}

impl<const HALVES: bool> OfGroup for Floats<'_, HALVES> {
    const HALVES: bool = HALVES;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
    unsafe fn load(&self, group: usize, part: usize) -> (__m512, __m512) {
        let [scales, offsets] = &self.0[if HALVES { 2 * group + part } else { group }];
        // SAFETY: 16 values each.
        unsafe { (_mm512_loadu_ps(scales.as_ptr()), _mm512_loadu_ps(offsets.as_ptr())) }
    }
}

/// All tokens, some side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
fn tokens<const FOUR_BITS: bool, S: OfGroup>(
    codes: &[Line],
    scales: &S,
    x: &Codes,
    take: &mut impl FnMut(usize, &[f32; ROWS]),
) {
    let tokens = x.tokens();
    let whole = tokens - tokens % TOKENS;
    for first in (0..whole).step_by(TOKENS) {
        some::<TOKENS, FOUR_BITS, S>(codes, scales, x, first, take);
    }
    for token in whole..tokens {
        some::<1, FOUR_BITS, S>(codes, scales, x, token, take);
    }
}

/// `T` tokens from `first` on. Each sum is that of the definition, operation by operation.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c,fma")]
fn some<const T: usize, const FOUR_BITS: bool, S: OfGroup>(
    codes: &[Line],
    scales: &S,
    x: &Codes,
    first: usize,
    take: &mut impl FnMut(usize, &[f32; ROWS]),
) {
    let x: [TokenCodes<'_>; T] = std::array::from_fn(|t| x.token(first + t));
    let mut totals = [_mm512_setzero_ps(); T];
    let lines = if FOUR_BITS { 4 } else { 8 };
    for (group, codes) in codes.chunks_exact(lines).enumerate() {
        // Of the two halves of the group.
        let mut dots = [[_mm512_setzero_si512(); T]; 2];
        for (at, line) in codes.iter().enumerate() {
            // SAFETY: 64 aligned bytes.
            let line = unsafe { _mm512_load_si512(line.0.as_ptr().cast()) };
            if FOUR_BITS {
                let low = _mm512_and_si512(line, _mm512_set1_epi8(15));
                let high = _mm512_and_si512(_mm512_srli_epi16::<4>(line), _mm512_set1_epi8(15));
                for t in 0..T {
                    let words = &x[t].words[group];
                    dots[0][t] = _mm512_dpbusd_epi32(dots[0][t], low, _mm512_set1_epi32(words[at]));
                    dots[1][t] = _mm512_dpbusd_epi32(dots[1][t], high, _mm512_set1_epi32(words[4 + at]));
                }
            } else {
                for t in 0..T {
                    let words = _mm512_set1_epi32(x[t].words[group][at]);
                    dots[at / 4][t] = _mm512_dpbusd_epi32(dots[at / 4][t], line, words);
                }
            }
        }
        let mut add = |part: usize, dots: [__m512i; T]| {
            // SAFETY: this function has the instructions.
            let (scales, offsets) = unsafe { scales.load(group, part) };
            for t in 0..T {
                let sum = if S::HALVES { x[t].half_sums[group][part] } else { x[t].sums[group] };
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(x[t].scales[group]));
                totals[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), scale, totals[t]);
                totals[t] = _mm512_fmadd_ps(offsets, _mm512_set1_ps(sum), totals[t]);
            }
        };
        if S::HALVES {
            add(0, dots[0]);
            add(1, dots[1]);
        } else {
            add(0, std::array::from_fn(|t| _mm512_add_epi32(dots[0][t], dots[1][t])));
        }
    }
    for (t, total) in totals.into_iter().enumerate() {
        let mut values = [0.0; ROWS];
        // SAFETY: 16 values.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), total) };
        take(first + t, &values);
    }
}
