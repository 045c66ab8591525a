//! What all views show.

use std::ops::Range;
use std::sync::Arc;

use lm_infinite::diagnose::Diagnosis;

use super::pair::{Earlier, Pair, Row};
use super::rows::{Compared, Rows};
use crate::inputs::Inputs;
use crate::tab::Tab;

/// What the pointer is over, told to all views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hover {
    /// Position of a token of the text; of the query where there is a key.
    pub position: u64,
    /// Position of the key it is seen with.
    pub key: Option<u64>,
}

/// Policies that are not drawn, whatever is known of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hidden(u64);

impl Hidden {
    /// Whether that of this side is one of them.
    pub fn has(self, side: usize) -> bool {
        self.0 & Self::bit(side) != 0
    }

    /// The same with this side hidden, or not.
    #[must_use]
    pub fn with(self, side: usize, hidden: bool) -> Self {
        Self(if hidden { self.0 | Self::bit(side) } else { self.0 & !Self::bit(side) })
    }

    /// Whose details are folded away of so many policies, at first: a column has room for those of two.
    pub fn folded(policies: usize) -> Self {
        if policies > 2 { Self::first(policies) } else { Self::default() }
    }

    /// So many, the first ones.
    pub fn first(count: usize) -> Self {
        (0..count).fold(Self::default(), |hidden, side| hidden.with(side, true))
    }

    /// The same after one side is gone, those behind it moving up.
    #[must_use]
    pub fn without(self, side: usize) -> Self {
        let (low, high) = (Self::bit(side).saturating_sub(1), self.0 >> 1);
        Self((self.0 & low) | (high & !low))
    }

    fn bit(side: usize) -> u64 {
        u32::try_from(side).ok().and_then(|side| 1_u64.checked_shl(side)).unwrap_or(0)
    }
}

/// What all views show.
#[derive(Clone)]
pub struct Shown<'a> {
    /// The newest diagnosis.
    pub diagnosis: &'a Arc<Diagnosis>,
    /// Model, text and policies it was made of, for whoever wants to measure more; a result folder has none.
    pub inputs: Option<&'a Arc<Inputs>>,
    /// The chosen head, as (layer, head); `None` for the mean over all.
    pub head: Option<(usize, usize)>,
    /// Heads that are compared.
    pub pins: &'a [(usize, usize)],
    /// What the pointer was over in the last frame, in whichever view.
    pub hover: Option<Hover>,
    /// The query that was marked, in whichever view.
    pub mark: Option<u64>,
    /// The range that was chosen in the timeline.
    pub range: Option<Range<u64>>,
    /// The marked query is being dragged, or played.
    pub moving: bool,
    /// Policies that are not drawn.
    pub hidden: Hidden,
    /// Differences are of these two; of a single run the second is not there.
    pub pair: Pair,
    /// Earlier runs that are held against this one.
    pub earlier: &'a [Compared],
    /// Another number whenever these are others.
    pub version: u64,
    /// The tile that is drawn.
    pub tab: Tab,
    /// The window has room for one tile at a time.
    pub narrow: bool,
    /// The inspector is open: what is under the pointer is told there.
    pub inspected: bool,
}

impl<'a> Shown<'a> {
    /// Where the two of the difference are looked up.
    pub fn rows(&self) -> Rows<'a> {
        Rows { diagnosis: self.diagnosis, earlier: self.earlier, version: self.version }
    }

    /// Model, text and policies that a row was made of, and its number among these.
    pub fn source(&self, row: Row) -> Option<(&'a Arc<Inputs>, usize)> {
        let inputs = match row {
            Row::Here(_) => self.inputs,
            Row::Earlier(Earlier { kept, .. }) => self.rows().compared(kept)?.inputs.as_ref(),
        };
        Some((inputs?, row.side()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_moves_up_where_a_side_goes() {
        let hidden = Hidden::default().with(1, true).with(3, true);
        let sides = |hidden: Hidden| (0..5).filter(|&side| hidden.has(side)).collect::<Vec<_>>();
        assert_eq!(sides(hidden.without(0)), [0, 2]);
        assert_eq!(sides(hidden.without(1)), [2]);
        assert_eq!(sides(hidden.without(2)), [1, 2]);
        assert_eq!(sides(hidden.without(4)), [1, 3]);
        assert_eq!(sides(Hidden::first(3)), [0, 1, 2]);
        assert_eq!((Hidden::first(0), hidden.has(64)), (Hidden::default(), false));
    }
}
