//! A diagnosis that is cut into parts is the whole one: `diagnose --shard` and `merge` of the real program.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use lm_infinite::diagnose::{DiagnosisShard, RunMeasurement};
use lm_infinite::results::{ResultFolder, read};
use serde_json::Value;

use crate::support::program;

/// So many that the halo of the second and third part (6 layers × a window) does not reach the beginning.
const TOKENS: &str = "6000";

fn run(folder: &Path, arguments: &[&str]) -> Output {
    program().args(arguments).current_dir(folder).output().expect("the program starts")
}

#[track_caller]
fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn refused(output: &Output, reasons: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(reasons.iter().all(|reason| said.contains(reason)), "{reasons:?} are not in: {said}");
}

/// Every number and word of a JSON value by its path.
fn flat(value: &Value, path: String, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| flat(value, format!("{path}/{at}"), into));
        }
        Value::Object(values) => {
            values.iter().for_each(|(name, value)| flat(value, format!("{path}/{name}"), into));
        }
        other => {
            into.insert(path, other.clone());
        }
    }
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// Losses and costs apart, what a part computes differs from the whole by the order in which f32 are added up.
#[track_caller]
fn close(name: &str, a: f32, b: f32, tolerance: f32) {
    let same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * (1.0 + b.abs());
    assert!(same, "{name}: {a}, wanted {b}");
}

fn arrays_are_close(ours: &RunMeasurement, wanted: &RunMeasurement) {
    let (a, b) = (&ours.arrays, &wanted.arrays);
    assert_eq!(a.nll.len(), b.nll.len());
    a.nll.iter().zip(&b.nll).for_each(|(&a, &b)| close("nll", a, b, 1e-4));
    for (name, a, b) in [
        ("max_logit", &a.max_logit, &b.max_logit),
        ("max_logit_start", &a.max_logit_start, &b.max_logit_start),
        ("max_logit_last", &a.max_logit_last, &b.max_logit_last),
        ("max_logit_by_length", &a.max_logit_by_length, &b.max_logit_by_length),
        ("entropy", &a.entropy, &b.entropy),
        ("start_mass", &a.start_mass, &b.start_mass),
        ("mass_inside", &a.mass_inside, &b.mass_inside),
        ("mass_beyond", &a.mass_beyond, &b.mass_beyond),
    ] {
        assert_eq!(a.dim(), b.dim(), "{name}");
        a.iter().zip(b).for_each(|(&a, &b)| close(name, a, b, 1e-3));
    }
    for (name, a, b) in [("map_logit", &a.map_logit, &b.map_logit), ("map_mass", &a.map_mass, &b.map_mass)] {
        assert_eq!(a.dim(), b.dim(), "{name}");
        a.iter().zip(b).for_each(|(&a, &b)| close(name, a, b, 1e-3));
    }
}

/// The beginning of the built-in text as lines of JSON, a document of 1,500 bytes each.
fn documents(path: &Path) {
    let (mut text, mut lines) = (lm_infinite::text::EMBEDDED_TEXT, String::new());
    for _ in 0..40 {
        let (document, rest) = text.split_at(text.floor_char_boundary(1500));
        lines += &format!("{}\n", serde_json::json!({ "text": document }));
        text = rest;
    }
    std::fs::write(path, lines).expect("written");
}

#[test]
fn three_shards_are_the_whole_diagnosis() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    documents(&folder.join("text.jsonl"));
    let (a, b) = ("lm-infinite", "window:window=64");
    let diagnose = |policies: [&str; 2], more: &[&str]| {
        let policies = ["--policy", policies[0], "--policy", policies[1]];
        let text = ["diagnose", "--text", "text.jsonl", "--tokens", TOKENS];
        run(folder, &[&text, &policies[..], more].concat())
    };
    done(&diagnose([a, b], &["--out", "whole"]));
    // In another order of policies, too.
    for (index, policies) in [[a, b], [b, a], [a, b]].into_iter().enumerate() {
        let (shard, out) = (format!("{index}/3"), format!("part-{index}"));
        done(&diagnose(policies, &["--shard", &shard, "--out", &out]));
    }
    done(&run(folder, &["merge", "part-2", "part-0", "part-1", "--out", "merged"]));
    let (_, wanted) = read(&folder.join("whole")).expect("a diagnosis");
    let (info, ours) = read(&folder.join("merged")).expect("a diagnosis");
    assert_eq!((info.kind.as_str(), info.command[1].as_str()), ("diagnosis", "merge"));
    let number = wanted.runs[0].loss.documents;
    assert!(number.is_some_and(|number| (8..=40).contains(&number)), "{number:?} documents");
    assert_eq!(ours.reference_per_token, wanted.reference_per_token, "segments are the same, bit for bit");
    for (ours, wanted) in ours.runs.iter().zip(&wanted.runs) {
        arrays_are_close(ours, wanted);
    }

    let json = |diagnosis| {
        let mut all = BTreeMap::new();
        flat(&serde_json::to_value(diagnosis).expect("JSON"), String::new(), &mut all);
        all.retain(|name, _| !["seconds", "per_second", "rss_bytes"].iter().any(|time| name.ends_with(time)));
        all
    };
    let (ours, wanted) = (json(&ours), json(&wanted));
    assert_eq!(ours.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, wanted) in &wanted {
        match (&ours[name], wanted) {
            (Value::Number(a), Value::Number(b)) => {
                // A cell of the quantile sketch is 1/64 wide on the asinh scale.
                let tolerance = if name.contains("logit_quantiles") { 0.02 } else { 2e-3 };
                let (a, b) = (a.as_f64().expect("a number"), b.as_f64().expect("a number"));
                assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{name}: {a}, wanted {b}");
            }
            (Value::String(a), Value::String(b)) => {
                assert_eq!(without_digits(a), without_digits(b), "{name}")
            }
            (a, b) => assert_eq!(a, b, "{name}"),
        }
    }
    assert!(
        folder.join("merged/report.html").is_file() && folder.join("merged/nll_by_position.svg").is_file()
    );

    refused(&run(folder, &["merge", "part-0", "part-2", "--out", "x"]), &["missing: 1/3"]);
    refused(&run(folder, &["merge", "part-0", "whole", "--out", "x"]), &["`whole`", "a diagnosis"]);
    done(&diagnose([a, b], &["--shard", "1/3", "--bucket", "64", "--out", "other"]));
    refused(&run(folder, &["merge", "part-0", "other", "part-2", "--out", "x"]), &["`other`", "bucket"]);
    assert!(!folder.join("x").exists());
    damaged_parts_are_refused(folder);
}

fn damaged_parts_are_refused(folder: &Path) {
    let merge = || run(folder, &["merge", "part-0", "part-1", "part-2", "--out", "x"]);
    let numbers = folder.join("part-1/sums.msgpack");
    let whole = std::fs::read(&numbers).expect("there");
    for damaged in [&whole[..whole.len() / 2], b"", b"\xdd\xff\xff\xff\xff"] {
        std::fs::write(&numbers, damaged).expect("written");
        refused(&merge(), &["sums.msgpack"]);
    }
    // The numbers of another part, which are whole in themselves.
    std::fs::copy(folder.join("part-2/sums.msgpack"), &numbers).expect("copied");
    refused(&merge(), &["expected"]);
    std::fs::write(&numbers, &whole).expect("written");
    let header = folder.join("part-1/shard.json");
    let text = std::fs::read_to_string(&header).expect("there");
    for (from, to) in [
        ("\"layers\": 6", "\"layers\": 4000000000"),
        ("\"tokens\": 6000", "\"tokens\": 18446744073709551615"),
        ("\"index\": 1", "\"index\": 7"),
        ("\"count\": 3", "\"count\": 0"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&header, text.replace(from, to)).expect("written");
        let output = merge();
        refused(&output, &["part-1"]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    }
    std::fs::write(&header, text).expect("written");
    let part: DiagnosisShard =
        ResultFolder::open(&folder.join("part-1")).and_then(|part| part.read()).expect("whole");
    assert_eq!((part.shard.index, part.reference.len()), (1, 2000));
    done(&merge());
}

#[test]
fn a_policy_without_a_window_cannot_be_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    for shard in ["0/3", "1/3"] {
        let arguments =
            ["diagnose", "--tokens", "600", "--policy", "vanilla", "--shard", shard, "--out", "x"];
        refused(
            &run(folder.path(), &arguments),
            &["--shard", "no window", "every token depends on all before it"],
        );
    }
    assert!(!folder.path().join("x").exists());
}
