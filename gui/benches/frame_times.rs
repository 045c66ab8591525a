//! What the window takes: the first result after the first frame; memory of four long runs; then frames, drawing excluded: `logic`,
//! `ui` and tessellation, with four runs loaded while another streams beside them, once tab by tab and once with all tiles on screen,
//! with the window's own run streaming, and while the cursor of a short run is played. `cargo bench -p lm-infinite-gui [-- TOKENS [FOLDER [FILE]]]`, 1M by default; FOLDER is a
//! result folder of so many tokens, made where there is none, and FILE gets the numbers as JSON. With `replay` in place of TOKENS the
//! last of these alone.
//!
//! The long run is of the embedded model under four policies with a window, so that it can be read in minutes; what a frame costs
//! depends on the length of the result, not on the policy. It is opened four times: four runs of four policies. What streams reads as
//! long a text under vanilla and the fix.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use eframe::App;
use eframe::egui::accesskit::{Node, TreeUpdate};
use eframe::egui::{Context, Event, Key, Modifiers, Pos2, RawInput, Rect, Vec2, pos2, vec2};
use lm_infinite::checkpoint;
use lm_infinite::diagnose::Live;
use lm_infinite::hub::{Cache, DEFAULT_MODEL};
use lm_infinite::policy::{PolicySpec, parse_length};
use lm_infinite::results::{ResultFolder, RunInfo, Source};
use lm_infinite::session::Decoder;
use lm_infinite::{corpus, machine, text};
use lm_infinite_gui::args::Args;
use lm_infinite_gui::job::{Job, Progress};
use lm_infinite_gui::memory::Memory;
use lm_infinite_gui::tab::Tab;
use lm_infinite_gui::theme;
use lm_infinite_gui::window::Window;

/// Frames that are timed in every tab.
const PER_TAB: usize = 100;
/// Frames after which something is wrong.
const MOST: usize = 20_000;
/// A frame of a screen at 60 Hz.
const BUDGET: Duration = Duration::from_millis(16);
/// For a result, and for the making of the long run; what is read by then is the length that is told.
const PATIENCE: Duration = Duration::from_secs(120);
const MAKING: Duration = Duration::from_secs(1200);
/// Tokens read between two looks at the clock.
const CHUNK: usize = 4096;
/// Runs that are loaded.
const LOADED: usize = 4;
/// Tokens of the run whose cursor is played, and frames before that in which what it shows comes to rest.
const PLAYED: &str = "4096";
const RESTS: usize = 300;
/// A usual screen, and a large one.
const USUAL: Vec2 = vec2(1280.0, 860.0);
const LARGE: Vec2 = vec2(1920.0, 1080.0);

fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let first = arguments.next().unwrap_or_else(|| "1M".into());
    if first == "replay" {
        return replay().map(drop);
    }
    let wanted = parse_length(&first).map_err(anyhow::Error::msg)?;
    let scratch = tempfile::tempdir()?;
    let run = arguments.next().map_or_else(|| scratch.path().join("run"), PathBuf::from);
    let file = arguments.next();
    let first = first_result()?.as_secs_f64();
    println!("first result {first:.2} s after the first frame");
    if !run.join("run.json").is_file() {
        long_run(wanted, &run)?;
    }
    let mut screen = Screen::new(&["lm-infinite-gui", &run.display().to_string()], USUAL, None)?;
    let before = screen.after_frames(2);
    screen.load(&run, LOADED)?;
    let bytes = screen.after_frames(30).saturating_sub(before);
    println!("{LOADED} runs over {wanted} tokens take {:.0} MB", bytes as f64 / 1e6);
    let tabs = beside_another(&mut screen, wanted)?;
    let tabs =
        report(&format!("{LOADED} runs over {wanted} tokens loaded, another streaming, tab by tab"), tabs);
    drop(screen);
    let mut screen = Screen::new(&["lm-infinite-gui", &run.display().to_string()], LARGE, Some(all_tiles()))?;
    screen.load(&run, LOADED)?;
    let tiles = beside_another(&mut screen, wanted)?;
    let tiles = report("the same, all tiles on screen", tiles);
    drop(screen);
    let own = report(&format!("a run over {wanted} tokens streaming, tab by tab"), streaming(wanted)?);
    let replay = replay()?;
    if let Some(file) = file {
        let numbers = serde_json::json!({
            "tokens": wanted,
            "first_result_seconds": first,
            "memory_bytes": bytes,
            "tab_by_tab": tabs,
            "all_tiles": tiles,
            "streaming": own,
            "replay": replay,
            "processor": machine::processor(),
        });
        std::fs::write(file, format!("{numbers:#}\n"))?;
    }
    Ok(())
}

/// All tiles beside each other.
fn all_tiles() -> serde_json::Value {
    let row = |tabs: &[&str]| {
        let tiles: Vec<_> = tabs.iter().map(|tab| serde_json::json!([1.0, { "tile": tab }])).collect();
        serde_json::json!([1.0, { "row": tiles }])
    };
    let rows = [
        row(&["Curves", "Map", "MapB", "Heads"]),
        row(&["Text", "AllMaps", "Causes"]),
        row(&["Features", "Generate", "Theory"]),
    ];
    serde_json::json!({ "column": rows })
}

/// From the first frame to the first result, with nothing asked for.
fn first_result() -> anyhow::Result<Duration> {
    let mut screen = Screen::new(&["lm-infinite-gui"], USUAL, None)?;
    screen.draw(Vec::new());
    let start = Instant::now();
    while screen.window.diagnosis().is_none() {
        anyhow::ensure!(start.elapsed() < PATIENCE, "no result: {:?}", screen.window.progress());
        std::thread::sleep(Duration::from_millis(5));
        screen.draw(Vec::new());
    }
    Ok(start.elapsed())
}

fn report(what: &str, mut times: Vec<Duration>) -> serde_json::Value {
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
    serde_json::json!({
        "frames": times.len(),
        "median_ms": at(0.5),
        "p99_ms": at(0.99),
        "longest_ms": at(1.0),
        "in_time": in_time,
    })
}

/// Makes a result folder of a run over `wanted` tokens.
fn long_run(wanted: u64, folder: &Path) -> anyhow::Result<()> {
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
    while live.position() < live.len() && start.elapsed() < MAKING {
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
    println!("the long run has {} of {} tokens", live.position(), tokens.len());
    Ok(())
}

/// Frames of what is loaded, while a run of its own reads `tokens` tokens and asks for repaints.
fn beside_another(screen: &mut Screen, tokens: u64) -> anyhow::Result<Vec<Duration>> {
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
    let mut screen = Screen::new(&["lm-infinite-gui", "--tokens", &tokens.to_string()], USUAL, None)?;
    screen.frames(|window| window.progress().cloned().unwrap_or_default())
}

/// The cursor of a short run is played from its first token to its last, all tiles on screen: how many frames a second are made where
/// a screen asks for 60, how many where nothing waits for a screen, in how many the cursor has moved, and in how many every row of
/// attention in the timeline is that of the cursor.
fn replay() -> anyhow::Result<serde_json::Value> {
    let mut screen = Screen::new(&["lm-infinite-gui", "--tokens", PLAYED], LARGE, Some(all_tiles()))?;
    let begin = Instant::now();
    while !screen.window.progress().is_some_and(|progress| progress.finished) {
        anyhow::ensure!(begin.elapsed() < PATIENCE, "no result: {:?}", screen.window.progress());
        std::thread::sleep(Duration::from_millis(5));
        screen.draw(Vec::new());
    }
    for _ in 0..RESTS {
        let time = screen.draw(Vec::new());
        std::thread::sleep(BUDGET.saturating_sub(time));
    }
    // From here on the cursor moves by the clock.
    let begin = Instant::now();
    screen.clock = Some((screen.drawn as f64 / 60.0, begin));
    screen.draw([true, false].map(|pressed| key(Key::P, pressed)).into());
    let (mut times, mut steps, mut right, mut last) = (Vec::new(), 0, 0, None);
    let begin = Instant::now();
    loop {
        anyhow::ensure!(begin.elapsed() < PATIENCE, "it does not come to the end");
        let time = screen.draw(Vec::new());
        let Some((cursor, rows, playing)) = screen.played() else { anyhow::bail!("there is no cursor") };
        if !playing {
            break;
        }
        times.push(time);
        steps += usize::from(last != Some(cursor));
        right += usize::from(!rows.is_empty() && rows.iter().all(|&row| row == cursor));
        last = Some(cursor);
        std::thread::sleep(Duration::from_secs_f64(1.0 / 60.0).saturating_sub(time));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let frames = times.len() as f64;
    let alone = frames / times.iter().sum::<Duration>().as_secs_f64();
    let mut numbers = report(&format!("the cursor of {PLAYED} tokens is played, all tiles on screen"), times);
    println!(
        "{seconds:.1} s, {:.1} frames a second on a screen of 60 Hz, {alone:.0} without one, {:.1} steps of the cursor a second, rows of the \
         cursor in {right} of {frames} frames",
        frames / seconds,
        steps as f64 / seconds
    );
    numbers["seconds"] = seconds.into();
    numbers["frames_per_second"] = (frames / seconds).into();
    numbers["frames_per_second_alone"] = alone.into();
    numbers["steps_per_second"] = (steps as f64 / seconds).into();
    numbers["rows_of_the_cursor"] = (right as f64 / frames).into();
    Ok(numbers)
}

/// A window without a screen.
struct Screen {
    window: Window,
    ctx: Context,
    frame: eframe::Frame,
    drawn: usize,
    /// The time of the frames is that of the clock since then, after so many seconds.
    clock: Option<(f64, Instant)>,
    /// What a screen reader was told of the last frame.
    told: Option<TreeUpdate>,
    size: Vec2,
    /// Where the window keeps how it is left.
    _kept: tempfile::TempDir,
}

impl Screen {
    /// A window of a size, with tiles arranged as it ships or as they were left.
    fn new(arguments: &[&str], size: Vec2, tiles: Option<serde_json::Value>) -> anyhow::Result<Self> {
        let mut window = Window::new(&Args::try_parse_from(arguments)?)?;
        let kept = tempfile::tempdir()?;
        let memory = Memory { tiles, tour_offered: true, ..Memory::default() };
        window.remember(kept.path().join("window.json"), memory, None, true);
        let ctx = Context::default();
        ctx.enable_accesskit();
        let frame = eframe::Frame::_new_kittest();
        Ok(Self { window, ctx, frame, drawn: 0, clock: None, told: None, size, _kept: kept })
    }

    /// Draws until so many runs of a folder are there: what is on screen makes way, and is kept.
    fn load(&mut self, folder: &Path, runs: usize) -> anyhow::Result<()> {
        for run in 1..=runs {
            // The first one is opened by the command line.
            if run > 1 {
                self.window.open(folder, &self.ctx);
            }
            let start = Instant::now();
            while self.window.runs() < run {
                anyhow::ensure!(start.elapsed() < PATIENCE, "run {run} is not read");
                std::thread::sleep(Duration::from_millis(5));
                self.draw(Vec::new());
            }
        }
        Ok(())
    }

    /// Draws so many frames; returns the memory of the program, in bytes.
    fn after_frames(&mut self, frames: usize) -> u64 {
        for _ in 0..frames {
            self.draw(Vec::new());
        }
        machine::rss_bytes().unwrap_or(0)
    }

    /// One frame; returns how long it took.
    fn draw(&mut self, events: Vec<Event>) -> Duration {
        let Self { window, ctx, frame, drawn, clock, told, size, .. } = self;
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, *size));
        let time = clock.map_or(*drawn as f64 / 60.0, |(from, since)| from + since.elapsed().as_secs_f64());
        let time = Some(time);
        let input = RawInput { screen_rect, time, events, ..RawInput::default() };
        *drawn += 1;
        let start = Instant::now();
        let output = ctx.run_ui(input, |ui| {
            window.logic(&ui.ctx().clone(), frame);
            window.ui(ui, frame);
        });
        std::hint::black_box(ctx.tessellate(output.shapes, output.pixels_per_point));
        *told = output.platform_output.accesskit_update;
        start.elapsed()
    }

    /// The cursor, the tokens whose rows of attention the timeline has, and whether the cursor is played, as a screen reader is told.
    fn played(&self) -> Option<(u64, Vec<u64>, bool)> {
        let nodes = &self.told.as_ref()?.nodes;
        let called = |name: &str| nodes.iter().map(|(_, node)| node).find(|node| node.label() == Some(name));
        let cursor = called("Cursor").and_then(Node::numeric_value)? as u64;
        let row = |node: &Node| {
            let words = node.label()?.strip_prefix("Under ")?.strip_suffix(" attends to")?;
            words.split_once(" token ")?.1.replace(',', "").parse().ok()
        };
        let rows = nodes.iter().filter_map(|(_, node)| row(node)).collect();
        Some((cursor, rows, called("Stop playing").is_some()))
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
                events.extend([true, false].map(|pressed| key(Tab::ALL[tab].key(), pressed)));
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
