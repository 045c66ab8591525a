//! What the reader wants mended, told to the thread while it works.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::found::Mends;

/// Longest time without a look at whether anybody still wants something.
const LOOK: Duration = Duration::from_millis(300);

/// What is wanted now.
#[derive(Default)]
struct Wanted {
    mends: Option<Mends>,
    search: bool,
    /// The search that goes on is to end.
    no_search: bool,
}

/// What is wanted, and a bell.
#[derive(Default)]
pub struct Orders {
    wanted: Mutex<Wanted>,
    bell: Condvar,
}

impl Orders {
    /// These places; what was wanted before is not any more.
    pub fn mend(&self, places: Mends) {
        self.lock().mends = Some(places);
        self.bell.notify_all();
    }

    /// A small set.
    pub fn search(&self) {
        let mut wanted = self.lock();
        (wanted.search, wanted.no_search) = (true, false);
        drop(wanted);
        self.bell.notify_all();
    }

    /// No small set any more.
    pub fn stop_search(&self) {
        let mut wanted = self.lock();
        (wanted.search, wanted.no_search) = (false, true);
    }

    /// Whether a search may go on.
    pub fn may_search(&self) -> bool {
        !self.lock().no_search
    }

    /// Takes what is to be mended.
    pub fn take_mends(&self) -> Option<Mends> {
        self.lock().mends.take()
    }

    /// Takes whether a small set is wanted.
    pub fn take_search(&self) -> bool {
        std::mem::take(&mut self.lock().search)
    }

    /// Whether something is wanted.
    pub fn wants(&self) -> bool {
        let wanted = self.lock();
        wanted.mends.is_some() || wanted.search
    }

    /// Waits until something is wanted, but not for long.
    pub fn wait(&self) {
        let wanted = self.lock();
        if wanted.mends.is_none() && !wanted.search {
            drop(self.bell.wait_timeout(wanted, LOOK).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
