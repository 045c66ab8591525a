//! Heads with policies of their own against a dense run with each head's mask.

use super::super::{Inputs, attend_heads, attention_row};
use super::case::{CELL, agree, plan};
use super::*;
use crate::cache::KvCache;
use crate::offload::Storage;
use crate::policy::PolicyMap;
use crate::probe::HeadStatistics;

/// Heads that share a cache, under `map` in layer 0.
struct Mixed {
    map: PolicyMap,
    case: Case,
}

impl Mixed {
    fn new(shape: Shape, map: &PolicyMap, encoding: &PositionEncoding, n: u64) -> Self {
        let case = Case::new(shape, map.default_policy(), encoding, (0..n).collect());
        Self { map: map.clone(), case }
    }

    /// Dense output and logits, each head with its own policy.
    fn specification(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let Shape { heads, head_dim, .. } = self.case.shape;
        let n = self.case.positions.len();
        let mut output = vec![0.0; n * heads * head_dim];
        let mut logits = Vec::new();
        for head in 0..heads {
            let alone = Case {
                policy: self.map.at(0, head),
                data: self.case.data.clone(),
                sinks: self.case.sinks.clone(),
                positions: self.case.positions.clone(),
                encoding: self.case.encoding.clone(),
                ..self.case
            };
            let (all, mut rows) = alone.specification();
            for t in 0..n {
                let at = (t * heads + head) * head_dim;
                output[at..at + head_dim].copy_from_slice(&all[at..at + head_dim]);
            }
            logits.push(rows.swap_remove(head));
        }
        (output, logits)
    }

    fn check(&self, chunks: &[usize]) {
        let Case { shape, positions, data, encoding, .. } = &self.case;
        let Shape { heads, kv_heads, head_dim } = *shape;
        let (expected, logits) = self.specification();
        let scale = logits.iter().flatten().filter(|w| w.is_finite()).fold(1.0f64, |m, w| m.max(w.abs()));
        let tolerance = 1e-6 * scale.max(4.0);
        let layer = self.map.layer(0, heads, None);
        for &chunk in chunks {
            let what = format!("{} {encoding:?} {shape:?} n {} chunk {chunk}", self.map, positions.len());
            let mut cache = KvCache::with_storage(kv_heads, head_dim, &layer.kept(), 1, &Storage::default());
            let mut table = match encoding {
                PositionEncoding::Rope(rope) => Some(RotaryTable::new(rope)),
                _ => None,
            };
            let mut output = Vec::new();
            for first in (0..positions.len()).step_by(chunk) {
                let count = chunk.min(positions.len() - first);
                let slice =
                    |data: &[f32], width: usize| data[first * width..(first + count) * width].to_vec();
                let queries = slice(&data[0], heads * head_dim);
                let [keys, values] = [&data[1], &data[2]].map(|data| slice(data, kv_heads * head_dim));
                if let Some(table) = &mut table {
                    let rows = |policy| Inputs::table_rows(policy, (first + count) as u64);
                    table.grow(layer.distinct().iter().map(rows).max().expect("a policy"));
                }
                let inputs = |which: usize| Inputs {
                    shape: *shape,
                    queries: &queries,
                    keys: &keys,
                    values: &values,
                    first_position: first as u64,
                    cache: &cache,
                    policy: &layer.distinct()[which],
                    encoding,
                    table: table.as_ref(),
                    soft_cap: None,
                    sinks: None,
                };
                let mut out = vec![f32::NAN; queries.len()];
                let mut statistics = HeadStatistics::default();
                let plan = plan(CELL);
                for which in 0..layer.distinct().len() {
                    let wanted = |head| layer.index(head) == which;
                    attend_heads(&inputs(which), &wanted, &mut out, Some((&plan, &mut statistics)));
                }
                self.case.check_statistics(&statistics, &logits, tolerance, &what);
                for (head, logits) in logits.iter().enumerate() {
                    let row = attention_row(&inputs(layer.index(head)), head, count - 1);
                    let attended = row.iter().map(|run| run.logits.len()).sum::<usize>();
                    let n = positions.len();
                    let last = &logits[(first + count - 1) * n..][..n];
                    assert_eq!(attended, last.iter().filter(|w| **w != f64::NEG_INFINITY).count(), "{what}");
                }
                output.extend(out);
                cache.append(&keys, &values).expect("room");
            }
            for (index, (&got, &want)) in output.iter().zip(&expected).enumerate() {
                assert!(agree(got, want, tolerance), "{what}: value {index}: {got} {want}");
            }
        }
    }
}

/// Maps whose heads differ: one head, heads of both groups, every head.
fn maps(window: u64) -> Vec<PolicyMap> {
    let all = policies(window);
    let [vanilla, fix] = [&all[0], &all[4]].map(Clone::clone);
    let mut every = PolicyMap::from(vanilla.clone());
    for head in 0..6 {
        every = every.with_head(0, head, all[(head + 1) % all.len()].clone());
    }
    let wider = AttentionPolicy { start: 1, window: Some(2 * window), ..Default::default() };
    vec![
        PolicyMap::from(vanilla.clone()).with_head(0, 1, fix.clone()),
        PolicyMap::from(vanilla).with_head(0, 0, fix.clone()).with_head(0, 2, fix.clone()),
        PolicyMap::from(fix.clone()).with_head(0, 2, AttentionPolicy::default()),
        PolicyMap::from(fix).with_head(0, 0, wider).with_head(0, 1, all[7].clone()),
        every,
    ]
}

#[test]
fn heads_equal_dense_runs_with_their_own_masks_at_every_edge() {
    let window = 6;
    for shape in [GROUPED, UNGROUPED] {
        for encoding in encodings(shape.heads, shape.head_dim) {
            for map in maps(window) {
                for n in [1, window - 1, window, window + 1, 2 * window + 4, 40] {
                    Mixed::new(shape, &map, &encoding, n).check(&[1, 3, 7, 1000]);
                }
            }
        }
    }
}

#[test]
fn heads_equal_dense_runs_with_their_own_masks_across_blocks() {
    for encoding in encodings(GROUPED.heads, GROUPED.head_dim) {
        for map in maps(150) {
            Mixed::new(GROUPED, &map, &encoding, 400).check(&[97, 1000]);
        }
    }
}
