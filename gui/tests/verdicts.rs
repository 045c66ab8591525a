//! No verdict before anything could fail, and words where there is no number.

use eframe::egui::accesskit::Role;
use eframe::egui::{Key, vec2};
use egui_kittest::kittest::Queryable;

use crate::common::{after_run, click, says};

#[test]
fn within_the_training_length_nothing_holds_yet() {
    let mut window = after_run(&["--tokens", "200", "--layout", "heads"]);
    let trained = window.state().diagnosis().expect("a result").trained_length;
    let left = format!("not yet: {} tokens to go", trained - 200);
    // The loss and three factors of both policies.
    assert_eq!(window.query_all_by_label(&left).count(), 8);
    for verdict in ["holds", "undecided", "fails"] {
        assert_eq!(window.query_all_by_label(verdict).count(), 0, "{verdict}");
    }
    // The grid of heads says why it is blank, and so does a head.
    assert!(says(&window, &format!("It needs distances beyond the training length; {left}.")));
    window.key_press(Key::ArrowDown);
    window.run_steps(3);
    let not_yet: usize =
        ["A not yet", "B not yet"].iter().map(|words| window.query_all_by_label(words).count()).sum();
    assert!(not_yet >= 4, "two measures of two policies");
    window.get_by_role_and_label(Role::ComboBox, "Heads").click();
    window.run_steps(3);
    window.get_by_role_and_label(Role::Button, "first break (tokens)").click();
    window.run_steps(3);
    assert!(says(&window, &format!("No head breaks; beyond the training length {left}.")));
    click(&mut window, "Features");
    assert!(window.query_all_by_label_contains("→ not yet").next().is_some());
}

#[test]
fn beyond_the_training_length_there_are_verdicts() {
    let window = after_run(&["--tokens", "1k"]);
    assert!(!says(&window, "not yet"));
    assert!(says(&window, "fails from"));
}

#[test]
fn a_policy_that_never_looks_that_far_is_said_to_be_so() {
    let mut window = after_run(&["--tokens", "1k", "--layout", "heads"]);
    const NEVER: &str =
        "B never looks that far: it attends to no key at a distance beyond the training length.";
    assert!(!says(&window, "never looks"), "A does");
    window.get_by_role_and_label(Role::Button, "B").click();
    window.run_steps(3);
    assert!(says(&window, NEVER) && !says(&window, "not measured yet"));
    window.get_by_role_and_label(Role::Button, "A \u{2212} B").click();
    window.run_steps(3);
    assert!(says(&window, NEVER));
    let corner = window.get_by_label("Head grid").rect().min;
    window.hover_at(corner + vec2(45.0, 30.0));
    window.run_steps(20);
    assert!(window.query_all_by_label("never so far").count() >= 2, "two measures of B");
}
