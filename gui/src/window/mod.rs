//! The window: between frames it takes what tasks have sent and obeys commands; nothing else changes what is on screen.

mod draw;
mod picture;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eframe::egui::{self, Context, Ui};
use lm_infinite::diagnose::Diagnosis;
use lm_infinite::hub;

use self::picture::Picture;
use self::state::{OpenedFolder, State};
use crate::args::{Args, Theme};
use crate::command::Command;
use crate::job::{Job, Progress};
use crate::memory::Memory;
use crate::opening::{Opened, Request, Results};
use crate::settings::Settings;
use crate::tab::Tab;
use crate::task::Task;
use crate::theme;
use crate::tour::Tour;
use crate::views::ask::question::{Answer, Asked, Question};

/// Settings that have stood this long are meant.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// The whole window.
pub struct Window {
    state: State,
    /// What the reader asked for in the last frame.
    commands: Vec<Command>,
    /// What the run bar says now, and since when, while a run is on its way that was begun with something else.
    changed: Option<(Settings, Instant)>,
    models: Task<(), Vec<&'static str>>,
    picture: Picture,
    /// No frame yet.
    first: Option<First>,
    /// How the window is left, and where that is kept; nothing is remembered without a place.
    memory: Memory,
    memory_path: Option<PathBuf>,
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
    /// A folder that holds no result; more than two policies.
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        if let Some(folder) = &args.folder {
            let is_result = folder.join("run.json").is_file();
            anyhow::ensure!(is_result, "{}: no result folder, since it holds no run.json", folder.display());
        }
        let embedded = args.model == hub::DEFAULT_MODEL;
        let begin = args.folder.is_none() && (embedded || args.run || args.screenshot.is_some());
        Ok(Self {
            state: State::new(args.settings()?, args.tab.unwrap_or(Tab::Curves)),
            commands: Vec::new(),
            changed: None,
            models: Task::newest("list of models"),
            picture: Picture::new(args.screenshot.clone()),
            first: Some(First { theme: args.theme, zoom: None, begin, folder: args.folder.clone() }),
            memory: Memory::default(),
            memory_path: None,
        })
    }

    /// Opens as it was left, and keeps how it is left at `path`. What was asked for in the command line goes first: the
    /// run bar and the tab come back only where there was `nothing_asked`. At the first start the tour is offered.
    pub fn remember(&mut self, path: PathBuf, memory: Memory, nothing_asked: bool) {
        if let Some(first) = &mut self.first {
            let dark = memory.dark.map(|dark| if dark { Theme::Dark } else { Theme::Light });
            first.theme = first.theme.or(dark);
            first.zoom = memory.zoom.filter(|zoom| (0.2..=5.0).contains(zoom));
            if let Some(settings) = memory.settings.clone().filter(|_| nothing_asked) {
                // Large models are not read before somebody says so.
                first.begin = settings.model == hub::DEFAULT_MODEL;
                self.state.settings = settings;
            }
        }
        if nothing_asked {
            self.state.tab = memory.tab.as_deref().and_then(Tab::named).unwrap_or(self.state.tab);
        }
        if !memory.tour_offered {
            self.state.tour = Tour::Offered;
        }
        self.state.heads_width = memory.heads;
        self.memory = Memory { tour_offered: true, ..memory };
        self.memory_path = Some(path);
    }

    /// How it would be opened again.
    pub fn memory(&self) -> Memory {
        let tab = Some(self.state.tab.name().to_owned());
        let (settings, heads) = (Some(self.state.settings.clone()), self.state.heads_width);
        Memory { tab, settings, heads, ..self.memory.clone() }
    }

    /// Why the program has to leave with an error, once it is known.
    pub fn failure(&self) -> Arc<Mutex<Option<String>>> {
        self.picture.failure()
    }

    /// The newest diagnosis.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        self.state.diagnosis.as_deref()
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
        for command in std::mem::take(&mut self.commands) {
            self.obey(command, ctx);
        }
        let answer = self.state.ask.update();
        self.answer(answer, ctx);
        self.take_opened();
        if self.models.poll()
            && let Some((_, models)) = self.models.take()
        {
            self.state.models = models;
        }
        self.restart_if_changed(ctx);
        self.take_job();
        self.state.export.update(ctx);
        let Some(diagnosis) = self.state.diagnosis.clone() else { return };
        self.state.heads.update(&diagnosis);
        // The pane is taken out for a moment, since it changes while the rest of the state is read.
        let at = self.state.tab.index();
        let mut panes = std::mem::take(&mut self.state.panes);
        if let (Some(pane), Some(shown)) = (panes.get_mut(at), self.state.shown()) {
            pane.update(ctx, &shown);
        }
        self.state.panes = panes;
    }

    fn begin(&mut self, ctx: &Context, first: First) {
        theme::add_fonts(ctx);
        if let Some(theme) = first.theme {
            ctx.set_theme(match theme {
                Theme::Light => egui::Theme::Light,
                Theme::Dark => egui::Theme::Dark,
            });
        }
        if let Some(zoom) = first.zoom {
            ctx.set_zoom_factor(zoom);
        }
        self.models.ask((), theme::wake(ctx), |(), worker| {
            let listed = hub::list(&hub::Cache::open()?).0;
            let present = listed.iter().filter(|model| model.present).map(|model| model.name);
            worker.send(present.collect());
            Ok(())
        });
        if let Some(folder) = first.folder {
            self.open(&folder, ctx);
        } else if first.begin {
            self.run(ctx);
        }
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

    /// The one place where commands take effect.
    fn obey(&mut self, command: Command, ctx: &Context) {
        let state = &mut self.state;
        match (command, &state.job) {
            (Command::Run, _) => self.run(ctx),
            (Command::Pause, Some(job)) => job.set_paused(!job.is_paused()),
            (Command::Step, Some(job)) => job.step(),
            (Command::Stop, Some(job)) => job.stop(),
            (Command::Pause | Command::Step | Command::Stop, None) => {}
            (Command::Settings(settings), _) => state.settings = settings,
            (Command::Refused(reasons), _) => state.refused = reasons,
            (Command::Show(tab), _) => state.tab = tab,
            (Command::Mark(query), _) => state.mark = query,
            (Command::Hover(hover), _) => state.hover = Some(hover),
            (Command::Ask(question), _) => state.ask.open(question),
            (Command::AskForResults, _) => {
                state.ask.open(Question { asked: Asked::Results, typed: "results".to_owned() });
            }
            (Command::Answer(change), _) => {
                let answer = state.ask.obey(change, ctx);
                self.answer(answer, ctx);
            }
            (Command::Drop(paths), _) => state.opening.start(Request::Dropped(paths), theme::wake(ctx)),
            (Command::Help(open), _) => state.help = open,
            (Command::Tour(tour), _) => {
                if tour == Tour::BEGIN {
                    state.tab = Tab::Curves;
                }
                state.tour = tour;
            }
            (Command::Dark(dark), _) => {
                ctx.set_theme(if dark { egui::Theme::Dark } else { egui::Theme::Light });
            }
            (Command::ToggleExport, _) => {
                let model = state.diagnosis.as_ref().map_or("", |diagnosis| diagnosis.model.as_str());
                state.export.toggle(state.tab, model);
            }
            (Command::Export(controls), _) => state.export.set(controls),
            (Command::Write(wanted), _) => {
                let mut panel = std::mem::take(&mut state.export);
                if let Some(exportable) = state.exportable() {
                    panel.write(ctx, wanted, &exportable);
                }
                state.export = panel;
            }
            (Command::Heads(choice), _) => state.heads.choice = choice,
            (Command::HeadsWidth(width), _) => state.heads_width = Some(width),
            (command, _) => state.panes.iter_mut().for_each(|pane| pane.obey(&command)),
        }
    }

    fn answer(&mut self, answer: Option<Answer>, ctx: &Context) {
        let settings = &mut self.state.settings;
        match answer {
            Some(Answer::Model(name)) => settings.model = name,
            Some(Answer::Text(path)) => (settings.text, settings.pasted) = (path, None),
            Some(Answer::Pasted(text)) => settings.pasted = Some(text),
            Some(Answer::Results(path)) => self.open(&path, ctx),
            None => {}
        }
    }

    /// Begins to read a result folder; what is on screen stays until it is read, or if it cannot be.
    fn open(&mut self, path: &Path, ctx: &Context) {
        self.state.opening.start(Request::Results(path.to_owned()), theme::wake(ctx));
    }

    fn take_opened(&mut self) {
        let state = &mut self.state;
        for opened in state.opening.newest() {
            match opened {
                Opened::Results(result) => {
                    let Results { name, info, diagnosis } = *result;
                    (state.job, state.progress, state.inputs) = (None, None, None);
                    let settings = state.settings.clone();
                    state.folder = Some(OpenedFolder { name, info: Arc::new(info), settings });
                    state.diagnosis = Some(Arc::new(diagnosis));
                }
                Opened::Model(name) => state.settings.model = name,
                Opened::Text(path) => (state.settings.text, state.settings.pasted) = (path, None),
            }
        }
    }

    fn take_job(&mut self) {
        let state = &mut self.state;
        let Some(job) = &mut state.job else { return };
        if let Some(newest) = job.newest() {
            (state.diagnosis, state.inputs) = (Some(newest.diagnosis), Some(newest.inputs));
            (state.folder, state.number) = (None, state.begun);
        }
        state.progress = Some(job.progress());
    }

    /// Begins anew; what is on screen stays until there is something newer.
    fn run(&mut self, ctx: &Context) {
        self.state.opening.forget();
        self.state.begun += 1;
        self.state.job = Some(Job::start(self.state.settings.clone(), theme::wake(ctx)));
        self.changed = None;
    }

    /// A running job begins anew once changed settings have stood for a moment.
    fn restart_if_changed(&mut self, ctx: &Context) {
        let running = self.state.job.as_ref().filter(|job| !job.progress().finished);
        let settings = &self.state.settings;
        if running.is_none_or(|job| job.settings() == Some(settings)) {
            self.changed = None;
            return;
        }
        match &self.changed {
            Some((changed, since)) if changed == settings => match DEBOUNCE.checked_sub(since.elapsed()) {
                Some(left) if !left.is_zero() => ctx.request_repaint_after(left),
                _ => self.run(ctx),
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
            eprintln!("the window's settings could not be kept in {}: {failure}", path.display());
        }
    }
}
