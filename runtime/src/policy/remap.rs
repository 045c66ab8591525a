//! Distances that a policy maps to others by the positions of query and key, not by a cap.

use serde::{Deserialize, Serialize};

/// A distance `query(i) − key(j)` for pairs farther than a bound, so that distances that training never had become ones that it
/// had. Nearer pairs stand at their true distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum DistanceRemap {
    /// Grouped positions: pairs at distance `d ≥ window` stand at `⌊i/group⌋ − ⌊j/group⌋ + window − ⌊window/group⌋`.
    ///
    /// Source: Self-Extend (Jin et al. 2024, arXiv 2401.01325), section 3.2 and its algorithm 1.
    Grouped {
        /// Tokens that share a position.
        group: u64,
        /// First distance that is grouped ("neighbor window").
        window: u64,
    },
    /// Chunked positions, with `s` = `chunk`, `w` = `local` and `c = s + w`: a key stands at `j mod s`; its query at `i mod s` in the
    /// same chunk, at `min(s + (i mod s), c − 1)` in the next, and at `c − 1` in all later ones. So no distance is beyond `c − 1`.
    ///
    /// Source: dual chunk attention (An et al. 2024, arXiv 2402.17463), section 3: intra-chunk, successive-chunk, inter-chunk.
    Chunked {
        /// Tokens of a chunk.
        chunk: u64,
        /// Tokens at the begin of a chunk that see the chunk before at true distances; at most `chunk`.
        local: u64,
    },
}

impl DistanceRemap {
    /// The distance of query `i` to key `j ≤ i`. This is the definition.
    pub fn distance(self, i: u64, j: u64) -> u64 {
        match self {
            Self::Grouped { group, window } => {
                if i - j < window {
                    i - j
                } else {
                    i / group + window - window / group - j / group
                }
            }
            Self::Chunked { chunk, local } => {
                let farthest = chunk + local - 1;
                let query = match i / chunk - j / chunk {
                    0 => i % chunk,
                    1 => farthest.min(chunk + i % chunk),
                    _ => farthest,
                };
                query - j % chunk
            }
        }
    }

    /// End of the keys that stand at a changed distance for query `i`: all keys before it do.
    pub fn changed_end(self, i: u64) -> u64 {
        match self {
            Self::Grouped { window, .. } => (i + 1).saturating_sub(window),
            Self::Chunked { chunk, local } => {
                // The first tokens of a chunk see the chunk before as it is.
                let exact = u64::from(i % chunk < local);
                (i / chunk).saturating_sub(exact) * chunk
            }
        }
    }

    /// Where query `i` stands for a key at a changed distance: that distance is `query(i) − key(j)`.
    pub fn query(self, i: u64) -> u64 {
        match self {
            Self::Grouped { group, window } => i / group + window - window / group,
            Self::Chunked { chunk, local } => chunk + local - 1,
        }
    }

    /// Where key `j` stands for a query at a changed distance.
    pub fn key(self, j: u64) -> u64 {
        match self {
            Self::Grouped { group, .. } => j / group,
            Self::Chunked { chunk, .. } => j % chunk,
        }
    }

    /// A place near those of keys at positions near `position`, from which angles are counted.
    pub fn base(self, position: u64) -> u64 {
        match self {
            Self::Grouped { group, .. } => position / group,
            Self::Chunked { .. } => 0,
        }
    }

    /// The largest changed distance, where there is one at any length.
    pub fn bound(self) -> Option<u64> {
        match self {
            Self::Grouped { .. } => None,
            Self::Chunked { chunk, local } => Some(chunk + local - 1),
        }
    }

    pub(super) fn validate(self) -> Result<(), String> {
        let length = |name: &str, value: u64| {
            if (1..=1 << 48).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} must be from 1 to 2^48, got {value}"))
            }
        };
        match self {
            Self::Grouped { group, window } => length("group", group).and(length("window", window)),
            Self::Chunked { chunk, local } => {
                length("chunk", chunk)?;
                length("local", local)?;
                if local > chunk {
                    return Err(format!("local must be at most the chunk of {chunk}, got {local}"));
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_distances_by_hand() {
        // Groups of 2, neighbors within 4, 10 tokens: the last query's row.
        let grouped = DistanceRemap::Grouped { group: 2, window: 4 };
        let row: Vec<u64> = (0..10).map(|j| grouped.distance(9, j)).collect();
        assert_eq!(row, [6, 6, 5, 5, 4, 4, 3, 2, 1, 0]);
        // A group of one changes nothing.
        let same = DistanceRemap::Grouped { group: 1, window: 4 };
        assert!((0..40).all(|j| same.distance(39, j) == 39 - j));
    }

    #[test]
    fn chunked_distances_by_hand() {
        // Chunks of 6, trained on 10.
        let chunked = DistanceRemap::Chunked { chunk: 6, local: 4 };
        let row = |i: u64| (0..=i).map(|j| chunked.distance(i, j)).collect::<Vec<_>>();
        assert_eq!(row(3), [3, 2, 1, 0]);
        assert_eq!(row(7), [7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(row(11), [9, 8, 7, 6, 5, 4, 5, 4, 3, 2, 1, 0]);
        assert_eq!(row(12)[..7], [9, 8, 7, 6, 5, 4, 6]);
        for i in 0..200 {
            assert!((0..=i).all(|j| chunked.distance(i, j) <= 9));
        }
    }

    #[test]
    fn places_of_query_and_key_give_the_changed_distances() {
        for remap in [
            DistanceRemap::Grouped { group: 3, window: 5 },
            DistanceRemap::Grouped { group: 8, window: 1 },
            DistanceRemap::Grouped { group: 2, window: 100 },
            DistanceRemap::Chunked { chunk: 6, local: 4 },
            DistanceRemap::Chunked { chunk: 5, local: 5 },
            DistanceRemap::Chunked { chunk: 1, local: 1 },
            DistanceRemap::Chunked { chunk: 70, local: 1 },
        ] {
            for i in (0..70).chain(1_000_000_000..1_000_000_070) {
                let end = remap.changed_end(i);
                assert!(end <= i && remap.changed_end(i + 1) >= end, "{remap:?} {i}");
                for j in (0..=i.min(80)).chain(i.saturating_sub(80)..=i) {
                    let distance = remap.distance(i, j);
                    if j < end {
                        assert_eq!(distance, remap.query(i) - remap.key(j), "{remap:?} {i} {j}");
                    } else {
                        assert_eq!(distance, i - j, "{remap:?} {i} {j}");
                    }
                    assert!(remap.bound().is_none_or(|bound| distance <= bound.max(i - j)));
                }
            }
        }
    }
}
