//! Blockwise against the dense specification in f64, on a grid of lengths, cuts, policies, encodings and groupings.

mod case;
mod heads;
mod held;
mod learned_sinks;
mod non_finite;
mod retrieved;
mod soft_cap;
mod tiles;

use case::{Case, log_sum_exp, values};
use retrieved::retrieving_policies;

use super::Shape;
use crate::policy::{
    AttentionPolicy, DistanceRemap, DroppedStart, PositionScaling, Positions, Region, RetrievedKeys,
    Temperature, region,
};
use crate::position::{PositionEncoding, Rope, RotaryTable, alibi_slopes};

fn encodings(heads: usize, head_dim: usize) -> Vec<PositionEncoding> {
    let yarn = PositionScaling::yarn(4.0, 32);
    vec![
        PositionEncoding::Rope(Rope::new(10_000.0, head_dim, PositionScaling::None)),
        PositionEncoding::Rope(Rope::new(10_000.0, head_dim / 2, yarn)),
        PositionEncoding::Alibi { slopes: alibi_slopes(heads, 8.0) },
        PositionEncoding::None,
    ]
}

fn policies(window: u64) -> Vec<AttentionPolicy> {
    let of = |start, window, ceiling| AttentionPolicy { start, window, ceiling, ..Default::default() };
    let temperature = Some(Temperature { from: window.div_ceil(2).max(2) });
    vec![
        of(0, None, None),
        of(0, Some(window), None),
        of(3, Some(window), None),
        of(0, None, Some(window)),
        of(3, Some(window), Some(window)),
        of(3, Some(window), Some(window.div_ceil(2))),
        of(3, Some(window), Some(window + 5)),
        AttentionPolicy { positions: Positions::InCache, ..of(3, Some(window), None) },
        AttentionPolicy { dropped: Some(DroppedStart { tokens: 3, beyond: window }), ..of(0, None, None) },
        AttentionPolicy {
            dropped: Some(DroppedStart { tokens: window + 2, beyond: 2 }),
            ..of(0, None, Some(window))
        },
        AttentionPolicy { remap: Some(DistanceRemap::Grouped { group: 3, window }), ..of(0, None, None) },
        AttentionPolicy {
            remap: Some(DistanceRemap::Grouped { group: 4, window: window.div_ceil(3) }),
            ..of(3, Some(window), None)
        },
        AttentionPolicy {
            remap: Some(DistanceRemap::Chunked { chunk: window, local: 2 }),
            ..of(0, None, None)
        },
        AttentionPolicy {
            remap: Some(DistanceRemap::Chunked { chunk: window.div_ceil(3), local: 1 }),
            temperature,
            ..of(3, Some(window), None)
        },
        AttentionPolicy { temperature, ..of(0, None, None) },
        AttentionPolicy { temperature, ..of(3, Some(window), Some(window.div_ceil(2))) },
    ]
}

const GROUPED: Shape = Shape { heads: 6, kv_heads: 2, head_dim: 8 };
const UNGROUPED: Shape = Shape { heads: 3, kv_heads: 3, head_dim: 8 };

#[test]
fn blockwise_equals_dense_on_short_texts_at_every_edge() {
    let window = 6;
    for shape in [GROUPED, UNGROUPED] {
        for encoding in encodings(shape.heads, shape.head_dim) {
            for policy in policies(window) {
                for n in [1, window - 1, window, window + 1, 2 * window + 4, 40] {
                    Case::new(shape, &policy, &encoding, (0..n).collect()).check(&[1, 3, 1000]);
                }
            }
        }
    }
}

#[test]
fn blockwise_equals_dense_across_key_and_query_blocks() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in policies(300) {
            Case::new(GROUPED, &policy, &encoding, (0..700).collect()).check(&[97, 1000]);
        }
    }
}

#[test]
fn decoding_splits_its_keys_and_still_equals_dense() {
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 4 };
    for encoding in encodings(shape.heads, shape.head_dim) {
        for policy in [&policies(2500)[0], &policies(2500)[4]] {
            let case = Case::new(shape, policy, &encoding, (0..2600).collect());
            let (chunked, expected) = (case.run(2599, true), case.run(2600, true));
            let row = 2599 * 8;
            for (a, b) in chunked.output[row..].iter().zip(&expected.output[row..]) {
                assert!((a - b).abs() < 2e-6, "{policy:?} {encoding:?}: {a} {b}");
            }
            let (last, all) = (&chunked.statistics[1], &expected.statistics[0]);
            for head in 0..2 {
                let (a, b) = (last.entropy[head], all.entropy[head * 2600 + 2599]);
                assert!((a - b).abs() < 2e-5, "{policy:?} {encoding:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn a_billion_tokens_in_is_as_exact_as_the_start() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in policies(6).into_iter().filter(|policy| policy.window.is_some()) {
            for far in [1_000, 1_000_000_000, 10_000_000_000] {
                let positions = (0..policy.start).chain(far..far + 20).collect();
                Case::new(GROUPED, &policy, &encoding, positions).check(&[1, 1000]);
            }
        }
    }
}

/// Where the policy bounds the distance, a gap of any length gives the very same numbers.
#[test]
fn bounded_distances_do_not_notice_how_long_the_gap_is() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for policy in [&policies(6)[1], &policies(6)[4], &policies(6)[7]] {
            let case = |far: u64| {
                let positions = (0..policy.start).chain(far..far + 20).collect();
                Case::new(GROUPED, policy, &encoding, positions).run(7, false).output
            };
            assert_eq!(case(1_000), case(1_000_000_000), "{policy:?} {encoding:?}");
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let encoding = &encodings(GROUPED.heads, GROUPED.head_dim)[0];
    for policy in [&policies(300)[4], &retrieving_policies(100)[2]] {
        let case = Case::new(GROUPED, policy, encoding, (0..700).collect());
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| [case.run(512, true).output, case.run(1, true).output])
        };
        assert_eq!(on(1), on(4), "{policy:?}");
    }
}
