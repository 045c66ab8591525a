//! What is being typed when a run is asked for is what the run reads, without Enter and at once.

use eframe::egui::{Key, Modifiers};

use crate::common::{Shown, after_run, click, finished, says, type_into, wait_for};

/// Waits until the run of this number is over; no other was begun between.
fn second_run(window: &mut Shown) {
    wait_for(window, "a second run", |window| finished(window) && says(window, "Run 2: "));
    assert_eq!(window.state().runs(), 2, "one run more, not two");
    assert!(!says(window, "Of earlier settings"), "it is of what the fields say");
}

fn policy(window: &Shown, side: usize) -> String {
    window.state().diagnosis().expect("a result").runs[side].policy.clone()
}

#[test]
fn a_policy_that_is_being_typed_is_read() {
    let mut window = after_run(&["--tokens", "600"]);
    type_into(&mut window, "Policy B, as written", "window:window=100");
    click(&mut window, "Run");
    second_run(&mut window);
    assert_eq!((policy(&window, 0).as_str(), policy(&window, 1).as_str()), ("vanilla", "window:window=100"));
}

#[test]
fn keys_run_what_is_being_typed() {
    let mut window = after_run(&["--tokens", "600"]);
    type_into(&mut window, "Policy A, as written", "rerope");
    window.key_press_modifiers(Modifiers::COMMAND, Key::R);
    window.run_steps(3);
    second_run(&mut window);
    assert_eq!(policy(&window, 0), "rerope:window=128");
}

#[test]
fn numbers_that_are_being_typed_are_read() {
    let mut window = after_run(&["--tokens", "600"]);
    type_into(&mut window, "Tokens, typed", "700");
    click(&mut window, "Run");
    second_run(&mut window);
    assert_eq!(window.state().diagnosis().map(|diagnosis| diagnosis.tokens), Some(700));
    type_into(&mut window, "B window", "90");
    click(&mut window, "Run");
    wait_for(&mut window, "a third run", |window| finished(window) && says(window, "Run 3: "));
    assert_eq!(policy(&window, 1), "lm-infinite:start=10,window=90");
}

#[test]
fn a_text_or_model_that_is_being_typed_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("tale.txt");
    std::fs::write(&text, "Once upon a time there was a river. ".repeat(200)).expect("writes");
    let mut window = after_run(&["--tokens", "600"]);
    click(&mut window, "Open text…");
    type_into(&mut window, "Path of the text", &text.display().to_string());
    click(&mut window, "Run");
    second_run(&mut window);
    assert!(!says(&window, "Path of the text"), "it was taken");
    assert_eq!(window.state().memory().settings.expect("settings").text, text.display().to_string());
    click(&mut window, "Open model…");
    type_into(&mut window, "Path of the model", "tiny-alibi");
    click(&mut window, "Run");
    wait_for(&mut window, "a third run", |window| finished(window) && says(window, "Run 3: tiny-alibi"));
}

#[test]
fn what_is_refused_is_not_read_and_that_is_said() {
    let mut window = after_run(&["--tokens", "600"]);
    type_into(&mut window, "Policy B, as written", "window:window=none");
    click(&mut window, "Run");
    assert!(says(&window, "B is read as lm-infinite: what was typed is refused ("));
    second_run(&mut window);
    assert_eq!(policy(&window, 1), "lm-infinite:start=10,window=256");
}
