//! A frame with ticks, grid and labels, and the map from data to pixels.

use super::canvas::{Align, Canvas, Point};
use super::theme::{self, GRID, INK, LABEL, MUTED, TICK};
use crate::words::grouped;

/// From how many training lengths on an axis of lengths is logarithmic: then lengths span decades.
const DECADES_FROM: u64 = 32;

/// One axis, linear or logarithmic.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Data at the low end.
    pub low: f64,
    /// Data at the high end.
    pub high: f64,
    /// What is drawn along it, with its unit.
    pub label: String,
    /// Distance between ticks; `None` on a logarithmic axis, which has ticks at 1, 2 and 5 times a power of ten.
    step: Option<f64>,
}

impl Axis {
    /// An axis that holds `low..high` and has about `ticks` ticks. A range without width is widened.
    pub fn new(label: impl Into<String>, low: f64, high: f64, ticks: f64) -> Self {
        let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        let rough = (high - low) / ticks;
        let magnitude = 10.0_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * magnitude).into_iter().find(|&s| s >= rough * 0.999);
        Self { low, high, label: label.into(), step: Some(step.unwrap_or(rough)) }
    }

    /// An axis of positions or distances up to `end`: linear from 0, or, where `end` is decades beyond the training length,
    /// logarithmic from a sixteenth of it.
    pub fn lengths(label: impl Into<String>, end: u64, trained_length: u64) -> Self {
        let end = end.max(1);
        if end < trained_length.max(1).saturating_mul(DECADES_FROM) {
            return Self::new(label, 0.0, end as f64, 7.0);
        }
        Self { low: (trained_length / 16).max(1) as f64, high: end as f64, label: label.into(), step: None }
    }

    /// An axis of distances, 1 to `end`, logarithmic: what happens among near keys, within the training length and beyond it has
    /// room each.
    pub fn distances(label: impl Into<String>, end: u64) -> Self {
        if end < 10 {
            return Self::new(label, 0.0, end.max(1) as f64, 7.0);
        }
        Self { low: 1.0, high: end as f64, label: label.into(), step: None }
    }

    /// Whether equal ratios are equally long.
    pub fn is_logarithmic(&self) -> bool {
        self.step.is_none()
    }

    /// Widens the range by a twentieth on both sides, so that no curve runs along the frame.
    #[must_use]
    pub fn padded(self, ticks: f64) -> Self {
        let pad = (self.high - self.low) * 0.05;
        Self::new(self.label, self.low - pad, self.high + pad, ticks)
    }

    /// Share of the way from low to high.
    pub fn share(&self, value: f64) -> f64 {
        if self.is_logarithmic() {
            return (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        }
        (value - self.low) / (self.high - self.low)
    }

    /// Ticks, with their text.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let Some(step) = self.step else { return self.logarithmic_ticks() };
        let decimals = (-(step * 1.0001).log10().floor()).max(0.0) as usize;
        // A step of 2.5 · 10^k has one more digit.
        let leading = step / 10.0_f64.powf(step.log10().floor());
        let decimals = if (leading - 2.5).abs() < 1e-6 && step < 10.0 { decimals + 1 } else { decimals };
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|i| {
                let value = i as f64 * step;
                let text = if decimals == 0 && value >= 0.0 {
                    grouped(value.round() as u64)
                } else {
                    format!("{value:.decimals$}").replace('-', "\u{2212}")
                };
                (value, text)
            })
            .collect()
    }

    /// Powers of ten, with their halves and fifths where there is room.
    fn logarithmic_ticks(&self) -> Vec<(f64, String)> {
        let decades = (self.high / self.low).log10();
        let leading: &[f64] = if decades < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let all = powers.flat_map(|power| leading.iter().map(move |&lead| lead * 10.0_f64.powi(power)));
        let inside = all.filter(|value| (self.low * 0.999..=self.high * 1.001).contains(value));
        inside.map(|value| (value, grouped(value.round() as u64))).collect()
    }
}

/// A frame on the canvas.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Upper left corner.
    pub from: Point,
    /// Lower right corner.
    pub to: Point,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
}

impl Frame {
    /// The pixel of a data point.
    pub fn pixel(&self, (x, y): Point) -> Point {
        let (x, y) = (self.x.share(x), self.y.share(y));
        (self.from.0 + x * (self.to.0 - self.from.0), self.to.1 - y * (self.to.1 - self.from.1))
    }

    /// Grid, ticks and labels; to be drawn before the data.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        for (value, text) in self.x.ticks() {
            let (x, _) = self.pixel((value, self.y.low));
            canvas.line(&[(x, self.from.1), (x, self.to.1)], GRID, 1.0, 1.0, &[]);
            canvas.line(&[(x, self.to.1), (x, self.to.1 + 5.0)], INK, 1.0, 1.0, &[]);
            canvas.text(&text, (x, self.to.1 + 16.0), TICK, INK, Align::Center);
        }
        for (value, text) in self.y.ticks() {
            let (_, y) = self.pixel((self.x.low, value));
            canvas.line(&[(self.from.0, y), (self.to.0, y)], GRID, 1.0, 1.0, &[]);
            canvas.line(&[(self.from.0 - 5.0, y), (self.from.0, y)], INK, 1.0, 1.0, &[]);
            canvas.text(&text, (self.from.0 - 9.0, y), TICK, INK, Align::Right);
        }
        let corner = (self.from.0, self.to.1);
        canvas.line(&[self.from, corner, self.to], INK, 1.0, 1.2, &[]);
        let middle = (self.from.0 + self.to.0) / 2.0;
        canvas.text(&self.x.label, (middle, self.to.1 + 42.0), LABEL, INK, Align::Center);
        canvas.text_upwards(&self.y.label, (18.0, (self.from.1 + self.to.1) / 2.0), LABEL, INK);
    }

    /// A dashed vertical line at `x` with its name above the frame; nothing if it lies outside.
    pub fn mark(&self, canvas: &mut dyn Canvas, x: f64, name: &str) {
        self.line_at(canvas, x, name, self.from.1 - 14.0);
    }

    /// [`Frame::mark`] with its name inside, at the bottom, where it cannot lie on that of another.
    pub fn mark_inside(&self, canvas: &mut dyn Canvas, x: f64, name: &str) {
        self.line_at(canvas, x, name, self.to.1 - 12.0);
    }

    fn line_at(&self, canvas: &mut dyn Canvas, x: f64, name: &str, height: f64) {
        if (self.x.low..=self.x.high).contains(&x) {
            let (at, _) = self.pixel((x, self.y.low));
            canvas.line(&[(at, self.from.1 - 4.0), (at, self.to.1)], MUTED, 1.0, 1.4, &[6.0, 4.0]);
            let half = super::canvas::text_width(name, TICK) / 2.0;
            let center = at.clamp(self.from.0 + half, (self.to.0 - half).max(self.from.0 + half));
            canvas.text(name, (center, height), theme::TICK, MUTED, Align::Center);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(texts(&Axis::new("", 0.0, 12288.0, 6.0)), ["0", "2,500", "5,000", "7,500", "10,000"]);
        assert_eq!(texts(&Axis::new("", -0.6, 1.1, 4.0)), ["\u{2212}0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(texts(&Axis::new("", 0.0, 1.0, 4.0)), ["0.00", "0.25", "0.50", "0.75", "1.00"]);
        assert_eq!(texts(&Axis::new("", 0.0, 10.0, 4.0)), ["0.0", "2.5", "5.0", "7.5", "10.0"]);
        assert_eq!(
            texts(&Axis::new("", -20.0, 5.0, 5.0)),
            ["\u{2212}20", "\u{2212}15", "\u{2212}10", "\u{2212}5", "0", "5"]
        );
    }

    #[test]
    fn lengths_that_span_decades_are_logarithmic() {
        assert_eq!(Axis::lengths("", 4096, 256).ticks()[0].0, 0.0);
        let axis = Axis::lengths("", 1_000_000, 1600);
        assert!(axis.is_logarithmic());
        assert_eq!(texts(&axis), ["100", "1,000", "10,000", "100,000", "1,000,000"]);
        assert_eq!((axis.share(100.0), axis.share(3.0), axis.share(1e6)), (0.0, 0.0, 1.0));
        assert!((axis.share(10_000.0) - 0.5).abs() < 1e-12);
        assert_eq!(texts(&Axis::lengths("", 400, 12)), ["1", "2", "5", "10", "20", "50", "100", "200"]);
        assert_eq!(
            texts(&Axis::lengths("", 8000, 250)),
            ["20", "50", "100", "200", "500", "1,000", "2,000", "5,000"]
        );
    }

    #[test]
    fn distances_are_logarithmic_but_for_a_few() {
        let axis = Axis::distances("", 4096);
        assert_eq!(
            (axis.share(0.0), axis.share(1.0), axis.share(64.0), axis.share(4096.0)),
            (0.0, 0.0, 0.5, 1.0)
        );
        assert_eq!(texts(&axis)[..3], ["1", "10", "100"]);
        assert!(!Axis::distances("", 0).is_logarithmic() && !Axis::distances("", 9).is_logarithmic());
    }

    #[test]
    fn a_constant_has_an_axis() {
        let axis = Axis::new("", 3.0, 3.0, 4.0);
        assert!(axis.low < 3.0 && axis.high > 3.0 && axis.ticks().len() > 2);
    }

    #[test]
    fn data_map_to_the_corners() {
        let axis = |high| Axis::new("", 0.0, high, 4.0);
        let frame = Frame { from: (10.0, 20.0), to: (110.0, 70.0), x: axis(4.0), y: axis(8.0) };
        assert_eq!(frame.pixel((0.0, 0.0)), (10.0, 70.0));
        assert_eq!(frame.pixel((4.0, 8.0)), (110.0, 20.0));
    }
}
