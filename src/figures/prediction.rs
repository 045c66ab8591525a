//! What was predicted beside what was measured, where a run went beyond the training length.

use lm_infinite_analysis::BandCurve;
use lm_infinite_analysis::effect::MeanEffect;
use lm_infinite_analysis::nll::NllBucket;
use lm_infinite_runtime::policy::AttentionPolicy;

use super::canvas::Point;
use super::lines::{LineFigure, Series};
use super::subject::subject;
use super::theme::look;
use crate::diagnose::{Diagnosis, RunMeasurement, START_TOKENS};
use crate::prediction::{AtLength, Predicted};

/// Buckets in a mean of the measured excess.
const SMOOTHED: usize = 4;

/// The run that can be held against a prediction: of the model as it is, beyond the training length.
fn measured(diagnosis: &Diagnosis) -> Option<&RunMeasurement> {
    let vanilla = |run: &&RunMeasurement| run.attention == AttentionPolicy::default();
    diagnosis.runs.iter().find(vanilla).filter(|_| diagnosis.tokens > diagnosis.trained_length)
}

/// What both figures have in common.
fn figure(diagnosis: &Diagnosis, predicted: &Predicted, series: Vec<Series>) -> LineFigure {
    LineFigure {
        title: String::new(),
        note: format!(
            "Predicted from {} windows of the training length, with 95 % intervals; what lies between it and a measured curve was not \
             predicted",
            predicted.windows
        ),
        x_label: "context length (tokens)".into(),
        y_label: String::new(),
        x_end: predicted.length.max(diagnosis.tokens),
        distances: false,
        asinh: false,
        widths: Vec::new(),
        y_holds: Some(0.0),
        trained_length: diagnosis.trained_length,
        repeated_from: None,
        series,
    }
}

/// A curve through the lengths, with a band.
fn by_length(predicted: &Predicted, of: fn(&AtLength) -> Option<MeanEffect>) -> Series {
    let known = || predicted.lengths.iter().filter_map(|at| Some((at.length as f64, of(at)?)));
    let line: Vec<Point> = known().map(|(x, effect)| (x, effect.mean)).collect();
    Series {
        band: known().map(|(x, effect)| (x, effect.low, effect.high)).collect(),
        ..Series::new("predicted", Some(look(0)), vec![line])
    }
}

fn curve(name: &str, curve: &BandCurve, index: usize) -> Series {
    Series::new(name, Some(look(index)), vec![curve.points().map(|(x, mean, _)| (x, mean)).collect()])
}

/// Loss above that within the training length, against the length of the context.
pub fn loss(diagnosis: &Diagnosis) -> Option<LineFigure> {
    let predicted = diagnosis.predicted.as_ref()?;
    let mut series = vec![by_length(predicted, |at| at.loss)];
    if let Some(run) = measured(diagnosis) {
        // Within the training length both are the same.
        let beyond = |(run, _): &(&NllBucket, &NllBucket)| run.from >= diagnosis.trained_length;
        let pairs = run.buckets.iter().zip(&diagnosis.reference).filter(beyond);
        let excess: Vec<Option<Point>> = pairs
            .map(|(run, reference)| Some(((run.from + run.to) as f64 / 2.0, run.nll? - reference.nll?)))
            .collect();
        // A bucket that is not finite breaks the line.
        let mean = |part: &[Option<Point>]| {
            let all: Option<Vec<Point>> = part.iter().copied().collect();
            let count = part.len() as f64;
            all.map(|all| all.iter().fold((0.0, 0.0), |sum, at| (sum.0 + at.0 / count, sum.1 + at.1 / count)))
        };
        let smooth: Vec<Option<Point>> = excess.chunks(SMOOTHED).map(mean).collect();
        let pieces = smooth.split(Option::is_none).map(|piece| piece.iter().flatten().copied().collect());
        series.push(Series::new("measured", Some(look(1)), pieces.collect()));
    }
    Some(LineFigure {
        title: format!("Loss above the training length, predicted, {}", subject(diagnosis)),
        y_label: "excess (nats per token)".into(),
        ..figure(diagnosis, predicted, series)
    })
}

/// Largest logit up to a distance.
pub fn logits(diagnosis: &Diagnosis) -> Option<LineFigure> {
    let predicted = diagnosis.predicted.as_ref()?;
    let mut series = vec![curve("predicted", &predicted.logits_by_distance, 0)];
    series.extend(measured(diagnosis).map(|run| curve("measured", &run.curves.logits, 1)));
    Some(LineFigure {
        title: format!("Largest logit up to a distance, predicted, {}", subject(diagnosis)),
        note: format!("Keys after the first {START_TOKENS}, sampled queries; mean over heads"),
        x_label: "distance between query and key (tokens)".into(),
        y_label: "attention logit".into(),
        distances: true,
        y_holds: None,
        ..figure(diagnosis, predicted, series)
    })
}

/// Entropy of a row.
pub fn entropy(diagnosis: &Diagnosis) -> Option<LineFigure> {
    let predicted = diagnosis.predicted.as_ref()?;
    let mut series = vec![by_length(predicted, |at| at.entropy)];
    series.extend(measured(diagnosis).map(|run| curve("measured", &run.curves.entropy, 1)));
    Some(LineFigure {
        title: format!("Attention entropy, predicted, {}", subject(diagnosis)),
        y_label: "attention entropy (nats)".into(),
        ..figure(diagnosis, predicted, series)
    })
}
