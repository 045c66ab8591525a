//! What makes the window a good guest: the tour, the keys, light and dark, and what it remembers.

use egui_kittest::kittest::Queryable;
use lm_infinite_gui::memory::Memory;
use lm_infinite_gui::window::Window;

use crate::common::{after_run, args, click, finished, says, shown, wait_for};

#[test]
fn the_tour_points_at_six_views_and_can_be_left() {
    let mut window = after_run(&["--tokens", "600"]);
    click(&mut window, "Tour");
    for step in 1..=6 {
        window.get_by_label(&format!("Tour, step {step} of 6"));
        if step == 2 {
            window.get_by_label("Back").click();
            window.run_steps(3);
            window.get_by_label("Tour, step 1 of 6");
            window.get_by_label("Next").click();
            window.run_steps(3);
        }
        window.get_by_label(if step < 6 { "Next" } else { "Done" }).click();
        window.run_steps(3);
    }
    assert!(window.query_by_label_contains("Tour, step").is_none());
    click(&mut window, "Tour");
    window.get_by_label("Skip").click();
    window.run_steps(3);
    assert!(window.query_by_label_contains("Tour, step").is_none());
}

#[test]
fn the_tour_says_numbers_of_the_run_on_screen() {
    let said = |policies: [&str; 2]| {
        let mut window = after_run(&["--tokens", "1500", "--policy", policies[0], "--policy", policies[1]]);
        click(&mut window, "Tour");
        let diagnosis = window.state().diagnosis().expect("a result").clone();
        let mut words = Vec::new();
        for step in 1..=6 {
            window.get_by_label(&format!("Tour, step {step} of 6"));
            let all = window.query_all_by_label_contains(" ").filter_map(|node| node.value());
            words.push(
                all.filter(|text| text.len() > 60 && !text.starts_with("The loss of"))
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
            window.get_by_label(if step < 6 { "Next" } else { "Done" }).click();
            window.run_steps(3);
        }
        (diagnosis, words)
    };
    let effect = |diagnosis: &lm_infinite::diagnose::Diagnosis, run: usize| {
        let effect = diagnosis.runs[run].loss.effect.expect("far beyond the training length").mean;
        format!("{effect:+.2} nats per token against the reference").replace('-', "\u{2212}")
    };
    let (diagnosis, words) = said(["vanilla", "lm-infinite"]);
    let onset = diagnosis.runs[0].loss.onset.expect("it breaks").at;
    assert!(words[0].contains(&format!(
        "The loss of A (vanilla) breaks from token {onset} on: {}",
        effect(&diagnosis, 0)
    )));
    assert!(words[1].contains(&diagnosis.runs[0].factors.logits.verdict.words));
    assert!(words[2].contains(&diagnosis.runs[0].factors.entropy.verdict.words));
    assert!(words[4].contains("the first 10 tokens and the 256 most recent ones"));
    assert!(words[5].contains(&effect(&diagnosis, 0)) && words[5].contains(&effect(&diagnosis, 1)));
    // What does not break is not said to.
    let (diagnosis, words) = said(["lm-infinite", "vanilla"]);
    assert!(!words[0].contains("breaks") && words[0].contains(&effect(&diagnosis, 0)), "{}", words[0]);
    assert!(words[4].contains("policy B is vanilla; it attends to every key, and caps no distance"));
}

#[test]
fn keys_are_listed_and_light_and_dark_are_a_press_apart() {
    let mut window = after_run(&["--tokens", "600"]);
    window.key_press(eframe::egui::Key::F1);
    window.run_steps(3);
    window.get_by_label("choose a head");
    window.key_press(eframe::egui::Key::Escape);
    window.run_steps(3);
    assert!(window.query_by_label("choose a head").is_none());
    click(&mut window, "Light");
    click(&mut window, "Dark");
}

#[test]
fn a_window_opens_as_it_was_left_and_offers_the_tour_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("window.json");
    let opened = |arguments: &[&str]| {
        let mut window = Window::new(&args(arguments)).expect("a window");
        let (memory, damage) = Memory::read(&path);
        window.remember(path.clone(), memory, damage, arguments.is_empty());
        shown(window)
    };
    let mut first = opened(&["--tokens", "600"]);
    wait_for(&mut first, "the end", finished);
    first.get_by_label("No, thanks").click();
    first.run_steps(3);
    crate::common::layout(&mut first, "Heads");
    first.get_by_role_and_label(eframe::egui::accesskit::Role::Button, "Theory").click();
    first.run_steps(3);
    click(&mut first, "Light");
    eframe::App::on_exit(first.state_mut(), None);

    let mut second = opened(&[]);
    wait_for(&mut second, "the end", finished);
    assert!(second.query_by_label("No, thanks").is_none());
    second.get_by_label_contains("Choose a head in the grid");
    second.get_by_label("Head grid");
    click(&mut second, "Dark");
    assert_eq!(second.state().diagnosis().map(|diagnosis| diagnosis.tokens), Some(600));

    // What is asked for goes first.
    let mut third = opened(&["--tokens", "700"]);
    wait_for(&mut third, "the end", finished);
    assert_eq!(third.state().diagnosis().map(|diagnosis| diagnosis.tokens), Some(700));
    assert!(third.query_by_label_contains("Choose a head in the grid").is_none());
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = |text: &str| {
        // A file for each: an earlier window, which is still open, may write its own at any time.
        let path = folder.path().join(format!("{}.json", text.len()));
        std::fs::write(&path, text).expect("written");
        let mut window = Window::new(&args(&[])).expect("a window");
        let (memory, damage) = Memory::read(&path);
        window.remember(path.clone(), memory, damage, true);
        let mut window = shown(window);
        window.run_steps(3);
        window
    };
    let twice = r#"{"tiles":{"row":[[1.0,{"tile":"Text"}],[1.0,{"tile":"Text"}]]},"tab":"Theory","tour_offered":true}"#;
    let window = opened(twice);
    assert!(
        says(&window, "The arrangement of tiles could not be restored")
            && says(&window, "Text is there twice")
    );
    assert_eq!(window.state().memory().tab.as_deref(), Some("Theory"), "the rest is kept");
    let window = opened("{\"dark\": tr");
    assert!(says(&window, "How the window was left could not be read"));
    let window = opened(r#"{"tour_offered":true}"#);
    assert!(!says(&window, "could not be"));
}

#[test]
fn settings_that_cannot_be_kept_are_told_in_the_window() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a file");
    std::fs::write(&file, "").expect("written");
    let mut window =
        lm_infinite_gui::window::Window::new(&crate::common::args(&["--tokens", "300"])).expect("a window");
    window.remember(file.join("window.json"), lm_infinite_gui::memory::Memory::default(), None, true);
    let mut window = crate::common::shown(window);
    crate::common::wait_for(&mut window, "words", |window| {
        crate::common::says(window, "the window's settings could not be kept in ")
    });
}

#[test]
fn a_text_that_was_pasted_is_not_kept_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut window = after_run(&["--tokens", "300"]);
    assert!(!window.state().memory().text_was_pasted);
    crate::common::answer(&mut window, "Paste…", "Pasted text", &"Once upon a time. ".repeat(100));
    let memory = window.state().memory();
    assert!(memory.text_was_pasted);
    let path = folder.path().join("window.json");
    Memory { tour_offered: true, ..memory }.write(&path).expect("written");
    let mut again = Window::new(&args(&[])).expect("a window");
    again.remember(path.clone(), Memory::read(&path).0, None, true);
    let mut again = shown(again);
    again.run_steps(3);
    let words = "The text was pasted, and such a text is not kept: this is embedded";
    assert!(says(&again, words));
    wait_for(&mut again, "the end", finished);
    click(&mut again, "Run");
    assert!(!says(&again, words), "the reader goes on with it");
}
