//! A frame with ticks, grid and labels, and the map from data to pixels.

use super::canvas::{Align, Canvas, Point, text_width};
use super::theme::{self, GRID, INK, LABEL, MUTED, TICK};
use crate::words::grouped;

/// From how many training lengths on an axis of lengths is logarithmic: then lengths span decades.
const DECADES_FROM: u64 = 32;

/// Where the title of an upright axis is centred, and where it ends, in pixels from the left.
const TITLE_AT: f64 = 18.0;
const TITLE_TO: f64 = 27.0;

/// How values are spaced along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// Evenly, with ticks this far apart.
    Linear(f64),
    /// By ratio, with ticks at 1, 2 and 5 times a power of ten.
    Logarithmic,
    /// Evenly near 0 and by ratio far from it, on both sides.
    Asinh,
}

/// Most ticks of an axis.
const TICKS: i64 = 100;
/// Most powers of ten on one side of an asinh axis, about.
const POWERS: usize = 8;
/// From here on a tick is written as a power of ten: lengths of texts are below it, losses of models that fail may be above.
const EXPONENT_FROM: f64 = 1e10;

/// One axis, linear, logarithmic or in between.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Data at the low end.
    pub low: f64,
    /// Data at the high end.
    pub high: f64,
    /// What is drawn along it, with its unit.
    pub label: String,
    scale: Scale,
}

impl Axis {
    /// An axis that holds `low..high` and has about `ticks` ticks. A range without width is widened.
    pub fn new(label: impl Into<String>, low: f64, high: f64, ticks: f64) -> Self {
        let (low, high) = widened(low, high);
        let rough = (high - low) / ticks;
        let magnitude = 10.0_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * magnitude).into_iter().find(|&s| s >= rough * 0.999);
        Self { low, high, label: label.into(), scale: Scale::Linear(step.unwrap_or(rough)) }
    }

    /// An axis of positions or distances up to `end`: linear from 0, or, where `end` is decades beyond the training length,
    /// logarithmic from a sixteenth of it.
    pub fn lengths(label: impl Into<String>, end: u64, trained_length: u64) -> Self {
        let end = end.max(1);
        if end < trained_length.max(1).saturating_mul(DECADES_FROM) {
            return Self::new(label, 0.0, end as f64, 7.0);
        }
        Self::logarithmic(label, (trained_length / 16).max(1) as f64, end as f64)
    }

    /// An axis of distances, 1 to `end`, logarithmic: what happens among near keys, within the training length and beyond it has
    /// room each.
    pub fn distances(label: impl Into<String>, end: u64) -> Self {
        if end < 10 {
            return Self::new(label, 0.0, end.max(1) as f64, 7.0);
        }
        Self::logarithmic(label, 1.0, end as f64)
    }

    /// A logarithmic axis over `low..high`, both above 0, and so far apart that their logarithms differ.
    pub fn logarithmic(label: impl Into<String>, low: f64, high: f64) -> Self {
        let fits = 0.0 < low && high.is_finite() && high.ln() - low.ln() > 1e-9;
        let (low, high) = if fits { (low, high) } else { (0.5, 2.0) };
        Self { low, high, label: label.into(), scale: Scale::Logarithmic }
    }

    /// An axis on which 1 and 10 can be told apart, and −100 has a place.
    pub fn asinh(label: impl Into<String>, low: f64, high: f64) -> Self {
        // Twice the largest number has no logarithm.
        let [low, high] = [low, high].map(|end| end.clamp(-LARGEST, LARGEST));
        let (low, high) = widened(low, high);
        Self { low, high, label: label.into(), scale: Scale::Asinh }
    }

    /// Whether equal ratios are equally long.
    #[cfg(test)]
    fn is_logarithmic(&self) -> bool {
        self.scale == Scale::Logarithmic
    }

    /// Its label, which names the scale where it is not even.
    pub fn title(&self) -> String {
        match self.scale {
            _ if self.label.is_empty() => String::new(),
            Scale::Linear(_) => self.label.clone(),
            Scale::Logarithmic => format!("{}, log scale", self.label),
            Scale::Asinh => format!("{}, asinh scale", self.label),
        }
    }

    /// Whether lengths along it begin somewhere else than at 0, which a reader would take for its low end.
    pub fn is_cut(&self) -> bool {
        matches!(self.scale, Scale::Linear(_)) && (self.low > 0.0 || self.high < 0.0)
    }

    /// Widens the range by a twentieth on both sides, so that no curve runs along the frame.
    #[must_use]
    pub fn padded(self, ticks: f64) -> Self {
        let pad = (self.high - self.low) * 0.05;
        Self::new(self.label, self.low - pad, self.high + pad, ticks)
    }

    /// Share of the way from low to high.
    pub fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear(_) => (value - self.low) / (self.high - self.low),
            // Of differences, since a ratio may be larger than any number.
            Scale::Logarithmic => {
                (value.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
            }
            Scale::Asinh => (value.asinh() - self.low.asinh()) / (self.high.asinh() - self.low.asinh()),
        }
    }

    /// Ticks, with their text.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let step = match self.scale {
            Scale::Linear(step) => step,
            Scale::Logarithmic => return self.logarithmic_ticks(),
            Scale::Asinh => return self.asinh_ticks(),
        };
        let decimals = (-(step * 1.0001).log10().floor()).clamp(0.0, 12.0) as usize;
        // A step of 2.5 · 10^k has one more digit.
        let leading = step / 10.0_f64.powf(step.log10().floor());
        let decimals = if (leading - 2.5).abs() < 1e-6 && step < 10.0 { decimals + 1 } else { decimals };
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        // Of numbers so large that steps between them vanish there would be no end.
        (first..=last.min(first.saturating_add(TICKS)))
            .map(|i| {
                let value = i as f64 * step;
                let text = if value.abs() >= EXPONENT_FROM {
                    exponent(value)
                } else if decimals == 0 && value >= 0.0 {
                    grouped(value.round() as u64)
                } else {
                    format!("{value:.decimals$}").replace('-', "\u{2212}")
                };
                (value, text)
            })
            .collect()
    }

    /// 0, and on both sides powers of ten, with their halves and fifths beyond 1 where there is room.
    fn asinh_ticks(&self) -> Vec<(f64, String)> {
        let largest = self.low.abs().max(self.high.abs()).max(1.0);
        let leading: &[f64] = if largest <= 1000.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let most = (largest.log10().ceil() as usize).min(300);
        let powers = (0..=most as i32).step_by((most / POWERS).max(1));
        let sizes = powers.flat_map(|power| leading.iter().map(move |&lead| lead * 10.0_f64.powi(power)));
        let all = sizes.flat_map(|size| [-size, size]).chain([0.0]);
        let mut ticks: Vec<f64> = all.filter(|tick| (self.low..=self.high).contains(tick)).collect();
        ticks.sort_by(f64::total_cmp);
        let text = |value: f64| {
            let digits = short(value.abs());
            match value {
                0.0 => "0".to_owned(),
                ..0.0 => format!("\u{2212}{digits}"),
                _ => digits,
            }
        };
        ticks.into_iter().map(|value| (value, text(value))).collect()
    }

    /// Powers of ten, with their halves and fifths where there is room.
    fn logarithmic_ticks(&self) -> Vec<(f64, String)> {
        let decades = self.high.log10() - self.low.log10();
        let leading: &[f64] = if decades < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let all = powers.flat_map(|power| leading.iter().map(move |&lead| lead * 10.0_f64.powi(power)));
        let inside =
            all.filter(|value| value.is_finite() && (self.low * 0.999..=self.high * 1.001).contains(value));
        inside.map(|value| (value, short(value))).collect()
    }
}

/// The farthest end of an asinh axis.
const LARGEST: f64 = 1e300;

/// A range that is one: finite, and with a width that can be divided.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let fits = low < high && (high - low).is_finite() && high - low > 1e-9 * low.abs().max(high.abs());
    match (fits, low.is_finite()) {
        (true, _) => (low, high),
        (false, true) if low.abs() < 1e15 => (low - 0.5, low + 0.5),
        _ => (0.0, 1.0),
    }
}

/// A number as a power of ten, with at most three digits before it.
fn exponent(value: f64) -> String {
    let text = format!("{value:.2e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}e{power}").replace('-', "\u{2212}")
}

/// A positive number in few characters.
pub fn short(value: f64) -> String {
    match value {
        EXPONENT_FROM.. => exponent(value),
        1.0.. => grouped(value.round() as u64),
        0.01..1.0 => format!("{value:.2}").trim_end_matches('0').to_owned(),
        _ => format!("{value:.0e}"),
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
            // The axis' title stands to the left of it.
            let fits = value.abs() < 1e6 || text_width(&text, TICK) <= self.from.0 - 9.0 - TITLE_TO;
            let text = if fits { text } else { exponent(value) };
            canvas.text(&text, (self.from.0 - 9.0, y), TICK, INK, Align::Right);
        }
        let corner = (self.from.0, self.to.1);
        canvas.line(&[self.from, corner, self.to], INK, 1.0, 1.2, &[]);
        if self.y.is_cut() {
            cut(canvas, (self.from.0, self.to.1 - 9.0));
        }
        let middle = (self.from.0 + self.to.0) / 2.0;
        canvas.text(&self.x.title(), (middle, self.to.1 + 42.0), LABEL, INK, Align::Center);
        canvas.text_upwards(&self.y.title(), (TITLE_AT, (self.from.1 + self.to.1) / 2.0), LABEL, INK);
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
            let half = text_width(name, TICK) / 2.0;
            let center = at.clamp(self.from.0 + half, (self.to.0 - half).max(self.from.0 + half));
            canvas.text(name, (center, height), theme::TICK, MUTED, Align::Center);
        }
    }
}

/// The mark of an upright axis that does not begin at 0: two strokes across it.
pub fn cut(canvas: &mut dyn Canvas, (x, y): Point) {
    canvas.line(&[(x, y - 5.0), (x, y + 1.0)], theme::PAPER, 1.0, 3.0, &[]);
    for at in [y - 5.0, y + 1.0] {
        canvas.line(&[(x - 6.0, at + 3.0), (x + 6.0, at - 3.0)], INK, 1.0, 1.2, &[]);
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
    fn far_below_zero_and_near_it_have_ticks() {
        let axis = Axis::asinh("nats", -45.0, 8.0);
        assert_eq!(
            texts(&axis),
            ["\u{2212}20", "\u{2212}10", "\u{2212}5", "\u{2212}2", "\u{2212}1", "0", "1", "2", "5"]
        );
        assert!(axis.share(-45.0) == 0.0 && axis.share(8.0) == 1.0 && axis.share(-1e3) < 0.0);
        let far = texts(&Axis::asinh("", -1e300, 8.0));
        assert!(far.len() < 15 && far.iter().all(|text| text.chars().count() < 14), "{far:?}");
        assert_eq!(texts(&Axis::new("", 0.0, 4e15, 4.0)), ["0", "1e15", "2e15", "3e15", "4e15"]);
        assert_eq!(axis.title(), "nats, asinh scale");
    }

    #[test]
    fn scales_are_named_and_cut_axes_known() {
        assert_eq!(Axis::distances("d", 4096).title(), "d, log scale");
        assert_eq!(Axis::new("d", 1.0, 2.0, 4.0).title(), "d");
        let cut = |low, high| Axis::new("", low, high, 4.0).is_cut();
        assert!(cut(1.0, 2.0) && cut(-2.0, -1.0) && !cut(0.0, 2.0) && !cut(-1.0, 2.0));
        assert!(!Axis::distances("", 4096).is_cut());
    }

    #[test]
    fn any_numbers_have_an_axis_with_few_ticks() {
        let ends = [0.0, -0.0, 1.0, 5e-324, 1e-300, 1e16, 1e300, f64::MAX, f64::MIN, f64::NAN, f64::INFINITY];
        for low in ends {
            for high in ends.into_iter().chain([low * (1.0 + 1e-12), low + 2.0]) {
                for axis in [
                    Axis::new("", low, high, 6.0),
                    Axis::asinh("", low, high),
                    Axis::logarithmic("", low, high),
                ] {
                    let ticks = axis.ticks();
                    assert!(ticks.len() < 1000, "{low} {high}: {}", ticks.len());
                    assert!(ticks.iter().all(|(value, _)| axis.share(*value).is_finite()), "{axis:?}");
                }
            }
        }
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
