//! Causes, live: the fix in single layers and heads, in those that the reader mends, and in a small set that suffices. A thread of
//! its own measures one place after the other, and looks in between at what the reader wants.

mod found;
mod orders;
mod work;

use std::sync::Arc;

pub use self::found::{Found, Mended, Mends, Request};

use self::found::Message;
use self::orders::Orders;
use crate::inputs::Inputs;
use crate::task::{Progress, Task, Wake};

/// Messages that wait for the window; then the thread waits.
const WAITING: usize = 64;

/// The newest look into a run.
pub struct Mending {
    task: Task<Request, Found, Message>,
    orders: Arc<Orders>,
}

impl Default for Mending {
    fn default() -> Self {
        let gather = |found: Option<Found>, message| match (found, message) {
            (Some(mut found), message) => {
                found.take(message);
                found
            }
            (None, Message::Begun(found)) => *found,
            (None, _) => unreachable!("the factorial comes first"),
        };
        Self { task: Task::gathering("causes", WAITING, gather), orders: Arc::default() }
    }
}

impl Mending {
    /// Begins.
    pub fn start(&mut self, request: Request, wake: Wake) {
        self.orders = Arc::default();
        let orders = self.orders.clone();
        self.task.ask(request, wake, move |request, worker| work::run(&request, &orders, worker));
    }

    /// Mends these places.
    pub fn mend(&self, places: Mends) {
        self.orders.mend(places);
    }

    /// Searches a small set, once every place was measured.
    pub fn search(&self) {
        self.orders.search();
    }

    /// Ends the search of a small set; the thread goes on with what else is wanted.
    pub fn stop_search(&self) {
        self.orders.stop_search();
    }

    /// Sets that were tried, while a small one is searched.
    pub fn searching(&self) -> Option<u64> {
        self.progress().filter(|progress| progress.phase == work::SEARCHING).map(|progress| progress.done)
    }

    /// Ends; what was found stays.
    pub fn stop(&self) {
        self.task.cancel();
    }

    /// Takes what came.
    pub fn poll(&mut self) {
        self.task.poll();
    }

    /// Lets go of what is of other inputs.
    pub fn keep_only(&mut self, inputs: Option<&Arc<Inputs>>) {
        let same = |of: &Request| inputs.is_some_and(|inputs| Arc::ptr_eq(&of.inputs, inputs));
        if self.task.request().is_some_and(|of| !same(of)) {
            self.task.forget();
            self.task.keep_answer_if(|_| false);
        }
    }

    /// What is known.
    pub fn found(&self) -> Option<&Found> {
        self.task.answer().map(|(_, found)| found)
    }

    /// What is being done, while the thread is there: it waits for orders when all is done.
    pub fn progress(&self) -> Option<&Progress> {
        self.task.is_running().then(|| self.task.progress())
    }

    /// Why it ended.
    pub fn failure(&self) -> Option<&str> {
        self.task.failure()
    }
}
