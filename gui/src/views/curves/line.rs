//! One line of a plot, with its band and its gaps.

use egui_plot::PlotPoint;
use lm_infinite::diagnose::HeadBand;
use lm_infinite_analysis::BandCurve;

use super::axis::Axis;

/// Points of a line, at most: a screen has no room for more, and every frame draws them all.
pub(super) const COLUMNS: usize = 800;

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A (0) or B (1).
    Side(usize),
    /// A pinned head, by number, under a policy.
    Pin {
        /// Which of the pinned ones.
        pin: usize,
        /// Under which policy.
        side: usize,
    },
    /// The reference: the text in windows of the training length.
    Reference,
    /// A bound of the entropy, by number.
    Bound(usize),
}

/// A line with its band, in places of the axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Whose.
    pub kind: Kind,
    /// In words.
    pub name: String,
    /// From left to right; NaN where values are not finite, or there are none: there the line has a gap.
    pub points: Vec<PlotPoint>,
    /// Places, lower ends and upper ends of the band: what 10 % and 90 % of the heads stay below, as in the figures; NaN as above.
    pub band: [Vec<f64>; 3],
    /// The first token, or distance in tokens, from which on a value is not finite.
    pub not_finite_from: Option<u64>,
}

impl Line {
    pub(super) fn new(
        kind: Kind,
        name: impl Into<String>,
        axis: &Axis,
        points: impl Iterator<Item = [f64; 2]>,
    ) -> Self {
        let placed = points.filter_map(|[x, y]| Some(PlotPoint::new(axis.place(x)?, y)));
        let points = thinned(placed.collect(), axis);
        Self { kind, name: name.into(), points, band: Default::default(), not_finite_from: None }
    }

    /// With the band of `curve`, whose gaps it has.
    pub(super) fn with_band(mut self, axis: &Axis, curve: &BandCurve, band: &[HeadBand]) -> Self {
        for [x, _] in with_gaps(curve) {
            if let Some(place) = axis.place(x) {
                let here = band.iter().find(|band| band.x == x);
                let ends = here.map_or([f64::NAN; 2], |band| [band.low, band.high]);
                self.band.iter_mut().zip([place, ends[0], ends[1]]).for_each(|(all, one)| all.push(one));
            }
        }
        self
    }

    /// The value at a place, between the points around it; `None` outside, and in a gap.
    pub fn value(&self, place: f64) -> Option<f64> {
        let value = interpolated(self.points.len(), place, |at| (self.points[at].x, self.points[at].y));
        value.filter(|value| value.is_finite())
    }

    /// The pieces between its gaps, and those of its band.
    pub fn pieces(&self) -> impl Iterator<Item = &[PlotPoint]> {
        self.points.split(|point| point.y.is_nan()).filter(|piece| !piece.is_empty())
    }

    /// Pieces of the band: places, lower ends, upper ends.
    pub fn band_pieces(&self) -> Vec<[&[f64]; 3]> {
        let [places, low, high] = &self.band;
        let (mut pieces, mut begin) = (Vec::new(), 0);
        for end in (0..=low.len()).filter(|&at| low.get(at).is_none_or(|low| low.is_nan())) {
            if begin < end {
                pieces.push([&places[begin..end], &low[begin..end], &high[begin..end]]);
            }
            begin = end + 1;
        }
        pieces
    }

    /// The ends of the band there.
    pub fn band_at(&self, place: f64) -> Option<[f64; 2]> {
        let [places, low, high] = &self.band;
        let end = |of: &[f64]| interpolated(places.len(), place, |at| (places[at], of[at]));
        let ends = [end(low)?, end(high)?];
        Some(ends).filter(|ends| ends.iter().all(|end| end.is_finite()))
    }
}

/// Points of a curve, NaN where there is no mean: values are not finite there, or there are none. No line reaches over that.
pub(super) fn with_gaps(curve: &BandCurve) -> Vec<[f64; 2]> {
    curve.x.iter().zip(&curve.mean).map(|(&x, mean)| [x, mean.unwrap_or(f64::NAN)]).collect()
}

/// The means of columns of the axis, where there are more points than columns.
pub(super) fn thinned(points: Vec<PlotPoint>, axis: &Axis) -> Vec<PlotPoint> {
    if points.len() <= COLUMNS {
        return points;
    }
    let [low, high] = axis.ends();
    let column = |point: &PlotPoint| ((point.x - low) / (high - low) * COLUMNS as f64) as i64;
    let mean = |part: &[PlotPoint]| {
        let (x, y) = part.iter().fold((0.0, 0.0), |(x, y), point| (x + point.x, y + point.y));
        PlotPoint::new(x / part.len() as f64, y / part.len() as f64)
    };
    points.chunk_by(|a, b| column(a) == column(b)).map(mean).collect()
}

/// Between the two of `count` points (ascending in x) that lie around `x`.
pub(super) fn interpolated(count: usize, x: f64, point: impl Fn(usize) -> (f64, f64)) -> Option<f64> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if point(middle).0 <= x { low = middle + 1 } else { high = middle }
    }
    let (x0, y0) = point(low.checked_sub(1)?);
    if low == count {
        return (x == x0).then_some(y0);
    }
    let (x1, y1) = point(low);
    Some(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
}
