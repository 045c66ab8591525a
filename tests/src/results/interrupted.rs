//! Writers that are killed, or find the disk full: the older result or the new one is there, whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lm_infinite::results::ResultFolder;

use super::desk::{Desk, done, files};

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
    use std::process::Command;

    use super::desk::words;
    use crate::support::{program, tiny};

    let desk = Desk::new();
    let script = r#"
        set -eu
        run() {
            "$PROGRAM" diagnose --model "$MODEL" --text text.txt --policy vanilla --tokens $1 --out $2 > words
        }
        mkdir disk
        mount -t tmpfs -o size=6m none disk
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
