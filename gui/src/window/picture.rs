//! The picture of the window that the command line asks for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use eframe::egui::{ColorImage, Context, ViewportCommand};

use super::state::State;
use crate::task::Task;
use crate::theme;

/// Frames between the last result and the picture, so that everything is laid out.
const SETTLING: u32 = 4;

/// Takes one picture when everything is drawn, writes it, and closes the window.
pub struct Picture {
    /// `None` where no picture is wanted, or not any more.
    path: Option<PathBuf>,
    settled: u32,
    taken: Arc<Mutex<Option<Arc<ColorImage>>>>,
    writing: Task<PathBuf, ()>,
    /// Why the program has to leave with an error.
    failure: Arc<Mutex<Option<String>>>,
}

impl Picture {
    /// One at `path`, if one is wanted.
    pub fn new(path: Option<PathBuf>) -> Self {
        let (taken, failure) = (Arc::default(), Arc::default());
        Self { path, settled: 0, taken, writing: Task::newest("picture"), failure }
    }

    /// Whether one is wanted.
    pub fn is_wanted(&self) -> bool {
        self.path.is_some()
    }

    /// Why the program has to leave with an error, once it is known.
    pub fn failure(&self) -> Arc<Mutex<Option<String>>> {
        self.failure.clone()
    }

    /// The program leaves with this, unless there is another reason.
    pub fn fail(&self, reason: String) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// Before a frame: takes the picture once everything is drawn.
    pub fn update(&mut self, ctx: &Context, state: &State) {
        let Some(path) = self.path.clone() else { return };
        if self.writing.poll() && !self.writing.is_running() {
            let failure = self.writing.failure().map(str::to_owned);
            return self.leave(ctx, failure);
        }
        if self.writing.is_running() {
            return;
        }
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let finished = state.progress.as_ref().is_none_or(|progress| progress.finished);
        let failure = state.progress.as_ref().and_then(|progress| progress.failure.clone());
        let failure = failure.or_else(|| state.opening.failure().map(str::to_owned));
        if let Some(image) = taken {
            self.writing.ask(path, theme::wake(ctx), move |path, _| write(&path, &image));
        } else if finished && failure.is_some() {
            self.leave(ctx, failure);
        } else if finished && state.diagnosis.is_some() {
            let pane = |tab| state.pane(tab).is_some_and(|pane| pane.is_busy());
            let busy = state.owners().into_iter().any(pane);
            self.settled = if busy { 0 } else { self.settled + 1 };
            if self.settled == SETTLING {
                let (taken, ctx) = (self.taken.clone(), ctx.clone());
                ctx.clone().request_screenshot(move |image| {
                    *taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(image);
                    ctx.request_repaint();
                });
            }
            ctx.request_repaint();
        }
    }

    fn leave(&mut self, ctx: &Context, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        self.path = None;
        ctx.send_viewport_cmd(ViewportCommand::Close);
    }
}

fn write(path: &std::path::Path, image: &ColorImage) -> anyhow::Result<()> {
    let (width, height) = (image.width() as u32, image.height() as u32);
    image::save_buffer(path, image.as_raw(), width, height, image::ColorType::Rgba8)
        .with_context(|| path.display().to_string())
}
