//! Whole models against the dense specification: logits and losses of a session, in any cut, are those of [`reference`], for every
//! family, every kind of policy and every grouping of heads.

mod reference;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lm_infinite::checkpoint::LoadedModel;
use lm_infinite::model::config::PositionConfig;
use lm_infinite::policy::{PolicyMap, PolicySpec, PositionScaling};
use lm_infinite::session::{Decoder, Session};
use tempfile::TempDir;

use crate::compare::{Tolerance, assert_close, line};
use crate::families::{CASES, Stored};
use crate::support::{load, made_up_tokens, tiny};

/// Of logits of up to about 10, and of losses.
const CLOSE: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-4 };
const TOKENS: u32 = 40;
/// Least difference between the logits of retrieved keys and others: a hundred times what f32 gets wrong of them.
const CHOICE: f64 = 1e-4;
/// What policies take for the training length, so that 40 tokens are far beyond it.
const TRAINED: u64 = 16;
/// Sizes of chunks, one after the other and again.
const CUTS: [&[usize]; 3] = [&[1], &[7, 1, 2, 13, 5], &[40]];

/// One of each preset, and what they are joined to.
const POLICIES: [&str; 19] = [
    "vanilla",
    "window:window=8",
    "window:window=1",
    "lambda:start=2,window=7",
    "ceiling:ceiling=9",
    "no-start:start=3,beyond=10",
    "ceiling-no-start:start=2,beyond=12,ceiling=6",
    "lm-infinite:start=3,window=8",
    "lm-infinite-topk:start=2,window=8,k=3,from_layer=1",
    "lm-infinite-topk:start=0,window=4,k=2,from_layer=0,distance=3",
    "streaming-llm:start=2,window=9",
    "rerope:window=6",
    "self-extend:group=3,window=4",
    "dca:chunk=8,local=4",
    "temperature:from=4",
    "lm-infinite:start=1,window=11+temperature:from=3",
    "pi:factor=4",
    "ntk:factor=3",
    "yarn:factor=4",
];

/// Those whose encoding changes with the length that is read.
const BY_LENGTH: [&str; 2] = ["dynamic-ntk", "dynamic-ntk+window:window=12"];

/// Models of Llama's family with scalings of their own.
const LLAMAS: [&str; 6] = ["tied", "qwen2", "linear", "llama3", "yarn", "longrope"];

/// Names, and folders with the models.
fn models() -> Vec<(String, TempDir)> {
    let families = CASES.iter().map(|name| ((*name).to_owned(), Stored::read(name).write()));
    let llamas = LLAMAS.iter().map(|name| {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            // Scalings have a configuration of their own, and the weights of the tied model.
            let own = tiny(name).join(file);
            let from = if own.is_file() { own } else { tiny("tied").join(file) };
            std::fs::copy(from, folder.path().join(file)).expect("copied");
        }
        (format!("llama {name}"), folder)
    });
    families.chain(llamas).collect()
}

/// A model, and the same as a decoder.
fn read(path: &Path) -> (LoadedModel, Arc<Decoder>) {
    let model = load(path);
    let decoder = Decoder::new(model.config.clone(), model.weights.clone()).expect("a whole model");
    (model, Arc::new(decoder))
}

/// A text in which no choice of keys is a matter of rounding, and the logits of the reference for it. No passage comes twice in it.
fn decided(model: &LoadedModel, policies: &PolicyMap) -> (Vec<u32>, Vec<Vec<f64>>) {
    let texts = (0..97).map(|seed| made_up_tokens(TOKENS).iter().map(|token| (token + seed) % 97).collect());
    let mut read = texts.map(|tokens: Vec<u32>| {
        let read = reference::read(&model.config, &model.weights, policies, &tokens);
        (tokens, read)
    });
    let found = read.find(|(_, read)| read.closest_choice > CHOICE).expect("a text with clear choices");
    (found.0, found.1.logits)
}

/// Holds a session in every cut against the reference. False where the model cannot follow the policies.
fn agrees(what: &str, path: &Path, policies: &PolicyMap) -> bool {
    let (model, decoder) = read(path);
    if Session::new(decoder.clone(), policies.clone()).is_err() {
        return false;
    }
    let (tokens, want) = decided(&model, policies);
    let loss = |(logits, &token): (&Vec<f64>, &u32)| {
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        (sum.ln() - logits[token as usize]) as f32
    };
    let losses: Vec<f32> = want.iter().zip(&tokens[1..]).map(loss).collect();
    for sizes in CUTS {
        let mut session = Session::new(decoder.clone(), policies.clone()).expect("it was one before");
        let (mut rest, mut read, mut got) = (&tokens[..], 0, Vec::new());
        for &size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, more) = rest.split_at(size.min(rest.len()));
            got.extend(session.score(chunk, None).expect("known tokens").nll);
            (rest, read) = (more, read + chunk.len());
            let logits = session.logits().expect("logits after a token");
            let want: Vec<f32> = want[read - 1].iter().map(|&logit| logit as f32).collect();
            let what = format!("{what}, chunks of {sizes:?}, logits after {read} tokens");
            assert_close(&what, line(&logits), line(&want), CLOSE);
        }
        assert_close(&format!("{what}, chunks of {sizes:?}, losses"), line(&got), line(&losses), CLOSE);
    }
    true
}

#[test]
fn every_family_under_every_policy_is_the_dense_specification() {
    let mut followed: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, folder) in models() {
        let config = load(folder.path()).config;
        let learned = matches!(config.position, PositionConfig::Learned { .. });
        let (mut run, mut failures) = (0, Vec::new());
        for text in POLICIES.into_iter().chain(BY_LENGTH) {
            let policy = PolicySpec::parse(text, TRAINED).expect("a policy").policy;
            let (scaled, changes) = (policy.scaling != PositionScaling::None, policy.clone());
            let what = format!("{name} under {text}");
            let checked = std::panic::catch_unwind(|| agrees(&what, folder.path(), &policy.into()));
            match checked {
                Ok(true) => {
                    run += 1;
                    *followed.entry(text).or_default() += 1;
                }
                Ok(false) => assert!(learned || scaled, "{what} is refused: {changes:?}"),
                Err(_) => failures.push(text),
            }
        }
        assert!(failures.is_empty(), "{name} fails under {failures:?}");
        assert!(run >= if learned { 5 } else { 16 }, "{name}: {run}");
    }
    // Each is followed somewhere, so that nothing passes because it is refused.
    for text in POLICIES.into_iter().chain(BY_LENGTH) {
        assert!(followed.get(text).is_some_and(|&count| count >= 10), "{text}: {followed:?}");
    }
    eprintln!("{followed:?}");
}

/// Policies by head and layer, so that the heads of a group read differently.
#[test]
fn heads_of_a_group_with_policies_of_their_own_are_the_dense_specification() {
    let policy = |text: &str| PolicySpec::parse(text, TRAINED).expect("a policy").policy;
    for (name, folder) in models() {
        let config = load(folder.path()).config;
        let last = config.heads - 1;
        let mut policies = PolicyMap::from(policy("lambda:start=2,window=9"))
            .with_layer(1.min(config.layers - 1), policy("window:window=6"))
            .with_head(0, last, policy("vanilla"));
        if !matches!(config.position, PositionConfig::Learned { .. }) {
            policies = policies.with_head(0, 0, policy("lm-infinite:start=1,window=5"));
        }
        assert!(agrees(&name, folder.path(), &policies), "{name}");
    }
}

/// The reference is no copy of the runtime: a change of one number is seen.
#[test]
fn the_comparison_sees_a_policy_that_differs_by_one_key() {
    let (model, _) = read(&tiny("tied"));
    let tokens = made_up_tokens(TOKENS);
    let logits = |text: &str| {
        let policy = PolicySpec::parse(text, TRAINED).expect("a policy").policy;
        reference::read(&model.config, &model.weights, &policy.into(), &tokens).logits
    };
    let (a, b) = (logits("window:window=8"), logits("window:window=9"));
    let largest = |position: usize| {
        a[position].iter().zip(&b[position]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    assert!(largest(7) < 1e-12 && largest(8) > 1e-3, "{} {}", largest(7), largest(8));
}
