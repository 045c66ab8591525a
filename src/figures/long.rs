//! Loss and memory of a long run against length (paper Fig. 4).

use lm_infinite_analysis::nll::NllBucket;

use super::axes::Axis;
use super::canvas::Point;
use super::lines::{LineFigure, Series};
use super::subject::with_repetition;
use super::theme::look;
use crate::long_run::{LongResult, LongRunResult, MemorySample, RunningTotals};

/// Loss in buckets that grow with the position.
pub fn nll(result: &LongResult) -> LineFigure {
    let points = |totals: &RunningTotals| {
        let buckets = totals.logarithmic.buckets(result.tokens);
        // A bucket without a token is passed over, one with a loss that is not finite is a gap.
        let pieces = buckets.split(|bucket| bucket.non_finite > 0);
        let point = |b: &NllBucket| Some(((b.from as f64 + b.to as f64) / 2.0, b.nll?));
        pieces.map(|piece| piece.iter().filter_map(point).collect()).collect()
    };
    LineFigure {
        title: format!(
            "Loss over {} tokens, {}",
            crate::words::grouped(result.tokens),
            with_repetition(&result.model, result.repeated_from())
        ),
        note: "Means over buckets that grow with the position, four to a doubling".into(),
        y_label: "NLL (nats per token)".into(),
        ..figure(result, points, |totals| totals.linear.non_finite().first)
    }
}

/// Resident memory on the way. Every shard is a process of its own, and has a line of its own.
pub fn memory(result: &LongResult) -> LineFigure {
    let points = |totals: &RunningTotals| {
        let shards = totals.memory.chunk_by(|before, after| before.shard == after.shard);
        let point = |s: &MemorySample| Some((s.position as f64, s.rss_bytes? as f64 / 1e6));
        shards.map(|samples| samples.iter().filter_map(point).collect()).collect::<Vec<Vec<Point>>>()
    };
    let in_shards = result.runs.iter().any(|run| points(&run.totals).len() > 1);
    let shards = if in_shards { "; one line for each shard that was merged" } else { "" };
    LineFigure {
        title: format!(
            "Memory over {} tokens, {}",
            crate::words::grouped(result.tokens),
            with_repetition(&result.model, result.repeated_from())
        ),
        note: format!("Resident memory of the whole process, the model's file included{shards}"),
        y_label: "resident memory (MB)".into(),
        distances: false,
        y_holds: Some(0.0),
        ..figure(result, points, |_| None)
    }
}

fn figure(
    result: &LongResult,
    points: impl Fn(&RunningTotals) -> Vec<Vec<Point>>,
    not_finite_from: impl Fn(&RunningTotals) -> Option<u64>,
) -> LineFigure {
    // Left of this a logarithmic axis has nothing, and a bucket is a token or two.
    let low = Axis::lengths("", result.tokens, result.trained_length).low;
    let visible = |points: Vec<Point>| points.into_iter().filter(|&(x, _)| x >= low).collect();
    let series = |(index, run): (usize, &LongRunResult)| Series {
        not_finite_from: not_finite_from(&run.totals).map(|at| at as f64),
        ..Series::new(
            run.policy.clone(),
            Some(look(index)),
            points(&run.totals).into_iter().map(visible).collect(),
        )
    };
    LineFigure {
        title: String::new(),
        note: String::new(),
        x_label: "token position".into(),
        y_label: String::new(),
        x_end: result.tokens,
        distances: false,
        asinh: false,
        y_holds: None,
        widths: Vec::new(),
        trained_length: result.trained_length,
        repeated_from: result.repeated_from(),
        series: result.runs.iter().enumerate().map(series).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::long_run::result::tests::{broken, merged, shards};

    #[test]
    fn every_shard_has_a_line_of_memory_though_halos_overlap() {
        let result = merged();
        let figure = memory(&result);
        let positions = |piece: &Vec<(f64, f64)>| piece.iter().map(|&(x, _)| x).collect::<Vec<_>>();
        let seen: Vec<_> = figure.series[0].pieces.iter().map(positions).collect();
        if crate::machine::rss_bytes().is_some() {
            assert_eq!(seen, [vec![10.0, 20.0, 30.0, 40.0, 50.0], vec![50.0, 60.0, 70.0, 80.0, 100.0]]);
        }
        assert!(figure.note.contains("one line for each shard"));
        assert!(!memory(&shards()[0]).note.contains("shard"));
    }

    #[test]
    fn a_loss_that_is_not_finite_is_marked_where_it_begins() {
        assert_eq!(nll(&broken(70)).series[0].not_finite_from, Some(70.0));
        assert_eq!(nll(&merged()).series[0].not_finite_from, None);
    }
}
