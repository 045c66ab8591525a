//! A run that was stopped measured what a shorter run measures: nothing depends on how much was meant to be read.

use std::path::Path;
use std::sync::Arc;

use lm_infinite::diagnose::{Live, RunMeasurement};
use lm_infinite::evaluate::{ReferenceWindows, evaluate_in_segments};
use lm_infinite::policy::PolicySpec;
use lm_infinite::text::EMBEDDED_TEXT;
use lm_infinite_analysis::Bins;
use ndarray::{Array3, Axis};

use crate::compare::assert_nearly;
use crate::support::{decoder, load};

const POLICIES: [&str; 3] = ["vanilla", "lm-infinite", "window:window=100"];

/// Values of the first bins, and nothing but `empty` in the others.
fn first(values: &Array3<f32>, bins: usize, empty: fn(f32) -> bool) -> Array3<f32> {
    let (first, rest) = values.view().split_at(Axis(2), bins);
    assert!(rest.iter().all(|&value| empty(value)));
    // Not a number is not equal to itself.
    first.mapv(|value| if value.is_nan() { -1.0 } else { value })
}

fn assert_same(stopped: &RunMeasurement, short: &RunMeasurement, bins: &[Bins; 2], case: &str) {
    assert_eq!((&stopped.nll, &stopped.buckets), (&short.nll, &short.buckets), "{case}");
    assert_eq!((&stopped.breaks, &stopped.order), (&short.breaks, &short.order), "{case}");
    assert_eq!(stopped.factors, short.factors, "{case}");
    // Means over bins are sums in another order.
    let heads = |run: &RunMeasurement| serde_json::to_value(&run.heads).expect("writes");
    assert_nearly(case, &heads(stopped), &heads(short), 1e-12);
    assert_eq!(stopped.curves, short.curves, "{case}");
    assert_eq!(stopped.drift, short.drift, "{case}");
    let [positions, distances] = bins.each_ref().map(Bins::len);
    for (name, of) in [
        ("all", (|a| &a.max_logit) as fn(&lm_infinite::diagnose::RunArrays) -> &Array3<f32>),
        ("start", |a| &a.max_logit_start),
        ("last", |a| &a.max_logit_last),
    ] {
        let [stopped, short] =
            [stopped, short].map(|run| first(of(&run.arrays), distances, |value| value == f32::NEG_INFINITY));
        assert_eq!(stopped, short, "{case}: {name}");
    }
    for (name, of) in [
        ("entropy", (|a| &a.entropy) as fn(&lm_infinite::diagnose::RunArrays) -> &Array3<f32>),
        ("start mass", |a| &a.start_mass),
    ] {
        let [stopped, short] = [stopped, short].map(|run| first(of(&run.arrays), positions, f32::is_nan));
        assert_eq!(stopped, short, "{case}: {name}");
    }
    let [stopped, short] = [stopped, short].map(|run| run.arrays.pooled.as_ref().expect("gathered"));
    assert_eq!(stopped.side(), short.side(), "{case}");
    for (row, column) in (0..300).flat_map(|row| (0..=row).map(move |column| (row, column))) {
        assert_eq!(stopped.cell((2, 1), row, column), short.cell((2, 1), row, column), "{case}");
    }
}

#[test]
fn a_stopped_run_is_a_shorter_run() {
    let name = Path::new("tiny-rope");
    let text: String = EMBEDDED_TEXT.chars().take(20_000).collect();
    let tokens = load(name).tokenizer.encode(&text).expect("tokens")[..3000].to_vec();
    let decoder = decoder(name);
    let specs: Vec<PolicySpec> =
        POLICIES.iter().map(|text| PolicySpec::parse(text, 256).expect("a policy")).collect();
    let reference = evaluate_in_segments(
        &decoder,
        &tokens,
        None,
        ReferenceWindows::of(decoder.config(), tokens.len() as u64),
        &|_| (),
    )
    .expect("runs");
    let live = |total: usize| {
        let tokens: Arc<[u32]> = tokens[..total].into();
        let reference = reference[..total - 1].to_vec();
        Live::new("m", decoder.clone(), tokens, reference, specs.clone()).expect("fits")
    };
    let mut long = live(3000);
    let mut read = 0;
    // Within the training length, at its end, at an edge of every grid, and beyond at no edge of any.
    for stop in [200, 256, 512, 1111, 2300] {
        long.step(stop - read).expect("tokens");
        let mut short = live(stop);
        for piece in [200, 256, 512, 1111, 2300].into_iter().take_while(|&piece| piece <= stop) {
            short.step(piece - short.position()).expect("tokens");
        }
        read = stop;
        let (stopped, whole) =
            (long.diagnosis().expect("on the way"), short.diagnosis().expect("at the end"));
        assert_eq!((long.position(), whole.tokens), (stop, stop as u64));
        let bins = [whole.bins.positions.clone(), whole.bins.logit_distances.clone()];
        for (stopped, short) in stopped.runs.iter().zip(&whole.runs) {
            assert_same(stopped, short, &bins, &format!("{} stopped at {stop}", short.policy));
        }
    }
}
