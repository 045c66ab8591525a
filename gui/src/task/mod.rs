//! One piece of work on a thread of its own, for every job of the window: it reports progress, sends answers over a bounded
//! channel, can be cancelled, and tells in words why it failed, a panic included. The last good answer stays until there is a
//! better one.
//!
//! The owner calls [`Task::ask`] with a request, and [`Task::poll`] before every frame. Every request has a channel of its own:
//! an answer to an earlier request can never be taken for an answer to this one. Nothing here knows the toolkit.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Called by the worker whenever there is something new: it asks for a frame.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How far a worker is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// What it is doing, in words.
    pub phase: &'static str,
    /// Tokens that are done.
    pub done: u64,
    /// Tokens to do; 0 while that is not known.
    pub total: u64,
    /// Tokens that are ready to be worked on, where they come by and by.
    pub ready: u64,
    /// Tokens per second.
    pub per_second: f64,
    /// Seconds until the end, if they can be told.
    pub left: Option<f64>,
    /// Bytes that the work will take, about, where that is known.
    pub needs: Option<u64>,
    /// Resident memory of the program, in bytes, where it was asked for.
    pub memory: Option<u64>,
}

impl Progress {
    /// Between 0 and 1.
    pub fn share(&self) -> f32 {
        self.done as f32 / self.total.max(1) as f32
    }
}

/// Answers one request (`Q`) after the other, with an answer (`A`) that is made of the messages (`M`) of a worker. A new request
/// ends the work on the one before. Dropping it ends the work too; the thread is not waited for, since a step of a large model
/// takes longer than a frame: it holds all that it needs, and ends at its next look at [`Worker`].
pub struct Task<Q, A, M = A> {
    name: &'static str,
    /// Messages that wait at most; then the worker waits.
    capacity: usize,
    gather: fn(Option<A>, M) -> A,
    request: Option<Q>,
    link: Option<Link<M>>,
    /// The next message begins an answer to another request.
    fresh: bool,
    answer: Option<(Q, A)>,
    failure: Option<String>,
    progress: Progress,
    /// The last request was cancelled before its end, which has come.
    cancelled: bool,
}

/// What both threads know.
#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    progress: Mutex<Progress>,
    failure: Mutex<Option<String>>,
}

/// The owner's end. Dropping it cancels, and closes the channel.
struct Link<M> {
    shared: Arc<Shared>,
    messages: Receiver<M>,
}

impl<M> Drop for Link<M> {
    fn drop(&mut self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }
}

/// The worker's end.
pub struct Worker<M> {
    shared: Arc<Shared>,
    sender: SyncSender<M>,
    wake: Wake,
}

impl<M> Clone for Worker<M> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), sender: self.sender.clone(), wake: self.wake.clone() }
    }
}

impl<M> Worker<M> {
    /// Whether nobody wants more.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Relaxed)
    }

    /// Sends; waits while the channel is full. False if nobody wants more.
    pub fn send(&self, message: M) -> bool {
        let sent = self.sender.send(message).is_ok();
        (self.wake)();
        sent && !self.is_cancelled()
    }

    /// Sends unless the channel is full: for answers that the next one replaces. False if nobody wants more.
    pub fn offer(&self, message: M) -> bool {
        let sent = self.sender.try_send(message);
        (self.wake)();
        !matches!(sent, Err(TrySendError::Disconnected(_))) && !self.is_cancelled()
    }

    /// Tells how far it is.
    pub fn report(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut lock(&self.shared.progress));
        (self.wake)();
    }
}

impl<Q, A> Task<Q, A> {
    /// A task whose newest message is the answer. `name` is that of its threads.
    pub fn newest(name: &'static str) -> Self {
        Self::gathering(name, 1, |_, message| message)
    }
}

impl<Q, A, M> Task<Q, A, M> {
    /// A task whose answer is gathered from messages, of which `capacity` wait at most.
    pub fn gathering(name: &'static str, capacity: usize, gather: fn(Option<A>, M) -> A) -> Self {
        let (request, link, answer, failure) = (None, None, None, None);
        Self {
            name,
            capacity,
            gather,
            request,
            link,
            fresh: true,
            answer,
            failure,
            progress: Progress::default(),
            cancelled: false,
        }
    }

    /// The request that was asked last.
    pub fn request(&self) -> Option<&Q> {
        self.request.as_ref()
    }

    /// The last good answer, with the request that it answers: perhaps an earlier one than [`Self::request`].
    pub fn answer(&self) -> Option<(&Q, &A)> {
        self.answer.as_ref().map(|(request, answer)| (request, answer))
    }

    /// Takes the answer away.
    pub fn take(&mut self) -> Option<(Q, A)> {
        self.answer.take()
    }

    /// Keeps the answer only if this holds of the request that it answers.
    pub fn keep_answer_if(&mut self, holds: impl FnOnce(&Q) -> bool) {
        self.answer = self.answer.take().filter(|(request, _)| holds(request));
    }

    /// Why the last request has no answer, or no more of it.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// How far the last request is, or was at its end.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether more will come: work that was cancelled is over for who asks, though its thread may need a moment more.
    pub fn is_running(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.shared.cancelled.load(Ordering::Relaxed))
    }

    /// Whether the last request was cancelled before its end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled || self.link.as_ref().is_some_and(|link| link.shared.cancelled.load(Ordering::Relaxed))
    }

    /// Ends the work. What the worker still sends is taken: it answers the request.
    pub fn cancel(&self) {
        if let Some(link) = &self.link {
            link.shared.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the work and forgets the request; the last answer stays, and nothing more is taken.
    pub fn forget(&mut self) {
        (self.link, self.request, self.failure) = (None, None, None);
        (self.progress, self.cancelled) = (Progress::default(), false);
    }

    /// Takes what the worker has sent; true if there was something new.
    pub fn poll(&mut self) -> bool
    where
        Q: Clone,
    {
        let Some(link) = &self.link else { return false };
        let mut new = false;
        let ended = loop {
            match link.messages.try_recv() {
                Ok(message) => {
                    new = true;
                    let before = self.answer.take().filter(|_| !self.fresh);
                    self.fresh = false;
                    let answer = (self.gather)(before.map(|(_, answer)| answer), message);
                    self.answer = self.request.clone().map(|request| (request, answer));
                }
                Err(TryRecvError::Empty) => break false,
                Err(TryRecvError::Disconnected) => break true,
            }
        };
        self.progress = lock(&link.shared.progress).clone();
        if ended {
            self.failure = lock(&link.shared.failure).take();
            self.cancelled = link.shared.cancelled.load(Ordering::Relaxed);
            self.link = None;
        }
        new || ended
    }
}

impl<Q, A, M> Task<Q, A, M>
where
    Q: Clone + Send + 'static,
    M: Send + 'static,
{
    /// Begins to answer `request` with `work`; the work on an earlier request ends, and what it sends is dropped. A failure,
    /// that of the system to give a thread included, is told by [`Self::failure`].
    pub fn ask<W>(&mut self, request: Q, wake: Wake, work: W)
    where
        W: FnOnce(Q, &Worker<M>) -> anyhow::Result<()> + Send + 'static,
    {
        self.forget();
        self.request = Some(request.clone());
        self.fresh = true;
        let shared = Arc::<Shared>::default();
        let (sender, messages) = sync_channel(self.capacity);
        let worker = Worker { shared: shared.clone(), sender, wake: wake.clone() };
        let name = self.name;
        let thread = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(request, &worker)));
            *lock(&worker.shared.failure) = match outcome {
                Ok(outcome) => outcome.err().map(|failure| format!("{failure:#}")),
                Err(panic) => Some(panic_words(name, panic.as_ref())),
            };
            // The channel closes after the failure is known.
            drop(worker);
            wake();
        };
        match std::thread::Builder::new().name(name.to_owned()).spawn(thread) {
            Ok(_detached) => self.link = Some(Link { shared, messages }),
            Err(failure) => self.failure = Some(format!("The system gives no thread: {failure}")),
        }
    }
}

fn panic_words(name: &str, panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("The worker `{name}` panicked: {}", text.unwrap_or("it left no message"))
}

/// What a panic left half done is a progress or a failure, and both are whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
