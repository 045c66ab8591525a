//! Commands by name, steps back and again, marks, and what is kept while the window is open.

use std::time::{Duration, Instant};

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::memory::Memory;
use lm_infinite_gui::window::Window;

use crate::common::{Shown, after_run, args, finished, says, shown, type_into, wait_for};

fn press(window: &mut Shown, modifiers: Modifiers, key: Key) {
    window.key_press_modifiers(modifiers, key);
    window.run_steps(4);
}

/// Steps that follow each other at once are one.
fn pause(window: &mut Shown) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(900) {
        window.step();
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn tab(window: &Shown) -> String {
    window.state().memory().tab.unwrap_or_default()
}

#[test]
fn a_command_is_found_by_a_part_of_its_name() {
    let mut window = after_run(&["--tokens", "600"]);
    press(&mut window, Modifiers::COMMAND, Key::P);
    window.get_by_label("Command").type_text("show theo");
    window.run_steps(4);
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(tab(&window), "Theory");
    assert!(window.query_by_label("Command").is_none(), "it is closed");
    // Arrow keys choose another than the first.
    press(&mut window, Modifiers::COMMAND, Key::P);
    window.get_by_label("Command").type_text("head l2");
    window.run_steps(4);
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::Enter);
    crate::common::layout(&mut window, "Heads");
    window.get_by_label("Chosen head: L2 H1");
    press(&mut window, Modifiers::COMMAND, Key::P);
    window.get_by_label("Command").type_text("no such thing");
    window.run_steps(4);
    assert!(says(&window, "No command has all of these words"));
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label("Command").is_none());
}

#[test]
fn changes_of_settings_are_taken_back_and_again() {
    let mut window = after_run(&["--tokens", "600"]);
    let settings = |window: &Shown| {
        let settings = window.state().memory().settings.expect("settings");
        (settings.tokens, settings.policies.len())
    };
    pause(&mut window);
    type_into(&mut window, "Tokens, typed", "700");
    press(&mut window, Modifiers::NONE, Key::Enter);
    pause(&mut window);
    crate::common::click(&mut window, "+ Policy");
    crate::common::click(&mut window, "rerope");
    assert_eq!(settings(&window), (700, 3));
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(settings(&window), (700, 2));
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(settings(&window), (600, 2));
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(settings(&window), (600, 2), "there is no more");
    press(&mut window, Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    press(&mut window, Modifiers::COMMAND, Key::Y);
    assert_eq!(settings(&window), (700, 3));
    assert!(says(&window, "C  rerope"));
}

#[test]
fn where_the_reader_looked_is_found_again() {
    let mut window = after_run(&["--tokens", "600"]);
    let cursor = |window: &Shown| window.query_by_label("Let go").is_some();
    pause(&mut window);
    press(&mut window, Modifiers::NONE, Key::Num4);
    pause(&mut window);
    type_into(&mut window, "Cursor", "500");
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert!(cursor(&window) && tab(&window) == "Text");
    press(&mut window, Modifiers::ALT, Key::ArrowLeft);
    assert!(!cursor(&window) && tab(&window) == "Text");
    press(&mut window, Modifiers::ALT, Key::ArrowLeft);
    assert_eq!(tab(&window), "Curves");
    press(&mut window, Modifiers::ALT, Key::ArrowRight);
    press(&mut window, Modifiers::ALT, Key::ArrowRight);
    assert!(cursor(&window) && tab(&window) == "Text");
}

#[test]
fn marks_and_what_was_used_are_kept_while_the_window_is_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("window.json");
    let mut window = Window::new(&args(&["--tokens", "600"])).expect("a window");
    window.remember(path.clone(), Memory { tour_offered: true, ..Memory::default() }, None, false);
    let mut window = shown(window);
    wait_for(&mut window, "the end", finished);
    type_into(&mut window, "Cursor", "500");
    press(&mut window, Modifiers::NONE, Key::Enter);
    press(&mut window, Modifiers::COMMAND, Key::M);
    type_into(&mut window, "Note at 500", "here it breaks");
    // Nobody closes the window: it is killed.
    wait_for(&mut window, "it is written", |_| {
        let memory = Memory::read(&path).0;
        !memory.marks.of("tiny-rope", lm_infinite::text::EMBEDDED_TEXT_NAME).is_empty()
            && memory.settings.is_some()
    });
    wait_for(&mut window, "the note is written", |_| {
        let marks = Memory::read(&path).0.marks.of("tiny-rope", lm_infinite::text::EMBEDDED_TEXT_NAME);
        marks[0].token == 500 && marks[0].note == "here it breaks"
    });
    assert_eq!(Memory::read(&path).0.recent.models, ["tiny-rope"]);
    drop(window);
    let (memory, damage) = Memory::read(&path);
    assert_eq!(damage, None);
    let mut window = Window::new(&args(&[])).expect("a window");
    window.remember(path, memory, None, true);
    let mut window = shown(window);
    wait_for(&mut window, "the end", finished);
    let note = window.get_by_label("Note at 500");
    assert_eq!(note.accesskit_node().value().as_deref(), Some("here it breaks"));
    window.get_by_label("500").click();
    window.run_steps(4);
    window.get_by_label("Let go");
    window.get_by_label("Remove mark 500").click();
    window.run_steps(4);
    assert!(window.query_by_label("Note at 500").is_none());
}
