//! Time and memory against length (paper appendix G, Fig. 6).

use super::canvas::Point;
use super::lines::{LineFigure, Series};
use super::theme::look;
use crate::bench::BenchRun;
use crate::results::BenchResult;

/// Seconds to read a text of each length.
pub fn encode(result: &BenchResult) -> LineFigure {
    let seconds = |run: &BenchRun| Some(run.length as f64 / run.prefill_tokens_per_second);
    LineFigure {
        title: format!("Time to read a text, {}", result.model),
        note: "Median over rounds, from an empty cache to the logits of the next token".into(),
        y_label: "seconds".into(),
        ..figure(result, seconds)
    }
}

/// Milliseconds to a token after a text of each length.
pub fn decode(result: &BenchResult) -> LineFigure {
    let milliseconds = |run: &BenchRun| Some(1000.0 / run.decode_tokens_per_second);
    LineFigure {
        title: format!("Time to a token, {}", result.model),
        note: "Median over rounds, one token at a time after a text of this length".into(),
        y_label: "milliseconds per token".into(),
        ..figure(result, milliseconds)
    }
}

/// Bytes of keys and values.
pub fn memory(result: &BenchResult) -> LineFigure {
    LineFigure {
        title: format!("Memory of keys and values, {}", result.model),
        note: "What a policy has to hold after a text of this length".into(),
        y_label: "keys and values (MB)".into(),
        ..figure(result, |run| Some(run.kv_cache_bytes as f64 / 1e6))
    }
}

fn figure(result: &BenchResult, value: impl Fn(&BenchRun) -> Option<f64>) -> LineFigure {
    let mut policies: Vec<&str> = Vec::new();
    for run in &result.runs {
        if !policies.contains(&run.policy.as_str()) {
            policies.push(&run.policy);
        }
    }
    let series = |(index, policy): (usize, &&str)| {
        let runs = result.runs.iter().filter(|run| run.policy == **policy);
        let mut points: Vec<Point> =
            runs.filter_map(|run| Some((run.length as f64, value(run).filter(|v| v.is_finite())?))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series {
            name: (*policy).to_owned(),
            look: Some(look(index)),
            pieces: vec![points],
            band: Vec::new(),
            raw: Vec::new(),
            crosses: Vec::new(),
        }
    };
    LineFigure {
        title: String::new(),
        note: String::new(),
        x_label: "length of the text (tokens)".into(),
        y_label: String::new(),
        x_end: result.runs.iter().map(|run| run.length as u64).max().unwrap_or(1),
        y_holds: Some(0.0),
        trained_length: result.trained_length,
        series: policies.iter().enumerate().map(series).collect(),
    }
}
