//! Exponentials and maxima, of which softmax is made.
//!
//! # Numbers that are not finite
//! A softmax is made of three functions here, and they decide for all of it what a NaN or an infinity does:
//!
//! * [`exp_nonpositive`] of NaN is NaN, of −inf 0. So a sum of exponentials is NaN as soon as one logit is NaN.
//! * [`maximum`] passes over a NaN that stands beside numbers, since its sum tells of it and a search for it would cost as much
//!   as the maximum; of nothing but NaN and −inf it is NaN. [`larger`], which joins maxima, is NaN as soon as one is.
//! * [`exp_shifted`] subtracts the largest logit; `+inf − (+inf)` is NaN, so a row with +inf has a sum that is NaN.
//!
//! A row with NaN or +inf therefore has a sum that is NaN. A logit of −inf has weight 0, as a key that is masked. A row
//! of only −inf (or of no logit) has the sum 0, and no softmax. The dense specification does the same.

use multiversion::multiversion;

use super::arithmetic::sum_lanes;

/// Below this, `exp` is taken as 0.
const LOWEST: f32 = -87.3;

/// `x`, but at least [`LOWEST`]; NaN stays NaN. (`f32::max` would answer `LOWEST` for NaN. Written like this it is one
/// instruction, whose answer is the second operand where one is NaN.)
#[inline(always)]
fn clamped(x: f32) -> f32 {
    if x < LOWEST { LOWEST } else { x }
}

/// The larger of two numbers; NaN if one of them is NaN, unlike [`f32::max`].
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

/// Raises `most` to at least `value`; NaN stays, and makes NaN.
pub fn raise(most: &mut f32, value: f32) {
    if value.is_nan() || value > *most {
        *most = value;
    }
}

/// `exp(x)` for `x ≤ 0` to about 2 ulp; 0 below −87, NaN of NaN. Written without branches, so that loops over it
/// vectorize.
#[inline(always)]
pub fn exp_nonpositive(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it leaves the nearest integer in the low mantissa bits
    let clamped = clamped(x);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // x − n·ln 2 in two steps, the first exact; then the Cephes polynomial of e^f on [−ln 2 / 2, ln 2 / 2].
    let f = clamped - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4_f32;
    let p = p * f + 1.398_2e-3;
    let p = p * f + 8.333_452e-3;
    let p = p * f + 4.166_579_6e-2;
    let p = p * f + 1.666_666_5e-1;
    let p = p * f + 5e-1;
    let p = p * (f * f) + f + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_shl(23).wrapping_add(0x3f80_0000));
    let p = p * power;
    if x < -87.0 { 0.0 } else { p }
}

/// Largest value; −inf for an empty slice. A NaN beside numbers is passed over, and the sum of exponentials that follows
/// tells of it; of nothing but NaN and −inf the largest is NaN.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn maximum(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = if v > *lane { v } else { *lane };
        }
    }
    let most = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m });
    if most == f32::NEG_INFINITY && x.iter().any(|v| v.is_nan()) { f32::NAN } else { most }
}

/// `x = exp(x − shift)` for `shift = max(x)` or more; returns the sum: NaN if one of `x` is NaN or +inf. Of nothing but
/// −inf, with a shift of −inf, all of `x` is 0.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn exp_shifted(x: &mut [f32], shift: f32) -> f32 {
    // −inf − (−inf) is NaN, where every weight is 0.
    let shift = if shift == f32::NEG_INFINITY { 0.0 } else { shift };
    let mut lanes = [0.0f32; 16];
    let (chunks, rest) = x.as_chunks_mut::<16>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *v = exp_nonpositive(*v - shift);
            *lane += *v;
        }
    }
    let mut total = sum_lanes(lanes);
    for v in rest {
        *v = exp_nonpositive(*v - shift);
        total += *v;
    }
    total
}

/// As [`exp_shifted`]; returns Σ e and Σ e·(x − shift), the part of the entropy that needs the logits. Where e is 0 its
/// product is 0, also for −inf.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn exp_shifted_with_entropy(x: &mut [f32], shift: f32) -> (f32, f32) {
    let shift = if shift == f32::NEG_INFINITY { 0.0 } else { shift };
    let (mut sums, mut weighted) = ([0.0f32; 16], [0.0f32; 16]);
    let (chunks, rest) = x.as_chunks_mut::<16>();
    for chunk in chunks {
        for i in 0..16 {
            let t = chunk[i] - shift;
            let e = exp_nonpositive(t);
            chunk[i] = e;
            sums[i] += e;
            weighted[i] += e * clamped(t);
        }
    }
    let (mut sum, mut product) = (sum_lanes(sums), sum_lanes(weighted));
    for v in rest {
        let t = *v - shift;
        *v = exp_nonpositive(t);
        sum += *v;
        product += *v * clamped(t);
    }
    (sum, product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate_to_two_ulp_and_vanishes_far_below_zero() {
        let mut worst = 0.0f64;
        for step in 0..870_000 {
            let x = -(step as f32) * 1e-4;
            let exact = (x as f64).exp();
            worst = worst.max((exp_nonpositive(x) as f64 / exact - 1.0).abs());
        }
        assert!(worst < 2.5e-7, "worst relative error {worst}");
        assert_eq!(exp_nonpositive(0.0), 1.0);
        assert_eq!(exp_nonpositive(-1e30), 0.0);
        assert_eq!(exp_nonpositive(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn nan_goes_through_every_part_of_a_softmax_wherever_it_stands() {
        assert!(exp_nonpositive(f32::NAN).is_nan() && exp_nonpositive(-f32::NAN).is_nan());
        assert!(larger(f32::NAN, 1.0).is_nan() && larger(1.0, f32::NAN).is_nan());
        assert_eq!((larger(1.0, 2.0), larger(2.0, 1.0), larger(f32::NEG_INFINITY, 1.0)), (2.0, 2.0, 1.0));
        for len in [1, 15, 16, 17, 32, 33, 100] {
            for at in 0..len {
                let mut row: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7).sin()).collect();
                for (broken, sum) in [(f32::NAN, None), (f32::INFINITY, None), (f32::NEG_INFINITY, Some(()))]
                {
                    row[at] = broken;
                    let most = maximum(&row);
                    assert_eq!(most.is_nan(), broken.is_nan() && len == 1, "{broken} at {at} of {len}");
                    let (mut plain, mut watched) = (row.clone(), row.clone());
                    let (total, (again, product)) =
                        (exp_shifted(&mut plain, most), exp_shifted_with_entropy(&mut watched, most));
                    for value in [total, again, product] {
                        assert_eq!(value.is_finite(), sum.is_some(), "{broken} at {at} of {len}: {value}");
                    }
                    assert!(sum.is_none() || plain[at] == 0.0);
                }
            }
        }
    }

    #[test]
    fn opposite_infinities_are_no_nan_and_nothing_has_the_sum_0() {
        let mut row = [0.5; 40];
        (row[3], row[19]) = (f32::NEG_INFINITY, f32::INFINITY);
        assert_eq!(maximum(&row), f32::INFINITY);
        let mut nothing = [f32::NEG_INFINITY; 40];
        nothing[23] = f32::NAN;
        assert!(maximum(&nothing).is_nan());
        let most = maximum(&[f32::NEG_INFINITY; 40]);
        assert_eq!((most, maximum(&[])), (f32::NEG_INFINITY, f32::NEG_INFINITY));
        assert_eq!(exp_shifted(&mut [f32::NEG_INFINITY; 40], most), 0.0);
        assert_eq!(exp_shifted_with_entropy(&mut [f32::NEG_INFINITY; 40], most), (0.0, 0.0));
    }

    #[test]
    fn entropy_sums_match_the_plain_ones() {
        let x: Vec<f32> = (0..37).map(|i| (i as f32 * 1.7).sin() * 5.0).collect();
        let shift = maximum(&x);
        let (mut a, mut b) = (x.clone(), x.clone());
        let sum = exp_shifted(&mut a, shift);
        let (sum_again, product) = exp_shifted_with_entropy(&mut b, shift);
        assert_eq!((sum, &a), (sum_again, &b));
        let expected: f32 = x.iter().zip(&a).map(|(x, e)| e * (x - shift)).sum();
        assert!((product - expected).abs() < 1e-4);
    }
}
