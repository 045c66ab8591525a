//! How long the window takes for a frame, drawing excluded: `logic`, `ui` and tessellation, with a long run loaded and
//! another one streaming. `cargo bench -p lm-infinite-gui [-- TOKENS]`, 1M by default.
//!
//! The long run is of the embedded model under two policies with a window, so that it can be read in minutes; what a frame
//! costs depends on the length of the result, not on the policy. The stream reads the same text under vanilla and the fix.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use eframe::App;
use eframe::egui::accesskit::TreeUpdate;
use eframe::egui::{Context, Event, Key, Modifiers, PointerButton, Pos2, RawInput, Rect, pos2, vec2};
use lm_infinite::diagnose::Live;
use lm_infinite::hub::{Cache, DEFAULT_MODEL};
use lm_infinite::model::{self, Decoder};
use lm_infinite::policy::{PolicySpec, parse_length};
use lm_infinite::results::{self, RunInfo, Source};
use lm_infinite::{corpus, text};
use lm_infinite_gui::args::Args;
use lm_infinite_gui::job::Progress;
use lm_infinite_gui::window::Window;

/// Frames while tokens stream; before that there are those in which the long run is on screen and the other begins.
const STREAMED: usize = 400;
const MOST: usize = 10_000;
/// Length of the run that streams.
const STREAM: &str = "64k";
/// A frame of a screen at 60 Hz.
const BUDGET: Duration = Duration::from_millis(16);
/// Of the making of the long run; what is read by then is the length that is told.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tokens read between two looks at the clock.
const CHUNK: usize = 4096;

fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = parse_length(&wanted.unwrap_or_else(|| "1M".into())).map_err(anyhow::Error::msg)?;
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let (tokens, reached) = long_run(wanted, &run)?;
    let mut times = frames(&run)?;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let in_time = times.iter().filter(|time| **time < BUDGET).count() as f64 / times.len() as f64;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{} frames with a run over {tokens} tokens ({reached} read) loaded and another streaming: median {:.2} ms, \
         99th percentile {:.2} ms, longest {:.2} ms, {:.1} % under {} ms",
        times.len(),
        ms(at(0.5)),
        ms(at(0.99)),
        ms(at(1.0)),
        100.0 * in_time,
        BUDGET.as_millis()
    );
    let json = serde_json::json!({
        "frames": times.len(),
        "tokens": tokens,
        "tokens_read": reached,
        "median_ms": ms(at(0.5)),
        "p99_ms": ms(at(0.99)),
        "longest_ms": ms(at(1.0)),
        "share_under_16_ms": in_time,
    });
    println!("{json}");
    Ok(())
}

/// Makes a result folder of a run over `wanted` tokens; returns the length of the text and how much of it was read.
fn long_run(wanted: u64, folder: &std::path::Path) -> anyhow::Result<(usize, usize)> {
    let loaded = model::load(DEFAULT_MODEL, &Cache::open()?)?;
    let trained = loaded.config.trained_length;
    let tokens: Arc<[u32]> = corpus::tokens(text::EMBEDDED_TEXT, &loaded.tokenizer, Some(wanted), 0)?.into();
    let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights)?);
    let policies = ["window", "lm-infinite"].map(|name| PolicySpec::parse(name, trained));
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
    results::write(folder, &diagnosis, &info)?;
    Ok((tokens.len(), live.position()))
}

/// Times of frames, while the pointer moves over everything and arrow keys choose heads.
fn frames(folder: &std::path::Path) -> anyhow::Result<Vec<Duration>> {
    let folder = folder.display().to_string();
    let args = Args::try_parse_from(["lm-infinite-gui", &folder, "--tokens", STREAM])?;
    let mut window = Window::new(&args)?;
    let ctx = Context::default();
    ctx.enable_accesskit();
    let mut frame = eframe::Frame::_new_kittest();
    let screen = Rect::from_min_size(Pos2::ZERO, vec2(1280.0, 860.0));
    let mut times = Vec::new();
    let mut draw = |window: &mut Window, number: usize, events: Vec<Event>| {
        let input = RawInput {
            screen_rect: Some(screen),
            time: Some(number as f64 / 60.0),
            events,
            ..RawInput::default()
        };
        let start = Instant::now();
        let output = ctx.run_ui(input, |ui| {
            window.logic(&ui.ctx().clone(), &mut frame);
            window.ui(ui, &mut frame);
        });
        let triangles = ctx.tessellate(output.shapes, output.pixels_per_point);
        let time = start.elapsed();
        std::hint::black_box(triangles);
        (time, output.platform_output.accesskit_update)
    };
    let (_, tree) = draw(&mut window, 0, Vec::new());
    let run = tree.and_then(|tree| middle(&tree, "Run")).context("no button named Run")?;
    draw(&mut window, 1, vec![Event::PointerMoved(run), press(run, true)]);
    draw(&mut window, 2, vec![press(run, false)]);
    let mut streamed = 0;
    for number in 3..MOST {
        let (time, _) = draw(&mut window, number, events(number));
        times.push(time);
        // The rest of the frame belongs to the run.
        std::thread::sleep(BUDGET.saturating_sub(time));
        let streams = |progress: &Progress| progress.position > 0 && !progress.finished;
        streamed += usize::from(window.progress().is_some_and(streams));
        if streamed == STREAMED {
            break;
        }
    }
    anyhow::ensure!(streamed == STREAMED, "it does not stream: {:?}", window.progress());
    Ok(times)
}

fn press(pos: Pos2, pressed: bool) -> Event {
    Event::PointerButton { pos, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE }
}

/// The middle of the widget with this name.
fn middle(tree: &TreeUpdate, name: &str) -> Option<Pos2> {
    let named = |node: &eframe::egui::accesskit::Node| node.label() == Some(name);
    let bounds = tree.nodes.iter().find(|(_, node)| named(node))?.1.bounds()?;
    Some(pos2((bounds.x0 + bounds.x1) as f32 / 2.0, (bounds.y0 + bounds.y1) as f32 / 2.0))
}

/// The pointer wanders over the window, and another head is chosen every half second.
fn events(number: usize) -> Vec<Event> {
    let (x, y) = (number as f32 * 0.037, number as f32 * 0.023);
    let mut events = vec![Event::PointerMoved(pos2(640.0 + 620.0 * x.sin(), 430.0 + 420.0 * y.sin()))];
    if number % 30 == 29 {
        let key = |pressed| Event::Key {
            key: if number % 60 == 29 { Key::ArrowDown } else { Key::ArrowRight },
            physical_key: None,
            pressed,
            repeat: false,
            modifiers: Modifiers::NONE,
        };
        events.extend([key(true), key(false)]);
    }
    events
}
