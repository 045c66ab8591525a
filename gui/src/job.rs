//! A run: both policies read the text on a thread of their own, are told to pause, step and stop, and send a diagnosis whenever
//! there is a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lm_infinite::checkpoint;
use lm_infinite::corpus;
use lm_infinite::diagnose::{Diagnosis, Live};
use lm_infinite::evaluate::{PIECE, ReferenceWindows, Segments};
use lm_infinite::hub::Cache;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::Decoder;
use lm_infinite::text::Text;

use crate::inputs::{Inputs, is_small};
use crate::settings::Settings;
use crate::task::{self, Task, Wake, Worker};

/// Seed of the draws, that of `diagnose` where none is given.
const SEED: u64 = 0;

/// Tokens between two looks at what the window wants. These are the pieces of `diagnose`, so that the numbers are the same.
const CHUNK: usize = PIECE;

/// A piece of a chunk of a large model may take this long before what the window wants is looked at. Large models are read in
/// smaller pieces: their numbers differ from those of `diagnose` by rounding.
const PATIENCE: Duration = Duration::from_millis(50);

/// A diagnosis on the way may cost this share of the time.
const DIAGNOSIS_SHARE: u32 = 4;

/// How far the run is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// In words.
    pub phase: &'static str,
    /// Tokens read by both policies.
    pub position: u64,
    /// Tokens to read.
    pub total: u64,
    /// Tokens per second, both policies together taken as one.
    pub tokens_per_second: f64,
    /// Nothing more will come.
    pub finished: bool,
    /// Why it ended early.
    pub failure: Option<String>,
}

impl Progress {
    /// Seconds until the end, if they can be told.
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.total.saturating_sub(self.position) as f64;
        (self.tokens_per_second > 0.0 && !self.finished).then(|| left / self.tokens_per_second)
    }
}

/// What the run sends: a diagnosis, and what it is of.
#[derive(Clone)]
pub struct Update {
    /// What is known so far.
    pub diagnosis: Arc<Diagnosis>,
    /// What was read.
    pub inputs: Arc<Inputs>,
}

/// What the run is told.
#[derive(Default)]
pub struct Orders {
    paused: AtomicBool,
    steps: AtomicU64,
}

/// A running or finished run. Dropping it stops it.
pub struct Job {
    task: Task<Settings, Update>,
    orders: Arc<Orders>,
}

impl Job {
    /// Begins to read what `settings` say. `wake` is called when there is something new.
    pub fn start(settings: Settings, wake: Wake) -> Self {
        Self::begin(settings, wake, |settings, orders, worker| run(&settings, orders, worker))
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
        Self { task, orders }
    }

    /// Takes what has come: the newest update since the last call, if there is one.
    pub fn newest(&mut self) -> Option<Update> {
        self.task.poll();
        self.task.take().map(|(_, update)| update)
    }

    /// How far it is, as of the last [`Self::newest`]. A run that was told to stop is over for who asks, though its thread may
    /// need a moment more.
    pub fn progress(&self) -> Progress {
        let task::Progress { phase, done, total, per_second } = self.task.progress().clone();
        Progress {
            phase: if self.task.is_cancelled() { "stopped" } else { phase },
            position: done,
            total,
            tokens_per_second: per_second,
            finished: !self.task.is_running(),
            failure: self.task.failure().map(str::to_owned),
        }
    }

    /// What it was begun with.
    pub fn settings(&self) -> Option<&Settings> {
        self.task.request()
    }

    /// Waits, or goes on.
    pub fn set_paused(&self, paused: bool) {
        self.orders.paused.store(paused, Ordering::Relaxed);
    }

    /// Whether it waits.
    pub fn is_paused(&self) -> bool {
        self.orders.paused.load(Ordering::Relaxed)
    }

    /// One more chunk while paused.
    pub fn step(&self) {
        self.orders.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends after the piece that is being read. What was sent stays valid.
    pub fn stop(&self) {
        self.task.cancel();
    }
}

impl Orders {
    /// Waits while paused; false if the run has to end.
    fn may_go_on(&self, worker: &Worker<Update>) -> bool {
        while !worker.is_cancelled() && self.paused.load(Ordering::Relaxed) {
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

fn run(settings: &Settings, orders: &Orders, worker: &Worker<Update>) -> anyhow::Result<()> {
    let phase = |words: &'static str| worker.report(|progress| progress.phase = words);
    phase("loading the model");
    let loaded = checkpoint::load(&settings.model, &Cache::open()?)?;
    let trained = loaded.config.trained_length;
    let spec = |text: &String| PolicySpec::parse(text.trim(), trained);
    let policies = settings.policies.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights)?);
    phase("reading the text");
    let text = match (&settings.pasted, settings.text.trim()) {
        (Some(pasted), _) => Text::from_memory(settings.text_name(), pasted.clone()),
        (None, "") => Text::embedded(),
        (None, path) => Text::open(&[path])?,
    };
    if worker.is_cancelled() {
        return Ok(());
    }
    let repeat = settings.repeat.then_some(SEED);
    let sample = corpus::tokens(&text, &loaded.tokenizer, Some(settings.tokens), repeat)?;
    let tokens: Arc<[u32]> = sample.tokens.into();
    worker.report(|progress| progress.total = tokens.len() as u64);
    let bos = loaded.tokenizer.bos().filter(|_| loaded.tokenizer.adds_bos());
    let small = is_small(&decoder);
    let inputs = Arc::new(Inputs {
        model: loaded.name,
        decoder: decoder.clone(),
        tokenizer: loaded.tokenizer,
        tokens: tokens.clone(),
        policies: policies.clone(),
        settings: settings.clone(),
        read: sample.read,
        repeated_from: sample.repeated_from,
        notes: [loaded.notes, sample.notes].concat(),
    });
    let update = |live: &Live| -> anyhow::Result<Update> {
        let mut diagnosis = live.diagnosis()?;
        (diagnosis.repeated_from, diagnosis.notes) = (inputs.repeated_from, inputs.notes.clone());
        Ok(Update { diagnosis: Arc::new(diagnosis), inputs: inputs.clone() })
    };
    let mut live = Live::new(&inputs.model, decoder.clone(), tokens.clone(), Vec::new(), policies)?;
    // The same text in windows of the training length, always a little ahead of the policies.
    let mut reference =
        Segments::new(&decoder, &tokens, bos, ReferenceWindows::of(decoder.config(), tokens.len() as u64));
    phase("both policies read the text");
    let (mut worked, mut looked, mut piece) = (Duration::ZERO, Duration::ZERO, CHUNK);
    while live.position() < live.len() && orders.may_go_on(worker) {
        let start = Instant::now();
        let end = live.position() + CHUNK;
        while reference.told() < end && !worker.is_cancelled() {
            let Some(losses) = reference.next() else { break };
            live.extend_reference(&losses?);
        }
        while live.position() < end.min(live.len()) && !worker.is_cancelled() {
            let start = Instant::now();
            live.step(piece.min(end - live.position()))?;
            let slow = !small && start.elapsed() > PATIENCE;
            piece = if slow { (piece / 2).max(8) } else { (piece * 2).min(CHUNK) };
        }
        worked += start.elapsed();
        let position = live.position() as u64;
        worker.report(|progress| {
            progress.done = position;
            progress.per_second = position as f64 / worked.as_secs_f64();
        });
        if looked * DIAGNOSIS_SHARE <= worked || orders.paused.load(Ordering::Relaxed) {
            let start = Instant::now();
            let newest = update(&live)?;
            looked += start.elapsed();
            worker.offer(newest);
        }
    }
    phase(if worker.is_cancelled() { "stopped" } else { "finished" });
    // The last one has to arrive: it waits until the window has taken the one before.
    worker.send(update(&live)?);
    Ok(())
}
