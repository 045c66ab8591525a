//! The paper's phenomena on the embedded models: read past 256 tokens, they fail for its reasons, and LM-Infinite mends them.
//!
//! Losses are compared with those of the same tokens behind 224 to 256 tokens of context (`evaluate_in_segments`), so that
//! a hard passage at one position does not pass for an effect of position. Means over 16 segments of the embedded text,
//! which no model was trained on.

use std::sync::{Arc, OnceLock};

use lm_infinite::checkpoint::{self, LoadedModel};
use lm_infinite::diagnose::Diagnosis;
use lm_infinite::evaluate::{ReferenceWindows, evaluate, evaluate_in_segments};
use lm_infinite::method::Method;
use lm_infinite::passkey::{self, Prompt};
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::Decoder;

use crate::support::{cache, diagnose};

const TRAINED: usize = 256;
const TOKENS: usize = 16 * TRAINED;
const SEGMENTS: usize = 16;

fn method_of(text: &str) -> Method {
    Method::parse(text, TRAINED as u64).expect("a method")
}

pub struct Embedded {
    loaded: LoadedModel,
    decoder: Arc<Decoder>,
    /// Each a BOS and the tokens of a piece of the embedded text, from anywhere in it.
    segments: Vec<Vec<u32>>,
    /// Losses of their tokens within the training length.
    reference: Vec<Vec<f32>>,
}

impl Embedded {
    fn new(name: &str) -> Self {
        let loaded = checkpoint::load(name, &cache()).expect("built in");
        assert_eq!(loaded.config.trained_length, TRAINED as u64);
        let decoder = Arc::new(Decoder::new(loaded.config.clone(), loaded.weights.clone()).expect("whole"));
        let text = include_str!("../../runtime/assets/text/sample.txt");
        let tokens = loaded.tokenizer.encode_without_bos(text).expect("encodes");
        assert!(tokens.len() >= 200_000, "{} tokens", tokens.len());
        let bos = loaded.tokenizer.bos().expect("a BOS");
        let every = tokens.len() / SEGMENTS;
        let segment =
            |i| std::iter::once(bos).chain(tokens[i * every..][..TOKENS - 1].iter().copied()).collect();
        let segments: Vec<Vec<u32>> = (0..SEGMENTS).map(segment).collect();
        let reference = |tokens: &Vec<u32>| {
            evaluate_in_segments(
                &decoder,
                tokens,
                Some(bos),
                ReferenceWindows { length: TRAINED as u64, stride: 32 },
                &|_| (),
            )
            .expect("runs")
        };
        let reference = segments.iter().map(reference).collect();
        Self { loaded, decoder, segments, reference }
    }

    /// Mean loss at positions `from..to` under `policy`, less that of the same tokens within the training length.
    fn excess(&self, policy: &str, (from, to): (usize, usize)) -> f64 {
        let policy = PolicySpec::parse(policy, TRAINED as u64).expect("a policy").policy;
        let sum: f64 = std::iter::zip(&self.segments, &self.reference)
            .map(|(tokens, reference)| {
                let nll = evaluate(&self.decoder, &policy, tokens, None, &|_| ()).expect("runs").nll;
                let pairs = nll[from - 1..to - 1].iter().zip(&reference[from - 1..to - 1]);
                pairs.map(|(nll, reference)| f64::from(nll - reference)).sum::<f64>()
            })
            .sum();
        sum / (SEGMENTS * (to - from)) as f64
    }

    /// Share of `prompts` prompts of `lengths` tokens that are answered.
    fn passkey_accuracy(&self, method: &str, lengths: std::ops::Range<usize>, prompts: u64) -> f64 {
        let method = method_of(method);
        let right = |seed: u64| {
            let length = lengths.start + (seed as usize * 37) % lengths.len();
            let prompt = Prompt::new(&self.loaded.tokenizer, length, None, seed, 0).expect("long enough");
            let answer =
                passkey::answer(&self.decoder, &self.loaded.tokenizer, &method, &prompt).expect("runs");
            prompt.is_answered_by(&answer)
        };
        (0..prompts).filter(|&seed| right(seed)).count() as f64 / prompts as f64
    }

    pub fn diagnosis(&self, policies: &[&str]) -> Diagnosis {
        diagnose(&self.decoder, &self.segments[0], self.reference[0].clone(), policies)
    }
}

pub fn rope() -> &'static Embedded {
    static MODEL: OnceLock<Embedded> = OnceLock::new();
    MODEL.get_or_init(|| Embedded::new("tiny-rope"))
}

const LATE: (usize, usize) = (2048, 4096);

#[test]
fn vanilla_rope_fails_at_16_times_its_training_length() {
    let end = (TOKENS - 512, TOKENS);
    let excess = rope().excess("vanilla", end);
    assert!(excess >= 1.0, "{excess:.3}");
}

#[test]
fn lm_infinite_is_flat() {
    let excess = rope().excess("lm-infinite", LATE);
    assert!(excess.abs() <= 0.05, "{excess:.3}");
}

#[test]
fn a_window_without_start_tokens_loses_more_than_lm_infinite() {
    let (window, infinite) = (rope().excess("window", LATE), rope().excess("lm-infinite", LATE));
    assert!(window - infinite >= 0.04, "{window:.3} {infinite:.3}");
}

/// Fig. 5: neither half of the fix does.
#[test]
fn mask_and_ceiling_are_both_needed() {
    let [lambda, ceiling, infinite] =
        ["lambda", "ceiling", "lm-infinite"].map(|policy| rope().excess(policy, LATE));
    assert!(lambda - infinite >= 0.2 && ceiling - infinite >= 0.05, "{lambda:.3} {ceiling:.3} {infinite:.3}");
}

#[test]
fn passkeys_within_the_training_length_are_found() {
    let accuracy = rope().passkey_accuracy("vanilla", 128..TRAINED + 1, 200);
    assert!(accuracy >= 0.95, "{accuracy}");
}

#[test]
fn a_passkey_that_is_still_in_the_window_is_found_at_any_length() {
    // 0.97 of the way in: within the last 256 tokens of 4096.
    let model = rope();
    let method = method_of("lm-infinite");
    let found = (0..40).filter(|&seed| {
        let prompt = Prompt::new(&model.loaded.tokenizer, TOKENS, Some(0.97), seed, 0).expect("long enough");
        let answer =
            passkey::answer(&model.decoder, &model.loaded.tokenizer, &method, &prompt).expect("runs");
        prompt.is_answered_by(&answer)
    });
    let found = found.count();
    assert!(found >= 36, "{found} of 40");
}

#[test]
fn the_three_factors_break_under_vanilla_and_window_and_hold_under_lm_infinite() {
    let diagnosis = rope().diagnosis(&["vanilla", "window", "lm-infinite"]);
    let [vanilla, window, infinite] = diagnosis.runs.as_slice() else { panic!("three runs") };
    let summary = diagnosis.summary();
    assert!(
        vanilla.factors.logits.verdict.broke
            && vanilla.factors.entropy.verdict.broke
            && vanilla.breaks.is_some(),
        "{summary}"
    );
    assert!(window.factors.drift.verdict.broke && !window.factors.logits.verdict.broke, "{summary}");
    assert!(infinite.order.factors.is_empty() && infinite.breaks.is_none(), "{summary}");
    // Fig. 1c: start tokens live in a region of their own.
    assert!(infinite.factors.drift.start_distance.is_some_and(|distance| distance >= 5.0), "{summary}");
}

/// ALiBi was made for this: its logits only fall with distance, and the bias keeps attention near.
#[test]
fn alibi_needs_its_start_tokens_more_than_a_limit() {
    let model = Embedded::new("tiny-alibi");
    let [vanilla, window, infinite] =
        ["vanilla", "window", "lm-infinite"].map(|policy| model.excess(policy, LATE));
    assert!(vanilla.abs() <= 0.2 && infinite.abs() <= 0.1, "{vanilla:.3} {infinite:.3}");
    assert!(window - infinite >= 0.1, "{window:.3} {infinite:.3}");
}

/// Without a position encoding a model counts by what it attends to: the ceiling has nothing to bound, and the mask changes
/// the count. LM-Infinite makes the failure smaller and does not end it.
#[test]
fn no_position_encoding_fails_and_is_not_mended() {
    let model = Embedded::new("tiny-nope");
    let [vanilla, ceiling, infinite] =
        ["vanilla", "ceiling", "lm-infinite"].map(|policy| model.excess(policy, LATE));
    assert!(vanilla >= 2.0 && infinite >= 1.0 && vanilla - infinite >= 1.0, "{vanilla:.3} {infinite:.3}");
    assert!((vanilla - ceiling).abs() <= 1e-3, "{vanilla:.3} {ceiling:.3}");
}

#[test]
fn passkeys_under_alibi_are_found_too() {
    let accuracy = Embedded::new("tiny-alibi").passkey_accuracy("vanilla", 128..TRAINED + 1, 100);
    assert!(accuracy >= 0.9, "{accuracy}");
}
