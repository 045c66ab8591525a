//! The window: between frames it takes what tasks have sent and obeys commands; nothing else changes what is on screen.

mod checked;
mod comparing;
mod draw;
mod exporting;
mod history;
mod keeping;
mod obeying;
mod palette;
mod picture;
mod place;
mod playing;
mod policies;
mod repeating;
mod restoring;
mod saving;
mod state;
mod steps;
#[cfg(test)]
mod tests;
mod tiles;
mod unread;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eframe::egui::{self, Context, Ui};
use lm_infinite::diagnose::Diagnosis;
use lm_infinite::hub::{self, ListedModel};

use self::picture::Picture;
use self::saving::Saving;
use self::state::State;
use crate::args::{Args, Theme};
use crate::command::Command;
use crate::job::{Job, Progress};
use crate::memory::Memory;
use crate::settings::Settings;
use crate::task::Task;
use crate::theme;
use crate::views::rows::Rows;
use crate::views::shown::Shown;
use crate::workbench::{NARROW, Workbench};

/// Settings that have stood this long are meant.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// Frames between the wish for a run and its begin: a field that is being typed into is left meanwhile, and says what it holds.
const FRAMES: u8 = 1;

/// The whole window.
pub struct Window {
    state: State,
    /// What the reader asked for in the last frame.
    commands: Vec<Command>,
    /// What the run bar says now, and since when, while a run is on its way that was begun with something else.
    changed: Option<(Settings, Instant)>,
    /// A run is to begin, after so many frames.
    wanted: Option<u8>,
    models: Task<(), Vec<ListedModel>>,
    picture: Picture,
    /// No frame yet.
    first: Option<First>,
    /// How the window is left, and where that is kept; nothing is remembered without a place.
    memory: Memory,
    memory_path: Option<PathBuf>,
    saving: Saving,
}

/// What is done before the first frame.
struct First {
    theme: Option<Theme>,
    zoom: Option<f32>,
    /// Begin to read the text.
    begin: bool,
    /// Show this result folder.
    folder: Option<PathBuf>,
}

impl Window {
    /// What the command line asks for.
    ///
    /// # Errors
    /// A folder that holds no result; more policies than there are letters.
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        if let Some(folder) = &args.folder {
            let is_result = folder.join("run.json").is_file();
            anyhow::ensure!(is_result, "{}: no result folder, since it holds no run.json", folder.display());
        }
        let embedded = args.model == hub::DEFAULT_MODEL;
        let begin = args.folder.is_none() && (embedded || args.run || args.screenshot.is_some());
        Ok(Self {
            state: State::new(args.settings()?, Workbench::asked_for(args.layout, args.tab)),
            commands: Vec::new(),
            changed: None,
            wanted: None,
            models: Task::newest("list of models"),
            picture: Picture::new(args.screenshot.clone()),
            first: Some(First { theme: args.theme, zoom: None, begin, folder: args.folder.clone() }),
            memory: Memory::default(),
            memory_path: None,
            saving: Saving::default(),
        })
    }

    /// Why the program has to leave with an error, once it is known.
    pub fn failure(&self) -> Arc<Mutex<Option<String>>> {
        self.picture.failure()
    }

    /// The newest diagnosis.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        self.state.diagnosis.as_deref()
    }

    /// Runs of this session, that on screen among them.
    pub fn runs(&self) -> usize {
        self.state.history.named().len() + usize::from(self.state.diagnosis.is_some())
    }

    /// The command that gives the numbers on screen, for a shell.
    ///
    /// # Errors
    /// In words, where there is none.
    pub fn command_line(&self) -> Result<String, String> {
        self.state.command_line(None)
    }

    /// How far the run is.
    pub fn progress(&self) -> Option<&Progress> {
        self.state.progress.as_ref()
    }

    /// Before a frame: obeys what was asked for in the last one, takes what tasks have sent, and lets views compute what they
    /// show.
    fn update(&mut self, ctx: &Context) {
        match self.first.take() {
            Some(first) => self.begin(ctx, first),
            None => self.note(ctx),
        }
        self.state.hover = None;
        self.state.narrow = ctx.content_rect().width() < NARROW;
        for command in std::mem::take(&mut self.commands) {
            if !matches!(command, Command::Hover(_)) {
                self.saving.touch();
            }
            if !command.is_passing() {
                self.state.told = None;
            }
            self.obey(command, ctx);
        }
        self.begin_if_wanted(ctx);
        self.state.note_steps(Instant::now());
        if let Some(path) = self.memory_path.clone() {
            let mut saving = std::mem::take(&mut self.saving);
            saving.save(ctx, &path, || self.memory());
            self.state.unsaved = saving.failure().map(|failure| unsaved(&path, failure));
            self.saving = saving;
        }
        let answer = self.state.ask.update();
        self.answer(answer, ctx);
        self.take_opened();
        if let Some(name) = self.state.pull.update() {
            self.list_models(ctx);
            self.state.settings.model = name;
        }
        if self.models.poll()
            && let Some((_, models)) = self.models.take()
        {
            self.state.listed = models;
        }
        self.restart_if_changed(ctx);
        self.take_job();
        self.state.export.update(ctx);
        let Some(diagnosis) = self.state.diagnosis.clone() else { return };
        if self.state.playing.is_some() {
            self.state.advance(f64::from(ctx.input(|input| input.stable_dt)));
            ctx.request_repaint();
        }
        self.state.update_compared();
        let pair = self.state.pair.within(diagnosis.runs.len());
        let (earlier, version) = (self.state.earlier.clone(), self.state.compared_version);
        self.state.heads.update(Rows { diagnosis: &diagnosis, earlier: &earlier, version }, pair);
        // Panes are taken out for a moment, since they change while the rest of the state is read.
        let owners = self.state.owners();
        let mut panes = std::mem::take(&mut self.state.panes);
        let mut timeline = std::mem::take(&mut self.state.timeline);
        let mut inspector = std::mem::take(&mut self.state.inspector);
        if let Some(shown) = self.state.shown() {
            timeline.update(&shown);
            if shown.inspected {
                inspector.update(ctx, &shown);
            }
            for (tab, pane) in panes.iter_mut().filter(|(tab, _)| owners.contains(tab)) {
                pane.update(ctx, &Shown { tab: *tab, ..shown.clone() });
            }
        }
        (self.state.panes, self.state.timeline, self.state.inspector) = (panes, timeline, inspector);
    }

    fn begin(&mut self, ctx: &Context, first: First) {
        theme::add_fonts(ctx);
        theme::set_hints(ctx);
        if let Some(theme) = first.theme {
            ctx.set_theme(match theme {
                Theme::Light => egui::Theme::Light,
                Theme::Dark => egui::Theme::Dark,
            });
        }
        if let Some(zoom) = first.zoom {
            ctx.set_zoom_factor(zoom);
        }
        self.list_models(ctx);
        if let Some(folder) = first.folder {
            self.open(&folder, ctx);
        } else if first.begin {
            self.run(ctx);
        }
    }

    /// Looks which models are there.
    fn list_models(&mut self, ctx: &Context) {
        self.models.ask((), theme::wake(ctx), |(), worker| {
            worker.send(hub::list(&hub::Cache::open()?).0);
            Ok(())
        });
    }

    /// Notes what only the toolkit knows.
    fn note(&mut self, ctx: &Context) {
        self.memory.zoom = Some(ctx.zoom_factor());
        let size = ctx.content_rect().size() * ctx.zoom_factor();
        self.memory.size = Some([size.x, size.y]);
        self.memory.dark = match ctx.options(|options| options.theme_preference) {
            egui::ThemePreference::Dark => Some(true),
            egui::ThemePreference::Light => Some(false),
            egui::ThemePreference::System => None,
        };
    }

    fn take_job(&mut self) {
        let state = &mut self.state;
        let Some(job) = &mut state.job else { return };
        if let Some(newest) = job.newest().and_then(|newest| state.history.take(newest)) {
            if !state.inputs.as_ref().is_some_and(|inputs| Arc::ptr_eq(inputs, &newest.inputs)) {
                state.keep();
                state.adapt(&newest.inputs.settings);
            }
            (state.diagnosis, state.inputs) = (Some(newest.diagnosis), Some(newest.inputs));
            (state.folder, state.number) = (None, state.begun);
            state.note_used();
            self.saving.touch();
        }
        state.progress = state.job.as_ref().map(Job::progress);
    }

    /// Has a run begun with what the fields say: what is being typed into one is taken, as if it were left.
    fn want_run(&mut self, ctx: &Context) {
        let answer = self.state.ask.take();
        self.answer(answer, ctx);
        if let Some(field) = ctx.memory(|memory| memory.focused()) {
            ctx.memory_mut(|memory| memory.surrender_focus(field));
        }
        self.wanted = Some(FRAMES);
        ctx.request_repaint();
    }

    fn begin_if_wanted(&mut self, ctx: &Context) {
        match self.wanted {
            None => {}
            Some(0) => {
                self.wanted = None;
                self.state.told = self.state.refusals();
                self.run(ctx);
            }
            Some(frames) => {
                self.wanted = Some(frames - 1);
                ctx.request_repaint();
            }
        }
    }

    /// Begins anew; what is on screen stays until there is something newer.
    fn run(&mut self, ctx: &Context) {
        self.state.opening.forget();
        self.state.since = Some(Instant::now());
        self.state.begun += 1;
        self.state.job = Some(Job::start(self.state.settings.clone(), theme::wake(ctx)));
        self.changed = None;
    }

    /// A running job begins anew once changed settings have stood for a moment.
    fn restart_if_changed(&mut self, ctx: &Context) {
        let running = self.state.job.as_ref().filter(|job| !job.progress().finished);
        let settings = &self.state.settings;
        if running.is_none_or(|job| job.is_of(settings)) {
            self.changed = None;
            return;
        }
        match &self.changed {
            Some((changed, since)) if changed == settings => match DEBOUNCE.checked_sub(since.elapsed()) {
                Some(left) if !left.is_zero() => ctx.request_repaint_after(left),
                _ => {
                    self.state.supersede();
                    self.run(ctx);
                }
            },
            _ => {
                self.changed = Some((settings.clone(), Instant::now()));
                ctx.request_repaint_after(DEBOUNCE);
            }
        }
    }

    /// Keeps what was asked for in a frame until the next one, and asks for that one.
    fn queue(&mut self, commands: Vec<Command>, ctx: &Context) {
        let hover = commands.iter().rev().find_map(|command| match command {
            Command::Hover(hover) => Some(*hover),
            _ => None,
        });
        let other = commands.iter().any(|command| !matches!(command, Command::Hover(_)));
        if other || hover != self.state.hover {
            ctx.request_repaint();
        }
        self.commands.extend(commands);
    }
}

/// That the window will not open as it was left.
fn unsaved(path: &std::path::Path, failure: &str) -> String {
    format!("the window's settings could not be kept in {}: {failure}", path.display())
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        self.update(ctx);
        self.picture.update(ctx, &self.state);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let commands = draw::draw(&self.state, ui);
        self.queue(commands, ui.ctx());
    }

    fn raw_input_hook(&mut self, _ctx: &Context, input: &mut egui::RawInput) {
        // A picture is the same wherever the pointer rests.
        if self.picture.is_wanted() {
            input.events.retain(|event| !matches!(event, egui::Event::PointerMoved(_)));
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        if let Some(path) = &self.memory_path
            && let Err(failure) = self.memory().write(path)
        {
            self.picture.fail(unsaved(path, &failure.to_string()));
        }
    }
}
