//! Verdicts where the right answer is known: false `fails` at most 5 %, `undecided` rarer than 20 % at the default length, failures
//! said to hold, and not found at the default length, at most 5 %.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use lm_infinite::calibrate::{
    Calibration, CalibrationText, Expected, Extent, Identity, Plan, Subject, Truth, Workspace, calibrate,
    measure,
};
use lm_infinite::checkpoint::{LoadedModel, load};
use lm_infinite::hub;
use lm_infinite::long_run::Shard;
use lm_infinite::results::ResultFolder;
use serde_json::Value;

use crate::support::{cache, program};

fn built_in(name: &str) -> LoadedModel {
    load(name, &cache()).expect("it is built in")
}

fn loaded(name: &str) -> Subject {
    Subject::Loaded(Box::new(built_in(name)))
}

fn random() -> Subject {
    Subject::Random(Box::new(built_in(hub::DEFAULT_MODEL).tokenizer))
}

fn run(plan: &Plan) -> Calibration {
    calibrate(plan, &|_| (), &|| false).expect("runs")
}

/// All rates of a quick run are met; it has no failure at the default length.
#[track_caller]
fn assert_rates(found: &Calibration) {
    let said = found.summary();
    eprintln!("{said}");
    for rate in found.rates() {
        if rate.name.starts_with("failures not found") {
            assert_eq!(rate.met, None, "{said}");
            continue;
        }
        assert_eq!(rate.met, Some(true), "{} of {}: {:?}\n{said}", rate.name, rate.measure, rate.share);
    }
}

#[test]
fn a_subset_of_verdicts_keeps_its_rates() {
    let extent = Extent { quick: true, ..Extent::default() };
    let plan = Plan::new(vec![loaded("tiny-rope"), random()], Vec::new(), 0, extent).expect("a plan");
    assert_rates(&run(&plan));
}

/// A case is what its reading says it is, not what it was called: what fails can be no false `fails`, and what holds cannot
/// be missed.
#[test]
fn cases_that_are_not_what_they_are_called_are_set_apart() {
    let extent = Extent { quick: true, tokens: Some(1024), ..Extent::default() };
    let mut plan = Plan::new(vec![loaded("tiny-rope")], Vec::new(), 0, extent).expect("a plan");
    plan.rows.retain(|row| row.row.policy != "vanilla" || row.row.expected == Expected::Failure);
    for planned in &mut plan.rows {
        planned.texts = vec![0];
        planned.row.expected = match planned.row.expected {
            Expected::Null => Expected::Failure,
            Expected::Failure => Expected::Null,
        };
    }
    let found = run(&plan);
    let truths: Vec<Truth> = found.cases.iter().map(|case| case.truth).collect();
    assert_eq!(truths, [Truth::Below, Truth::Above]);
    assert!(found.wrong().is_empty() && found.rates().iter().all(|rate| rate.met.is_none()));
    assert_eq!(found.summary().matches("the margin, ").count(), 2, "{}", found.summary());
}

#[test]
fn a_run_that_is_stopped_says_so_and_keeps_its_cases() {
    let given = vec![CalibrationText::written("mine", "one two three ".repeat(200))];
    let extent = Extent { quick: true, ..Extent::default() };
    let plan = Plan::new(vec![random(), loaded("tiny-rope")], given, 0, extent).expect("a plan");
    let last = plan.rows.iter().filter(|row| row.texts.contains(&(plan.texts.len() - 1)));
    assert_eq!(last.map(|row| row.row.policy.as_str()).collect::<Vec<_>>().len(), 1, "LM-Infinite reads it");
    let done = Cell::new(0);
    let found = calibrate(&plan, &|cases| done.set(cases), &|| done.get() == 2).expect("runs");
    assert_eq!((found.cases.len(), found.planned), (2, plan.cases() as u64));
    assert!(found.summary().contains("stopped: "), "{}", found.summary());
}

#[test]
fn the_command_writes_a_folder_and_its_tables_agree_with_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = |arguments: &[&str]| {
        program().args(arguments).current_dir(folder.path()).output().expect("it starts")
    };
    let output = command(&["calibrate", "--quick", "--model", "random", "--json", "--out", "c"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((json["rows"].as_array().map(Vec::len), json["planned"].as_u64()), (Some(2), Some(16)));
    let mut rows = csv::Reader::from_path(folder.path().join("c/calibrate.csv")).expect("a table");
    let header = rows.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|column| column == name).expect(name);
    let mut seen = 0;
    for (at, row) in rows.records().enumerate() {
        let row = row.expect("a row");
        let outcomes = &json["rows"][at / 4]["outcomes"][&row[column("verdict")]];
        for name in ["fails", "holds", "undecided", "not_finite"] {
            assert_eq!(row[column(name)].parse().ok(), outcomes[name].as_u64(), "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 8);
    for file in ["cases.csv", "rates.csv", "summary.txt", "run.json", "calibrate.json"] {
        assert!(folder.path().join("c").join(file).is_file(), "{file}");
    }
    // It is a result like others: found again, and not written over by another kind.
    let plot = command(&["plot", "c"]);
    assert!(plot.status.success(), "{}", String::from_utf8_lossy(&plot.stderr));
    let other = command(&["diagnose", "--tokens", "300", "--out", "c"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("a calibration"));
    let refused = command(&["calibrate", "--quick", "--text", "none.txt", "--out", "d"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("none.txt") && !folder.path().join("d").exists()
    );
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Two rows with longer readings, and one whose readings are its other cases, of two texts each and one of three.
fn small_plan(seed: u64) -> Plan {
    let extent = Extent { quick: true, tokens: Some(300), ..Extent::default() };
    let mut other = built_in("tiny-rope");
    other.name = "a copy".into();
    let subjects = vec![random(), Subject::Loaded(Box::new(other))];
    let mut plan = Plan::new(subjects, Vec::new(), seed, extent).expect("a plan");
    for row in &mut plan.rows {
        row.texts = if row.longer { vec![0, 1] } else { vec![0, 1, 4] };
    }
    assert!(plan.rows.iter().any(|row| row.longer) && plan.rows.iter().any(|row| !row.longer));
    plan
}

#[test]
fn cases_that_were_kept_make_the_whole_calibration() {
    let plan = small_plan(0);
    let whole = run(&plan);
    let identity = Identity::new(&plan).expect("an identity");
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("c");
    let workspace = Workspace::begin(&place, &identity, Shard::WHOLE).expect("begins");
    assert!(Workspace::resume(&place, &identity, Shard::WHOLE).is_err(), "it runs");
    let left = Cell::new(3);
    let save = |case| workspace.save(&case);
    let stop = || left.replace(left.get() - 1) == 0;
    measure(&plan, Shard::WHOLE, &|_| false, save, &stop).expect("judges");
    drop(workspace);
    // What a killed process was writing is no case.
    fs::write(place.join("case-1-0.msgpack.77.part"), "half").expect("written");

    let (workspace, kept) = Workspace::resume(&place, &identity, Shard::WHOLE).expect("resumes");
    assert_eq!(kept.len(), 3);
    let partial = identity.calibration(kept.clone()).expect("some cases");
    assert_eq!((partial.cases.len(), partial.planned), (3, whole.planned));
    let mut all = kept.clone();
    let is_done = |key| kept.iter().any(|case| case.key() == key);
    let take = |case| {
        workspace.save(&case)?;
        all.push(case);
        Ok(())
    };
    measure(&plan, Shard::WHOLE, &is_done, take, &|| false).expect("judges");
    assert_eq!(identity.calibration(all.clone()).expect("all cases"), whole);
    all.push(kept[0].clone());
    let twice = identity.calibration(all).expect_err("a case twice").to_string();
    assert!(twice.contains("there twice"), "{twice}");
    workspace.finish().expect("removed");
    assert_eq!(names(&place), [""; 0]);
    let gone = Workspace::resume(&place, &identity, Shard::WHOLE).expect_err("nothing to go on with");
    assert!(gone.to_string().contains("no unfinished calibration is here"), "{gone}");
}

#[test]
fn another_calibration_and_broken_cases_are_refused_in_words() {
    let plan = small_plan(0);
    let identity = Identity::new(&plan).expect("an identity");
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    drop(Workspace::begin(place, &identity, Shard::WHOLE).expect("begins"));
    let refused = |identity: &Identity, shard: Shard| {
        Workspace::resume(place, identity, shard).expect_err("another one").to_string()
    };
    let of = |plan: &Plan| Identity::new(plan).expect("an identity");
    assert!(refused(&of(&small_plan(1)), Shard::WHOLE).contains("seed"));
    let mut other = small_plan(0);
    if let Subject::Loaded(model) = &mut other.subjects[1] {
        model.config.trained_length += 1;
    }
    let said = refused(&of(&other), Shard::WHOLE);
    assert!(said.contains("model a copy (the configuration)"), "{said}");
    let mut other = small_plan(0);
    other.texts[1] = CalibrationText::written(other.texts[1].name.clone(), "another text");
    let said = refused(&of(&other), Shard::WHOLE);
    assert!(said.contains(&format!("text {}", other.texts[1].name)), "{said}");
    let mut other = small_plan(0);
    other.rows[0].row.tokens += 1;
    assert!(refused(&of(&other), Shard::WHOLE).contains("row "));
    assert!(refused(&identity, Shard { index: 0, count: 2 }).contains("shard"));
    for (name, broken) in [("case-0-0.msgpack", &b"broken"[..]), ("case-3-0.msgpack", b"\x93")] {
        fs::write(place.join(name), broken).expect("written");
        assert!(refused(&identity, Shard::WHOLE).contains(name));
        fs::remove_file(place.join(name)).expect("removed");
    }
    fs::write(place.join("begun.json"), "{}").expect("written");
    assert!(refused(&identity, Shard::WHOLE).contains("begun.json"));
    // Cases that nobody has begun are not taken over.
    fs::write(place.join("case-0-0.msgpack"), "broken").expect("written");
    drop(Workspace::begin(place, &identity, Shard::WHOLE).expect("begins"));
    assert_eq!(names(place), ["begun.json"]);
}

/// Runs `calibrate` on random models in `folder`.
fn command(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(["calibrate", "--quick", "--model", "random"]).args(arguments).current_dir(folder);
    command.output().expect("it starts")
}

#[track_caller]
fn refuses(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(words), "{said}");
}

#[test]
fn a_killed_command_goes_on_and_shards_are_joined() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let done = |output: &Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    done(&command(here, &["--out", "whole"]));
    let cases = |name: &str| fs::read(here.join(name).join("calibrate.json")).expect("a result");

    let mut child = program();
    child.args(["calibrate", "--quick", "--model", "random", "--out", "c"]).current_dir(here);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let kept = || {
        let all = if here.join("c").is_dir() { names(&here.join("c")) } else { Vec::new() };
        all.iter().filter(|name| name.starts_with("case-") && name.ends_with(".msgpack")).count()
    };
    let start = Instant::now();
    while kept() < 2 {
        assert!(start.elapsed() < Duration::from_secs(120), "it never judges a case");
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("killed");
    child.wait().expect("it is gone");
    assert!((2..16).contains(&kept()), "{}", kept());

    refuses(&command(here, &["--out", "c"]), "`calibrate --resume c`");
    refuses(&command(here, &["--resume", "c", "--seed", "1"]), "seed");
    refuses(&command(here, &["--resume", "c", "--model", "tiny-alibi"]), "models");
    let plot = program().args(["plot", "c"]).current_dir(here).output().expect("it starts");
    refuses(&plot, "`calibrate --resume`");
    done(&command(here, &["--resume", "c"]));
    assert_eq!(cases("c"), cases("whole"));
    assert_eq!(names(&here.join("c")), names(&here.join("whole")), "nothing else is left");
    refuses(&command(here, &["--resume", "c"]), "is finished");
    refuses(&command(here, &["--resume", "d"]), "no unfinished calibration");

    for shard in ["0", "1", "2"] {
        done(&command(here, &["--shard", &format!("{shard}/3"), "--out", &format!("s{shard}")]));
    }
    let merge = |arguments: &[&str]| {
        program().arg("merge").args(arguments).current_dir(here).output().expect("it starts")
    };
    done(&merge(&["s2", "s0", "s1", "--out", "joined"]));
    assert_eq!(cases("joined"), cases("whole"));
    assert_eq!(ResultFolder::open(&here.join("joined")).expect("opens").kind(), "calibration");
    refuses(&merge(&["s0", "s1", "--out", "j"]), "shard is missing: 2/3");
    done(&command(here, &["--shard", "2/3", "--seed", "1", "--out", "other"]));
    refuses(&merge(&["s0", "s1", "other", "--out", "j"]), "seed");
    refuses(&command(here, &["--shard", "9/10", "--out", "none"]), "it has none");
    assert!(!here.join("none").exists() && !here.join("j").exists());
}
