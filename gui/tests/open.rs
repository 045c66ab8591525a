//! Models, texts and result folders, typed or chosen in a list.

use std::fs;
use std::path::Path;

use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers};
use egui_kittest::Node;
use egui_kittest::kittest::Queryable;
use lm_infinite_gui::window::Window;

use crate::common::{self, Shown, after_run, args, click, says, wait_for};

/// A window with a finished run of 600 tokens.
fn window() -> Shown {
    after_run(&["--tokens", "600"])
}

fn type_into(window: &mut Shown, field: &str, path: &Path) {
    common::type_into(window, field, &path.display().to_string());
}

fn tokens(window: &Shown) -> Option<u64> {
    window.state().diagnosis().map(|diagnosis| diagnosis.tokens)
}

fn text(window: &Shown) -> String {
    window.state().memory().settings.expect("always there").text
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
    wait_for(&mut window, "the list", |window| says(window, "of-700-tokens"));
    // A folder is entered by a double click; two clicks in a row are one.
    for _ in 0..2 {
        window.get_by_label_contains("of-700-tokens").click();
        window.run_steps(1);
    }
    wait_for(&mut window, "the folder", |window| says(window, "Folder: of-700-tokens"));
    click(&mut window, "Use this folder");
    wait_for(&mut window, "the results", |window| tokens(window) == Some(700));
    assert!(!says(&window, "Path of the result folder"), "an answer closes the window");
}

#[test]
fn a_text_is_chosen_in_a_list_and_read_at_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tale.txt"), "Once upon a time. ".repeat(400)).expect("writes");
    let mut window = window();
    let before = text(&window);
    click(&mut window, "Open text…");
    type_into(&mut window, "Path of the text", folder.path());
    click(&mut window, "File…");
    wait_for(&mut window, "the list", |window| says(window, "tale.txt"));
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
    wait_for(&mut window, "the list", |window| says(window, "tale.txt"));
    window.get_by_label_contains("tale.txt").click();
    window.run_steps(3);
    click(&mut window, "Open");
    assert!(text(&window).ends_with("tale.txt"), "{}", text(&window));
}

#[test]
fn a_list_begun_in_a_relative_folder_leads_upwards_and_takes_only_what_exists() {
    let mut window = window();
    let before = text(&window);
    click(&mut window, "Open text…");
    // Tests run in the folder of their package.
    type_into(&mut window, "Path of the text", Path::new("tests"));
    click(&mut window, "File…");
    // The first of them, which is in sight however many there are.
    wait_for(&mut window, "the list", |window| says(window, "bytes.rs"));
    click(&mut window, "⬆");
    wait_for(&mut window, "the folder above", |window| says(window, "Cargo.toml"));
    click(&mut window, "⬆");
    wait_for(&mut window, "the one above that", |window| says(window, "analysis"));
    // A path that is typed there and does not exist is not taken.
    let above = std::env::current_dir().expect("a folder").parent().expect("a parent").display().to_string();
    let is_field = |node: &Node<'_>| node.value().as_ref() == Some(&above);
    window.get_all_by_role(Role::TextInput).find(is_field).expect("the folder").focus();
    window.run_steps(2);
    window.get_all_by_role(Role::TextInput).find(is_field).expect("the folder").type_text("/not-there.txt");
    window.run_steps(2);
    window.key_press(Key::Enter);
    wait_for(&mut window, "words", |window| says(window, "There is nothing at"));
    assert!(says(&window, "analysis") && says(&window, "Path of the text"), "the list stays");
    assert_eq!(text(&window), before);
}

#[test]
fn what_is_no_result_is_told_in_words_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = window();
    click(&mut window, "Open results…");
    type_into(&mut window, "Path of the result folder", folder.path());
    click(&mut window, "Use it");
    wait_for(&mut window, "the missing file is named", |window| says(window, "run.json"));
    assert_eq!(tokens(&window), Some(600));
}

#[test]
fn a_file_is_entered_by_its_path_in_the_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let tale = folder.path().join("tale.txt");
    fs::write(&tale, "Once upon a time. ".repeat(400)).expect("writes");
    let mut window = window();
    click(&mut window, "Open text…");
    type_into(&mut window, "Path of the text", folder.path());
    click(&mut window, "File…");
    wait_for(&mut window, "the list", |window| says(window, "tale.txt"));
    let folder = folder.path().display().to_string();
    let is_field = |node: &Node<'_>| node.value().as_ref() == Some(&folder);
    // The field of the small window says the same; that of the list is drawn after it.
    let field = |window: &Shown| window.get_all_by_role(Role::TextInput).filter(is_field).count();
    assert_eq!(field(&window), 2);
    window.get_all_by_role(Role::TextInput).rfind(is_field).expect("the folder").focus();
    window.run_steps(2);
    window.get_all_by_role(Role::TextInput).rfind(is_field).expect("the folder").type_text("/tale.txt");
    window.run_steps(2);
    window.key_press(Key::Enter);
    wait_for(&mut window, "the answer", |window| text(window) == tale.display().to_string());
    assert!(!says(&window, "Path of the text"), "an answer closes both windows");
}

#[test]
fn a_result_folder_of_the_command_line_is_read_beside_the_first_frames() {
    let folder = tempfile::tempdir().expect("a folder");
    let results = folder.path().join("run").display().to_string();
    let arguments =
        ["lm-infinite", "diagnose", "--tokens", "700", "--policy", "lm-infinite", "--out", &results];
    lm_infinite::cli::run(arguments.into_iter().map(Into::into));
    let mut window = common::window(&[&results]);
    wait_for(&mut window, "the results", |window| tokens(window) == Some(700));
    assert!(window.state().progress().is_none(), "nothing is run");
    // One that is damaged is refused in words; what is on screen stays.
    fs::write(folder.path().join("run").join("diagnosis.json"), "{").expect("writes");
    click(&mut window, "Open results…");
    type_into(&mut window, "Path of the result folder", &folder.path().join("run"));
    click(&mut window, "Use it");
    wait_for(&mut window, "words", |window| says(window, "The result folder could not be opened"));
    assert_eq!(tokens(&window), Some(700));
    assert!(Window::new(&args(&[&folder.path().display().to_string()])).is_err(), "no result folder");
}
