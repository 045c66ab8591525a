//! Registers of f32, so that a loop is written once for every width.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use half::{bf16, f16};

/// One register.
///
/// # Safety
/// Every method needs a processor that has the register's instructions, and a caller that enables them or is inlined into one that does:
/// no closure, which would be a function of its own without them. A pointer must point to [`Self::COUNT`] numbers.
pub trait Lanes: Copy {
    /// Numbers in it.
    const COUNT: usize;
    /// All 0.
    unsafe fn zero() -> Self;
    /// All `x`.
    unsafe fn all(x: f32) -> Self;
    /// Reads f32.
    unsafe fn read_f32(at: *const f32) -> Self;
    /// Reads IEEE halves.
    unsafe fn read_f16(at: *const f16) -> Self;
    /// Reads bfloat16.
    unsafe fn read_bf16(at: *const bf16) -> Self;
    /// Writes f32.
    unsafe fn write(self, at: *mut f32);
    /// `self · other`
    unsafe fn times(self, other: Self) -> Self;
    /// `self + a · b`, rounded once.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
    /// `self − a · b`, rounded once.
    unsafe fn minus_product(self, a: Self, b: Self) -> Self;
    /// The sum of each of four.
    unsafe fn sums(four: [Self; 4]) -> [f32; 4];
}

/// A number that is read as f32.
pub trait Number: Copy + 'static {
    /// Reads `L::COUNT` of them.
    ///
    /// # Safety
    /// As [`Lanes`].
    unsafe fn read<L: Lanes>(at: *const Self) -> L;
}

impl Number for f32 {
    #[inline(always)]
    unsafe fn read<L: Lanes>(at: *const Self) -> L {
        // SAFETY: the caller's.
        unsafe { L::read_f32(at) }
    }
}

impl Number for f16 {
    #[inline(always)]
    unsafe fn read<L: Lanes>(at: *const Self) -> L {
        // SAFETY: the caller's.
        unsafe { L::read_f16(at) }
    }
}

impl Number for bf16 {
    #[inline(always)]
    unsafe fn read<L: Lanes>(at: *const Self) -> L {
        // SAFETY: the caller's.
        unsafe { L::read_bf16(at) }
    }
}

/// Lets [`Lanes`] of a type of registers be these expressions.
#[cfg(target_arch = "x86_64")]
macro_rules! lanes {
    ($type:ty, $count:literal, $zero:ident, $all:ident, $read:ident, $write:ident, $times:ident, $plus:ident, $minus:ident,
     { f16($f16_at:ident) => $f16:expr, bf16($bf16_at:ident) => $bf16:expr,
       sums($a:ident, $b:ident, $c:ident, $d:ident) => $sums:expr }) => {
        impl Lanes for $type {
            const COUNT: usize = $count;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's, here and below.
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn all(x: f32) -> Self {
                // SAFETY: as above.
                unsafe { $all(x) }
            }

            #[inline(always)]
            unsafe fn read_f32(at: *const f32) -> Self {
                // SAFETY: as above.
                unsafe { $read(at) }
            }

            #[inline(always)]
            unsafe fn read_f16($f16_at: *const f16) -> Self {
                let $f16_at = $f16_at.cast();
                // SAFETY: as above.
                unsafe { $f16 }
            }

            #[inline(always)]
            unsafe fn read_bf16($bf16_at: *const bf16) -> Self {
                let $bf16_at = $bf16_at.cast();
                // SAFETY: as above.
                unsafe { $bf16 }
            }

            #[inline(always)]
            unsafe fn write(self, at: *mut f32) {
                // SAFETY: as above.
                unsafe { $write(at, self) }
            }

            #[inline(always)]
            unsafe fn times(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $times(self, other) }
            }

            #[inline(always)]
            unsafe fn plus_product(self, a: Self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $plus(a, b, self) }
            }

            #[inline(always)]
            unsafe fn minus_product(self, a: Self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $minus(a, b, self) }
            }

            #[inline(always)]
            unsafe fn sums([$a, $b, $c, $d]: [Self; 4]) -> [f32; 4] {
                let mut sums = [0.0; 4];
                // SAFETY: as above.
                unsafe { _mm_storeu_ps(sums.as_mut_ptr(), $sums) };
                sums
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
lanes!(
    __m256,
    8,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    _mm256_fnmadd_ps,
    {
        f16(at) => _mm256_cvtph_ps(_mm_loadu_si128(at)),
        bf16(at) => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(at)))),
        sums(a, b, c, d) => {
            let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs))
        }
    }
);

#[cfg(target_arch = "x86_64")]
lanes!(
    __m512,
    16,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_fnmadd_ps,
    {
        f16(at) => _mm512_cvtph_ps(_mm256_loadu_si256(at)),
        bf16(at) => _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at)))),
        sums(a, b, c, d) => {
            // The quarters of two registers, added to one that holds two quarters of each; then one of each.
            let ab = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
            let cd = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
            let all = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
            let all = _mm512_add_ps(all, _mm512_permute_ps::<0b10_11_00_01>(all));
            let all = _mm512_add_ps(all, _mm512_permute_ps::<0b01_00_11_10>(all));
            let firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
            _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, all))
        }
    }
);
