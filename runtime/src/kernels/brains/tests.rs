//! Packed products against sums in f64 of what is multiplied.

use half::bf16;

use super::activations::Brains;
use super::pack::pack;
use super::product::panels_times_brains;
use super::*;
use crate::model::packed::ROWS;

fn levels() -> Vec<BrainLevel> {
    [Some(BrainLevel::PLAIN), BrainLevel::best()].into_iter().flatten().collect()
}

/// All products, [tokens, rows].
fn products(level: BrainLevel, weights: &[bf16], columns: usize, x: &[f32]) -> Vec<Vec<f32>> {
    let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let (packed, x) = (pack(&bytes, columns), Brains::new(x, columns));
    let panels = (weights.len() / columns).div_ceil(ROWS);
    let mut out = vec![vec![0.0; panels * ROWS]; x.tokens()];
    panels_times_brains(level, &packed, 0, panels, &x, |token, panel, values| {
        out[token][panel * ROWS..][..ROWS].copy_from_slice(values);
    });
    out
}

#[test]
fn every_level_equals_the_sums_of_what_is_multiplied() {
    for (rows, columns) in [(1, 1), (16, 2), (17, 3), (32, 64), (40, 65), (70, 352)] {
        let weights: Vec<bf16> =
            (0..rows * columns).map(|at| bf16::from_f32((at as f32 * 0.37).sin())).collect();
        for tokens in [0, 1, 3, 4, 11, 12, 13, 29] {
            let x: Vec<f32> = (0..tokens * columns).map(|at| (at as f32 * 0.71).cos()).collect();
            for level in levels() {
                let got = products(level, &weights, columns, &x);
                for (token, got) in got.iter().enumerate() {
                    for (row, got) in got.iter().enumerate() {
                        let of_row = weights.chunks(columns).nth(row).unwrap_or_default();
                        let pairs = of_row.iter().zip(&x[token * columns..]);
                        let terms = pairs.map(|(w, x)| w.to_f64() * bf16::from_f32(*x).to_f64());
                        let size: f64 = terms.clone().map(f64::abs).sum();
                        let expected: f64 = terms.sum();
                        // Each addition rounds by 2^-24 of the sum at most, and multiplications of pairs likewise.
                        let most = size * columns as f64 * 2f64.powi(-23);
                        assert!(
                            (f64::from(*got) - expected).abs() <= most,
                            "{level:?}, {rows} × {columns}, token {token} of {tokens}, row {row}: {got} {expected}"
                        );
                    }
                    // Beside others or alone: the same bits.
                    let alone = products(level, &weights, columns, &x[token * columns..][..columns]);
                    assert_eq!(&alone[0], got, "{level:?} token {token}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_reaches_its_own_token_and_row_alone() {
    let (rows, columns) = (20, 6);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for level in levels() {
            let mut x = vec![1.0; 14 * columns];
            x[3 * columns + 1] = bad;
            let got = products(level, &vec![bf16::ONE; rows * columns], columns, &x);
            for (token, values) in got.iter().enumerate() {
                // Rows beyond the last are 0, and 0 times infinity is NaN; nobody takes them.
                assert!(values[..rows].iter().all(|value| value.is_finite() == (token != 3)), "{level:?}");
            }
            let mut weights = vec![bf16::ONE; rows * columns];
            weights[17 * columns] = bf16::from_f32(bad);
            for values in products(level, &weights, columns, &vec![1.0; 14 * columns]) {
                for (row, value) in values[..rows].iter().enumerate() {
                    assert_eq!(value.is_finite(), row != 17, "{level:?} row {row}");
                }
            }
        }
    }
}
