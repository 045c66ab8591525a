//! A run: the policies read the text on a thread of their own, are told to pause, step and stop, and send a diagnosis whenever
//! there is a new one.

mod bounded;
mod orders;
mod reading;
mod tokenizing;
mod update;

use std::sync::{Arc, OnceLock};

pub use self::orders::Orders;
pub use self::update::Update;

use lm_infinite::Error;

use crate::settings::Settings;
use crate::task::{self, Task, Wake, Worker};

/// How far the run is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// In words.
    pub phase: &'static str,
    /// Tokens read by every policy.
    pub position: u64,
    /// Tokens to read.
    pub total: u64,
    /// Tokens that are known: reading begins before all are.
    pub tokenized: u64,
    /// Tokens per second, all policies together taken as one.
    pub tokens_per_second: f64,
    /// Seconds until the end, if they can be told.
    pub left: Option<f64>,
    /// Bytes that the run will take beside the model, about.
    pub needs: Option<u64>,
    /// Resident memory of the program, in bytes, where the system tells.
    pub memory: Option<u64>,
    /// Nothing more will come, unless it is resumed.
    pub finished: bool,
    /// Why it ended early.
    pub failure: Option<String>,
    /// The field of the model's file that nothing reads, if that is why: the model can be read without it.
    pub unread_field: Option<String>,
}

impl Progress {
    /// Seconds until the end, if they can be told.
    pub fn seconds_left(&self) -> Option<f64> {
        self.left.filter(|_| !self.finished)
    }
}

/// A running or finished run. Dropping it stops it.
pub struct Job {
    task: Task<Settings, Update>,
    orders: Arc<Orders>,
    /// What it reads, which is not what was asked for where the model cannot follow that.
    read: Option<Settings>,
    /// The field that the model was refused for.
    unread_field: Arc<OnceLock<String>>,
}

impl Job {
    /// Begins to read what `settings` say. `wake` is called when there is something new.
    pub fn start(settings: Settings, wake: Wake) -> Self {
        let unread_field = Arc::<OnceLock<String>>::default();
        let told = unread_field.clone();
        let job = Self::begin(settings, wake, move |settings, orders, worker| {
            reading::run(&settings, orders, worker).inspect_err(|error| {
                if let Some(Error::Runtime(error)) = error.downcast_ref()
                    && let Some(name) = error.unread_field()
                {
                    told.get_or_init(|| name.to_owned());
                }
            })
        });
        Self { unread_field, ..job }
    }

    /// Begins with other work than [`Self::start`]'s.
    pub(crate) fn begin<W>(settings: Settings, wake: Wake, work: W) -> Self
    where
        W: FnOnce(Settings, &Orders, &Worker<Update>) -> anyhow::Result<()> + Send + 'static,
    {
        let orders = Arc::<Orders>::default();
        let mut task = Task::newest("run");
        let told = orders.clone();
        // One update waits at most: what the window has not taken yet is stale when the next one is there.
        task.ask(settings, wake, move |settings, worker| work(settings, &told, worker));
        Self { task, orders, read: None, unread_field: Default::default() }
    }

    /// Takes what has come: the newest update since the last call, if there is one.
    pub fn newest(&mut self) -> Option<Update> {
        self.task.poll();
        let (_, update) = self.task.take()?;
        self.read.get_or_insert_with(|| update.inputs.settings.clone());
        Some(update)
    }

    /// How far it is, as of the last [`Self::newest`]. A run that was told to stop is over for who asks, though its thread may
    /// need a moment more.
    pub fn progress(&self) -> Progress {
        let task::Progress { phase, done, total, ready, per_second, left, needs, memory } =
            self.task.progress().clone();
        Progress {
            phase: if self.is_stopped() { "stopped" } else { phase },
            position: done,
            total,
            tokenized: ready,
            tokens_per_second: per_second,
            left,
            needs,
            memory,
            finished: !self.task.is_running() || self.is_stopped(),
            failure: self.task.failure().map(str::to_owned),
            unread_field: self.unread_field.get().filter(|_| self.task.failure().is_some()).cloned(),
        }
    }

    /// What it was begun with.
    pub fn settings(&self) -> Option<&Settings> {
        self.task.request()
    }

    /// Whether it reads what `settings` say.
    pub fn is_of(&self, settings: &Settings) -> bool {
        self.settings() == Some(settings) || self.read.as_ref().is_some_and(|read| read.reads_as(settings))
    }

    /// Waits, or goes on.
    pub fn set_paused(&self, paused: bool) {
        self.orders.set_paused(paused);
    }

    /// Whether it waits.
    pub fn is_paused(&self) -> bool {
        self.orders.is_paused()
    }

    /// One more chunk while paused.
    pub fn step(&self) {
        self.orders.step();
    }

    /// Ends after the piece that is being read, and after the one that is being tokenized. What was sent stays valid, and
    /// [`Self::resume`] goes on from there.
    pub fn stop(&self) {
        if self.task.is_running() {
            self.orders.stop();
        }
    }

    /// Whether it was stopped before its end.
    pub fn is_stopped(&self) -> bool {
        self.orders.is_stopped() && self.task.is_running()
    }

    /// Goes on after a pause or a stop.
    pub fn resume(&self) {
        self.orders.resume();
    }
}
