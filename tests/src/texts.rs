//! Texts through the program: read as far as they are needed, to their end and no further, and marked where they repeat.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::program;

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program().arg("--json").args(arguments).current_dir(self.0.path()).output().expect("it starts")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        json(&self.run(arguments))
    }

    /// Runs the program with a text on standard input that never ends.
    fn endless(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.arg("--json").args(arguments).current_dir(self.0.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.as_mut().expect("it starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        // It ends with a broken pipe, when the program does.
        let write = move || while pipe.write_all(&b"and so on, ".repeat(1000)).is_ok() {};
        let writer = std::thread::Builder::new().name("writer".into()).spawn(write).expect("a thread");
        let (mut out, mut talk) =
            (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let start = Instant::now();
        let status = loop {
            match child.try_wait().expect("a child") {
                Some(status) => break status,
                None if start.elapsed() > Duration::from_secs(120) => {
                    child.kill().expect("it runs");
                    panic!("{arguments:?} reads on and on");
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        std::io::Read::read_to_end(&mut out, &mut stdout).expect("reads");
        std::io::Read::read_to_end(&mut talk, &mut stderr).expect("reads");
        writer.join().expect("it ends");
        Output { status, stdout, stderr }
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("stdout is one JSON value")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn refused(output: &Output, reason: &str) {
    // With `--json`, why a run was refused is data.
    let words = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(reason), "{words}");
}

fn run_json(desk: &Desk, folder: &str) -> Value {
    let text = std::fs::read_to_string(desk.path(folder).join("run.json")).expect("a result");
    serde_json::from_str(&text).expect("JSON")
}

/// 17 tokens or so.
const SHORT: &str = "A text that ends before it has begun.\n";

fn sentences(count: usize) -> String {
    (0..count).map(|at| format!("The {at}th sentence says that {} is {}.\n", at % 97, at * 31 % 89)).collect()
}

#[test]
fn a_run_of_few_tokens_reads_no_more_of_any_text_than_it_needs() {
    let desk = Desk::new();
    for (arguments, place) in [
        (&["perplexity", "--tokens", "256"][..], "text"),
        (&["perplexity", "--tokens", "256", "--repeat"], "text"),
        (
            &[
                "perplexity",
                "--tokens",
                "256",
                "--out",
                "long",
                "--policy",
                "window",
                "--policy",
                "lm-infinite",
            ],
            "long",
        ),
        (&["diagnose", "--tokens", "256", "--policy", "vanilla", "--out", "diagnosis"], "diagnosis"),
        (
            &["ablation", "--tokens", "300", "--segments", "2", "--policy", "window", "--out", "ablation"],
            "ablation",
        ),
        (
            &[
                "sweep",
                "--key",
                "start",
                "--values",
                "4",
                "--length",
                "300",
                "--samples",
                "2",
                "--out",
                "sweep",
            ],
            "sweep",
        ),
        (
            &["generation-quality", "--lengths", "64", "--tokens", "4", "--samples", "2", "--out", "quality"],
            "quality",
        ),
    ] {
        let result = json(&desk.endless(&[arguments, &["--text", "-"]].concat()));
        let read = match place {
            "text" => result["text"].clone(),
            folder => run_json(&desk, folder)["text_read"].clone(),
        };
        assert_eq!(read["whole"], false, "{arguments:?}: {read}");
        assert!(read["bytes"].as_u64().is_some_and(|bytes| bytes < 32 << 20), "{arguments:?}: {read}");
    }
}

#[test]
fn memory_does_not_grow_with_the_text() {
    let desk = Desk::new();
    let (small, large) = (sentences(5_000), 500);
    desk.write("small.txt", &small);
    let mut file = std::fs::File::create(desk.path("large.txt")).expect("made");
    (0..large).for_each(|_| file.write_all(small.as_bytes()).expect("written"));
    let peak = |text: &str| {
        let result = desk.json(&["perplexity", "--tokens", "256", "--text", text]);
        (result["runs"][0]["peak_rss_bytes"].as_u64(), result)
    };
    let ((small, first), (large, second)) = (peak("small.txt"), peak("large.txt"));
    assert_eq!((&first["text"], &first["runs"][0]["nll"]), (&second["text"], &second["runs"][0]["nll"]));
    if let (Some(small), Some(large)) = (small, large) {
        assert!(large < small + (16 << 20), "{small} {large}");
    }
}

#[test]
fn a_short_text_is_read_to_its_end_and_that_is_said_everywhere() {
    let desk = Desk::new();
    desk.write("short.txt", SHORT);
    let output = desk.run(&["diagnose", "--text", "short.txt", "--tokens", "4096", "--out", "out"]);
    let result = json(&output);
    let tokens = result["tokens"].as_u64().expect("a count");
    assert!(tokens < SHORT.len() as u64, "{tokens}");
    let words = format!("the text has {tokens} tokens, 4096 were asked for");
    assert!(said(&output).contains(&words), "{}", said(&output));
    assert!(result["notes"].to_string().contains(&words) && result["repeated_from"].is_null(), "{result}");
    let info = run_json(&desk, "out");
    assert!(info["notes"].to_string().contains(&words) && info["repeated_from"].is_null(), "{info}");
    assert_eq!(info["text_read"]["whole"], true);
    for name in ["summary.txt", "report.html"] {
        let text = std::fs::read_to_string(desk.path("out").join(name)).expect(name);
        assert!(text.contains(&words) && !text.contains("repeats from"), "{name}");
    }
    let output = desk.run(&["perplexity", "--text", "short.txt", "--tokens", "4096"]);
    assert!(said(&output).contains(&words) && json(&output)["notes"].to_string().contains(&words));
    assert_eq!(json(&output)["tokens"], tokens);
    refused(&desk.run(&["ablation", "--text", "short.txt", "--tokens", "300"]), "--repeat");
    let sweep = ["sweep", "--key", "start", "--values", "4", "--length", "300", "--samples", "3", "--text"];
    refused(&desk.run(&[&sweep[..], &["short.txt"]].concat()), "--repeat");
    desk.write("two.txt", sentences(35));
    let output = desk.run(&[&sweep[..], &["two.txt"]].concat());
    let result = json(&output);
    let count = result["runs"][0]["samples"].as_u64().expect("a count");
    assert!((1..3).contains(&count), "as many as there are: {result}");
    assert!(said(&output).contains("3 were asked for"), "{}", said(&output));
}

#[test]
fn what_is_made_of_a_text_that_repeats_is_marked() {
    let desk = Desk::new();
    desk.write("short.txt", format!("{}\n\n\n{SHORT}", sentences(20)));
    let text = ["--text", "short.txt", "--repeat"];
    let diagnose =
        [&["diagnose", "--tokens", "1500", "--policy", "window", "--out", "out"][..], &text].concat();
    let output = desk.run(&diagnose);
    let result = json(&output);
    let from = result["repeated_from"].as_u64().expect("it repeats");
    assert!(result["tokens"] == 1500 && from < 1500 && said(&output).contains("repeats"), "{result}");
    let info = run_json(&desk, "out");
    assert!(info["repeated_from"] == from && info["notes"].to_string().contains("repeats"), "{info}");
    let file = |name: &str| std::fs::read_to_string(desk.path(name)).expect(name);
    assert!(file("out/summary.txt").contains("repeats") && file("out/report.html").contains("repeats"));
    for name in ["nll_by_position", "entropy_by_length", "entropy_bounds", "start_mass_by_position"] {
        assert!(file(&format!("out/{name}.svg")).contains("text repeats from here"), "{name}");
    }
    let marked = format!("text repeats from token {from}");
    for name in ["nll_by_position", "logits_by_distance", "heads_entropy", "attention_maps", "drift_pca"] {
        assert!(file(&format!("out/{name}.svg")).contains(&marked), "{name}");
    }
    // Drawn again from what is stored, they are marked still.
    assert!(desk.run(&["plot", "out"]).status.success());
    assert!(file("out/nll_by_position.svg").contains("text repeats from here"));

    let perplexity = desk.json(&[&["perplexity", "--tokens", "1500"][..], &text].concat());
    assert_eq!(
        (&perplexity["repeated_from"], &perplexity["tokens"]),
        (&result["repeated_from"], &result["tokens"])
    );
    let ablation =
        ["ablation", "--tokens", "900", "--segments", "2", "--policy", "window", "--out", "ablation"];
    let ablation = desk.json(&[&ablation[..], &text].concat());
    assert!(
        ablation["repeated_from"] == from && ablation["notes"].to_string().contains("repeats"),
        "{ablation}"
    );
    assert!(run_json(&desk, "ablation")["repeated_from"] == from);
    assert!(
        file("ablation/ablation.svg").contains(&marked) && file("ablation/summary.txt").contains("repeats")
    );
    let sweep =
        ["sweep", "--key", "start", "--values", "4", "--length", "900", "--samples", "2", "--out", "sweep"];
    let sweep = desk.json(&[&sweep[..], &text].concat());
    assert!(sweep["repeated_from"] == from && sweep["runs"][0]["samples"] == 2, "{sweep}");
    assert!(file("sweep/sweep.svg").contains("the text repeats from token"));
    assert!(
        run_json(&desk, "sweep")["repeated_from"] == from && file("sweep/summary.txt").contains("repeats")
    );

    // A long run repeats by itself, and says so.
    let output = desk.run(&["perplexity", "--text", "short.txt", "--tokens", "1500", "--out", "long"]);
    assert!(json(&output)["repeated_from"] == from && said(&output).contains("repeats"), "{}", said(&output));
    assert!(run_json(&desk, "long")["repeated_from"] == from && file("long/summary.txt").contains("repeats"));
    assert!(file("long/nll_by_length.svg").contains("text repeats from here"));
    assert!(file("long/memory_by_length.svg").contains(&marked));

    let bench =
        desk.json(&["bench", "--policy", "window", "--lengths", "70k", "--rounds", "1", "--decode", "1"]);
    assert!(bench["repeated_from"].as_u64().is_some_and(|from| from < 70 << 10), "{bench}");
    assert!(bench["notes"].to_string().contains("repeat"), "{bench}");
}

#[test]
fn marks_and_line_ends_are_no_tokens() {
    let desk = Desk::new();
    let text = sentences(40);
    desk.write("plain.txt", &text);
    desk.write("marked.txt", format!("\u{feff}{text}"));
    let nll = |name: &str| desk.json(&["perplexity", "--text", name])["runs"][0]["nll"].clone();
    assert_eq!(nll("marked.txt"), nll("plain.txt"));
    let line = serde_json::json!({ "text": text }).to_string();
    desk.write("lines.jsonl", format!("\u{feff}{line}\r\n"));
    assert_eq!(nll("lines.jsonl"), nll("plain.txt"));
    // Of another system: the same text, and a document break is one.
    desk.write("windows.txt", text.replace('\n', "\r\n"));
    let output = desk.run(&["perplexity", "--text", "windows.txt", "--json"]);
    assert!(said(&output).contains("carriage return"), "{}", said(&output));
    assert_eq!(json(&output)["runs"][0]["nll"], nll("plain.txt"));
    let lines = text.replace(". ", ".\n");
    desk.write("lines.txt", &lines);
    desk.write("returns.txt", lines.replace('\n', "\r\n"));
    assert_eq!(nll("returns.txt"), nll("lines.txt"));
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    desk.write("wide.txt", wide);
    refused(&desk.run(&["perplexity", "--text", "wide.txt"]), "UTF-16");
}

/// What is read is not written over.
#[test]
fn losses_do_not_take_the_place_of_their_text() {
    let desk = Desk::new();
    let text = sentences(20);
    desk.write("a.txt", &text);
    refused(&desk.run(&["perplexity", "--text", "a.txt", "--per-token", "./a.txt"]), "would be lost");
    assert_eq!(std::fs::read_to_string(desk.path("a.txt")).expect("it"), text);
}

#[test]
fn files_of_a_folder_that_cannot_be_used_are_named_in_the_result() {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("texts/below")).expect("made");
    desk.write("texts/a.TXT", sentences(20));
    desk.write("texts/b.txt", "");
    desk.write("texts/c.txt", b"caf\xe9");
    desk.write("texts/d.JSONL", serde_json::json!({ "text": sentences(5) }).to_string());
    let output =
        desk.run(&["diagnose", "--text", "texts", "--tokens", "2000", "--policy", "window", "--out", "out"]);
    let (result, info) = (json(&output), run_json(&desk, "out"));
    for words in ["b.txt", "c.txt", "0xE9", "1 folder in it is not looked into"] {
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
        for notes in [&result["notes"], &info["notes"]] {
            assert!(notes.to_string().contains(words), "{words}: {notes}");
        }
    }
    refused(&desk.run(&["perplexity", "--text", "texts/b.txt"]), "empty");
}
