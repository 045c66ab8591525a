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

use self::reference::{Chooser, Reading};
use crate::compare::{Tolerance, assert_close, line};
use crate::families::{CASES, Stored};
use crate::support::{load, made_up_tokens, tiny};

/// Of logits of up to about 10, and of losses.
const CLOSE: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-4 };
const TOKENS: u32 = 40;
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

/// What the reference gives for `tokens`, once for every way in which choices within [`reference::ROUNDING`] can be made. `None` where there are more
/// than a few: among three keys or more, or by more queries than three.
fn readings(model: &LoadedModel, policies: &PolicyMap, tokens: &[u32]) -> Option<Vec<Vec<Vec<f64>>>> {
    let mut found = Vec::new();
    // What is chosen in one layer changes the choices of the next, so that ways are followed one by one.
    let mut ways: Vec<Vec<Chooser>> = vec![Vec::new()];
    while let Some(way) = ways.pop() {
        let Reading { logits, choices } =
            reference::read(&model.config, &model.weights, policies, tokens, &way);
        let behind = way.last().copied();
        for choice in choices.iter().filter(|choice| choice.is_open() && Some(choice.by) > behind) {
            if choice.near > 2 {
                return None;
            }
            ways.push([&way[..], &[choice.by]].concat());
        }
        found.push(logits);
        if found.len() + ways.len() > 8 {
            return None;
        }
    }
    Some(found)
}

/// Logits of a session that is given `tokens` in chunks of `sizes`, one after the other and again, by the number of tokens that were
/// read; and the losses.
fn follow(decoder: &Arc<Decoder>, policies: &PolicyMap, tokens: &[u32], sizes: &[usize]) -> Followed {
    let mut session = Session::new(decoder.clone(), policies.clone()).expect("it was one before");
    let (mut rest, mut read, mut followed) = (tokens, 0, Followed::default());
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, more) = rest.split_at(size.min(rest.len()));
        followed.losses.extend(session.score(chunk, None).expect("known tokens").nll);
        (rest, read) = (more, read + chunk.len());
        followed.logits.push((read, session.logits().expect("logits after a token")));
    }
    followed
}

#[derive(Default)]
struct Followed {
    logits: Vec<(usize, Vec<f32>)>,
    losses: Vec<f32>,
}

impl Followed {
    /// Panics where it is not what the reference gives.
    fn assert_is(&self, what: &str, tokens: &[u32], want: &[Vec<f64>]) {
        let loss = |(logits, &token): (&Vec<f64>, &u32)| {
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            (sum.ln() - logits[token as usize]) as f32
        };
        for (read, got) in &self.logits {
            let want: Vec<f32> = want[read - 1].iter().map(|&logit| logit as f32).collect();
            assert_close(&format!("{what}, logits after {read} tokens"), line(got), line(&want), CLOSE);
        }
        let losses: Vec<f32> = want.iter().zip(&tokens[1..]).map(loss).collect();
        assert_close(&format!("{what}, losses"), line(&self.losses), line(&losses), CLOSE);
    }
}

/// Holds a session in every cut against the reference. False where the model cannot follow the policies.
fn agrees(what: &str, path: &Path, policies: &PolicyMap) -> bool {
    let (model, decoder) = read(path);
    if Session::new(decoder.clone(), policies.clone()).is_err() {
        return false;
    }
    // One text, and three where keys are chosen. No passage comes twice in one.
    let wanted = if what.contains("topk") { 3 } else { 1 };
    let mut compared = 0;
    for text in 0..97 {
        let tokens: Vec<u32> = made_up_tokens(TOKENS).iter().map(|token| (token + text) % 97).collect();
        let Some(readings) = readings(&model, policies, &tokens) else { continue };
        for sizes in CUTS {
            let what = format!("{what}, text {text}, chunks of {sizes:?}");
            let followed = follow(&decoder, policies, &tokens, sizes);
            let is = |want: &Vec<Vec<f64>>| {
                std::panic::catch_unwind(|| followed.assert_is(&what, &tokens, want)).is_ok()
            };
            if !readings[1..].iter().any(is) {
                followed.assert_is(&what, &tokens, &readings[0]);
            }
        }
        compared += 1;
        if compared == wanted {
            return true;
        }
    }
    panic!("{what}: {compared} texts whose choices are clear, of {wanted}");
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

/// Clamped queries and keys have few products, so that the logits of different keys are equal but for the order of their sums: such ties
/// are MPT's alone, and a session makes each of them one way or the other.
#[test]
fn choices_are_tied_where_queries_and_keys_are_clamped_and_nowhere_else() {
    /// What sums of a few f64 in another order differ by.
    const SUMS: f64 = 1e-14;
    let policies: PolicyMap = PolicySpec::parse(POLICIES[8], TRAINED).expect("a policy").policy.into();
    let (mut tied, mut clear) = (0, 0);
    for (name, folder) in models() {
        let (model, decoder) = read(folder.path());
        if Session::new(decoder.clone(), policies.clone()).is_err() {
            continue;
        }
        for text in 0..6 {
            let tokens: Vec<u32> = made_up_tokens(TOKENS).iter().map(|token| (token + text) % 97).collect();
            let read = reference::read(&model.config, &model.weights, &policies, &tokens, &[]);
            clear += read.choices.iter().filter(|choice| !choice.is_open()).count();
            let open: Vec<_> = read.choices.iter().filter(|choice| choice.is_open()).collect();
            let Some(first) = open.iter().find(|choice| choice.gap() < SUMS) else { continue };
            assert!(model.config.clip_qkv.is_some(), "{name}, text {text}: {first:?}");
            tied += open.len();
            // The queries before it read what they read in the reference.
            let whole = follow(&decoder, &policies, &tokens, &[1]);
            let before = open.iter().map(|choice| choice.by.2).min().expect("one");
            for (read_tokens, got) in whole.logits.iter().filter(|(count, _)| *count <= before) {
                let want: Vec<f32> = read.logits[read_tokens - 1].iter().map(|&logit| logit as f32).collect();
                assert_close(&format!("{name}, text {text}, before the tie"), line(got), line(&want), CLOSE);
            }
        }
    }
    eprintln!("{tied} choices within rounding, {clear} beyond");
    assert!(tied > 0 && clear > 10_000, "{tied} {clear}");
}

/// The reference is no copy of the runtime: a change of one number is seen.
#[test]
fn the_comparison_sees_a_policy_that_differs_by_one_key() {
    let (model, _) = read(&tiny("tied"));
    let tokens = made_up_tokens(TOKENS);
    let logits = |text: &str| {
        let policy = PolicySpec::parse(text, TRAINED).expect("a policy").policy;
        reference::read(&model.config, &model.weights, &policy.into(), &tokens, &[]).logits
    };
    let (a, b) = (logits("window:window=8"), logits("window:window=9"));
    let largest = |position: usize| {
        a[position].iter().zip(&b[position]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    assert!(largest(7) < 1e-12 && largest(8) > 1e-3, "{} {}", largest(7), largest(8));
}
