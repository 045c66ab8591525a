//! The window of lm-infinite: two ways of attending over the same text, live, head by head.
//!
//! [`window`] holds what is on screen and obeys [`command`]s between frames; [`views`] draw, and change nothing; whatever takes
//! long, or reads a file, is a [`task`]. Nothing is measured here: all numbers come from [`lm_infinite::diagnose`].

pub mod args;
pub mod command;
pub mod command_line;
pub mod export;
pub mod files;
pub mod generation;
pub mod help;
pub mod inputs;
pub mod job;
pub mod memory;
pub mod mending;
pub mod model;
pub mod notes;
pub mod opening;
pub mod pace;
pub mod pulling;
pub mod recent;
pub mod reveal;
pub mod settings;
pub mod steps;
pub mod tab;
pub mod task;
pub mod text_tokens;
pub mod theme;
pub mod tour;
pub mod views;
pub mod window;
pub mod window_query;
pub mod words;
pub mod workbench;

use std::ffi::OsString;

use anyhow::Context;
use clap::Parser;
use eframe::egui;

/// Opens the window and returns when it is closed. `--help` and misuse print and leave.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let nothing_asked = arguments.len() <= 1;
    let args = match args::Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(message) => {
            message.print().context("writing to the terminal")?;
            return if message.use_stderr() { Err(anyhow::anyhow!("see --help")) } else { Ok(()) };
        }
    };
    display(|name| std::env::var_os(name)).map_err(anyhow::Error::msg)?;
    // A picture is the same whoever takes it.
    let path = memory::Memory::path().filter(|_| args.screenshot.is_none());
    let (memory, damage) = path.as_deref().map(memory::Memory::read).unwrap_or_default();
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("lm-infinite")
            .with_app_id("lm-infinite")
            .with_inner_size(memory.usable_size().unwrap_or([1280.0, 860.0]))
            .with_min_inner_size([760.0, 520.0]),
        ..Default::default()
    };
    lm_infinite_analysis::lapack_on_calling_thread();
    let mut window = window::Window::new(&args)?;
    if let Some(path) = path {
        window.remember(path, memory, damage, nothing_asked);
    }
    let failure = window.failure();
    eframe::run_native("lm-infinite", options, Box::new(move |_| Ok(Box::new(window))))
        .map_err(|e| anyhow::anyhow!("the display shows no window; check DISPLAY or WAYLAND_DISPLAY: {e}"))?;
    let failure = failure.lock().map_or(None, |mut failure| failure.take());
    failure.map_or(Ok(()), |reason| Err(anyhow::anyhow!(reason)))
}

/// Says in words where the system shows no window.
fn display(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), &'static str> {
    let names = ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"];
    let set = names.into_iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()));
    if set || !cfg!(all(unix, not(target_vendor = "apple"))) {
        return Ok(());
    }
    Err("no display: set DISPLAY or WAYLAND_DISPLAY, or begin the window under `xvfb-run`; \
         `lm-infinite diagnose` measures the same without a window")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(unix, not(target_vendor = "apple")))]
    fn without_a_display_there_are_words() {
        let words = display(|_| None).expect_err("no display");
        assert!(words.starts_with("no display: set DISPLAY or WAYLAND_DISPLAY"));
        assert!(display(|_| Some(OsString::new())).is_err(), "empty is not set");
        assert!(display(|name| (name == "DISPLAY").then(|| ":0".into())).is_ok());
        assert!(display(|name| (name == "WAYLAND_DISPLAY").then(|| "wayland-0".into())).is_ok());
    }
}
