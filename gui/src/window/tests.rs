//! What becomes of the window when a worker panics: the words, and what was on screen.

use std::time::{Duration, Instant};

use clap::Parser;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use super::*;

type Screen = Harness<'static, Window>;

fn screen(arguments: &[&str]) -> Screen {
    let args = Args::try_parse_from([&["lm-infinite-gui"], arguments].concat()).expect("arguments");
    let window = Window::new(&args).expect("a window");
    Harness::builder().with_size([1280.0, 860.0]).build_eframe(move |_| window)
}

fn wait_for(screen: &mut Screen, what: &str, reached: impl Fn(&Screen) -> bool) {
    let start = Instant::now();
    while !reached(screen) {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        screen.step();
        std::thread::sleep(Duration::from_millis(5));
    }
    screen.run_steps(3);
}

fn finished(screen: &Screen) -> bool {
    screen.state().progress().is_some_and(|progress| progress.finished)
}

#[test]
fn a_run_that_panics_is_told_in_words_and_what_was_on_screen_stays() {
    let mut screen = screen(&["--tokens", "600"]);
    wait_for(&mut screen, "the end", finished);
    let before = screen.state().state.diagnosis.clone().expect("a result");
    let (go, wait_for_it) = std::sync::mpsc::sync_channel::<()>(1);
    let wake = theme::wake(&screen.ctx);
    let settings = screen.state().state.settings.clone();
    screen.state_mut().state.job = Some(Job::begin(settings, wake, move |_, _, worker| {
        worker
            .report(|progress| *progress = crate::task::Progress { done: 7, total: 600, ..progress.clone() });
        wait_for_it.recv()?;
        panic!("index out of bounds: the length is 3");
    }));
    screen.run_steps(3);
    assert!(!finished(&screen), "it runs");
    screen.get_by_label("Run again");
    go.send(()).expect("it waits");
    wait_for(&mut screen, "the panic is noticed", finished);
    screen
        .get_by_label("The run ended early. The worker `run` panicked: index out of bounds: the length is 3");
    let after = screen.state().state.diagnosis.clone().expect("still there");
    assert!(Arc::ptr_eq(&before, &after));
    assert!(screen.query_all_by_label_contains("Loss by position").next().is_some());
    screen.get_by_label("A  vanilla");
    // The next run is one like any other.
    screen.get_by_label("Run").click();
    screen.run_steps(3);
    wait_for(&mut screen, "the end", finished);
    assert!(screen.query_by_label_contains("panicked").is_none());
    assert!(screen.state().progress().is_some_and(|progress| progress.position == 600));
}

#[test]
fn a_run_that_panics_before_any_result_is_told_in_words() {
    let mut screen = screen(&["--model", "another", "--tokens", "600"]);
    screen.run_steps(3);
    let wake = theme::wake(&screen.ctx);
    let settings = screen.state().state.settings.clone();
    screen.state_mut().state.job = Some(Job::begin(settings, wake, |_, _, _| panic!("at once")));
    wait_for(&mut screen, "the panic is noticed", finished);
    screen.get_by_label("The run ended early. The worker `run` panicked: at once");
    screen.get_by_label("No result yet. Press Run to read the text under every policy.");
}
