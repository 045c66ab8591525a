//! Activation functions of MLPs, and caps of logits.

use multiversion::multiversion;

use super::exponentials::exp_nonpositive;

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
pub fn normal_distribution(x: f32) -> f32 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::elementwise::{clamp, layer_norm};

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
    fn silu_is_finite_everywhere() {
        let mut gate = vec![-1e30, -100.0, -1.0, 0.0, 1.0, 100.0, 1e30];
        let exact: Vec<f64> = gate.iter().map(|&g: &f32| g as f64 / (1.0 + (-g as f64).exp())).collect();
        silu_multiply(&mut gate, &[1.0; 7]);
        for (got, expected) in gate.iter().zip(exact) {
            assert!((*got as f64 - expected).abs() <= 1e-6 * expected.abs().max(1e-30), "{got} {expected}");
        }
    }
}
