//! `passkey --resume`: what was answered before a process was killed is not asked again.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::program;

const FILE: &str = "answers.jsonl";
const OPTIONS: [&str; 6] = ["--lengths", "200,1k", "--depth", "0,1", "--samples", "6"];

fn passkey(here: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("passkey").args(arguments).current_dir(here);
    command
}

fn run(here: &Path, arguments: &[&str]) -> Output {
    passkey(here, &[&OPTIONS, arguments].concat()).output().expect("it starts")
}

#[track_caller]
fn refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(words), "`{words}` is not in: {said}");
}

#[track_caller]
fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join(FILE)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Begins a run in `folder` and kills it after some answers.
fn killed(here: &Path, folder: &str) {
    let mut child = passkey(here, &[&OPTIONS[..], &["--out", folder]].concat());
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let start = Instant::now();
    while lines(&here.join(folder)).len() < 6 {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing is answered");
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("killed");
    child.wait().expect("it is gone");
}

#[test]
fn a_killed_run_goes_on_to_the_same_result() {
    let scratch = tempfile::tempdir().expect("a folder");
    let here = scratch.path();
    done(&run(here, &["--out", "whole"]));
    let result = |name: &str| fs::read(here.join(name).join("passkey.csv")).expect("a result");
    assert!(!here.join("whole").join(FILE).exists(), "what only an unfinished run needs is gone");

    killed(here, "r");
    let kept = lines(&here.join("r"));
    refused(&run(here, &["--out", "r"]), "`passkey --resume r`");
    refused(&run(here, &["--resume", "r", "--seed", "1"]), "seed: expected 1, got 0");
    refused(&run(here, &["--resume", "r", "--model", "tiny-alibi"]), "model: expected");
    refused(&run(here, &["--resume", "r", "--kv", "f16"]), "model: expected");
    let plot = program().args(["plot", "r"]).current_dir(here).output().expect("it starts");
    refused(&plot, "`passkey --resume`");
    assert_eq!(lines(&here.join("r")), kept, "what is refused changes nothing");

    // Answers are taken as they stand there: one that says the opposite shows that nothing is asked twice.
    let turned = |line: &String| match line.contains("\"found\"") {
        true => line.replace("\"found\"", "\"missed\""),
        false => line.replace("\"missed\"", "\"found\""),
    };
    fs::create_dir(here.join("turned")).expect("a folder");
    let all: Vec<String> = kept.iter().map(turned).collect();
    fs::write(here.join("turned").join(FILE), all.join("\n") + "\n").expect("written");

    // The process was killed amid a line.
    let mut file = OpenOptions::new().append(true).open(here.join("r").join(FILE)).expect("there");
    file.write_all(&kept[1].as_bytes()[..20]).expect("written");
    drop(file);
    for folder in ["r", "turned"] {
        done(&run(here, &["--resume", folder]));
        assert!(!here.join(folder).join(FILE).exists(), "{folder}");
    }
    assert_eq!(result("r"), result("whole"));
    assert_ne!(result("turned"), result("whole"));
    refused(&run(here, &["--resume", "r"]), "is finished");
    refused(&run(here, &["--resume", "nowhere"]), "no unfinished run");
}

#[test]
fn answers_that_are_not_of_these_prompts_are_refused() {
    let scratch = tempfile::tempdir().expect("a folder");
    let here = scratch.path();
    killed(here, "r");
    let kept = lines(&here.join("r"));
    let begin = kept[1].find("\"key\":").expect("a key") + "\"key\":".len();
    let other = format!("{}7{}", &kept[1][..begin], &kept[1][begin..]);
    let damaged = [
        (vec![kept[0].clone(), other], "key of prompt"),
        (vec![kept[0].clone(), "{}".into(), kept[1].clone()], "line 2"),
        (vec![kept[0].replace("answers 1", "answers 9")], "answers 9"),
        (vec![kept[1].clone()], "line 1"),
        (vec![], "line 1"),
    ];
    for (lines, words) in damaged {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(here.join("r").join(FILE), text).expect("written");
        refused(&run(here, &["--resume", "r"]), words);
    }
}
