//! What the plots show: lines with their bands, made once for a diagnosis, a head and an axis.

use lm_infinite::diagnose::{Diagnosis, RunMeasurement, head_name};
use lm_infinite_analysis::BandCurve;
use lm_infinite_analysis::nll::NllBucket;

use super::axis::{Axis, Spacing};
use super::line::{Kind, Line, with_gaps};
use crate::theme;
use crate::tour::Part;

/// Buckets of the loss in one running mean.
const SMOOTHED: usize = 5;
/// A lower bound of the entropy below 0 says nothing; below this it is not drawn.
const LOWEST_BOUND: f64 = -2.0;

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

    /// What it is called in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "Loss",
            Self::Logits => "Logits",
            Self::Entropy => "Entropy",
        }
    }

    /// What it is called, with its unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::Loss => "Loss by position (nats per token)",
            Self::Logits => "Largest logit up to a distance",
            Self::Entropy => "Attention entropy by context length (nats)",
        }
    }

    /// What the tour calls it.
    pub(super) fn part(self) -> Part {
        match self {
            Self::Loss => Part::Loss,
            Self::Logits => Part::Logits,
            Self::Entropy => Part::Entropy,
        }
    }

    /// What goes across.
    pub fn across(self) -> &'static str {
        match self {
            Self::Loss => "position (tokens)",
            Self::Logits => "distance between query and key (tokens)",
            Self::Entropy => "context length (tokens)",
        }
    }
}

/// What the menus and the pointer say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// Which of [`Curve::ALL`] are shown.
    pub curves: [bool; 3],
    /// Of the horizontal axis.
    pub spacing: Spacing,
    /// Bounds of the entropy of A (0) or B (1).
    pub bounds: Option<usize>,
    /// Pinned heads are compared, where there are some.
    pub pinned: bool,
    /// Place on the axis that the pointer is over, in any of the plots.
    pub cursor: Option<f64>,
}

impl Default for Controls {
    fn default() -> Self {
        Self { curves: [true; 3], spacing: Spacing::default(), bounds: None, pinned: true, cursor: None }
    }
}

/// What the reader asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// One head; `None` for the mean over all.
    pub head: Option<(usize, usize)>,
    /// Heads that are compared, in place of that.
    pub pins: Vec<(usize, usize)>,
    /// Of the horizontal axis.
    pub spacing: Spacing,
    /// Bounds of the entropy of A (0) or B (1).
    pub bounds: Option<usize>,
}

/// All lines of one plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Which.
    pub curve: Curve,
    /// Of A, of B, and what they are held against.
    pub lines: Vec<Line>,
    /// What is not drawn, and why.
    pub note: String,
    /// Values that the vertical axis has to hold, so that a flat curve is not drawn on an axis of its last decimals; `None`
    /// where there are no values.
    pub holds: Option<[f64; 2]>,
}

/// Shortest vertical axis: in nats or logits, and as a share of the values.
const LEAST_SPAN: f64 = 0.5;
const LEAST_SHARE: f64 = 0.05;

/// Around all values, and no shorter than the shortest axis.
fn holds(lines: &[Line]) -> Option<[f64; 2]> {
    let values = lines.iter().flat_map(|line| {
        let [_, low, high] = &line.band;
        line.points.iter().map(|point| point.y).chain(low.iter().copied()).chain(high.iter().copied())
    });
    let ends = values.filter(|value| value.is_finite()).fold(None, |ends: Option<[f64; 2]>, value| {
        Some(ends.map_or([value; 2], |[low, high]| [low.min(value), high.max(value)]))
    });
    let [low, high] = ends?;
    let least = LEAST_SPAN.max(LEAST_SHARE * low.abs().max(high.abs()));
    let more = ((least - (high - low)) / 2.0).max(0.0);
    Some([low - more, high + more])
}

impl Drawing {
    /// Of one curve.
    pub fn new(diagnosis: &Diagnosis, curve: Curve, asked: &Asked, axis: &Axis) -> Self {
        let mut lines = Vec::new();
        let compared = curve != Curve::Loss && !asked.pins.is_empty();
        if compared {
            lines = pinned(diagnosis, curve, &asked.pins, axis);
        }
        for (side, run) in diagnosis.runs.iter().enumerate().filter(|_| !compared) {
            let name = format!("{} {}", theme::name(side), run.policy);
            let (points, not_finite_from) = points(curve, run, asked.head);
            let line = Line::new(Kind::Side(side), name, axis, points.into_iter());
            let line = Line { not_finite_from, ..line };
            lines.push(match (curve, asked.head) {
                (Curve::Logits, None) => line.with_band(axis, &run.curves.logits, &run.logit_band()),
                (Curve::Entropy, None) => line.with_band(axis, &run.curves.entropy, &run.entropy_band()),
                _ => line,
            });
        }
        let mut note = String::new();
        if curve == Curve::Loss {
            note = not_drawn(diagnosis);
            let points = smoothed(&diagnosis.reference).into_iter();
            lines.push(Line::new(Kind::Reference, "reference: windows of the training length", axis, points));
        }
        if let (Curve::Entropy, Some(run)) = (curve, asked.bounds.and_then(|side| diagnosis.runs.get(side))) {
            note = bounds(run, asked.head, axis, &mut lines);
        }
        let holds = holds(&lines);
        Self { curve, lines, note, holds }
    }
}

/// A line for every pinned head under every policy.
fn pinned(diagnosis: &Diagnosis, curve: Curve, pins: &[(usize, usize)], axis: &Axis) -> Vec<Line> {
    let mut lines = Vec::new();
    for (pin, &head) in pins.iter().enumerate() {
        for (side, run) in diagnosis.runs.iter().enumerate() {
            let name = format!("{} {}", head_name(head), theme::name(side));
            let (points, not_finite_from) = points(curve, run, Some(head));
            let line = Line::new(Kind::Pin { pin, side }, name, axis, points.into_iter());
            lines.push(Line { not_finite_from, ..line });
        }
    }
    lines
}

/// How many losses have no place in the plot.
fn not_drawn(diagnosis: &Diagnosis) -> String {
    let runs = diagnosis.runs.iter().enumerate().filter_map(|(side, run)| {
        let lost: u64 = run.buckets.iter().map(|bucket| bucket.non_finite).sum();
        (lost > 0).then(|| format!("{} tokens under {}", lost, theme::name(side)))
    });
    let lost: Vec<_> = runs.collect();
    if lost.is_empty() { String::new() } else { format!("losses that are not finite: {}", lost.join(", ")) }
}

/// Adds what the entropy of a run is held against (appendix D of the paper); tells what is left out.
fn bounds(run: &RunMeasurement, head: Option<(usize, usize)>, axis: &Axis, lines: &mut Vec<Line>) -> String {
    let all = &run.curves.entropy_bounds;
    let mut curves = vec![("ln n", &all.maximum)];
    if head.is_none() {
        curves.extend([
            ("ln n \u{2212} σ²/2", &all.gaussian),
            ("ln n \u{2212} (max \u{2212} min)", &all.spread),
            ("ln n \u{2212} 2B", &all.magnitude),
        ]);
    }
    let mut below = Vec::new();
    for (number, (name, curve)) in curves.into_iter().enumerate() {
        let drawn = |[x, y]: [f64; 2]| [x, if y >= LOWEST_BOUND { y } else { f64::NAN }];
        let line = Line::new(Kind::Bound(number), name, axis, with_gaps(curve).into_iter().map(drawn));
        if line.pieces().next().is_none() {
            below.push(name);
        } else {
            lines.push(line);
        }
    }
    match (head, below.is_empty()) {
        (Some(_), _) => "the bounds by the logits are known as means over all heads".to_owned(),
        (None, false) => format!("below \u{2212}2 nats: {}", below.join(", ")),
        (None, true) => String::new(),
    }
}

/// Points of a run, in tokens: of `head`, or the mean over heads; and from where they are not finite. The loss has no heads.
fn points(curve: Curve, run: &RunMeasurement, head: Option<(usize, usize)>) -> (Vec<[f64; 2]>, Option<u64>) {
    let of_heads = |curve: &BandCurve| (with_gaps(curve), curve.not_finite_from);
    let of_head = head.map(|head| run.curves_of_head(head));
    match (curve, &of_head) {
        (Curve::Loss, _) => (smoothed(&run.buckets), run.first_non_finite),
        (_, Some(None)) => (Vec::new(), None),
        (Curve::Logits, None) => of_heads(&run.curves.logits),
        (Curve::Logits, Some(Some(curves))) => of_heads(&curves.logits),
        (Curve::Entropy, None) => of_heads(&run.curves.entropy),
        (Curve::Entropy, Some(Some(curves))) => of_heads(&curves.entropy),
    }
}

/// Running means of the buckets; NaN where one of them is not finite, or has no loss.
fn smoothed(buckets: &[NllBucket]) -> Vec<[f64; 2]> {
    let value = |b: &NllBucket| b.nll.filter(|_| b.non_finite == 0).unwrap_or(f64::NAN);
    let finite: Vec<_> = buckets.iter().map(|b| ((b.from + b.to) as f64 / 2.0, value(b))).collect();
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
    use egui_plot::PlotPoint;
    use lm_infinite::diagnose::HeadBand;

    use super::super::line::COLUMNS;
    use super::*;

    fn bucket(at: u64, nll: Option<f64>) -> NllBucket {
        let first_non_finite = nll.is_none().then_some(10 * at);
        NllBucket {
            from: 10 * at,
            to: 10 * at + 10,
            nll,
            non_finite: u64::from(nll.is_none()),
            first_non_finite,
        }
    }

    #[test]
    fn losses_are_running_means_and_none_passes_over_what_is_not_finite() {
        let few = smoothed(&[bucket(0, Some(1.0)), bucket(1, None), bucket(2, Some(3.0))]);
        assert_eq!((few.len(), few[0], few[2]), (3, [5.0, 1.0], [25.0, 3.0]));
        assert!(few[1][1].is_nan());
        let with_a_gap: Vec<_> = (0..12).map(|at| bucket(at, Some(1.0).filter(|_| at != 5))).collect();
        let gap = smoothed(&with_a_gap).iter().map(|[_, y]| y.is_nan()).collect::<Vec<_>>();
        assert_eq!(gap, [false, true, true, true, true, true, false, false]);
        let many: Vec<_> = (0..6).map(|at| bucket(at, Some(at as f64))).collect();
        assert_eq!(smoothed(&many), [[25.0, 2.0], [35.0, 3.0]]);
        assert!(smoothed(&[]).is_empty());
    }

    #[test]
    fn values_are_read_between_points_and_not_outside() {
        let axis = Axis::new(Spacing::Linear, 100, 10);
        let points = [[10.0, 1.0], [20.0, 3.0], [40.0, 3.0]];
        let band = BandCurve {
            x: vec![10.0, 20.0],
            mean: vec![Some(1.0), Some(3.0)],
            std: vec![Some(0.5), Some(1.5)],
            not_finite_from: None,
        };
        let ends = [HeadBand { x: 10.0, low: 0.5, high: 2.0 }, HeadBand { x: 20.0, low: 1.5, high: 6.0 }];
        let line = Line::new(Kind::Side(0), "A", &axis, points.into_iter()).with_band(&axis, &band, &ends);
        let values = [9.9, 10.0, 15.0, 30.0, 40.0, 40.1].map(|at| line.value(at));
        assert_eq!(values, [None, Some(1.0), Some(2.0), Some(3.0), Some(3.0), None]);
        assert_eq!([15.0, 30.0].map(|at| line.band_at(at)), [Some([1.0, 4.0]), None]);
        assert_eq!(Line::new(Kind::Reference, "", &axis, [].into_iter()).value(1.0), None);
    }

    #[test]
    fn a_line_has_a_gap_where_values_are_not_finite() {
        let axis = Axis::new(Spacing::Linear, 100, 10);
        let curve = BandCurve {
            x: vec![10.0, 20.0, 30.0, 40.0, 50.0],
            mean: vec![Some(1.0), Some(2.0), None, Some(4.0), Some(5.0)],
            std: vec![Some(0.5), Some(0.5), None, Some(0.5), Some(0.5)],
            not_finite_from: Some(25),
        };
        let band: Vec<HeadBand> =
            [10.0, 20.0, 40.0, 50.0].map(|x| HeadBand { x, low: 0.5, high: 1.5 }).into();
        let of = |curve: &BandCurve| {
            Line::new(Kind::Side(0), "A", &axis, with_gaps(curve).into_iter()).with_band(&axis, curve, &band)
        };
        let line = of(&curve);
        let pieces: Vec<_> = line.pieces().map(|piece| (piece[0].x, piece[piece.len() - 1].x)).collect();
        assert_eq!(pieces, [(10.0, 20.0), (40.0, 50.0)]);
        let bands: Vec<_> = line.band_pieces().iter().map(|[places, ..]| places.to_vec()).collect();
        assert_eq!(bands, [[10.0, 20.0], [40.0, 50.0]]);
        assert_eq!([15.0, 25.0, 35.0, 45.0].map(|at| line.value(at)), [Some(1.5), None, None, Some(4.5)]);
        assert_eq!((line.band_at(15.0), line.band_at(25.0)), (Some([0.5, 1.5]), None));
        // What was never seen is a gap too.
        let unseen = of(&BandCurve { not_finite_from: None, ..curve });
        assert_eq!((unseen.pieces().count(), unseen.band_pieces().len(), unseen.value(30.0)), (2, 2, None));
    }

    #[test]
    fn a_flat_curve_has_room_around_it_and_no_more() {
        let axis = Axis::new(Spacing::Linear, 100, 10);
        let of = |values: &[f64]| {
            let points = values.iter().enumerate().map(|(at, &value)| [at as f64, value]);
            holds(&[Line::new(Kind::Side(0), "A", &axis, points)])
        };
        assert_eq!(of(&[2.0, 2.0, f64::NAN]), Some([1.75, 2.25]));
        let [low, high] = of(&[2.0, 2.0 + 1e-9]).expect("values");
        assert!((low - 1.75).abs() < 1e-6 && (high - 2.25).abs() < 1e-6);
        assert_eq!(of(&[0.0]), Some([-0.25, 0.25]));
        assert_eq!(of(&[-400.0, -400.0]), Some([-410.0, -390.0]));
        assert_eq!(of(&[1.0, 3.0]), Some([1.0, 3.0]), "what is not flat has its own ends");
        assert_eq!((of(&[f64::NAN]), of(&[])), (None, None));
    }

    #[test]
    fn a_line_of_many_points_is_thinned_to_what_a_screen_shows() {
        for spacing in [Spacing::Linear, Spacing::Logarithmic] {
            let axis = Axis::new(spacing, 1 << 20, 256);
            let points = (1..=16_384).map(|at| [f64::from(at) * 64.0, if at <= 8192 { 1.0 } else { 5.0 }]);
            let line = Line::new(Kind::Side(0), "A", &axis, points);
            assert!(line.points.len() <= COLUMNS + 1, "{}", line.points.len());
            assert!(line.points.windows(2).all(|pair| pair[0].x < pair[1].x));
            let ends = [line.points.first(), line.points.last()].map(|point| point.map(|point| point.y));
            assert_eq!(ends, [Some(1.0), Some(5.0)], "a step stays a step");
        }
    }

    #[test]
    fn a_logarithmic_axis_leaves_out_what_lies_left_of_it() {
        let axis = Axis::new(Spacing::Logarithmic, 10_000, 160);
        let line = Line::new(Kind::Side(0), "A", &axis, [[0.0, 1.0], [9.0, 2.0], [100.0, 3.0]].into_iter());
        assert_eq!(line.points, [PlotPoint::new(2.0, 3.0)]);
    }
}
