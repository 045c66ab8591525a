//! Result folders of the real program: what lay there before, links and devices, killed processes, full disks, folders of
//! earlier versions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lm_infinite::results::ResultFolder;
use serde_json::Value;

use crate::support::{golden, program, tiny};

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
        fs::write(folder.path().join("text.txt"), text).expect("written");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `COMMAND --model … MORE` in the folder.
    fn command(&self, command: &str, more: &[&str]) -> Command {
        let mut program = program();
        program.arg(command).arg("--model").arg(tiny("tied")).args(more).current_dir(self.folder.path());
        program
    }

    fn run(&self, command: &str, more: &[&str]) -> Output {
        self.command(command, more).output().expect("the program starts")
    }

    fn diagnose(&self, tokens: &str, out: &str) -> Command {
        let text = ["--text", "text.txt", "--policy", "vanilla"];
        self.command("diagnose", &[&text[..], &["--tokens", tokens, "--out", out]].concat())
    }

    fn plot(&self, folder: &str) -> Output {
        program().args(["plot", folder]).current_dir(self.folder.path()).output().expect("the program starts")
    }
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn done(output: &Output) {
    assert!(output.status.success(), "{}", words(&output.stderr));
}

#[track_caller]
fn refused(output: &Output, reasons: &[&str]) {
    let said = words(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for reason in reasons {
        assert!(said.contains(reason), "`{reason}` is not in: {said}");
    }
}

/// Every file below `folder` by its path in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                all.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    all
}

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

#[cfg(unix)]
#[test]
fn losses_per_token_go_through_links_and_pipes() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let desk = Desk::new();
    let losses = |to: &str| {
        let more = ["--text", "text.txt", "--tokens", "100", "--policy", "vanilla", "--per-token", to];
        desk.command("perplexity", &more)
    };
    let run = |to: &str| losses(to).output().expect("the program starts");
    let kind = |name: &str| fs::symlink_metadata(desk.path(name)).expect("there").file_type();
    done(&run("plain.npy"));
    let plain = fs::read(desk.path("plain.npy")).expect("written");
    assert!(plain.starts_with(b"\x93NUMPY"));

    fs::create_dir(desk.path("disk")).expect("made");
    symlink("disk/real.npy", desk.path("link.npy")).expect("a link");
    for _ in 0..2 {
        done(&run("link.npy"));
        assert!(kind("link.npy").is_symlink());
        assert_eq!(fs::read(desk.path("disk/real.npy")).expect("written"), plain);
    }

    let made = Command::new("mkfifo").arg(desk.path("pipe")).status();
    assert!(made.expect("mkfifo").success());
    let mut child = losses("pipe").stdout(Stdio::null()).spawn().expect("the program starts");
    assert_eq!(fs::read(desk.path("pipe")).expect("a pipe"), plain);
    assert!(child.wait().expect("it ends").success() && kind("pipe").is_fifo());

    done(&run("/dev/null"));
    assert!(fs::metadata("/dev/null").expect("there").file_type().is_char_device());
    let output = run("/dev/stdout");
    done(&output);
    assert!(output.stdout.starts_with(&plain) && output.stdout.len() > plain.len(), "then the words");
    // Redirected to a file, which keeps what is written to it before and after.
    let file = fs::File::create(desk.path("both")).expect("made");
    assert!(losses("/dev/stdout").stdout(file).status().expect("it starts").success());
    let both = fs::read(desk.path("both")).expect("written");
    assert!(both.starts_with(&plain) && both.len() > plain.len());

    refused(&run("disk"), &["disk", "a folder"]);
    refused(&run("nowhere/x.npy"), &["nowhere"]);
    let made = Command::new("mknod").arg(desk.path("block")).args(["b", "7", "250"]).output();
    if made.expect("mknod").status.success() {
        refused(&run("block"), &["block device"]);
        assert!(kind("block").is_block_device());
    }
}

#[cfg(unix)]
#[test]
fn a_result_goes_where_a_link_points() {
    use std::os::unix::fs::symlink;
    let desk = Desk::new();
    fs::create_dir(desk.path("disk")).expect("made");
    symlink("disk", desk.path("out")).expect("a link");
    symlink("later", desk.path("dangling")).expect("a link");
    for (link, real) in [("out", "disk"), ("dangling", "later")] {
        for tokens in ["200", "210"] {
            done(&desk.diagnose(tokens, link).output().expect("it starts"));
            assert!(fs::symlink_metadata(desk.path(link)).expect("there").file_type().is_symlink());
            let run: Value = serde_json::from_str(&desk.read(&format!("{real}/run.json"))).expect("JSON");
            assert_eq!(run["tokens"].to_string(), tokens);
        }
    }
    let more = ["--text", "text.txt", "--tokens", "200", "--policy", "lm-infinite:start=1,window=8"];
    symlink("long", desk.path("to-long")).expect("a link");
    done(&desk.run("perplexity", &[&more[..], &["--out", "to-long"]].concat()));
    assert!(desk.path("long/perplexity.json").is_file() && !desk.path("long/state.json").exists());
    refused(&desk.diagnose("200", "text.txt").output().expect("it starts"), &["no folder"]);
    refused(&desk.diagnose("200", "/dev/null").output().expect("it starts"), &["no folder"]);
}

/// What does not depend on time.
fn numbers(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = files(folder);
    all.retain(|name, _| {
        [".csv", ".npz", ".svg", ".png"].iter().any(|extension| name.ends_with(extension))
            && !name.starts_with('.')
    });
    all
}

/// Kills writers of a result at any moment, the last milliseconds above all: the older result is there, or the new one.
fn kill_writers(desk: &Desk, folder: &str, rounds: u32) -> [u32; 2] {
    let lengths = ["200", "230"];
    let wanted = lengths.map(|tokens| {
        let reference = format!("reference-{folder}-{tokens}");
        done(&desk.diagnose(tokens, &reference).output().expect("it starts"));
        numbers(&desk.path(&reference))
    });
    let path = desk.path(folder);
    let notes = if path.is_dir() { numbers(&path) } else { BTreeMap::new() };
    let notes: Vec<&String> = notes.keys().filter(|name| name.contains("notes")).collect();
    done(&desk.diagnose(lengths[0], folder).output().expect("it starts"));
    let (mut now, mut outcomes) = (0, [0, 0]);
    // How long it takes from the first file to the end, as seen in rounds that were not killed in time.
    let mut span = Duration::from_millis(300);
    for round in 0..rounds {
        let next = 1 - now;
        let mut writer = desk.diagnose(lengths[next], folder);
        let mut child =
            writer.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        let beginning = format!(".{folder}.partial-{}", child.id());
        let inside = format!(".lm-infinite-partial-{}", child.id());
        let is_writing = || {
            let starts = |at: &Path, begin: &str| {
                let mut entries = fs::read_dir(at).expect("a folder").flatten();
                entries.any(|entry| entry.file_name().to_string_lossy().starts_with(begin))
            };
            starts(desk.folder.path(), &beginning) || path.is_dir() && starts(&path, &inside)
        };
        let start = Instant::now();
        while !is_writing() && child.try_wait().expect("a child").is_none() {
            assert!(start.elapsed() < Duration::from_secs(120), "it never writes");
            std::thread::sleep(Duration::from_micros(200));
        }
        let writes = Instant::now();
        // From the first file to a little after the last one.
        let pause = span.mul_f64(f64::from(round) / f64::from(rounds - 1) * 1.2);
        while writes.elapsed() < pause && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_micros(100));
        }
        if child.try_wait().expect("a child").is_some() {
            span = span.min(writes.elapsed());
        }
        // SIGKILL.
        let _ = child.kill();
        child.wait().expect("it is gone");

        let opened = ResultFolder::open(&path).expect("a whole result");
        let tokens = opened.info().tokens.to_string();
        let which = lengths.iter().position(|&length| length == tokens).expect("one of the two");
        let mut found = numbers(&path);
        for name in &notes {
            assert!(found.remove(*name).is_some(), "{name} is gone in round {round}");
        }
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            wanted[which].keys().collect::<Vec<_>>(),
            "round {round}"
        );
        for (name, bytes) in &found {
            assert!(
                *bytes == wanted[which][name],
                "round {round}: {name} is of another result than run.json"
            );
        }
        outcomes[usize::from(which != now)] += 1;
        now = which;
    }
    outcomes
}

#[test]
fn a_killed_writer_leaves_the_older_result_or_the_new_one() {
    let desk = Desk::new();
    let [old, new] = kill_writers(&desk, "r", 16);
    assert!(old > 0 && old + new == 16, "{old} {new}");
    desk.write("n/my-notes.csv", "mine");
    desk.write("n/sub/my-notes.csv", "mine");
    let [old, new] = kill_writers(&desk, "n", 16);
    assert!(old > 0 && old + new == 16, "{old} {new}");
    // What the killed ones have left is gone after the next that is not.
    for folder in ["r", "n"] {
        done(&desk.diagnose("200", folder).output().expect("it starts"));
        assert!(files(&desk.path(folder)).keys().all(|name| !name.starts_with('.')), "{folder}");
    }
    let left = fs::read_dir(desk.folder.path()).expect("a folder").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with('.')));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_older_result() {
    let desk = Desk::new();
    let script = r#"
        set -eu
        run() {
            "$PROGRAM" diagnose --model "$MODEL" --text text.txt --policy vanilla --tokens $1 --out $2 > words
        }
        mkdir disk
        mount -t tmpfs -o size=3m none disk
        for out in disk/r disk; do
            run 200 $out
            find $out -type f | sort | xargs sha256sum > before
            head -c 64m /dev/zero > disk/fill 2>/dev/null || true
            truncate -s -100k disk/fill
            rc=0; run 230 $out 2> said || rc=$?
            rm disk/fill
            find $out -type f | sort | xargs sha256sum > after
            cat said
            echo "rc=$rc"
            cmp before after
            test -z "$(find disk -name '.*')"
            rm -r disk/*
        done
        echo done
    "#;
    let mut seen = None;
    for how in ["-m", "-rm"] {
        let mut shell = Command::new("unshare");
        shell.args([how, "sh", "-c", script]).current_dir(desk.folder.path());
        shell.env("PROGRAM", program().get_program()).env("MODEL", tiny("tied"));
        match shell.output() {
            Ok(output)
                if !words(&output.stderr).contains("mount") && !words(&output.stderr).contains("unshare") =>
            {
                seen = Some(output);
                break;
            }
            _ => {
                let _ = fs::remove_dir(desk.path("disk"));
            }
        }
    }
    let Some(output) = seen else {
        eprintln!("skipped: needs the right to mount a small file system");
        return;
    };
    let said = words(&output.stdout);
    assert!(output.status.success() && said.ends_with("done\n"), "{said}{}", words(&output.stderr));
    assert_eq!(said.matches("rc=1").count(), 2, "{said}");
    assert_eq!(said.matches("No space left").count(), 2, "{said}");
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
