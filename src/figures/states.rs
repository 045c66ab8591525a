//! Hidden states in two principal components: one panel per layer, a row for the first and for the last policy (paper Fig. 1c).
//!
//! Panels of a column share their axes and their frame of reference. Units are the spread of the states after the first
//! 64 within the training length. Start tokens may lie hundreds of them away, so the axes are asinh-scaled: linear up to
//! about 1, logarithmic beyond.

use super::axes::Axis;
use super::canvas::{Align, Canvas, Point, outline, text_width};
use super::subject::subject;
use super::theme::{Color, GRID, INK, LABEL, MUTED, Marker, PAPER, TICK, TITLE, look};
use crate::diagnose::{Diagnosis, ProjectedState, RunMeasurement, START_TOKENS, SiteDrift};
use crate::words::grouped;

/// Columns, at most.
const COLUMNS: usize = 3;
const PANEL: Point = (250.0, 210.0);
/// Between panels: room for the numbers of the axis.
const GAP: f64 = 40.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 108.0;
/// Above a row: the policy, and what its panels show in numbers.
const NAMES: f64 = 56.0;
/// Below a row: the numbers of the axis.
const BELOW: f64 = 28.0;
const BOTTOM: f64 = 40.0;

/// The panels of a diagnosis.
#[derive(Clone, Debug)]
pub struct StatesFigure<'a> {
    diagnosis: &'a Diagnosis,
    /// The first run, and the last where there are several: between them there is little to see.
    runs: Vec<&'a RunMeasurement>,
}

/// Axes that the panels of one column share.
struct Column {
    layer: usize,
    x: Axis,
    y: Axis,
}

impl<'a> StatesFigure<'a> {
    /// `None` if no run has projected states.
    pub fn new(diagnosis: &'a Diagnosis) -> Option<Self> {
        let mut runs: Vec<&RunMeasurement> =
            diagnosis.runs.iter().filter(|run| !run.drift.is_empty()).collect();
        if runs.len() > 2 {
            runs = vec![runs[0], runs[runs.len() - 1]];
        }
        (!runs.is_empty()).then_some(Self { diagnosis, runs })
    }

    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        let rows = self.runs.len() as f64;
        (900, (TOP + rows * (NAMES + PANEL.1 + BELOW) + BOTTOM) as u32)
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        let title = format!("Hidden states in two principal components, {}", subject(self.diagnosis));
        canvas.text(&title, (24.0, 24.0), TITLE, INK, Align::Left);
        self.draw_key(canvas);
        let columns = self.columns();
        let left = |index: usize| LEFT + index as f64 * (PANEL.0 + GAP);
        for (index, column) in columns.iter().enumerate() {
            let center = left(index) + PANEL.0 / 2.0;
            canvas.text(&site_name(column.layer), (center, TOP - 8.0), LABEL, INK, Align::Center);
        }
        for (row, run) in self.runs.iter().enumerate() {
            let top = TOP + row as f64 * (NAMES + PANEL.1 + BELOW) + NAMES;
            canvas.text(&run.policy, (24.0, top - 36.0), LABEL, INK, Align::Left);
            for (index, column) in columns.iter().enumerate() {
                let site = run.drift.iter().find(|site| site.layer == column.layer);
                column.draw(canvas, (left(index), top), site, self.diagnosis.trained_length);
            }
        }
        let axes =
            "across and up: the two components, in units of the spread of the later tokens, asinh scale";
        let below = f64::from(self.size().1) - 20.0;
        canvas.text(axes, (LEFT, below), TICK, INK, Align::Left);
    }

    /// The key of the markers, above the panels.
    fn draw_key(&self, canvas: &mut dyn Canvas) {
        let trained = grouped(self.diagnosis.trained_length);
        let names = [
            format!("first {START_TOKENS} tokens"),
            format!("others within the training length, {trained}"),
            "beyond it".to_owned(),
        ];
        let (mut x, y) = (32.0, 58.0);
        for (kind, name) in names.iter().enumerate() {
            match kind {
                0 => start_marker(canvas, (x, y)),
                _ => canvas.marker(Marker::Disc, (x, y), 4.4, color(kind == 2), 1.0),
            }
            canvas.text(name, (x + 13.0, y), LABEL, INK, Align::Left);
            x += 13.0 + text_width(name, LABEL) + 34.0;
        }
    }

    /// After the first block, where start tokens lie farthest in the first run, and after the last block; where those are fewer,
    /// between them. The embedding shows tokens and not positions.
    fn columns(&self) -> Vec<Column> {
        let Some(first) = self.runs.first() else { return Vec::new() };
        let sites = &first.drift;
        let farthest = (0..sites.len()).filter(|&at| sites[at].layer > 0).max_by(|&a, &b| {
            sites[a].farthest_start.unwrap_or(0.0).total_cmp(&sites[b].farthest_start.unwrap_or(0.0))
        });
        let last = sites.len() - 1;
        let mut shown: Vec<usize> = Vec::new();
        for at in
            [Some(1), farthest, Some(last), Some(last / 2), Some(last / 2 + 1), Some(0)].into_iter().flatten()
        {
            if at <= last && !shown.contains(&at) && shown.len() < COLUMNS {
                shown.push(at);
            }
        }
        shown.sort_unstable();
        shown.into_iter().map(|at| self.column(&sites[at])).collect()
    }

    fn column(&self, site: &SiteDrift) -> Column {
        let of_layer = |run: &&'a RunMeasurement| {
            run.drift.iter().filter(|other| other.layer == site.layer).flat_map(|other| &other.states)
        };
        let states: Vec<_> = self.runs.iter().flat_map(of_layer).collect();
        let percent = |at: usize| site.explained.get(at).copied().unwrap_or(0.0) * 100.0;
        let axis = |component: usize| {
            let values = states.iter().filter_map(|state| Some(state.components?[component].asinh()));
            let (low, high) =
                values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
            Axis::new(format!("{:.0} % of the variance", percent(component)), low, high, 4.0).padded(4.0)
        };
        Column { layer: site.layer, x: axis(0), y: axis(1) }
    }
}

/// Where states are taken.
fn site_name(layer: usize) -> String {
    if layer == 0 { "embedding".to_owned() } else { format!("after block {layer}") }
}

impl Column {
    fn draw(
        &self,
        canvas: &mut dyn Canvas,
        (left, top): Point,
        site: Option<&SiteDrift>,
        trained_length: u64,
    ) {
        let (right, bottom) = (left + PANEL.0, top + PANEL.1);
        let pixel = |[x, y]: [f64; 2]| {
            (left + self.x.share(x.asinh()) * PANEL.0, bottom - self.y.share(y.asinh()) * PANEL.1)
        };
        for (value, text) in ticks(&self.x) {
            let x = pixel([value, 0.0]).0;
            canvas.line(&[(x, top), (x, bottom)], GRID, 1.0, 1.0, &[]);
            canvas.text(&text, (x, bottom + 11.0), TICK, INK, Align::Center);
        }
        for (value, text) in ticks(&self.y) {
            let y = pixel([0.0, value]).1;
            canvas.line(&[(left, y), (right, y)], GRID, 1.0, 1.0, &[]);
            canvas.text(&text, (left - 5.0, y), TICK, INK, Align::Right);
        }
        let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        canvas.line(&frame, MUTED, 1.0, 1.0, &[]);
        let middle = ((left + right) / 2.0, top - 12.0);
        let Some(site) = site else {
            canvas.text("no finite states", middle, TICK, MUTED, Align::Center);
            return;
        };
        canvas.text(&numbers(site), middle, TICK, MUTED, Align::Center);
        let beyond = |state: &ProjectedState| state.position >= trained_length;
        let is_start = |state: &&ProjectedState| state.position < START_TOKENS;
        let (starts, others): (Vec<&ProjectedState>, Vec<&ProjectedState>) =
            site.states.iter().partition(is_start);
        // In turns, so that neither kind covers the other.
        let (later, within): (Vec<&ProjectedState>, Vec<&ProjectedState>) =
            others.into_iter().partition(|state| beyond(state));
        for state in interleaved(&within, &later) {
            if let Some(at) = state.components {
                canvas.marker(Marker::Disc, pixel(at), 2.4, color(beyond(state)), 0.8);
            }
        }
        for state in starts.into_iter().rev() {
            if let Some(at) = state.components {
                start_marker(canvas, pixel(at));
            }
        }
    }
}

/// What a panel shows, in numbers.
fn numbers(site: &SiteDrift) -> String {
    let farthest = site.farthest_start.map(|distance| format!("start token at {distance:.1}×"));
    let outside = site.outside_share.map(|share| format!("{:.0} % outside", 100.0 * share));
    [farthest, outside].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Both lists from begin to end, evenly mixed.
fn interleaved<'a>(a: &[&'a ProjectedState], b: &[&'a ProjectedState]) -> Vec<&'a ProjectedState> {
    let place = |(at, of): (usize, usize)| (at as f64 + 0.5) / of as f64;
    let with_places = |list: &[&'a ProjectedState]| -> Vec<(f64, &'a ProjectedState)> {
        list.iter().enumerate().map(|(at, state)| (place((at, list.len())), *state)).collect()
    };
    let mut all = [with_places(a), with_places(b)].concat();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, state)| state).collect()
}

/// Of a token within the training length, or beyond it.
fn color(beyond: bool) -> Color {
    look(if beyond { 5 } else { 1 }).color
}

/// Start tokens: large black diamonds with a white edge, so that they stand out in grey too.
fn start_marker(canvas: &mut dyn Canvas, at: Point) {
    canvas.area(&outline(Marker::Diamond, at, 6.6), PAPER, 1.0);
    canvas.area(&outline(Marker::Diamond, at, 5.0), INK, 1.0);
}

/// Ticks of an asinh axis: 0 and powers of ten on both sides, as many as stand apart.
fn ticks(axis: &Axis) -> Vec<(f64, String)> {
    let largest = axis.low.abs().max(axis.high.abs()).sinh();
    let decades = largest.log10().floor().clamp(0.0, 300.0) as i32;
    let every = (decades / 3).max(1);
    let powers = (0..=decades).filter(|power| power % every == 0).map(|power| 10.0_f64.powi(power));
    let all = powers.flat_map(|power| [-power, power]).chain([0.0]);
    let inside = |value: &f64| (axis.low..=axis.high).contains(&value.asinh());
    let mut ticks: Vec<f64> = all.filter(inside).collect();
    ticks.sort_by(f64::total_cmp);
    // ±1 crowd around 0 when the range is wide.
    if decades >= 2 {
        ticks.retain(|tick| tick.abs() != 1.0);
    }
    let text = |value: f64| {
        let digits = grouped(value.abs() as u64);
        if value < 0.0 { format!("\u{2212}{digits}") } else { digits }
    };
    ticks.into_iter().map(|value| (value, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    #[test]
    fn ticks_are_powers_of_ten() {
        let values = |low: f64, high: f64| {
            let axis = Axis::new("", low.asinh(), high.asinh(), 4.0);
            ticks(&axis).into_iter().map(|(value, _)| value).collect::<Vec<_>>()
        };
        assert_eq!(values(-3.0, 20.0), [-1.0, 0.0, 1.0, 10.0]);
        assert_eq!(values(-3.0, 200.0), [0.0, 10.0, 100.0]);
        assert_eq!(values(0.0, 0.0), [0.0]);
        assert!(ticks(&Axis::new("", -1e308, 1e308, 4.0)).len() < 700);
    }

    #[test]
    fn the_first_and_the_last_policy_are_drawn_and_few_layers() {
        let of = |policies: &[&str]| {
            let diagnosis = synthetic::diagnosis(128, 512, policies);
            let figure = StatesFigure::new(&diagnosis).expect("states");
            let layers: Vec<usize> = figure.columns().iter().map(|column| column.layer).collect();
            assert!(layers.len() <= COLUMNS && layers.windows(2).all(|pair| pair[0] < pair[1]), "{layers:?}");
            figure.runs.iter().map(|run| run.policy.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(&["vanilla"]), ["vanilla"]);
        let three = of(&["vanilla", "window:window=64", "lm-infinite:window=64"]);
        assert_eq!((three.len(), three[0].as_str()), (2, "vanilla"));
        assert!(three[1].starts_with("lm-infinite"));
    }
}
