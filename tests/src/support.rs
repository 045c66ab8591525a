//! Where the tests find models, texts, numbers and the program itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use lm_infinite::checkpoint::{self, LoadedModel};
use lm_infinite::diagnose::{Collector, Diagnosis, DiagnosisBuilder, RunInput};
use lm_infinite::evaluate::evaluate;
use lm_infinite::hub::Cache;
use lm_infinite::policy::{AttentionPolicy, PolicySpec};
use lm_infinite::session::Decoder;
use lm_infinite::session::Session;
use ndarray::ArrayD;
use ndarray_npy::ReadableElement;

/// Are tests wanted that take minutes, and is everything installed that they need?
pub fn slow_tests() -> bool {
    std::env::var_os("LM_INFINITE_SLOW_TESTS").is_some_and(|value| value == "1")
}

/// `found`, or a message that the test is skipped; where slow tests are wanted, nothing may be missing.
#[track_caller]
pub fn or_skip<T>(found: Result<T, String>) -> Option<T> {
    found
        .inspect_err(|reason| {
            assert!(!slow_tests(), "{reason}");
            eprintln!("skipped: {reason}");
        })
        .ok()
}

/// A path under `tests/goldens`.
pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(path)
}

/// A folder of `tests/goldens/tiny_llama`.
pub fn tiny(name: &str) -> PathBuf {
    golden("tiny_llama").join(name)
}

/// An array from `tests/goldens`.
pub fn read_npy<T: ReadableElement>(path: &str) -> ArrayD<T> {
    ndarray_npy::read_npy(golden(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The 40 tokens of the tiny models' goldens.
pub fn tiny_tokens() -> Vec<u32> {
    read_npy::<u32>("tiny_llama/tokens.npy").into_iter().collect()
}

/// Loads a model folder or file.
pub fn load(path: &Path) -> LoadedModel {
    let reference = path.to_str().expect("the repository's path is UTF-8");
    checkpoint::load(reference, &cache()).unwrap_or_else(|error| panic!("{error}"))
}

/// A decoder from a model folder or file.
pub fn decoder(path: &Path) -> Arc<Decoder> {
    let loaded = load(path);
    Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a whole model"))
}

/// The tiny golden model whose embeddings are tied; its trained length is 16.
pub fn tied_model() -> Arc<Decoder> {
    decoder(&tiny("tied"))
}

/// `count` tokens that a tiny model knows, without a pattern.
pub fn made_up_tokens(count: u32) -> Vec<u32> {
    (0..count).map(|i| (i * i * 31 + i * 7) % 97).collect()
}

/// The losses of `tokens`, given to the session in chunks of `cut`.
pub fn score(session: &mut Session, tokens: &[u32], cut: usize) -> Vec<f32> {
    tokens.chunks(cut).flat_map(|chunk| session.score(chunk, None).expect("known tokens").nll).collect()
}

/// A session under a policy in its text form.
pub fn session(decoder: &Arc<Decoder>, policy: &str) -> Session {
    let policy = PolicySpec::parse(policy, decoder.config().trained_length).expect("a policy").policy;
    session_with(decoder, policy)
}

/// A session under a policy.
pub fn session_with(decoder: &Arc<Decoder>, policy: AttentionPolicy) -> Session {
    Session::new(Arc::clone(decoder), policy).expect("a policy that fits the model")
}

/// SmolLM2 where `lm-infinite models pull smollm2` has put it.
pub fn smollm2() -> Option<LoadedModel> {
    or_skip(
        checkpoint::load("smollm2", &cache())
            .map_err(|e| format!("needs `lm-infinite models pull smollm2`: {e}")),
    )
}

/// The cache of this machine.
pub fn cache() -> Cache {
    Cache::open().expect("a home folder")
}

/// The FAQ that SmolLM2's goldens were measured on, rebuilt from Debian's package by the goldens' own script.
pub fn faq_text() -> Option<String> {
    static TEXT: OnceLock<Result<String, String>> = OnceLock::new();
    or_skip(TEXT.get_or_init(build_faq_text).clone())
}

fn build_faq_text() -> Result<String, String> {
    let needs = "needs Debian's packages `anarchism` and `python3`";
    if !Path::new("/usr/share/doc/anarchism/html").is_dir() {
        return Err(needs.to_owned());
    }
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let out = folder.path().join("faq.txt");
    let status = Command::new("python3").arg(golden("smollm2/faq_text.py")).arg(&out).status();
    match status {
        Ok(status) if status.success() => std::fs::read_to_string(&out).map_err(|e| e.to_string()),
        Ok(status) => Err(format!("faq_text.py: {status}")),
        Err(error) => Err(format!("{needs}: python3: {error}")),
    }
}

/// A diagnosis of `decoder` over `tokens`, whose usual losses are `usual`.
pub fn diagnose(decoder: &Arc<Decoder>, tokens: &[u32], usual: Vec<f32>, policies: &[&str]) -> Diagnosis {
    let (config, count) = (decoder.config(), tokens.len() as u64);
    let mut builder = DiagnosisBuilder::new("a model", config, count, usual, None);
    for text in policies {
        let spec = PolicySpec::parse(text, config.trained_length).expect("a policy");
        let mut collector = Collector::new(config, count);
        let run = evaluate(decoder, &spec.policy, tokens, Some(&mut collector), &|_| ()).expect("runs");
        let input = RunInput {
            policy: spec.label,
            attention: spec.policy,
            nll: run.nll,
            prefill_tokens_per_second: run.prefill_tokens_per_second,
            peak_rss_bytes: run.peak_rss_bytes,
            kv_cache_bytes: run.kv_cache_bytes as u64,
        };
        builder.push(input, collector.finish().expect("whole")).expect("the same text");
    }
    builder.finish()
}

/// The program, built in the profile of these tests and never stale.
pub fn program() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PATH.get_or_init(build_program))
}

fn build_program() -> PathBuf {
    // target/<profile>/deps/<this test>
    let this = std::env::current_exe().expect("path of this test");
    let profile = this.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let target = profile.parent().expect("a target folder");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `--workspace` unifies features as `cargo test --workspace` does, so that nothing is built twice.
    build.args(["build", "--quiet", "--workspace", "--bin", "lm-infinite", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    assert!(build.status().expect("cargo").success(), "building the program");
    profile.join(format!("lm-infinite{}", std::env::consts::EXE_SUFFIX))
}

/// Nats of `targets[t]` under `logits` [targets, vocabulary], in f64.
pub fn nll(logits: &ArrayD<f32>, targets: &[u32]) -> Vec<f32> {
    logits
        .outer_iter()
        .zip(targets)
        .map(|(row, &target)| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = row.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
            (sum.ln() - f64::from(row[target as usize] - largest)) as f32
        })
        .collect()
}

/// Mean in f64.
pub fn mean(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64
}
