//! The loops of [`super`] over registers, each written once for AVX2 and AVX-512.

use std::arch::x86_64::{__m256, __m512, _MM_HINT_T0, _mm_prefetch};

use half::slice::HalfBitsSliceExt;
use half::{bf16, f16};

use super::rows::{Angles, Rows, TOGETHER};
use crate::kernels::lanes::{Lanes, Number};
use crate::model::kv_type::{KvType, Stored};

/// Calls `$function::<$lanes, type of the numbers, number of vectors>`.
macro_rules! by_type_and_count {
    ($function:ident, $lanes:ty, $numbers:expr, $count:expr, $($argument:expr),*) => {
        match $numbers {
            Stored::F32(numbers) => by_count!($function, $lanes, f32, numbers, $count, $($argument),*),
            Stored::Half(KvType::Bf16, bits) => {
                by_count!($function, $lanes, bf16, bits.reinterpret_cast::<bf16>(), $count, $($argument),*)
            }
            Stored::Half(_, bits) => {
                by_count!($function, $lanes, f16, bits.reinterpret_cast::<f16>(), $count, $($argument),*)
            }
        }
    };
}

macro_rules! by_count {
    ($function:ident, $lanes:ty, $number:ty, $numbers:expr, $count:expr, $($argument:expr),*) => {
        // SAFETY: the caller's.
        unsafe {
            match $count {
                1 => $function::<$lanes, $number, 1>($numbers, $($argument),*),
                2 => $function::<$lanes, $number, 2>($numbers, $($argument),*),
                3 => $function::<$lanes, $number, 3>($numbers, $($argument),*),
                _ => $function::<$lanes, $number, TOGETHER>($numbers, $($argument),*),
            }
        }
    };
}

/// The two products, with the instructions of one kind of register.
macro_rules! with_registers {
    ($lanes:ty, $features:literal, $dot_products:ident, $add_weighted:ident) => {
        /// # Safety
        /// On a processor with these instructions; lengths as [`super::dot_products_at`] checks them, widths whole registers.
        #[target_feature(enable = $features)]
        pub unsafe fn $dot_products(
            vectors: &[f32],
            rows: &Rows<'_>,
            angles: &Angles<'_>,
            out: &mut [f32],
            out_stride: usize,
        ) {
            let count = vectors.len() / rows.width;
            by_type_and_count!(products, $lanes, rows.numbers, count, vectors, rows, angles, out, out_stride);
        }

        /// # Safety
        /// On a processor with these instructions; lengths as [`super::add_weighted_at`] checks them, widths whole registers.
        #[target_feature(enable = $features)]
        pub unsafe fn $add_weighted(weights: &[f32], rows: &Rows<'_>, out: &mut [f32]) {
            let count = weights.len() / rows.count;
            by_type_and_count!(weighted, $lanes, rows.numbers, count, weights, rows, out);
        }
    };
}

with_registers!(__m512, "avx512f,avx2,f16c,fma", dot_products_512, add_weighted_512);
with_registers!(__m256, "avx2,f16c,fma", dot_products_256, add_weighted_256);

/// Rows that are asked for before they are needed: the processor's own prefetching ends with each page of 4 kB.
const AHEAD: usize = 16;

/// Asks for the `count` rows that stand [`AHEAD`] rows behind `row`. What is behind the last row is asked for in vain.
#[inline(always)]
fn prefetch<N: Number>(row: *const N, count: usize, rows: &Rows<'_>) {
    for r in AHEAD..AHEAD + count {
        let row = row.wrapping_add(r * rows.stride).cast::<i8>();
        for line in (0..rows.width * size_of::<N>()).step_by(64) {
            // SAFETY: a hint, which never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(line)) };
        }
    }
}

/// [`dot_products`] of `VECTORS` vectors, four rows at a time, so that their sums across registers are made together.
///
/// # Safety
/// As [`Lanes`]; lengths as [`dot_products_at`] checks them, widths whole registers.
#[inline(always)]
unsafe fn products<L: Lanes, N: Number, const VECTORS: usize>(
    numbers: &[N],
    vectors: &[f32],
    rows: &Rows<'_>,
    angles: &Angles<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    let (half, width, last) = (angles.half, rows.width, rows.count - 1);
    for first in (0..rows.count).step_by(4) {
        let mut sums = [[0.0; 4]; VECTORS];
        // SAFETY: rows, angles and vectors are as long as was checked; `at` stays within a row.
        unsafe {
            let (mut row, mut angle) = ([numbers.as_ptr(); 4], [angles.values.as_ptr(); 4]);
            for i in 0..4 {
                // Behind the last row it is taken again.
                let r = (first + i).min(last);
                row[i] = row[i].add(r * rows.stride);
                angle[i] = angle[i].add(r * 2 * half);
            }
            prefetch(row[0], 4, rows);
            let mut totals = [[L::zero(); 4]; VECTORS];
            for at in (0..half).step_by(L::COUNT) {
                for i in 0..4 {
                    let (x, y) = (N::read::<L>(row[i].add(at)), N::read::<L>(row[i].add(half + at)));
                    let (cosine, sine) =
                        (L::read_f32(angle[i].add(at)), L::read_f32(angle[i].add(half + at)));
                    let (x, y) =
                        (x.times(cosine).minus_product(y, sine), y.times(cosine).plus_product(x, sine));
                    for (v, totals) in totals.iter_mut().enumerate() {
                        let vector = vectors.as_ptr().add(v * width + at);
                        let total = totals[i].plus_product(L::read_f32(vector), x);
                        totals[i] = total.plus_product(L::read_f32(vector.add(half)), y);
                    }
                }
            }
            for at in (2 * half..width).step_by(L::COUNT) {
                for i in 0..4 {
                    let x = N::read::<L>(row[i].add(at));
                    for (v, totals) in totals.iter_mut().enumerate() {
                        let vector = vectors.as_ptr().add(v * width + at);
                        totals[i] = totals[i].plus_product(L::read_f32(vector), x);
                    }
                }
            }
            for (sums, totals) in sums.iter_mut().zip(totals) {
                *sums = L::sums(totals);
            }
        }
        for (v, sums) in sums.iter().enumerate() {
            let kept = (rows.count - first).min(4);
            out[v * out_stride + first..][..kept].copy_from_slice(&sums[..kept]);
        }
    }
}

/// [`add_weighted`] for `VECTORS` vectors, up to four registers of columns at a time.
///
/// # Safety
/// As [`Lanes`]; lengths as [`add_weighted_at`] checks them, widths whole registers.
#[inline(always)]
unsafe fn weighted<L: Lanes, N: Number, const VECTORS: usize>(
    numbers: &[N],
    weights: &[f32],
    rows: &Rows<'_>,
    out: &mut [f32],
) {
    let mut at = 0;
    // SAFETY: the caller's; columns stay within a row.
    unsafe {
        while at + 4 * L::COUNT <= rows.width {
            weighted_columns::<L, N, VECTORS, 4>(numbers, weights, rows, at, out);
            at += 4 * L::COUNT;
        }
        while at < rows.width {
            weighted_columns::<L, N, VECTORS, 1>(numbers, weights, rows, at, out);
            at += L::COUNT;
        }
    }
}

/// The columns of `REGISTERS` registers from `first` on of [`weighted`].
///
/// # Safety
/// As [`weighted`].
#[inline(always)]
unsafe fn weighted_columns<L: Lanes, N: Number, const VECTORS: usize, const REGISTERS: usize>(
    numbers: &[N],
    weights: &[f32],
    rows: &Rows<'_>,
    first: usize,
    out: &mut [f32],
) {
    // SAFETY: rows, weights and sums are as long as was checked.
    unsafe {
        let mut sums = [[L::zero(); REGISTERS]; VECTORS];
        for (v, sums) in sums.iter_mut().enumerate() {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = L::read_f32(out.as_ptr().add(v * rows.width + first + i * L::COUNT));
            }
        }
        for r in 0..rows.count {
            let row = numbers.as_ptr().add(r * rows.stride + first);
            if first == 0 {
                prefetch(row, 1, rows);
            }
            let mut numbers = [L::zero(); REGISTERS];
            for (i, number) in numbers.iter_mut().enumerate() {
                *number = N::read::<L>(row.add(i * L::COUNT));
            }
            for (v, sums) in sums.iter_mut().enumerate() {
                let weight = L::all(*weights.as_ptr().add(v * rows.count + r));
                for (sum, number) in sums.iter_mut().zip(numbers) {
                    *sum = sum.plus_product(weight, number);
                }
            }
        }
        for (v, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate() {
                sum.write(out.as_mut_ptr().add(v * rows.width + first + i * L::COUNT));
            }
        }
    }
}
