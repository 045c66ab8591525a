//! What unseen distances do to the logits, by intervention: the same query and the same keys, at their distances beyond the
//! training length and at distances that training showed (factor 1; paper section 3 and Theorem 1).
//!
//! The largest logit beyond the training length against the largest within it, as Fig. 1a has them, compares other keys, other
//! hidden states and other numbers of keys too; a maximum over more keys is larger by sampling alone. Here the distance alone
//! differs:
//!
//! ```text
//! excess(i) = max_j w(q_i, k_j, i − j)  −  95 % quantile, over draws of distances, of max_j w(q_i, k_j, d_j)
//! ```
//!
//! over keys `j` at unseen distances. The draws are the null distribution: `d_j` uniform in 0..L, each key its own; start tokens,
//! which a query sees side by side, all at the same. Had unseen distances the logits of seen ones, one query in 20 would have an
//! excess above 0. Of clamping all keys to one distance, as LM-Infinite does, the same is kept: `max_j w(q_i, k_j, i − j) − max_j w(q_i, k_j, L)`. Start tokens
//! are counted apart, because a sink has large logits at every distance.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::non_finite::NonFinite;

/// Draws of distances per query and head.
const DRAWS: usize = 32;

/// What a query of a head lost or gained by unseen distances, in logits; NaN where it has no such key.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Gap {
    /// Above seen distances.
    excess: f32,
    /// Above one clamped distance.
    clamped: f32,
}

impl Gap {
    const NONE: Self = Self { excess: f32::NAN, clamped: f32::NAN };
}

/// Excess of the logits of sampled queries at unseen distances, by layer and head. Memory: 16 bytes per query beyond the training
/// length, layer and head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnseenDistances {
    layers: usize,
    heads: usize,
    /// The first keys, which are counted apart.
    start: u64,
    /// By position of the query: [layers × heads] of the gaps on start tokens and on other keys.
    queries: BTreeMap<u64, Vec<[Gap; 2]>>,
    non_finite: NonFinite,
}

/// Logits of one query of one head, all of one number of distances.
#[derive(Clone, Copy, Debug)]
pub struct PairLogits<'a> {
    /// Positions of the keys, ascending. `[keys]`
    pub keys: &'a [u64],
    /// At their own distances. `[keys]`
    pub actual: &'a [f32],
    /// At the clamped distance and then at distances of training, evenly spread. [keys, 1 + distances]
    pub seen: &'a [f32],
}

impl UnseenDistances {
    /// Empty. Keys at positions below `start` are counted apart.
    pub fn new(layers: usize, heads: usize, start: u64) -> Self {
        Self { layers, heads, start, queries: BTreeMap::new(), non_finite: NonFinite::default() }
    }

    /// Adds one query of one head. One with a logit that is NaN or +inf is counted and located, and has no excess.
    ///
    /// # Errors
    /// Where there is no such layer or head, or lengths differ.
    pub fn push(&mut self, (layer, head): (usize, usize), query: u64, logits: PairLogits<'_>) -> Result<()> {
        if layer >= self.layers || head >= self.heads {
            let expected = format!("a layer and head below {} and {}", self.layers, self.heads);
            return Err(Error::mismatch("unseen distances", expected, format!("{layer} and {head}")));
        }
        let PairLogits { keys, actual, seen } = logits;
        let columns = seen.len().checked_div(keys.len()).unwrap_or(0);
        if actual.len() != keys.len()
            || seen.len() != keys.len() * columns
            || (columns == 0 && !keys.is_empty())
        {
            let got = format!("{} and {}", actual.len(), seen.len());
            return Err(Error::mismatch(
                "logits of unseen distances",
                format!("those of {} keys", keys.len()),
                got,
            ));
        }
        let at = layer * self.heads + head;
        let starts = keys.partition_point(|&key| key < self.start);
        let mut broken = 0;
        let mut of = |range: std::ops::Range<usize>, together| {
            let (actual, seen) = (&actual[range.clone()], &seen[range.start * columns..range.end * columns]);
            let gap = gap(actual, seen, columns, together, (query, at));
            broken += u64::from(gap.is_none());
            gap.unwrap_or(Gap::NONE)
        };
        let gaps = [of(0..starts, true), of(starts..keys.len(), false)];
        self.non_finite.note(query, broken);
        let size = self.layers * self.heads;
        self.queries.entry(query).or_insert_with(|| vec![[Gap::NONE; 2]; size])[at] = gaps;
        Ok(())
    }

    /// Adds what `other` saw: other queries of the same text.
    ///
    /// # Errors
    /// Where shapes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let shape = |of: &Self| (of.layers, of.heads, of.start);
        let size = self.layers * self.heads;
        if shape(self) != shape(other) || other.queries.values().any(|row| row.len() != size) {
            let text = |of: &Self| format!("[layers, heads, start] {:?}", shape(of));
            return Err(Error::mismatch("merging unseen distances", text(self), text(other)));
        }
        for (&query, more) in &other.queries {
            let row = self.queries.entry(query).or_insert_with(|| vec![[Gap::NONE; 2]; size]);
            for (own, more) in row.iter_mut().flatten().zip(more.iter().flatten()) {
                if own.excess.is_nan() {
                    *own = *more;
                }
            }
        }
        self.non_finite.merge(&other.non_finite);
        Ok(())
    }

    /// Queries, of all layers and heads and on both kinds of keys, with a logit that is not finite, by position.
    pub fn non_finite(&self) -> NonFinite {
        self.non_finite
    }

    /// Positions of the queries of every head that saw an unseen distance, ascending, and their excess, in logits: on start
    /// tokens, or on the other keys. [layers × heads]
    pub fn by_head(&self, on_start: bool) -> Vec<Vec<(u64, f64)>> {
        self.values(on_start, |gap| gap.excess)
    }

    /// Mean over queries of what clamping all keys to one distance takes from the largest logit of each head, in logits; `None`
    /// for a head that saw no unseen distance. [layers × heads]
    pub fn clamped(&self, on_start: bool) -> Vec<Option<f64>> {
        let mean = |values: Vec<(u64, f64)>| {
            let sum: f64 = values.iter().map(|(_, value)| value).sum();
            (!values.is_empty()).then(|| sum / values.len() as f64)
        };
        self.values(on_start, |gap| gap.clamped).into_iter().map(mean).collect()
    }

    fn values(&self, on_start: bool, value: fn(&Gap) -> f32) -> Vec<Vec<(u64, f64)>> {
        let kind = usize::from(!on_start);
        let of = |at: usize| {
            let gaps = self.queries.iter().filter_map(move |(&query, row)| Some((query, row.get(at)?[kind])));
            gaps.map(|(query, gap)| (query, f64::from(value(&gap))))
                .filter(|(_, value)| !value.is_nan())
                .collect()
        };
        (0..self.layers * self.heads).map(of).collect()
    }
}

/// The gap of one query; `None` with a logit that is not finite. Keys are put at the same distance `together`, as start tokens are
/// seen, or each at its own. Without keys it is [`Gap::NONE`]. Masked keys have no logit of
/// −inf here.
fn gap(
    actual: &[f32],
    seen: &[f32],
    columns: usize,
    together: bool,
    (query, head): (u64, usize),
) -> Option<Gap> {
    if actual.is_empty() {
        return Some(Gap::NONE);
    }
    if actual.iter().chain(seen).any(|logit| !logit.is_finite()) {
        return None;
    }
    let largest = |logits: &mut dyn Iterator<Item = f32>| logits.fold(f32::NEG_INFINITY, f32::max);
    let top = largest(&mut actual.iter().copied());
    let clamped = largest(&mut seen.chunks_exact(columns).map(|logits| logits[0]));
    let distances = columns - 1;
    if distances == 0 {
        return Some(Gap { excess: f32::NAN, clamped: top - clamped });
    }
    let draws: Vec<f32> = if together {
        (0..distances)
            .map(|at| largest(&mut seen.chunks_exact(columns).map(|logits| logits[1 + at])))
            .collect()
    } else {
        // The same draws whatever was seen before, so that parts of a text make the whole.
        let mut random = ChaCha8Rng::seed_from_u64(query.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ head as u64);
        let mut draw = || {
            largest(&mut seen.chunks_exact(columns).map(|logits| {
                // Of a 32-bit number the product with the number of distances, without its lower half: uniform to 2^-32.
                let drawn = (u64::from(random.next_u32()) * distances as u64) >> 32;
                logits[1 + drawn as usize]
            }))
        };
        (0..DRAWS).map(|_| draw()).collect()
    };
    Some(Gap { excess: top - upper(draws), clamped: top - clamped })
}

/// The value that about one in 20 of `draws` exceeds: of 32 the second largest.
fn upper(mut draws: Vec<f32>) -> f32 {
    draws.sort_by(|a, b| b.total_cmp(a));
    draws[draws.len() / 20]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four keys, the first of them a start token, with `seen` at the clamped and three other distances.
    fn pushed(actual: [f32; 4], seen: [f32; 16]) -> UnseenDistances {
        let mut unseen = UnseenDistances::new(1, 2, 1);
        let logits = PairLogits { keys: &[0, 5, 6, 7], actual: &actual, seen: &seen };
        unseen.push((0, 1), 20, logits).expect("it has such a head");
        unseen
    }

    #[test]
    fn what_distance_alone_adds() {
        // At seen distances every key has its own logit, whatever the distance.
        let mut seen = [0.0; 16];
        for (key, logits) in seen.chunks_exact_mut(4).enumerate() {
            logits.fill(key as f32);
        }
        let unseen = pushed([0.5, 1.0, 7.0, 2.0], seen);
        assert_eq!(unseen.by_head(false), [vec![], vec![(20, 4.0)]]);
        assert_eq!(unseen.by_head(true), [vec![], vec![(20, 0.5)]]);
        assert_eq!(unseen.clamped(false), [None, Some(4.0)]);
        assert_eq!(pushed([0.0, 1.0, 2.0, 3.0], seen).by_head(false)[1], [(20, 0.0)]);
    }

    /// Distances that training showed, drawn as they are, have an excess once in 20 queries.
    #[test]
    fn distances_of_training_exceed_once_in_20() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut uniform = move || random.next_u32() as f32 / u32::MAX as f32;
        let mut unseen = UnseenDistances::new(1, 1, 5);
        let (keys, distances, queries) = (20, 32, 4000);
        for query in 0..queries {
            let seen: Vec<f32> = (0..keys * (distances + 1)).map(|_| uniform()).collect();
            let together = (uniform() * 31.99) as usize;
            let drawn = |(key, logits): (usize, &[f32]), other: f32| {
                logits[1 + if key < 5 { together } else { (other * 31.99) as usize }]
            };
            let actual: Vec<f32> =
                seen.chunks_exact(distances + 1).enumerate().map(|pair| drawn(pair, uniform())).collect();
            let all: Vec<u64> = (0..keys as u64).collect();
            let logits = PairLogits { keys: &all, actual: &actual, seen: &seen };
            unseen.push((0, 0), 100 + query, logits).expect("fits");
        }
        for on_start in [true, false] {
            let excess = &unseen.by_head(on_start)[0];
            let share = excess.iter().filter(|(_, value)| *value > 0.0).count() as f64 / queries as f64;
            assert!((0.025..0.075).contains(&share), "{on_start}: {share}");
        }
    }

    #[test]
    fn what_is_not_finite_is_located_and_has_no_excess() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let unseen = pushed([0.0, broken, 0.0, 0.0], [0.0; 16]);
            assert_eq!((unseen.by_head(false)[1].len(), unseen.by_head(true)[1].len()), (0, 1), "{broken}");
            assert_eq!((unseen.non_finite().count, unseen.non_finite().first), (1, Some(20)));
            let mut seen = [0.0; 16];
            seen[2] = broken;
            assert!(pushed([0.0; 4], seen).by_head(true)[1].is_empty());
        }
    }

    #[test]
    fn queries_without_keys_and_wrong_shapes() {
        let mut unseen = UnseenDistances::new(1, 1, 2);
        let nothing = PairLogits { keys: &[], actual: &[], seen: &[] };
        unseen.push((0, 0), 9, nothing).expect("nothing to see");
        assert_eq!((unseen.by_head(true), unseen.by_head(false)), (vec![vec![]], vec![vec![]]));
        assert!(!unseen.non_finite().any());
        assert!(unseen.push((1, 0), 9, nothing).is_err());
        for (actual, seen) in
            [(&[1.0][..], &[1.0, 2.0, 3.0][..]), (&[1.0, 2.0], &[]), (&[1.0, 2.0], &[1.0; 5])]
        {
            assert!(unseen.push((0, 0), 9, PairLogits { keys: &[0, 5], actual, seen }).is_err(), "{seen:?}");
        }
        // Clamped alone: nothing to draw from.
        let clamped = PairLogits { keys: &[0, 5], actual: &[1.0, 2.0], seen: &[0.0, 0.5] };
        unseen.push((0, 0), 9, clamped).expect("fits");
        assert_eq!((unseen.by_head(false)[0].len(), unseen.clamped(false)[0]), (0, Some(1.5)));
    }

    #[test]
    fn parts_make_the_whole() {
        let mut whole = UnseenDistances::new(1, 1, 2);
        let mut parts = [whole.clone(), whole.clone()];
        for query in 10..40u64 {
            let seen: Vec<f32> = (0..24).map(|at| ((at * 7 + query) % 11) as f32).collect();
            let logits =
                PairLogits { keys: &[0, 1, 2, 3], actual: &[3.0, 1.0, query as f32, 4.0], seen: &seen };
            whole.push((0, 0), query, logits).expect("fits");
            parts[usize::from(query > 21)].push((0, 0), query, logits).expect("fits");
        }
        let [mut joined, more] = parts;
        joined.merge(&more).expect("the same shape");
        assert_eq!(joined, whole);
        assert!(joined.merge(&UnseenDistances::new(1, 2, 2)).is_err());
    }
}
