//! What is on screen: it takes what the job sends, draws, and turns what is pressed into commands.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use eframe::egui::{self, CentralPanel, ColorImage, Context, Panel, ScrollArea, Ui, ViewportCommand};
use lm_infinite::diagnose::Diagnosis;

use crate::args::Args;
use crate::job::{Job, Progress};
use crate::settings::Settings;
use crate::views::{curves, heads, run_bar, verdicts};

/// Frames between the last result and the picture, so that everything is laid out.
const SETTLING: u32 = 4;

/// The whole window.
pub struct Window {
    settings: Settings,
    job: Option<Job>,
    progress: Option<Progress>,
    diagnosis: Option<Arc<Diagnosis>>,
    choice: heads::Choice,
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
        let diagnosis = match &args.folder {
            Some(folder) => Some(Arc::new(lm_infinite::results::read(folder)?.1)),
            None => None,
        };
        let embedded = args.model == lm_infinite::hub::DEFAULT_MODEL;
        Ok(Self {
            settings: Settings::new(args)?,
            job: None,
            progress: None,
            begin: diagnosis.is_none() && (embedded || args.run || args.screenshot.is_some()),
            diagnosis,
            choice: heads::Choice::default(),
            error: None,
            screenshot: args.screenshot.clone(),
            settled: 0,
            picture: Arc::default(),
            failure: Arc::default(),
        })
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
        if std::mem::take(&mut self.begin) {
            self.run(ctx);
        }
        if let Some(job) = &self.job {
            if let Some(newest) = job.newest() {
                self.diagnosis = Some(newest);
            }
            self.progress = Some(job.progress());
        }
    }

    /// Draws everything.
    pub fn draw(&mut self, ui: &mut Ui) {
        let paused = self.job.as_ref().is_some_and(Job::is_paused);
        let mut command = None;
        Panel::top("run").show(ui, |ui| {
            ui.add_space(4.0);
            command = run_bar::show(ui, &mut self.settings, self.progress.as_ref(), paused);
            if let Some(error) = &self.error {
                ui.colored_label(egui::Color32::from_rgb(200, 60, 20), error);
            }
            ui.add_space(4.0);
        });
        if let Some(command) = command {
            self.obey(command, ui.ctx());
        }
        let Some(diagnosis) = self.diagnosis.clone() else {
            CentralPanel::default().show(ui, |ui| {
                let words = "No result yet. Press Run to read the text under both policies.";
                ui.centered_and_justified(|ui| {
                    ui.label(if self.job.is_some() { "Reading …" } else { words })
                });
            });
            return;
        };
        Panel::left("heads").default_size(330.0).size_range(240.0..=620.0).show(ui, |ui| {
            ScrollArea::vertical().show(ui, |ui| heads::show(ui, &diagnosis, &mut self.choice));
        });
        CentralPanel::default().show(ui, |ui| {
            verdicts::show(ui, &diagnosis);
            ui.separator();
            let height = ((ui.available_height() - 90.0) / 3.0).max(110.0);
            ScrollArea::vertical().show(ui, |ui| {
                for curve in curves::Curve::ALL {
                    curves::show(ui, curve, &diagnosis, self.choice.head, height);
                }
            });
        });
    }

    fn obey(&mut self, command: run_bar::Command, ctx: &Context) {
        match (command, &self.job) {
            (run_bar::Command::Run, _) => self.run(ctx),
            (run_bar::Command::Pause, Some(job)) => job.set_paused(!job.is_paused()),
            (run_bar::Command::Step, Some(job)) => job.step(),
            (run_bar::Command::Stop, Some(job)) => job.stop(),
            (_, None) => {}
        }
    }

    /// Begins anew; what is on screen stays until there is something newer.
    fn run(&mut self, ctx: &Context) {
        match Job::start(self.settings.clone(), ctx.clone()) {
            Ok(job) => (self.job, self.error) = (Some(job), None),
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
            self.settled += 1;
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
}
