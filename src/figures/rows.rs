//! One row for each method and one column for each quantity, every column with an axis of its own: what a method costs beside
//! what it keeps.

use serde::{Deserialize, Serialize};

use super::axes::Axis;
use super::canvas::{Align, Canvas, text_width};
use super::theme::{GRID, INK, LABEL, MUTED, TICK, TITLE, look};
use crate::words::grouped;

const LEFT: f64 = 24.0;
const COLUMN: f64 = 250.0;
const GAP: f64 = 30.0;
const ROW: f64 = 30.0;
const TOP: f64 = 118.0;
const BOTTOM: f64 = 44.0;
/// Half of the height of the ends of an interval.
const CAP: f64 = 4.0;

/// A table whose cells are points on axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// What is shown.
    pub title: String,
    /// How to read it, in small print.
    pub note: String,
    /// Names of the rows.
    pub names: Vec<String>,
    /// From left to right.
    pub columns: Vec<Column>,
}

/// One quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// What it is.
    pub title: String,
    /// Its unit, and which way is better.
    pub unit: String,
    /// Equal ratios are equally long.
    pub logarithmic: bool,
    /// A value to compare with, as a dashed line.
    pub reference: Option<f64>,
    /// One per row; `None` where there is none.
    pub values: Vec<Option<f64>>,
    /// Ends of the interval of each value; empty where the values are no estimates.
    pub intervals: Vec<Option<[f64; 2]>>,
}

impl Column {
    fn height(&self, value: f64) -> Option<f64> {
        let height = if self.logarithmic { value.log10() } else { value };
        height.is_finite().then_some(height)
    }

    fn axis(&self) -> Axis {
        let ends = self.intervals.iter().copied().flatten().flatten();
        let values = self.values.iter().copied().flatten().chain(ends).chain(self.reference);
        let heights = values.filter_map(|value| self.height(value));
        let (low, high) = heights.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high { Axis::new("", 0.0, 1.0, 3.0) } else { Axis::new("", low, high, 3.0).padded(3.0) }
    }

    fn ticks(&self, axis: &Axis) -> Vec<(f64, String)> {
        if !self.logarithmic {
            return axis.ticks();
        }
        let text = |value: f64| match value {
            1.0.. => grouped(value.round() as u64),
            _ => format!("{value}"),
        };
        let steps: &[f64] = match axis.high - axis.low {
            2.0.. => &[1.0],
            0.7.. => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let all = (axis.low.floor() as i32..=axis.high.ceil() as i32)
            .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        let inside = |value: &f64| (axis.low..=axis.high).contains(&value.log10());
        let mut ticks: Vec<(f64, String)> =
            all.filter(inside).map(|value| (value.log10(), text(value))).collect();
        // No more than fit beside each other.
        while ticks.len() > 4 {
            ticks = ticks.into_iter().step_by(2).collect();
        }
        ticks
    }
}

impl Rows {
    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        let columns = self.columns.len() as f64;
        let width = LEFT + self.names_width() + columns * (COLUMN + GAP) + 10.0;
        let written = LEFT * 2.0 + text_width(&self.note, TICK).max(text_width(&self.title, TITLE));
        (width.max(written) as u32, (TOP + ROW * self.names.len() as f64 + BOTTOM) as u32)
    }

    fn names_width(&self) -> f64 {
        let widths = self.names.iter().map(|name| text_width(name, LABEL));
        widths.fold(0.0, f64::max) + 36.0
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        canvas.text(&self.title, (LEFT, 24.0), TITLE, INK, Align::Left);
        canvas.text(&self.note, (LEFT, 48.0), TICK, MUTED, Align::Left);
        let bottom = TOP + ROW * self.names.len() as f64;
        let y = |row: usize| TOP + ROW * (row as f64 + 0.5);
        let right = LEFT + self.names_width() + self.columns.len() as f64 * (COLUMN + GAP);
        for (row, name) in self.names.iter().enumerate() {
            if row % 2 == 0 {
                canvas.rect((LEFT, y(row) - ROW / 2.0), (right, y(row) + ROW / 2.0), GRID, 0.45);
            }
            let look = look(row);
            canvas.marker(look.marker, (LEFT + 12.0, y(row)), 5.0, look.color, 1.0);
            canvas.text(name, (LEFT + 26.0, y(row)), LABEL, INK, Align::Left);
        }
        for (at, column) in self.columns.iter().enumerate() {
            let left = LEFT + self.names_width() + at as f64 * (COLUMN + GAP);
            let axis = column.axis();
            let x = |height: f64| left + COLUMN * axis.share(height);
            canvas.text(&column.title, (left + COLUMN / 2.0, TOP - 36.0), LABEL, INK, Align::Center);
            canvas.text(&column.unit, (left + COLUMN / 2.0, TOP - 16.0), TICK, MUTED, Align::Center);
            for (height, text) in column.ticks(&axis) {
                canvas.line(&[(x(height), TOP), (x(height), bottom)], GRID, 1.0, 1.0, &[]);
                canvas.text(&text, (x(height), bottom + 16.0), TICK, INK, Align::Center);
            }
            if let Some(reference) = column.reference.and_then(|value| column.height(value)) {
                canvas.line(&[(x(reference), TOP), (x(reference), bottom)], MUTED, 1.0, 1.2, &[5.0, 4.0]);
            }
            canvas.line(&[(left, bottom), (left + COLUMN, bottom)], INK, 1.0, 1.2, &[]);
            for (row, value) in column.values.iter().enumerate().take(self.names.len()) {
                let look = look(row);
                let Some(value) = *value else {
                    canvas.text("not measured", (left + COLUMN / 2.0, y(row)), TICK, MUTED, Align::Center);
                    continue;
                };
                let Some(height) = column.height(value) else {
                    canvas.text("not finite", (left + COLUMN / 2.0, y(row)), TICK, INK, Align::Center);
                    continue;
                };
                let ends = column.intervals.get(row).copied().flatten();
                if let Some([low, high]) =
                    ends.and_then(|ends| Some([column.height(ends[0])?, column.height(ends[1])?]))
                {
                    canvas.line(&[(x(low), y(row)), (x(high), y(row))], look.color, 0.8, 1.8, &[]);
                    for end in [low, high] {
                        let cap = [(x(end), y(row) - CAP), (x(end), y(row) + CAP)];
                        canvas.line(&cap, look.color, 0.8, 1.8, &[]);
                    }
                }
                canvas.marker(look.marker, (x(height), y(row)), 5.2, look.color, 1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_values_intervals_and_the_reference() {
        let column = |logarithmic, values: Vec<Option<f64>>| Column {
            title: "t".into(),
            unit: "u".into(),
            logarithmic,
            reference: Some(0.5),
            intervals: values.iter().map(|value| value.map(|value| [value * 0.5, value * 4.0])).collect(),
            values,
        };
        let linear = column(false, vec![Some(1.0), None, Some(f64::NAN)]).axis();
        assert!(linear.low < 0.5 && linear.high > 4.0);
        let log = column(true, vec![Some(100.0), Some(0.0)]);
        let axis = log.axis();
        assert!(axis.low < 0.5_f64.log10() && axis.high > 400f64.log10());
        assert!((1..=4).contains(&log.ticks(&axis).len()));
        let empty = Column { reference: None, ..column(false, vec![None]) }.axis();
        assert_eq!((empty.low, empty.high), (0.0, 1.0));
    }

    #[test]
    fn the_picture_is_as_wide_as_its_words() {
        let rows = |note: &str| Rows {
            title: "t".into(),
            note: note.into(),
            names: vec!["vanilla".into(), "lm-infinite:start=10,window=256".into()],
            columns: Vec::new(),
        };
        assert!(rows(&"word ".repeat(100)).size().0 > rows("short").size().0);
        assert!(rows("short").size().1 > TOP as u32);
    }
}
