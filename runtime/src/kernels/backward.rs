//! Gradients of what [`super::elementwise`] computes, for training.

use multiversion::multiversion;

use super::elementwise::{exp_nonpositive, normal_distribution, sum, sum_by, sum_lanes};

const LANES: usize = 16;

/// Gradient of RMSNorm for each row of `weight.len()` values: with `r = 1 / sqrt(mean(x²) + epsilon)` and `a = g ∘ weight`,
/// `dx = r · (a − x · r² · mean(a ∘ x))`; `dweight += g ∘ x · r`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    g: &[f32],
    epsilon: f32,
    dx: &mut [f32],
    dweight: &mut [f32],
) {
    let width = weight.len();
    let rows = x.chunks_exact(width).zip(g.chunks_exact(width));
    for ((x, g), dx) in rows.zip(dx.chunks_exact_mut(width)) {
        let mean = sum_by(x, |v| v * v) / width as f32;
        let r = 1.0 / (mean + epsilon).sqrt();
        let along = sum_of_products(g, x, weight) / width as f32 * r * r;
        let terms = x.iter().zip(g).zip(weight);
        for (((x, g), weight), (dx, dweight)) in terms.zip(dx.iter_mut().zip(dweight.iter_mut())) {
            *dx = r * (g * weight - x * along);
            *dweight += g * x * r;
        }
    }
}

/// Gradient of `silu(gate) · up`: with σ of the gate, `dgate = g · up · σ · (1 + gate · (1 − σ))`,
/// `dup = g · gate · σ`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn silu_multiply_backward(gate: &[f32], up: &[f32], g: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    let inputs = gate.iter().zip(up).zip(g);
    for (((&gate, up), g), (dgate, dup)) in inputs.zip(dgate.iter_mut().zip(dup.iter_mut())) {
        let e = exp_nonpositive(-gate.abs());
        let sigmoid = if gate >= 0.0 { 1.0 } else { e } / (1.0 + e);
        *dgate = g * up * sigmoid * (1.0 + gate * (1.0 - sigmoid));
        *dup = g * gate * sigmoid;
    }
}

/// Gradient of LayerNorm for each row of `weight.len()` values, but for its bias: with `n = (x − mean(x)) · r`,
/// `r = 1 / sqrt(var(x) + epsilon)` and `a = g ∘ weight`, `dx = r · (a − mean(a) − n · mean(a ∘ n))`; `dweight += g ∘ n`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn layer_norm_backward(
    x: &[f32],
    weight: &[f32],
    g: &[f32],
    epsilon: f32,
    dx: &mut [f32],
    dweight: &mut [f32],
) {
    let width = weight.len();
    let (mut normed, mut a) = (vec![0.0; width], vec![0.0; width]);
    let rows = x.chunks_exact(width).zip(g.chunks_exact(width));
    for ((x, g), dx) in rows.zip(dx.chunks_exact_mut(width)) {
        let mean = sum(x) / width as f32;
        let variance = sum_by(x, |v| (v - mean) * (v - mean)) / width as f32;
        let r = 1.0 / (variance + epsilon).sqrt();
        normed.iter_mut().zip(x).for_each(|(normed, x)| *normed = (x - mean) * r);
        a.iter_mut().zip(g.iter().zip(weight)).for_each(|(a, (g, weight))| *a = g * weight);
        let level = sum(&a) / width as f32;
        let along = sum_of_products(g, &normed, weight) / width as f32;
        let terms = normed.iter().zip(&a).zip(g);
        for (((normed, a), g), (dx, dweight)) in terms.zip(dx.iter_mut().zip(dweight.iter_mut())) {
            *dx = r * (a - level - normed * along);
            *dweight += g * normed;
        }
    }
}

/// Gradient of [`gelu`](super::elementwise::gelu): `dx = g · (Φ(x) + x · φ(x))`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn gelu_backward(x: &[f32], g: &[f32], dx: &mut [f32]) {
    /// 1 / √(2π)
    const PEAK: f32 = 0.398_942_3;
    for ((&x, g), dx) in x.iter().zip(g).zip(dx) {
        *dx = g * (normal_distribution(x) + x * PEAK * exp_nonpositive(-0.5 * x * x));
    }
}

/// Gradient of [`gelu_tanh`](super::elementwise::gelu_tanh): with `u = √(2/π) (x + 0.044715 x³)` and σ the logistic function
/// of `2u`, by which x is multiplied, `dx = g · σ · (1 + x · 2u' · (1 − σ))`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn gelu_tanh_backward(x: &[f32], g: &[f32], dx: &mut [f32]) {
    for ((&x, g), dx) in x.iter().zip(g).zip(dx) {
        *dx = g * tanh_gate(x).1;
    }
}

/// Gradient of `gelu_tanh(gate) · up`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn gelu_tanh_multiply_backward(gate: &[f32], up: &[f32], g: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    let inputs = gate.iter().zip(up).zip(g);
    for (((&gate, up), g), (dgate, dup)) in inputs.zip(dgate.iter_mut().zip(dup.iter_mut())) {
        let (value, slope) = tanh_gate(gate);
        *dgate = g * up * slope;
        *dup = g * value;
    }
}

/// GELU by tanh, and its derivative.
#[inline(always)]
fn tanh_gate(x: f32) -> (f32, f32) {
    const FACTOR: f32 = 0.797_884_6;
    let u = 2.0 * FACTOR * (x + 0.044_715 * x * x * x);
    let slope = 2.0 * FACTOR * (1.0 + 3.0 * 0.044_715 * x * x);
    let e = exp_nonpositive(-u.abs());
    let sigmoid = if u >= 0.0 { 1.0 } else { e } / (1.0 + e);
    // From both sides, so that 1 − σ keeps its digits.
    let rest = if u >= 0.0 { e } else { 1.0 } / (1.0 + e);
    (x * sigmoid, sigmoid * (1.0 + x * slope * rest))
}

/// Gradient of [`swiglu_bounded`](super::elementwise::swiglu_bounded); beyond its bounds 0.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn swiglu_bounded_backward(gate: &[f32], up: &[f32], g: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    const ALPHA: f32 = 1.702;
    const LIMIT: f32 = 7.0;
    let inputs = gate.iter().zip(up).zip(g);
    for (((&gate, &up), g), (dgate, dup)) in inputs.zip(dgate.iter_mut().zip(dup.iter_mut())) {
        let bounded = if gate > LIMIT { LIMIT } else { gate };
        let factor = up.clamp(-LIMIT, LIMIT) + 1.0;
        let e = exp_nonpositive(-(ALPHA * bounded).abs());
        let sigmoid = if bounded >= 0.0 { 1.0 } else { e } / (1.0 + e);
        let slope = sigmoid * (1.0 + ALPHA * bounded * (1.0 - sigmoid));
        *dgate = if gate > LIMIT { 0.0 } else { g * factor * slope };
        *dup = if up.abs() > LIMIT { 0.0 } else { g * bounded * sigmoid };
    }
}

/// `dlogits`, which holds the gradient of the probabilities `p`, becomes that of the logits: `p ∘ (dlogits − along)`, where
/// `along = Σ p ∘ dlogits` is known to the caller.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn softmax_backward(p: &[f32], along: f32, dlogits: &mut [f32]) {
    for (p, d) in p.iter().zip(dlogits) {
        *d = p * (*d - along);
    }
}

/// `Σ a ∘ b ∘ c`.
#[inline(always)]
fn sum_of_products(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let term = |i: usize| a[i] * b[i] * c[i];
    let whole = a.len() / LANES * LANES;
    let mut lanes = [0.0f32; LANES];
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    sum_lanes(lanes) + (whole..a.len()).map(term).sum::<f32>()
}
