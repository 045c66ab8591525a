//! What a run is told while it reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::update::Update;
use crate::task::Worker;

/// Time between two looks at what it is told.
const LOOK: Duration = Duration::from_millis(10);

/// What the run is told.
#[derive(Default)]
pub struct Orders {
    paused: AtomicBool,
    stopped: AtomicBool,
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

    /// Ends for now, with all its state: it can be resumed.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Goes on after a pause or a stop.
    pub fn resume(&self) {
        self.set_paused(false);
        self.stopped.store(false, Ordering::Relaxed);
    }

    /// Whether it has been stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// One more chunk while paused.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits while paused or stopped, and calls `stopped` when it begins to wait for the end of a stop; false if the run has to
    /// end.
    pub(super) fn may_go_on(
        &self,
        worker: &Worker<Update>,
        mut stopped: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let mut told = false;
        while !worker.is_cancelled() && (self.is_paused() || self.is_stopped()) {
            if self.is_stopped() {
                if !std::mem::replace(&mut told, true) {
                    stopped()?;
                }
            } else if self.take_step() {
                return Ok(true);
            }
            std::thread::sleep(LOOK);
        }
        Ok(!worker.is_cancelled())
    }

    fn take_step(&self) -> bool {
        self.steps.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |steps| steps.checked_sub(1)).is_ok()
    }

    /// Waits while stopped.
    pub(super) fn wait_out_stop(&self, worker: &Worker<Update>) {
        while self.is_stopped() && !worker.is_cancelled() {
            std::thread::sleep(LOOK);
        }
    }
}
