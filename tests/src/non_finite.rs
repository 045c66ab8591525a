//! Models whose numbers are lost: what the program says of them, in words, JSON, tables and figures.
//!
//! The models are made so that it is known where. One byte of their vocabulary, `Z`, has a direction of its own in the
//! embedding, and the first block multiplies that direction by more than an f32 holds: from there on the state of that
//! token is NaN, and the second block's keys are NaN for every query that sees it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::compare::assert_nearly;
use crate::fixtures::{TinyConfig, TinyLlama};
use crate::support::{load, program};

/// L_pretrain of the models.
const TRAINED: usize = 64;
/// Characters before and after `Z`.
const BEFORE: usize = 100;
const AFTER: usize = 220;

struct Desk {
    folder: TempDir,
    /// Tokens of the text, and position of `Z`.
    tokens: usize,
    position: u64,
}

fn filler(count: usize) -> String {
    "quick brown fox jumps over lazy dog ".chars().cycle().take(count).collect()
}

impl Desk {
    /// A model that loses its numbers where it reads `Z`, and a text with one.
    fn with_z_after(before: usize) -> Self {
        let config = TinyConfig { trained_length: TRAINED, ..TinyConfig::default() };
        let (hidden, last) = (config.hidden, config.hidden - 1);
        let mut model = TinyLlama::random(config, 7);
        let z = model.vocabulary.tokens.iter().position(|token| token == "Z").expect("a byte");
        for (name, (shape, values)) in &mut model.tensors {
            let columns = shape[shape.len() - 1];
            let role = name.rsplit('.').nth(1).unwrap_or_default();
            for (row, values) in values.chunks_mut(columns).enumerate() {
                match role {
                    "embed_tokens" => values[last] = f32::from(u8::from(row == z)),
                    // Nobody else writes this direction.
                    "o_proj" | "down_proj" if row == last => values.fill(0.0),
                    "gate_proj" | "up_proj" if name.contains("layers.0.") && row == 0 => values[last] = 3e38,
                    _ => {}
                }
            }
        }
        assert_eq!(hidden, last + 1);
        Self::write(&model, &format!("{}Z{}", filler(before), filler(AFTER)))
    }

    /// A model whose last norm overflows for every token.
    fn lost_from_the_first_token() -> Self {
        let config = TinyConfig { trained_length: TRAINED, ..TinyConfig::default() };
        let mut model = TinyLlama::random(config, 7);
        let (_, norm) = model.tensors.get_mut("model.norm.weight").expect("a norm");
        norm.fill(3e38);
        Self::write(&model, &filler(BEFORE + AFTER))
    }

    fn write(model: &TinyLlama, text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().join("model");
        std::fs::create_dir(&at).expect("a folder");
        model.write_folder(&at, "F32");
        std::fs::write(folder.path().join("text.txt"), text).expect("written");
        let tokens = load(&at).tokenizer.encode(text).expect("tokens");
        let z = model.vocabulary.tokens.iter().position(|token| token == "Z").expect("a byte") as u32;
        let position = tokens.iter().position(|&token| token == z).unwrap_or_default() as u64;
        Self { folder, tokens: tokens.len(), position }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Standard output of `command` on model and text.
    fn run(&self, command: &[&str]) -> String {
        let (name, more) = command.split_first().expect("a command");
        let output = program()
            .args([&[*name, "--model", "model"], more].concat())
            .current_dir(self.folder.path())
            .output()
            .expect("the program starts");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}: {message}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn json(&self, command: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[command, &["--json"]].concat())).expect("one JSON object")
    }
}

const TEXT: [&str; 2] = ["--text", "text.txt"];

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of a column of a CSV.
fn column(table: &str, name: &str) -> Vec<String> {
    let (header, rows) = table.split_once('\n').expect("a header");
    // From the end: the first cell, a policy, may hold commas.
    let at = header.split(',').rev().position(|column| column == name).expect("the column");
    rows.lines().map(|row| row.rsplit(',').nth(at).expect("a cell").to_owned()).collect()
}

#[test]
fn a_loss_that_is_lost_on_the_way_has_no_mean_and_is_located() {
    let desk = Desk::with_z_after(BEFORE);
    let (n, first) = (desk.tokens as u64, desk.position + 1);
    let command = ["perplexity", TEXT[0], TEXT[1], "--policy", "vanilla", "--policy", "window:window=16"];
    let npy = ["--bucket", "32", "--per-token", "losses.npy"];
    let json = desk.json(&[&command[..], &npy].concat());
    let losses: ndarray::Array2<f32> = ndarray_npy::read_npy(desk.path("losses.npy")).expect("an array");
    // Beyond a window that has left `Z` behind, the second of two blocks sees none of it any more.
    for (row, (run, lost)) in json["runs"].as_array().expect("runs").iter().zip([n - first, 16]).enumerate() {
        assert_eq!((&run["nll"], &run["perplexity"]), (&Value::Null, &Value::Null), "{run}");
        assert_eq!((&run["non_finite_tokens"], &run["first_non_finite"]), (&lost.into(), &first.into()));
        let mut counted = 0;
        for bucket in run["buckets"].as_array().expect("buckets") {
            let part =
                bucket["from"].as_u64().expect("a number").max(1)..bucket["to"].as_u64().expect("a number");
            let broken: Vec<u64> =
                part.filter(|&token| !losses[[row, token as usize - 1]].is_finite()).collect();
            assert_eq!(bucket["nll"].is_null(), !broken.is_empty(), "{bucket}");
            assert_eq!(bucket["non_finite_tokens"].as_u64().unwrap_or(0), broken.len() as u64, "{bucket}");
            assert_eq!(bucket["first_non_finite"].as_u64(), broken.first().copied(), "{bucket}");
            counted += broken.len() as u64;
        }
        assert_eq!(counted, lost, "the array keeps what it was");
    }
    let words = desk.run(&command);
    for lost in [n - first, 16] {
        assert!(words.contains(&format!("not finite from token {first} ({lost} tokens)")), "{words}");
    }
    assert!(!words.contains("perplexity "), "no number stands for the whole: {words}");
}

#[test]
fn a_long_run_says_the_same_in_words_json_tables_and_figure() {
    let desk = Desk::with_z_after(BEFORE);
    let (n, first) = (desk.tokens as u64, desk.position + 1);
    let count = n.to_string();
    let command = ["perplexity", TEXT[0], TEXT[1], "--tokens", &count, "--policy", "vanilla", "--out", "out"];
    let json = desk.json(&command);
    let run = &json["runs"][0];
    assert_eq!((&run["nll"], &run["perplexity"]), (&Value::Null, &Value::Null));
    assert_eq!((&run["non_finite_tokens"], &run["first_non_finite"]), (&(n - first).into(), &first.into()));
    let lost = format!("not finite from token {first} ({} tokens)", n - first);
    assert!(read(&desk.path("out/summary.txt")).contains(&lost));
    for name in ["nll_by_position.csv", "nll_by_length.csv"] {
        let table = read(&desk.path("out").join(name));
        let counts = column(&table, "non_finite_tokens");
        assert_eq!(
            counts.iter().map(|count| count.parse::<u64>().expect("a number")).sum::<u64>(),
            n - first
        );
        let firsts = column(&table, "first_non_finite_token");
        assert_eq!(firsts.iter().find(|first| !first.is_empty()), Some(&first.to_string()), "{name}");
    }
    assert!(read(&desk.path("out/nll_by_length.svg")).contains(&format!("not finite from {first}")));
}

#[test]
fn a_diagnosis_calls_no_factor_held_that_is_not_finite() {
    // Everything beyond the training length, and only that, is lost.
    let desk = Desk::with_z_after(TRAINED);
    let position = desk.position;
    let command = ["diagnose", TEXT[0], TEXT[1], "--policy", "vanilla", "--out", "out", "--tokens", "280"];
    let json = desk.json(&command);
    let run = &json["runs"][0];
    assert_eq!((&run["loss"]["outcome"], &run["nll"]), (&"not finite".into(), &Value::Null));
    assert_eq!(run["breaks"]["position"], position + 1, "{run}");
    for name in ["logits", "entropy"] {
        let factor = &run["factors"][name];
        assert_eq!((&factor["outcome"], &factor["broke"]), (&"not finite".into(), &true.into()), "{name}");
        assert_eq!(factor["first_non_finite"], position, "{name}");
        assert!(factor["non_finite"].as_u64() > Some(0), "{name}");
        let verdict = factor["verdict"].as_str().expect("words");
        assert!(verdict.starts_with(&format!("not finite from position {position}")), "{verdict}");
    }
    assert_eq!(run["factors"]["drift"]["outcome"], "not finite");
    // The same after it was written and read.
    let stored: Value = serde_json::from_str(&read(&desk.path("out/diagnosis.json"))).expect("JSON");
    assert_nearly("factors", &stored["runs"][0]["factors"], &run["factors"], 1e-6);
    let summary = read(&desk.path("out/summary.txt"));
    assert!(summary.contains(&format!("not finite from token {}", position + 1)), "{summary}");
    assert!(!summary.contains("holds"), "{summary}");
    let heads = read(&desk.path("out/heads.csv"));
    let firsts = column(&heads, "first_non_finite_position_tokens");
    // The first block sees nothing of it, the second all.
    assert_eq!(firsts.len(), 8);
    assert!(
        firsts[..4].iter().all(String::is_empty) && firsts[4..].iter().all(|at| *at == position.to_string())
    );
    for (figure, from) in [
        ("nll_by_position", position + 1),
        ("entropy_by_length", position),
        ("start_mass_by_position", position),
    ] {
        let svg = read(&desk.path("out").join(figure).with_extension("svg"));
        assert!(svg.contains(&format!("(not finite from {from})")), "{figure}");
    }
    assert!(read(&desk.path("out/logits_by_distance.svg")).contains("(not finite from "));
    let report = read(&desk.path("out/report.html"));
    assert!(report.contains(&format!("not finite from token {}", position + 1)));
    desk.run_plain(&["plot", "out"]);
}

#[test]
fn lost_from_the_first_token_is_said_so_and_no_break_at_the_training_length() {
    let desk = Desk::lost_from_the_first_token();
    let n = desk.tokens as u64;
    let words = desk.run(&["perplexity", TEXT[0], TEXT[1], "--policy", "vanilla"]);
    assert!(words.contains(&format!("not finite from token 1 ({} tokens)", n - 1)), "{words}");
    let words =
        desk.run(&["diagnose", TEXT[0], TEXT[1], "--policy", "vanilla", "--tokens", "300", "--out", "o"]);
    assert!(words.contains("loss     not finite from token 1 (299 tokens)"), "{words}");
    assert!(!words.contains("breaks at token"), "{words}");
    assert!(words.contains("no loss can be held against it"), "{words}");
}

#[test]
fn comparisons_of_losses_say_which_are_not_finite() {
    let desk = Desk::lost_from_the_first_token();
    let json = desk.json(&[
        "ablation",
        TEXT[0],
        TEXT[1],
        "--policy",
        "vanilla",
        "--tokens",
        "128",
        "--segments",
        "3",
        "--out",
        "a",
    ]);
    let run = &json["runs"][0];
    assert_eq!((&json["reference_nll"], &run["beyond"]["nll"]), (&Value::Null, &Value::Null));
    assert_eq!((&run["non_finite"], &run["first_non_finite"]), (&(2 * 127).into(), &1.into()));
    // Of 300 tokens.
    assert!(json["notes"].to_string().contains("3 were asked for"), "{}", json["notes"]);
    assert!(read(&desk.path("a/summary.txt")).contains("not finite"));
    assert!(column(&read(&desk.path("a/ablation.csv")), "excess_nll_nats").iter().all(String::is_empty));
    let sweep = [
        "sweep",
        TEXT[0],
        TEXT[1],
        "--policy",
        "lm-infinite",
        "--key",
        "window",
        "--values",
        "16,32",
        "--measure",
        "nll",
        "--length",
        "128",
        "--samples",
        "2",
        "--out",
        "s",
    ];
    let json = desk.json(&sweep);
    for run in json["runs"].as_array().expect("runs") {
        assert_eq!((&run["nll"], &run["non_finite_tokens"]), (&Value::Null, &(2 * 64).into()), "{run}");
        assert_eq!(run["first_non_finite"], TRAINED as u64);
    }
    assert!(read(&desk.path("s/sweep.svg")).contains("not finite: 16, 32"));
}

#[test]
fn nothing_is_generated_from_logits_that_are_not_finite() {
    let desk = Desk::lost_from_the_first_token();
    let output = program()
        .args(["generate", "--model", "model", "--prompt", "fox", "--tokens", "4"])
        .current_dir(desk.folder.path())
        .output()
        .expect("the program starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("not finite for") && message.contains("after token 3"), "{message}");
    // A task goes on, for the sake of the other policies, and says so.
    let json = desk.json(&["passkey", "--lengths", "700", "--samples", "2", "--policy", "vanilla"]);
    let run = &json["runs"][0];
    assert_eq!((&run["accuracy"], &run["not_finite"]), (&0.0.into(), &2.into()));
    let words = desk.run(&["passkey", "--lengths", "700", "--samples", "2", "--policy", "vanilla"]);
    assert!(words.contains("not finite: 2 prompts"), "{words}");
}

impl Desk {
    /// A command that takes no model.
    fn run_plain(&self, command: &[&str]) {
        let output =
            program().args(command).current_dir(self.folder.path()).output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
