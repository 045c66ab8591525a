//! A window without a screen, and what is done with it.

use std::time::{Duration, Instant};

use clap::Parser;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::args::Args;
use lm_infinite_gui::window::Window;

/// A window without a screen.
pub type Shown = Harness<'static, Window>;

/// What the command line says.
pub fn args(arguments: &[&str]) -> Args {
    Args::try_parse_from([&["lm-infinite-gui"], arguments].concat()).expect("arguments")
}

/// A window as the command line asks for.
pub fn window(arguments: &[&str]) -> Shown {
    shown(Window::new(&args(arguments)).expect("a window"))
}

/// On a screen of the usual size.
pub fn shown(window: Window) -> Shown {
    Harness::builder().with_size([1280.0, 1000.0]).build_eframe(move |_| window)
}

/// Draws frames until `reached`, and some more, so that what was reached is drawn.
pub fn wait_for(window: &mut Shown, what: &str, reached: impl Fn(&Shown) -> bool) {
    let start = Instant::now();
    while !reached(window) {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
    window.run_steps(3);
}

/// Whether the run is over.
pub fn finished(window: &Shown) -> bool {
    window.state().progress().is_some_and(|progress| progress.finished)
}

/// A window whose run is over.
pub fn after_run(arguments: &[&str]) -> Shown {
    let mut window = window(arguments);
    wait_for(&mut window, "the end", finished);
    window
}

/// Whether these words are on screen.
pub fn says(window: &Shown, words: &str) -> bool {
    window.query_all_by_label_contains(words).next().is_some()
}

/// Menus of the row of controls, by how their names begin, and what is in them.
const MENUS: [(&str, &[&str]); 3] = [
    ("Model: ", &["Open model…", "Pull model…"]),
    ("Text: ", &["Built-in", "Open text…", "Paste…", "Repeat"]),
    ("More", &["Open results…", "Export…", "Light", "Dark", "Keys", "Tour"]),
];

/// Waits until there is something of this name that can be used: what a thread of work sends may come some frames later.
fn ready(window: &mut Shown, label: &str) {
    let usable =
        |window: &Shown| window.query_all_by_label(label).any(|node| !node.accesskit_node().is_disabled());
    if !usable(window) {
        let start = Instant::now();
        // What is there and cannot be used is for the test to find out.
        while !usable(window) && start.elapsed() < Duration::from_secs(5) {
            window.step();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Presses a button, in its menu if it is in one, and draws what it does.
pub fn click(window: &mut Shown, button: &str) {
    let menu = MENUS.into_iter().find(|(_, buttons)| buttons.contains(&button));
    if let Some((menu, _)) = menu {
        let is_menu = |node: &egui_kittest::Node<'_>| {
            node.accesskit_node().label().is_some_and(|name| name.starts_with(menu))
        };
        window.query_all_by_label_contains(menu).find(is_menu).expect("the menu").click();
        window.run_steps(4);
    }
    ready(window, button);
    window.get_by_label(button).click();
    window.run_steps(3);
    if menu.is_some() {
        // Some entries leave their menu open.
        window.run_steps(1);
    }
}

/// Arranges the tiles as a layout has them.
pub fn layout(window: &mut Shown, name: &str) {
    click(window, &format!("Layout {name}"));
}

/// Brings a tile to the front.
pub fn open(window: &mut Shown, tile: &str) {
    let tab = lm_infinite_gui::tab::Tab::named(tile).expect("a tile");
    window.key_press(tab.key());
    window.run_steps(3);
}

/// Answers what a small window asks for: opens it by its button, types into its field, and presses "Use it".
pub fn answer(window: &mut Shown, button: &str, field: &str, typed: &str) {
    click(window, button);
    type_into(window, field, typed);
    click(window, "Use it");
}

/// A run that was begun and stopped before its end.
pub fn stopped(arguments: &[&str]) -> Shown {
    let mut window = window(arguments);
    wait_for(&mut window, "tokens", |window| {
        window.state().progress().is_some_and(|progress| progress.position > 0)
    });
    click(&mut window, "Stop");
    wait_for(&mut window, "the stop", finished);
    window
}

/// Replaces what a field says.
pub fn type_into(window: &mut Shown, field: &str, text: &str) {
    use eframe::egui::{Key, Modifiers};
    ready(window, field);
    window.get_by_label(field).focus();
    window.run_steps(2);
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window.run_steps(2);
    window.get_by_label(field).type_text(text);
    window.run_steps(3);
}
