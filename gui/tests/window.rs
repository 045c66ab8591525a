//! The window by its labels, without a screen.

use std::time::{Duration, Instant};

use clap::Parser;
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::args::Args;
use lm_infinite_gui::window::Window;

use crate::common::{Shown, after_run, finished, says, stopped, type_into, wait_for, window};

fn position(window: &Shown) -> u64 {
    window.state().progress().map_or(0, |progress| progress.position)
}

#[test]
fn the_first_result_comes_by_itself_and_tells_what_broke() {
    let mut window = after_run(&["--tokens", "1k"]);
    let diagnosis = window.state().diagnosis().expect("a result");
    assert_eq!(diagnosis.runs.len(), 2);
    assert!(
        diagnosis.runs[0].factors.entropy.verdict.broke && !diagnosis.runs[1].factors.entropy.verdict.broke
    );
    crate::common::layout(&mut window, "Heads");
    window.get_by_label("Head grid");
    window.get_by_label("Curves: mean over all heads");
    crate::common::layout(&mut window, "Learn");
    window.get_by_label("A  vanilla");
    window.get_by_label("B  lm-infinite:start=10,window=256");
    assert!(says(&window, "The loss of A (vanilla) breaks from token "), "a sentence");
}

#[test]
fn a_run_pauses_steps_stops_and_keeps_what_it_has() {
    let mut window = window(&["--tokens", "200k"]);
    wait_for(&mut window, "tokens", |window| position(window) > 0);
    window.get_by_label("Pause").click();
    window.run_steps(3);
    window.get_by_label("Resume");
    std::thread::sleep(Duration::from_millis(600));
    window.step();
    let before = position(&window);
    std::thread::sleep(Duration::from_millis(200));
    window.step();
    assert_eq!(position(&window), before, "it waits");
    window.get_by_label("Step").click();
    window.run_steps(3);
    wait_for(&mut window, "a step", |window| position(window) == before + 512);
    window.get_by_label("Stop").click();
    window.run_steps(3);
    wait_for(&mut window, "the end", finished);
    assert_eq!(position(&window), before + 512);
    assert!(window.state().diagnosis().is_some_and(|diagnosis| diagnosis.runs[0].nll.is_some()));
}

#[test]
fn escape_ends_no_run() {
    let mut window = window(&["--tokens", "200k"]);
    wait_for(&mut window, "tokens", |window| position(window) > 0);
    window.key_press(eframe::egui::Key::Escape);
    window.run_steps(3);
    let before = position(&window);
    wait_for(&mut window, "more tokens", |window| position(window) > before + 512);
    assert!(!finished(&window));
    window.get_by_label("Stop").click();
    window.run_steps(3);
    wait_for(&mut window, "the end", finished);
}

#[test]
fn keys_act_after_a_click_on_the_heads() {
    use eframe::egui::{Key, Modifiers};
    let mut window = after_run(&["--tokens", "600", "--tab", "heads"]);
    window.get_by_label("Head grid").click();
    window.run_steps(3);
    let tab = |window: &Shown| window.state().memory().tab.unwrap_or_default();
    window.key_press(Key::Num2);
    window.run_steps(3);
    assert_eq!(tab(&window), "Map A");
    window.key_press_modifiers(Modifiers::COMMAND, Key::E);
    window.run_steps(3);
    window.get_by_label("Copy picture");
    // Not while a text is edited.
    type_into(&mut window, "Into folder", "1");
    assert_eq!(tab(&window), "Map A");
}

#[test]
fn arrow_keys_choose_a_head() {
    let mut window = after_run(&["--tokens", "600", "--tab", "heads"]);
    window.key_press(eframe::egui::Key::ArrowDown);
    window.run_steps(3);
    window.get_by_label("Curves: L0 H0");
    window.key_press(eframe::egui::Key::ArrowRight);
    window.run_steps(3);
    window.get_by_label("Curves: L0 H1");
    window.get_by_label("All heads").click();
    window.run_steps(3);
    window.step();
    window.get_by_label("Curves: mean over all heads");
}

#[test]
fn what_went_wrong_is_told_in_words() {
    let window = after_run(&["--policy", "nonsense"]);
    window.get_by_label_contains("The run ended early");
    assert!(window.state().diagnosis().is_none());
    assert!(Args::try_parse_from(["lm-infinite-gui", "--tokens", "many"]).is_err());
    let folder = Args::try_parse_from(["lm-infinite-gui", "nowhere"]).expect("arguments");
    assert!(Window::new(&folder).is_err());
    let many = [["lm-infinite-gui"].as_slice(), &["--policy", "vanilla"].repeat(27)].concat();
    assert!(Window::new(&Args::try_parse_from(many).expect("arguments")).is_err(), "no letter is left");
}

/// The program itself: an error of the toolkit would name its source files.
#[test]
#[cfg(all(unix, not(target_vendor = "apple")))]
fn without_a_display_the_program_says_what_to_set() {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_lm-infinite-gui"));
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
        program.env_remove(name);
    }
    let output = program.output().expect("it begins");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(words.starts_with("error: no display: set DISPLAY or WAYLAND_DISPLAY"), "{words}");
    assert!(output.stdout.is_empty() && words.lines().count() == 1, "{words}");
}

#[test]
fn a_stopped_run_is_over_at_once() {
    let mut window = window(&["--tokens", "200k"]);
    wait_for(&mut window, "tokens", |window| position(window) > 0);
    window.get_by_label("Stop").click();
    window.step();
    let start = Instant::now();
    wait_for(&mut window, "the end", finished);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    window.get_by_label_contains("stopped: ");
}

#[test]
fn a_stopped_run_keeps_its_state_and_is_resumed_to_the_same_numbers() {
    let arguments = ["--tokens", "16k"];
    let mut whole = window(&arguments);
    wait_for(&mut whole, "the end", finished);
    let mut window = stopped(&arguments);
    // What is being read comes to its end.
    std::thread::sleep(Duration::from_millis(500));
    window.run_steps(3);
    let stopped_at = position(&window);
    assert!(stopped_at < 16_384, "it was stopped before its end");
    std::thread::sleep(Duration::from_millis(300));
    window.run_steps(3);
    assert_eq!(position(&window), stopped_at, "nothing is read");
    let read =
        |window: &Shown| window.state().diagnosis().map_or(0, |diagnosis| diagnosis.runs[0].arrays.nll.len());
    assert_eq!(read(&window) as u64 + 1, stopped_at, "all that was read is shown");
    window.get_by_label("Run");
    window.get_by_label("Resume").click();
    window.step();
    wait_for(&mut window, "the end", |window| finished(window) && position(window) == 16_384);
    window.get_by_label("Pause");
    let losses = |window: &Shown| {
        let diagnosis = window.state().diagnosis().expect("a result");
        diagnosis.runs.iter().map(|run| run.arrays.nll.clone()).collect::<Vec<_>>()
    };
    assert!(losses(&window) == losses(&whole), "the numbers are those of a run that was not stopped");
}

#[test]
fn a_stopped_run_of_other_settings_is_not_resumed_and_that_is_said() {
    let mut window = stopped(&["--tokens", "200k"]);
    assert!(!window.get_by_label("Resume").accesskit_node().is_disabled());
    let type_tokens = |window: &mut Shown, tokens: &str| {
        type_into(window, "Tokens, typed", tokens);
        window.key_press(eframe::egui::Key::Enter);
        window.run_steps(4);
    };
    type_tokens(&mut window, "100000");
    window.get_by_label_contains("Settings were changed after Stop: Run (Ctrl+R) begins anew");
    assert!(window.get_by_label("Resume").accesskit_node().is_disabled());
    let (at, runs) = (position(&window), window.state().runs());
    window.key_press(eframe::egui::Key::Space);
    window.run_steps(4);
    assert!(finished(&window), "the key resumes nothing");
    assert_eq!((position(&window), window.state().runs()), (at, runs));
    // As they were, it goes on.
    type_tokens(&mut window, &200_u64.saturating_mul(1024).to_string());
    assert!(!says(&window, "Settings were changed after Stop"));
    window.key_press(eframe::egui::Key::Space);
    wait_for(&mut window, "more tokens", |window| position(window) > at);
}

#[test]
fn a_changed_parameter_begins_anew() {
    let mut window = window(&["--tokens", "16k"]);
    wait_for(&mut window, "a result", |window| window.state().diagnosis().is_some());
    let policy =
        |window: &Shown| window.state().diagnosis().map(|diagnosis| diagnosis.runs[1].policy.clone());
    assert_eq!(policy(&window).as_deref(), Some("lm-infinite:start=10,window=256"));
    window.get_by_label("B window").focus();
    window.run_steps(2);
    window.key_press(eframe::egui::Key::ArrowUp);
    window.run_steps(2);
    wait_for(&mut window, "a new run", |window| {
        policy(window).is_some_and(|policy| policy != "lm-infinite:start=10,window=256")
    });
    assert!(policy(&window).is_some_and(|policy| policy.starts_with("lm-infinite:start=10,window=")));
    assert!(!says(&window, "Earlier runs"), "what was only begun is not kept");
}

#[test]
fn a_refused_parameter_is_told_in_words_and_changes_nothing() {
    let mut window = after_run(&["--tokens", "600"]);
    let policy = |window: &Shown| window.state().memory().settings.expect("settings").policies[1].clone();
    let (before, refusal) =
        (policy(&window), "window: expected a length such as 4096, 32k, 200M or 1G, got `2.5`");
    type_into(&mut window, "B window", "2.5");
    assert!(says(&window, refusal));
    window.key_press(eframe::egui::Key::Enter);
    window.run_steps(3);
    assert!(says(&window, refusal), "it stays when the field is left");
    assert_eq!(policy(&window), before);
    type_into(&mut window, "B window", "128");
    assert!(!says(&window, "expected a length"));
    assert_eq!(policy(&window), "lm-infinite:start=10,window=128");
}

#[test]
fn policies_that_are_joined_can_be_typed() {
    let mut window = after_run(&["--tokens", "600"]);
    let policy = |window: &Shown| window.state().memory().settings.expect("settings").policies[1].clone();
    type_into(&mut window, "Policy B, as written", "lambda+self-extend:group=4");
    window.key_press(eframe::egui::Key::Enter);
    window.run_steps(3);
    assert_eq!(policy(&window), "lambda+self-extend:group=4");
    type_into(&mut window, "Policy B, as written", "lambda+nonsense");
    window.key_press(eframe::egui::Key::Enter);
    window.run_steps(3);
    assert!(says(&window, "nonsense"));
    assert_eq!(policy(&window), "lambda+self-extend:group=4", "what is refused changes nothing");
    window.get_by_label("Run").click();
    wait_for(&mut window, "a run of both", |window| {
        finished(window)
            && window
                .state()
                .diagnosis()
                .is_some_and(|diagnosis| diagnosis.runs[1].policy.contains("self-extend"))
    });
}

#[test]
fn both_policies_go_on_with_a_prompt() {
    let mut window = after_run(&["--tokens", "1k", "--tab", "generate"]);
    window.get_all_by_label("Generate").last().expect("the button").click();
    let start = Instant::now();
    while window.query_all_by_label_contains("200 tokens, ").count() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "both policies generate");
        window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn theory_is_told_of_the_chosen_head() {
    let mut window = after_run(&["--tokens", "1k", "--tab", "theory", "--layout", "heads"]);
    window.get_by_label_contains("Choose a head in the grid");
    window.key_press(eframe::egui::Key::ArrowDown);
    let start = Instant::now();
    while window.query_by_label_contains("Every statement of the paper").is_none() {
        assert!(start.elapsed() < Duration::from_secs(30), "the statements are computed");
        window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
    window.run_steps(3);
    window.get_by_label("L0 H0: measured against bound");
    window.get_by_label_contains("Proposition 2: entropy of the longest rows");
    // Formulas are set, and read aloud in words.
    assert!(
        says(&window, "(M/2) to the power of (1/(2r))·ε/(4e)")
            && says(&window, "the square root of (ε/(8e))")
    );
    assert!(says(&window, "Σ sub j |q sub j||k sub j|/√D") && !says(&window, "^"));
    window.key_press(eframe::egui::Key::Num1);
    window.run_steps(2);
    assert!(
        window.query_by_label_contains("Proposition 2: entropy of the longest rows").is_none(),
        "the tab of the curves"
    );
}

/// The toolkit's own ground is black: in the light theme words on it could not be read.
#[test]
fn where_there_is_no_result_the_ground_is_that_of_the_theme() {
    use eframe::egui::{Color32, Shape};
    for theme in ["light", "dark"] {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("empty.txt");
        std::fs::write(&empty, "").expect("writes");
        let window = after_run(&["--theme", theme, "--text", &empty.display().to_string()]);
        assert!(says(&window, "the text is empty") && says(&window, "ended early: 0 of "));
        let words = window.get_by_label_contains("No result yet").rect();
        let ground = window.ctx.global_style().visuals.panel_fill;
        let filled = |shape: &Shape, fill: Color32| matches!(shape, Shape::Rect(rect) if rect.fill == fill && rect.rect.contains_rect(words));
        let shapes = &window.output().shapes;
        assert!(shapes.iter().any(|shape| filled(&shape.shape, ground)), "{theme}");
    }
}
