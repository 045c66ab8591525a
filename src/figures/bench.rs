//! Time and memory against length (paper appendix G, Fig. 6).

use super::points::{PointSeries, Points};
use super::subject::with_repetition;
use crate::bench::{BenchResult, BenchRun};
use crate::words::grouped;

/// Seconds to read a text of each length.
pub fn encode(result: &BenchResult) -> Points {
    Points {
        title: format!("Time to read a text, {}", with_repetition(&result.model, result.repeated_from)),
        note: "Median over rounds, from an empty cache to the logits of the next token".into(),
        y_label: "seconds".into(),
        ..figure(result, |run| run.length as f64 / run.prefill_tokens_per_second)
    }
}

/// Milliseconds to a token after a text of each length.
pub fn decode(result: &BenchResult) -> Points {
    Points {
        title: format!("Time to a token, {}", with_repetition(&result.model, result.repeated_from)),
        note: "Median over rounds, one token at a time after a text of this length".into(),
        y_label: "milliseconds per token".into(),
        ..figure(result, |run| 1000.0 / run.decode_tokens_per_second)
    }
}

/// Bytes of keys and values.
pub fn memory(result: &BenchResult) -> Points {
    Points {
        title: format!("Memory of keys and values, {}", with_repetition(&result.model, result.repeated_from)),
        note: "What a policy has to hold after a text of this length".into(),
        y_label: "keys and values (MB)".into(),
        ..figure(result, |run| run.kv_cache_bytes as f64 / 1e6)
    }
}

/// One series per policy, over the lengths; the vertical axis is logarithmic, since policies differ by factors.
fn figure(result: &BenchResult, value: impl Fn(&BenchRun) -> f64) -> Points {
    let mut policies: Vec<&str> = result.runs.iter().map(|run| run.policy.as_str()).collect();
    let mut seen = std::collections::HashSet::new();
    policies.retain(|policy| seen.insert(*policy));
    let mut lengths: Vec<usize> = result.runs.iter().map(|run| run.length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let at = |policy: &str, length: usize| {
        let run = result.runs.iter().find(|run| run.policy == policy && run.length == length)?;
        Some(value(run)).filter(|value| value.is_finite())
    };
    let series = |policy: &str| PointSeries {
        name: policy.to_owned(),
        values: lengths.iter().map(|&length| at(policy, length)).collect(),
        intervals: Vec::new(),
    };
    Points {
        title: String::new(),
        note: String::new(),
        x_label: format!("length of the text (tokens); training length {}", grouped(result.trained_length)),
        y_label: String::new(),
        x: lengths.iter().map(|&length| grouped(length as u64)).collect(),
        at: lengths.iter().map(|&length| length as f64).collect(),
        logarithmic: true,
        from_zero: false,
        series: policies.into_iter().map(series).collect(),
    }
}
