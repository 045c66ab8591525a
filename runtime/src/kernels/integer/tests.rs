use std::sync::Arc;

use candle_core::quantized::GgmlDType;

use super::activations::Codes;
use super::codes::{Affine, Block, Format, with_block};
use super::product::panel_times_codes;
use super::{IntegerLevel, codes, pack, product};
use crate::kernels::dequantize::rows_to_f32;
use crate::model::packed::{IntegerPanels, ROWS};
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

/// The products of all rows of the panels with every token, [tokens][rows and what fills the last panel].
/// `matrix`, packed, where its codes are known.
fn packed(matrix: &Matrix) -> Option<IntegerPanels> {
    let WeightType::Quantized(format) = matrix.weight_type() else { return None };
    let format = codes::Format::of(format)?;
    Some(pack::pack(format, matrix.bytes(), matrix.columns() / codes::GROUP))
}

fn products(level: IntegerLevel, packed: &IntegerPanels, rows: usize, x: &Codes) -> Vec<Vec<f32>> {
    let panels = rows.div_ceil(ROWS);
    let mut all = vec![vec![f32::NAN; panels * ROWS]; x.tokens()];
    for panel in 0..panels {
        panel_times_codes(level, packed, panel, x, |token, values| {
            all[token][panel * ROWS..][..ROWS].copy_from_slice(values);
        });
    }
    all
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
            let bytes = &matrix.bytes()[row * matrix.row_bytes()..][..matrix.row_bytes()];
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
fn what_is_packed_is_what_was_stored() {
    for kind in FORMATS {
        let (matrix, columns) = (matrix(kind, 19, 512), 512);
        let packed = packed(&matrix).expect("known");
        assert_eq!((packed.groups, packed.codes.len()), (16, 2 * 16 * packed.lines()));
        for row in 0..32 {
            let mut expected = vec![0.0; columns];
            if row < 19 {
                rows_to_f32(&matrix, row, &mut expected);
            }
            let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            for group in 0..16 {
                let codes = product::codes(&packed, row / ROWS, row % ROWS, group);
                let [first, second] = product::affine(&packed, row / ROWS, row % ROWS, group);
                for (at, code) in codes.into_iter().enumerate() {
                    let Affine { scale, offset } =
                        if at < 16 { first } else { second.or(first) }.expect("one");
                    let (got, expected) = (scale * f32::from(code) + offset, expected[group * 32 + at]);
                    assert!((got - expected).abs() <= 2e-6 * largest, "{kind:?} row {row}: {got} {expected}");
                }
            }
        }
    }
}

#[test]
fn products_are_those_of_what_was_stored_at_every_level() {
    for kind in FORMATS {
        for rows in [1, 15, 16, 17, 40] {
            let (matrix, columns) = (matrix(kind, rows, 256), 256);
            let packed = packed(&matrix).expect("known");
            let x = Codes::new(&activations(19, columns), columns);
            let of_levels = levels().into_iter().map(|level| products(level, &packed, rows, &x));
            let of_levels: Vec<Vec<Vec<f32>>> = of_levels.collect();
            assert!(
                of_levels.iter().all(|of| *of == of_levels[0]),
                "{kind:?}: levels are the same bit by bit"
            );
            for (token, got) in of_levels[0].iter().enumerate() {
                for (row, got) in got.iter().enumerate() {
                    let (value, size) =
                        if row < rows { expected(&matrix, row, &x, token) } else { (0.0, 0.0) };
                    // Offsets and codes cancel: their sums are larger than the products.
                    let bound = 2e-4 * size.max(1e-3);
                    let what = format!("{kind:?} {rows} rows: row {row}, token {token}: {got} {value}");
                    assert!((f64::from(*got) - value).abs() <= bound, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_token_gets_the_same_whatever_stands_beside_it() {
    let (matrix, columns) = (matrix(GgmlDType::Q4_1, 16, 96), 96);
    let (packed, x) = (packed(&matrix).expect("known"), activations(21, columns));
    for level in levels() {
        let all = products(level, &packed, 16, &Codes::new(&x, columns));
        for (token, expected) in all.iter().enumerate() {
            let alone = Codes::new(&x[token * columns..][..columns], columns);
            assert_eq!(&products(level, &packed, 16, &alone)[0], expected);
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
    let packed = packed(&matrix(GgmlDType::Q4_0, 5, columns)).expect("known");
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = activations(9, columns);
        x[4 * columns + 40] = broken;
        let x = Codes::new(&x, columns);
        for level in levels() {
            for (token, values) in products(level, &packed, 5, &x).into_iter().enumerate() {
                assert!(
                    values[..5].iter().all(|value| value.is_nan() == (token == 4)),
                    "{token}: {values:?}"
                );
            }
        }
    }
}
