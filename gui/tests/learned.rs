//! A model with an embedding of each position: what is read without a choice, and what is not offered.

use std::fs;
use std::path::Path;

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::memory::Memory;
use lm_infinite_gui::window::Window;

use crate::common::{Shown, after_run, args, click, finished, says, shown, type_into, wait_for, window};

/// The tiny GPT-2 of the stored models, with a tokenizer that has no more tokens than it.
fn model() -> tempfile::TempDir {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens");
    let folder = tempfile::tempdir().expect("a folder");
    for file in
        ["families/gpt2/config.json", "families/gpt2/model.safetensors", "tiny_llama/tied/tokenizer.json"]
    {
        let from = goldens.join(file);
        let name = from.file_name().expect("a name").to_owned();
        fs::copy(&from, folder.path().join(name)).expect("copied");
    }
    folder
}

fn policies(window: &Shown) -> Vec<String> {
    let runs = window.state().diagnosis().expect("a result").runs.iter();
    runs.map(|run| run.policy.clone()).collect()
}

#[test]
fn without_a_choice_what_can_be_followed_is_read_and_that_is_said() {
    let folder = model();
    let path = folder.path().display().to_string();
    let mut window = after_run(&["--model", &path, "--run"]);
    let failure = window.state().progress().and_then(|progress| progress.failure.clone());
    assert_eq!(failure, None);
    assert_eq!(policies(&window), ["vanilla", "lambda:start=10,window=16"]);
    assert_eq!(window.state().diagnosis().map(|diagnosis| diagnosis.tokens), Some(64));
    assert!(says(&window, "lm-infinite changes distances, of which attention is given none here"));
    assert!(says(&window, "no text is longer, so 64 tokens are read, not 4,096"));
    // The fields say what was read; nothing is veiled as of other settings, and no other run begins.
    let settings = window.state().memory().settings.expect("settings");
    assert_eq!((settings.tokens, settings.policies[1].as_str()), (64, "lambda:window=16"));
    assert!(!says(&window, "Of earlier settings"));
    assert_eq!(window.state().runs(), 1);
    assert!(says(&window, "never: the model has no positions there") && !says(&window, "to go"));
    // Of the policies some are not offered, and pointing at them says why.
    click(&mut window, "+ Policy");
    for (preset, offered) in [("window", true), ("lm-infinite", false), ("self-extend", false)] {
        let button = window.get_by(|node| node.label().is_some_and(|name| name == preset));
        assert_eq!(!button.accesskit_node().is_disabled(), offered, "{preset}");
    }
    window.get_by(|node| node.label().is_some_and(|name| name == "lm-infinite")).hover();
    wait_for(&mut window, "why", |window| says(window, "needs distances between queries and keys"));
}

#[test]
fn the_palette_has_no_policy_that_cannot_be_followed() {
    let folder = model();
    let mut window = after_run(&["--model", &folder.path().display().to_string(), "--run"]);
    window.key_press_modifiers(Modifiers::COMMAND, Key::P);
    window.run_steps(4);
    window.get_by_label("Command").type_text("add policy rerope");
    window.run_steps(4);
    assert!(window.get_by_label("Add policy rerope").accesskit_node().is_disabled());
    assert!(says(&window, "needs distances between queries and keys"));
    window.key_press(Key::Enter);
    window.run_steps(4);
    assert!(window.query_by_label("Command").is_some() && of_settings(&window).len() == 2, "it is not taken");
    type_into(&mut window, "Command", "add policy window");
    window.key_press(Key::Enter);
    window.run_steps(4);
    assert_eq!(of_settings(&window).get(2).map(String::as_str), Some("window"));
}

#[test]
fn what_was_chosen_is_refused_in_words_and_not_replaced() {
    let folder = model();
    let path = folder.path().display().to_string();
    let mut window = window(&["--model", &path, "--policy", "lm-infinite", "--run"]);
    wait_for(&mut window, "the end", finished);
    assert!(
        says(&window, "The run ended early")
            && says(&window, "policies that leave keys out (window, lambda)")
    );
    assert!(window.state().diagnosis().is_none());
    // Once the model is known, what is typed is refused before it is run.
    let mut window = after_run(&["--model", &path, "--run"]);
    type_into(&mut window, "Policy B, as written", "rerope");
    window.key_press(Key::Enter);
    window.run_steps(3);
    assert!(says(&window, "needs distances between queries and keys"));
    assert_eq!(window.state().memory().settings.expect("settings").policies[1], "lambda:window=16");
}

fn of_settings(window: &Shown) -> Vec<String> {
    window.state().memory().settings.expect("settings").policies
}

fn begun(arguments: &[&str]) -> Shown {
    window(arguments)
}

/// Refused in words, and still there.
fn is_refused(window: &mut Shown) {
    wait_for(window, "the end", finished);
    assert!(
        says(window, "The run ended early") && says(window, "policies that leave keys out (window, lambda)")
    );
    assert_eq!(of_settings(window)[1], "lm-infinite");
}

#[test]
fn what_was_chosen_is_told_from_no_choice_though_it_is_written_alike() {
    let folder = model();
    let path = folder.path().display().to_string();
    // In the command line.
    let mut window = begun(&["--model", &path, "--policy", "vanilla", "--policy", "lm-infinite", "--run"]);
    is_refused(&mut window);
    // What A is held against was not chosen.
    let one = after_run(&["--model", &path, "--policy", "vanilla", "--run"]);
    assert_eq!(policies(&one), ["vanilla", "lambda:start=10,window=16"]);
    assert!(says(&one, "B, which nobody chose, is its mask alone"));
    // Typed where it stands already.
    let mut window = begun(&["--model", &path]);
    window.run_steps(3);
    type_into(&mut window, "Policy B, as written", "lm-infinite");
    window.key_press(Key::Enter);
    window.run_steps(3);
    click(&mut window, "Run");
    window.run_steps(5);
    is_refused(&mut window);
    // Taken from the menu.
    let mut window = begun(&["--model", &path]);
    window.run_steps(3);
    click(&mut window, "Policy B: lm-infinite");
    window.get_by(|node| node.label().is_some_and(|name| name == "lm-infinite")).click();
    window.run_steps(3);
    click(&mut window, "Run");
    window.run_steps(5);
    is_refused(&mut window);
    // Kept from one start to the next.
    let chosen = window.state().memory().settings.expect("settings");
    assert!(!chosen.b_unchosen);
    let mut again = Window::new(&args(&[])).expect("a window");
    let memory = Memory { settings: Some(chosen), tour_offered: true, ..Memory::default() };
    again.remember(folder.path().join("window.json"), memory, None, true);
    let mut again = shown(again);
    again.run_steps(3);
    click(&mut again, "Run");
    again.run_steps(5);
    is_refused(&mut again);
    // A policy more is a choice of those that are there.
    let mut window = begun(&["--model", &path]);
    window.run_steps(3);
    click(&mut window, "+ Policy");
    click(&mut window, "window");
    assert!(!window.state().memory().settings.expect("settings").b_unchosen);
}

#[test]
fn what_stood_in_makes_way_for_the_default_of_another_model() {
    let folder = model();
    let mut window = after_run(&["--model", &folder.path().display().to_string(), "--run"]);
    assert_eq!(of_settings(&window)[1], "lambda:window=16");
    click(&mut window, "Open model…");
    type_into(&mut window, "Path of the model", "tiny-alibi");
    click(&mut window, "Run");
    wait_for(&mut window, "another run", |window| finished(window) && says(window, "Run 2: tiny-alibi"));
    assert_eq!(of_settings(&window)[1], "lm-infinite");
    assert!(policies(&window)[1].starts_with("lm-infinite:"));
    assert!(!says(&window, "which nobody chose"));
}

#[test]
fn choosing_what_is_read_already_begins_no_other_run() {
    let mut window = begun(&["--tokens", "200k"]);
    wait_for(&mut window, "a result", |window| window.state().diagnosis().is_some());
    let position = |window: &Shown| window.state().progress().map_or(0, |progress| progress.position);
    let before = position(&window);
    type_into(&mut window, "Policy B, as written", "lm-infinite");
    window.key_press(Key::Enter);
    window.run_steps(3);
    assert!(!window.state().memory().settings.expect("settings").b_unchosen);
    wait_for(&mut window, "it goes on", |window| position(window) > before + 4096);
    assert_eq!(window.state().runs(), 1);
}
