//! Two policies, of which one is held against the other: what the timeline, the text and the heads call A − B. Each is one of the run
//! on screen, or of an earlier one.

use crate::theme::{self, SIDES};

/// A policy of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    /// Of the run on screen, by its number from 0.
    Here(usize),
    /// Of an earlier run of this session.
    Earlier(Earlier),
}

/// A policy of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Earlier {
    /// The number of the run among those that are kept.
    pub kept: u64,
    /// The number in its name; a result folder has none.
    pub run: Option<u64>,
    /// The policy's number in it, from 0.
    pub side: usize,
}

impl Row {
    /// The policy's number in its run.
    pub fn side(self) -> usize {
        match self {
            Self::Here(side) | Self::Earlier(Earlier { side, .. }) => side,
        }
    }

    /// What it is called where there is little room: A, or A2 of run 2, or A* of a result folder.
    pub fn name(self) -> String {
        let letter = theme::name(self.side());
        match self {
            Self::Here(_) => letter.to_owned(),
            Self::Earlier(Earlier { run: Some(run), .. }) => format!("{letter}{run}"),
            Self::Earlier(Earlier { run: None, .. }) => format!("{letter}*"),
        }
    }

    /// The same in words.
    pub fn words(self) -> String {
        let letter = theme::name(self.side());
        match self {
            Self::Here(_) => letter.to_owned(),
            Self::Earlier(Earlier { run: Some(run), .. }) => format!("{letter} of run {run}"),
            Self::Earlier(Earlier { run: None, .. }) => format!("{letter} of the result folder"),
        }
    }
}

/// Two policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// What is held against the other.
    pub first: Row,
    /// What it is held against.
    pub second: Row,
}

impl Default for Pair {
    fn default() -> Self {
        Self::here(0, 1)
    }
}

impl Pair {
    /// Of two policies of the run on screen.
    pub fn here(first: usize, second: usize) -> Self {
        Self { first: Row::Here(first), second: Row::Here(second) }
    }

    /// The same, if the run on screen, of so many policies, has what is asked of it, else A and B.
    #[must_use]
    pub fn within(self, runs: usize) -> Self {
        let there = |row: Row| !matches!(row, Row::Here(side) if side >= runs);
        let known = there(self.first) && there(self.second) && self.first != self.second;
        if known { self } else { Self::default() }
    }

    /// The same with another first; where it was the second, the two change places.
    #[must_use]
    pub fn with_first(self, first: Row) -> Self {
        Self { first, second: if self.second == first { self.first } else { self.second } }
    }

    /// The same with another second; where it was the first, the two change places.
    #[must_use]
    pub fn with_second(self, second: Row) -> Self {
        Self { first: if self.first == second { self.second } else { self.first }, second }
    }

    /// Both, in their order.
    pub fn rows(self) -> [Row; 2] {
        [self.first, self.second]
    }

    /// The first (0) or the second (1).
    pub fn row(self, place: usize) -> Row {
        if place == 0 { self.first } else { self.second }
    }

    /// The number of the colour of the first (0) or of the second (1): that of its policy. Where the policies of two runs have the
    /// same, the second has the next one.
    pub fn color(self, place: usize) -> usize {
        let [first, second] = self.rows().map(Row::side);
        match place {
            0 => first,
            _ if first % SIDES.len() == second % SIDES.len() => second + 1,
            _ => second,
        }
    }

    /// What the difference is called.
    pub fn name(self) -> String {
        format!("{} \u{2212} {}", self.first.name(), self.second.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_always_of_two_runs_that_are_there() {
        let pair = Pair::here(3, 1);
        assert_eq!((pair.within(4), pair.within(3)), (pair, Pair::default()));
        assert_eq!(Pair::here(2, 2).within(9), Pair::default());
        assert_eq!(pair.with_first(Row::Here(1)), Pair::here(1, 3));
        assert_eq!(pair.with_second(Row::Here(3)), Pair::here(1, 3));
        assert_eq!(pair.with_second(Row::Here(0)).name(), "D \u{2212} A");
        assert_eq!([0, 1].map(|place| pair.row(place)), [Row::Here(3), Row::Here(1)]);
    }

    #[test]
    fn policies_of_two_runs_have_two_names_and_two_colours() {
        let earlier = |run, side| Row::Earlier(Earlier { kept: 7, run, side });
        let pair = Pair { first: Row::Here(1), second: earlier(Some(2), 1) };
        assert_eq!((pair.name(), pair.second.words()), ("B \u{2212} B2".into(), "B of run 2".into()));
        assert_eq!([0, 1].map(|place| pair.color(place)), [1, 2]);
        let pair = Pair { first: earlier(None, 0), second: Row::Here(3) };
        assert_eq!(
            (pair.name(), pair.first.words()),
            ("A* \u{2212} D".into(), "A of the result folder".into())
        );
        assert_eq!([0, 1].map(|place| pair.color(place)), [0, 3]);
        // Of a single run there is no B, but an earlier one may have it.
        assert_eq!(
            Pair { first: Row::Here(0), second: earlier(Some(1), 1) }.within(1).second,
            earlier(Some(1), 1)
        );
        // There are fewer colours than letters.
        let far = Pair::here(0, SIDES.len());
        assert_ne!(far.color(0) % SIDES.len(), far.color(1) % SIDES.len());
    }
}
