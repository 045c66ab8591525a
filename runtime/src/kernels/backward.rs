//! Gradients of what [`super::elementwise`] computes, for training.

use multiversion::multiversion;

use super::elementwise::{exp_nonpositive, sum_by, sum_lanes};

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
