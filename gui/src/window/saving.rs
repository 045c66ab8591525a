//! How the window is left is written while it is open, too: a process that is killed has no last moment.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use eframe::egui::Context;

use super::Window;
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
}

impl Default for Saving {
    fn default() -> Self {
        Self { task: Task::newest("memory of the window"), written: None, looked: None }
    }
}

impl Window {
    /// Writes how the window is now, if that is new. Without a place nothing is written.
    pub(super) fn save(&mut self, ctx: &Context) {
        let Some(path) = self.memory_path.clone() else { return };
        self.saving.task.poll();
        if let Some(left) = self.saving.looked.and_then(|looked| EVERY.checked_sub(looked.elapsed())) {
            // A frame comes with the next thing that happens; what happened before it is written then.
            if self.saving.written.as_ref() != Some(&self.memory()) {
                ctx.request_repaint_after(left);
            }
            return;
        }
        self.saving.looked = Some(Instant::now());
        let memory = self.memory();
        if self.saving.task.is_running() || self.saving.written.as_ref() == Some(&memory) {
            return;
        }
        self.saving.written = Some(memory.clone());
        self.saving.task.ask((path, memory), theme::wake(ctx), |(path, memory), _| Ok(memory.write(&path)?));
    }
}
