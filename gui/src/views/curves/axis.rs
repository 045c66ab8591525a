//! The horizontal axis: tokens, linear or logarithmic.

use egui_plot::GridMark;

use crate::words;

/// From how many training lengths on lengths span decades: as in the figures.
const DECADES_FROM: u64 = 32;
/// Ticks of a linear axis, about.
const TICKS: f64 = 7.0;

/// How tokens are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spacing {
    /// Logarithmic where lengths span decades.
    #[default]
    Automatic,
    /// Equal numbers are equally long.
    Linear,
    /// Equal ratios are.
    Logarithmic,
}

impl Spacing {
    /// All, in the order of the menu.
    pub const ALL: [Self; 3] = [Self::Automatic, Self::Linear, Self::Logarithmic];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Linear => "linear",
            Self::Logarithmic => "logarithmic",
        }
    }
}

/// From tokens to places along the axis and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// For texts of `tokens` tokens. A logarithmic axis begins at a sixteenth of the training length.
    pub fn new(spacing: Spacing, tokens: u64, trained: u64) -> Self {
        let decades = tokens >= trained.max(1).saturating_mul(DECADES_FROM);
        let logarithmic = match spacing {
            Spacing::Automatic => decades,
            Spacing::Linear => false,
            Spacing::Logarithmic => true,
        };
        let low = if logarithmic { (trained / 16).max(1).min(tokens.max(2) / 2) as f64 } else { 0.0 };
        Self { low, high: tokens.max(1) as f64, logarithmic }
    }

    /// Where a number of tokens is; `None` left of the axis.
    pub fn place(&self, tokens: f64) -> Option<f64> {
        (tokens >= self.low).then(|| if self.logarithmic { tokens.log10() } else { tokens })
    }

    /// The tokens at a place.
    pub fn tokens(&self, place: f64) -> f64 {
        if self.logarithmic { 10.0_f64.powf(place) } else { place }
    }

    /// Both ends, as places.
    pub fn ends(&self) -> [f64; 2] {
        [self.low, self.high].map(|tokens| self.place(tokens).unwrap_or(0.0))
    }

    /// Grid lines between two places.
    pub fn marks(&self, (from, to): (f64, f64)) -> Vec<GridMark> {
        if self.logarithmic && to - from > 0.7 {
            let leading: &[f64] = if to - from < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let powers = from.floor() as i32..=to.ceil() as i32;
            let all =
                powers.flat_map(|power| leading.iter().map(move |lead| lead.log10() + f64::from(power)));
            let inside = all.filter(|place| (from..=to).contains(place) && *place >= 0.0);
            return inside.map(|value| GridMark { value, step_size: to - from }).collect();
        }
        // A short segment of a logarithmic axis is nearly linear: round numbers of tokens mark it too.
        let (low, high) = (self.tokens(from), self.tokens(to));
        let Some(step) = round_step(low, high, TICKS).map(|step| step.max(1.0)) else { return Vec::new() };
        let places = multiples(low, high, step).filter_map(|tokens| self.place(tokens));
        places.map(|value| GridMark { value, step_size: to - from }).collect()
    }
}

/// Grid lines of a vertical axis, at round numbers.
pub fn round_marks((low, high): (f64, f64), ticks: f64) -> Vec<GridMark> {
    let step = round_step(low, high, ticks);
    let values = step.into_iter().flat_map(|step| multiples(low, high, step));
    values.map(|value| GridMark { value, step_size: high - low }).collect()
}

/// A number at such a grid line, with as many decimals as tell it from the next.
pub fn round_words(value: f64, (low, high): (f64, f64), ticks: f64) -> String {
    let step = round_step(low, high, ticks).unwrap_or(1.0);
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}").replace('-', "\u{2212}")
}

/// 1, 2 or 5 times a power of ten, so that a range has about this many steps; `None` without a range.
fn round_step(low: f64, high: f64, ticks: f64) -> Option<f64> {
    let rough = (high - low) / ticks;
    if !rough.is_finite() || rough <= 0.0 {
        return None;
    }
    let magnitude = 10.0_f64.powf(rough.log10().floor());
    Some([1.0, 2.0, 5.0].map(|m| m * magnitude).into_iter().find(|&s| s >= rough).unwrap_or(10.0 * magnitude))
}

fn multiples(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    ((low / step).ceil() as i64..=(high / step).floor() as i64).map(move |at| at as f64 * step)
}

/// The nearest whole number, with its thousands set apart.
pub fn grouped(number: f64) -> String {
    words::grouped(number.abs().round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_logarithmic_where_lengths_span_decades_or_where_asked_for() {
        let logarithmic = |spacing, tokens| Axis::new(spacing, tokens, 256).logarithmic;
        assert!(!logarithmic(Spacing::Automatic, 4096) && logarithmic(Spacing::Automatic, 1 << 20));
        assert!(logarithmic(Spacing::Logarithmic, 4096) && !logarithmic(Spacing::Linear, 1 << 20));
    }

    #[test]
    fn places_lead_back_to_tokens() {
        for axis in [Axis::new(Spacing::Linear, 4096, 256), Axis::new(Spacing::Logarithmic, 1 << 20, 256)] {
            for tokens in [16.0, 256.0, 4096.0] {
                let place = axis.place(tokens).expect("on the axis");
                assert!((axis.tokens(place) - tokens).abs() < 1e-6);
            }
        }
        assert_eq!(Axis::new(Spacing::Logarithmic, 4096, 256).place(15.0), None);
        let short = Axis::new(Spacing::Logarithmic, 1, 256).ends();
        assert!(short.iter().all(|end| end.is_finite()));
    }

    #[test]
    fn marks_are_round_numbers_and_few() {
        let tokens = |axis: Axis, ends| -> Vec<f64> {
            axis.marks(ends).iter().map(|mark| axis.tokens(mark.value).round()).collect()
        };
        let log = Axis::new(Spacing::Logarithmic, 1_000_000, 256);
        assert_eq!(tokens(log, (1.0, 6.0)), [1e1, 1e2, 1e3, 1e4, 1e5, 1e6]);
        assert_eq!(tokens(log, (2.0, 3.5)), [100.0, 200.0, 500.0, 1000.0, 2000.0]);
        assert_eq!(tokens(log, (3.0, 3.1)), [1000.0, 1050.0, 1100.0, 1150.0, 1200.0, 1250.0]);
        let linear = Axis::new(Spacing::Linear, 4096, 256);
        assert_eq!(tokens(linear, (0.0, 4096.0)), [0.0, 1000.0, 2000.0, 3000.0, 4000.0]);
        assert!(linear.marks((5.0, 5.0)).is_empty());
        let values: Vec<_> = round_marks((-0.3, 1.1), 4.0).iter().map(|mark| mark.value).collect();
        assert_eq!(values, [0.0, 0.5, 1.0]);
        assert_eq!(round_words(-0.5, (-0.6, 1.1), 4.0), "\u{2212}0.5");
        assert_eq!(round_words(20.0, (0.0, 60.0), 4.0), "20");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0.4, 999.0, 1048576.0].map(grouped), ["0", "999", "1,048,576"]);
    }
}
