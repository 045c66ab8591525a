//! The three causes, and sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One cause of length failure (paper, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// True distances, beyond those of training. Without it they are clamped.
    Distances,
    /// All keys, more than in training. Without it as many as in training.
    Keys,
    /// Start tokens that are dropped. Without it they are kept.
    Start,
}

impl Cause {
    /// All three, in the order of the paper.
    pub const ALL: [Self; 3] = [Self::Distances, Self::Keys, Self::Start];
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Distances => "distances",
            Self::Keys => "number of keys",
            Self::Start => "start tokens",
        })
    }
}

/// Which causes a run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CauseSet(u8);

impl CauseSet {
    /// No cause: what LM-Infinite does.
    pub const NONE: Self = Self(0);
    /// Unseen distances and an unseen number of keys, start tokens kept: the model as it is.
    pub const VANILLA: Self = Self(0b011);
    /// All three.
    pub const FULL: Self = Self(0b111);
    /// Number of sets.
    pub const COUNT: usize = 8;

    /// All eight, in the order of [`Self::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    /// These causes.
    pub fn of(causes: &[Cause]) -> Self {
        causes.iter().fold(Self::NONE, |set, &cause| set.with(cause))
    }

    /// Its place among the eight: a bit for distances (1), keys (2) and start tokens (4).
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Is `cause` in it?
    pub fn has(self, cause: Cause) -> bool {
        self.0 & Self::bit(cause) != 0
    }

    /// The same with `cause`.
    #[must_use]
    pub fn with(self, cause: Cause) -> Self {
        Self(self.0 | Self::bit(cause))
    }

    /// The same without `cause`.
    #[must_use]
    pub fn without(self, cause: Cause) -> Self {
        Self(self.0 & !Self::bit(cause))
    }

    /// Number of causes.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// No cause?
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    fn bit(cause: Cause) -> u8 {
        match cause {
            Cause::Distances => 1,
            Cause::Keys => 2,
            Cause::Start => 4,
        }
    }
}

/// One value for each cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ByCause<T> {
    /// Of unseen distances.
    pub distances: T,
    /// Of the number of keys.
    pub keys: T,
    /// Of dropped start tokens.
    pub start: T,
}

impl<T> ByCause<T> {
    /// The value of each cause by `of`.
    pub fn from_fn(mut of: impl FnMut(Cause) -> T) -> Self {
        Self { distances: of(Cause::Distances), keys: of(Cause::Keys), start: of(Cause::Start) }
    }

    /// The value of `cause`.
    pub fn get(&self, cause: Cause) -> &T {
        match cause {
            Cause::Distances => &self.distances,
            Cause::Keys => &self.keys,
            Cause::Start => &self.start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_told_apart_by_their_place() {
        let all: Vec<CauseSet> = CauseSet::all().collect();
        assert!(all.iter().enumerate().all(|(at, set)| set.index() == at));
        assert_eq!(CauseSet::of(&[Cause::Distances, Cause::Keys]), CauseSet::VANILLA);
        assert_eq!(CauseSet::of(&Cause::ALL), CauseSet::FULL);
        for set in all {
            assert_eq!(set.len(), Cause::ALL.iter().filter(|&&cause| set.has(cause)).count());
            for cause in Cause::ALL {
                assert!(set.with(cause).has(cause) && !set.without(cause).has(cause));
            }
        }
        assert!(CauseSet::NONE.is_empty() && !CauseSet::FULL.is_empty());
    }
}
