//! Result folders of the real program: what lay there before, shards, folders of earlier versions; in files of their own,
//! links and devices, killed processes and full disks.

mod desk;
mod interrupted;
#[cfg(unix)]
mod links;

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use lm_infinite::results::ResultFolder;
use serde_json::Value;

use self::desk::{Desk, done, files, refused};
use crate::support::{golden, program};

const BENCH: [&str; 8] =
    ["--policy", "lm-infinite:start=1,window=8", "--lengths", "16", "--decode", "1", "--rounds", "1"];

#[test]
fn every_command_leaves_what_is_not_its_own() {
    let desk = Desk::new();
    done(&desk.diagnose("200", "r").output().expect("it starts"));
    desk.write("r/notes.md", "mine");
    desk.write("r/sub/deep.txt", "mine too");
    let before = files(&desk.path("r"));
    let text = ["--text", "text.txt"];
    let commands: [(&str, Vec<&str>); 5] = [
        ("bench", [&BENCH[..], &["--out", "r"]].concat()),
        ("passkey", vec!["--lengths", "128", "--samples", "1", "--out", "r"]),
        ("perplexity", [&text[..], &["--tokens", "200", "--out", "r"]].concat()),
        ("ablation", [&text[..], &["--tokens", "100", "--segments", "1", "--out", "r"]].concat()),
        (
            "sweep",
            [
                &text[..],
                &["--key", "window", "--values", "8", "--length", "100", "--samples", "1", "--out", "r"],
            ]
            .concat(),
        ),
    ];
    for (command, more) in &commands {
        refused(&desk.run(command, more), &["it holds a diagnosis", "choose another folder"]);
        assert!(files(&desk.path("r")) == before, "{command} has touched the folder");
    }
    let merged = program().args(["merge", "r", "--out", "m"]).current_dir(desk.folder.path()).output();
    refused(&merged.expect("it starts"), &["`r`", "no shards"]);

    // The same kind is replaced, and nothing else.
    done(&desk.diagnose("210", "r").output().expect("it starts"));
    let after = files(&desk.path("r"));
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert_eq!(
        (after["notes.md"].as_slice(), after["sub/deep.txt"].as_slice()),
        (&b"mine"[..], &b"mine too"[..])
    );
    assert_ne!(after["nll_by_position.csv"], before["nll_by_position.csv"]);
    let run: Value = serde_json::from_slice(&after["run.json"]).expect("JSON");
    assert_eq!(
        (&run["kind"], &run["format_version"], &run["tokens"]),
        (&"diagnosis".into(), &2.into(), &210.into())
    );
    assert!(run["generator"].as_str().is_some_and(|name| name.starts_with("ChaCha")), "{run}");
    let manifest: Vec<&str> =
        run["files"].as_array().expect("a manifest").iter().filter_map(Value::as_str).collect();
    let expected: Vec<&String> =
        after.keys().filter(|name| !["notes.md", "sub/deep.txt"].contains(&name.as_str())).collect();
    assert_eq!(manifest, expected);

    // A benchmark twice beside somebody's files, and into a folder that holds those alone.
    desk.write("b/notes.md", "mine");
    for _ in 0..2 {
        done(&desk.run("bench", &[&BENCH[..], &["--out", "b"]].concat()));
        assert_eq!(desk.read("b/notes.md"), "mine");
        assert!(desk.path("b/bench.csv").is_file());
    }

    // Figures of single heads belong to the result that they were drawn from.
    let head = |folder: &str| {
        let arguments = ["plot", folder, "--head", "0.1"];
        program().args(arguments).current_dir(desk.folder.path()).output().expect("it starts")
    };
    done(&head("r"));
    assert!(desk.path("r/entropy_by_length_layer0_head1.svg").is_file());
    done(&desk.plot("r"));
    assert!(desk.path("r/entropy_by_length_layer0_head1.svg").is_file());
    done(&desk.diagnose("200", "r").output().expect("it starts"));
    assert!(!desk.path("r/entropy_by_length_layer0_head1.svg").exists(), "it shows another text");
    refused(&head("b"), &["it holds a benchmark", "a diagnosis is needed"]);
}

#[test]
fn an_unfinished_run_is_not_written_over() {
    let desk = Desk::new();
    desk.write("r/state.json", "{}");
    desk.write("r/session-0-2048.safetensors", "hours of work");
    let before = files(&desk.path("r"));
    for command in ["bench", "passkey"] {
        refused(&desk.run(command, &["--lengths", "16", "--out", "r"]), &["unfinished run", "--resume r"]);
    }
    refused(&desk.diagnose("200", "r").output().expect("it starts"), &["unfinished run"]);
    assert_eq!(files(&desk.path("r")), before);
}

#[test]
fn runs_that_are_begun_together_have_folders_of_their_own() {
    let desk = Desk::new();
    let run = |index: usize| {
        let shard = format!("{index}/4");
        let more = [
            "--text",
            "text.txt",
            "--tokens",
            "200",
            "--policy",
            "lm-infinite:start=1,window=8",
            "--shard",
            &shard,
        ];
        let mut command = desk.command("perplexity", &more);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    };
    let children: Vec<_> = (0..4).map(run).collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    let mut shards: Vec<Value> = fs::read_dir(desk.path("results"))
        .expect("a folder")
        .map(|entry| {
            let text = fs::read_to_string(entry.expect("an entry").path().join("perplexity.json"));
            serde_json::from_str::<Value>(&text.expect("a whole result")).expect("JSON")["shard"]["index"]
                .clone()
        })
        .collect();
    shards.sort_by_key(Value::as_u64);
    assert_eq!(shards, [0, 1, 2, 3].map(Value::from));
}

/// `--policy` in another order is the same run.
#[test]
fn shards_are_joined_by_policy() {
    let desk = Desk::new();
    let (a, b) = ("lm-infinite:start=1,window=8", "window:window=16");
    let run = |out: &str, policies: &[&str], more: &[&str]| {
        let mut arguments = vec!["--text", "text.txt", "--tokens", "300", "--bucket", "64", "--out", out];
        policies.iter().for_each(|policy| arguments.extend(["--policy", policy]));
        arguments.extend(more);
        desk.run("perplexity", &arguments)
    };
    let merge = |folders: &[&str], out: &str| {
        let mut command = program();
        command.arg("merge").args(folders).args(["--out", out]).current_dir(desk.folder.path());
        command.output().expect("it starts")
    };
    for (out, policies, shard) in [("s0", [a, b], "0/2"), ("s1", [b, a], "1/2"), ("twice", [a, a], "1/2")] {
        done(&run(out, &policies, &["--shard", shard]));
    }
    done(&run("whole", &[a, b], &[]));
    done(&run("alone", &[a], &["--shard", "1/2"]));
    let losses = |folder: &str| -> BTreeMap<String, f64> {
        let result: Value =
            serde_json::from_str(&desk.read(&format!("{folder}/perplexity.json"))).expect("JSON");
        let runs = result["runs"].as_array().expect("runs").clone();
        let table = desk.read(&format!("{folder}/nll_by_position.csv"));
        runs.iter()
            .map(|run| {
                let policy = run["policy"].as_str().expect("a name");
                let mut table = csv::Reader::from_reader(table.as_bytes());
                let rows = table.records().map(|row| row.expect("cells"));
                let last = rows.filter(|row| &row[0] == policy).last().expect("rows");
                (policy.to_owned(), last[3].parse().expect("a number"))
            })
            .collect()
    };
    let whole = losses("whole");
    assert!((whole[a] - whole[b]).abs() > 1e-2, "policies differ: {whole:?}");
    for (folders, out) in [(["s0", "s1"], "m"), (["s1", "s0"], "n")] {
        done(&merge(&folders, out));
        for (policy, loss) in losses(out) {
            assert!((loss - whole[&policy]).abs() < 1e-4, "{policy}: {loss}, wanted {}", whole[&policy]);
        }
    }
    refused(&merge(&["s0", "alone"], "x"), &["`alone`", "another run", "policies"]);
    refused(&merge(&["s0", "twice"], "x"), &["`twice`"]);
    refused(&merge(&["s0"], "x"), &["missing: 1/2"]);
    refused(&merge(&["s0", "s0", "s1"], "x"), &["0/2 is there twice"]);
    refused(&merge(&["s0", "whole"], "x"), &["another run", "number of shards 1 instead of 2"]);

    // Policies of one shard that the other lacks although run.json names them.
    let damaged = desk.read("s1/perplexity.json");
    let renamed = damaged.replace("window:window=16", "window:window=17");
    desk.write("s1/perplexity.json", &renamed);
    refused(&merge(&["s0", "s1"], "x"), &["`s1`", "nothing of policy window:window=16"]);
    assert!(!desk.path("x").exists());
}

/// Folders that version 1 of the format has, without figures: `kind`, `files` and `generator` are not in their run.json.
#[test]
fn folders_of_the_first_format_are_opened_drawn_and_replaced() {
    let desk = Desk::new();
    let kinds = [
        ("ablation", "ablation", "ablation.svg"),
        ("bench", "bench", "decode_by_length.png"),
        ("diagnosis", "diagnosis", "report.html"),
        ("passkey", "passkey", "accuracy_by_length.svg"),
        ("perplexity", "perplexity", "nll_by_length.svg"),
    ];
    for (name, kind, figure) in kinds {
        let from = golden("results_format_1").join(name);
        for (file, bytes) in files(&from) {
            fs::create_dir_all(desk.path(name)).expect("made");
            fs::write(desk.path(name).join(file), bytes).expect("copied");
        }
        desk.write(&format!("{name}/notes.md"), "mine");
        let run: Value = serde_json::from_str(&desk.read(&format!("{name}/run.json"))).expect("JSON");
        assert!(run["format_version"] == 1 && run["kind"].is_null(), "{name}");
        let opened = ResultFolder::open(&desk.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(opened.kind(), kind);
        done(&desk.plot(name));
        assert!(desk.path(name).join(figure).is_file(), "{name}");
        assert_eq!(desk.read(&format!("{name}/notes.md")), "mine");
        let opened = ResultFolder::open(&desk.path(name)).expect("opens");
        assert!(opened.files().contains(&figure.to_owned()) && opened.info().format_version == 2);
        assert_eq!(opened.info().command[1], run["command"][1], "the rest is as it was");
    }
    refused(&desk.diagnose("200", "bench").output().expect("it starts"), &["it holds a benchmark"]);
    for (file, bytes) in files(&golden("results_format_1").join("diagnosis")) {
        fs::create_dir_all(desk.path("again")).expect("made");
        fs::write(desk.path("again").join(file), bytes).expect("copied");
    }
    desk.write("again/entropy_by_length_layer0_head1.svg", "of the older one");
    desk.write("again/notes.md", "mine");
    done(&desk.diagnose("200", "again").output().expect("it starts"));
    assert!(!desk.path("again/entropy_by_length_layer0_head1.svg").exists());
    assert_eq!(desk.read("again/notes.md"), "mine");

    // Two results in one folder, as an earlier version could leave them.
    for (file, bytes) in files(&golden("results_format_1").join("bench")) {
        fs::create_dir_all(desk.path("mixed")).expect("made");
        fs::write(desk.path("mixed").join(file), bytes).expect("copied");
    }
    let ablation = fs::read(golden("results_format_1/ablation/ablation.json")).expect("there");
    fs::write(desk.path("mixed/ablation.json"), ablation).expect("copied");
    refused(&desk.plot("mixed"), &["an ablation and a benchmark together"]);
}
