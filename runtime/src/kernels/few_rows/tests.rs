//! Every level against sums in f64.

use super::*;
use crate::model::kv_type::{KvType, Stored};

/// Every level, type, number of vectors and rows, and width, with and without rotation, equals sums in f64.
#[test]
fn every_level_equals_the_sums_in_f64() {
    let number = |at: usize| ((at * 37 % 101) as f32 - 50.0) * 0.021;
    for (width, half) in
        [(64, 32), (64, 0), (80, 40), (96, 32), (32, 16), (24, 8), (20, 4), (7, 3), (128, 64)]
    {
        for kv in [KvType::F32, KvType::F16, KvType::Bf16] {
            for count in [1, 2, 3, 4, 5, 63, 64] {
                let stride = width + 3;
                let mut held: Vec<f32> = (0..(count - 1) * stride + width).map(number).collect();
                kv.round(&mut held);
                let mut bits = vec![0; held.len()];
                kv.pack(&held, &mut bits);
                let numbers = if kv.is_f32() { Stored::F32(&held) } else { Stored::Half(kv, &bits) };
                let rows = Rows { numbers, stride, count, width };
                let values: Vec<f32> = (0..count * 2 * half).map(|at| (at as f32 * 0.1).cos()).collect();
                let angles = Angles { values: &values, half };
                for vectors in [1, 2, 3, 4, 5, 8] {
                    let what = format!("width {width}, half {half}, {kv}, {count} rows, {vectors} vectors");
                    let query: Vec<f32> = (0..vectors * width).map(|at| number(at + 5)).collect();
                    let weights: Vec<f32> = (0..vectors * count).map(|at| number(at + 9)).collect();
                    for level in Level::available() {
                        let mut got = vec![0.0; vectors * (count + 2)];
                        dot_products_at(level, &query, &rows, &angles, &mut got, count + 2);
                        let mut sums = vec![0.5; vectors * width];
                        add_weighted_at(level, &weights, &rows, &mut sums);
                        for v in 0..vectors {
                            for r in 0..count {
                                let mut rotated = vec![0.0; width];
                                let angles = &values[r * 2 * half..][..2 * half];
                                rotate(&held[r * stride..][..width], angles, false, &mut rotated);
                                let products = query[v * width..].iter().zip(&rotated);
                                let expected: f64 =
                                    products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                                let got = f64::from(got[v * (count + 2) + r]);
                                assert!((got - expected).abs() < 1e-4, "{level:?}, {what}: {got} {expected}");
                            }
                            for at in 0..width {
                                let products = (0..count).map(|r| {
                                    f64::from(weights[v * count + r]) * f64::from(held[r * stride + at])
                                });
                                let (got, expected) =
                                    (f64::from(sums[v * width + at]), 0.5 + products.sum::<f64>());
                                assert!((got - expected).abs() < 1e-4, "{level:?}, {what}: {got} {expected}");
                            }
                        }
                    }
                }
            }
        }
    }
}

/// NaN and infinities go where they belong, and nowhere else.
#[test]
fn a_number_that_is_not_finite_changes_its_own_row_alone() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut held = vec![1.0; 6 * 64];
        held[2 * 64 + 5] = bad;
        let rows = Rows { numbers: Stored::F32(&held), stride: 64, count: 6, width: 64 };
        for level in Level::available() {
            let mut out = [0.0; 6];
            dot_products_at(level, &[1.0; 64], &rows, &Angles::default(), &mut out, 6);
            for (r, product) in out.iter().enumerate() {
                assert_eq!(product.is_finite(), r != 2, "{level:?} {bad} row {r}: {product}");
            }
            let mut sums = [0.0; 64];
            add_weighted_at(level, &[1.0; 6], &rows, &mut sums);
            for (at, sum) in sums.iter().enumerate() {
                assert_eq!(sum.is_finite(), at != 5, "{level:?} {bad} column {at}: {sum}");
            }
        }
    }
}
