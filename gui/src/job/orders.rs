//! What a run is told while it reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::update::Update;
use crate::task::Worker;

/// What the run is told.
#[derive(Default)]
pub struct Orders {
    paused: AtomicBool,
    steps: AtomicU64,
}

impl Orders {
    /// Waits, or goes on.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Whether it waits.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// One more chunk while paused.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits while paused; false if the run has to end.
    pub(super) fn may_go_on(&self, worker: &Worker<Update>) -> bool {
        while !worker.is_cancelled() && self.is_paused() {
            let step =
                self.steps.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |steps| steps.checked_sub(1));
            if step.is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        !worker.is_cancelled()
    }
}
