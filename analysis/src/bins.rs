//! Bins over positions or distances, both in tokens.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Half-open bins `[lower, next lower)`; the first begins at 0 and the last is open, so every number has a bin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct Bins {
    lower: Vec<u64>,
}

impl Bins {
    /// Bins with these lower edges: ascending, the first 0.
    pub fn new(lower: Vec<u64>) -> Result<Self> {
        let ascending = lower.windows(2).all(|pair| pair[0] < pair[1]);
        if lower.first() == Some(&0) && ascending {
            Ok(Self { lower })
        } else {
            Err(Error::mismatch("bins", "ascending lower edges, the first 0", format!("{lower:?}")))
        }
    }

    /// At most `most` bins of equal width over `0..end`. The width is a power of two, so that edges fall on the usual
    /// training lengths. `end` and `most` of 0 count as 1.
    pub fn linear(end: u64, most: u64) -> Self {
        let width = Self::width(end, most);
        Self { lower: (0..end.max(1).div_ceil(width)).map(|bin| bin * width).collect() }
    }

    /// As [`Bins::linear`] over `0..knee`, then bins that double up to `end`: fine where a model was trained, and still
    /// few for a text of any length.
    pub fn linear_then_doubling(knee: u64, end: u64, most: u64) -> Self {
        let mut bins = Self::linear(knee.min(end), most);
        let mut edge = Self::width(knee.min(end), most) * bins.lower.len() as u64;
        while edge < end {
            bins.lower.push(edge);
            edge = edge.saturating_mul(2);
        }
        bins
    }

    /// Bins on a logarithmic scale: the octaves `center·2^e` (below `center` rounded down, the last one 0–1), each cut into
    /// `parts(its begin)` bins of equal width, or of one number each where there are fewer; 0 counts as 1. Every `center·2^e`
    /// is an edge. `end` only says where the edges may stop: the bins of a longer text begin with those of a shorter one. A
    /// `center` of 0 counts as 1.
    pub fn octaves(center: u64, end: u64, parts: impl Fn(u64) -> u64) -> Self {
        let center = center.max(1);
        let mut anchors: Vec<u64> = (0..=center.ilog2()).rev().map(|halved| center >> halved).collect();
        while let Some(next) = anchors.last().filter(|&&last| last < end).and_then(|last| last.checked_mul(2))
        {
            anchors.push(next);
        }
        let mut lower = vec![0];
        for octave in anchors.windows(2) {
            let (begin, width) = (octave[0], octave[1] - octave[0]);
            let count = parts(begin).clamp(1, width);
            // In u128: the product of an octave and its bins may not fit.
            let edge = |bin: u64| begin + (u128::from(width) * u128::from(bin) / u128::from(count)) as u64;
            lower.extend((0..count).map(edge));
        }
        lower.extend(anchors.last());
        lower.truncate(lower.partition_point(|&edge| edge < end).max(1));
        Self { lower }
    }

    /// Bins `0, 1, 2–3, 4–7, …` up to `end`.
    pub fn doubling(end: u64) -> Self {
        let powers = (0..u64::BITS).map(|bit| 1 << bit).take_while(|&edge| edge < end);
        Self { lower: std::iter::once(0).chain(powers).collect() }
    }

    fn width(end: u64, most: u64) -> u64 {
        end.max(1).div_ceil(most.max(1)).next_power_of_two()
    }

    /// Number of bins, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there is always a bin")]
    pub fn len(&self) -> usize {
        self.lower.len()
    }

    /// Lower edges, inclusive.
    pub fn lower(&self) -> &[u64] {
        &self.lower
    }

    /// End of a bin, exclusive; `None` for the last.
    pub fn end(&self, bin: usize) -> Option<u64> {
        self.lower.get(bin + 1).copied()
    }

    /// The bin of a number.
    pub fn index(&self, number: u64) -> usize {
        // The first edge is 0, so at least one edge is not above `number`.
        self.lower.partition_point(|&edge| edge <= number) - 1
    }

    /// Cuts the consecutive numbers `first..first + count` at the edges: (bin, offsets from `first`).
    pub fn split(
        &self,
        first: u64,
        count: usize,
    ) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + '_ {
        let mut done = 0;
        let mut bin = self.index(first);
        std::iter::from_fn(move || {
            if done >= count {
                return None;
            }
            let room = self.end(bin).map_or(u64::MAX, |end| end - (first + done as u64));
            let until = done + usize::try_from(room).unwrap_or(usize::MAX).min(count - done);
            let piece = (bin, done..until);
            done = until;
            bin += 1;
            Some(piece)
        })
    }
}

impl TryFrom<Vec<u64>> for Bins {
    type Error = Error;

    fn try_from(lower: Vec<u64>) -> Result<Self> {
        Self::new(lower)
    }
}

impl From<Bins> for Vec<u64> {
    fn from(bins: Bins) -> Self {
        bins.lower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_bin() {
        let bins = Bins::new(vec![0, 1, 4]).expect("ascending");
        assert_eq!([0, 1, 3, 4, u64::MAX].map(|n| bins.index(n)), [0, 1, 1, 2, 2]);
        assert_eq!((bins.end(1), bins.end(2)), (Some(4), None));
    }

    #[test]
    fn edges_that_are_no_bins_are_refused() {
        for lower in [vec![], vec![1, 2], vec![0, 2, 2], vec![0, 3, 1]] {
            assert!(Bins::new(lower).is_err());
        }
    }

    #[test]
    fn linear_bins_fall_on_powers_of_two() {
        let bins = Bins::linear(12288, 256);
        assert_eq!((bins.len(), bins.lower()[1]), (192, 64));
        assert!(bins.lower().contains(&8192));
        assert_eq!(Bins::linear(0, 0).lower(), [0]);
    }

    #[test]
    fn a_long_text_adds_few_bins() {
        let bins = Bins::linear_then_doubling(1024, 1_000_000_000, 64);
        assert_eq!(bins.lower()[..3], [0, 16, 32]);
        assert_eq!(bins.lower()[63..66], [1008, 1024, 2048]);
        assert!(bins.len() < 90);
        assert_eq!(Bins::linear_then_doubling(1024, 100, 64), Bins::linear(100, 64));
    }

    #[test]
    fn octaves_are_cut_evenly_and_a_longer_text_adds_bins_only_at_its_end() {
        let parts = |begin: u64| if begin < 12 { 2 } else { 4 };
        assert_eq!(Bins::octaves(12, 40, parts).lower(), [0, 1, 2, 3, 4, 6, 9, 12, 15, 18, 21, 24, 30, 36]);
        for center in [0, 1, 3, 100, 256, 1000, 8192, u64::MAX] {
            let all = Bins::octaves(center, u64::MAX, |begin| (begin / 7).min(50));
            assert!(Bins::new(all.lower().to_vec()).is_ok(), "{center}");
            let octaves = (0..64).map(|e| center.max(1).checked_mul(1 << e)).map_while(|edge| edge);
            assert!(
                octaves.filter(|&edge| edge < u64::MAX).all(|edge| all.lower().contains(&edge)),
                "{center}"
            );
            for end in [0, 1, 2, 5, 99, 100, 101, 5000, 1 << 40] {
                let some = Bins::octaves(center, end, |begin| (begin / 7).min(50));
                assert_eq!(some.lower(), &all.lower()[..some.len()], "{center} {end}");
                assert!(some.lower().iter().skip(1).all(|&edge| edge < end));
                assert!(all.lower().get(some.len()).is_none_or(|&next| next >= end));
            }
        }
    }

    #[test]
    fn doubling_bins() {
        assert_eq!(Bins::doubling(9).lower(), [0, 1, 2, 4, 8]);
        assert_eq!(Bins::doubling(0).lower(), [0]);
        assert_eq!(Bins::doubling(u64::MAX).len(), 65);
    }

    #[test]
    fn split_says_the_same_as_index() {
        let bins = Bins::new(vec![0, 1, 4, 9]).expect("ascending");
        for first in 0..12 {
            for count in 0..12 {
                let pieces: Vec<_> = bins
                    .split(first, count)
                    .flat_map(|(bin, range)| range.map(move |offset| (bin, offset)))
                    .collect();
                let expected: Vec<_> =
                    (0..count).map(|offset| (bins.index(first + offset as u64), offset)).collect();
                assert_eq!(pieces, expected);
            }
        }
    }
}
