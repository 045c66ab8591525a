//! Every picture says what it is of; what is of earlier settings is veiled; every policy of a result folder is shown.

use eframe::egui::accesskit::Role;
use egui_kittest::kittest::Queryable;

use crate::common::{Shown, after_run, click, finished, open, says, type_into, wait_for};

const STALE: &str = "Of earlier settings: the run bar says otherwise";

/// A result folder of four policies.
fn four_policies(folder: &std::path::Path) -> String {
    let results = folder.join("four").display().to_string();
    let policies = ["vanilla", "window", "lm-infinite", "lambda"].map(|policy| ["--policy", policy]);
    let begin = ["lm-infinite", "diagnose", "--tokens", "700", "--causes=none", "--out", &results];
    let arguments = begin.into_iter().chain(policies.into_iter().flatten());
    lm_infinite::cli::run(arguments.map(Into::into));
    results
}

fn opened(results: &str) -> Shown {
    let mut window = crate::common::window(&[results, "--layout", "heads"]);
    wait_for(&mut window, "the results", |window| window.state().diagnosis().is_some());
    window
}

#[test]
fn every_tab_names_run_model_text_and_tokens() {
    let mut window = after_run(&["--tokens", "600"]);
    let caption = "Run 1: tiny-rope, ";
    for layout in ["Learn", "Heads", "Text"] {
        crate::common::layout(&mut window, layout);
        for tab in lm_infinite_gui::tab::Tab::ALL {
            open(&mut window, tab.name());
            // Once, for all tiles: they are of one run.
            let all: Vec<_> =
                window.query_all_by_label_contains(caption).filter_map(|node| node.value()).collect();
            assert!(all.len() == 1 && all[0].ends_with(", 600 tokens"), "{tab:?}: {all:?}");
        }
    }
    click(&mut window, "Run");
    wait_for(&mut window, "a second run", |window| says(window, "Run 2: tiny-rope") && finished(window));
}

#[test]
fn a_changed_setting_says_that_what_is_shown_is_of_earlier_ones() {
    let mut window = after_run(&["--tokens", "600"]);
    assert!(!says(&window, STALE));
    type_into(&mut window, "B window", "128");
    assert!(says(&window, STALE) && says(&window, "(policy B)"));
    type_into(&mut window, "B window", "256");
    assert!(!says(&window, STALE), "what means the same is the same");
    type_into(&mut window, "Tokens, typed", "700");
    window.key_press(eframe::egui::Key::Enter);
    window.run_steps(3);
    assert!(says(&window, STALE) && says(&window, "(tokens)"));
    click(&mut window, "Run");
    wait_for(&mut window, "a second run", |window| {
        finished(window) && window.state().diagnosis().is_some_and(|diagnosis| diagnosis.tokens == 700)
    });
    assert!(!says(&window, STALE));
}

#[test]
fn what_is_of_earlier_settings_is_veiled() {
    let mut window = after_run(&["--tokens", "600", "--layout", "heads"]);
    let veils = |window: &mut Shown| {
        window.step();
        let veil = window.ctx.global_style().visuals.panel_fill.gamma_multiply(0.6);
        let is_veil = |shape: &eframe::egui::epaint::ClippedShape| matches!(&shape.shape, eframe::egui::Shape::Rect(rect) if rect.fill == veil && rect.rect.area() > 20_000.0);
        window.output().shapes.iter().filter(|shape| is_veil(shape)).count()
    };
    assert_eq!(veils(&mut window), 0);
    click(&mut window, "Repeat");
    assert!(veils(&mut window) >= 4, "every tile");
    click(&mut window, "Repeat");
    assert_eq!(veils(&mut window), 0);
}

#[test]
fn all_four_policies_of_a_result_folder_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = opened(&four_policies(folder.path()));
    let runs = window.state().diagnosis().expect("a result").runs.clone();
    let names = ["A", "B", "C", "D"];
    assert!(says(&window, "Result folder four: tiny-rope"));
    assert_eq!(runs.len(), 4);
    for (name, run) in names.into_iter().zip(&runs) {
        // The verdicts, the heads, and the legend of the curves.
        assert!(window.query_all_by_label(&format!("{name}  {}", run.policy)).count() >= 1, "{name}");
        window.get_by_role_and_label(Role::Button, name);
        assert!(says(&window, &format!("{name} {} (", run.policy)), "{name}");
    }
    window.get_by_role_and_label(Role::Button, "of D");
    window.get_by_role_and_label(Role::Button, "D").click();
    window.key_press(eframe::egui::Key::ArrowDown);
    window.run_steps(3);
    window.get_by_label_contains("logit excess at unseen distances, D: ");
    for tab in ["Map A", "Features", "Theory"] {
        open(&mut window, tab);
        for (name, run) in names.into_iter().zip(&runs) {
            let label = format!("{name}  {}", run.policy);
            assert!(window.query_all_by_label(&label).count() >= 2, "{tab}: {name}");
        }
    }
    for name in names {
        window.get_by_label(&format!("Attention map of {name}"));
    }
}

#[test]
fn the_parameters_of_another_model_are_not_those_of_the_one_on_screen() {
    let mut window = after_run(&["--tokens", "600"]);
    window.get_by_label("B window");
    click(&mut window, "Open model…");
    type_into(&mut window, "Path of the model", "another");
    click(&mut window, "Use it");
    assert!(says(&window, STALE) && says(&window, "(model"));
    assert!(window.query_by_label("B window").is_none(), "nobody knows the defaults of a model not loaded");
}
