//! Verdicts where the right answer is known: false `fails` at most 5 %, `undecided` rarer than 20 % at the default length, failures
//! said to hold, and not found at the default length, at most 5 %.

use std::cell::Cell;

use lm_infinite::calibrate::{
    Calibration, CalibrationText, Expected, Extent, Plan, Subject, Truth, calibrate,
};
use lm_infinite::checkpoint::{LoadedModel, load};
use lm_infinite::hub;
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
