//! The hidden states of a layer as points: where they are, how they are shaded, and where their axes have marks.

use egui_plot::GridMark;
use lm_infinite::diagnose::{Diagnosis, ProjectedState, RunMeasurement, START_TOKENS};

/// Shades of position.
pub const SHADES: usize = 12;

/// What the reader has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Index into the sites; `None` until there are some.
    pub site: Option<usize>,
    /// Axes linear near 0 and logarithmic beyond.
    pub asinh: bool,
}

/// The states of one run at one site, ready to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Cloud {
    /// By shade of position, without the start tokens.
    pub later: Vec<Vec<[f64; 2]>>,
    /// The start tokens.
    pub start: Vec<[f64; 2]>,
    /// Of both runs: they share their axes.
    pub bounds: ([f64; 2], [f64; 2]),
    /// Position of each point drawn, to be read by the pointer.
    pub positions: Vec<([f64; 2], u64)>,
    /// States that are not finite.
    pub missing: usize,
}

impl Cloud {
    /// The state that lies nearest to a position of the text: not every one is kept.
    pub fn nearest(&self, position: u64) -> Option<[f64; 2]> {
        let nearest = self.positions.iter().min_by_key(|(_, at)| at.abs_diff(position));
        nearest.map(|&(at, _)| at)
    }

    /// The states of a range of positions.
    pub fn within(&self, range: &std::ops::Range<u64>) -> Vec<[f64; 2]> {
        let inside = self.positions.iter().filter(|(_, position)| range.contains(position));
        inside.map(|&(at, _)| at).collect()
    }
}

/// All runs at one site, in axes that they share.
pub fn clouds(diagnosis: &Diagnosis, site: usize, asinh: bool) -> Vec<Cloud> {
    let scaled = |at: [f64; 2]| if asinh { at.map(f64::asinh) } else { at };
    let states = |run: &RunMeasurement| -> Vec<ProjectedState> {
        run.drift.get(site).map_or_else(Vec::new, |site| site.states.clone())
    };
    let of = |run: &RunMeasurement| {
        let all = states(run);
        let mut cloud = Cloud {
            later: vec![Vec::new(); SHADES],
            start: Vec::new(),
            bounds: ([-1.0; 2], [1.0; 2]),
            positions: Vec::new(),
            missing: all.iter().filter(|state| state.components.is_none()).count(),
        };
        for (position, at) in all.iter().filter_map(|state| Some((state.position, scaled(state.components?))))
        {
            cloud.positions.push((at, position));
            if position < START_TOKENS {
                cloud.start.push(at);
            } else {
                cloud.later[shade_of(position, diagnosis.tokens)].push(at);
            }
        }
        cloud
    };
    let mut all: Vec<Cloud> = diagnosis.runs.iter().map(of).collect();
    let bounds = bounds(all.iter().flat_map(|cloud| &cloud.positions).map(|&(at, _)| at));
    all.iter_mut().for_each(|cloud| cloud.bounds = bounds);
    all
}

/// Around all points, with a margin; never empty.
fn bounds(points: impl Iterator<Item = [f64; 2]>) -> ([f64; 2], [f64; 2]) {
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for at in points {
        for axis in 0..2 {
            (low[axis], high[axis]) = (low[axis].min(at[axis]), high[axis].max(at[axis]));
        }
    }
    for axis in 0..2 {
        if low[axis] > high[axis] {
            (low[axis], high[axis]) = (-1.0, 1.0);
        }
        let margin = ((high[axis] - low[axis]) * 0.06).max(0.05);
        (low[axis], high[axis]) = (low[axis] - margin, high[axis] + margin);
    }
    (low, high)
}

fn shade_of(position: u64, tokens: u64) -> usize {
    ((position as f64 / tokens.max(1) as f64 * SHADES as f64) as usize).min(SHADES - 1)
}

/// Lines of the grid at round numbers: even steps, or with `asinh` 0 and some of 0.5, 1, 2, 5, 10, … on both sides.
pub fn marks((low, high): (f64, f64), asinh: bool) -> Vec<GridMark> {
    let mark = |(value, step_size)| GridMark { value, step_size };
    if !asinh {
        let least = ((high - low) / 6.0).max(f64::MIN_POSITIVE);
        let decade = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0]
            .into_iter()
            .map(|m| m * decade)
            .find(|&step| step >= least)
            .unwrap_or(10.0 * decade);
        let steps = (low / step).ceil() as i64..=(high / step).floor() as i64;
        return steps.take(50).map(|at| mark((at as f64 * step, step))).collect();
    }
    // As many as have room, the roundest first.
    let gap = (high - low) / 6.0;
    let mut places: Vec<f64> = Vec::new();
    for (multiple, powers) in [(0.0, 0..1), (1.0, 0..9), (5.0, -1..9), (2.0, 0..9)] {
        for value in powers.map(|power| (multiple * 10_f64.powi(power)).asinh()).flat_map(|at| [at, -at]) {
            if value >= low && value <= high && places.iter().all(|place| (place - value).abs() >= gap) {
                places.push(value);
            }
        }
    }
    places.sort_by(f64::total_cmp);
    places.into_iter().map(|value| mark((value, 2.0 * gap))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_all_points_and_are_never_empty() {
        let (low, high) = bounds([[0.0, 5.0], [10.0, 5.0]].into_iter());
        assert!(low[0] < 0.0 && high[0] > 10.0 && low[1] < 5.0 && high[1] > 5.0);
        assert!(bounds(std::iter::empty()).1[0] > 1.0);
    }

    #[test]
    fn marks_are_round_and_inside() {
        let at = |bounds, asinh: bool| -> Vec<f64> {
            let value = |mark: GridMark| if asinh { mark.value.sinh() } else { mark.value };
            marks(bounds, asinh).into_iter().map(|mark| (value(mark) * 1e6).round() / 1e6).collect()
        };
        assert_eq!(at((-3.0, 9.0), false), [-2.0, 0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(at((-1.0, 4.0), true), [-1.0, 0.0, 1.0, 10.0]);
        assert_eq!(at((-0.7, 1.0), true), [-0.5, 0.0, 0.5, 1.0]);
        assert!(at((0.0, 0.0), false).len() <= 50);
    }

    #[test]
    fn shades_go_from_the_first_to_the_last_token() {
        assert_eq!([0, 4095, 9999].map(|at| shade_of(at, 4096)), [0, SHADES - 1, SHADES - 1]);
        assert_eq!(shade_of(3, 0), SHADES - 1);
    }
}
