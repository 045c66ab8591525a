//! Bounded logits: `cap · tanh(w / cap)` between the position encoding and the mask.

use super::*;

/// Of the size of the logits, so that some are near their bound and others are not.
const CAP: f32 = 1.5;

fn capped(shape: Shape, policy: &AttentionPolicy, encoding: &PositionEncoding, n: u64) -> Case {
    Case { soft_cap: Some(CAP), ..Case::new(shape, policy, encoding, (0..n).collect()) }
}

#[test]
fn bounded_logits_equal_dense_at_every_edge() {
    let window = 6;
    for shape in [GROUPED, UNGROUPED] {
        for encoding in encodings(shape.heads, shape.head_dim) {
            for policy in policies(window) {
                for n in [1, window - 1, window, window + 1, 40] {
                    capped(shape, &policy, &encoding, n).check(&[1, 3, 1000]);
                }
            }
        }
    }
}

#[test]
fn bounded_logits_equal_dense_across_blocks() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in policies(150) {
            capped(GROUPED, &policy, &encoding, 400).check(&[97, 1000]);
        }
    }
}

#[test]
fn retrieved_keys_are_chosen_before_the_bound() {
    let window = 6;
    for shape in [GROUPED, UNGROUPED] {
        for encoding in encodings(shape.heads, shape.head_dim) {
            for policy in retrieving_policies(window) {
                for n in [1, window + 3, window + 4, 60] {
                    capped(shape, &policy, &encoding, n).check_retrieved(&[1, 7, 1000]);
                }
            }
        }
    }
}

/// Infinite logits are bounded like all others, and NaN stays NaN.
#[test]
fn bounded_logits_are_finite_but_for_nan() {
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 8 };
    for policy in [&policies(6)[0], &policies(6)[2], &policies(6)[4]] {
        for (value, finite) in [(f32::INFINITY, true), (f32::NEG_INFINITY, true), (f32::NAN, false)] {
            let mut case = capped(shape, policy, &PositionEncoding::None, 20);
            case.data[1][4 * 8] = value;
            case.check(&[1, 7, 1000]);
            let output = case.run(7, false).output;
            assert_eq!(output.iter().all(|value| value.is_finite()), finite, "{policy:?} {value}");
        }
    }
}
