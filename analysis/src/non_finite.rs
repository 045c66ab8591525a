//! Observations that are not finite: how many, and where the first was.
//!
//! Every accumulator of this crate keeps such a count beside what it accumulates, and lets no mean and no maximum pass over
//! one: a mean or an extreme that would have to contain a NaN or an infinity is NaN, or `None`.

use serde::{Deserialize, Serialize};

/// Count and first position of observations that were not finite. 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonFinite {
    /// How many there were.
    pub count: u64,
    /// Smallest position at which there was one, in tokens; `None` without any.
    pub first: Option<u64>,
}

impl NonFinite {
    /// Adds `count` observations at `position`.
    pub fn note(&mut self, position: u64, count: u64) {
        if count > 0 {
            self.merge(&Self { count, first: Some(position) });
        }
    }

    /// Adds those of consecutive positions, the first at `position`, that `broken` says are not finite.
    pub fn note_all<T>(&mut self, position: u64, values: &[T], broken: impl Fn(&T) -> bool) {
        for (position, value) in (position..).zip(values) {
            self.note(position, u64::from(broken(value)));
        }
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.first = self.first.into_iter().chain(other.first).min();
    }

    /// All of `parts` together.
    pub fn total<'parts>(parts: impl IntoIterator<Item = &'parts Self>) -> Self {
        let mut all = Self::default();
        parts.into_iter().for_each(|part| all.merge(part));
        all
    }

    /// Whether there was any.
    pub fn any(&self) -> bool {
        self.count > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_the_first_is_the_smallest_in_any_order() {
        let of = |position, values: &[f32]| {
            let mut seen = NonFinite::default();
            seen.note_all(position, values, |value| !value.is_finite());
            seen
        };
        let nothing = of(3, &[1.0, 2.0]);
        assert_eq!((nothing, nothing.any()), (NonFinite::default(), false));
        let (late, early) = (of(7, &[0.0, f32::NAN, f32::INFINITY]), of(2, &[f32::NEG_INFINITY]));
        assert_eq!((late.count, late.first, early.first), (2, Some(8), Some(2)));
        for order in [[&late, &early, &nothing], [&nothing, &early, &late]] {
            assert_eq!(NonFinite::total(order), NonFinite { count: 3, first: Some(2) });
        }
    }
}
