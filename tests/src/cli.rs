//! The program as a user and another program see it: exit codes, streams, files.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::compare::{Tolerance, assert_close, line};
use crate::support::{program, tiny};

/// A text that the tiny models' tokenizer knows (one token per ASCII character), in its own folder.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        desk.write("text.txt", "The quick brown fox jumps over the lazy dog. ".repeat(20).as_bytes());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    /// Names of what lies in the folder, sorted.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Runs the program in the folder.
    fn run(&self, arguments: &[&str]) -> Output {
        program().args(arguments).current_dir(self.folder.path()).output().expect("the program starts")
    }

    /// `perplexity` of the tiny model on the text, with more arguments.
    fn perplexity(&self, more: &[&str]) -> Output {
        let model = tiny("tied");
        let model = model.to_str().expect("UTF-8");
        self.run(&[&["perplexity", "--model", model, "--text", "text.txt", "--tokens", "200"], more].concat())
    }
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn refused(output: &Output, code: i32, reason: &str) {
    // With `--json` the reason is data, and the only data.
    let data: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let message = match data.as_ref().and_then(|data| data["error"].as_str()) {
        Some(error) if data.as_ref().and_then(Value::as_object).is_some_and(|all| all.len() == 1) => {
            error.to_owned()
        }
        _ => {
            assert!(output.stdout.is_empty(), "data in spite of an error: {}", words(&output.stdout));
            words(&output.stderr)
        }
    };
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(message.contains(reason), "wanted `{reason}` in: {message}");
    assert!(!words(&output.stderr).contains("panicked"), "{}", words(&output.stderr));
}

#[test]
fn with_json_failures_are_json_too() {
    let desk = Desk::new();
    for (arguments, code, reason) in [
        (&["--json", "perplexity", "--model", "no-such-model"][..], 1, "no-such-model"),
        (&["--json", "perplexity", "--policy", "window:window=0"], 1, "window"),
        (&["perplexity", "--json", "--no-such-option"], 2, "--no-such-option"),
        (&["--json", "no-such-command"], 2, "no-such-command"),
    ] {
        let output = desk.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let data: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let said = data["error"].as_str().expect("a reason");
        assert!(said.contains(reason) && !said.starts_with("error"), "{said}");
    }
}

#[test]
fn the_shell_and_man_know_every_command() {
    let desk = Desk::new();
    let script = words(&desk.run(&["completions", "bash"]).stdout);
    let data: Value =
        serde_json::from_slice(&desk.run(&["completions", "bash", "--json"]).stdout).expect("JSON");
    assert_eq!(data["shell"], "bash");
    assert_eq!(data["script"].as_str().map(str::trim_end), Some(script.trim_end()));
    assert!(desk.run(&["manual", "man"]).status.success());
    let pages = std::fs::read_to_string(desk.path("man/lm-infinite-perplexity.1")).expect("a page");
    assert!(pages.contains("\\-\\-per\\-token"), "{pages}");
    for command in ["diagnose", "perplexity", "models", "manual"] {
        assert!(script.contains(command), "{command}");
        assert!(desk.path(&format!("man/lm-infinite-{command}.1")).is_file(), "{command}");
    }
}

#[test]
fn perplexity_writes_the_promised_json_and_nothing_else() {
    let desk = Desk::new();
    let output = desk.perplexity(&[
        "--json",
        "--policy",
        "vanilla",
        "--policy",
        "lm-infinite:start=2,window=16",
        "--bucket",
        "64",
    ]);
    assert!(output.status.success(), "{}", words(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("stdout is one JSON value");
    assert_eq!(json["tokens"], 200);
    assert!(json["model"].is_string());
    let runs = json["runs"].as_array().expect("runs");
    let policies: Vec<_> = runs.iter().map(|run| run["policy"].as_str().expect("policy")).collect();
    assert_eq!(policies, ["vanilla", "lm-infinite:start=2,window=16"]);
    for run in runs {
        let number = |key: &str| run[key].as_f64().unwrap_or_else(|| panic!("{key} in {run}"));
        assert!((number("perplexity") - number("nll").exp()).abs() < 1e-3 * number("perplexity"));
        for key in ["prefill_tokens_per_second", "peak_rss_bytes", "kv_cache_bytes"] {
            assert!(number(key) > 0.0, "{key} in {run}");
        }
        // Token 0 has no prediction; the buckets' means, weighted by their predictions, give the whole.
        let mut covered = 0;
        let mut total = 0.0;
        for bucket in run["buckets"].as_array().expect("buckets") {
            let [from, to] = ["from", "to"].map(|key| bucket[key].as_u64().expect(key));
            assert_eq!(from, covered);
            covered = to;
            total += (to - from.max(1)) as f64 * bucket["nll"].as_f64().expect("nll");
        }
        assert_eq!(covered, 200);
        assert!((total / 199.0 - number("nll")).abs() < 1e-4, "{total} / 199 in {run}");
    }
    assert_ne!(runs[0]["nll"], runs[1]["nll"], "policies must matter");
}

#[test]
fn per_token_losses_are_the_ones_behind_the_mean() {
    let desk = Desk::new();
    let output = desk.perplexity(&["--json", "--per-token", "losses.npy"]);
    assert!(output.status.success(), "{}", words(&output.stderr));
    let losses: ndarray::Array1<f32> = ndarray_npy::read_npy(desk.path("losses.npy")).expect("an npy of f32");
    assert_eq!(losses.len(), 199);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let nll = json["runs"][0]["nll"].as_f64().expect("nll");
    assert!((f64::from(losses.mean().expect("losses")) - nll).abs() < 1e-4);
}

/// Of the built-in model: buckets of 32 tokens.
#[test]
fn a_long_text_has_few_lines_unless_a_width_is_asked_for() {
    let desk = Desk::new();
    let lines = |more: &[&str]| -> Vec<String> {
        let output = desk.run(&[&["perplexity", "--tokens"], more].concat());
        assert!(output.status.success(), "{}", words(&output.stderr));
        words(&output.stdout).lines().skip(2).map(str::to_owned).collect()
    };
    let ends = |line: &String| -> Vec<u64> {
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    for (arguments, count, last) in [
        (&["3000"][..], 24, [2944, 3000]),
        (&["1280"], 40, [1248, 1280]),
        (&["1281"], 21, [1280, 1281]),
        (&["3000", "--bucket", "32"], 94, [2976, 3000]),
        (&["3000", "--bucket", "7000"], 1, [0, 3000]),
    ] {
        let lines = lines(arguments);
        assert_eq!(lines.len(), count, "{arguments:?}");
        assert_eq!(lines.last().map(ends), Some(last.to_vec()), "{arguments:?}");
        assert!(lines.iter().all(|line| !line.contains("finite")), "{arguments:?}");
    }
}

#[test]
fn the_same_command_gives_the_same_numbers_on_any_number_of_threads() {
    let desk = Desk::new();
    let losses = |threads: &str| -> ndarray::Array1<f32> {
        let output = desk.perplexity(&["--json", "--threads", threads, "--per-token", "losses.npy"]);
        assert!(output.status.success(), "{}", words(&output.stderr));
        ndarray_npy::read_npy(desk.path("losses.npy")).expect("an npy of f32")
    };
    let (one, two, again) = (losses("1"), losses("2"), losses("2"));
    assert_eq!(two, again);
    let (one, two) = (one.to_vec(), two.to_vec());
    assert_close("1 and 2 threads", line(&one), line(&two), Tolerance::absolute(0.0));
}

#[test]
fn misuse_is_exit_code_2() {
    let desk = Desk::new();
    refused(&desk.run(&["frobnicate"]), 2, "frobnicate");
    refused(&desk.perplexity(&["--no-such-flag"]), 2, "--no-such-flag");
    refused(&desk.perplexity(&["--bucket", "many"]), 2, "many");
}

#[test]
fn help_and_version_are_data() {
    let desk = Desk::new();
    for argument in ["--help", "--version"] {
        let output = desk.run(&[argument]);
        assert!(output.status.success() && !output.stdout.is_empty(), "{argument}");
    }
    let help = words(&desk.run(&["--help"]).stdout);
    for command in ["diagnose", "perplexity", "generate", "bench", "models", "plot"] {
        assert!(help.contains(command), "{command} in {help}");
    }
}

#[test]
fn a_bad_policy_or_length_is_refused_in_words() {
    let desk = Desk::new();
    for (policy, reason) in [
        ("nonsense", "nonsense"),
        ("window:window=0", "window"),
        ("vanilla:start=4", "start"),
        ("lm-infinite:window=99999999999G", "window"),
    ] {
        let output = desk.perplexity(&["--json", "--policy", policy]);
        let code = output.status.code().expect("a code");
        assert!(code == 1 || code == 2, "{policy}: {code}");
        refused(&output, code, reason);
    }
    for length in ["-5", "12x", "", "99999999999999999999"] {
        let output = desk.perplexity(&["--bucket", length]);
        let code = output.status.code().expect("a code");
        assert!(code == 1 || code == 2, "length `{length}`: {code}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "length `{length}`");
    }
}

#[test]
fn the_margin_of_the_loss_is_the_users_and_too_short_a_text_decides_nothing() {
    let desk = Desk::new();
    let loss = |tokens: &str, margin: &[&str]| {
        let arguments =
            [&["diagnose", "--json", "--policy", "vanilla", "--out", "out", "--tokens", tokens], margin]
                .concat();
        let output = desk.run(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["runs"][0]["loss"].clone()
    };
    let usual = loss("1200", &[]);
    assert_eq!((&usual["outcome"], &usual["margin"]), (&"fails".into(), &0.2.into()));
    assert!(
        usual["interval"][0].as_f64() > Some(0.2) && usual["onset"]["at"].as_u64() >= Some(256),
        "{usual}"
    );
    let generous = loss("1200", &["--loss-margin", "9"]);
    assert_eq!((&generous["outcome"], &generous["onset"]), (&"holds".into(), &serde_json::Value::Null));
    assert_eq!(generous["effect"], usual["effect"], "the margin changes the verdict alone");
    let short = loss("200", &[]);
    assert_eq!((&short["outcome"], &short["effect"]), (&"undecided".into(), &serde_json::Value::Null));
    for margin in ["-1", "NaN", "inf"] {
        refused(&desk.run(&["diagnose", "--json", &format!("--loss-margin={margin}")]), 1, "--loss-margin");
    }
}

#[test]
fn a_missing_empty_or_garbled_text_is_refused_in_words() {
    let desk = Desk::new();
    desk.write("empty.txt", b"");
    desk.write("garbled.txt", b"good \xff\xfe bad");
    let model = tiny("tied");
    let model = model.to_str().expect("UTF-8");
    for text in ["missing.txt", "empty.txt", "garbled.txt"] {
        let output = desk.run(&["perplexity", "--model", model, "--tokens", "20", "--json", "--text", text]);
        refused(&output, 1, text);
    }
}

#[test]
fn a_missing_or_broken_model_is_refused_in_words() {
    let desk = Desk::new();
    desk.write("model.gguf", b"GGUF and then nothing that makes sense");
    for model in ["./model.gguf", "./missing.gguf"] {
        let output = desk.run(&["perplexity", "--model", model, "--text", "text.txt", "--tokens", "20"]);
        refused(&output, 1, model.trim_start_matches("./"));
    }
}

#[test]
fn a_closed_pipe_is_success() {
    let desk = Desk::new();
    let mut child = program()
        .args(["generate", "--prompt", "The quick brown", "--tokens", "2000", "--model"])
        .arg(tiny("tied"))
        .current_dir(desk.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Reads one byte, as `| head -c1` does, and hangs up.
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0]).expect("a first byte");
    drop(out);
    let mut message = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut message).expect("UTF-8");
    assert!(child.wait().expect("it ends").success(), "{message}");
    assert!(!message.contains("panicked") && !message.to_lowercase().contains("broken pipe"), "{message}");
}

fn diagnose(desk: &Desk, more: &[&str]) -> Output {
    let model = tiny("tied");
    let model = model.to_str().expect("UTF-8");
    desk.run(&[&["diagnose", "--model", model, "--tokens", "200", "--out", "result"], more].concat())
}

#[test]
fn diagnose_leaves_a_whole_folder() {
    let desk = Desk::new();
    let output = diagnose(&desk, &["--text", "text.txt", "--json"]);
    assert!(output.status.success(), "{}", words(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("stdout is one JSON value");
    assert_eq!(json["out"].as_str().map(Path::new).and_then(Path::file_name), Some("result".as_ref()));
    for run in json["runs"].as_array().expect("runs") {
        for factor in ["logits", "entropy", "drift"] {
            assert!(!run["factors"][factor].is_null(), "{factor} in {run}");
        }
    }
    let run = std::fs::read_to_string(desk.path("result/run.json")).expect("run.json");
    let run: Value = serde_json::from_str(&run).expect("JSON");
    assert!(run.is_object());
    let mut kinds: Vec<_> = walk(&desk.path("result"))
        .iter()
        .filter_map(|path| Some(path.extension()?.to_str()?.to_owned()))
        .collect();
    kinds.sort();
    kinds.dedup();
    for kind in ["csv", "html", "json", "npz", "png", "svg"] {
        assert!(kinds.iter().any(|k| k == kind), "no .{kind} among {kinds:?}");
    }
}

/// Policies and tokens that fit; those that are given stay; what cannot fit is refused with the time that it would take.
#[test]
fn a_diagnosis_keeps_to_its_budget() {
    let desk = Desk::new();
    let run = |more: &[&str]| {
        let rest = ["diagnose", "--json", "--out", "r"];
        program().args(rest).args(more).current_dir(desk.folder.path()).output().expect("the program starts")
    };
    let data = |output: &Output| -> Value {
        assert!(output.status.success(), "{}", words(&output.stdout));
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    };
    let policies = |data: &Value| data["runs"].as_array().expect("runs").len();
    let note = |data: &Value| {
        let notes = data["notes"].as_array().expect("notes");
        let note = notes.iter().find(|note| note["field"] == "--budget").expect("what was chosen");
        note["said"].as_str().expect("words").to_owned()
    };
    let plenty = data(&run(&["--budget", "1h", "--tokens", "600"]));
    assert_eq!(policies(&plenty), 5);
    assert!(note(&plenty).contains("of 60 min") && plenty["causes"].is_object(), "{}", note(&plenty));
    let given = data(&run(&["--budget", "1h", "--policy", "lambda", "--tokens", "300"]));
    assert_eq!((policies(&given), given["tokens"].as_u64()), (1, Some(300)));

    let large = ["--model", "random:tinyllama-1.1b:q4_0"];
    let few = run(&[&large[..], &["--budget", "2s", "--tokens", "1k"]].concat());
    refused(&few, 1, "takes about");
    for bad in ["0s", "soon", "1x", "10"] {
        refused(&run(&["--budget", bad]), 2, "--budget");
    }
    refused(&run(&["--budget", "1m", "--causes"]), 2, "--causes");
}

#[test]
fn theory_is_a_table_and_json_of_the_same_claims() {
    let desk = Desk::new();
    let table = desk.run(&["theory"]);
    assert!(table.status.success(), "{}", words(&table.stderr));
    let table = words(&table.stdout);
    let json = desk.run(&["theory", "--json", "--seed", "3"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("stdout is one JSON value");
    assert_eq!(json["seed"], 3);
    let claims = json["claims"].as_array().expect("claims");
    assert!(claims.len() >= 10, "{}", claims.len());
    for claim in claims {
        assert!(table.contains(claim["name"].as_str().expect("a name")), "{claim}");
        assert!(claim["bound"].is_number() && claim["measured"].is_number(), "{claim}");
    }
    // What the paper prints is refuted by its counter-example; everything that we state holds.
    let refuted: Vec<_> = claims.iter().filter(|claim| claim["verdict"] == "refuted").collect();
    assert_eq!(refuted.len(), 1, "{refuted:?}");
}

#[test]
fn a_failed_diagnose_leaves_no_folder() {
    let desk = Desk::new();
    desk.write("garbled.txt", b"good \xff\xfe bad");
    let before = desk.files();
    let output = diagnose(&desk, &["--text", "garbled.txt", "--json"]);
    refused(&output, 1, "garbled.txt");
    assert_eq!(desk.files(), before);
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

/// The program where nothing was pulled and nothing can be: an empty home, and a proxy that nobody answers at.
fn alone(desk: &Desk, arguments: &[&str]) -> Output {
    let mut program = program();
    for name in ["HOME", "XDG_CACHE_HOME", "HF_HOME"] {
        program.env(name, desk.folder.path());
    }
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        program.env(name, "http://127.0.0.1:1");
    }
    program.args(arguments).current_dir(desk.folder.path()).output().expect("the program starts")
}

#[test]
fn the_first_diagnosis_needs_no_file_and_no_network() {
    let desk = Desk::new();
    let output = alone(&desk, &["diagnose", "--json", "--out", "first"]);
    assert!(output.status.success(), "{}", words(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["model"], &json["tokens"]), (&"tiny-rope".into(), &4096.into()));
    let runs = json["runs"].as_array().expect("runs");
    let names: Vec<_> = runs.iter().map(|run| run["policy"].as_str().expect("a policy")).collect();
    let short: Vec<_> = names.iter().map(|name| name.split(':').next().expect("a name")).collect();
    assert_eq!(short, ["vanilla", "window", "lambda", "ceiling", "lm-infinite"]);
    assert!(runs[0]["breaks"]["position"].as_u64().is_some_and(|at| at >= 256), "{}", runs[0]["breaks"]);
    assert!(runs[4]["breaks"].is_null(), "{}", runs[4]["breaks"]);
}

/// A policy that does nothing of what its name says, and one that shows what training did not.
#[test]
fn policies_that_are_not_what_they_seem_are_said() {
    let desk = Desk::new();
    let output = desk.run(&["perplexity", "--tokens", "300", "--policy", "lm-infinite-topk:from_layer=6"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("6 layers"), "{said}");
    let output = desk.run(&["perplexity", "--tokens", "300", "--policy", "self-extend:group=4,window=400"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("longer than the training length"), "{said}");
}

#[test]
fn other_commands_take_the_embedded_model_and_text_too() {
    let desk = Desk::new();
    for arguments in [
        &["perplexity", "--tokens", "300"][..],
        &["generate", "--tokens", "3"],
        &["passkey", "--samples", "1"],
        &["models", "list"],
    ] {
        let output = alone(&desk, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output.stderr));
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}
