//! A model with a field that nothing reads: it is refused, and can be opened without that field, which everything made of it says.

use std::fs;
use std::path::Path;

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use lm_infinite_gui::memory::Memory;
use lm_infinite_gui::window::Window;

use crate::common::{Shown, after_run, args, click, finished, says, shown, type_into, wait_for};

/// A tiny model whose configuration says these as well.
fn model(more: &str) -> tempfile::TempDir {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/tiny_llama/tied");
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["model.safetensors", "tokenizer.json"] {
        fs::copy(goldens.join(file), folder.path().join(file)).expect("copied");
    }
    write_config(folder.path(), more);
    folder
}

fn write_config(folder: &Path, more: &str) {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/tiny_llama/tied");
    let config = fs::read_to_string(goldens.join("config.json")).expect("a configuration");
    fs::write(folder.join("config.json"), config.replacen('{', &format!("{{{more}"), 1)).expect("written");
}

fn failure(window: &Shown) -> Option<String> {
    window.state().progress().and_then(|progress| progress.failure.clone())
}

fn open_without(window: &mut Shown, field: &str) {
    click(window, &format!("Open without {field}"));
    window.run_steps(5);
    wait_for(window, "the end", finished);
}

#[test]
fn a_field_that_nothing_reads_is_passed_over_when_the_reader_wants_it() {
    let folder = model(r#""surprise": 3,"#);
    let path = folder.path().display().to_string();
    let mut window = after_run(&["--model", &path, "--run", "--tokens", "40"]);
    assert!(failure(&window).is_some_and(|words| words.contains("surprise")));
    assert!(says(&window, "The run ended early") && says(&window, "nothing is known to read it"));
    assert!(window.state().diagnosis().is_none());
    open_without(&mut window, "surprise");
    assert_eq!(failure(&window), None);
    let said = "passed over, as `--ignore-field` wants it: `surprise` (3)";
    assert!(says(&window, said), "beside the runs");
    let notes = &window.state().diagnosis().expect("a result").notes;
    assert!(notes.iter().any(|note| note.said == said), "{notes:?}");
    assert!(!says(&window, "Open without"), "what is open needs no way out");
    let command = window.state().command_line().expect("a command");
    assert!(command.contains("--ignore-field surprise"), "{command}");

    // A folder that is exported says how it was made.
    let target = folder.path().join("results");
    click(&mut window, "Export…");
    type_into(&mut window, "Result folder", &target.display().to_string());
    click(&mut window, "Export everything");
    wait_for(&mut window, "the folder", |_| target.join("run.json").is_file());
    let run = fs::read_to_string(target.join("run.json")).expect("was written");
    assert!(run.contains("\"--ignore-field\"") && run.contains(said), "{run}");

    // It opens as it was left, and nothing is refused.
    let memory = window.state().memory();
    let file = folder.path().join("window.json");
    Memory { tour_offered: true, ..memory }.write(&file).expect("written");
    let (memory, damage) = Memory::read(&file);
    assert_eq!(damage, None);
    let mut again = Window::new(&args(&[])).expect("a window");
    again.remember(file, memory, None, true);
    let mut again = shown(again);
    again.run_steps(3);
    click(&mut again, "Run");
    again.run_steps(5);
    wait_for(&mut again, "the end", finished);
    assert_eq!(failure(&again), None);
    assert!(says(&again, said));

    // All fields again: the model is refused again.
    again.key_press_modifiers(Modifiers::COMMAND, Key::P);
    again.run_steps(4);
    again.get_by_label("Command").type_text("open with all fields");
    again.run_steps(4);
    again.key_press(Key::Enter);
    again.run_steps(5);
    wait_for(&mut again, "the end", finished);
    assert!(failure(&again).is_some_and(|words| words.contains("surprise")));
    again.get_by_label("Open without surprise");
}

#[test]
fn one_field_after_the_other_is_passed_over() {
    let folder = model(r#""surprise": 3, "wonder": true,"#);
    let path = folder.path().display().to_string();
    let mut window = after_run(&["--model", &path, "--run", "--tokens", "40"]);
    let first = if says(&window, "Open without surprise") { "surprise" } else { "wonder" };
    let second = if first == "surprise" { "wonder" } else { "surprise" };
    open_without(&mut window, first);
    assert!(failure(&window).is_some_and(|words| words.contains(second)));
    open_without(&mut window, second);
    assert_eq!(failure(&window), None);
    assert!(says(&window, "`surprise` (3)") && says(&window, "`wonder` (true)"));
    // The command line asks for the same.
    let both = ["--ignore-field", "surprise", "--ignore-field", "wonder"];
    let other = after_run(&[&["--model", &path, "--run", "--tokens", "40"], &both[..]].concat());
    assert_eq!(failure(&other), None);
    assert!(says(&other, "`wonder` (true)"));
}

#[test]
fn a_field_that_is_not_there_any_more_is_no_dead_end() {
    let folder = model(r#""surprise": 3,"#);
    let path = folder.path().display().to_string();
    let mut window = after_run(&["--model", &path, "--run", "--tokens", "40", "--ignore-field", "surprise"]);
    assert_eq!(failure(&window), None);
    write_config(folder.path(), "");
    click(&mut window, "Run");
    wait_for(&mut window, "words", |window| failure(window).is_some());
    assert!(says(&window, "the file has no such field"));
    click(&mut window, "Open with all fields");
    window.run_steps(5);
    wait_for(&mut window, "the end", finished);
    assert_eq!(failure(&window), None);
    assert!(!says(&window, "passed over"));
    let settings = window.state().memory().settings.expect("settings");
    assert!(settings.ignored_fields().is_empty());
}

#[test]
fn other_failures_offer_no_such_way_out() {
    let window = after_run(&["--model", "no-such-model", "--run"]);
    assert!(says(&window, "no model of this name"));
    assert!(!says(&window, "Open without") && !says(&window, "Open with all fields"));
}
