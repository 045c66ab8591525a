//! `--precision fast`: what it costs, where it does nothing, and that it is never mixed with what is exact.

use std::sync::Arc;

use lm_infinite::evaluate::evaluate;
use lm_infinite::policy::AttentionPolicy;
use lm_infinite::session::{Decoder, Precision};
use serde_json::Value;

use crate::support::{faq_text, program, smollm2};

fn run(folder: &tempfile::TempDir, arguments: &[&str]) -> (bool, Value, String) {
    let output =
        program().args(arguments).arg("--json").current_dir(folder.path()).output().expect("it starts");
    let data = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.success(), data, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// `docs/speed.md`: over 8,191 tokens the mean was 0.003 nats.
#[test]
fn fast_losses_of_a_real_model_are_near_the_exact_ones() {
    let Some((loaded, text)) = smollm2().zip(faq_text()) else { return };
    let tokens = loaded.tokenizer.encode(&text.chars().take(20_000).collect::<String>()).expect("tokens");
    let decoder = Decoder::new(loaded.config, loaded.weights).expect("a whole model");
    let losses = [Precision::Exact, Precision::Fast].map(|precision| {
        let decoder = Arc::new(decoder.clone().with_precision(precision));
        let expected = if Precision::fast_is_available() { precision } else { Precision::Exact };
        assert_eq!(decoder.precision(), expected);
        evaluate(&decoder, &AttentionPolicy::default(), &tokens[..2048], None, &|_| ()).expect("reads").nll
    });
    let [exact, fast] = losses;
    let mean = |losses: &[f32]| losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
    let difference = mean(&fast) - mean(&exact);
    assert!(difference.abs() <= 0.01, "{difference} nats in the mean");
    assert_eq!(exact != fast, Precision::fast_is_available());
}

#[test]
fn weights_that_are_floats_are_multiplied_exactly_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |precision| run(&folder, &["perplexity", "--tokens", "300", "--precision", precision]);
    let ((_, exact, silent), (_, fast, said)) = (of("exact"), of("fast"));
    assert_eq!(
        (&exact["runs"][0]["nll"], &exact["precision"]),
        (&fast["runs"][0]["nll"], &fast["precision"])
    );
    assert!(said.contains("the same as exact") && !silent.contains("precision"), "{said}");
    let output = program().args(["generate", "--precision", "rough"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("exact or fast"));
}

#[test]
fn fast_shards_are_not_merged_with_exact_ones() {
    if smollm2().is_none() || !Precision::fast_is_available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let shard = |index: &str, precision: &str, out: &str| {
        let policy = "lm-infinite:window=64";
        let arguments = ["perplexity", "--model", "smollm2", "--tokens", "300", "--policy", policy];
        let more = ["--shard", index, "--precision", precision, "--out", out];
        let (fine, data, said) = run(&folder, &[&arguments[..], &more].concat());
        assert!(fine, "{data} {said}");
    };
    shard("0/2", "exact", "a");
    shard("1/2", "fast", "b");
    let (fine, data, said) = run(&folder, &["merge", "a", "b", "--out", "whole"]);
    assert!(!fine && format!("{data}{said}").contains("precision"), "{data} {said}");
}
