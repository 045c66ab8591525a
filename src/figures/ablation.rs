//! Loss above the reference of several policies, with bands over stretches of text (paper Fig. 5).

use super::lines::{LineFigure, Series};
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
        let values = (0..run.excess.len()).filter_map(|at| Some((middle(at), run.excess[at].nll?)));
        let bands = (0..run.excess.len()).filter_map(|at| {
            let (low, high) = run.excess[at].band?;
            Some((middle(at), low, high))
        });
        Series {
            name: run.policy.clone(),
            look: Some(look(index)),
            pieces: vec![values.collect()],
            band: bands.collect(),
            raw: Vec::new(),
            crosses: Vec::new(),
        }
    };
    LineFigure {
        title: format!("What each part of the fix is worth, {}", ablation.model),
        note: format!(
            "Mean over {} stretches of text, band: 95 % over stretches; 0: the same tokens within the training length",
            grouped(ablation.stretches)
        ),
        x_label: "token position".into(),
        y_label: "NLL above the reference (nats)".into(),
        x_end: ablation.tokens,
        y_holds: Some(0.0),
        trained_length: ablation.trained_length,
        series: ablation.runs.iter().enumerate().map(series).collect(),
    }
}
