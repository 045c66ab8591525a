//! Learned sinks: one more logit in the softmax of each row, without a value.

use super::*;

/// Below, among and above the logits of keys, and so far above that nothing is left for them.
const SINKS: [f32; 6] = [-3.0, 0.0, 1.5, 8.0, 200.0, -1e30];

fn with_sinks(shape: Shape, policy: &AttentionPolicy, encoding: &PositionEncoding, n: u64) -> Case {
    let sinks = Some(SINKS[..shape.heads].to_vec());
    Case { sinks, ..Case::new(shape, policy, encoding, (0..n).collect()) }
}

#[test]
fn rows_with_a_sink_equal_dense_at_every_edge() {
    let window = 6;
    for shape in [GROUPED, UNGROUPED] {
        for encoding in encodings(shape.heads, shape.head_dim) {
            for policy in policies(window) {
                for n in [1, window - 1, window, window + 1, 40] {
                    with_sinks(shape, &policy, &encoding, n).check(&[1, 3, 1000]);
                }
            }
        }
    }
}

#[test]
fn rows_with_a_sink_equal_dense_across_blocks_and_parts() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in policies(150) {
            with_sinks(GROUPED, &policy, &encoding, 400).check(&[97, 1000]);
        }
    }
    // A decoded token's keys are split between threads.
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 4 };
    let case = with_sinks(shape, &policies(2500)[0], &PositionEncoding::None, 2600);
    let (chunked, whole) = (case.run(2599, true), case.run(2600, true));
    for (a, b) in chunked.output[2599 * 8..].iter().zip(&whole.output[2599 * 8..]) {
        assert!((a - b).abs() < 2e-6, "{a} {b}");
    }
}

#[test]
fn retrieved_keys_share_the_softmax_with_the_sink() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in retrieving_policies(6) {
            for n in [1, 9, 60] {
                with_sinks(GROUPED, &policy, &encoding, n).check_retrieved(&[1, 7, 1000]);
            }
        }
    }
}

#[test]
fn a_sink_changes_nothing_about_numbers_that_are_not_finite() {
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 8 };
    for policy in [&policies(6)[0], &policies(6)[2]] {
        for (side, value) in [(1, f32::NAN), (1, f32::INFINITY), (1, f32::NEG_INFINITY), (2, f32::NAN)] {
            let mut case = with_sinks(shape, policy, &PositionEncoding::None, 20);
            case.data[side][4 * 8] = value;
            case.check(&[1, 7, 1000]);
        }
    }
    // Where no key has a logit above −inf, the sink takes all there is, and has no value.
    let mut case = with_sinks(shape, &policies(6)[0], &PositionEncoding::None, 3);
    case.data[0].iter_mut().for_each(|query| *query = 1.0);
    case.data[1].iter_mut().for_each(|key| *key = 0.0);
    case.data[1].iter_mut().step_by(8).for_each(|key| *key = f32::NEG_INFINITY);
    case.check(&[1, 3]);
    assert!(case.run(3, false).output.iter().all(|&value| value == 0.0));
}
