//! Differences of policies of two runs, and what refuses them.

use egui_kittest::kittest::{NodeT, Queryable};
use lm_infinite_gui::views::text::failure;

use crate::common::{Shown, after_run, answer, click, finished, layout, says, type_into, wait_for};

/// Runs anew after `change`, until what is on screen was made of it.
fn run_again(window: &mut Shown, run: &str, change: impl FnOnce(&mut Shown)) {
    change(window);
    click(window, "Run");
    let name = format!("Run {run}: ");
    wait_for(window, "another run", |window| {
        let failure = window.state().progress().and_then(|progress| progress.failure.clone());
        assert_eq!(failure, None);
        finished(window) && says(window, &name)
    });
}

fn type_tokens(window: &mut Shown, tokens: &str) {
    type_into(window, "Tokens, typed", tokens);
    window.key_press(eframe::egui::Key::Enter);
    window.run_steps(3);
}

/// Chooses an entry of one of the menus of the difference, by its name or the part of it before a colon.
fn choose(window: &mut Shown, menu: &str, entry: &str) {
    click(window, menu);
    window
        .get_by(|node| {
            node.label().is_some_and(|name| name == entry || name.starts_with(&format!("{entry}:")))
        })
        .click();
    window.run_steps(4);
}

fn losses(window: &Shown, side: usize) -> Vec<f32> {
    window.state().diagnosis().expect("a result").runs[side].arrays.nll.clone()
}

/// The token that the cursor is on.
fn cursor(window: &Shown) -> Option<u64> {
    let value = window.get_by_label("Cursor").accesskit_node().numeric_value()?;
    Some(value as u64)
}

#[test]
fn policies_of_two_runs_are_subtracted_token_by_token() {
    let mut window = after_run(&["--tokens", "600"]);
    let before = losses(&window, 0);
    run_again(&mut window, "2", |window| type_tokens(window, "700"));
    choose(&mut window, "First of the difference", "First: A of run 1");
    choose(&mut window, "Second of the difference", "Second: B");
    layout(&mut window, "Text");
    window.get_by_label("Loss A1 \u{2212} B");
    window.get_by_label("Loss A1");
    let after = losses(&window, 1);
    assert_eq!((before.len(), after.len()), (599, 699));
    // No token of this text is known beyond the 600 that both have read: the search goes round.
    let mut at = None;
    for _ in 0..4 {
        click(&mut window, "Next failure");
        at = failure::next(&before, &after, at, 1.0);
        assert!(at.is_some() && cursor(&window) == at, "{at:?}");
    }
    // Measures of a head go over all that was read, which is another number of tokens.
    layout(&mut window, "Heads");
    click(&mut window, "A1 \u{2212} B");
    assert!(says(&window, "No difference of heads: A of run 1 is of 600 tokens, not of 700"));
}

#[test]
fn heads_of_two_runs_over_the_same_tokens_are_subtracted() {
    let mut window = after_run(&["--tokens", "700", "--policy", "vanilla"]);
    let before = window.state().diagnosis().expect("a result").clone();
    run_again(&mut window, "2", |window| {
        type_into(window, "Policy A, as written", "window:window=128");
        window.key_press(eframe::egui::Key::Enter);
        window.run_steps(3);
    });
    choose(&mut window, "Second of the difference", "Second: A of run 1");
    layout(&mut window, "Heads");
    click(&mut window, "A \u{2212} A1");
    window.key_press(eframe::egui::Key::ArrowDown);
    window.run_steps(3);
    let after = window.state().diagnosis().expect("a result").clone();
    window.get_by_role_and_label(eframe::egui::accesskit::Role::ComboBox, "Heads").click();
    window.run_steps(3);
    window.get_by_role_and_label(eframe::egui::accesskit::Role::Button, "mean distance (tokens)").click();
    window.run_steps(3);
    let of = |run: &lm_infinite::diagnose::Diagnosis| {
        let head = &run.runs[0].heads[0];
        head.mean_distance_beyond.or(head.mean_distance_inside).expect("measured")
    };
    let value = of(&after) - of(&before);
    let words = if value.abs() >= 10.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    window
        .get_by_label(&format!("mean distance (tokens), A \u{2212} A1: {}", words.replace('-', "\u{2212}")));
    // The earlier run is let go: the difference is of this one again.
    let kept = "Run 1 of tiny-rope, 700 tokens, vanilla, lm-infinite:start=10,window=256";
    click(&mut window, &format!("Remove {kept}"));
    assert!(says(&window, "The difference is of A and B again. A of run 1 is not kept any more."));
}

#[test]
fn other_texts_and_other_tokens_are_refused_with_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("other.txt");
    std::fs::write(&text, "Once upon a time there were other words. ".repeat(200)).expect("writes");
    let mut window = after_run(&["--tokens", "600"]);
    run_again(&mut window, "2", |window| {
        click(window, "Open text…");
        type_into(window, "Path of the text", &text.display().to_string());
        click(window, "Use it");
    });
    choose(&mut window, "Second of the difference", "Second: B of run 1");
    assert!(says(
        &window,
        "B of run 1 cannot be held against the run on screen: the texts differ, from token "
    ));
    window.get_by_label("Second of the difference");
    layout(&mut window, "Text");
    window.get_by_label("Loss A \u{2212} B");
    // The same text under another model has the same tokens, since their vocabularies are the same: losses can be subtracted, heads
    // cannot.
    run_again(&mut window, "3", |window| {
        click(window, "Open model…");
        type_into(window, "Path of the model", "tiny-alibi");
        click(window, "Use it");
    });
    choose(&mut window, "Second of the difference", "Second: A of run 2");
    window.get_by_label("Loss A \u{2212} A2");
    layout(&mut window, "Heads");
    click(&mut window, "A \u{2212} A2");
    assert!(says(&window, "No difference of heads: A of run 2 is of another model, with other heads"));
    // Another run over another text takes the screen: the difference that was chosen is not of its text.
    run_again(&mut window, "4", |window| click(window, "Built-in"));
    assert!(says(&window, "The difference is of A and B again."));
}

#[test]
fn a_result_folder_is_held_against_a_run_over_the_same_text_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("other.txt");
    std::fs::write(&text, "Once upon a time there were other words. ".repeat(200)).expect("writes");
    let text = text.display().to_string();
    for (name, more) in [("same", &[][..]), ("other", &["--text", &text])] {
        let out = folder.path().join(name).display().to_string();
        let arguments = ["lm-infinite", "diagnose", "--tokens", "600", "--policy", "window", "--out", &out];
        lm_infinite::cli::run([&arguments, more].concat().into_iter().map(Into::into));
    }
    let mut window = after_run(&["--tokens", "600"]);
    for name in ["other", "same"] {
        let path = folder.path().join(name).display().to_string();
        answer(&mut window, "Open results…", "Path of the result folder", &path);
        wait_for(&mut window, "the folder", |window| says(window, &format!("Result folder {name}: ")));
    }
    choose(&mut window, "Second of the difference", "Second: A of run 1");
    assert!(!says(&window, "cannot be held against"), "the folder has read the same bytes");
    assert!(says(&window, "Difference"));
    choose(&mut window, "First of the difference", "First: A of the result folder other");
    assert!(says(
        &window,
        "A of the result folder cannot be held against the run on screen: a result folder has no tokens, and the texts"
    ));
}

#[test]
fn maps_of_two_policies_and_of_two_runs_are_subtracted() {
    let mut window = after_run(&["--tokens", "700", "--tab", "map"]);
    assert!(window.query_by_label("Attention map of A \u{2212} B").is_none());
    click(&mut window, "Map of A \u{2212} B");
    window.get_by_label("Attention map of A \u{2212} B");
    window.get_by_label("Attention map of A");
    window.get_by_label("Attention map of B");
    run_again(&mut window, "2", |window| {
        type_into(window, "Policy A, as written", "window:window=128");
    });
    choose(&mut window, "Second of the difference", "Second: A of run 1");
    window.get_by_label("Attention map of A \u{2212} A1");
    // What is known of a pair is told of the earlier policy, too, exactly once its place was computed.
    let exact = |window: &Shown| says(window, "Every logit, computed for this place");
    window.get_all_by_label("End").next().expect("of the first tile").click();
    window.run_steps(3);
    wait_for(&mut window, "every logit", exact);
    window.get_by_label("Attention map of A \u{2212} A1").hover();
    wait_for(&mut window, "a reading of the earlier run", |window| window.query_by_label("A1").is_some());
    // Other tokens: there is no map of the difference, and the button says why.
    run_again(&mut window, "3", |window| type_tokens(window, "600"));
    assert!(window.query_by_label("Attention map of A \u{2212} A1").is_none());
    assert!(window.get_by_label("Map of A \u{2212} A1").accesskit_node().is_disabled());
    window.get_by_label("Map of A \u{2212} A1").hover();
    wait_for(&mut window, "why", |window| {
        says(window, "No difference of maps: A of run 1 is of 700 tokens, not of 600")
    });
}
