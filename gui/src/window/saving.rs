//! How the window is left is written while it is open, too: a process that is killed has no last moment.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eframe::egui::Context;

use crate::memory::Memory;
use crate::task::Task;
use crate::theme;

/// Time between two looks at whether there is something new to keep.
const EVERY: Duration = Duration::from_secs(3);

/// What was written last, and what is being written.
pub struct Saving {
    task: Task<(PathBuf, Memory), ()>,
    written: Option<Memory>,
    looked: Option<Instant>,
    touched: bool,
}

impl Default for Saving {
    fn default() -> Self {
        Self { task: Task::newest("memory of the window"), written: None, looked: None, touched: true }
    }
}

impl Saving {
    /// Something may be otherwise than it was written.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    /// Why it could not be written the last time.
    pub fn failure(&self) -> Option<&str> {
        self.task.failure()
    }

    /// Writes how the window is, at most once in a while, and only where something may be new.
    pub fn save(&mut self, ctx: &Context, path: &Path, memory: impl FnOnce() -> Memory) {
        self.task.poll();
        if !self.touched {
            return;
        }
        if let Some(left) = self.looked.and_then(|looked| EVERY.checked_sub(looked.elapsed())) {
            return ctx.request_repaint_after(left);
        }
        self.looked = Some(Instant::now());
        if self.task.is_running() {
            return;
        }
        self.touched = false;
        let memory = memory();
        if self.written.as_ref() != Some(&memory) {
            self.written = Some(memory.clone());
            let request = (path.to_owned(), memory);
            self.task.ask(request, theme::wake(ctx), |(path, memory), _| Ok(memory.write(&path)?));
        }
    }
}
