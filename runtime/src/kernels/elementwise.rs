//! Element by element: normalization, activation, exponentials, rotation. Plain loops, compiled per instruction set.
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

/// `out = x / sqrt(mean(x²) + epsilon) · weight` for each row of `weight.len()` values (RMSNorm).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean = sum_by(x, |v| v * v) / width as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

/// `out = (x − mean(x)) / sqrt(var(x) + epsilon) · weight + bias` for each row of `weight.len()` values (LayerNorm; a bias of
/// none is 0).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn layer_norm(x: &[f32], weight: &[f32], bias: Option<&[f32]>, epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean = sum(x) / width as f32;
        let variance = sum_by(x, |v| (v - mean) * (v - mean)) / width as f32;
        let scale = 1.0 / (variance + epsilon).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = (x - mean) * scale * weight;
        }
        if let Some(bias) = bias {
            out.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
        }
    }
}

/// `x = gelu(x) = x · Φ(x)`, with the distribution function of the normal distribution to 2e-7 (Abramowitz and Stegun 7.1.26).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn gelu(x: &mut [f32]) {
    for x in x {
        *x *= normal_distribution(*x);
    }
}

/// Φ(x), as [`gelu`] has it.
#[inline(always)]
pub(super) fn normal_distribution(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4_f32 * t - 1.453_152;
    let p = (p * t + 1.421_413_7) * t - 0.284_496_74;
    let p = (p * t + 0.254_829_6) * t;
    let tail = 0.5 * p * exp_nonpositive(-z * z);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// `x = x · (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`, the approximation of [`gelu`] that GPT-2 introduced.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn gelu_tanh(x: &mut [f32]) {
    const FACTOR: f32 = 0.797_884_6;
    for x in x {
        // (1 + tanh u) / 2 = 1 / (1 + e^−2u), by the exponential of −|2u|.
        let u = 2.0 * FACTOR * (*x + 0.044_715 * *x * *x * *x);
        let e = exp_nonpositive(-u.abs());
        *x *= if u >= 0.0 { 1.0 } else { e } / (1.0 + e);
    }
}

/// `gate = gelu_tanh(gate) · up`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn gelu_tanh_multiply(gate: &mut [f32], up: &[f32]) {
    gelu_tanh(gate);
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate *= up;
    }
}

/// `gate = (u + 1) · g · sigmoid(1.702 g)` with `g = min(gate, 7)` and `u = up` within ±7, as gpt-oss has it; NaN stays NaN.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn swiglu_bounded(gate: &mut [f32], up: &[f32]) {
    const ALPHA: f32 = 1.702;
    const LIMIT: f32 = 7.0;
    for (gate, &up) in gate.iter_mut().zip(up) {
        let g = if *gate > LIMIT { LIMIT } else { *gate };
        let u = up.clamp(-LIMIT, LIMIT);
        let e = exp_nonpositive(-(ALPHA * g).abs());
        let sigmoid = if g >= 0.0 { 1.0 } else { e } / (1.0 + e);
        *gate = (u + 1.0) * g * sigmoid;
    }
}

/// `x = cap · tanh(x / cap)`, to about 6e-8 of `cap`: infinities become ±`cap`, NaN stays NaN.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn soft_cap(x: &mut [f32], cap: f32) {
    for x in x {
        // tanh |u| = (1 − e^−2|u|) / (1 + e^−2|u|)
        let e = exp_nonpositive(-2.0 * (*x / cap).abs());
        *x = (cap * (1.0 - e) / (1.0 + e)).copysign(*x);
    }
}

/// `x` within ±`most`; NaN stays NaN.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn clamp(x: &mut [f32], most: f32) {
    for x in x {
        *x = if *x > most {
            most
        } else if *x < -most {
            -most
        } else {
            *x
        };
    }
}

/// `gate = silu(gate) · up`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn silu_multiply(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        // silu(g) = g / (1 + e^−g), by the exponential of −|g| so that nothing overflows.
        let g = *gate;
        let e = exp_nonpositive(-g.abs());
        let sigmoid = if g >= 0.0 { 1.0 } else { e } / (1.0 + e);
        *gate = g * sigmoid * up;
    }
}

/// `x += y`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `x *= factor`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn scale(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

/// Sum of running sums, halving: the order that vector registers can follow.
#[inline(always)]
pub fn sum_lanes<const N: usize>(mut lanes: [f32; N]) -> f32 {
    let mut width = N / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Sum with sixteen running sums, so that it vectorizes and rounds less than one.
#[inline(always)]
pub fn sum_by(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v);
        }
    }
    sum_lanes(lanes) + rest.iter().map(|&v| f(v)).sum::<f32>()
}

/// Sum of a slice.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn sum(x: &[f32]) -> f32 {
    sum_by(x, |v| v)
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

/// Turns one head (`[head_dim]`, half-split pairs) by the angles of `row` ([2, dim/2]: cosines, sines), forwards or
/// backwards, and writes it to `out`; dimensions past `dim` are copied.
#[inline(always)]
pub fn rotate(x: &[f32], row: &[f32], backwards: bool, out: &mut [f32]) {
    let half = row.len() / 2;
    let (cosines, sines) = row[..2 * half].split_at(half);
    let sines = &sines[..half]; // so that the compiler sees one length everywhere, and no bounds checks are left
    let sign = if backwards { -1.0 } else { 1.0 };
    let (x0, rest) = x.split_at(half);
    let (x1, passed) = rest.split_at(half);
    let (out0, out_rest) = out.split_at_mut(half);
    let (out1, out_passed) = out_rest.split_at_mut(half);
    for j in 0..half {
        let (c, s) = (cosines[j], sines[j] * sign);
        out0[j] = x0[j] * c - x1[j] * s;
        out1[j] = x0[j] * s + x1[j] * c;
    }
    out_passed.copy_from_slice(passed);
}

/// Brings a head whose pairs are interleaved, `(2j, 2j + 1)`, into half-split order; dimensions past `dim` stay.
pub fn to_half_split(head: &mut [f32], dim: usize, spare: &mut [f32]) {
    for j in 0..dim / 2 {
        spare[j] = head[2 * j];
        spare[j + dim / 2] = head[2 * j + 1];
    }
    head[..dim].copy_from_slice(&spare[..dim]);
}

/// Raises `most` to at least `value`; NaN stays, and makes NaN.
pub fn raise(most: &mut f32, value: f32) {
    if value.is_nan() || value > *most {
        *most = value;
    }
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
    fn norms_and_activations_are_their_formulas() {
        let values: Vec<f32> = (0..4001).map(|at| (at as f32 - 2000.0) / 200.0).collect();
        let of = |f: fn(&mut [f32])| {
            let mut all = values.clone();
            f(&mut all);
            all
        };
        // Φ by Simpson's rule from 0 on.
        let distribution = |x: f64| {
            let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let (n, step) = (400, x / 400.0);
            let sum: f64 = (0..=n)
                .map(|at| {
                    let weight = if at == 0 || at == n {
                        1.0
                    } else if at % 2 == 1 {
                        4.0
                    } else {
                        2.0
                    };
                    weight * density(step * f64::from(at))
                })
                .sum();
            0.5 + sum * step / 3.0
        };
        for ((&x, a), b) in values.iter().zip(of(gelu)).zip(of(gelu_tanh)) {
            let x = f64::from(x);
            assert!((f64::from(a) - x * distribution(x)).abs() < 2e-6, "{x}: {a}");
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            assert!((f64::from(b) - x * (1.0 + u.tanh()) / 2.0).abs() < 2e-6, "{x}: {b}");
        }
        for f in [gelu, gelu_tanh] {
            let mut odd = [f32::NAN, f32::INFINITY, 0.0];
            f(&mut odd);
            assert!(odd[0].is_nan() && odd[1] == f32::INFINITY && odd[2] == 0.0, "{odd:?}");
        }
        let mut clamped = [f32::NAN, -9.0, 9.0, 0.5, f32::INFINITY, f32::NEG_INFINITY];
        clamp(&mut clamped, 2.0);
        assert!(clamped[0].is_nan() && clamped[1..] == [-2.0, 2.0, 0.5, 2.0, -2.0], "{clamped:?}");
        for width in [1, 2, 7, 32, 33] {
            let x: Vec<f32> = (0..3 * width).map(|at| (at as f32 * 0.7).sin() * 3.0 + 1.0).collect();
            let weight: Vec<f32> = (0..width).map(|at| 1.0 + (at as f32 * 0.3).cos()).collect();
            let bias: Vec<f32> = (0..width).map(|at| at as f32 * 0.1).collect();
            for bias in [None, Some(&bias[..])] {
                let mut out = vec![0.0; x.len()];
                layer_norm(&x, &weight, bias, 1e-5, &mut out);
                for (x, out) in x.chunks(width).zip(out.chunks(width)) {
                    let n = width as f64;
                    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
                    let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
                    for at in 0..width {
                        let bias = bias.map_or(0.0, |bias| f64::from(bias[at]));
                        let expected = (f64::from(x[at]) - mean) / (variance + 1e-5).sqrt()
                            * f64::from(weight[at])
                            + bias;
                        assert!((f64::from(out[at]) - expected).abs() < 1e-4, "{width} {at}: {}", out[at]);
                    }
                }
            }
        }
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
    fn silu_is_finite_everywhere() {
        let mut gate = vec![-1e30, -100.0, -1.0, 0.0, 1.0, 100.0, 1e30];
        let exact: Vec<f64> = gate.iter().map(|&g: &f32| g as f64 / (1.0 + (-g as f64).exp())).collect();
        silu_multiply(&mut gate, &[1.0; 7]);
        for (got, expected) in gate.iter().zip(exact) {
            assert!((*got as f64 - expected).abs() <= 1e-6 * expected.abs().max(1e-30), "{got} {expected}");
        }
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

    #[test]
    fn interleaved_pairs_become_halves() {
        let mut head = vec![0.0, 1.0, 2.0, 3.0, 9.0];
        to_half_split(&mut head, 4, &mut [0.0; 4]);
        assert_eq!(head, [0.0, 2.0, 1.0, 3.0, 9.0]);
    }
}
