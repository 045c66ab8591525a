//! A model with an embedding of each position: what is read without a choice, and what is not offered.

use std::fs;
use std::path::Path;

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::{Shown, after_run, click, finished, says, type_into, wait_for, window};

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
    let of_settings = |window: &Shown| window.state().memory().settings.expect("settings").policies;
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
