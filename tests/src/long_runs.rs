//! Long runs of the real program: killed at any moment and resumed, sharded and merged, refused where they do not fit.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::program;

/// Enough for a few documents to be drawn after the text below, and for shards with halos in between.
const TOKENS: &str = "24000";

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// A folder with two texts of a few documents.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sample = include_str!("../../runtime/assets/text/sample.txt");
        let text: String = sample.chars().skip(5000).take(20_000).collect();
        std::fs::write(folder.path().join("text.txt"), &text).expect("written");
        std::fs::write(folder.path().join("other.txt"), text.replace("the", "a")).expect("written");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = program();
        command.args(["perplexity", "--text", "text.txt", "--tokens", TOKENS, "--json"]);
        command.args(more).current_dir(self.folder.path());
        command
    }

    fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().expect("the program starts")
    }

    fn merge(&self, folders: &[&str], out: &str) -> Output {
        let mut command = program();
        command.arg("merge").args(folders).args(["--out", out, "--json"]).current_dir(self.folder.path());
        command.output().expect("the program starts")
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("stdout is one JSON value")
}

fn refused(output: &Output, reason: &str) {
    // With `--json`, why a run was refused is data.
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(reason), "`{reason}` is not in: {said}");
}

/// What does not depend on time.
fn losses(folder: &Path) -> [Vec<u8>; 2] {
    ["nll_by_position.csv", "nll_by_length.csv"].map(|name| std::fs::read(folder.join(name)).expect(name))
}

/// Waits until a snapshot lies at `position` or behind it, and kills the process as hard as can be.
fn kill_at(mut child: Child, folder: &Path, position: u64) {
    let start = Instant::now();
    let reached = || {
        let state = std::fs::read_to_string(folder.join("state.json")).ok()?;
        let state: Value = serde_json::from_str(&state).expect("state.json is whole whenever it is there");
        state["current"]["position"].as_u64()
    };
    while reached().is_none_or(|at| at < position) {
        assert!(start.elapsed() < Duration::from_secs(120), "no snapshot at {position}");
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it could be killed");
    }
    // SIGKILL.
    child.kill().expect("it still runs");
    child.wait().expect("a child");
}

/// Ctrl-C: what was read is saved, said, and gone on with.
#[cfg(unix)]
#[test]
fn a_run_that_is_interrupted_saves_itself_and_says_how_to_go_on() {
    let desk = Desk::new();
    json(&desk.run(&["--out", "whole"]));
    // No snapshot by time: what is there after the interrupt is what the interrupt saved.
    let mut command = desk.command(&["--out", "parts", "--snapshot", "1000000"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let start = Instant::now();
    while !desk.path("parts/state.json").exists() {
        assert!(start.elapsed() < Duration::from_secs(120), "the run does not begin");
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let output = child.wait_with_output().expect("a child");
    refused(&output, "--resume parts");
    json(&desk.run(&["--resume", "parts"]));
    assert_eq!(losses(&desk.path("parts")), losses(&desk.path("whole")));
}

#[test]
fn a_run_that_is_killed_goes_on_bit_for_bit() {
    let desk = Desk::new();
    json(&desk.run(&["--out", "whole", "--policy", "lm-infinite", "--policy", "window"]));
    let policies = ["--policy", "lm-infinite", "--policy", "window", "--snapshot", "0"];
    let begin = |arguments: &[&str]| {
        let mut command = desk.command(&[&policies, arguments].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    };
    kill_at(begin(&["--out", "killed"]), &desk.path("killed"), 4096);
    assert!(!desk.path("killed/run.json").exists(), "what is not whole does not look whole");
    kill_at(begin(&["--resume", "killed"]), &desk.path("killed"), 10_000);
    let result = json(&desk.run(&[&policies[..], &["--resume", "killed"]].concat()));
    assert_eq!(losses(&desk.path("killed")), losses(&desk.path("whole")));
    assert_eq!(result["runs"].as_array().map(Vec::len), Some(2));
    let left: Vec<_> = std::fs::read_dir(desk.path("killed")).expect("a folder").collect();
    let names: Vec<String> =
        left.into_iter().map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().all(|name| !name.starts_with("session") && name != "state.json"), "{names:?}");
}

/// The same where old keys lie in a file that all snapshots share; and that file is no larger than the keys.
#[test]
fn a_run_with_old_keys_that_is_killed_goes_on_bit_for_bit() {
    let desk = Desk::new();
    let policies = ["--policy", "lm-infinite-topk:window=64,k=4", "--policy", "vanilla", "--tokens", "16000"];
    let run = |more: &[&str]| {
        let mut command = program();
        command.args(["perplexity", "--text", "text.txt", "--json"]).args(policies).args(more);
        command.current_dir(desk.folder.path());
        command
    };
    json(&run(&["--out", "whole"]).output().expect("the program starts"));
    let begin = |more: &[&str]| {
        let mut command = run(&[more, &["--snapshot", "0"]].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    };
    let folder = desk.path("killed");
    kill_at(begin(&["--out", "killed"]), &folder, 2048);
    let keys = std::fs::metadata(folder.join("session-0.pages")).expect("old keys").len();
    assert!(keys > 0);
    // Killed while the next page was written, and before anything named it; and a file that was never named.
    let mut torn = std::fs::read(folder.join("session-0.pages")).expect("old keys");
    torn.extend_from_slice(&[1; 5000]);
    std::fs::write(folder.join("session-0.pages"), &torn).expect("written");
    std::fs::write(folder.join("session-1.pages"), "left over").expect("written");
    // A snapshot whose keys were damaged is refused, and the run can go on once they are back.
    let pages = std::fs::read(folder.join("session-0.pages")).expect("old keys");
    let mut damaged = pages.clone();
    damaged[100] ^= 1;
    std::fs::write(folder.join("session-0.pages"), damaged).expect("written");
    refused(&run(&["--resume", "killed"]).output().expect("the program starts"), "session-0.pages");
    std::fs::write(folder.join("session-0.pages"), pages).expect("written");
    kill_at(begin(&["--resume", "killed"]), &folder, 6144);
    json(&run(&["--resume", "killed", "--snapshot", "0"]).output().expect("the program starts"));
    assert_eq!(losses(&folder), losses(&desk.path("whole")));
    let left: Vec<_> = std::fs::read_dir(&folder).expect("a folder").collect();
    let names: Vec<String> =
        left.into_iter().map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().all(|name| !name.starts_with("session") && name != "state.json"), "{names:?}");
}

/// Whatever of the model changed since a run was begun, `--resume` refuses and names it.
#[test]
fn a_run_goes_on_only_with_the_model_that_it_was_begun_with() {
    let desk = Desk::new();
    let model = desk.path("model");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/assets/models/tiny-rope");
    std::fs::create_dir(&model).expect("a folder");
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(source.join(name), model.join(name)).expect("copied");
    }
    let mut child = desk.command(&["--model", "model", "--out", "run", "--snapshot", "0"]);
    let child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    kill_at(child, &desk.path("run"), 2048);
    let resume = |more: &[&str]| desk.run(&[&["--model", "model", "--resume", "run"], more].concat());
    let edited = |name: &str, change: &dyn Fn(&mut Value), part: &str| {
        let path = model.join(name);
        let before = std::fs::read(&path).expect("readable");
        let mut json = serde_json::from_slice(&before).expect("JSON");
        change(&mut json);
        std::fs::write(&path, json.to_string()).expect("written");
        refused(&resume(&[]), &format!("model (the {part})"));
        std::fs::write(&path, before).expect("written");
    };
    edited("config.json", &|json| json["rms_norm_eps"] = 1e-3.into(), "configuration");
    edited(
        "tokenizer.json",
        &|json| {
            let vocabulary = json["model"]["vocab"].as_object_mut().expect("a vocabulary");
            let names: Vec<String> =
                vocabulary.keys().filter(|name| name.len() == 1).take(2).cloned().collect();
            let (a, b) = (vocabulary[&names[0]].clone(), vocabulary[&names[1]].clone());
            (vocabulary[&names[0]], vocabulary[&names[1]]) = (b, a);
        },
        "tokenizer",
    );
    refused(&resume(&["--trained-length", "128", "--policy", "lm-infinite:window=256"]), "the configuration");
    let path = model.join("model.safetensors");
    let before = std::fs::read(&path).expect("readable");
    let mut bytes = before.clone();
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, bytes).expect("written");
    refused(&resume(&[]), "model (the weights)");
    std::fs::write(&path, before).expect("written");
    json(&resume(&[]));
    let info = std::fs::read_to_string(desk.path("run/run.json")).expect("a result");
    let info: Value = serde_json::from_str(&info).expect("JSON");
    for part in ["weights", "configuration", "tokenizer"] {
        assert_eq!(info["model_digest"][part].as_str().map(str::len), Some(64), "{part}");
    }
    assert_eq!(info["model"]["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn a_long_run_has_the_losses_of_a_short_one() {
    let desk = Desk::new();
    let short = json(&desk.run(&["--bucket", "2048", "--repeat"]));
    let long = json(&desk.run(&["--bucket", "2048", "--out", "long"]));
    let nll = |json: &Value| json["runs"][0]["nll"].as_f64().expect("a loss");
    assert!((nll(&short) - nll(&long)).abs() < 1e-9, "{} {}", nll(&short), nll(&long));
    assert_eq!(short["runs"][0]["buckets"], long["runs"][0]["buckets"]);
    // Both go on with the text's documents behind its end, and say so.
    let end = short["repeated_from"].as_u64().expect("it repeats");
    assert!(end < 24_000 && long["repeated_from"] == end);
    for run in [&short, &long] {
        assert!(run["notes"].to_string().contains("repeats"), "{run}");
    }
    assert!(long["runs"][0]["log_buckets"].as_array().is_some_and(|buckets| buckets.len() > 30));
}

/// Chunks of a shard are cut at other places, and with them the sums of a block of attention: losses of single tokens
/// differ by about 1e-5, means by far less than the 1e-4 allowed here.
#[test]
fn shards_merge_into_the_whole_run() {
    let desk = Desk::new();
    let whole = json(&desk.run(&["--bucket", "1024", "--out", "whole"]));
    let mut folders = Vec::new();
    for index in 0..3 {
        let (shard, out) = (format!("{index}/3"), format!("shard-{index}"));
        json(&desk.run(&["--bucket", "1024", "--shard", &shard, "--out", &out]));
        folders.push(out);
    }
    let folders: Vec<&str> = folders.iter().map(String::as_str).rev().collect();
    let merged = json(&desk.merge(&folders, "merged"));
    let buckets = |json: &Value, name: &str| json["runs"][0][name].as_array().expect("buckets").clone();
    for name in ["buckets", "log_buckets"] {
        let (ours, wanted) = (buckets(&merged, name), buckets(&whole, name));
        assert_eq!(ours.len(), wanted.len());
        for (ours, wanted) in ours.iter().zip(&wanted) {
            assert_eq!((&ours["from"], &ours["to"]), (&wanted["from"], &wanted["to"]));
            if let (Some(a), Some(b)) = (ours["nll"].as_f64(), wanted["nll"].as_f64()) {
                assert!((a - b).abs() < 1e-4, "{ours} {wanted}");
            }
        }
    }
    let nll = |json: &Value| json["runs"][0]["nll"].as_f64().expect("a loss");
    assert!((nll(&merged) - nll(&whole)).abs() < 1e-5, "{} {}", nll(&merged), nll(&whole));

    assert!(merged["repeated_from"].is_u64(), "{merged}");
    assert_eq!((&merged["repeated_from"], &merged["notes"]), (&whole["repeated_from"], &whole["notes"]));
    let figure = std::fs::read_to_string(desk.path("merged/nll_by_length.svg")).expect("a figure");
    assert!(figure.contains("text repeats from here"));

    refused(&desk.merge(&folders[..2], "two"), "missing");
    refused(&desk.merge(&[folders[0], folders[0], folders[1]], "twice"), "is there twice");
    refused(&desk.merge(&[folders[0], folders[1], "whole"], "mixed"), "another run");
    refused(&desk.merge(&["nothing"], "out"), "nothing");
    refused(&desk.merge(&folders, "./shard-1"), "would be lost");
    json(&desk.merge(&folders, "after all"));
}

#[test]
fn a_run_goes_on_only_as_what_it_was_begun() {
    let desk = Desk::new();
    let mut child = desk.command(&["--out", "run", "--snapshot", "0"]);
    let child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    kill_at(child, &desk.path("run"), 2048);
    let resume = ["--resume", "run"];
    let with = |more: &[&str]| desk.run(&[&resume, more].concat());
    refused(&with(&["--policy", "window"]), "policies");
    refused(&with(&["--seed", "9"]), "seed");
    refused(&with(&["--model", "tiny-nope"]), "model");
    refused(&with(&["--bucket", "64"]), "bucket");
    refused(&with(&["--shard", "0/2"]), "shard");
    refused(&desk.run(&["--out", "run"]), "--resume run");
    refused(&desk.run(&["--resume", "nowhere"]), "no unfinished run");
    let mut other = program();
    let arguments = ["perplexity", "--text", "other.txt", "--tokens", TOKENS, "--resume", "run"];
    refused(&other.args(arguments).current_dir(desk.folder.path()).output().expect("it starts"), "text");
    refused(&desk.run(&["--shard", "1/2", "--policy", "vanilla"]), "no window");

    let state = desk.path("run/state.json");
    let text = std::fs::read_to_string(&state).expect("a state");
    for (from, to) in [("\"session\":\"session-", "\"session\":\"../session-"), ("long run 3", "long run 9")]
    {
        std::fs::write(&state, text.replace(from, to)).expect("written");
        refused(&with(&[]), "state.json");
    }
    std::fs::write(&state, &text[..text.len() / 2]).expect("written");
    refused(&with(&[]), "state.json");
    std::fs::write(&state, &text).expect("written");
    json(&with(&[]));
    refused(&with(&[]), "finished");
}

/// A policy that cannot be read in parts is refused before another one is read, and the folder is free again.
#[test]
fn a_part_that_cannot_be_read_is_refused_before_the_others() {
    let desk = Desk::new();
    let part = ["--shard", "1/2", "--out", "part", "--policy", "lm-infinite:window=64"];
    refused(&desk.run(&[&part[..], &["--policy", "vanilla"]].concat()), "the policy vanilla");
    assert!(!desk.path("part").exists(), "nothing was begun");
    json(&desk.run(&part));
}

/// What holds no result says what it is, whichever command is told to read it.
#[test]
fn what_is_no_result_is_said_to_be_none() {
    let desk = Desk::new();
    let mut child = desk.command(&["--out", "begun", "--snapshot", "0"]);
    let child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    kill_at(child, &desk.path("begun"), 1024);
    std::fs::create_dir(desk.path("empty")).expect("made");
    std::fs::write(desk.path("file"), "words").expect("written");
    for (name, words) in [
        ("nowhere", "no such folder"),
        ("file", "no folder"),
        ("empty", "no result"),
        ("begun", "unfinished run"),
    ] {
        let plot =
            program().args(["plot", name]).current_dir(desk.folder.path()).output().expect("it starts");
        let merge = program()
            .args(["merge", name, "--out", "joined"])
            .current_dir(desk.folder.path())
            .output()
            .expect("it starts");
        for output in [plot, merge] {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains(words), "{name}: {said}");
            assert!(!said.contains("os error"), "{name}: {said}");
        }
    }
    json(&desk.run(&["--shard", "0/2", "--out", "half", "--policy", "lm-infinite:window=64"]));
    refused(&desk.merge(&["half"], "joined"), "read by `--shard`");
}
