//! Values over a few places on the horizontal axis (lengths, sizes of a window …): where they are numbers, at these, by ratio
//! where they span decades; otherwise by name, equally far apart. The vertical axis is linear or logarithmic.

use serde::{Deserialize, Serialize};

use super::axes::{Axis, cut, short};
use super::canvas::{Align, Canvas, Point, text_width};
use super::theme::{GRID, INK, LABEL, MUTED, PAPER, TICK, TITLE, look};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 480.0;
const ROW: f64 = 25.0;
const SAMPLE: f64 = 46.0;
/// Half of the width of the ends of an interval, and how far the intervals of neighbouring series stand apart.
const CAP: f64 = 4.0;
const ASIDE: f64 = 4.0;
/// From how many times the smallest on places are logarithmic.
const DECADES_FROM: f64 = 8.0;
/// Share of a logarithmic axis between 0, which has no place on it, and the smallest.
const ZERO: f64 = 0.12;
/// Where a value that is not finite is marked, below the top of the frame.
const CROSS: f64 = 9.0;

/// Points joined by lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// What is shown.
    pub title: String,
    /// How to read it, in small print.
    pub note: String,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis, with its unit.
    pub y_label: String,
    /// Names of the places.
    pub x: Vec<String>,
    /// Their numbers, where they are numbers; otherwise empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<f64>,
    /// A logarithmic vertical axis; else one that holds 0 where `from_zero`.
    pub logarithmic: bool,
    /// The vertical axis begins at 0.
    pub from_zero: bool,
    /// In the order of the legend.
    pub series: Vec<PointSeries>,
}

/// Places along the axis.
struct Places {
    /// Of the length of the axis, for each place.
    shares: Vec<f64>,
    /// By ratio.
    logarithmic: bool,
    /// The place at 0, of a logarithmic axis.
    zero: Option<usize>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointSeries {
    /// Name in the legend.
    pub name: String,
    /// One per place; `None` where there is none.
    pub values: Vec<Option<f64>>,
    /// Ends of the interval of each value, drawn as an error bar; empty where the values are no estimates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Option<[f64; 2]>>,
}

impl Points {
    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        (WIDTH as u32, (HEIGHT + ROW * self.legend().len() as f64) as u32)
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        canvas.text(&self.title, (24.0, 24.0), TITLE, INK, Align::Left);
        canvas.text(&self.note, (24.0, 47.0), TICK, MUTED, Align::Left);
        let rows = self.legend();
        for (row, entries) in rows.iter().enumerate() {
            for &(x, index) in entries {
                let (y, look) = (74.0 + ROW * row as f64, look(index));
                canvas.line(&[(x, y), (x + SAMPLE, y)], look.color, 1.0, 2.6, look.dash);
                canvas.marker(look.marker, (x + SAMPLE / 2.0, y), 4.4, look.color, 1.0);
                canvas.text(&self.series[index].name, (x + SAMPLE + 8.0, y), LABEL, INK, Align::Left);
            }
        }
        let top = 74.0 + ROW * rows.len() as f64 + 12.0;
        let bottom = f64::from(self.size().1) - 64.0;
        let (left, right) = (96.0, WIDTH - 28.0);
        let (axis, places) = (self.axis(), self.places());
        let x =
            |at: usize| left + (right - left) * (0.04 + 0.92 * places.shares.get(at).copied().unwrap_or(0.5));
        let y = |value: f64| bottom - (bottom - top) * axis.share(self.height(value));
        for (value, text) in self.ticks(&axis) {
            canvas.line(&[(left, y(value)), (right, y(value))], GRID, 1.0, 1.0, &[]);
            canvas.text(&text, (left - 9.0, y(value)), TICK, INK, Align::Right);
        }
        let mut named: Vec<(f64, f64)> = Vec::new();
        for (at, name) in self.x.iter().enumerate() {
            canvas.line(&[(x(at), bottom), (x(at), bottom + 5.0)], INK, 1.0, 1.0, &[]);
            let half = text_width(name, TICK) / 2.0 + 3.0;
            let ends = (x(at) - half, x(at) + half);
            // Numbers that lie close together: one name has room.
            if named.iter().all(|other| ends.1 < other.0 || other.1 < ends.0) {
                canvas.text(name, (x(at), bottom + 16.0), TICK, INK, Align::Center);
                named.push(ends);
            }
        }
        canvas.line(&[(left, top), (left, bottom), (right, bottom)], INK, 1.0, 1.2, &[]);
        if let Some(zero) = places.zero {
            // 0 stands apart.
            let between = x(zero) + 0.5 * 0.92 * ZERO * (right - left);
            for aside in [-3.0, 3.0] {
                let at = between + aside;
                canvas.line(&[(at - 3.0, bottom + 6.0), (at + 3.0, bottom - 6.0)], INK, 1.0, 1.2, &[]);
            }
        }
        if axis.is_cut() && !self.logarithmic {
            cut(canvas, (left, bottom - 9.0));
        }
        let log = |label: &str, is: bool| if is { format!("{label}, log scale") } else { label.to_owned() };
        let x_label = log(&self.x_label, places.logarithmic);
        canvas.text(&x_label, ((left + right) / 2.0, bottom + 42.0), LABEL, INK, Align::Center);
        canvas.text_upwards(&log(&self.y_label, self.logarithmic), (18.0, (top + bottom) / 2.0), LABEL, INK);
        for (index, series) in self.series.iter().enumerate() {
            let look = look(index);
            let point =
                |(at, value): (usize, &Option<f64>)| value.filter(|v| self.drawn(*v)).map(|v| (x(at), y(v)));
            // Beside each other, so that those of series with equal values can be told apart.
            let aside = ASIDE * (index as f64 - (self.series.len() as f64 - 1.0) / 2.0);
            for (at, interval) in series.intervals.iter().enumerate().take(self.x.len()) {
                let Some([low, high]) = interval.filter(|ends| ends.iter().all(|&end| self.drawn(end)))
                else {
                    continue;
                };
                let (x, low, high) = (x(at) + aside, y(low), y(high));
                canvas.line(&[(x, low), (x, high)], look.color, 0.8, 1.4, &[]);
                for end in [low, high] {
                    canvas.line(&[(x - CAP, end), (x + CAP, end)], look.color, 0.8, 1.4, &[]);
                }
            }
            let points: Vec<Option<Point>> = series.values.iter().enumerate().map(point).collect();
            for piece in points.split(Option::is_none) {
                let piece: Vec<Point> = piece.iter().copied().flatten().collect();
                canvas.line(&piece, look.color, 1.0, look.width, look.dash);
                for &at in &piece {
                    canvas.marker(look.marker, at, 6.0, PAPER, 1.0);
                    canvas.marker(look.marker, at, 4.8, look.color, 1.0);
                }
            }
            for (at, _) in series.values.iter().enumerate().filter(|(_, v)| v.is_some_and(|v| !self.drawn(v)))
            {
                let (x, y, arm) = (x(at), top + CROSS * (index + 1) as f64, 4.0);
                canvas.line(&[(x - arm, y - arm), (x + arm, y + arm)], look.color, 1.0, 1.8, &[]);
                canvas.line(&[(x - arm, y + arm), (x + arm, y - arm)], look.color, 1.0, 1.8, &[]);
            }
        }
    }

    /// Where the places lie along the axis.
    fn places(&self) -> Places {
        let count = self.x.len();
        let evenly = || (0..count).map(|at| (at as f64 + 0.5) / count as f64).collect();
        let numbers = self.at.len() == count && self.at.iter().all(|at| at.is_finite() && *at >= 0.0);
        let largest = self.at.iter().copied().fold(0.0, f64::max);
        if !numbers || largest <= 0.0 {
            return Places { shares: evenly(), logarithmic: false, zero: None };
        }
        let smallest = self.at.iter().copied().filter(|&at| at > 0.0).fold(f64::INFINITY, f64::min);
        let share =
            |value: f64, low: f64, high: f64| if high > low { (value - low) / (high - low) } else { 0.5 };
        if largest / smallest < DECADES_FROM {
            let low = self.at.iter().copied().fold(f64::INFINITY, f64::min);
            let shares = self.at.iter().map(|&at| share(at, low, largest)).collect();
            return Places { shares, logarithmic: false, zero: None };
        }
        let zero = self.at.iter().position(|&at| at == 0.0);
        let from = if zero.is_some() { ZERO } else { 0.0 };
        let place = |&at: &f64| match at {
            0.0 => 0.0,
            _ => from + (1.0 - from) * share(at.ln(), smallest.ln(), largest.ln()),
        };
        Places { shares: self.at.iter().map(place).collect(), logarithmic: true, zero }
    }

    /// Can the value be put on the axis?
    fn drawn(&self, value: f64) -> bool {
        value.is_finite() && (!self.logarithmic || value > 0.0)
    }

    fn height(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }

    fn axis(&self) -> Axis {
        let values = self.series.iter().flat_map(|series| {
            let ends = series.intervals.iter().copied().flatten().flatten();
            series.values.iter().copied().flatten().chain(ends)
        });
        let heights = values.filter(|v| self.drawn(*v)).map(|v| self.height(v));
        let (low, high) = heights.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Axis::new("", 0.0, 1.0, 6.0);
        }
        if self.from_zero && !self.logarithmic {
            return Axis::new("", 0.0, if high > 0.0 { high * 1.05 } else { 1.0 }, 6.0);
        }
        Axis::new("", low, high, 6.0).padded(6.0)
    }

    /// Values and texts of the ticks.
    fn ticks(&self, axis: &Axis) -> Vec<(f64, String)> {
        if !self.logarithmic {
            return axis.ticks();
        }
        let (low, high) = (axis.low.floor() as i32, axis.high.ceil() as i32);
        let wide = axis.high - axis.low > 3.0;
        let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = (low..=high).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        let inside = |value: &f64| (axis.low..=axis.high).contains(&value.log10());
        all.filter(inside).map(|value| (value, short(value))).collect()
    }

    /// Rows of (left edge, index of the series), as many to a row as fit.
    fn legend(&self) -> Vec<Vec<(f64, usize)>> {
        let mut rows = vec![Vec::new()];
        let mut x = 24.0;
        for (index, series) in self.series.iter().enumerate() {
            let width = SAMPLE + 8.0 + text_width(&series.name, LABEL) + 26.0;
            if x + width > WIDTH - 10.0 && x > 24.0 {
                rows.push(Vec::new());
                x = 24.0;
            }
            if let Some(row) = rows.last_mut() {
                row.push((x, index));
            }
            x += width;
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::theme::Color;

    fn points(logarithmic: bool, values: Vec<Option<f64>>) -> Points {
        let text = String::new;
        Points {
            title: text(),
            note: text(),
            x_label: text(),
            y_label: text(),
            x: values.iter().map(|_| "1k".into()).collect(),
            at: Vec::new(),
            logarithmic,
            from_zero: true,
            series: vec![PointSeries { name: "a".into(), values, intervals: Vec::new() }],
        }
    }

    /// Every line that is drawn.
    #[derive(Default)]
    struct Lines(Vec<Vec<Point>>);

    impl Canvas for Lines {
        fn line(&mut self, points: &[Point], _: Color, _: f64, _: f64, _: &[f64]) {
            self.0.push(points.to_vec());
        }
        fn area(&mut self, _: &[Point], _: Color, _: f64) {}
        fn text(&mut self, _: &str, _: Point, _: f64, _: Color, _: Align) {}
        fn text_upwards(&mut self, _: &str, _: Point, _: f64, _: Color) {}
        fn disc(&mut self, _: Point, _: f64, _: Color, _: f64) {}
    }

    #[test]
    fn logarithmic_ticks_are_round() {
        let figure = points(true, vec![Some(0.5), None, Some(30.0), Some(0.0), Some(f64::NAN)]);
        let texts: Vec<_> = figure.ticks(&figure.axis()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["0.5", "1", "2", "5", "10", "20"]);
        let figure = points(true, vec![Some(0.5), Some(3e6)]);
        let texts: Vec<_> = figure.ticks(&figure.axis()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["1", "10", "100", "1,000", "10,000", "100,000", "1,000,000"]);
    }

    #[test]
    fn intervals_are_on_the_axis_and_in_the_picture_and_older_charts_have_none() {
        let mut figure = points(false, vec![Some(0.5), Some(0.6), None]);
        let lines = |figure: &Points| {
            let mut lines = Lines::default();
            figure.draw(&mut lines);
            lines.0
        };
        let plain = lines(&figure);
        figure.series[0].intervals = vec![Some([0.2, 1.0]), None, Some([f64::NAN, 1.0])];
        assert_eq!((figure.axis().low, figure.axis().high), (0.0, 1.05));
        let more: Vec<_> = lines(&figure).into_iter().filter(|line| !plain.contains(line)).collect();
        let bar = more.iter().find(|line| line[0].0 == line[1].0).expect("an upright line");
        // From 0.2 to 1 of an axis that ends at 1.05, over the first of three places.
        let height = lines(&figure).iter().find(|line| line.len() == 3).map(|frame| frame[1].1 - frame[0].1);
        let share = (bar[0].1 - bar[1].1) / height.expect("a frame");
        assert!((share - 0.8 / 1.05).abs() < 1e-9, "{bar:?}");
        let older = r#"{"name": "a", "values": [1.0, null]}"#;
        let older: PointSeries = serde_json::from_str(older).expect("an older chart");
        assert!(older.intervals.is_empty());
    }

    #[test]
    fn numbers_have_their_places_by_ratio_where_they_span_decades() {
        let shares = |at: &[f64]| {
            let figure = Points { at: at.to_vec(), ..points(false, vec![Some(1.0); at.len()]) };
            let places = figure.places();
            (places.shares, places.logarithmic, places.zero)
        };
        assert_eq!(shares(&[4.0, 5.0, 6.0, 8.0]), (vec![0.0, 0.25, 0.5, 1.0], false, None));
        let (log, is_log, zero) = shares(&[0.0, 1.0, 10.0, 100.0]);
        assert!(is_log && zero == Some(0) && log[..2] == [0.0, ZERO] && log[3] == 1.0, "{log:?}");
        assert!((log[2] - (ZERO + 1.0) / 2.0).abs() < 1e-12);
        // One place, none, and what has no number are evenly spaced.
        assert_eq!(shares(&[7.0]).0, [0.5]);
        assert_eq!((shares(&[]).0, shares(&[-1.0, f64::NAN]).0), (vec![], vec![0.25, 0.75]));
        let older: Points =
            serde_json::from_value(serde_json::json!({"title": "", "note": "", "x_label": "", "y_label": "",
            "x": ["a", "b"], "logarithmic": false, "from_zero": true, "series": []}))
            .expect("an older chart");
        assert_eq!(older.places().shares, [0.25, 0.75]);
    }

    #[test]
    fn a_share_begins_at_zero() {
        let axis = points(false, vec![Some(0.9), Some(1.0)]).axis();
        assert_eq!((axis.low, axis.high), (0.0, 1.05));
        let empty = points(false, vec![None, Some(f64::INFINITY)]).axis();
        assert_eq!((empty.low, empty.high), (0.0, 1.0));
    }
}
