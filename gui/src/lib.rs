//! The window of lm-infinite: two ways of attending over the same text, live, head by head.
//!
//! [`window`] holds what is on screen and reacts; [`job`] runs models on a thread of its own and sends diagnoses; [`views`]
//! draw. Nothing is measured here: all numbers come from [`lm_infinite::diagnose`].

pub mod args;
pub mod command;
pub mod export;
pub mod generation;
pub mod help;
pub mod job;
pub mod memory;
pub mod reread;
pub mod settings;
pub mod tab;
pub mod theme;
pub mod tour;
pub mod views;
pub mod window;

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
    // A picture is the same whoever takes it.
    let path = memory::Memory::path().filter(|_| args.screenshot.is_none());
    let memory = path.as_deref().map(memory::Memory::read).unwrap_or_default();
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("lm-infinite")
            .with_app_id("lm-infinite")
            .with_inner_size(memory.usable_size().unwrap_or([1280.0, 860.0]))
            .with_min_inner_size([760.0, 520.0]),
        ..Default::default()
    };
    let mut window = window::Window::new(&args)?;
    if let Some(path) = path {
        window.remember(path, memory, nothing_asked);
    }
    let failure = window.failure();
    eframe::run_native("lm-infinite", options, Box::new(move |_| Ok(Box::new(window))))
        .map_err(|e| anyhow::anyhow!("the window could not be opened: {e}"))?;
    let failure = failure.lock().map_or(None, |mut failure| failure.take());
    failure.map_or(Ok(()), |reason| Err(anyhow::anyhow!(reason)))
}
