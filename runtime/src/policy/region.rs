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
    let capped = |d: u64| policy.ceiling.map_or(d, |ceiling| d.min(ceiling));
    match policy.window {
        None => match policy.dropped {
            Some(dropped) if j < dropped.tokens && true_distance >= dropped.beyond => Region::Masked,
            _ => Region::Recent { distance: capped(true_distance) },
        },
        Some(window) if true_distance < window => Region::Recent { distance: capped(true_distance) },
        Some(window) if j < policy.start => Region::Start {
            distance: match policy.positions {
                Positions::True => capped(true_distance),
                Positions::InCache => i.min(policy.start + window - 1) - j,
            },
        },
        Some(_) => match policy.middle {
            Some(middle) if middle.k > 0 => Region::Retrieved { distance: middle.distance },
            _ => Region::Masked,
        },
    }
}

/// All regions of one query, as bounds on key positions.
///
/// Key `j ≤ query` is attended if `j < start_end` or `j ≥ recent_begin`, may be chosen in between where the policy has middle
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
        let recent_begin = match (self.window, self.dropped) {
            (Some(window), _) => behind(window),
            (None, Some(dropped)) => dropped.tokens.min(behind(dropped.beyond)),
            (None, None) => 0,
        };
        let start_end = self.start.min(recent_begin);
        let clamped_end = match (self.positions, self.ceiling) {
            (Positions::InCache, _) => start_end,
            (Positions::True, Some(ceiling)) => i.saturating_sub(ceiling),
            (Positions::True, None) => 0,
        };
        Spans { start_end, recent_begin, clamped_end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DroppedStart, Middle};

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
        let middle = |k, from_layer| Some(Middle { k, from_layer, distance: 1 });
        let policy = |middle| AttentionPolicy {
            start: 1,
            window: Some(2),
            ceiling: Some(2),
            middle,
            ..Default::default()
        };
        let rows = picture(&policy(middle(1, 0)), 5);
        assert_eq!(rows, ["r0 . . . .", "r1 r0 . . .", "s2 r1 r0 . .", "s2 m1 r1 r0 .", "s2 m1 m1 r1 r0"]);
        assert_eq!(picture(&policy(middle(0, 0)), 5), picture(&policy(None), 5));
        assert_eq!(picture(&policy(middle(1, 3)).at_layer(2), 5), picture(&policy(None), 5));
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
                    let capped = policy.ceiling.is_some_and(|c| distance == c && i - j > c);
                    assert_eq!(
                        clamped,
                        capped || (policy.positions == Positions::InCache && j < spans.start_end)
                    );
                }
            }
        }
    }
}
