//! What is on screen: it takes what the job sends, draws, and turns what is pressed into commands.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use eframe::egui::{self, CentralPanel, ColorImage, Context, Key, Panel, ScrollArea, Ui, ViewportCommand};
use lm_infinite::diagnose::Diagnosis;
use lm_infinite::results::RunInfo;

use crate::args::{Args, Theme};
use crate::command::{Command, Hover};
use crate::export::Origin;
use crate::job::{Inputs, Job, Progress};
use crate::memory::Memory;
use crate::settings::Settings;
use crate::tab::{TABS, Tab, View};
use crate::tour::{self, Part, Tour};
use crate::views::{Shown, export, heads, run_bar, verdicts};
use crate::{help, theme};

/// Frames between the last result and the picture, so that everything is laid out.
const SETTLING: u32 = 4;

/// Settings that have stood this long are meant.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// The whole window.
pub struct Window {
    settings: Settings,
    bar: run_bar::Bar,
    /// What the job was begun with, and since when the settings say something else.
    begun: Option<Settings>,
    changed: Option<(Settings, Instant)>,
    job: Option<Job>,
    progress: Option<Progress>,
    diagnosis: Option<Arc<Diagnosis>>,
    inputs: Option<Arc<Inputs>>,
    /// What the result folder on screen says of itself.
    folder: Option<Arc<RunInfo>>,
    export: export::Panel,
    choice: heads::Choice,
    hover: Option<Hover>,
    mark: Option<u64>,
    tab: Tab,
    tour: Tour,
    help: bool,
    /// No frame yet: fonts have to be added.
    fresh: bool,
    /// To be set at the first frame.
    theme: Option<Theme>,
    zoom: Option<f32>,
    /// How the window is left, and where that is kept; nothing is remembered without a place.
    memory: Memory,
    memory_path: Option<PathBuf>,
    views: Vec<Box<dyn View>>,
    /// Begin at the first frame.
    begin: bool,
    error: Option<String>,
    screenshot: Option<PathBuf>,
    settled: u32,
    picture: Arc<Mutex<Option<Arc<ColorImage>>>>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Window {
    /// What the command line asks for.
    ///
    /// # Errors
    /// A result folder that cannot be read; more than two policies.
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        let read = args.folder.as_deref().map(lm_infinite::results::read).transpose()?;
        let (folder, diagnosis) = match read {
            Some((info, diagnosis)) => (Some(Arc::new(info)), Some(Arc::new(diagnosis))),
            None => (None, None),
        };
        let embedded = args.model == lm_infinite::hub::DEFAULT_MODEL;
        Ok(Self {
            settings: Settings::new(args)?,
            bar: run_bar::Bar::default(),
            begun: None,
            changed: None,
            job: None,
            progress: None,
            begin: diagnosis.is_none() && (embedded || args.run || args.screenshot.is_some()),
            diagnosis,
            inputs: None,
            folder,
            export: export::Panel::default(),
            choice: heads::Choice::default(),
            hover: None,
            mark: None,
            tab: args.tab.unwrap_or(Tab::Curves),
            tour: Tour::Closed,
            help: false,
            fresh: true,
            theme: args.theme,
            zoom: None,
            memory: Memory::default(),
            memory_path: None,
            views: TABS.iter().map(|entry| (entry.make)()).collect(),
            error: None,
            screenshot: args.screenshot.clone(),
            settled: 0,
            picture: Arc::default(),
            failure: Arc::default(),
        })
    }

    /// Opens as it was left, and keeps how it is left at `path`. What was asked for in the command line goes first: the
    /// run bar and the tab come back only where there was `nothing_asked`. At the first start the tour is offered.
    pub fn remember(&mut self, path: PathBuf, memory: Memory, nothing_asked: bool) {
        if self.theme.is_none() {
            self.theme = memory.dark.map(|dark| if dark { Theme::Dark } else { Theme::Light });
        }
        self.zoom = memory.zoom.filter(|zoom| (0.2..=5.0).contains(zoom));
        if nothing_asked {
            if let Some(settings) = memory.settings.clone() {
                // Large models are not read before somebody says so.
                self.begin = settings.model == lm_infinite::hub::DEFAULT_MODEL;
                self.settings = settings;
            }
            self.tab = memory.tab.as_deref().and_then(Tab::named).unwrap_or(self.tab);
        }
        if !memory.tour_offered {
            self.tour = Tour::Offered;
        }
        self.memory = Memory { tour_offered: true, ..memory };
        self.memory_path = Some(path);
    }

    /// How it would be opened again.
    pub fn memory(&self) -> Memory {
        let entry = TABS.iter().find(|entry| entry.tab == self.tab);
        let tab = entry.map(|entry| entry.name.to_owned());
        Memory { tab, settings: Some(self.settings.clone()), ..self.memory.clone() }
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

    /// Why the program has to leave with an error, once it is known.
    pub fn failure(&self) -> Arc<Mutex<Option<String>>> {
        self.failure.clone()
    }

    /// The newest diagnosis.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        self.diagnosis.as_deref()
    }

    /// What the job is at.
    pub fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// Takes what the job has sent.
    pub fn update(&mut self, ctx: &Context) {
        if std::mem::take(&mut self.fresh) {
            theme::add_fonts(ctx);
        }
        if let Some(theme) = self.theme.take() {
            ctx.set_theme(match theme {
                Theme::Light => egui::Theme::Light,
                Theme::Dark => egui::Theme::Dark,
            });
        }
        if let Some(zoom) = self.zoom.take() {
            ctx.set_zoom_factor(zoom);
        } else {
            self.note(ctx);
        }
        if std::mem::take(&mut self.begin) {
            self.run(ctx);
        }
        self.restart_if_changed(ctx);
        if let Some(job) = &self.job {
            if let Some(newest) = job.newest() {
                (self.diagnosis, self.inputs) = (Some(newest.diagnosis), Some(newest.inputs));
                self.folder = None;
            }
            self.progress = Some(job.progress());
        }
    }

    /// A running job begins anew once changed settings have stood for a moment.
    fn restart_if_changed(&mut self, ctx: &Context) {
        let running = self.job.as_ref().is_some_and(|job| !job.progress().finished);
        if !running || self.begun.as_ref() == Some(&self.settings) {
            self.changed = None;
            return;
        }
        match &self.changed {
            Some((settings, since)) if *settings == self.settings => {
                match DEBOUNCE.checked_sub(since.elapsed()) {
                    Some(left) if !left.is_zero() => ctx.request_repaint_after(left),
                    _ => self.run(ctx),
                }
            }
            _ => {
                self.changed = Some((self.settings.clone(), Instant::now()));
                ctx.request_repaint_after(DEBOUNCE);
            }
        }
    }

    /// Files that were let go over the window: a model, a result folder, or else a text.
    fn take_dropped(&mut self, ui: &Ui) {
        let dropped = ui.input(|input| input.raw.dropped_files.clone());
        for path in dropped.into_iter().map(|file| file.path().to_owned()) {
            let name = path.display().to_string();
            let gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
            if gguf || path.join("config.json").is_file() {
                self.settings.model = name;
            } else if path.join("run.json").is_file() {
                self.open_folder(&path);
            } else {
                (self.settings.text, self.settings.pasted) = (name, None);
            }
        }
    }

    /// Shows a result folder; what is on screen stays if it cannot be read.
    fn open_folder(&mut self, path: &Path) {
        match lm_infinite::results::read(path) {
            Ok((info, diagnosis)) => {
                (self.job, self.progress, self.inputs, self.error) = (None, None, None, None);
                self.folder = Some(Arc::new(info));
                self.diagnosis = Some(Arc::new(diagnosis));
            }
            Err(failure) => self.error = Some(format!("The result folder could not be opened: {failure}")),
        }
    }

    /// Draws everything, then does what was asked for.
    pub fn draw(&mut self, ui: &mut Ui) {
        let mut commands = Vec::new();
        // What lies over the window takes Escape before the run does.
        help::keys(ui.ctx(), &mut self.help);
        self.bar.keys(ui.ctx());
        self.export.keys(ui.ctx());
        self.tour.keys(ui.ctx());
        self.keys(ui, &mut commands);
        self.take_dropped(ui);
        let paused = self.job.as_ref().is_some_and(Job::is_paused);
        let bar = Panel::top("run").show(ui, |ui| {
            ui.add_space(4.0);
            let trained = self.diagnosis.as_ref().map(|diagnosis| diagnosis.trained_length);
            let progress = self.progress.as_ref();
            self.bar.show(ui, &mut self.settings, trained, progress, paused, &mut commands);
            if let Some(error) = &self.error {
                ui.colored_label(theme::BAD, error);
            }
            ui.horizontal(|ui| self.manners(ui, &mut commands));
            ui.add_space(4.0);
        });
        tour::mark(ui.ctx(), Part::RunBar, bar.response.rect);
        match self.diagnosis.clone() {
            Some(diagnosis) => self.draw_result(ui, &diagnosis, &mut commands),
            None => {
                CentralPanel::default().show(ui, |ui| {
                    let words = "No result yet. Press Run to read the text under both policies.";
                    ui.centered_and_justified(|ui| {
                        ui.label(if self.job.is_some() { "Reading …" } else { words })
                    });
                });
            }
        }
        if let Some(diagnosis) = &self.diagnosis {
            let made = self.inputs.clone().map(Origin::Inputs);
            let origin = made.or_else(|| self.folder.clone().map(Origin::Folder));
            let whole = self.progress.as_ref().is_none_or(|progress| progress.position == progress.total);
            self.export.show(ui.ctx(), diagnosis, self.choice.head, origin.as_ref(), whole);
        }
        help::show(ui.ctx(), &mut self.help);
        self.tour.show(ui.ctx());
        self.hover = None;
        for command in commands {
            self.obey(command, ui.ctx());
        }
    }

    fn draw_result(&mut self, ui: &mut Ui, diagnosis: &Arc<Diagnosis>, commands: &mut Vec<Command>) {
        let grid = Panel::left("heads")
            .default_size(self.memory.heads.unwrap_or(330.0))
            .size_range(240.0..=620.0)
            .show(ui, |ui| {
                ScrollArea::vertical().show(ui, |ui| heads::show(ui, diagnosis, &mut self.choice));
            });
        tour::mark(ui.ctx(), Part::Heads, grid.response.rect);
        self.memory.heads = Some(grid.response.rect.width());
        CentralPanel::default().show(ui, |ui| {
            let verdicts = ui.scope(|ui| verdicts::show(ui, diagnosis));
            tour::mark(ui.ctx(), Part::Verdicts, verdicts.response.rect);
            ui.separator();
            ui.horizontal_wrapped(|ui| {
                for (at, entry) in TABS.iter().enumerate() {
                    let tab = ui.selectable_label(self.tab == entry.tab, entry.name);
                    if tab.on_hover_text(format!("{} (key {})", entry.help, at + 1)).clicked() {
                        commands.push(Command::Show(entry.tab));
                    }
                }
            });
            let mark = self.mark.filter(|&query| query < diagnosis.tokens);
            let (inputs, head, hover) = (self.inputs.as_ref(), self.choice.head, self.hover);
            let shown = Shown { diagnosis, inputs, head, hover, mark };
            let at = TABS.iter().position(|entry| entry.tab == self.tab);
            if let Some(view) = at.and_then(|at| self.views.get_mut(at)) {
                view.show(ui, &shown, commands);
            }
        });
    }

    /// Light or dark, help and tour.
    fn manners(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let dark = ui.visuals().dark_mode;
        let other = if dark { "Light" } else { "Dark" };
        if ui.button(other).on_hover_text("Switch between dark and light").clicked() {
            ui.ctx().set_theme(if dark { egui::Theme::Light } else { egui::Theme::Dark });
        }
        let open = ui.button("Open results…");
        if open
            .on_hover_text("A result folder of `diagnose`; dropping it on the window does the same (Ctrl+O)")
            .clicked()
        {
            commands.push(Command::AskForResults);
        }
        let ready = self.diagnosis.is_some();
        let export = ui.add_enabled(ready, egui::Button::new("Export…"));
        if export.on_hover_text("Figures and numbers as files, or everything (Ctrl+E)").clicked() {
            commands.push(Command::Export);
        }
        if ui.button("Keys").on_hover_text("All keys (F1)").clicked() {
            commands.push(Command::Help);
        }
        if ui.button("Tour").on_hover_text("Six steps through what is on screen").clicked() {
            commands.push(Command::Tour);
        }
    }

    /// What keys ask for, unless something is being typed.
    fn keys(&self, ui: &Ui, commands: &mut Vec<Command>) {
        if ui.ctx().egui_wants_keyboard_input() {
            return;
        }
        const NUMBERS: [Key; 9] = [
            Key::Num1,
            Key::Num2,
            Key::Num3,
            Key::Num4,
            Key::Num5,
            Key::Num6,
            Key::Num7,
            Key::Num8,
            Key::Num9,
        ];
        let plain = [(Key::Space, Command::Pause), (Key::S, Command::Step), (Key::Escape, Command::Stop)];
        for (key, command) in plain {
            if ui.input(|input| input.key_pressed(key)) {
                commands.push(command);
            }
        }
        if ui.input(|input| input.modifiers.command && input.key_pressed(Key::R)) {
            commands.push(Command::Run);
        }
        if ui.input(|input| input.modifiers.command && input.key_pressed(Key::E)) {
            commands.push(Command::Export);
        }
        if ui.input(|input| input.modifiers.command && input.key_pressed(Key::O)) {
            commands.push(Command::AskForResults);
        }
        for (key, entry) in NUMBERS.into_iter().zip(TABS) {
            if ui.input(|input| input.key_pressed(key)) {
                commands.push(Command::Show(entry.tab));
            }
        }
    }

    /// The one place where commands take effect.
    fn obey(&mut self, command: Command, ctx: &Context) {
        match (command, &self.job) {
            (Command::Run, _) => self.run(ctx),
            (Command::Pause, Some(job)) => job.set_paused(!job.is_paused()),
            (Command::Step, Some(job)) => job.step(),
            (Command::Stop, Some(job)) => job.stop(),
            (Command::Pause | Command::Step | Command::Stop, None) => {}
            (Command::Show(tab), _) => self.tab = tab,
            (Command::Choose(head), _) => self.choice.head = head,
            (Command::Mark(query), _) => self.mark = query,
            (Command::Export, _) => {
                let model = self.diagnosis.as_ref().map_or("", |diagnosis| diagnosis.model.as_str());
                self.export.toggle(self.tab, model);
            }
            (Command::AskForResults, _) => self.bar.ask_for_results(),
            (Command::Open(folder), _) => self.open_folder(&folder),
            (Command::Help, _) => self.help = !self.help,
            (Command::Tour, _) => {
                self.tab = Tab::Curves;
                self.tour.begin();
            }
            (Command::Hover(hover), _) => self.hover = Some(hover),
        }
    }

    /// Begins anew; what is on screen stays until there is something newer.
    fn run(&mut self, ctx: &Context) {
        match Job::start(self.settings.clone(), ctx.clone()) {
            Ok(job) => {
                (self.job, self.error) = (Some(job), None);
                (self.begun, self.changed) = (Some(self.settings.clone()), None);
            }
            Err(failure) => self.error = Some(format!("The run could not be begun: {failure}")),
        }
    }

    /// Takes the picture that the command line asked for, and leaves.
    fn take_picture(&mut self, ctx: &Context) {
        let Some(path) = self.screenshot.clone() else { return };
        let image = self.picture.lock().map_or(None, |mut picture| picture.take());
        let finished = self.progress.as_ref().is_none_or(|progress| progress.finished);
        let reason = self.progress.as_ref().and_then(|progress| progress.failure.clone());
        if let Some(image) = image {
            let written = image::save_buffer(
                &path,
                image.as_raw(),
                image.width() as u32,
                image.height() as u32,
                image::ColorType::Rgba8,
            );
            self.leave(
                ctx,
                written.with_context(|| path.display().to_string()).err().map(|e| format!("{e:#}")),
            );
        } else if finished && reason.is_some() {
            self.leave(ctx, reason);
        } else if finished && self.diagnosis.is_some() {
            let at = TABS.iter().position(|entry| entry.tab == self.tab);
            let busy = at.and_then(|at| self.views.get(at)).is_some_and(|view| view.is_busy());
            self.settled = if busy { 0 } else { self.settled + 1 };
            if self.settled == SETTLING {
                let (picture, ctx) = (self.picture.clone(), ctx.clone());
                ctx.clone().request_screenshot(move |image| {
                    if let Ok(mut place) = picture.lock() {
                        *place = Some(image);
                    }
                    ctx.request_repaint();
                });
            }
            ctx.request_repaint();
        }
    }

    fn leave(&mut self, ctx: &Context, failure: Option<String>) {
        if let Ok(mut place) = self.failure.lock() {
            *place = failure;
        }
        self.screenshot = None;
        ctx.send_viewport_cmd(ViewportCommand::Close);
    }
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        self.update(ctx);
        self.take_picture(ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.draw(ui);
    }

    fn raw_input_hook(&mut self, _ctx: &Context, input: &mut egui::RawInput) {
        // A picture is the same wherever the pointer rests.
        if self.screenshot.is_some() {
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
