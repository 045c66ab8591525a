//! Policies that retrieve keys: the same ones are chosen as the specification chooses, wherever they are kept.

use super::*;

/// Policies with retrieved keys, at a window.
pub(super) fn retrieving_policies(window: u64) -> Vec<AttentionPolicy> {
    let mut all = Vec::new();
    for (k, distance) in
        [(0, 1), (1, window.div_ceil(2)), (5, window.div_ceil(2)), (5, 3 * window), (6000, 2)]
    {
        let retrieved = Some(RetrievedKeys { k, from_layer: 0, distance });
        all.push(AttentionPolicy {
            start: 3,
            window: Some(window),
            ceiling: Some(window),
            retrieved,
            ..Default::default()
        });
    }
    let base = all[2].clone();
    all.push(AttentionPolicy { start: 0, ceiling: None, ..base.clone() });
    let grouped = Some(DistanceRemap::Grouped { group: 2, window: window.div_ceil(2) });
    let temperature = Some(Temperature { from: 3 });
    all.push(AttentionPolicy { ceiling: None, remap: grouped, temperature, ..base.clone() });
    all.push(AttentionPolicy { ceiling: None, positions: Positions::InCache, ..base });
    all
}

impl Case {
    /// Smallest gap between the last chosen and the first unchosen retrieved key of any query and head, in f64 logits. Where it
    /// is near the rounding of f32, specification and product may choose differently, and both are right.
    pub(super) fn smallest_gap(&self) -> f64 {
        let Some(retrieved) = self.policy.retrieved else { return f64::INFINITY };
        let Shape { heads, kv_heads, head_dim } = self.shape;
        let row = |data: &[f32], t: usize, head: usize, count: usize| -> Vec<f64> {
            data[(t * count + head) * head_dim..][..head_dim].iter().map(|&x| f64::from(x)).collect()
        };
        let mut smallest = f64::INFINITY;
        for head in 0..heads {
            for (t, &i) in self.positions.iter().enumerate() {
                let mut query = row(&self.data[0], t, head, heads);
                query.iter_mut().for_each(|x| *x *= self.policy.query_scale(i));
                let mut logits: Vec<f64> = (self.positions.iter().enumerate())
                    .filter(|(_, j)| matches!(region(i, **j, &self.policy), Region::Retrieved { .. }))
                    .map(|(s, _)| {
                        let key = row(&self.data[1], s, head / self.shape.group(), kv_heads);
                        self.encoding.logit(head, &query, &key, retrieved.distance)
                    })
                    .collect();
                logits.sort_by(|a, b| b.total_cmp(a));
                let k = retrieved.k as usize;
                if k > 0 && k < logits.len() {
                    smallest = smallest.min(logits[k - 1] - logits[k]);
                }
            }
        }
        smallest
    }

    /// [`Self::check`] on the first data that leave no choice open.
    pub(super) fn check_retrieved(mut self, chunks: &[usize]) {
        for seed in 0..40 {
            for (side, data) in self.data.iter_mut().enumerate() {
                *data = values(17 * seed + side as u64 + 1, data.len());
            }
            if self.smallest_gap() > 4e-6 {
                return self.check(chunks);
            }
        }
        panic!("no data without a near tie");
    }
}

#[test]
fn retrieved_keys_equal_dense_on_short_texts_at_every_edge() {
    let window = 6;
    for shape in [GROUPED, UNGROUPED] {
        for encoding in encodings(shape.heads, shape.head_dim) {
            for policy in retrieving_policies(window) {
                for n in [1, window, window + 3, window + 4, 2 * window + 4, 60] {
                    Case::new(shape, &policy, &encoding, (0..n).collect()).check_retrieved(&[1, 3, 7, 1000]);
                }
            }
        }
    }
}

/// Chunks larger and smaller than the window, pages and blocks, memory and file.
#[test]
fn retrieved_keys_equal_dense_across_pages() {
    let shape = Shape { heads: 2, kv_heads: 1, head_dim: 8 };
    for encoding in encodings(shape.heads, shape.head_dim) {
        for policy in &retrieving_policies(40)[1..5] {
            let file = policy.retrieved.is_some_and(|keys| keys.k == 5);
            let n = if file { 1000 } else { 400 };
            Case::new(shape, policy, &encoding, (0..n).collect()).check_retrieved(&[1, 29, 1000]);
        }
    }
}

/// Keys of small whole numbers and no position encoding: logits are exact in f32, and most are equal to others.
#[test]
fn ties_go_to_the_earlier_key() {
    // √4 scales without rounding; a temperature does not, and so leaves no ties.
    for policy in retrieving_policies(6).into_iter().filter(|policy| policy.temperature.is_none()) {
        let shape = Shape { heads: 6, kv_heads: 2, head_dim: 4 };
        let mut case = Case::new(shape, &policy, &PositionEncoding::None, (0..90).collect());
        for data in &mut case.data[..2] {
            data.iter_mut().for_each(|x| *x = x.round());
        }
        case.check(&[1, 7, 1000]);
    }
}
