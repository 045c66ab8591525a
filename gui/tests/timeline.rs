//! The timeline, by pointer and keys: every tile follows its cursor and its range.

use eframe::egui::{Key, Pos2, Vec2};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::{Shown, after_run, click, layout, open, says, type_into, wait_for};

/// A place on a part of the timeline, by its share of the text.
fn place(window: &Shown, part: &str, share: f32) -> Pos2 {
    let rect = window.get_by_label(part).rect();
    rect.left_center() + Vec2::new(rect.width() * share, 0.0)
}

fn drag(window: &mut Shown, part: &str, from: f32, to: f32) {
    let (from, to) = (place(window, part, from), place(window, part, to));
    window.hover_at(from);
    window.run_steps(1);
    window.drag_at(from);
    window.run_steps(2);
    window.hover_at(from + (to - from) / 2.0);
    window.run_steps(2);
    window.hover_at(to);
    window.run_steps(2);
    window.drop_at(to);
    window.run_steps(3);
}

fn cursor(window: &Shown) -> f64 {
    window.get_by_label("Cursor").accesskit_node().numeric_value().expect("a number")
}

#[test]
fn a_drag_moves_the_cursor_and_every_tile_follows() {
    let mut window = after_run(&["--tokens", "2k", "--layout", "text"]);
    drag(&mut window, "Timeline", 0.1, 0.75);
    let at = cursor(&window);
    assert!((at - 1536.0).abs() < 12.0, "{at}");
    // The text has scrolled there: the number of a line just before it is on screen.
    assert!(says(&window, &format!("token {at}")), "the text reads the token at the cursor");
    // The map goes there once the cursor rests.
    open(&mut window, "Map A");
    wait_for(&mut window, "the place is computed", |window| {
        says(window, "Every logit, computed for this place")
    });
    window.get_all_by_label("Place").next().expect("a menu").click();
    window.run_steps(3);
    let from = window.get_by_label("Queries from").accesskit_node().numeric_value().expect("a number");
    assert!(from < at && at < from + 512.0, "{at} from {from} on");
    click(&mut window, "Let go");
    assert!(!says(&window, "Let go"));
}

#[test]
fn a_range_is_dragged_and_let_go() {
    let mut window = after_run(&["--tokens", "2k", "--layout", "heads"]);
    drag(&mut window, "Timeline, range", 0.25, 0.5);
    let words = window.get_by_label_contains("Range ").value().expect("words");
    let ends: Vec<f64> = words
        .trim_start_matches("Range ")
        .split(" to ")
        .map(|end| end.replace(',', "").parse().expect("a number"))
        .collect();
    assert!((ends[0] - 512.0).abs() < 12.0 && (ends[1] - 1024.0).abs() < 12.0, "{words}");
    window.get_all_by_label("Place").next().expect("a menu").click();
    window.run_steps(3);
    let number = |window: &Shown, field: &str| {
        window.get_by_label(field).accesskit_node().numeric_value().expect("a number")
    };
    assert_eq!(number(&window, "Keys from"), ends[0], "the maps show it");
    assert_eq!(number(&window, "Tokens shown"), ends[1] - ends[0] + 1.0);
    window.key_press(Key::Escape);
    window.run_steps(3);
    click(&mut window, "No range");
    assert!(!says(&window, "No range"));
}

#[test]
fn play_moves_the_cursor_to_the_end_of_what_was_read_and_stops() {
    let mut window = after_run(&["--tokens", "1k"]);
    type_into(&mut window, "Cursor", "900");
    window.key_press(Key::Enter);
    window.run_steps(3);
    assert_eq!(cursor(&window), 900.0);
    window.key_press(Key::P);
    window.run_steps(3);
    window.get_by_label("Stop playing");
    let before = cursor(&window);
    for _ in 0..10 {
        window.run_steps(1);
        for side in ["A", "B"] {
            let token = lm_infinite_gui::words::grouped(cursor(&window) as u64);
            window.get_by_label(&format!("Under {side} token {token} attends to"));
        }
    }
    assert!(cursor(&window) > before, "it moves by itself");
    window.key_press(Key::P);
    window.run_steps(3);
    let held = cursor(&window);
    window.run_steps(10);
    assert_eq!(cursor(&window), held, "it is held");
    click(&mut window, "Play");
    wait_for(&mut window, "the end", |window| window.query_by_label("Stop playing").is_none());
    assert_eq!(cursor(&window), 1023.0);
    // What is drawn next is nothing new: at rest no frame is asked for.
    window.run_steps(20);
    layout(&mut window, "Heads");
    assert_eq!(cursor(&window), 1023.0);
}
