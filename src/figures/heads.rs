//! Every head in a panel of its own, layers downwards and heads across: small multiples of a curve.

use ndarray::{Array3, ArrayView1, s};

use super::axes::Axis;
use super::canvas::{Align, Canvas, Point, text_width};
use super::lines::averaged;
use super::subject::subject;
use super::theme::{GRID, INK, LABEL, MUTED, TICK, TITLE, look};
use crate::diagnose::{
    BinEdges, Diagnosis, HEAD_ENTROPY_MARGIN, HEAD_LOGIT_MARGIN, HeadEffect, HeadReport, RunArrays,
};
use crate::words::grouped;

/// Widths of a panel: as wide as the page allows, within these.
const PANEL: (f64, f64) = (58.0, 150.0);
const PAGE: f64 = 900.0;
const GAP: f64 = 5.0;
const LEFT: f64 = 118.0;
const BOTTOM: f64 = 62.0;
const ROW: f64 = 25.0;
const SAMPLE: f64 = 40.0;
/// Points of a curve, at most: a panel has no room for more.
const POINTS: usize = 60;

/// What is drawn of every head.
#[derive(Clone, Copy, Debug)]
pub struct HeadsFigure<'a> {
    diagnosis: &'a Diagnosis,
    quantity: Quantity,
}

/// A quantity that every head has, against distance or position.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// What is shown, in words and with its unit.
    pub name: &'static str,
    /// What goes across.
    pub across: &'static str,
    /// Values of shape [layers, heads, bins].
    pub values: fn(&RunArrays) -> &Array3<f32>,
    /// Lower edges of the bins.
    pub edges: fn(&BinEdges) -> &[u64],
    /// Draw the largest value so far instead of the value.
    pub prefix_maximum: bool,
    /// The horizontal axis is one of distances.
    pub distances: bool,
    /// Whether the head is framed.
    pub broke: fn(&HeadReport) -> bool,
    /// What a frame says, but for its margin.
    pub framed: &'static str,
    /// Above this a head is framed.
    pub margin: f64,
}

/// Largest logit up to a distance.
pub const LOGITS: Quantity = Quantity {
    name: "Largest logit up to a distance",
    across: "distance between query and key (tokens)",
    values: |arrays| &arrays.max_logit,
    edges: |bins| bins.logit_distances.lower(),
    prefix_maximum: true,
    distances: true,
    framed: "unseen distances raise its logits by more than",
    margin: HEAD_LOGIT_MARGIN,
    broke: |head| {
        let exceeds = |excess: Option<HeadEffect>| excess.is_some_and(|excess| excess.exceeds);
        exceeds(head.logit_excess) || exceeds(head.start_logit_excess) || head.non_finite_queries > 0
    },
};

/// Mean entropy by position.
pub const ENTROPY: Quantity = Quantity {
    name: "Attention entropy (nats)",
    across: "context length (tokens)",
    values: |arrays| &arrays.entropy,
    edges: |bins| bins.positions.lower(),
    prefix_maximum: false,
    distances: false,
    framed: "unseen numbers of keys raise its entropy by more than",
    margin: HEAD_ENTROPY_MARGIN,
    broke: |head| head.entropy_excess.is_some_and(|excess| excess.exceeds) || head.non_finite_queries > 0,
};

impl<'a> HeadsFigure<'a> {
    /// `None` if there is nothing to draw.
    pub fn new(diagnosis: &'a Diagnosis, quantity: Quantity) -> Option<Self> {
        let (layers, heads) = (diagnosis.config.layers, diagnosis.config.heads);
        (!diagnosis.runs.is_empty() && layers * heads > 0).then_some(Self { diagnosis, quantity })
    }

    /// Width and height of a panel.
    fn panel(&self) -> (f64, f64) {
        let heads = self.diagnosis.config.heads as f64;
        let width = ((PAGE - LEFT - 16.0) / heads - GAP).clamp(PANEL.0, PANEL.1);
        (width, (width * 0.72).min(84.0))
    }

    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        let (width, height) = self.panel();
        let config = &self.diagnosis.config;
        let wide = LEFT + config.heads as f64 * (width + GAP) + 16.0;
        let high = self.top() + config.layers as f64 * (height + GAP) + BOTTOM;
        (wide.max(PAGE) as u32, high as u32)
    }

    fn top(&self) -> f64 {
        104.0 + ROW * self.legend().len() as f64
    }

    /// Rows of (left edge, run).
    fn legend(&self) -> Vec<Vec<(f64, usize)>> {
        let (mut rows, mut x) = (vec![Vec::new()], 24.0);
        for (index, run) in self.diagnosis.runs.iter().enumerate() {
            let width = SAMPLE + 8.0 + text_width(&run.policy, TICK) + 24.0;
            if x + width > PAGE - 10.0 && x > 24.0 {
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

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        let Diagnosis { config, runs, tokens, trained_length, .. } = self.diagnosis;
        let title = format!("{}, every head of {}", self.quantity.name, subject(self.diagnosis));
        canvas.text(&title, (24.0, 24.0), TITLE, INK, Align::Left);
        let framed = format!(
            "Framed: {} {:?}, under {}; dashed: training length {}; heights of a row are shared{}",
            self.quantity.framed,
            self.quantity.margin,
            runs.first().map_or("", |run| run.policy.as_str()),
            grouped(*trained_length),
            if runs.iter().any(|run| run.heads.iter().any(|head| head.non_finite_queries > 0)) {
                "; ×: not finite from there"
            } else {
                ""
            }
        );
        canvas.text(&framed, (24.0, 47.0), TICK, MUTED, Align::Left);
        let legend = self.legend();
        for (row, entries) in legend.iter().enumerate() {
            for &(x, run) in entries {
                let (y, look) = (74.0 + ROW * row as f64, look(run));
                canvas.line(&[(x, y), (x + SAMPLE, y)], look.color, 1.0, 2.4, look.dash);
                canvas.text(&runs[run].policy, (x + SAMPLE + 8.0, y), TICK, INK, Align::Left);
            }
        }
        let (width, height) = self.panel();
        let x = self.x();
        for head in 0..config.heads {
            let center = LEFT + head as f64 * (width + GAP) + width / 2.0;
            canvas.text(&format!("H{head}"), (center, self.top() - 11.0), TICK, INK, Align::Center);
        }
        for layer in 0..config.layers {
            let top = self.top() + layer as f64 * (height + GAP);
            let y = self.heights(layer);
            canvas.text(&format!("L{layer}"), (24.0, top + height / 2.0), TICK, INK, Align::Left);
            for (value, at) in [(y.high, top + 7.0), (y.low, top + height - 7.0)] {
                canvas.text(&short(value), (LEFT - 6.0, at), 11.5, MUTED, Align::Right);
            }
            for head in 0..config.heads {
                let corner = (LEFT + head as f64 * (width + GAP), top);
                self.draw_panel(canvas, (corner, (width, height)), (layer, head), (&x, &y));
            }
        }
        let below = self.top() + config.layers as f64 * (height + GAP);
        canvas.text(&grouped(x.low as u64), (LEFT, below + 8.0), 11.5, MUTED, Align::Left);
        canvas.text(&grouped(*tokens), (LEFT + width, below + 8.0), 11.5, MUTED, Align::Right);
        canvas.text(
            &format!("across: {}; L: layer, H: head", x.title()),
            (LEFT, below + 34.0),
            LABEL,
            INK,
            Align::Left,
        );
    }

    /// The horizontal axis of every panel.
    fn x(&self) -> Axis {
        let Diagnosis { tokens, trained_length, .. } = self.diagnosis;
        match self.quantity.distances {
            true => Axis::distances(self.quantity.across, *tokens),
            false => Axis::lengths(self.quantity.across, *tokens, *trained_length),
        }
    }

    /// The vertical axis that the heads of a layer share.
    fn heights(&self, layer: usize) -> Axis {
        let heads = 0..self.diagnosis.config.heads;
        let all = heads.flat_map(|head| (0..self.diagnosis.runs.len()).map(move |run| (run, head)));
        let values = all.flat_map(|(run, head)| self.points(run, (layer, head)).into_iter().map(|(_, y)| y));
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low <= high { Axis::new("", low, high, 3.0) } else { Axis::new("", 0.0, 1.0, 3.0) }
    }

    fn draw_panel(
        &self,
        canvas: &mut dyn Canvas,
        ((left, top), (width, height)): (Point, Point),
        (layer, head): (usize, usize),
        (x, y): (&Axis, &Axis),
    ) {
        let pixel =
            |(a, b): Point| (left + x.share(a) * width, top + height - (0.06 + 0.88 * y.share(b)) * height);
        let (right, bottom) = (left + width, top + height);
        let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        let report = |run: &'a crate::diagnose::RunMeasurement| {
            run.heads.iter().find(|report| (report.layer, report.head) == (layer, head))
        };
        let broke = self.diagnosis.runs.first().and_then(report).is_some_and(self.quantity.broke);
        canvas.line(&frame, if broke { INK } else { GRID }, 1.0, if broke { 1.6 } else { 1.0 }, &[]);
        let trained = self.diagnosis.trained_length as f64;
        if (x.low..=x.high).contains(&trained) {
            let (at, _) = pixel((trained, y.low));
            canvas.line(&[(at, top), (at, bottom)], MUTED, 1.0, 1.0, &[3.0, 2.5]);
        }
        for run in 0..self.diagnosis.runs.len() {
            let points = self.points(run, (layer, head));
            let line: Vec<_> = points.into_iter().map(pixel).collect();
            let look = look(run);
            if let Some(at) = self.not_finite_from(run, (layer, head)) {
                let (at, _) = pixel((at.clamp(x.low, x.high), y.low));
                let (at, down, arm) = (at.clamp(left + 3.0, right - 3.0), top + 5.0 + 6.0 * run as f64, 2.6);
                canvas.line(&[(at - arm, down - arm), (at + arm, down + arm)], look.color, 1.0, 1.4, &[]);
                canvas.line(&[(at - arm, down + arm), (at + arm, down - arm)], look.color, 1.0, 1.4, &[]);
            }
            canvas.line(&line, look.color, 1.0, 0.55 * look.width, look.dash);
        }
    }

    /// Lower edge of the first bin whose value is not finite. Of logits, NaN says so (−inf is a bin without a key); a mean
    /// is NaN without any query too, and the head's report says which.
    fn not_finite_from(&self, run: usize, (layer, head): (usize, usize)) -> Option<f64> {
        let run = &self.diagnosis.runs[run];
        let report = run.heads.iter().find(|report| (report.layer, report.head) == (layer, head))?;
        let first = report.first_non_finite?;
        let edges = (self.quantity.edges)(&self.diagnosis.bins);
        if !self.quantity.prefix_maximum {
            return edges.iter().rfind(|&&edge| edge <= first).map(|&edge| edge as f64);
        }
        let values = (self.quantity.values)(&run.arrays);
        let bin =
            (0..edges.len()).find(|&bin| values.get([layer, head, bin]).is_some_and(|value| value.is_nan()));
        bin.map(|bin| edges[bin] as f64)
    }

    /// The curve of one head: (lower edge of the bin, value), thinned, up to where it is not finite.
    fn points(&self, run: usize, (layer, head): (usize, usize)) -> Vec<Point> {
        let end = self.not_finite_from(run, (layer, head)).unwrap_or(f64::INFINITY);
        let values = (self.quantity.values)(&self.diagnosis.runs[run].arrays);
        let (layers, heads, _) = values.dim();
        if layer >= layers || head >= heads {
            return Vec::new();
        }
        let edges = (self.quantity.edges)(&self.diagnosis.bins);
        let edges = &edges[..edges.partition_point(|&edge| (edge as f64) < end)];
        curve(values.slice(s![layer, head, ..]), edges, &self.x(), self.quantity.prefix_maximum)
    }
}

/// At most [`POINTS`] points, evenly along the axis: each the mean of its bins.
fn curve(values: ArrayView1<f32>, edges: &[u64], x: &Axis, prefix_maximum: bool) -> Vec<Point> {
    let mut running = f64::NEG_INFINITY;
    let seen = values.iter().zip(edges).filter(|(value, edge)| value.is_finite() && **edge as f64 >= x.low);
    let seen: Vec<Point> = seen
        .map(|(&value, &edge)| {
            running = running.max(f64::from(value));
            (edge as f64, if prefix_maximum { running } else { f64::from(value) })
        })
        .collect();
    averaged(&seen, |&(edge, _)| (x.share(edge) * POINTS as f64) as i64)
}

fn short(value: f64) -> String {
    format!("{value:.1}").replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn a_curve_begins_where_the_axis_does() {
        let diagnosis = crate::diagnose::synthetic::diagnosis(128, 1024, &["vanilla"]);
        let figure = HeadsFigure::new(&diagnosis, LOGITS).expect("heads");
        let first = figure.points(0, (0, 0))[0].0;
        assert!(figure.x().low == 1.0 && first <= 2.0, "{first}");
    }

    #[test]
    fn a_curve_is_thinned_and_skips_what_was_not_seen() {
        let values = Array1::from(vec![1.0, f32::NEG_INFINITY, 3.0, 2.0]);
        let (edges, axis) = ([0, 10, 20, 30], |end| Axis::lengths("", end, 1_000_000));
        assert_eq!(curve(values.view(), &edges, &axis(40), true), [(0.0, 1.0), (20.0, 3.0), (30.0, 3.0)]);
        assert_eq!(curve(values.view(), &edges, &axis(40), false), [(0.0, 1.0), (20.0, 3.0), (30.0, 2.0)]);
        let long: Array1<f32> = (0..1000).map(|i| i as f32).collect();
        let edges: Vec<u64> = (0..1000).collect();
        let thin = curve(long.view(), &edges, &axis(1000), true);
        assert!(thin.len() <= POINTS && thin.last().is_some_and(|&(_, value)| value > 980.0), "{thin:?}");
    }
}
