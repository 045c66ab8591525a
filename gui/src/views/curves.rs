//! Curves of A and B: loss by position, logits against distance, entropy against length; of all heads or of one.

use eframe::egui::{Color32, Stroke, Ui};
use egui_plot::{HoverPosition, Line, LineStyle, Plot, PlotPoints, VLine};
use lm_infinite::diagnose::{Diagnosis, RunMeasurement};
use lm_infinite_analysis::nll::NllBucket;
use ndarray::Array3;

use super::{NAMES, SIDES};

/// Buckets of the loss in one running mean.
const SMOOTHED: usize = 5;

/// What a plot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// Loss by position.
    Loss,
    /// Largest logit up to a distance.
    Logits,
    /// Entropy against context length.
    Entropy,
}

impl Curve {
    /// All, in the order of the window.
    pub const ALL: [Self; 3] = [Self::Loss, Self::Logits, Self::Entropy];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Loss => "Loss by position (nats per token)",
            Self::Logits => "Largest logit up to a distance",
            Self::Entropy => "Attention entropy (nats) by context length",
        }
    }

    /// Points of a run: of `head`, or the mean over heads. The loss has no heads.
    pub fn points(
        self,
        diagnosis: &Diagnosis,
        run: &RunMeasurement,
        head: Option<(usize, usize)>,
    ) -> Vec<[f64; 2]> {
        match (self, head) {
            (Self::Loss, _) => smoothed(&run.buckets),
            (Self::Logits, None) => run.curves.logits.points().map(|(x, y, _)| [x, y]).collect(),
            (Self::Entropy, None) => run.curves.entropy.points().map(|(x, y, _)| [x, y]).collect(),
            (Self::Logits, Some(head)) => {
                let mut most = f64::NEG_INFINITY;
                let edges = diagnosis.bins.logit_distances.lower();
                let values =
                    row(&run.arrays.max_logit, head).zip(edges).filter(|(value, _)| value.is_finite());
                values
                    .map(|(value, &edge)| {
                        most = most.max(value);
                        [edge as f64, most]
                    })
                    .collect()
            }
            (Self::Entropy, Some(head)) => {
                let edges = diagnosis.bins.positions.lower();
                let values = row(&run.arrays.entropy, head).zip(edges).filter(|(value, _)| value.is_finite());
                values.map(|(value, &edge)| [edge as f64, value]).collect()
            }
        }
    }
}

/// Values of one head of an array [layers, heads, bins]; nothing where the head does not exist.
fn row(values: &Array3<f32>, (layer, head): (usize, usize)) -> impl Iterator<Item = f64> + '_ {
    let bins = values.dim().2;
    (0..bins).filter_map(move |bin| values.get([layer, head, bin]).map(|&value| f64::from(value)))
}

/// Draws one plot.
pub fn show(ui: &mut Ui, curve: Curve, diagnosis: &Diagnosis, head: Option<(usize, usize)>, height: f32) {
    ui.horizontal_wrapped(|ui| {
        ui.strong(curve.title());
        for (side, run) in diagnosis.runs.iter().take(2).enumerate() {
            let drawn = if side == 0 { "solid" } else { "dashed" };
            ui.colored_label(SIDES[side], format!("{} {} ({drawn})", NAMES[side], run.policy));
        }
        let reference =
            if curve == Curve::Loss { "; grey: the same text in pieces of that length" } else { "" };
        ui.weak(format!("bar: training length {}{reference}", diagnosis.trained_length));
    });
    let x_label = if curve == Curve::Logits { "distance (tokens)" } else { "position (tokens)" };
    Plot::new(curve.title())
        .height(height)
        .x_axis_label(x_label)
        .allow_scroll(false)
        .include_x(0.0)
        .include_x(diagnosis.tokens as f64)
        .label_formatter(|at| match at {
            HoverPosition::NearDataPoint { plot_name, position, .. } => {
                Some(format!("{plot_name}\n{:.0} tokens: {:.3}", position.x, position.y))
            }
            _ => None,
        })
        .show(ui, |plot| {
            let trained = VLine::new("training length", diagnosis.trained_length as f64);
            plot.vline(trained.color(Color32::GRAY).style(LineStyle::dashed_loose()));
            if curve == Curve::Loss {
                let points = PlotPoints::from(smoothed(&diagnosis.reference));
                let line = Line::new("in pieces of the training length", points);
                plot.line(line.stroke(Stroke::new(1.0, Color32::GRAY)).style(LineStyle::dotted_dense()));
            }
            for (side, run) in diagnosis.runs.iter().take(2).enumerate() {
                let points = PlotPoints::from(curve.points(diagnosis, run, head));
                let line = Line::new(format!("{} {}", NAMES[side], run.policy), points);
                let line = line.stroke(Stroke::new(if side == 0 { 2.4 } else { 1.8 }, SIDES[side]));
                plot.line(if side == 1 { line.style(LineStyle::dashed_dense()) } else { line });
            }
        });
}

fn smoothed(buckets: &[NllBucket]) -> Vec<[f64; 2]> {
    let finite: Vec<_> =
        buckets.iter().filter_map(|b| Some(((b.from + b.to) as f64 / 2.0, b.nll?))).collect();
    let mean = |part: &[(f64, f64)]| {
        let count = part.len() as f64;
        [part.iter().map(|p| p.0).sum::<f64>() / count, part.iter().map(|p| p.1).sum::<f64>() / count]
    };
    if finite.len() < SMOOTHED {
        return finite.into_iter().map(|(x, y)| [x, y]).collect();
    }
    finite.windows(SMOOTHED).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(at: u64, nll: Option<f64>) -> NllBucket {
        NllBucket { from: 10 * at, to: 10 * at + 10, nll, non_finite: u64::from(nll.is_none()) }
    }

    #[test]
    fn losses_are_running_means_of_what_is_finite() {
        let few = [bucket(0, Some(1.0)), bucket(1, None), bucket(2, Some(3.0))];
        assert_eq!(smoothed(&few), [[5.0, 1.0], [25.0, 3.0]]);
        let many: Vec<_> = (0..6).map(|at| bucket(at, Some(at as f64))).collect();
        assert_eq!(smoothed(&many), [[25.0, 2.0], [35.0, 3.0]]);
        assert!(smoothed(&[]).is_empty());
    }

    #[test]
    fn a_head_that_does_not_exist_has_no_values() {
        let values = Array3::from_shape_fn((1, 2, 3), |(_, head, bin)| (10 * head + bin) as f32);
        assert_eq!(row(&values, (0, 1)).collect::<Vec<_>>(), [10.0, 11.0, 12.0]);
        assert_eq!(row(&values, (1, 0)).count() + row(&values, (0, 2)).count(), 0);
    }
}
