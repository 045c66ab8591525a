//! NaN and infinities in queries, keys and values: the fast implementation says of the same rows as the specification that
//! they are not finite, and computes all others as if nothing were there.

use super::{Case, GROUPED, Shape, encodings, policies, retrieving_policies};
use crate::policy::AttentionPolicy;
use crate::position::PositionEncoding;

const QUERIES: usize = 0;
const KEYS: usize = 1;
const VALUES: usize = 2;
/// Vector loops, one strip, several strips, all at once.
const CHUNKS: [usize; 4] = [1, 3, 7, 1000];
/// Start tokens, keys that leave a window of 6, the middle, recent ones, the last.
const PLACES: [usize; 6] = [0, 2, 9, 20, 36, 39];

impl Case {
    /// Puts `value` in one dimension of token `at`, in the head after the first where there are several.
    fn broken(mut self, side: usize, at: usize, value: f32) -> Self {
        let heads = if side == QUERIES { self.shape.heads } else { self.shape.kv_heads };
        let index = (at * heads + 1.min(heads - 1)) * self.shape.head_dim + 2;
        self.data[side][index] = value;
        self
    }

    /// Other data until no choice of retrieved keys is near a tie.
    fn without_ties(shape: Shape, policy: &AttentionPolicy, encoding: &PositionEncoding, n: u64) -> Self {
        let mut case = Self::new(shape, policy, encoding, (0..n).collect());
        for seed in 0..40 {
            for (side, data) in case.data.iter_mut().enumerate() {
                *data = super::values(17 * seed + side as u64 + 1, data.len());
            }
            if case.smallest_gap() > 4e-6 {
                return case;
            }
        }
        panic!("no data without a near tie");
    }
}

fn all_policies() -> Vec<AttentionPolicy> {
    policies(6).into_iter().chain(retrieving_policies(6)).collect()
}

#[test]
fn a_nan_breaks_the_rows_of_the_specification_and_no_other() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in all_policies() {
            for at in PLACES {
                for side in [QUERIES, KEYS, VALUES] {
                    let case = Case::without_ties(GROUPED, &policy, &encoding, 40);
                    case.broken(side, at, f32::NAN).check(&CHUNKS);
                }
            }
        }
    }
}

/// Without a rotation a product with an infinity is an infinity, in any order: +inf breaks its row, −inf has weight 0.
#[test]
fn infinities_are_those_of_the_specification() {
    let all = encodings(GROUPED.heads, GROUPED.head_dim);
    for encoding in all.iter().filter(|encoding| !matches!(encoding, PositionEncoding::Rope(_))) {
        for policy in all_policies() {
            for at in PLACES {
                for (side, value) in [KEYS, QUERIES, VALUES]
                    .into_iter()
                    .flat_map(|side| [f32::INFINITY, f32::NEG_INFINITY].map(|value| (side, value)))
                {
                    let case = Case::without_ties(GROUPED, &policy, encoding, 40).broken(side, at, value);
                    if case.smallest_gap() > 4e-6 {
                        case.check(&CHUNKS);
                    }
                }
            }
        }
    }
}

/// Rotations mix an infinity into two dimensions, and how their products cancel depends on the angle that is taken as 0. Rows
/// that do not see it are those of a text without it, whatever it is.
#[test]
fn an_infinity_that_is_rotated_reaches_no_row_that_does_not_see_it() {
    let encoding = &encodings(GROUPED.heads, GROUPED.head_dim)[0];
    let window = 6;
    for policy in policies(window).into_iter().filter(|policy| policy.window.is_some()) {
        for value in [f32::INFINITY, f32::NEG_INFINITY] {
            for side in [KEYS, VALUES] {
                let at = 12;
                let sound = Case::new(GROUPED, &policy, encoding, (0..40).collect());
                let (_, logits) = sound.specification();
                for chunk in CHUNKS {
                    let expected = sound.run(chunk, true);
                    let broken = Case::new(GROUPED, &policy, encoding, (0..40).collect());
                    let got = broken.broken(side, at, value).run(chunk, true);
                    let width = GROUPED.heads * GROUPED.head_dim;
                    for t in (0..40).filter(|t| logits[0][t * 40 + at] == f64::NEG_INFINITY) {
                        let row = t * width..(t + 1) * width;
                        for (got, want) in got.output[row.clone()].iter().zip(&expected.output[row]) {
                            assert!((got - want).abs() < 1e-6, "{policy:?} {value} token {t}: {got} {want}");
                        }
                    }
                }
            }
        }
    }
}

/// Long runs: matrix products in strips, keys that are split between threads, and parts that are joined.
#[test]
fn broken_keys_are_told_across_blocks_and_parts() {
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 4 };
    for encoding in [&encodings(shape.heads, shape.head_dim)[0], &PositionEncoding::None] {
        for policy in [&policies(300)[0], &policies(300)[4], &retrieving_policies(300)[2]] {
            for (side, value) in [(KEYS, f32::NAN), (VALUES, f32::NAN), (QUERIES, f32::NAN)] {
                let case = Case::without_ties(shape, policy, encoding, 700);
                case.broken(side, 333, value).check(&[97, 1000]);
            }
        }
    }
    for policy in [&policies(2500)[0], &policies(2500)[4]] {
        for at in [1, 1200, 2598] {
            let case = Case::new(shape, policy, &PositionEncoding::None, (0..2600).collect());
            let outcome = case.broken(KEYS, at, f32::NAN).run(2599, true);
            let last = &outcome.statistics[1];
            for values in
                [&last.max_logit, &last.log_sum_exp, &last.entropy, &last.start_mass, &last.bucket_mass]
            {
                assert!(values.iter().all(|value| value.is_nan()), "{policy:?} {at}: {values:?}");
            }
            assert!(outcome.output[2599 * 8..].iter().all(|value| value.is_nan()));
        }
    }
}

/// A row that sees nothing but keys of −inf has no softmax; one that sees another key too is as if they were masked.
#[test]
fn a_row_of_only_minus_infinity_is_nan() {
    let shape = Shape { heads: 1, kv_heads: 1, head_dim: 4 };
    let mut case = Case::new(shape, &policies(6)[0], &PositionEncoding::None, (0..20).collect());
    for query in case.data[QUERIES].chunks_exact_mut(4) {
        query[2] = 1.0;
    }
    for key in case.data[KEYS].chunks_exact_mut(4).take(5) {
        key[2] = f32::NEG_INFINITY;
    }
    case.check(&CHUNKS);
    let outcome = case.run(20, true);
    let statistics = &outcome.statistics[0];
    for t in 0..20 {
        let values = [statistics.max_logit[t], statistics.entropy[t], outcome.output[4 * t]];
        assert!(values.iter().all(|value| value.is_nan() == (t < 5)), "{t}: {values:?}");
    }
    // The value of such a key does not enter, whatever it is.
    case.data[VALUES][3 * 4] = f32::NAN;
    case.check(&CHUNKS);
    assert!(case.run(20, false).output[5 * 4..].iter().all(|value| value.is_finite()));
}
