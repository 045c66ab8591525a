//! Which heads leave the range of logits that training showed them, and where first.
//!
//! A head with a logit that is not finite has no range, and no entry here: the accumulators count and locate such logits.

use serde::{Deserialize, Serialize};

use super::cells::{LogitCells, higher, lower};
use crate::grid::row;

/// One head on both sides of the training length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadExcess {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// Largest logit at distances below the training length.
    pub inside: f32,
    /// Largest logit at distances from the training length on.
    pub outside: f32,
}

/// When a logit counts as out of range.
///
/// A bin beyond the training length breaks if its largest logit is more than `margin` above the largest one inside, or
/// its smallest more than `margin` below the smallest one inside. A margin of 1.0, the default, is a factor e in the
/// unnormalized attention weight. A bin across the training length counts as inside.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeRule {
    /// In logits.
    pub margin: f32,
}

impl Default for RangeRule {
    fn default() -> Self {
        Self { margin: 1.0 }
    }
}

/// Smallest and largest logit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// Smallest.
    pub low: f32,
    /// Largest.
    pub high: f32,
}

/// The range of one head on both sides of the training length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadRange {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// Range inside the training length.
    pub inside: Extent,
    /// Range from the training length on.
    pub outside: Extent,
    /// First bin out of range.
    pub first_break: Option<RangeBreak>,
}

/// Where a head leaves its range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeBreak {
    /// Lower edge of the first bin out of range: a distance or a position, in tokens.
    pub at: u64,
    /// The logit that is farthest out of range there.
    pub logit: f32,
}

impl Extent {
    const EMPTY: Self = Self { low: f32::INFINITY, high: f32::NEG_INFINITY };

    fn with(self, other: Self) -> Self {
        Self { low: lower(self.low, other.low), high: higher(self.high, other.high) }
    }

    /// Where both sides are out of range, the logit that is farther out.
    fn first_beyond(self, inside: Self, margin: f32) -> Option<f32> {
        let (above, below) = (self.high - inside.high, inside.low - self.low);
        let farther = if above >= below { self.high } else { self.low };
        (above.max(below) > margin).then_some(farther)
    }
}

pub fn excess(cells: &LogitCells, trained_length: u64) -> Vec<HeadExcess> {
    let edges = cells.grid.bins.lower();
    let split = edges.partition_point(|&edge| edge < trained_length);
    let of = |(layer, head)| {
        let maxima = row(&cells.maxima, (layer, head));
        let largest = |from: usize, to: usize| {
            maxima.iter().take(to).skip(from).copied().fold(f32::NEG_INFINITY, higher)
        };
        let (inside, outside) = (largest(0, split), largest(split, edges.len()));
        HeadExcess { layer, head, inside, outside }
    };
    let both_sides = |head: &HeadExcess| head.inside.is_finite() && head.outside.is_finite();
    cells.grid.cells().map(of).filter(both_sides).collect()
}

pub fn ranges(cells: &LogitCells, trained_length: u64, rule: &RangeRule) -> Vec<HeadRange> {
    let edges = cells.grid.bins.lower();
    let split = edges.partition_point(|&edge| edge < trained_length);
    let of = |(layer, head)| {
        let (minima, maxima) = (row(&cells.minima, (layer, head)), row(&cells.maxima, (layer, head)));
        let at = |bin: usize| Extent { low: minima[bin], high: maxima[bin] };
        let over = |mut bins: std::ops::Range<usize>| {
            bins.try_fold(Extent::EMPTY, |all, bin| Some(all.with(at(bin))))
        };
        let (inside, outside) = (over(0..split)?, over(split..edges.len())?);
        let both_sides = inside.high.is_finite() && outside.high.is_finite();
        let first_break = (split..edges.len()).find_map(|bin| {
            let logit = at(bin).first_beyond(inside, rule.margin)?;
            Some(RangeBreak { at: edges[bin], logit })
        });
        both_sides.then_some(HeadRange { layer, head, inside, outside, first_break })
    };
    cells.grid.cells().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bins::Bins;
    use crate::explosion::LogitsByDistance;

    /// Two heads; distances 5 to 0 in bins from 0, 2 and 4.
    fn of(logits: &[f32; 6]) -> LogitsByDistance {
        let mut accumulator = LogitsByDistance::new(1, 2, Bins::new(vec![0, 2, 4]).expect("ascending"));
        accumulator.push(0, 0, 5, 0, logits).expect("causal");
        accumulator.push(0, 1, 3, 0, &[1.0; 4]).expect("causal");
        accumulator
    }

    #[test]
    fn excess_beyond_the_training_length() {
        let logits = of(&[9.0, 1.0, 2.0, 3.0, 1.0, 1.0]);
        assert_eq!(logits.excess(4), [HeadExcess { layer: 0, head: 0, inside: 3.0, outside: 9.0 }]);
        assert!(logits.excess(100).is_empty());
        assert!(LogitsByDistance::new(1, 2, Bins::doubling(4)).excess(4).is_empty());
    }

    #[test]
    fn a_head_may_leave_its_range_at_either_end() {
        let first = |logits, rule: &RangeRule| of(logits).ranges(4, rule)[0].first_break;
        let rule = RangeRule::default();
        let low = [-9.0, 1.0, 2.0, 3.0, 1.0, 1.0];
        assert_eq!(first(&low, &rule), Some(RangeBreak { at: 4, logit: -9.0 }));
        assert_eq!(first(&low, &RangeRule { margin: 10.0 }), None);
        assert_eq!(first(&[-1.0, 9.0, 2.0, 3.0, 1.0, 1.0], &rule).map(|b| b.logit), Some(9.0));
        assert_eq!(first(&[0.5, 3.5, 2.0, 3.0, 1.0, 1.0], &rule), None);
        let [head] = of(&low).ranges(4, &rule).try_into().expect("the second head saw one side only");
        assert_eq!(
            (head.inside, head.outside),
            (Extent { low: 1.0, high: 3.0 }, Extent { low: -9.0, high: 1.0 })
        );
    }

    #[test]
    fn only_what_lies_beyond_the_training_length_can_break() {
        let logits = of(&[2.0, 2.0, 99.0, 1.0, 1.0, 1.0]);
        assert_eq!(logits.ranges(4, &RangeRule::default())[0].first_break, None);
        assert_eq!(logits.ranges(2, &RangeRule::default())[0].first_break.map(|b| b.at), Some(2));
        assert!(
            logits.ranges(100, &RangeRule::default()).is_empty()
                && logits.ranges(0, &RangeRule::default()).is_empty()
        );
    }
}
