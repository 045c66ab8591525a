//! Keys and values that are held in 16 bits: what is read of them is what was put in, rounded.

use super::*;
use crate::model::kv_type::KvType;

const HALVES: [KvType; 2] = [KvType::F16, KvType::Bf16];

impl Case {
    /// The same case, whose keys and values a cache of this type holds.
    fn held_as(mut self, kv: KvType) -> Self {
        let [_, keys, values] = &mut self.data;
        [keys, values].into_iter().for_each(|held| kv.round(held));
        Self { kv, ..self }
    }
}

fn all_policies(window: u64) -> Vec<AttentionPolicy> {
    policies(window).into_iter().chain(retrieving_policies(window)).collect()
}

/// Nothing is computed otherwise: to the bit what a cache of f32 gives of the rounded keys and values.
#[test]
fn a_cache_of_16_bits_is_one_of_f32_of_rounded_numbers() {
    let window = 6;
    for kv in HALVES {
        for shape in [GROUPED, UNGROUPED] {
            for encoding in encodings(shape.heads, shape.head_dim) {
                for policy in all_policies(window) {
                    for n in [1, window - 1, window, window + 1, 40] {
                        let case = Case::new(shape, &policy, &encoding, (0..n).collect()).held_as(kv);
                        for chunk in [1, 3, 7, 1000] {
                            let got = case.run(chunk, true);
                            let want = Case { kv: KvType::F32, ..case.clone() }.run(chunk, true);
                            let what = format!("{kv} {policy} {encoding:?} {shape:?} n {n} chunk {chunk}");
                            assert_eq!(got.output, want.output, "{what}");
                            assert_eq!(got.last_rows, want.last_rows, "{what}");
                            assert_eq!(
                                format!("{:?}", got.statistics),
                                format!("{:?}", want.statistics),
                                "{what}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_cache_of_16_bits_equals_dense_across_blocks_and_a_gap() {
    for kv in HALVES {
        for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
            for policy in policies(150) {
                Case::new(GROUPED, &policy, &encoding, (0..400).collect()).held_as(kv).check(&[97, 1000]);
            }
            // A window, and start tokens at bounded distances.
            for policy in [&policies(6)[1], &policies(6)[4]] {
                let positions = (0..20).chain(1_000_000_000..1_000_000_040).collect();
                Case::new(GROUPED, policy, &encoding, positions).held_as(kv).check(&[1, 7, 1000]);
            }
        }
    }
}

/// NaN and infinities stay what they are, and numbers beyond the range of F16 become infinite: the rows that read them say so.
#[test]
fn what_is_not_finite_stays_so() {
    let policy = &policies(6)[2];
    for kv in HALVES {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 70_000.0] {
            let mut case = Case::new(GROUPED, policy, &PositionEncoding::None, (0..40).collect());
            case.data[2][9 * GROUPED.kv_heads * GROUPED.head_dim + 2] = value;
            let case = case.held_as(kv);
            // Rows with a large number are as exact as numbers of that size are.
            if !case.data[2].iter().all(|x| x.is_finite()) {
                case.check(&[1, 7]);
            }
            let finite = case.run(7, false).output.iter().all(|x| x.is_finite());
            assert_eq!(finite, kv == KvType::Bf16 && value == 70_000.0, "{kv} {value}");
        }
    }
}
