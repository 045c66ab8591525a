//! The first result, timed. A file of its own, so that no other test takes the processor meanwhile.

use std::time::{Duration, Instant};

use clap::Parser;
use egui_kittest::Harness;
use lm_infinite_gui::args::Args;
use lm_infinite_gui::window::Window;

#[test]
fn the_first_result_comes_within_two_seconds() {
    let args = Args::try_parse_from(["lm-infinite-gui"]).expect("arguments");
    let window = Window::new(&args).expect("a window");
    let mut window = Harness::builder().with_size([1280.0, 860.0]).build_eframe(move |_| window);
    window.step();
    let start = Instant::now();
    while window.state().diagnosis().is_none() {
        assert!(start.elapsed() < Duration::from_secs(2), "no result yet");
        window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
}
