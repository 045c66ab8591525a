//! Causes, live: places are mended by a click, and what that restores is what the library measures.

use std::sync::Arc;

use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable;
use lm_infinite::causes::{CauseRuns, Interventions, measure_places, smallest_fix};
use lm_infinite::policy::PolicyMap;
use lm_infinite::session::Decoder;
use lm_infinite::{checkpoint, corpus, hub, text};

use crate::common::{Shown, after_run, click, says, type_into, wait_for};

const TOKENS: u64 = 1024;

/// A window in which causes were found, and the words of the shares that the library measures: of L4 H1 and the layer 3 together, and
/// of the smallest fix.
fn expected() -> (String, String) {
    let loaded = checkpoint::load("tiny-rope", &hub::Cache::open().expect("a folder")).expect("embedded");
    let sample =
        corpus::tokens(&text::Text::embedded(), &loaded.tokenizer, Some(TOKENS), None).expect("tokens");
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a decoder"));
    let runs = CauseRuns::measure(&decoder, &sample.tokens, &[], &|_, _| {}).expect("runs");
    let interventions = Interventions::new(&decoder, &sample.tokens, &runs).expect("interventions");
    let fix = || interventions.fix().clone();
    let map = PolicyMap::from(interventions.vanilla().clone()).with_layer(3, fix()).with_head(4, 1, fix());
    let losses = interventions.losses(&map, 3).expect("losses");
    let places = measure_places(&interventions, TOKENS, &|_, _| {}).expect("places");
    let smallest =
        smallest_fix(&interventions, &places, TOKENS, 0, &|_| true).expect("a search").expect("a set");
    let restored = interventions.restored(&losses).expect("an excess");
    (restored.share.to_string(), smallest.restored.share.to_string())
}

fn click_at(window: &mut Shown, across: f32, down: f32) {
    let rect = window.get_by_label("Restored loss by place").rect();
    let at = rect.min + vec2(across, down);
    window.hover_at(at);
    window.run_steps(2);
    window.drag_at(at);
    window.drop_at(at);
    window.run_steps(3);
}

#[test]
fn places_are_mended_by_a_click_and_a_small_set_is_found() {
    let (together, smallest) = expected();
    let mut window = after_run(&["--tokens", &TOKENS.to_string(), "--tab", "causes"]);
    type_into(&mut window, "Tokens of causes", &TOKENS.to_string());
    window.key_press(Key::Enter);
    window.run_steps(3);
    click(&mut window, "Find causes");
    wait_for(&mut window, "the factorial", |window| {
        window.query_by_label("Restored loss by place").is_some()
    });
    let rect = window.get_by_label("Restored loss by place").rect();
    let (cell, row) = ((rect.width() - 26.0 - 62.0 - 6.0) / 4.0, (rect.height() - 16.0) / 6.0);
    // The whole of layer 3, and the second head of layer 4.
    click_at(&mut window, 26.0 + 31.0, 16.0 + 3.5 * row);
    window.get_by_label("Mended L3");
    click_at(&mut window, 26.0 + 62.0 + 6.0 + 1.5 * cell, 16.0 + 4.5 * row);
    window.get_by_label("Mended L4 H1");
    assert!(says(&window, "Mended: L3, L4 H1"));
    wait_for(&mut window, "what it restores", |window| says(window, &format!("restores {together}")));
    wait_for(&mut window, "every place", |window| {
        window
            .query_all_by_label("Find the smallest fix")
            .any(|node| !egui_kittest::kittest::NodeT::accesskit_node(&node).is_disabled())
    });
    assert!(says(&window, "distances"), "the causes in sentences");
    // A search can be given up, and begun again.
    click(&mut window, "Find the smallest fix");
    wait_for(&mut window, "a search", |window| says(window, " sets have been tried."));
    click(&mut window, "Stop the search");
    wait_for(&mut window, "no search", |window| window.query_by_label("Find the smallest fix").is_some());
    assert!(!says(&window, "No set can be told to suffice."));
    click(&mut window, "Find the smallest fix");
    wait_for(&mut window, "a small set", |window| window.query_by_label("Mend the smallest fix").is_some());
    click(&mut window, "Mend the smallest fix");
    wait_for(&mut window, "what that restores", |window| {
        says(window, &format!(" nats: restores {smallest}"))
    });
    click(&mut window, "Mend nothing");
    wait_for(&mut window, "nothing mended", |window| says(window, "Nothing is mended"));
    // By its name, too.
    window.key_press_modifiers(Modifiers::COMMAND, Key::P);
    window.run_steps(4);
    window.get_by_label("Command").type_text("mend L0 H2");
    window.run_steps(4);
    window.key_press(Key::Enter);
    window.run_steps(4);
    window.get_by_label("Mended L0 H2");
    // At rest nothing is asked for: the thread waits.
    wait_for(&mut window, "it waits", |window| window.query_by_label("Stop looking").is_none());
}

#[test]
fn where_nothing_lies_beyond_the_training_length_nothing_is_looked_for() {
    let window = after_run(&["--tokens", "200", "--tab", "causes"]);
    let button = window.get_by_label("Find causes");
    assert!(egui_kittest::kittest::NodeT::accesskit_node(&button).is_disabled());
    assert!(says(&window, "Which layers and heads make the loss rise?"));
}
