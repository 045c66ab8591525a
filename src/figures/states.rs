//! Hidden states in two principal components: one panel per layer and policy (paper Fig. 1c).
//!
//! Panels of a column share their axes and their frame of reference. Units are the spread of the states after the first
//! 64 within the training length. Start tokens may lie hundreds of them away, so the axes are asinh-scaled: linear up to
//! about 1, logarithmic beyond.

use super::axes::Axis;
use super::canvas::{Align, Canvas, Point, outline, text_width};
use super::subject::subject;
use super::theme::{GRID, INK, LABEL, MUTED, Marker, PAPER, TITLE, ramp};
use crate::diagnose::{Diagnosis, ProjectedState, START_TOKENS, SiteDrift};
use crate::words::grouped;

/// Columns, at most; the layers are thinned evenly.
const COLUMNS: usize = 5;
const PANEL: f64 = 178.0;
const GAP: f64 = 16.0;
const LEFT: f64 = 190.0;
const TOP: f64 = 138.0;
const BOTTOM: f64 = 118.0;
const SMALL: f64 = 12.5;

/// The panels of a diagnosis.
#[derive(Clone, Copy, Debug)]
pub struct StatesFigure<'a> {
    diagnosis: &'a Diagnosis,
}

/// Axes that the panels of one column share.
struct Column {
    layer: usize,
    explained: Vec<f64>,
    x: Axis,
    y: Axis,
}

impl<'a> StatesFigure<'a> {
    /// `None` if no run has projected states.
    pub fn new(diagnosis: &'a Diagnosis) -> Option<Self> {
        diagnosis.runs.iter().any(|run| !run.drift.is_empty()).then_some(Self { diagnosis })
    }

    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        let (columns, rows) = (self.columns().len() as f64, self.diagnosis.runs.len() as f64);
        let width = (LEFT + columns * (PANEL + GAP) + 8.0).max(760.0);
        (width as u32, (TOP + rows * (PANEL + GAP) + BOTTOM) as u32)
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        let (width, height) = self.size();
        let (width, height) = (f64::from(width), f64::from(height));
        let title = format!("Hidden states in two principal components, {}", subject(self.diagnosis));
        canvas.text(&title, (24.0, 24.0), TITLE, INK, Align::Left);
        self.draw_key(canvas);
        let columns = self.columns();
        for (index, column) in columns.iter().enumerate() {
            let center = LEFT + (index as f64) * (PANEL + GAP) + PANEL / 2.0;
            let name = if column.layer == 0 {
                "embedding".to_owned()
            } else {
                format!("after block {}", column.layer)
            };
            canvas.text(&name, (center, TOP - 34.0), LABEL, INK, Align::Center);
            let percent = |at: usize| column.explained.get(at).copied().unwrap_or(0.0) * 100.0;
            let explained = format!("variance {:.1} % | {:.1} %", percent(0), percent(1));
            canvas.text(&explained, (center, TOP - 15.0), SMALL, MUTED, Align::Center);
        }
        for (row, run) in self.diagnosis.runs.iter().enumerate() {
            let top = TOP + row as f64 * (PANEL + GAP);
            let (name, keys) = run.policy.split_once(':').unwrap_or((&run.policy, ""));
            canvas.text(name, (24.0, top + PANEL / 2.0 - 10.0), LABEL, INK, Align::Left);
            for (line, key) in keys.split(',').enumerate() {
                canvas.text(
                    key,
                    (24.0, top + PANEL / 2.0 + 11.0 + 18.0 * line as f64),
                    SMALL,
                    MUTED,
                    Align::Left,
                );
            }
            for (index, column) in columns.iter().enumerate() {
                let left = LEFT + (index as f64) * (PANEL + GAP);
                let site = run.drift.iter().find(|site| site.layer == column.layer);
                let last = row + 1 == self.diagnosis.runs.len();
                column.draw(canvas, (left, top), last, site, self.diagnosis.tokens);
            }
        }
        let below = height - BOTTOM + 22.0;
        canvas.text(
            "across: PC 1, up: PC 2, in units of the spread of the later tokens (asinh scale)",
            (LEFT, below),
            SMALL,
            INK,
            Align::Left,
        );
        self.draw_colors(canvas, (LEFT, below + 24.0), (width - 40.0).min(LEFT + 520.0));
    }

    /// The key of the markers, above the panels.
    fn draw_key(&self, canvas: &mut dyn Canvas) {
        let y = 58.0;
        start_marker(canvas, (32.0, y));
        let first = format!("first {START_TOKENS} tokens");
        canvas.text(&first, (46.0, y), LABEL, INK, Align::Left);
        let x = 46.0 + text_width(&first, LABEL) + 34.0;
        canvas.marker(Marker::Disc, (x, y), 3.2, ramp(0.3), 1.0);
        canvas.text("other tokens, coloured by position", (x + 12.0, y), LABEL, INK, Align::Left);
    }

    /// The colour bar.
    fn draw_colors(&self, canvas: &mut dyn Canvas, (left, top): Point, right: f64) {
        let steps = 128;
        let at = |i: i32| left + (right - left) * f64::from(i) / f64::from(steps);
        for i in 0..steps {
            let color = ramp((f64::from(i) + 0.5) / f64::from(steps));
            canvas.rect((at(i), top), (at(i + 1) + 0.3, top + 14.0), color, 1.0);
        }
        let axis = Axis::new("", 0.0, self.diagnosis.tokens.max(1) as f64, 5.0);
        for (value, text) in axis.ticks() {
            let x = left + (right - left) * axis.share(value);
            canvas.line(&[(x, top + 14.0), (x, top + 18.0)], INK, 1.0, 1.0, &[]);
            canvas.text(&text, (x, top + 28.0), SMALL, INK, Align::Center);
        }
        let trained = axis.share(self.diagnosis.trained_length as f64);
        if trained <= 1.0 {
            let x = left + (right - left) * trained;
            canvas.line(&[(x, top - 4.0), (x, top + 18.0)], INK, 1.0, 1.6, &[]);
        }
        let bar = format!("token position (bar: training length {})", grouped(self.diagnosis.trained_length));
        canvas.text(&bar, (left, top + 50.0), SMALL, INK, Align::Left);
    }

    fn columns(&self) -> Vec<Column> {
        let Some(first) = self.diagnosis.runs.iter().find(|run| !run.drift.is_empty()) else {
            return Vec::new();
        };
        let sites = first.drift.len();
        let shown = sites.min(COLUMNS);
        // Ends included: the embedding and the last block.
        let pick = |i: usize| if shown < 2 { 0 } else { i * (sites - 1) / (shown - 1) };
        let column = |site: &SiteDrift| {
            let of_layer = |run: &'a crate::diagnose::RunMeasurement| {
                run.drift.iter().filter(|other| other.layer == site.layer).flat_map(|other| &other.states)
            };
            let states: Vec<_> = self.diagnosis.runs.iter().flat_map(of_layer).collect();
            let axis = |component: usize| {
                let values = states.iter().filter_map(|state| Some(state.components?[component].asinh()));
                let (low, high) =
                    values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
                Axis::new("", low, high, 4.0).padded(4.0)
            };
            Column { layer: site.layer, explained: site.explained.clone(), x: axis(0), y: axis(1) }
        };
        (0..shown).map(|i| column(&first.drift[pick(i)])).collect()
    }
}

impl Column {
    fn draw(
        &self,
        canvas: &mut dyn Canvas,
        (left, top): Point,
        last: bool,
        site: Option<&SiteDrift>,
        tokens: u64,
    ) {
        let (right, bottom) = (left + PANEL, top + PANEL);
        let pixel = |[x, y]: [f64; 2]| {
            (left + self.x.share(x.asinh()) * PANEL, bottom - self.y.share(y.asinh()) * PANEL)
        };
        for (value, text) in ticks(&self.x) {
            let x = pixel([value, 0.0]).0;
            canvas.line(&[(x, top), (x, bottom)], GRID, 1.0, 1.0, &[]);
            // Names at the corners would run into those of the next column.
            if last && (left + 12.0..right - 12.0).contains(&x) {
                canvas.text(&text, (x, bottom + 10.0), SMALL, MUTED, Align::Center);
            }
        }
        for (value, text) in ticks(&self.y) {
            let y = pixel([0.0, value]).1;
            canvas.line(&[(left, y), (right, y)], GRID, 1.0, 1.0, &[]);
            canvas.text(&text, (left + 4.0, y - 7.0), 11.0, MUTED, Align::Left);
        }
        let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        canvas.line(&frame, MUTED, 1.0, 1.0, &[]);
        let Some(site) = site else {
            canvas.text(
                "no finite states",
                ((left + right) / 2.0, (top + bottom) / 2.0),
                SMALL,
                MUTED,
                Align::Center,
            );
            return;
        };
        let color = |state: &ProjectedState| ramp(state.position as f64 / tokens.max(1) as f64);
        for state in site.states.iter().filter(|state| state.position >= START_TOKENS) {
            if let Some(at) = state.components {
                canvas.marker(Marker::Disc, pixel(at), 2.0, color(state), 0.75);
            }
        }
        for state in site.states.iter().filter(|state| state.position < START_TOKENS).rev() {
            if let Some(at) = state.components {
                start_marker(canvas, pixel(at));
            }
        }
    }
}

/// Start tokens: large vermilion diamonds with a white edge, so that they stand out in grey too.
fn start_marker(canvas: &mut dyn Canvas, at: Point) {
    canvas.area(&outline(Marker::Diamond, at, 5.4), PAPER, 1.0);
    canvas.area(&outline(Marker::Diamond, at, 4.6), INK, 1.0);
    canvas.area(&outline(Marker::Diamond, at, 3.2), [213, 94, 0], 1.0);
}

/// Ticks of an asinh axis: 0 and powers of ten on both sides, as many as stand apart.
fn ticks(axis: &Axis) -> Vec<(f64, String)> {
    let largest = axis.low.abs().max(axis.high.abs()).sinh();
    let decades = largest.log10().floor().max(0.0) as i32;
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

    #[test]
    fn ticks_are_powers_of_ten() {
        let values = |low: f64, high: f64| {
            let axis = Axis::new("", low.asinh(), high.asinh(), 4.0);
            ticks(&axis).into_iter().map(|(value, _)| value).collect::<Vec<_>>()
        };
        assert_eq!(values(-3.0, 20.0), [-1.0, 0.0, 1.0, 10.0]);
        assert_eq!(values(-3.0, 200.0), [0.0, 10.0, 100.0]);
        assert_eq!(values(0.0, 0.0), [0.0]);
    }
}
