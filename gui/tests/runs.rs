//! The column of runs, and the inspector.

use eframe::egui::Key;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::{Shown, after_run, click, finished, says, type_into, wait_for};

fn tokens(window: &Shown) -> Option<u64> {
    window.state().diagnosis().map(|diagnosis| diagnosis.tokens)
}

#[test]
fn an_earlier_run_is_kept_shown_again_and_removed() {
    let mut window = after_run(&["--tokens", "600"]);
    assert!(!says(&window, "Earlier runs"));
    type_into(&mut window, "Tokens, typed", "700");
    window.key_press(Key::Enter);
    window.run_steps(3);
    click(&mut window, "Run");
    wait_for(&mut window, "a second run", |window| finished(window) && tokens(window) == Some(700));
    let first = "Run 1 of tiny-rope, 600 tokens, vanilla, lm-infinite:start=10,window=256";
    click(&mut window, first);
    assert_eq!(tokens(&window), Some(600));
    assert!(
        says(&window, "Run 1: tiny-rope") && !says(&window, "Of earlier settings"),
        "the run bar says what it was"
    );
    let second = first.replace("Run 1", "Run 2").replace("600", "700");
    window.get_by_label(&second);
    click(&mut window, &format!("Remove {second}"));
    assert!(!says(&window, "Earlier runs") && tokens(&window) == Some(600));
}

#[test]
fn a_policy_that_is_not_ticked_is_not_drawn() {
    let mut window = after_run(&["--tokens", "600", "--tab", "map"]);
    window.get_by_label("Attention map of B");
    click(&mut window, "Draw B");
    assert!(window.query_by_label("Attention map of B").is_none());
    window.get_by_label("Attention map of A");
    assert!(!says(&window, "B lm-infinite:start=10,window=256 (dashed)"));
    click(&mut window, "Draw B");
    window.get_by_label("Attention map of B");
    assert!(says(&window, "B lm-infinite:start=10,window=256 (dashed)"));
}

#[test]
fn the_inspector_tells_losses_and_what_a_token_looks_at() {
    let mut window = after_run(&["--tokens", "600"]);
    type_into(&mut window, "Cursor", "590");
    window.key_press(Key::Enter);
    window.run_steps(3);
    let diagnosis = window.state().diagnosis().expect("a result").clone();
    for run in &diagnosis.runs {
        assert!(says(&window, &format!("{:.3} nats", run.arrays.nll[589])), "the loss under {}", run.policy);
    }
    window.get_by_label("Token 590");
    window.get_by_label("Under A token 590 looks at");
    wait_for(&mut window, "eight keys of each", |window| {
        window.query_all_by_label_contains("  “").count() == 16
    });
    // Under B no key is attended between the start tokens and the window.
    let of = |node: egui_kittest::Node<'_>| {
        let words = node.accesskit_node().label()?;
        let mut parts = words.split_whitespace();
        Some((parts.next()?.parse::<f32>().ok()?, parts.next()?.replace(',', "").parse::<u64>().ok()?))
    };
    let keys: Vec<_> = window.query_all_by_label_contains("  “").filter_map(of).collect();
    assert_eq!(keys.len(), 16);
    for side in keys.chunks(8) {
        assert!(
            side.windows(2).all(|pair| pair[0].0 >= pair[1].0)
                && side.iter().map(|key| key.0).sum::<f32>() <= 1.004
        );
    }
    assert!(keys[8..].iter().all(|&(_, key)| !(10..=590 - 257).contains(&key)), "{keys:?}");
}
