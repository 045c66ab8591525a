use std::sync::Arc;

use candle_core::quantized::GgmlDType;

use super::activations::Codes;
use super::codes::{Affine, Block, Format, with_block};
use super::panel::{Panel, ROWS};
use super::rows::rows_times_codes;
use super::{IntegerLevel, codes};
use crate::kernels::dequantize::rows_to_f32;
use crate::model::weights::{Matrix, WeightType};

const FORMATS: [GgmlDType; 6] =
    [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K];

/// Every level that this processor has.
fn levels() -> Vec<IntegerLevel> {
    [Some(IntegerLevel::PLAIN), IntegerLevel::best()].into_iter().flatten().collect()
}

/// Any bytes, but scales that are small numbers: halves stand at the begin of a block, or at the end in Q6_K.
fn matrix(format: GgmlDType, rows: usize, columns: usize) -> Matrix {
    let kind = WeightType::Quantized(format);
    let (values, size) = kind.block();
    let mut bytes: Vec<u8> =
        (0..rows * columns / values * size).map(|at| (at * 7919 % 251 + at / 97) as u8).collect();
    for (at, block) in bytes.chunks_exact_mut(size).enumerate() {
        let halves = match format {
            GgmlDType::Q6K => vec![size - 2],
            GgmlDType::Q4_0 | GgmlDType::Q8_0 => vec![0],
            _ => vec![0, 2],
        };
        for half in halves {
            block[half + 1] = 0x20 + (at % 5) as u8;
        }
    }
    let len = bytes.len();
    Matrix::new(Arc::new(bytes), 0..len, kind, rows, columns).expect("right size")
}

fn known(format: GgmlDType) -> Format {
    Format::of(format).expect("known")
}

fn activations(tokens: usize, columns: usize) -> Vec<f32> {
    (0..tokens * columns).map(|at| ((at * 37 % 1009) as f32 * 0.11).sin() * (1.0 + (at % 7) as f32)).collect()
}

#[test]
fn codes_with_their_scales_are_the_stored_weights() {
    fn decoded<B: Block>(row: &[u8], groups: usize) -> Vec<f32> {
        let mut values = Vec::new();
        for group in 0..groups {
            let block = &row[group / B::GROUPS * B::BYTES..][..B::BYTES];
            let [first, second] = B::affine(block, group % B::GROUPS);
            for (at, code) in B::codes(block, group % B::GROUPS).into_iter().enumerate() {
                let Affine { scale, offset } = if at < 16 { first } else { second };
                values.push(scale * f32::from(code) + offset);
            }
        }
        values
    }
    for kind in FORMATS {
        let matrix = matrix(kind, 3, 512);
        for row in 0..3 {
            let mut expected = vec![0.0; 512];
            rows_to_f32(&matrix, row, &mut expected);
            let bytes = matrix.rows_bytes(row, 1);
            let got = with_block!(known(kind), B => decoded::<B>(bytes, 16));
            let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert!(
                    (got - expected).abs() <= 2e-6 * largest,
                    "{kind:?} row {row}, {at}: {got} {expected}"
                );
            }
        }
    }
}

/// The products of dequantized weights with dequantized activations in f64, and what their magnitudes add up to.
fn expected(matrix: &Matrix, row: usize, x: &Codes, token: usize) -> (f64, f64) {
    let mut weights = vec![0.0; matrix.columns()];
    rows_to_f32(matrix, row, &mut weights);
    let x = x.token(token);
    let mut sums = (0.0, 0.0);
    for (group, weights) in weights.chunks_exact(32).enumerate() {
        for (weight, code) in weights.iter().zip(x.group(group)) {
            let product = f64::from(*weight) * f64::from(x.scales[group]) * f64::from(code);
            sums = (sums.0 + product, sums.1 + product.abs());
        }
    }
    sums
}

#[test]
fn rows_and_panels_equal_the_products_of_what_was_decoded() {
    for kind in FORMATS {
        for rows in [1, 3, 4, 5, 15, 16] {
            let (matrix, columns) = (matrix(kind, rows, 256), 256);
            let mut of_levels: Vec<Vec<[f32; ROWS]>> = Vec::new();
            for level in levels() {
                let tokens = 19;
                let x = Codes::new(&activations(tokens, columns), columns);
                let mut panel = Panel::default();
                // What another matrix left behind must not matter.
                panel.fill(Format::Q8_0, self::matrix(GgmlDType::Q8_0, 16, 512).rows_bytes(0, 16), 16);
                panel.fill(known(kind), matrix.rows_bytes(0, rows), x.groups);
                let mut of_panel = vec![[f32::NAN; ROWS]; tokens];
                panel.times(level, &x, |token, values| of_panel[token] = *values);
                for token in 0..tokens {
                    let mut by_row = vec![f32::NAN; rows];
                    let bytes = matrix.rows_bytes(0, rows);
                    rows_times_codes(level, known(kind), bytes, x.token(token), &mut by_row);
                    for row in 0..rows {
                        let (value, size) = expected(&matrix, row, &x, token);
                        for got in [by_row[row], of_panel[token][row]] {
                            let what = format!("{kind:?} {level:?} {rows} rows: row {row}, token {token}");
                            // Offsets and codes cancel: their sums are larger than the products.
                            assert!(
                                (f64::from(got) - value).abs() <= 2e-4 * size.max(1e-3),
                                "{what}: {got} {value}"
                            );
                        }
                    }
                    assert!(
                        of_panel[token][rows..].iter().all(|&lane| lane == 0.0),
                        "rows that are not there"
                    );
                }
                of_levels.push(of_panel);
            }
            assert!(
                of_levels.iter().all(|of| *of == of_levels[0]),
                "{kind:?}: panels are the same bit by bit"
            );
        }
    }
}

#[test]
fn a_token_gets_the_same_whatever_stands_beside_it() {
    let (matrix, columns) = (matrix(GgmlDType::Q4_1, 16, 96), 96);
    let x = activations(21, columns);
    for level in levels() {
        let mut panel = Panel::default();
        panel.fill(Format::Q4_1, matrix.rows_bytes(0, 16), 3);
        let mut all = vec![[0.0; ROWS]; 21];
        panel.times(level, &Codes::new(&x, columns), |token, values| all[token] = *values);
        for (token, expected) in all.iter().enumerate() {
            let alone = Codes::new(&x[token * columns..][..columns], columns);
            panel.times(level, &alone, |_, values| assert_eq!(values, expected));
        }
    }
}

#[test]
fn activations_are_rounded_to_a_254th_of_the_largest_of_their_group() {
    let mut x = activations(3, 64);
    x[32..64].fill(0.0);
    x[70] = 1e-30;
    x[96..128].iter_mut().for_each(|value| *value *= 1e20);
    let codes = Codes::new(&x, 64);
    assert_eq!((codes.tokens(), codes.groups), (3, 2));
    for token in 0..3 {
        let of = codes.token(token);
        for group in 0..2 {
            let values = &x[token * 64 + group * 32..][..32];
            let largest = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let mut halves = [0.0f64; 2];
            for (at, (value, code)) in values.iter().zip(of.group(group)).enumerate() {
                let stands_for = of.scales[group] * f32::from(code);
                assert!((value - stands_for).abs() <= largest / 254.0 * 1.0001, "{value} {stands_for}");
                halves[at / 16] += f64::from(stands_for);
            }
            let close = |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-4 * f64::from(largest);
            assert!(close(of.half_sums[group][0], halves[0]) && close(of.half_sums[group][1], halves[1]));
            assert!(close(of.sums[group], halves[0] + halves[1]));
        }
    }
    assert_eq!(Codes::new(&[], 64).tokens(), 0);
}

#[test]
fn a_value_that_is_not_finite_makes_its_products_so_and_no_others() {
    let columns = 64;
    let matrix = matrix(GgmlDType::Q4_0, 5, columns);
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = activations(9, columns);
        x[4 * columns + 40] = broken;
        let x = Codes::new(&x, columns);
        for level in levels() {
            let mut panel = Panel::default();
            panel.fill(Format::Q4_0, matrix.rows_bytes(0, 5), 2);
            panel.times(level, &x, |token, values| {
                assert!(
                    values[..5].iter().all(|value| value.is_nan() == (token == 4)),
                    "{token}: {values:?}"
                );
            });
            for token in 0..9 {
                let mut out = [0.0; 5];
                rows_times_codes(level, Format::Q4_0, matrix.rows_bytes(0, 5), x.token(token), &mut out);
                assert!(out.iter().all(|value| value.is_nan() == (token == 4)));
            }
        }
    }
}
