//! What is on screen. Drawing reads it; [`Window`](super::Window) alone changes it, between frames.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use lm_infinite::diagnose::Diagnosis;
use lm_infinite::hub::ListedModel;
use lm_infinite::model::ModelConfig;
use lm_infinite::policy::PolicySpec;

use super::checked::Checked;
use super::history::{History, OpenedFolder};
use super::place::Place;
use crate::command::Command;
use crate::export::Origin;
use crate::inputs::Inputs;
use crate::job::{Job, Progress};
use crate::notes::Marks;
use crate::opening::Opening;
use crate::pace;
use crate::recent::Recent;
use crate::settings::Settings;
use crate::steps::Steps;
use crate::tab::Tab;
use crate::text_tokens;
use crate::tour::Tour;
use crate::views::ask::Ask;
use crate::views::caption::Caption;
use crate::views::export::{Exportable, Panel};
use crate::views::heads::Heads;
use crate::views::inspector::Inspector;
use crate::views::pair::Pair;
use crate::views::palette::typed::Typed;
use crate::views::pane::Pane;
use crate::views::pull;
use crate::views::registry::{self, Panes};
use crate::views::rows::Compared;
use crate::views::shown::{Hidden, Hover, Shown};
use crate::views::timeline::Timeline;
use crate::words::{grouped, size, time};
use crate::workbench::{Panels, Workbench};

/// What is on screen.
pub struct State {
    /// What the run bar says.
    pub settings: Settings,
    /// Why the last change of a parameter of a policy was refused, if it was.
    pub refused: Vec<Option<String>>,
    /// Models that have a name, and which of them can be used at once.
    pub listed: Vec<ListedModel>,
    /// The small window that downloads others.
    pub pull: pull::Panel,
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
    /// What the pointer was over in the last frame.
    pub hover: Option<Hover>,
    /// The marked query: the cursor of the timeline.
    pub mark: Option<u64>,
    /// It is being dragged.
    pub dragged: bool,
    /// Where it is while it is played, with a fraction.
    pub playing: Option<f64>,
    /// The range that was chosen.
    pub range: Option<Range<u64>>,
    /// Runs of this session that are not on screen.
    pub history: History,
    /// Policies that are not drawn.
    pub hidden: Hidden,
    /// Policies whose details are not drawn.
    pub folded: Hidden,
    /// Differences are of these two.
    pub pair: Pair,
    /// The earlier runs of these two.
    pub earlier: Vec<Compared>,
    /// Another number whenever they are others.
    pub compared_version: u64,
    /// What is known of whether they read the same.
    pub checked: Checked,
    /// When the newest run was begun.
    pub since: Option<Instant>,
    /// Runs that were read for a moment only, since a setting changed.
    pub superseded: BTreeSet<u64>,
    /// The timeline.
    pub timeline: Timeline,
    /// The inspector.
    pub inspector: Inspector,
    /// The tiles, and the one in front.
    pub bench: Workbench,
    /// The window has room for one tile at a time.
    pub narrow: bool,
    /// Which side panels are open.
    pub panels: Panels,
    /// What stands behind the tiles.
    pub panes: Panes,
    /// What there is to say of how the window was left, if it could not be restored.
    pub said: Option<String>,
    /// That the text of the last start was not kept, until another is chosen or this one is run.
    pub unkept: Option<String>,
    /// Why how it is left cannot be kept.
    pub unsaved: Option<String>,
    /// What came of the last command, until the next one.
    pub told: Option<String>,
    /// The small window that asks.
    pub ask: Ask,
    /// The small window of the export.
    pub export: Panel,
    /// Where the tour is.
    pub tour: Tour,
    /// The list of keys is open.
    pub help: bool,
    /// What is typed into the palette of commands, while it is open.
    pub palette: Option<Typed>,
    /// Changes of settings.
    pub undo: Steps<Settings>,
    /// Where the reader looked.
    pub places: Steps<Place>,
    /// Models, texts and folders that were used last.
    pub recent: Recent,
    /// Marks in texts.
    pub marks: Marks,
}

impl State {
    /// Nothing read yet.
    pub fn new(settings: Settings, bench: Workbench) -> Self {
        let mut panes = registry::panes();
        panes.iter_mut().for_each(|(_, pane)| pane.obey(&Command::Layout(bench.layout)));
        Self {
            refused: vec![None; settings.policies.len()],
            folded: Hidden::folded(settings.policies.len()),
            settings,
            listed: Vec::new(),
            pull: pull::Panel::default(),
            job: None,
            begun: 0,
            number: 0,
            progress: None,
            diagnosis: None,
            inputs: None,
            folder: None,
            opening: Opening::default(),
            heads: Heads::default(),
            hover: None,
            mark: None,
            dragged: false,
            playing: None,
            range: None,
            history: History::default(),
            hidden: Hidden::default(),
            pair: Pair::default(),
            earlier: Vec::new(),
            compared_version: 0,
            checked: Checked::default(),
            since: None,
            superseded: BTreeSet::new(),
            timeline: Timeline::default(),
            inspector: Inspector::default(),
            bench,
            narrow: false,
            panels: Panels::default(),
            panes,
            said: None,
            unkept: None,
            unsaved: None,
            told: None,
            ask: Ask::default(),
            export: Panel::default(),
            tour: Tour::Closed,
            help: false,
            palette: None,
            undo: Steps::default(),
            places: Steps::default(),
            recent: Recent::default(),
            marks: Marks::default(),
        }
    }

    /// What the views show, once there is a result.
    pub fn shown(&self) -> Option<Shown<'_>> {
        let diagnosis = self.diagnosis.as_ref()?;
        let mark = self.mark.filter(|&query| query < diagnosis.tokens);
        let (inputs, head, hover) = (self.inputs.as_ref(), self.heads.choice.head, self.hover);
        let (tab, narrow, inspected) = (self.bench.front, self.narrow, self.panels.inspector(self.narrow));
        let within = |range: &Range<u64>| range.start < range.end && range.end <= diagnosis.tokens;
        let range = self.range.clone().filter(within);
        let moving = self.dragged || self.playing.is_some();
        Some(Shown {
            diagnosis,
            inputs,
            head,
            pins: &self.heads.pins,
            hover,
            mark,
            range,
            moving,
            hidden: self.hidden,
            pair: self.pair.within(diagnosis.runs.len()),
            earlier: &self.earlier,
            version: self.compared_version,
            tab,
            narrow,
            inspected,
        })
    }

    /// What can be exported, once there is a result.
    pub fn exportable(&self) -> Option<Exportable<'_>> {
        let made = self.inputs.clone().map(Origin::Inputs);
        Some(Exportable {
            diagnosis: self.diagnosis.as_ref()?,
            head: self.heads.choice.head,
            origin: made.or_else(|| self.folder.as_ref().map(|folder| Origin::Folder(folder.info.clone()))),
            of: self.caption().map_or_else(String::new, |caption| caption.words),
            maps: self.shown_maps(),
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

    /// The model that the run bar names, where it is known.
    pub fn config(&self) -> Option<&ModelConfig> {
        let model = match (&self.inputs, &self.folder) {
            (Some(inputs), _) => inputs.settings.model.as_str(),
            (None, Some(folder)) => folder.info.model.name.as_str(),
            (None, None) => return None,
        };
        let diagnosis = self.diagnosis.as_ref().filter(|_| model == self.settings.model)?;
        Some(&diagnosis.config)
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

    /// Models that can be used at once.
    pub fn models(&self) -> Vec<&'static str> {
        self.listed.iter().filter(|model| model.present).map(|model| model.name).collect()
    }

    /// What stands behind a tile, but for the heads.
    pub fn pane(&self, tab: Tab) -> Option<&dyn Pane> {
        let owner = registry::owner(tab);
        self.panes.iter().find(|(of, _)| *of == owner).map(|(_, pane)| pane.as_ref())
    }

    /// Whose panes are on screen, each once.
    pub fn owners(&self) -> Vec<Tab> {
        let visible = self.bench.visible(self.narrow);
        let owners = visible.into_iter().map(registry::owner);
        let mut owners: Vec<_> = owners.collect();
        owners.sort_by_key(|tab| tab.index());
        owners.dedup();
        owners
    }

    /// Tells every pane of a command.
    pub fn tell(&mut self, command: &Command) {
        self.panes.iter_mut().for_each(|(_, pane)| pane.obey(command));
    }

    /// Whether the run was stopped before its end.
    pub fn is_stopped(&self) -> bool {
        self.job.as_ref().is_some_and(Job::is_stopped)
    }

    /// Why a run that was stopped cannot go on: what it reads is not what the run bar says.
    pub fn cannot_resume(&self) -> Option<&'static str> {
        let other = self.is_stopped() && !self.job.as_ref().is_some_and(|job| job.is_of(&self.settings));
        other.then_some(
            "Settings were changed after Stop: Run (Ctrl+R) begins anew with them, Undo (Ctrl+Z) takes them back, so that the run \
             can be resumed",
        )
    }

    /// Whether the run waits.
    pub fn is_paused(&self) -> bool {
        self.job.as_ref().is_some_and(Job::is_paused)
    }
}
