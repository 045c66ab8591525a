//! Does query `i` see key `j`, in which region, and at which distance: the one place that answers it.
//!
//! [`region`] is the definition, for one pair. [`Spans`] says the same for a whole row of keys as three bounds, which is
//! what kernels need; a test holds the two against each other. The dense mask, the block bounds of the fast kernel and
//! the colours of a map all come from here.

use super::{AttentionPolicy, Positions};

/// Where a key stands for a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// In the future of the query.
    Future,
    /// In the past, but not attended.
    Masked,
    /// Attended because it is one of the start tokens and outside the window.
    Start {
        /// Distance given to the position encoding.
        distance: u64,
    },
    /// Attended if it is one of the `k` keys of this region with the largest logit at this distance.
    Retrieved {
        /// Distance given to the position encoding.
        distance: u64,
    },
    /// Attended because it is recent.
    Recent {
        /// Distance given to the position encoding.
        distance: u64,
    },
}

impl Region {
    /// Distance given to the position encoding; `None` where the key cannot be attended.
    pub fn distance(self) -> Option<u64> {
        match self {
            Self::Start { distance } | Self::Retrieved { distance } | Self::Recent { distance } => {
                Some(distance)
            }
            Self::Future | Self::Masked => None,
        }
    }
}

/// Region of key `j` for query `i` (positions in tokens from the start of the text).
///
/// Recent keys are `0 ≤ i − j < window`; the start span is used only outside the window, never both (paper's code). `policy`
/// is that of the layer ([`AttentionPolicy::at_layer`]).
pub fn region(i: u64, j: u64, policy: &AttentionPolicy) -> Region {
    if j > i {
        return Region::Future;
    }
    let true_distance = i - j;
    let distance = match policy.remap {
        Some(remap) => remap.distance(i, j),
        None => policy.ceiling.map_or(true_distance, |ceiling| true_distance.min(ceiling)),
    };
    match policy.window {
        window if window.is_none_or(|window| true_distance < window) => match policy.dropped {
            Some(dropped) if j < dropped.tokens && true_distance >= dropped.beyond => Region::Masked,
            _ => Region::Recent { distance },
        },
        None => Region::Masked,
        Some(window) if j < policy.start => Region::Start {
            distance: match policy.positions {
                Positions::True => distance,
                Positions::InCache => i.min(policy.start + window - 1) - j,
            },
        },
        Some(_) => match policy.retrieved {
            Some(retrieved) if retrieved.k > 0 => Region::Retrieved { distance: retrieved.distance },
            _ => Region::Masked,
        },
    }
}

/// All regions of one query, as bounds on key positions.
///
/// Key `j ≤ query` is attended if `j < start_end` or `j ≥ recent_begin`, may be chosen in between where the policy has retrieved
/// keys, and its distance is changed by the policy
/// ("clamped") if `j < clamped_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    /// End of the start tokens that lie outside the window (at most `recent_begin`).
    pub start_end: u64,
    /// First recent key.
    pub recent_begin: u64,
    /// End of the keys whose distance to the position encoding is not the true one.
    pub clamped_end: u64,
}

impl AttentionPolicy {
    /// Bounds of the regions of query `i`.
    pub fn spans(&self, i: u64) -> Spans {
        let behind = |window: u64| (i + 1).saturating_sub(window);
        let after_dropped = self.dropped.map_or(0, |dropped| dropped.tokens.min(behind(dropped.beyond)));
        let recent_begin = self.window.map_or(0, behind).max(after_dropped);
        let start_end = self.start.min(recent_begin);
        let clamped_end = match (self.positions, self.remap, self.ceiling) {
            (Positions::InCache, ..) => start_end,
            (Positions::True, Some(remap), _) => remap.changed_end(i),
            (Positions::True, None, Some(ceiling)) => i.saturating_sub(ceiling),
            (Positions::True, None, None) => 0,
        };
        Spans { start_end, recent_begin, clamped_end }
    }

    /// Number of keys that query `i` attends to.
    pub fn attended_keys(&self, i: u64) -> u64 {
        let spans = self.spans(i);
        let between = spans.recent_begin - spans.start_end;
        let retrieved = self.retrieved.map_or(0, |keys| keys.k.min(between));
        i + 1 - between + retrieved
    }

    /// What query `i` is multiplied by, beside `1/√head_dim`.
    pub fn query_scale(&self, i: u64) -> f64 {
        self.temperature.map_or(1.0, |temperature| temperature.query_scale(self.attended_keys(i)))
    }

    /// Where query `i` stands for a key whose distance is changed: that distance is this, less [`Self::clamped_key`].
    pub fn clamped_query(&self, i: u64) -> u64 {
        match (self.positions, self.remap) {
            (Positions::InCache, _) => i.min(self.kept_keys().map_or(u64::MAX, |kept| kept - 1)),
            (Positions::True, Some(remap)) => remap.query(i),
            (Positions::True, None) => self.ceiling.unwrap_or(0),
        }
    }

    /// Where key `j` stands for a query to which its distance is changed; `None` where all keys stand at 0, and so need not be
    /// turned.
    pub fn clamped_key(&self, j: u64) -> Option<u64> {
        match (self.positions, self.remap) {
            (Positions::InCache, _) => Some(j),
            (Positions::True, remap) => remap.map(|remap| remap.key(j)),
        }
    }

    /// A place near those of the keys at positions near `position`, from which [`Self::clamped_query`] and
    /// [`Self::clamped_key`] may both be counted.
    pub fn clamped_base(&self, position: u64) -> u64 {
        match (self.positions, self.remap) {
            (Positions::True, Some(remap)) => remap.base(position),
            // Keys in the cache stand at their own index.
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DistanceRemap, DroppedStart, RetrievedKeys, Temperature};

    fn picture(policy: &AttentionPolicy, n: u64) -> Vec<String> {
        let cell = |i, j| match region(i, j, policy) {
            Region::Future => '.'.to_string(),
            Region::Masked => 'x'.to_string(),
            Region::Start { distance } => format!("s{distance}"),
            Region::Retrieved { distance } => format!("m{distance}"),
            Region::Recent { distance } => format!("r{distance}"),
        };
        (0..n).map(|i| (0..n).map(|j| cell(i, j)).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn vanilla_is_causal_with_true_distances() {
        let rows = picture(&AttentionPolicy::default(), 4);
        assert_eq!(rows, ["r0 . . .", "r1 r0 . .", "r2 r1 r0 .", "r3 r2 r1 r0"]);
    }

    #[test]
    fn window_drops_everything_older() {
        let policy = AttentionPolicy { window: Some(2), ..Default::default() };
        assert_eq!(picture(&policy, 4), ["r0 . . .", "r1 r0 . .", "x r1 r0 .", "x x r1 r0"]);
    }

    #[test]
    fn start_tokens_alone_can_be_dropped() {
        let dropped = Some(DroppedStart { tokens: 2, beyond: 2 });
        let policy = AttentionPolicy { dropped, ..Default::default() };
        let rows = picture(&policy, 5);
        assert_eq!(rows, ["r0 . . . .", "r1 r0 . . .", "x r1 r0 . .", "x x r1 r0 .", "x x r2 r1 r0"]);
        let capped = AttentionPolicy { ceiling: Some(1), ..policy };
        assert_eq!(picture(&capped, 5)[4], "x x r1 r1 r0");
    }

    #[test]
    fn start_tokens_outside_the_window_stay_at_the_ceiling() {
        let policy = AttentionPolicy { start: 1, window: Some(2), ceiling: Some(2), ..Default::default() };
        let rows = picture(&policy, 5);
        assert_eq!(rows, ["r0 . . . .", "r1 r0 . . .", "s2 r1 r0 . .", "s2 x r1 r0 .", "s2 x x r1 r0"]);
    }

    #[test]
    fn in_cache_distance_stops_at_the_cache_size() {
        let policy = AttentionPolicy {
            start: 2,
            window: Some(2),
            positions: Positions::InCache,
            ..Default::default()
        };
        let rows = picture(&policy, 6);
        assert_eq!(rows[2], "s2 r1 r0 . . .");
        assert_eq!(rows[3], "s3 s2 r1 r0 . .");
        assert_eq!(rows[5], "s3 s2 x x r1 r0");
    }

    #[test]
    fn keys_between_start_and_window_may_be_chosen() {
        let retrieved = |k, from_layer| Some(RetrievedKeys { k, from_layer, distance: 1 });
        let policy = |retrieved| AttentionPolicy {
            start: 1,
            window: Some(2),
            ceiling: Some(2),
            retrieved,
            ..Default::default()
        };
        let rows = picture(&policy(retrieved(1, 0)), 5);
        assert_eq!(rows, ["r0 . . . .", "r1 r0 . . .", "s2 r1 r0 . .", "s2 m1 r1 r0 .", "s2 m1 m1 r1 r0"]);
        assert_eq!(picture(&policy(retrieved(0, 0)), 5), picture(&policy(None), 5));
        assert_eq!(picture(&policy(retrieved(1, 3)).at_layer(2), 5), picture(&policy(None), 5));
    }

    #[test]
    fn spans_say_the_same_as_region() {
        let windows = [None, Some(1), Some(2), Some(3), Some(7), Some(40)];
        let ceilings = [None, Some(1), Some(2), Some(5), Some(40)];
        for start in [0, 1, 3, 10] {
            for window in windows {
                for (positions, ceiling) in
                    ceilings.map(|c| (Positions::True, c)).into_iter().chain([(Positions::InCache, None)])
                {
                    let policy = AttentionPolicy { start, window, ceiling, positions, ..Default::default() };
                    spans_agree_with_region(&policy);
                    for remap in [
                        DistanceRemap::Grouped { group: 3, window: 5 },
                        DistanceRemap::Grouped { group: 1, window: 40 },
                        DistanceRemap::Chunked { chunk: 7, local: 3 },
                        DistanceRemap::Chunked { chunk: 2, local: 2 },
                    ] {
                        spans_agree_with_region(&AttentionPolicy { remap: Some(remap), ..policy.clone() });
                    }
                    for (tokens, beyond) in [(1, 1), (3, 2), (10, 5), (2, 40)] {
                        let dropped = Some(DroppedStart { tokens, beyond });
                        spans_agree_with_region(&AttentionPolicy { dropped, ..policy.clone() });
                    }
                }
            }
        }
    }

    fn spans_agree_with_region(policy: &AttentionPolicy) {
        if policy.validate().is_err() {
            return;
        }
        for i in (0..30).chain([1_000_000_000]) {
            let spans = policy.spans(i);
            for j in (0..30).chain(i.saturating_sub(45)..=i).filter(|&j| j <= i) {
                let attended = j < spans.start_end || j >= spans.recent_begin;
                let seen = region(i, j, policy);
                assert_eq!(attended, seen.distance().is_some(), "{policy:?} query {i} key {j}");
                if let Some(distance) = seen.distance() {
                    // In the cache the distances of start keys may happen to be the true ones.
                    let clamped = j < spans.clamped_end;
                    assert!(clamped || distance == i - j, "{policy:?} query {i} key {j}");
                    let places = policy.clamped_query(i) - policy.clamped_key(j).unwrap_or(0);
                    assert!(!clamped || distance == places, "{policy:?} query {i} key {j}");
                    if policy.remap.is_some() {
                        continue;
                    }
                    let capped = policy.ceiling.is_some_and(|c| distance == c && i - j > c);
                    assert_eq!(
                        clamped,
                        capped || (policy.positions == Positions::InCache && j < spans.start_end)
                    );
                }
            }
        }
    }

    #[test]
    fn keys_are_counted_as_regions_say() {
        let of = |start, window| AttentionPolicy { start, window, ..Default::default() };
        let dropped = Some(DroppedStart { tokens: 3, beyond: 5 });
        let retrieved = Some(RetrievedKeys { k: 5, from_layer: 0, distance: 2 });
        for policy in [
            of(0, None),
            of(0, Some(4)),
            of(3, Some(4)),
            AttentionPolicy { dropped, ..of(0, None) },
            AttentionPolicy { retrieved, ..of(3, Some(4)) },
        ] {
            for i in 0..40 {
                let (mut certain, mut candidates) = (0, 0);
                for j in 0..=i {
                    match region(i, j, &policy) {
                        Region::Recent { .. } | Region::Start { .. } => certain += 1,
                        Region::Retrieved { .. } => candidates += 1,
                        Region::Masked | Region::Future => {}
                    }
                }
                let counted = certain + policy.retrieved.map_or(0, |keys| keys.k.min(candidates));
                assert_eq!(policy.attended_keys(i), counted, "{policy:?} {i}");
            }
        }
    }

    #[test]
    fn queries_stay_as_they_are_up_to_the_training_length() {
        let policy = AttentionPolicy { temperature: Some(Temperature { from: 16 }), ..Default::default() };
        assert!((0..16).all(|i| policy.query_scale(i) == 1.0));
        assert!((policy.query_scale(255) - 2.0).abs() < 1e-12);
        let windowed = AttentionPolicy { window: Some(16), ..policy };
        assert!((0..1000).all(|i| windowed.query_scale(i) == 1.0));
    }
}
