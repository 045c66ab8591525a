//! Loss above the reference of several policies, with bands over segments of text (paper Fig. 5).

use super::lines::{LineFigure, Series, widths};
use super::subject::with_repetition;
use super::theme::look;
use crate::ablation::{Ablation, AblationRun};
use crate::words::grouped;

/// The figure.
pub fn excess(ablation: &Ablation) -> LineFigure {
    let series = |(index, run): (usize, &AblationRun)| {
        let middle = |at: usize| {
            let bucket = &run.excess[at];
            let end = bucket.to.unwrap_or(ablation.tokens).min(ablation.tokens).max(bucket.from + 1);
            (bucket.from as f64 + end as f64) / 2.0
        };
        let bins: Vec<usize> = (0..run.excess.len()).collect();
        // A bin with a loss that is not finite is a gap.
        let pieces = bins.split(|&at| run.excess[at].non_finite.any());
        let value = |&at: &usize| Some((middle(at), run.excess[at].nll?));
        let bands = (0..run.excess.len()).filter_map(|at| {
            let (low, high) = run.excess[at].band?;
            Some((middle(at), low, high))
        });
        Series {
            band: bands.collect(),
            not_finite_from: run.first_non_finite.map(|at| at as f64),
            ..Series::new(
                run.policy.clone(),
                Some(look(index)),
                pieces.map(|piece| piece.iter().filter_map(value).collect()).collect(),
            )
        }
    };
    let buckets = ablation.runs.first().map_or(&[][..], |run| &run.excess);
    let buckets = buckets.iter().map(|bucket| (bucket.from, bucket.to.unwrap_or(ablation.tokens)));
    LineFigure {
        title: format!(
            "What each part of the fix is worth, {}",
            with_repetition(&ablation.model, ablation.repeated_from)
        ),
        note: format!(
            "Mean over {} segments of text, band: 95 % over segments; 0: the same tokens within the training length",
            grouped(ablation.segments)
        ),
        x_label: "token position".into(),
        y_label: "NLL above the reference (nats)".into(),
        x_end: ablation.tokens,
        distances: false,
        asinh: false,
        y_holds: Some(0.0),
        widths: widths(buckets),
        trained_length: ablation.trained_length,
        repeated_from: None,
        series: ablation.runs.iter().enumerate().map(series).collect(),
    }
}
