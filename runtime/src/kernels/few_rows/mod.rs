//! Products of a few vectors with many rows, as the attention of decoding needs them: a row is read once, rotated in registers, and
//! meets all vectors. Rows may be held in 16 bits.

mod rows;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use multiversion::multiversion;
use rows::TOGETHER;
pub use rows::{Angles, Rows};

use super::elementwise::rotate;
use super::level::Level;
#[cfg(target_arch = "x86_64")]
use super::level::Set;
use super::matvec::dot_inline;

/// `out[v · out_stride + r] = vectors[v] · rotated rows[r]`; vectors are [vectors, width].
pub fn dot_products(
    vectors: &[f32],
    rows: &Rows<'_>,
    angles: &Angles<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    dot_products_at(Level::best(), vectors, rows, angles, out, out_stride);
}

/// [`dot_products`] with the instructions of `level`.
pub fn dot_products_at(
    level: Level,
    vectors: &[f32],
    rows: &Rows<'_>,
    angles: &Angles<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    rows.check();
    let count = vectors.len() / rows.width;
    assert!((count - 1) * out_stride + rows.count <= out.len(), "room for the products");
    assert!(2 * angles.half <= rows.width && rows.count * 2 * angles.half <= angles.values.len(), "angles");
    #[cfg(target_arch = "x86_64")]
    let fits = |lanes: usize| angles.half.is_multiple_of(lanes) && rows.width.is_multiple_of(lanes);
    for first in (0..count).step_by(TOGETHER) {
        let vectors = &vectors[first * rows.width..(first + TOGETHER).min(count) * rows.width];
        let out = &mut out[first * out_stride..];
        match level.set() {
            // SAFETY: the processor has what a level stands for, and all lengths were checked.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 if fits(16) => unsafe {
                x86::dot_products_512(vectors, rows, angles, out, out_stride)
            },
            // SAFETY: as above; AVX-512 includes AVX2.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx2 if fits(8) => unsafe {
                x86::dot_products_256(vectors, rows, angles, out, out_stride)
            },
            _ => plain_dot_products(vectors, rows, angles, out, out_stride),
        }
    }
}

/// `out[v] += Σ_r weights[v, r] · rows[r]`; weights are [vectors, rows], `out` is [vectors, width].
pub fn add_weighted(weights: &[f32], rows: &Rows<'_>, out: &mut [f32]) {
    add_weighted_at(Level::best(), weights, rows, out);
}

/// [`add_weighted`] with the instructions of `level`.
pub fn add_weighted_at(level: Level, weights: &[f32], rows: &Rows<'_>, out: &mut [f32]) {
    rows.check();
    let count = weights.len() / rows.count;
    assert!(count * rows.width <= out.len(), "room for the sums");
    for first in (0..count).step_by(TOGETHER) {
        let last = (first + TOGETHER).min(count);
        let weights = &weights[first * rows.count..last * rows.count];
        let out = &mut out[first * rows.width..last * rows.width];
        match level.set() {
            // SAFETY: the processor has what a level stands for, and all lengths were checked.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 if rows.width.is_multiple_of(16) => unsafe {
                x86::add_weighted_512(weights, rows, out)
            },
            // SAFETY: as above; AVX-512 includes AVX2.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx2 if rows.width.is_multiple_of(8) => unsafe {
                x86::add_weighted_256(weights, rows, out)
            },
            _ => plain_add_weighted(weights, rows, out),
        }
    }
}

#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn plain_dot_products(
    vectors: &[f32],
    rows: &Rows<'_>,
    angles: &Angles<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    let (mut held, mut rotated) = (Vec::new(), vec![0.0; rows.width]);
    for r in 0..rows.count {
        let mut row = rows.numbers.slice(r * rows.stride..r * rows.stride + rows.width).read(&mut held);
        if angles.half > 0 {
            let angles = &angles.values[r * 2 * angles.half..][..2 * angles.half];
            rotate(row, angles, false, &mut rotated);
            row = &rotated;
        }
        for (v, vector) in vectors.chunks_exact(rows.width).enumerate() {
            out[v * out_stride + r] = dot_inline(vector, row);
        }
    }
}

#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn plain_add_weighted(weights: &[f32], rows: &Rows<'_>, out: &mut [f32]) {
    let mut held = Vec::new();
    for r in 0..rows.count {
        let row = rows.numbers.slice(r * rows.stride..r * rows.stride + rows.width).read(&mut held);
        for (weights, out) in weights.chunks_exact(rows.count).zip(out.chunks_exact_mut(rows.width)) {
            for (out, x) in out.iter_mut().zip(row) {
                *out = weights[r].mul_add(*x, *out);
            }
        }
    }
}
