//! What a screen reader is told: the AccessKit tree of every tile, in which everything that acts has a name.

use std::fmt::Write;

use eframe::egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::tab::Tab;

use crate::common::{Shown, after_run, layout, open};

/// What can be pressed, typed into or moved.
const ACTING: [Role; 8] = [
    Role::Button,
    Role::CheckBox,
    Role::ComboBox,
    Role::Link,
    Role::RadioButton,
    Role::Slider,
    Role::SpinButton,
    Role::TextInput,
];

/// The tree as lines: role, name, and value where there is one; two spaces a level.
fn dump(window: &Shown) -> String {
    fn add(node: &egui_kittest::Node<'_>, depth: usize, text: &mut String) {
        let told = node.accesskit_node();
        let name = told.label().unwrap_or_default();
        let value = told.value().map(|value| format!(" = {value}")).unwrap_or_default();
        writeln!(text, "{}{:?} {name:?}{value}", "  ".repeat(depth), told.role()).expect("a string");
        for child in node.children().filter(|child| child.accesskit_node().role() != Role::TextRun) {
            add(&child, depth + 1, text);
        }
    }
    let mut text = String::new();
    add(&window.root(), 0, &mut text);
    text
}

fn nameless(window: &Shown) -> Vec<String> {
    let mut found = Vec::new();
    for role in ACTING {
        for node in window.query_all_by_role(role) {
            if node.accesskit_node().label().is_none_or(|name| name.trim().is_empty()) {
                found.push(format!("{role:?} at {:?}", node.rect()));
            }
        }
    }
    found
}

#[test]
fn a_screen_reader_can_name_everything_that_acts() {
    let mut window = after_run(&["--tokens", "600"]);
    let mut seen = 0;
    for name in ["Learn", "Heads", "Text"] {
        layout(&mut window, name);
        for tab in Tab::ALL {
            open(&mut window, tab.name());
            let nameless = nameless(&window);
            let tree = dump(&window);
            assert!(nameless.is_empty(), "{name}, {tab:?}: {nameless:?}\n{tree}");
            // The tree is that of a whole window, with its controls, its runs, its tiles and its timeline.
            for part in ["Button \"Run\"", "\"Cursor\"", "A  vanilla", tab.name()] {
                assert!(tree.contains(part), "{name}, {tab:?}: no {part}\n{tree}");
            }
            seen = seen.max(tree.lines().count());
        }
    }
    assert!(seen > 100, "{seen} lines");
}
