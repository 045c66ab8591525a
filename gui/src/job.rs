//! A run on a thread of its own: it is told to pause, step and stop, and sends a diagnosis whenever there is a new one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eframe::egui;
use lm_infinite::checkpoint;
use lm_infinite::diagnose::{Diagnosis, Live};
use lm_infinite::evaluate::{PIECE, Segments};
use lm_infinite::hub::Cache;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::Decoder;
use lm_infinite::tokenizer::Tokenizer;
use lm_infinite::{corpus, text};

use crate::settings::Settings;

/// Tokens between two looks at what the window wants. These are the pieces of `diagnose`, so that the numbers are the same.
const CHUNK: usize = PIECE;

/// Models with more parameters in their blocks are read in smaller pieces: numbers differ from those of `diagnose` by rounding then.
const SMALL: u64 = 20_000_000;

/// A piece of a chunk of a large model may take this long before what the window wants is looked at.
const PATIENCE: Duration = Duration::from_millis(50);

/// A diagnosis on the way may cost this share of the time.
const DIAGNOSIS_SHARE: u32 = 4;

/// Whether a second of work goes far.
pub fn is_small(decoder: &Decoder) -> bool {
    decoder.config().block_parameters() <= SMALL
}

/// What the job is at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// In words.
    pub phase: String,
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

/// What a run reads, and with what: enough to measure more.
pub struct Inputs {
    /// Name of the model.
    pub model: String,
    /// The model.
    pub decoder: Arc<Decoder>,
    /// What makes its tokens.
    pub tokenizer: Tokenizer,
    /// The text.
    pub tokens: Arc<[u32]>,
    /// A and B.
    pub policies: Vec<PolicySpec>,
    /// What the run bar said.
    pub settings: Settings,
    /// The whole text, of which [`Self::tokens`] may be the beginning.
    pub text: Arc<str>,
}

/// What the job sends: a diagnosis, and what it is of.
#[derive(Clone)]
pub struct Update {
    /// What is known so far.
    pub diagnosis: Arc<Diagnosis>,
    /// What was read.
    pub inputs: Arc<Inputs>,
}

/// Shared with the thread.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    paused: AtomicBool,
    steps: AtomicU64,
    progress: Mutex<Progress>,
}

/// A running or finished run. Dropping it stops it.
pub struct Job {
    shared: Arc<Shared>,
    updates: Receiver<Update>,
    thread: Option<JoinHandle<()>>,
}

impl Job {
    /// Begins. `ctx` is asked to repaint when there is something new.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(settings: Settings, ctx: egui::Context) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        // One waits at most: what the window has not taken yet is stale when the next one is there.
        let (sender, updates) = sync_channel(1);
        let work = {
            let shared = shared.clone();
            move || {
                let outcome = run(&settings, &shared, &sender, &ctx);
                shared.update(|progress| {
                    progress.finished = true;
                    progress.failure = outcome.err().map(|failure| format!("{failure:#}"));
                });
                ctx.request_repaint();
            }
        };
        let thread = std::thread::Builder::new().name("run".into()).spawn(work)?;
        Ok(Self { shared, updates, thread: Some(thread) })
    }

    /// The newest since the last call.
    pub fn newest(&self) -> Option<Update> {
        self.updates.try_iter().last()
    }

    /// What it is at. A job that was told to stop is over for who asks, though its thread may need a moment more.
    pub fn progress(&self) -> Progress {
        let progress = self.shared.progress.lock();
        let mut progress =
            progress.map_or_else(|broken| broken.into_inner().clone(), |progress| progress.clone());
        if self.shared.stopped() && !progress.finished {
            (progress.finished, progress.phase) = (true, "stopped".to_owned());
        }
        progress
    }

    /// Waits, or goes on.
    pub fn set_paused(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Relaxed);
    }

    /// Whether it waits.
    pub fn is_paused(&self) -> bool {
        self.shared.paused.load(Ordering::Relaxed)
    }

    /// One more chunk while paused.
    pub fn step(&self) {
        self.shared.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends after the piece that is being read. What was sent stays valid.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Not waited for: a chunk of a large model may take longer than a frame. The thread holds all that it needs.
        self.stop();
        drop(self.thread.take());
    }
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Progress)) {
        if let Ok(mut progress) = self.progress.lock() {
            change(&mut progress);
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits while paused; false if the job has to end.
    fn may_go_on(&self) -> bool {
        while !self.stopped() && self.paused.load(Ordering::Relaxed) {
            let step =
                self.steps.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |steps| steps.checked_sub(1));
            if step.is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        !self.stopped()
    }
}

fn run(
    settings: &Settings,
    shared: &Shared,
    sender: &SyncSender<Update>,
    ctx: &egui::Context,
) -> anyhow::Result<()> {
    let phase = |words: &str| shared.update(|progress| progress.phase = words.to_owned());
    phase("loading the model");
    let loaded = checkpoint::load(&settings.model, &Cache::open()?)?;
    let trained = loaded.config.trained_length;
    let spec = |text: &String| PolicySpec::parse(text.trim(), trained);
    let policies = settings.policies.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights)?);
    phase("reading the text");
    let text: Arc<str> = match (&settings.pasted, settings.text.trim()) {
        (Some(pasted), _) => pasted.clone(),
        (None, "") => text::EMBEDDED_TEXT.into(),
        (None, path) => text::read_texts(&[path.to_owned()])?.into(),
    };
    if shared.stopped() {
        return Ok(());
    }
    let tokens: Arc<[u32]> = corpus::tokens(&text, &loaded.tokenizer, Some(settings.tokens), 0)?.into();
    shared.update(|progress| progress.total = tokens.len() as u64);
    let bos = loaded.tokenizer.bos().filter(|_| loaded.tokenizer.adds_bos());
    let small = is_small(&decoder);
    let inputs = Arc::new(Inputs {
        model: loaded.name,
        decoder: decoder.clone(),
        tokenizer: loaded.tokenizer,
        tokens: tokens.clone(),
        policies: policies.clone(),
        settings: settings.clone(),
        text,
    });
    let update = |live: &Live| -> anyhow::Result<Update> {
        Ok(Update { diagnosis: Arc::new(live.diagnosis()?), inputs: inputs.clone() })
    };
    let mut live = Live::new(&inputs.model, decoder.clone(), tokens.clone(), Vec::new(), policies)?;
    // The same text in pieces of the training length, always a little ahead of the policies.
    let mut usual = Segments::new(&decoder, &tokens, bos, trained);
    phase("both policies over the text");
    let (mut worked, mut looked, mut piece) = (Duration::ZERO, Duration::ZERO, CHUNK);
    while live.position() < live.len() && shared.may_go_on() {
        let start = Instant::now();
        let end = live.position() + CHUNK;
        while usual.told() < end && !shared.stopped() {
            let Some(losses) = usual.next() else { break };
            live.extend_reference(&losses?);
        }
        while live.position() < end.min(live.len()) && !shared.stopped() {
            let start = Instant::now();
            live.step(piece.min(end - live.position()))?;
            let slow = !small && start.elapsed() > PATIENCE;
            piece = if slow { (piece / 2).max(8) } else { (piece * 2).min(CHUNK) };
        }
        worked += start.elapsed();
        let position = live.position() as u64;
        shared.update(|progress| {
            progress.position = position;
            progress.tokens_per_second = position as f64 / worked.as_secs_f64();
        });
        ctx.request_repaint();
        if looked * DIAGNOSIS_SHARE <= worked || shared.paused.load(Ordering::Relaxed) {
            let start = Instant::now();
            let newest = update(&live)?;
            looked += start.elapsed();
            if let Err(TrySendError::Disconnected(_)) = sender.try_send(newest) {
                return Ok(());
            }
            ctx.request_repaint();
        }
    }
    phase(if shared.stopped() { "stopped" } else { "finished" });
    // The last one has to arrive: it waits until the window has taken the one before.
    let mut last = update(&live)?;
    while let Err(TrySendError::Full(back)) = sender.try_send(last) {
        ctx.request_repaint();
        std::thread::sleep(Duration::from_millis(5));
        last = back;
    }
    Ok(())
}
