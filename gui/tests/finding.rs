//! Ways to go somewhere in the text: words, failures, positions, and what a token looks at.

use eframe::egui::Key;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::{Shown, after_run, click, says, type_into, wait_for};

fn cursor(window: &Shown) -> Option<u64> {
    let node = window.query_by_label("Cursor")?;
    Some(node.accesskit_node().numeric_value()? as u64)
}

fn opened() -> Shown {
    after_run(&["--tokens", "2k", "--layout", "text"])
}

#[test]
fn words_are_found_one_place_after_the_other() {
    let mut window = opened();
    type_into(&mut window, "Find", "THE ");
    wait_for(&mut window, "places", |window| {
        window.query_by_label("The next place").is_some_and(|node| !node.accesskit_node().is_disabled())
    });
    let before = cursor(&window);
    window.key_press(Key::Enter);
    window.run_steps(3);
    let first = cursor(&window).expect("a token");
    assert_ne!(Some(first), before, "the cursor goes there");
    assert!(says(&window, "1 of "));
    window.key_press(Key::Enter);
    window.run_steps(3);
    let second = cursor(&window).expect("a token");
    assert!(second > first && says(&window, "2 of "), "the field keeps the keyboard");
    click(&mut window, "The place before");
    assert_eq!(cursor(&window), Some(first));
    type_into(&mut window, "Find", "no such words");
    wait_for(&mut window, "an answer", |window| {
        window.query_by_label("The next place").is_some_and(|node| node.accesskit_node().is_disabled())
            && says(window, "0")
    });
}

#[test]
fn the_next_failure_is_marked() {
    let mut window = opened();
    type_into(&mut window, "Nats of a failure", "3");
    window.key_press(Key::Enter);
    window.run_steps(3);
    click(&mut window, "Next failure");
    let diagnosis = window.state().diagnosis().expect("a result").clone();
    let more = |at: usize| diagnosis.runs[0].arrays.nll[at] - diagnosis.runs[1].arrays.nll[at];
    let wanted = (0..).find(|&at| more(at) > 3.0).expect("a failure") as u64 + 1;
    assert_eq!(cursor(&window), Some(wanted));
    click(&mut window, "Next failure");
    let next = (wanted as usize..).find(|&at| more(at) > 3.0).expect("another") as u64 + 1;
    assert_eq!(cursor(&window), Some(next));
}

#[test]
fn a_position_that_is_gone_to_is_marked_and_tells_what_it_looks_at() {
    let mut window = opened();
    type_into(&mut window, "Go to token", "1,500");
    window.key_press(Key::Enter);
    window.run_steps(3);
    assert_eq!(cursor(&window), Some(1500));
    window.get_by_label("Unmark");
    click(&mut window, "Attention A");
    wait_for(&mut window, "a list", |window| {
        window.query_all_by_label_contains("Looks at token ").count() == 8
    });
    window.get_by_label("Places in the text");
    click(&mut window, "Training length");
    assert_eq!(cursor(&window), Some(256));
}
