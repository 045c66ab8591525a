//! What is on screen. Drawing reads it; [`Window`](super::Window) alone changes it, between frames.

use std::sync::Arc;

use lm_infinite::diagnose::Diagnosis;
use lm_infinite::policy::PolicySpec;
use lm_infinite::results::RunInfo;

use crate::export::Origin;
use crate::inputs::Inputs;
use crate::job::{Job, Progress};
use crate::opening::Opening;
use crate::pace;
use crate::settings::Settings;
use crate::tab::Tab;
use crate::text_tokens;
use crate::tour::Tour;
use crate::views::ask::Ask;
use crate::views::caption::Caption;
use crate::views::export::{Exportable, Panel};
use crate::views::heads::Heads;
use crate::views::pane::Pane;
use crate::views::registry;
use crate::views::shown::{Hover, Shown};
use crate::words::{grouped, size, time};

/// A result folder that is on screen.
#[derive(Clone)]
pub struct OpenedFolder {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub info: Arc<RunInfo>,
    /// What the run bar said when it was opened.
    pub settings: Settings,
}

/// What is on screen.
pub struct State {
    /// What the run bar says.
    pub settings: Settings,
    /// Why the last change of a parameter of policy A or B was refused, if it was.
    pub refused: [Option<String>; 2],
    /// Models that can be used at once.
    pub models: Vec<&'static str>,
    /// The newest run.
    pub job: Option<Job>,
    /// Runs begun so far: the number of the newest.
    pub begun: u64,
    /// The number of the run on screen.
    pub number: u64,
    /// How far it is.
    pub progress: Option<Progress>,
    /// The newest result.
    pub diagnosis: Option<Arc<Diagnosis>>,
    /// What it was made of, if it was made here.
    pub inputs: Option<Arc<Inputs>>,
    /// The result folder on screen, if it was read from one.
    pub folder: Option<OpenedFolder>,
    /// What is being opened.
    pub opening: Opening,
    /// The head grid.
    pub heads: Heads,
    /// Its width, in points.
    pub heads_width: Option<f32>,
    /// What the pointer was over in the last frame.
    pub hover: Option<Hover>,
    /// The marked query.
    pub mark: Option<u64>,
    /// The open tab.
    pub tab: Tab,
    /// What stands behind every tab, in the order of [`Tab::ALL`].
    pub panes: Vec<Box<dyn Pane>>,
    /// The small window that asks.
    pub ask: Ask,
    /// The small window of the export.
    pub export: Panel,
    /// Where the tour is.
    pub tour: Tour,
    /// The list of keys is open.
    pub help: bool,
}

impl State {
    /// Nothing read yet.
    pub fn new(settings: Settings, tab: Tab) -> Self {
        Self {
            settings,
            refused: [None, None],
            models: Vec::new(),
            job: None,
            begun: 0,
            number: 0,
            progress: None,
            diagnosis: None,
            inputs: None,
            folder: None,
            opening: Opening::default(),
            heads: Heads::default(),
            heads_width: None,
            hover: None,
            mark: None,
            tab,
            panes: Tab::ALL.into_iter().map(registry::pane).collect(),
            ask: Ask::default(),
            export: Panel::default(),
            tour: Tour::Closed,
            help: false,
        }
    }

    /// What the views show, once there is a result.
    pub fn shown(&self) -> Option<Shown<'_>> {
        let diagnosis = self.diagnosis.as_ref()?;
        let mark = self.mark.filter(|&query| query < diagnosis.tokens);
        let (inputs, head, hover) = (self.inputs.as_ref(), self.heads.choice.head, self.hover);
        Some(Shown { diagnosis, inputs, head, hover, mark })
    }

    /// What can be exported, once there is a result.
    pub fn exportable(&self) -> Option<Exportable<'_>> {
        let made = self.inputs.clone().map(Origin::Inputs);
        Some(Exportable {
            diagnosis: self.diagnosis.as_ref()?,
            head: self.heads.choice.head,
            origin: made.or_else(|| self.folder.as_ref().map(|folder| Origin::Folder(folder.info.clone()))),
            of: self.caption().map_or_else(String::new, |caption| caption.words),
        })
    }

    /// What is on screen is of.
    pub fn caption(&self) -> Option<Caption> {
        let diagnosis = self.diagnosis.as_deref()?;
        let changed = |then: &Settings| self.settings.differences(then, diagnosis.trained_length);
        Some(match (&self.inputs, &self.folder) {
            (Some(inputs), _) => {
                let settings = &inputs.settings;
                let (asked, changed) = (Some(settings.tokens), changed(settings));
                let run = format!("Run {}", self.number);
                Caption::new(diagnosis, &run, settings.text_name(), asked, &changed)
            }
            (None, Some(folder)) => {
                let run = format!("Result folder {}", folder.name);
                Caption::new(diagnosis, &run, &folder.info.text.name, None, &changed(&folder.settings))
            }
            (None, None) => Caption::new(diagnosis, "Run", "a text", None, &[]),
        })
    }

    /// The training length of the model that the run bar names, where it is known.
    pub fn trained_length(&self) -> Option<u64> {
        let model = match (&self.inputs, &self.folder) {
            (Some(inputs), _) => inputs.settings.model.as_str(),
            (None, Some(folder)) => folder.info.model.name.as_str(),
            (None, None) => return None,
        };
        let diagnosis = self.diagnosis.as_ref().filter(|_| model == self.settings.model)?;
        Some(diagnosis.trained_length)
    }

    /// What a run of what the run bar says would take, in words: known of a model that has been read with.
    pub fn estimate(&self) -> String {
        let Settings { model, tokens, policies, .. } = &self.settings;
        let inputs = self.inputs.as_ref().filter(|inputs| inputs.settings.model == *model);
        let Some(inputs) = inputs else {
            return "Time and memory of a run are told once its model is loaded.".to_owned();
        };
        let config = inputs.decoder.config();
        let specs = policies.iter().map(|text| PolicySpec::parse(text.trim(), config.trained_length));
        let Ok(specs) = specs.collect::<Result<Vec<_>, _>>() else { return String::new() };
        // A text that has been read to its end has no more.
        let ended = inputs.tokens.state() == text_tokens::State::Ended && !self.settings.repeat;
        let same = self.settings.same_text(&inputs.settings) && !inputs.settings.repeat;
        let known = inputs.tokens.len() as u64;
        let tokens =
            if ended && same && known < inputs.settings.tokens { known.min(*tokens) } else { *tokens };
        let memory = size(pace::bytes(config, &specs, tokens));
        let seconds = inputs.paced(|pace| pace.seconds(config, &specs, 0, tokens));
        let tokens = grouped(tokens);
        match seconds {
            Some(seconds) => {
                format!(
                    "A run over {tokens} tokens takes about {} and {memory} beside the model.",
                    time(seconds)
                )
            }
            None => format!("A run over {tokens} tokens takes about {memory} beside the model."),
        }
    }

    /// Tokens that were asked for in the run on screen.
    pub fn asked(&self) -> Option<u64> {
        self.inputs.as_ref().map(|inputs| inputs.settings.tokens)
    }

    /// The pane of the open tab.
    pub fn pane(&self) -> Option<&dyn Pane> {
        self.panes.get(self.tab.index()).map(Box::as_ref)
    }

    /// Whether the run waits.
    pub fn is_paused(&self) -> bool {
        self.job.as_ref().is_some_and(Job::is_paused)
    }
}
