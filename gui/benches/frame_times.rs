//! How long the window takes: the first result after the first frame; then frames, drawing excluded: `logic`, `ui` and
//! tessellation, in every tab, once with a long run loaded while another streams beside it, and once with the window's own run
//! streaming. `cargo bench -p lm-infinite-gui [-- TOKENS]`, 1M by default.
//!
//! The long run is of the embedded model under four policies with a window, so that it can be read in minutes; what a frame
//! costs depends on the length of the result, not on the policy. What streams reads as long a text under vanilla and the fix.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use eframe::App;
use eframe::egui::{Context, Event, Key, Modifiers, Pos2, RawInput, Rect, pos2, vec2};
use lm_infinite::checkpoint;
use lm_infinite::diagnose::Live;
use lm_infinite::hub::{Cache, DEFAULT_MODEL};
use lm_infinite::policy::{PolicySpec, parse_length};
use lm_infinite::results::{ResultFolder, RunInfo, Source};
use lm_infinite::session::Decoder;
use lm_infinite::{corpus, text};
use lm_infinite_gui::args::Args;
use lm_infinite_gui::job::{Job, Progress};
use lm_infinite_gui::tab::Tab;
use lm_infinite_gui::theme;
use lm_infinite_gui::window::Window;

/// Frames that are timed in every tab.
const PER_TAB: usize = 200;
/// Frames after which something is wrong.
const MOST: usize = 20_000;
/// A frame of a screen at 60 Hz.
const BUDGET: Duration = Duration::from_millis(16);
/// Of the making of the long run; what is read by then is the length that is told.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tokens read between two looks at the clock.
const CHUNK: usize = 4096;
/// Keys of the tabs.
const NUMBERS: [Key; 10] = [
    Key::Num1,
    Key::Num2,
    Key::Num3,
    Key::Num4,
    Key::Num5,
    Key::Num6,
    Key::Num7,
    Key::Num8,
    Key::Num9,
    Key::Num0,
];

fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = parse_length(&wanted.unwrap_or_else(|| "1M".into())).map_err(anyhow::Error::msg)?;
    let first = first_result()?;
    println!("first result {:.2} s after the first frame", first.as_secs_f64());
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let (tokens, reached) = long_run(wanted, &run)?;
    let loaded = loaded_while_another_streams(&run, wanted)?;
    report(&format!("a run over {tokens} tokens ({reached} read) loaded, another streaming"), loaded);
    report(&format!("a run over {wanted} tokens streaming"), streaming(wanted)?);
    Ok(())
}

/// From the first frame to the first result, with nothing asked for.
fn first_result() -> anyhow::Result<Duration> {
    let mut screen = Screen::new(&["lm-infinite-gui"])?;
    screen.draw(Vec::new());
    let start = Instant::now();
    while screen.window.diagnosis().is_none() {
        anyhow::ensure!(start.elapsed() < PATIENCE, "no result: {:?}", screen.window.progress());
        std::thread::sleep(Duration::from_millis(5));
        screen.draw(Vec::new());
    }
    Ok(start.elapsed())
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let in_time = times.iter().filter(|time| **time < BUDGET).count() as f64 / times.len() as f64;
    println!(
        "{what}: {} frames, median {:.2} ms, 99th percentile {:.2} ms, longest {:.2} ms, {:.2} % under {} ms",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        100.0 * in_time,
        BUDGET.as_millis()
    );
}

/// Makes a result folder of a run over `wanted` tokens; returns the length of the text and how much of it was read.
fn long_run(wanted: u64, folder: &Path) -> anyhow::Result<(usize, usize)> {
    let loaded = checkpoint::load(DEFAULT_MODEL, &Cache::open()?)?;
    let trained = loaded.config.trained_length;
    let sample = corpus::tokens(&text::Text::embedded(), &loaded.tokenizer, Some(wanted), Some(0))?;
    let tokens: Arc<[u32]> = sample.tokens.into();
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights)?);
    let policies =
        ["window", "lm-infinite", "lambda", "streaming-llm"].map(|name| PolicySpec::parse(name, trained));
    let policies: Vec<_> = policies.into_iter().collect::<Result<_, _>>()?;
    // What the loss is held against costs as much again, and no frame looks at how it came about.
    let reference = vec![2.0; tokens.len().saturating_sub(1)];
    let mut live = Live::new(&loaded.name, decoder, tokens.clone(), reference, policies.clone())?;
    let start = Instant::now();
    while live.position() < live.len() && start.elapsed() < PATIENCE {
        live.step(CHUNK)?;
    }
    let diagnosis = live.diagnosis()?;
    let source = |name: &str| Source { name: name.to_owned(), sha256: None };
    let specs = policies.into_iter().map(|spec| (spec.label, spec.policy));
    let info = RunInfo::new(
        vec!["frame_times".to_owned()],
        source(&loaded.name),
        source("embedded text"),
        tokens.len() as u64,
        specs,
        0,
    );
    ResultFolder::write(folder, &diagnosis, &info)?;
    Ok((tokens.len(), live.position()))
}

/// Frames of a loaded run in every tab, while a run of its own reads `tokens` tokens and asks for repaints.
fn loaded_while_another_streams(folder: &Path, tokens: u64) -> anyhow::Result<Vec<Duration>> {
    let mut screen = Screen::new(&["lm-infinite-gui", &folder.display().to_string()])?;
    let settings = Args::try_parse_from(["lm-infinite-gui", "--tokens", &tokens.to_string()])?.settings()?;
    let mut other = Job::start(settings, theme::wake(&screen.ctx));
    screen.frames(|_| {
        // Taken as the window takes it.
        drop(other.newest());
        other.progress()
    })
}

/// Frames in every tab, while the window itself reads `tokens` tokens.
fn streaming(tokens: u64) -> anyhow::Result<Vec<Duration>> {
    let mut screen = Screen::new(&["lm-infinite-gui", "--tokens", &tokens.to_string()])?;
    screen.frames(|window| window.progress().cloned().unwrap_or_default())
}

/// A window without a screen.
struct Screen {
    window: Window,
    ctx: Context,
    frame: eframe::Frame,
    drawn: usize,
}

impl Screen {
    fn new(arguments: &[&str]) -> anyhow::Result<Self> {
        let window = Window::new(&Args::try_parse_from(arguments)?)?;
        let ctx = Context::default();
        ctx.enable_accesskit();
        Ok(Self { window, ctx, frame: eframe::Frame::_new_kittest(), drawn: 0 })
    }

    /// One frame; returns how long it took.
    fn draw(&mut self, events: Vec<Event>) -> Duration {
        let Self { window, ctx, frame, drawn } = self;
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, vec2(1280.0, 860.0)));
        let time = Some(*drawn as f64 / 60.0);
        let input = RawInput { screen_rect, time, events, ..RawInput::default() };
        *drawn += 1;
        let start = Instant::now();
        let output = ctx.run_ui(input, |ui| {
            window.logic(&ui.ctx().clone(), frame);
            window.ui(ui, frame);
        });
        std::hint::black_box(ctx.tessellate(output.shapes, output.pixels_per_point));
        start.elapsed()
    }

    /// Times of [`PER_TAB`] frames in every tab while `streams` says that tokens are being read: the pointer moves over
    /// everything, and arrow keys choose heads.
    fn frames(&mut self, mut streams: impl FnMut(&Window) -> Progress) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        for _ in 0..MOST {
            let tab = times.len() / PER_TAB;
            if tab == Tab::ALL.len() {
                return Ok(times);
            }
            let mut events = events(self.drawn);
            if times.len() % PER_TAB == 0 {
                events.extend([true, false].map(|pressed| key(NUMBERS[tab], pressed)));
            }
            let time = self.draw(events);
            let progress = streams(&self.window);
            if progress.position > 0 && !progress.finished && self.window.diagnosis().is_some() {
                times.push(time);
            }
            // The rest of the frame belongs to the run.
            std::thread::sleep(BUDGET.saturating_sub(time));
        }
        anyhow::bail!("it does not stream: {:?}", streams(&self.window))
    }
}

fn key(key: Key, pressed: bool) -> Event {
    Event::Key { key, physical_key: None, pressed, repeat: false, modifiers: Modifiers::NONE }
}

/// The pointer wanders over the window, and another head is chosen every half second.
fn events(number: usize) -> Vec<Event> {
    let (x, y) = (number as f32 * 0.037, number as f32 * 0.023);
    let mut events = vec![Event::PointerMoved(pos2(640.0 + 620.0 * x.sin(), 430.0 + 420.0 * y.sin()))];
    if number % 30 == 29 {
        let arrow = if number % 60 == 29 { Key::ArrowDown } else { Key::ArrowRight };
        events.extend([true, false].map(|pressed| key(arrow, pressed)));
    }
    events
}
