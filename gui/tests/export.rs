//! What is on screen as files, on the clipboard, and as the folder that `diagnose` writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use eframe::egui::{Key, Modifiers, OutputCommand};

use crate::common::{Shown, after_run, click, says, type_into, wait_for};

/// A finished run with the small window open.
fn opened(tokens: &str, more: &[&str]) -> Shown {
    let mut window = after_run(&[&["--tokens", tokens], more].concat());
    window.key_press_modifiers(Modifiers::COMMAND, Key::E);
    window.run_steps(3);
    window
}

#[test]
fn one_figure_becomes_files_of_the_chosen_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("new");
    let mut window = opened("1k", &["--tab", "map"]);
    window.key_press(Key::Escape);
    window.run_steps(2);
    window.key_press(Key::ArrowDown);
    window.run_steps(2);
    click(&mut window, "Export…");
    assert!(says(&window, "of L0 H0"), "the map is of the chosen head");
    type_into(&mut window, "Into folder", &target.display().to_string());
    for (button, extension) in [("SVG", "svg"), ("PNG", "png")] {
        click(&mut window, button);
        wait_for(&mut window, button, |window| says(window, &format!("head0.{extension}")));
        assert!(target.join(format!("attention_maps_layer0_head0.{extension}")).is_file());
    }
    assert_eq!(fs::read_dir(&target).expect("a folder").count(), 2);
}

#[test]
fn a_picture_reaches_the_clipboard_and_numbers_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = opened("1k", &[]);
    type_into(&mut window, "Into folder", &folder.path().display().to_string());
    click(&mut window, "CSV");
    wait_for(&mut window, "a table", |window| says(window, "nll_by_position.csv"));
    let table = fs::read_to_string(folder.path().join("nll_by_position.csv")).expect("was written");
    assert!(table.starts_with("policy,from_token"));
    click(&mut window, "Copy picture");
    let start = Instant::now();
    loop {
        window.step();
        let copied = window.output().platform_output.commands.iter().find_map(|command| match command {
            OutputCommand::CopyImage(image) => Some(image.size),
            _ => None,
        });
        if let Some([width, height]) = copied {
            assert!(width > 1000 && height > 600, "{width} × {height}");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "a picture");
        std::thread::sleep(Duration::from_millis(5));
    }
    window.run_steps(2);
    assert!(says(&window, "on the clipboard"));
}

#[test]
fn everything_is_what_diagnose_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (folder.path().join("window"), folder.path().join("command"));
    let mut window = opened("1500", &[]);
    type_into(&mut window, "Result folder", &ours.display().to_string());
    click(&mut window, "Export everything");
    wait_for(&mut window, "a folder", |window| says(window, "Written:"));
    let out = theirs.display().to_string();
    let arguments = [
        ["lm-infinite", "diagnose"].as_slice(),
        &[
            "--tokens",
            "1500",
            "--causes=none",
            "--policy",
            "vanilla",
            "--policy",
            "lm-infinite",
            "--out",
            &out,
        ],
    ];
    lm_infinite::cli::run(arguments.concat().into_iter().map(Into::into));
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(&ours), names(&theirs));
    // Dates, speeds and memory stand in these.
    let timed = ["run.json", "report.html", "diagnosis.json", "summary.txt"];
    for name in names(&ours).iter().filter(|name| !timed.contains(&name.as_str())) {
        let bytes = |folder: &Path| fs::read(folder.join(name)).expect("a file");
        assert!(bytes(&ours) == bytes(&theirs), "{name}");
    }
    let (_, mut a) = lm_infinite::results::read(&ours).expect("a result");
    let (_, mut b) = lm_infinite::results::read(&theirs).expect("a result");
    for run in a.runs.iter_mut().chain(&mut b.runs) {
        (run.prefill_tokens_per_second, run.peak_rss_bytes) = (0.0, None);
    }
    assert_eq!(serde_json::to_string(&a).expect("JSON"), serde_json::to_string(&b).expect("JSON"));
}

#[test]
fn the_causes_of_an_opened_folder_are_exported_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (theirs, ours) = (folder.path().join("command"), folder.path().join("window"));
    let out = theirs.display().to_string();
    let arguments = [
        "lm-infinite",
        "diagnose",
        "--tokens",
        "700",
        "--policy",
        "vanilla",
        "--policy",
        "lm-infinite",
        "--out",
        &out,
    ];
    lm_infinite::cli::run(arguments.into_iter().map(Into::into));
    assert!(theirs.join("causes.json").is_file(), "the command writes them");
    let mut window = crate::common::window(&[&out]);
    wait_for(&mut window, "the results", |window| window.state().diagnosis().is_some());
    click(&mut window, "Export…");
    type_into(&mut window, "Result folder", &ours.display().to_string());
    click(&mut window, "Export everything");
    wait_for(&mut window, "a folder", |window| says(window, "Written:"));
    for name in ["causes.json", "causes_shares.csv"] {
        let bytes = |folder: &Path| fs::read(folder.join(name)).expect("a file");
        assert!(bytes(&ours) == bytes(&theirs), "{name}");
    }
}

#[test]
fn what_cannot_be_written_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    // A file of the user's that has the name of one of ours.
    fs::write(folder.path().join("report.html"), "mine").expect("writes");
    let mut window = opened("1k", &[]);
    type_into(&mut window, "Result folder", &folder.path().display().to_string());
    click(&mut window, "Export everything");
    wait_for(&mut window, "words", |window| says(window, "Nothing was written"));
    assert!(says(&window, "report.html") && window.state().diagnosis().is_some());
    assert_eq!(fs::read_to_string(folder.path().join("report.html")).expect("is there"), "mine");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}
