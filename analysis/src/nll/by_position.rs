//! Streaming NLL by position, and its first break.

use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::error::{Error, Result};
use crate::non_finite::NonFinite;

/// Streaming NLL by position.
///
/// Memory: 40 bytes per bin. With bins of one width ([`NllByPosition::new`]) there are as many as the largest position
/// asks for; with given bins ([`NllByPosition::with_bins`]) their number is fixed, whatever the length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NllByPosition {
    edges: Edges,
    cells: Vec<Cell>,
}

/// Where one bin ends and the next begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Edges {
    Width(u64),
    Bins(Bins),
}

impl Edges {
    fn index(&self, position: u64) -> usize {
        match self {
            Self::Width(width) => usize::try_from(position / width).unwrap_or(usize::MAX),
            Self::Bins(bins) => bins.index(position),
        }
    }

    fn begin(&self, bin: usize) -> u64 {
        match self {
            Self::Width(width) => (bin as u64).saturating_mul(*width),
            Self::Bins(bins) => bins.lower().get(bin).copied().unwrap_or(u64::MAX),
        }
    }

    /// Exclusive; the last of given bins is open.
    fn end(&self, bin: usize) -> u64 {
        self.begin(bin + 1)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cell {
    sum: f64,
    finite: u64,
    non_finite: u64,
    /// First position of a value that is not finite.
    #[serde(default)]
    first: Option<u64>,
}

/// One bin of positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NllBucket {
    /// First position.
    pub from: u64,
    /// End, exclusive; the last bin ends with the text.
    pub to: u64,
    /// Mean, in nats; `None` if there is no value, or one that is not finite.
    pub nll: Option<f64>,
    /// Values that were NaN or ±inf.
    pub non_finite: u64,
    /// First position of one.
    #[serde(default)]
    pub first_non_finite: Option<u64>,
}

/// Where a loss fails.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Break {
    /// The first token that does.
    pub position: u64,
    /// Mean rise from there on, in nats; `None` if something there is not finite.
    pub nll: Option<f64>,
    /// The margin, in nats.
    pub threshold: f64,
}

impl NllByPosition {
    /// Empty, with bins of `width` positions (0 counts as 1).
    pub fn new(width: u64) -> Self {
        Self { edges: Edges::Width(width.max(1)), cells: Vec::new() }
    }

    /// Empty, with these bins: memory does not grow with the length of the text.
    pub fn with_bins(bins: Bins) -> Self {
        Self { edges: Edges::Bins(bins), cells: Vec::new() }
    }

    /// Adds the losses of consecutive tokens, the first at `position`.
    pub fn extend(&mut self, position: u64, values: &[f32]) {
        for (&value, position) in values.iter().zip(position..) {
            let bin = self.edges.index(position);
            if bin >= self.cells.len() {
                self.cells.resize(bin + 1, Cell::default());
            }
            let cell = &mut self.cells[bin];
            if value.is_finite() {
                cell.sum += f64::from(value);
                cell.finite += 1;
            } else {
                cell.non_finite += 1;
                cell.first = cell.first.into_iter().chain([position]).min();
            }
        }
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.edges != other.edges {
            let text = |edges: &Edges| match edges {
                Edges::Width(width) => format!("bins of {width} positions"),
                Edges::Bins(bins) => format!("{} given bins, equal in both", bins.len()),
            };
            return Err(Error::mismatch("merging losses by position", text(&self.edges), text(&other.edges)));
        }
        self.cells.resize(self.cells.len().max(other.cells.len()), Cell::default());
        for (cell, more) in self.cells.iter_mut().zip(&other.cells) {
            *cell = cell.plus(more);
        }
        Ok(())
    }

    /// Mean over everything, in nats; `None` of nothing, and where a value is not finite.
    pub fn mean(&self) -> Option<f64> {
        Cell::total(&self.cells).mean()
    }

    /// Mean over the bins that lie in `from..to`, in nats, `None` as for [`Self::mean`]. The last of given bins has no end, so it lies in `from..u64::MAX`
    /// alone.
    pub fn mean_between(&self, from: u64, to: u64) -> Option<f64> {
        self.between(from, to).mean()
    }

    /// Values that were NaN or ±inf.
    pub fn non_finite(&self) -> NonFinite {
        let Cell { non_finite: count, first, .. } = Cell::total(&self.cells);
        NonFinite { count, first }
    }

    /// The same of the bins that lie in `from..to`, as for [`Self::mean_between`].
    pub fn non_finite_between(&self, from: u64, to: u64) -> NonFinite {
        let Cell { non_finite: count, first, .. } = self.between(from, to);
        NonFinite { count, first }
    }

    fn between(&self, from: u64, to: u64) -> Cell {
        let inside = |bin: usize| self.edges.begin(bin) >= from && self.edges.end(bin) <= to;
        let cells = self.cells.iter().enumerate().filter(|&(bin, _)| inside(bin));
        cells.fold(Cell::default(), |sum, (_, cell)| sum.plus(cell))
    }

    /// All bins of a text of `end` tokens.
    pub fn buckets(&self, end: u64) -> Vec<NllBucket> {
        let bucket = |(bin, cell): (usize, &Cell)| NllBucket {
            from: self.edges.begin(bin),
            to: self.closing(bin, end),
            nll: cell.mean(),
            non_finite: cell.non_finite,
            first_non_finite: cell.first,
        };
        self.cells.iter().enumerate().map(bucket).collect()
    }

    fn closing(&self, bin: usize, end: u64) -> u64 {
        self.edges.end(bin).min(end.max(self.edges.begin(bin).saturating_add(1)))
    }
}

impl Cell {
    fn plus(self, other: &Self) -> Self {
        Self {
            sum: self.sum + other.sum,
            finite: self.finite + other.finite,
            non_finite: self.non_finite + other.non_finite,
            first: self.first.into_iter().chain(other.first).min(),
        }
    }

    fn total(cells: &[Self]) -> Self {
        cells.iter().fold(Self::default(), Self::plus)
    }

    fn mean(&self) -> Option<f64> {
        (self.finite > 0 && self.non_finite == 0).then(|| self.sum / self.finite as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> NllByPosition {
        let mut nll = NllByPosition::new(2);
        nll.extend(1, values);
        nll
    }

    #[test]
    fn buckets_go_by_the_position_of_the_predicted_token() {
        let nll = of(&[1.0, 2.0, 4.0, 6.0]);
        let means: Vec<_> = nll.buckets(5).iter().map(|b| (b.from, b.to, b.nll)).collect();
        assert_eq!(means, [(0, 2, Some(1.0)), (2, 4, Some(3.0)), (4, 5, Some(6.0))]);
        assert_eq!(nll.mean(), Some(3.25));
        assert_eq!(nll.mean_between(0, 4), Some(7.0 / 3.0));
    }

    #[test]
    fn nothing_has_no_mean() {
        let nll = NllByPosition::new(0);
        assert_eq!((nll.mean(), nll.buckets(0).len()), (None, 0));
    }

    #[test]
    fn shards_merge_into_the_whole() {
        let values: Vec<f32> = (0..99).map(|i| (i as f32).cos().abs()).collect();
        let mut left = of(&values[..37]);
        let mut right = NllByPosition::new(2);
        right.extend(38, &values[37..]);
        left.merge(&right).expect("equal widths");
        for (a, b) in left.buckets(100).iter().zip(of(&values).buckets(100)) {
            assert!((a.nll.expect("full") - b.nll.expect("full")).abs() < 1e-12);
        }
        assert!(left.merge(&NllByPosition::new(3)).is_err());
    }

    #[test]
    fn a_loss_that_is_not_finite_has_no_mean() {
        let mut values = [3.0; 39];
        values[30] = f32::NAN;
        let nll = of(&values);
        assert_eq!((nll.non_finite(), nll.mean()), (NonFinite { count: 1, first: Some(31) }, None));
        let lost = of(&[f32::INFINITY; 3]);
        assert_eq!((lost.mean(), lost.buckets(4)[0].nll), (None, None));
    }

    #[test]
    fn no_mean_passes_over_a_loss_that_is_not_finite() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [3.0; 39];
            (values[4], values[5]) = (broken, broken);
            // In any order.
            let (mut nll, mut first) = (NllByPosition::new(2), NllByPosition::new(2));
            nll.extend(6, &values[5..]);
            first.extend(1, &values[..5]);
            nll.merge(&first).expect("equal widths");
            assert_eq!((nll.mean(), nll.non_finite()), (None, NonFinite { count: 2, first: Some(5) }));
            let told: Vec<_> = (nll.buckets(40).iter())
                .map(|bucket| (bucket.nll, bucket.non_finite, bucket.first_non_finite))
                .collect();
            assert_eq!(
                told[1..5],
                [(Some(3.0), 0, None), (None, 1, Some(5)), (None, 1, Some(6)), (Some(3.0), 0, None)]
            );
            assert_eq!(
                (nll.mean_between(0, 4), nll.mean_between(0, 6), nll.mean_between(8, 40)),
                (Some(3.0), None, Some(3.0))
            );
            assert_eq!(nll.non_finite_between(6, 40), NonFinite { count: 1, first: Some(6) });
        }
    }

    #[test]
    fn counts_written_before_positions_were_kept_can_be_read() {
        let old = r#"{"edges":{"Width":2},"cells":[{"sum":3.0,"finite":1,"non_finite":2}]}"#;
        let nll: NllByPosition = serde_json::from_str(old).expect("an older form");
        assert_eq!(nll.non_finite(), NonFinite { count: 2, first: None });
    }

    #[test]
    fn given_bins_bound_memory_at_any_length() {
        let bins = Bins::linear_then_doubling(64, 1 << 40, 8);
        let (mut nll, most) = (NllByPosition::with_bins(bins.clone()), bins.len());
        for position in [1, 100, 1 << 30, u64::MAX - 2] {
            nll.extend(position, &[2.0, 4.0]);
        }
        assert_eq!((nll.cells.len(), nll.mean()), (most, Some(3.0)));
        let last = nll.buckets(u64::MAX).pop().expect("bins");
        assert_eq!((last.from, last.to, last.nll), (bins.lower()[most - 1], u64::MAX, Some(3.0)));
        assert!(nll.merge(&NllByPosition::new(8)).is_err());
    }

    #[test]
    fn given_bins_of_one_width_say_the_same_as_a_width() {
        let mut values = [3.0; 39];
        values[27..].fill(4.0);
        let mut given = NllByPosition::with_bins(Bins::linear(40, 20));
        given.extend(1, &values);
        let fixed = of(&values);
        assert_eq!(given.buckets(40), fixed.buckets(40));
        assert_eq!(given.mean_between(2, 30), fixed.mean_between(2, 30));
    }
}
