//! What the logits of one query would be if its keys stood at other distances: for probes.

use super::inputs::Inputs;
use crate::policy::{Region, region};
use crate::position::PositionEncoding;
use crate::probe::CounterfactualPlan;

/// The fraction of the golden ratio: multiples of it, without their whole part, are spread evenly however many there are.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The parts of a [`CounterfactualLogits`](crate::probe::CounterfactualLogits).
pub struct Counterfactual {
    /// `[keys]`
    pub keys: Vec<u64>,
    /// `[keys]`
    pub actual: Vec<f32>,
    /// [1 + distances]
    pub distances: Vec<u64>,
    /// [keys, 1 + distances]
    pub logits: Vec<f32>,
}

/// Logits of chunk query `t` of `head` on keys at unseen distances, as they are and at seen ones, those by `trained`, the
/// encoding of training. `None` where it attends to no such key.
pub fn counterfactual(
    inputs: &Inputs<'_>,
    trained: &PositionEncoding,
    (head, t): (usize, usize),
    plan: &CounterfactualPlan,
) -> Option<Counterfactual> {
    let (head_dim, heads) = (inputs.shape.head_dim, inputs.shape.heads);
    let position = inputs.first_position + t as u64;
    let temperature = inputs.policy.query_scale(position) as f32;
    let query: Vec<f32> =
        inputs.queries[(t * heads + head) * head_dim..][..head_dim].iter().map(|x| x * temperature).collect();
    let runs = inputs.runs(head / inputs.shape.group(), position..position + 1);
    let mut unseen = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        for r in 0..run.len {
            let key = run.first + r as u64;
            let distance = match region(position, key, inputs.policy) {
                Region::Recent { distance } | Region::Start { distance } => distance,
                Region::Future | Region::Masked | Region::Retrieved { .. } => continue,
            };
            if distance > plan.seen {
                unseen.push((key, distance, (index, r)));
            }
        }
    }
    unseen.sort_by_key(|&(key, ..)| key);
    let starts = unseen.partition_point(|&(key, ..)| key < plan.start_tokens);
    let others = unseen.len() - starts;
    let taken = others.min(plan.keys);
    let evenly = (0..taken).map(|index| starts + index * others / taken);
    let chosen: Vec<_> = (0..starts).chain(evenly).map(|index| unseen[index]).collect();
    if chosen.is_empty() {
        return None;
    }
    let vectors: Vec<_> = chosen.iter().map(|&(.., (run, r))| runs[run].key(r, head_dim)).collect();
    let vectors: Vec<&[f32]> = vectors.iter().map(|key| &**key).collect();
    let actual = chosen.iter().zip(&vectors);
    let actual = actual.map(|(&(_, distance, _), key)| inputs.encoding.logit(head, &query, key, distance));
    let actual = actual.map(|logit| inputs.capped(logit));
    let distances = distances(plan, position);
    Some(Counterfactual {
        keys: chosen.iter().map(|&(key, ..)| key).collect(),
        actual: actual.collect(),
        logits: trained
            .logits_at(head, &query, &vectors, &distances)
            .into_iter()
            .map(|logit| inputs.capped(logit))
            .collect(),
        distances,
    })
}

/// The clamped distance, and one out of every part of `0..seen`: not the same place in each part for all queries, or angles
/// that repeat from part to part would be seen at one place alone.
fn distances(plan: &CounterfactualPlan, position: u64) -> Vec<u64> {
    let place = (position as f64 * GOLDEN).fract();
    let part = plan.seen as f64 / plan.distances.max(1) as f64;
    let of = |index: usize| ((index as f64 + place) * part) as u64;
    let within = (0..plan.distances).map(|index| of(index).min(plan.seen.saturating_sub(1)));
    std::iter::once(plan.seen).chain(within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Shape;
    use crate::attention::row::attention_row;
    use crate::cache::KvCache;
    use crate::policy::{AttentionPolicy, PositionScaling};
    use crate::position::{Rope, alibi_slopes};
    use crate::probe::PositionSet;

    const SHAPE: Shape = Shape { heads: 4, kv_heads: 2, head_dim: 8 };

    fn plan(seen: u64, keys: usize) -> CounterfactualPlan {
        CounterfactualPlan { queries: PositionSet::default(), seen, start_tokens: 2, keys, distances: 5 }
    }

    /// Of all heads of the last of `tokens` tokens that are read at once.
    fn of(
        tokens: usize,
        policy: &AttentionPolicy,
        encoding: &PositionEncoding,
        plan: &CounterfactualPlan,
    ) -> Vec<Option<Counterfactual>> {
        let value = |at: usize| ((at * 7919 % 1000) as f32 / 250.0) - 2.0;
        let queries: Vec<f32> = (0..tokens * 32).map(value).collect();
        let keys: Vec<f32> = (0..tokens * 16).map(|at| value(at + 5)).collect();
        let cache = KvCache::new(SHAPE.kv_heads, SHAPE.head_dim, policy);
        let inputs = Inputs {
            shape: SHAPE,
            queries: &queries,
            keys: &keys,
            values: &keys,
            first_position: 0,
            cache: &cache,
            policy,
            encoding,
            table: None,
            soft_cap: None,
            sinks: None,
        };
        let own = |head| {
            let seen = counterfactual(&inputs, encoding, (head, tokens - 1), plan);
            // What is told to be the logit is the one of the row.
            if let Some(seen) = &seen {
                let row = attention_row(&inputs, head, tokens - 1);
                let all: Vec<(u64, f32)> =
                    row.iter().flat_map(|run| (run.first_key..).zip(run.logits.iter().copied())).collect();
                for (key, actual) in seen.keys.iter().zip(&seen.actual) {
                    let (_, logit) = all.iter().find(|(at, _)| at == key).expect("an attended key");
                    assert!((actual - logit).abs() < 1e-4, "{key}: {actual} {logit}");
                }
            }
            seen
        };
        (0..SHAPE.heads).map(own).collect()
    }

    #[test]
    fn keys_at_unseen_distances_and_no_others() {
        let rope = PositionEncoding::Rope(Rope::new(10_000.0, 8, PositionScaling::None));
        let vanilla = AttentionPolicy::default();
        for seen in of(21, &vanilla, &rope, &plan(16, 100)) {
            let seen = seen.expect("four keys");
            assert_eq!(seen.keys, [0, 1, 2, 3]);
            assert_eq!((seen.distances.len(), seen.logits.len()), (6, 24));
            assert!(seen.distances[0] == 16 && seen.distances[1..].iter().all(|&distance| distance < 16));
            assert!(seen.distances[1..].is_sorted());
        }
        // All start tokens, and the others evenly.
        let some = of(40, &vanilla, &rope, &plan(16, 3))[0].take().expect("keys");
        assert_eq!(some.keys, [0, 1, 2, 9, 16]);
        for (policy, tokens) in [
            (AttentionPolicy { ceiling: Some(16), ..vanilla.clone() }, 40),
            (AttentionPolicy { window: Some(17), ..vanilla.clone() }, 40),
            (AttentionPolicy { start: 2, window: Some(16), ceiling: Some(16), ..vanilla.clone() }, 40),
            (vanilla.clone(), 17),
            (vanilla.clone(), 1),
        ] {
            assert!(of(tokens, &policy, &rope, &plan(16, 100)).iter().all(Option::is_none), "{policy:?}");
        }
        let lambda = AttentionPolicy { start: 2, window: Some(16), ..vanilla };
        assert_eq!(of(40, &lambda, &rope, &plan(16, 100))[3].take().expect("start tokens").keys, [0, 1]);
    }

    #[test]
    fn a_model_without_distances_has_the_same_logit_at_all() {
        for seen in of(40, &AttentionPolicy::default(), &PositionEncoding::None, &plan(16, 100)) {
            let seen = seen.expect("keys");
            for (actual, logits) in seen.actual.iter().zip(seen.logits.chunks(6)) {
                assert!(logits.iter().all(|logit| (logit - actual).abs() < 1e-5), "{actual} {logits:?}");
            }
        }
        let alibi = PositionEncoding::Alibi { slopes: alibi_slopes(4, 8.0) };
        for seen in of(40, &AttentionPolicy::default(), &alibi, &plan(16, 100)) {
            let seen = seen.expect("keys");
            for (actual, logits) in seen.actual.iter().zip(seen.logits.chunks(6)) {
                assert!(logits.iter().all(|logit| logit > actual), "{actual} {logits:?}");
            }
        }
    }

    #[test]
    fn a_training_length_of_nothing_or_one() {
        let vanilla = AttentionPolicy::default();
        for seen in [0, 1] {
            let seen = of(9, &vanilla, &PositionEncoding::None, &plan(seen, 100))[0].take().expect("keys");
            assert!(seen.distances.iter().all(|&distance| distance <= 1));
        }
        let none = CounterfactualPlan { distances: 0, ..plan(4, 0) };
        assert_eq!(
            of(9, &vanilla, &PositionEncoding::None, &none)[0].take().expect("start tokens").distances,
            [4]
        );
    }
}
