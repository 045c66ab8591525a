//! Two policies, of which one is held against the other: what the timeline, the text and the heads call A − B.

use crate::theme;

/// Two policies by their numbers, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// What is held against the other.
    pub first: usize,
    /// What it is held against.
    pub second: usize,
}

impl Default for Pair {
    fn default() -> Self {
        Self { first: 0, second: 1 }
    }
}

impl Pair {
    /// The same, if so many runs have both, else A and B.
    #[must_use]
    pub fn within(self, runs: usize) -> Self {
        let known = self.first < runs && self.second < runs && self.first != self.second;
        if known { self } else { Self::default() }
    }

    /// The same with another first; where it was the second, the two change places.
    #[must_use]
    pub fn with_first(self, first: usize) -> Self {
        Self { first, second: if self.second == first { self.first } else { self.second } }
    }

    /// The same with another second; where it was the first, the two change places.
    #[must_use]
    pub fn with_second(self, second: usize) -> Self {
        Self { first: if self.first == second { self.second } else { self.first }, second }
    }

    /// The first (0) or the second (1).
    pub fn side(self, place: usize) -> usize {
        if place == 0 { self.first } else { self.second }
    }

    /// What the difference is called.
    pub fn name(self) -> String {
        format!("{} \u{2212} {}", theme::name(self.first), theme::name(self.second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_always_of_two_runs_that_are_there() {
        let pair = Pair { first: 3, second: 1 };
        assert_eq!((pair.within(4), pair.within(3)), (pair, Pair::default()));
        assert_eq!(Pair { first: 2, second: 2 }.within(9), Pair::default());
        assert_eq!(pair.with_first(1), Pair { first: 1, second: 3 });
        assert_eq!(pair.with_second(3), Pair { first: 1, second: 3 });
        assert_eq!((pair.with_second(0).name(), pair.side(0), pair.side(1)), ("D \u{2212} A".into(), 3, 1));
    }
}
