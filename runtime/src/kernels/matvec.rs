//! A few rows of stored weights times one vector, without unpacking the weights to memory: what decoding needs.
//!
//! Activations stay f32, so that a token decoded alone gets the same values as in a prefill, up to the order of sums.

use candle_core::quantized::GgmlDType;
use multiversion::multiversion;

use super::activations::Activations;
use super::dequantize::{half_to_f32, rows_to_f32};
use super::elementwise::sum_lanes;
use super::level::Level;
use crate::model::weights::{Matrix, WeightType};

/// `out[r] = matrix[first + r] · x`.
pub fn rows_times_vector(matrix: &Matrix, first: usize, x: &Activations<'_>, out: &mut [f32]) {
    rows_times_vector_at(Level::best(), matrix, first, x, out);
}

/// [`rows_times_vector`] with the instructions of `level`, where the format is written out for it.
pub fn rows_times_vector_at(
    level: Level,
    matrix: &Matrix,
    first: usize,
    x: &Activations<'_>,
    out: &mut [f32],
) {
    let width = matrix.row_bytes();
    let bytes = &matrix.bytes()[first * width..(first + out.len()) * width];
    if let WeightType::Quantized(format) = matrix.weight_type()
        && level.rows_times_vector(format, bytes, x, out)
    {
        return;
    }
    match matrix.weight_type() {
        WeightType::F32 => floats(bytes, x.values, out),
        WeightType::F16 => halves(bytes, x.values, out),
        WeightType::Bf16 => brains(bytes, x.values, out),
        WeightType::Quantized(GgmlDType::Q4_0) => q4_0(bytes, x, out),
        WeightType::Quantized(GgmlDType::Q4_1) => q4_1(bytes, x, out),
        WeightType::Quantized(GgmlDType::Q8_0) => q8_0(bytes, x, out),
        WeightType::Quantized(_) | WeightType::Block(_) => {
            let mut row = vec![0.0; matrix.columns()];
            for (r, out) in out.iter_mut().enumerate() {
                rows_to_f32(matrix, first + r, &mut row);
                *out = dot(&row, x.values);
            }
        }
    }
}

/// Inner product.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_inline(a, b)
}

/// [`dot`] for use inside functions that are compiled per instruction set themselves.
#[inline(always)]
pub fn dot_inline(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 32];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..32 {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    sum_lanes(lanes) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn floats(bytes: &[u8], x: &[f32], out: &mut [f32]) {
    stored::<4>(bytes, x, out, |b| f32::from_le_bytes(*b));
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn halves(bytes: &[u8], x: &[f32], out: &mut [f32]) {
    stored::<2>(bytes, x, out, |b| half_to_f32(*b));
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn brains(bytes: &[u8], x: &[f32], out: &mut [f32]) {
    stored::<2>(bytes, x, out, |b| f32::from_bits((u16::from_le_bytes(*b) as u32) << 16));
}

#[inline(always)]
fn stored<const SIZE: usize>(bytes: &[u8], x: &[f32], out: &mut [f32], read: impl Fn(&[u8; SIZE]) -> f32) {
    for (row, out) in bytes.chunks_exact(x.len() * SIZE).zip(out) {
        let mut lanes = [0.0f32; 32];
        let ((row, rest), (x, x_rest)) = (row.as_chunks::<SIZE>().0.as_chunks::<32>(), x.as_chunks::<32>());
        for (row, x) in row.iter().zip(x) {
            for i in 0..32 {
                lanes[i] = read(&row[i]).mul_add(x[i], lanes[i]);
            }
        }
        *out = sum_lanes(lanes) + rest.iter().zip(x_rest).map(|(w, x)| read(w) * x).sum::<f32>();
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn q4_0(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    for (row, out) in bytes.chunks_exact(x.block_sums.len() * 18).zip(out) {
        let (mut lanes, mut offset) = ([0.0f32; 16], 0.0f32);
        let blocks = row.as_chunks::<18>().0;
        for ((block, x), sum) in blocks.iter().zip(x.values.as_chunks::<32>().0).zip(&x.block_sums) {
            let d = half_to_f32([block[0], block[1]]);
            nibbles(block[2..].as_chunks::<16>().0, x, d, &mut lanes);
            offset = (-8.0 * d).mul_add(*sum, offset);
        }
        *out = sum_lanes(lanes) + offset;
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn q4_1(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    for (row, out) in bytes.chunks_exact(x.block_sums.len() * 20).zip(out) {
        let (mut lanes, mut offset) = ([0.0f32; 16], 0.0f32);
        let blocks = row.as_chunks::<20>().0;
        for ((block, x), sum) in blocks.iter().zip(x.values.as_chunks::<32>().0).zip(&x.block_sums) {
            let d = half_to_f32([block[0], block[1]]);
            nibbles(block[4..].as_chunks::<16>().0, x, d, &mut lanes);
            offset = half_to_f32([block[2], block[3]]).mul_add(*sum, offset);
        }
        *out = sum_lanes(lanes) + offset;
    }
}

/// `lanes += d · (low nibbles · x[..16] + high nibbles · x[16..])`.
#[inline(always)]
fn nibbles(packed: &[[u8; 16]], x: &[f32; 32], d: f32, lanes: &mut [f32; 16]) {
    let packed = &packed[0];
    for i in 0..16 {
        let low = (packed[i] & 15) as i32 as f32;
        let high = (packed[i] >> 4) as i32 as f32;
        lanes[i] = d.mul_add(high.mul_add(x[16 + i], low * x[i]), lanes[i]);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn q8_0(bytes: &[u8], x: &Activations<'_>, out: &mut [f32]) {
    for (row, out) in bytes.chunks_exact(x.block_sums.len() * 34).zip(out) {
        let mut lanes = [0.0f32; 16];
        for (block, x) in row.as_chunks::<34>().0.iter().zip(x.values.as_chunks::<32>().0) {
            let d = half_to_f32([block[0], block[1]]);
            for i in 0..16 {
                let low = (block[2 + i] as i8) as f32;
                let high = (block[18 + i] as i8) as f32;
                lanes[i] = d.mul_add(high.mul_add(x[16 + i], low * x[i]), lanes[i]);
            }
        }
        *out = sum_lanes(lanes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// As far apart as sums in another order can be; and each level that has its own code is really taken.
    #[test]
    fn levels_agree_and_the_best_is_the_last() {
        let levels = Level::available();
        assert_eq!(levels.last(), Some(&Level::best()));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            assert_eq!(levels.len(), 3, "{levels:?}");
        }
        let x: Vec<f32> = (0..256).map(|i| (i as f32 * 0.11).cos()).collect();
        let x = Activations::new(&x);
        for format in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
            // Small scales and offsets that differ by block, and every value of a byte behind them.
            let size = WeightType::Quantized(format).block().1;
            let bytes: Vec<u8> = (0..40 * 256 / 32 * size)
                .map(|i| match i % size {
                    1 => 0x2a,
                    3 if format == GgmlDType::Q4_1 => 0xa9,
                    within => (i * 37 + within * 101) as u8,
                })
                .collect();
            let len = bytes.len();
            let format = WeightType::Quantized(format);
            let matrix = Matrix::new(Arc::new(bytes), 0..len, format, 40, 256).expect("right size");
            let product = |level| {
                let mut out = [0.0; 37];
                rows_times_vector_at(level, &matrix, 3, &x, &mut out);
                out
            };
            let plain = product(levels[0]);
            for &level in &levels[1..] {
                let mut taken = [0.0; 37];
                let WeightType::Quantized(kind) = format else { unreachable!("made so above") };
                assert!(level.rows_times_vector(
                    kind,
                    &matrix.bytes()[3 * matrix.row_bytes()..],
                    &x,
                    &mut taken
                ));
                assert_eq!(taken, product(level));
                for (got, expected) in taken.iter().zip(plain) {
                    let what = format!("{level:?} {format:?}: {got} {expected}");
                    assert!((got - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{what}");
                }
            }
        }
    }

    /// Every format's product equals the product with its dequantized rows, in f64, with every instruction set that this
    /// processor has.
    #[test]
    fn vector_products_match_dequantized_rows() {
        let (rows, columns) = (3, 256);
        let formats = [
            WeightType::F32,
            WeightType::F16,
            WeightType::Bf16,
            WeightType::Quantized(GgmlDType::Q4_0),
            WeightType::Quantized(GgmlDType::Q4_1),
            WeightType::Quantized(GgmlDType::Q8_0),
            WeightType::Quantized(GgmlDType::Q5_0),
            WeightType::Quantized(GgmlDType::Q4K),
            WeightType::Quantized(GgmlDType::Q6K),
        ];
        let x: Vec<f32> = (0..columns).map(|i| (i as f32 * 0.11).cos()).collect();
        for format in formats {
            let (block, size) = format.block();
            let len = rows * columns / block * size;
            // Bytes whose halves are small and finite in every format.
            let bytes: Vec<u8> =
                (0..len).map(|i| if i % 2 == 1 { 0x2a } else { (i * 37 % 251) as u8 }).collect();
            let matrix = Matrix::new(Arc::new(bytes), 0..len, format, rows, columns).expect("right size");
            for level in Level::available() {
                let (mut out, mut row) = (vec![0.0; rows], vec![0.0; columns]);
                rows_times_vector_at(level, &matrix, 0, &Activations::new(&x), &mut out);
                for (r, &got) in out.iter().enumerate() {
                    rows_to_f32(&matrix, r, &mut row);
                    let products = row.iter().zip(&x).map(|(w, x)| *w as f64 * *x as f64);
                    let size: f64 = products.clone().map(f64::abs).sum();
                    let expected: f64 = products.sum();
                    let what = format!("{level:?} {format:?} row {r}: {got} {expected}");
                    assert!((got as f64 - expected).abs() <= 1e-5 * size, "{what}");
                }
            }
        }
    }
}
