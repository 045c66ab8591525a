//! Models, texts and result folders, typed or chosen in a list.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use egui_kittest::{Harness, Node};
use lm_infinite_gui::args::Args;
use lm_infinite_gui::window::Window;

type Shown = Harness<'static, Window>;

/// A window with a finished run of 600 tokens.
fn window() -> Shown {
    let args = Args::try_parse_from(["lm-infinite-gui", "--tokens", "600"]).expect("arguments");
    let window = Window::new(&args).expect("a window");
    let mut window: Shown = Harness::builder().with_size([1280.0, 860.0]).build_eframe(move |_| window);
    wait_for(&mut window, "the end", |window| window.progress().is_some_and(|progress| progress.finished));
    window
}

fn wait_for(window: &mut Shown, what: &str, reached: impl Fn(&Window) -> bool) {
    let start = Instant::now();
    while !reached(window.state()) {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
    window.run_steps(3);
}

fn type_into(window: &mut Shown, field: &str, path: &Path) {
    window.get_by_label(field).focus();
    window.run_steps(2);
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window.run_steps(2);
    window.get_by_label(field).type_text(&path.display().to_string());
    window.run_steps(3);
}

fn click(window: &mut Shown, button: &str) {
    window.get_by_label(button).click();
    window.run_steps(3);
}

fn says(window: &Shown, words: &str) -> bool {
    window.query_all_by_label_contains(words).next().is_some()
}

#[test]
fn a_result_folder_is_chosen_in_a_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let results = folder.path().join("of-700-tokens");
    let out = results.display().to_string();
    let arguments = ["lm-infinite", "diagnose", "--tokens", "700", "--policy", "lm-infinite", "--out", &out];
    lm_infinite::cli::run(arguments.into_iter().map(Into::into));
    let mut window = window();
    window.key_press_modifiers(Modifiers::COMMAND, Key::O);
    window.run_steps(3);
    type_into(&mut window, "Path of the result folder", folder.path());
    click(&mut window, "Folder…");
    // A folder is entered by a double click; two clicks in a row are one.
    for _ in 0..2 {
        window.get_by_label_contains("of-700-tokens").click();
        window.run_steps(1);
    }
    window.run_steps(3);
    click(&mut window, "Use this folder");
    let tokens = |window: &Window| window.diagnosis().map(|diagnosis| diagnosis.tokens);
    wait_for(&mut window, "the results", |window| tokens(window) == Some(700));
    assert!(!says(&window, "Path of the result folder"), "an answer closes the window");
}

#[test]
fn a_text_is_chosen_in_a_list_and_read_at_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tale.txt"), "Once upon a time. ".repeat(400)).expect("writes");
    let mut window = window();
    let text = |window: &Shown| window.state().memory().settings.expect("always there").text;
    let before = text(&window);
    click(&mut window, "Open text…");
    type_into(&mut window, "Path of the text", folder.path());
    click(&mut window, "File…");
    window.get_by_label_contains("tale.txt").click();
    window.run_steps(3);
    // Escape closes the list alone, and then the window; nothing is taken.
    window.key_press(Key::Escape);
    window.run_steps(3);
    assert!(!says(&window, "tale.txt") && says(&window, "Path of the text"));
    window.key_press(Key::Escape);
    window.run_steps(3);
    assert!(!says(&window, "Path of the text"));
    assert_eq!(text(&window), before);

    click(&mut window, "Open text…");
    type_into(&mut window, "Path of the text", folder.path());
    click(&mut window, "File…");
    window.get_by_label_contains("tale.txt").click();
    window.run_steps(3);
    click(&mut window, "Open");
    assert!(text(&window).ends_with("tale.txt"), "{}", text(&window));
}

#[test]
fn a_list_begun_in_a_relative_folder_leads_upwards_and_takes_only_what_exists() {
    let mut window = window();
    let text = |window: &Shown| window.state().memory().settings.expect("always there").text;
    let before = text(&window);
    click(&mut window, "Open text…");
    // Tests run in the folder of their package.
    type_into(&mut window, "Path of the text", Path::new("tests"));
    click(&mut window, "File…");
    assert!(says(&window, "open.rs"));
    click(&mut window, "⬆");
    assert!(says(&window, "Cargo.toml"), "the folder above");
    click(&mut window, "⬆");
    assert!(says(&window, "README.md"), "the one above that");
    // A path that is typed there and does not exist is not taken.
    let above = std::env::current_dir().expect("a folder").parent().expect("a parent").display().to_string();
    let is_field = |node: &Node<'_>| node.value().as_ref() == Some(&above);
    window.get_all_by_role(Role::TextInput).find(is_field).expect("the folder").focus();
    window.run_steps(2);
    window.get_all_by_role(Role::TextInput).find(is_field).expect("the folder").type_text("/not-there.txt");
    window.run_steps(2);
    window.key_press(Key::Enter);
    window.run_steps(3);
    assert!(!says(&window, "README.md") && says(&window, "Path of the text"), "the list alone is closed");
    assert_eq!(text(&window), before);
}

#[test]
fn what_is_no_result_is_told_in_words_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = window();
    click(&mut window, "Open results…");
    type_into(&mut window, "Path of the result folder", folder.path());
    click(&mut window, "Use it");
    assert!(says(&window, "run.json"), "the missing file is named");
    assert_eq!(window.state().diagnosis().map(|diagnosis| diagnosis.tokens), Some(600));
}
