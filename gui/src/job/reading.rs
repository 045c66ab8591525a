//! Reading: loads the model, and has all policies read the text while it is still being tokenized.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lm_infinite::diagnose::Live;
use lm_infinite::evaluate::{PIECE, ReferenceWindows, Segments};
use lm_infinite::machine;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::Decoder;
use lm_infinite::text::Text;

use super::bounded;
use super::orders::Orders;
use super::tokenizing::{NAME, Told, tokenize};
use super::update::Update;
use crate::inputs::{Inputs, is_small};
use crate::model;
use crate::pace::{self, Pace};
use crate::settings::Settings;
use crate::task::Worker;
use crate::text_tokens::{State, TextTokens};

/// Seed of the draws, that of `diagnose` where none is given.
const SEED: u64 = 0;

/// Tokens between two looks at what the window wants. These are the pieces of `diagnose`, so that the numbers are the same.
const CHUNK: usize = PIECE;

/// A piece of a chunk of a large model may take this long before what the window wants is looked at. Large models are read in
/// smaller pieces: their numbers differ from those of `diagnose` by rounding.
const PATIENCE: Duration = Duration::from_millis(50);

/// A diagnosis on the way may cost this share of the time.
const DIAGNOSIS_SHARE: u32 = 4;

/// Tokenizing is this long ahead of reading: most texts are whole by then, and their length known.
const HEAD_START: Duration = Duration::from_millis(600);

/// Time between two looks at whether there are more tokens.
const LOOK: Duration = Duration::from_millis(2);

/// Reads what `settings` say, and sends what is known of it by and by.
pub fn run(settings: &Settings, orders: &Orders, worker: &Worker<Update>) -> anyhow::Result<()> {
    let phase = |words: &'static str| worker.report(|progress| progress.phase = words);
    phase("loading the model");
    let loaded = model::load(settings)?;
    let (settings, said) = bounded::readable(settings, &loaded.config);
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
    let needs = pace::bytes(decoder.config(), &policies, settings.tokens);
    worker.report(|progress| (progress.total, progress.needs) = (settings.tokens, Some(needs)));
    let inputs = Arc::new(Inputs {
        model: loaded.name,
        decoder,
        tokenizer: loaded.tokenizer,
        chat_template: loaded.chat_template,
        tokens: TextTokens::default(),
        policies,
        settings,
        notes: [loaded.notes, said].concat(),
        pace: Default::default(),
    });
    let repeat = inputs.settings.repeat.then_some(SEED);
    std::thread::scope(|scope| {
        let beside = std::thread::Builder::new().name(NAME.to_owned());
        let tokenizing = beside.spawn_scoped(scope, || tokenize(&text, repeat, &inputs, orders, worker))?;
        // Where reading ends, be it in a panic, nobody wants more tokens.
        let ends = Told(&inputs.tokens);
        let read = read(&inputs, orders, worker);
        drop(ends);
        let tokenized = tokenizing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        tokenized.and(read)
    })
}

/// Reads as many tokens as were asked for. A text that turns out to be shorter is read anew with its length, since where is
/// looked, and against what, depends on it: tokenizing takes a small part of the time of reading.
fn read(inputs: &Arc<Inputs>, orders: &Orders, worker: &Worker<Update>) -> anyhow::Result<()> {
    let (tokens, wanted) = (&inputs.tokens, inputs.settings.tokens as usize);
    let begin = Instant::now();
    while tokens.state() == State::Going && begin.elapsed() < HEAD_START && !worker.is_cancelled() {
        std::thread::sleep(LOOK);
    }
    loop {
        let length = match tokens.state() {
            State::Going => wanted,
            State::Ended => tokens.len(),
            State::Failed => return Ok(()),
        };
        if length < 2 {
            anyhow::bail!("text: it has {length} tokens; at least 2 are needed for one prediction");
        }
        if !read_of_length(length, inputs, orders, worker)? {
            return Ok(());
        }
    }
}

/// Reads a text of `length` tokens; true if it turned out to be shorter.
fn read_of_length(
    length: usize,
    inputs: &Arc<Inputs>,
    orders: &Orders,
    worker: &Worker<Update>,
) -> anyhow::Result<bool> {
    let (decoder, tokens, config) = (&inputs.decoder, &inputs.tokens, inputs.decoder.config());
    let phase = |words: &'static str| worker.report(|progress| progress.phase = words);
    let update = |live: &mut Live| -> anyhow::Result<Update> {
        let sample = tokens.sample();
        live.set_documents(sample.documents);
        let mut diagnosis = live.diagnosis()?;
        diagnosis.repeated_from = sample.repeated_from;
        diagnosis.notes = [inputs.notes.clone(), sample.notes].concat();
        Ok(Update { diagnosis: Arc::new(diagnosis), inputs: inputs.clone() })
    };
    let text = |range: Range<usize>| tokens.range(range);
    let mut live = Live::of_length(&inputs.model, decoder.clone(), length, inputs.policies.clone())?;
    // The same text in windows of the training length, always a little ahead of the policies.
    let windows = ReferenceWindows::of(config, length as u64);
    let bos = inputs.tokenizer.bos().filter(|_| inputs.tokenizer.adds_bos());
    let mut reference = Segments::of_length(decoder, length, bos, windows);
    let ahead = usize::try_from(windows.length).unwrap_or(length);
    let needs = pace::bytes(config, &inputs.policies, length as u64);
    worker.report(|progress| {
        (progress.done, progress.total, progress.needs) = (0, length as u64, Some(needs));
    });
    phase("the policies read the text");
    let small = is_small(decoder);
    let (mut worked, mut looked, mut piece) = (Duration::ZERO, Duration::ZERO, CHUNK);
    let mut tokenizing = tokens.state() == State::Going;
    let held = || worker.is_cancelled() || orders.is_stopped();
    while live.position() < length {
        let stopped = || {
            if live.position() > 0 {
                // It has to arrive: nothing else comes for now.
                worker.send(update(&mut live)?);
            }
            Ok(())
        };
        if !orders.may_go_on(worker, stopped)? {
            break;
        }
        let from = live.position();
        // A stop may have come in the middle of a chunk: the next one ends where it would have.
        let end = (from / CHUNK + 1) * CHUNK;
        if tokens.state() == State::Ended && tokens.len() < length {
            return Ok(true);
        }
        if !wait_for(length.min(end.saturating_add(ahead)), tokens, &held) {
            if orders.is_stopped() && !worker.is_cancelled() {
                continue;
            }
            if worker.is_cancelled() || tokens.state() == State::Failed {
                break;
            }
            return Ok(true);
        }
        let start = Instant::now();
        while reference.told() < end && !held() {
            let Some(losses) = reference.next_of(&text) else { break };
            live.extend_reference(&losses?);
        }
        while live.position() < end.min(length) && !held() {
            let start = Instant::now();
            let position = live.position();
            live.read(&text(position..length.min(position + piece.min(end - position))))?;
            let slow = !small && start.elapsed() > PATIENCE;
            piece = if slow { (piece / 2).max(8) } else { (piece * 2).min(CHUNK) };
        }
        let (took, position) = (start.elapsed(), live.position() as u64);
        worked += took;
        let beside = tokens.state() == State::Going;
        let left = inputs.paced(|pace| {
            if tokenizing && !beside {
                // What was read beside it took longer.
                *pace = Pace::default();
            }
            pace.record(config, &inputs.policies, from as u64, position, took);
            pace.seconds(config, &inputs.policies, position, length as u64)
        });
        tokenizing = beside;
        // Diagnoses on the way take their share.
        let shares = (worked + looked).as_secs_f64() / worked.as_secs_f64();
        let left = left.map(|left| left * shares);
        worker.report(|progress| {
            (progress.done, progress.left, progress.memory) = (position, left, machine::rss_bytes());
            progress.per_second = position as f64 / worked.as_secs_f64();
        });
        if looked * DIAGNOSIS_SHARE <= worked || orders.is_paused() {
            let start = Instant::now();
            let newest = update(&mut live)?;
            looked += start.elapsed();
            worker.offer(newest);
        }
    }
    if live.position() == length {
        // What was read of the text is known a moment after its last token.
        while tokens.state() == State::Going && !worker.is_cancelled() {
            std::thread::sleep(LOOK);
        }
    }
    phase(if worker.is_cancelled() { "stopped" } else { "finished" });
    if live.position() > 0 {
        // The last one has to arrive: it waits until the window has taken the one before.
        worker.send(update(&mut live)?);
    }
    Ok(false)
}

/// Waits until so many tokens are known; false if they will not be, or nobody wants more now.
fn wait_for(count: usize, tokens: &TextTokens, held: &dyn Fn() -> bool) -> bool {
    while tokens.len() < count {
        if held() || tokens.state() != State::Going {
            // The last tokens come before the end is told.
            return tokens.len() >= count && !held();
        }
        std::thread::sleep(LOOK);
    }
    true
}
