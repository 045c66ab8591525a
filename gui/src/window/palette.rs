//! What the palette of commands has: everything that can be asked for now.

use lm_infinite::causes::Place;
use lm_infinite::diagnose::head_name;
use lm_infinite::policy::PRESETS;

use super::state::State;
use crate::command::Command;
use crate::notes;
use crate::settings::Settings;
use crate::tab::Tab;
use crate::tour::Tour;
use crate::views::ask::question::{Asked, Question};
use crate::views::causes::model::Change;
use crate::views::palette::Entry;
use crate::views::pull::change as pull;
use crate::views::runs::Named;
use crate::views::runs::follow::refusal;
use crate::words::grouped;
use crate::workbench::Layout;

/// Heads that have an entry each; of a model with more, they are chosen in the grid.
const HEADS: usize = 2048;

impl State {
    /// All commands, by their names.
    pub fn entries(&self, dark: bool) -> Vec<Entry> {
        let mut all = self.of_the_run();
        all.extend(Tab::ALL.map(|tab| Entry::new(format!("Show {}", tab.name()), "", Command::Show(tab))));
        let keys = ["F2", "F3", "F4"];
        all.extend(Layout::ALL.into_iter().zip(keys).map(|(layout, keys)| {
            Entry::new(format!("Layout {}", layout.name()), keys, Command::Layout(layout))
        }));
        let ask = |name: &str, asked: Asked, typed: &str| {
            let question = Question { asked, typed: typed.to_owned() };
            Entry::new(name, "", Command::Ask(question))
        };
        let panels = self.panels;
        all.extend([
            ask("Open model…", Asked::Model, &self.settings.model),
            Entry::new("Pull model…", "", Command::Pull(pull::Change::Open(true))),
            ask("Open text…", Asked::Text, &self.settings.text),
            ask("Paste text…", Asked::Paste, ""),
            Entry::new("Open results…", "Ctrl O", Command::AskForResults),
            Entry::new(
                "Show or hide the runs",
                "Ctrl B",
                Command::Panels(panels.with_runs(!panels.runs(self.narrow))),
            ),
            Entry::new(
                "Show or hide the inspector",
                "Ctrl I",
                Command::Panels(panels.with_inspector(!panels.inspector(self.narrow))),
            ),
            Entry::new(if dark { "Light" } else { "Dark" }, "", Command::Dark(!dark)),
            Entry::new("Keys", "F1", Command::Help(true)),
            Entry::new("Tour", "", Command::Tour(Tour::BEGIN)),
        ]);
        all.extend(self.unread().into_iter().map(|offer| Entry::new(offer.name, "", offer.command)));
        all.extend(self.steps_entries());
        all.extend(self.recent_entries());
        all.extend(PRESETS.iter().map(|(name, _)| {
            let add = Command::AddPolicy((*name).to_owned());
            Entry::new(format!("Add policy {name}"), "", add).unless(refusal(self.config(), name))
        }));
        all.extend(self.of_the_result());
        all
    }

    fn of_the_run(&self) -> Vec<Entry> {
        let running = self.progress.as_ref().is_some_and(|progress| !progress.finished);
        let mut all = vec![Entry::new("Run", "Ctrl R", Command::Run)];
        let waits = self.is_paused() || self.is_stopped();
        if running || self.is_stopped() {
            let pause = Entry::new(if waits { "Resume" } else { "Pause" }, "Space", Command::Pause);
            all.push(pause.unless(self.cannot_resume().map(str::to_owned)));
        }
        if running {
            all.push(Entry::new("Stop", "", Command::Stop));
            if self.is_paused() {
                all.push(Entry::new("Step", "S", Command::Step));
            }
        }
        all
    }

    fn steps_entries(&self) -> Vec<Entry> {
        let (undo, redo) = self.undo.can();
        let (back, forward) = self.places.can();
        let all = [
            (undo, Entry::new("Undo the last change of settings", "Ctrl Z", Command::Undo)),
            (redo, Entry::new("Redo the change of settings", "Ctrl Shift Z", Command::Redo)),
            (back, Entry::new("Back to where you looked before", "Alt ←", Command::Back)),
            (forward, Entry::new("Forward", "Alt →", Command::Forward)),
        ];
        all.into_iter().filter(|(can, _)| *can).map(|(_, entry)| entry).collect()
    }

    /// Models, texts and folders that were used before.
    fn recent_entries(&self) -> Vec<Entry> {
        let settings = |change: &dyn Fn(&mut Settings)| {
            let mut settings = self.settings.clone();
            change(&mut settings);
            Command::Settings(settings)
        };
        let model = |name: &String| {
            let command = settings(&|settings| settings.model.clone_from(name));
            Entry::new(format!("Model {name}"), "", command)
        };
        let text = |path: &String| {
            let command = settings(&|settings| (settings.text, settings.pasted) = (path.clone(), None));
            Entry::new(format!("Text {path}"), "", command)
        };
        let folder = |path: &String| {
            Entry::new(format!("Results {path}"), "", Command::OpenResults(path.clone().into()))
        };
        let known = self.models().into_iter().map(str::to_owned);
        let mut models: Vec<String> = self.recent.models.clone();
        models.extend(known.filter(|name| !self.recent.models.contains(name)));
        let texts = self.recent.texts.iter();
        models
            .iter()
            .map(model)
            .chain(texts.map(text))
            .chain(self.recent.folders.iter().map(folder))
            .collect()
    }

    /// What can be done with what is on screen.
    fn of_the_result(&self) -> Vec<Entry> {
        let Some(diagnosis) = &self.diagnosis else { return Vec::new() };
        let play = if self.playing.is_some() { "Stop playing" } else { "Play" };
        let mut all = vec![
            Entry::new("Export…", "Ctrl E", Command::ToggleExport),
            Entry::new("Copy as command", "", Command::CopyCommand(None)),
            Entry::new(play, "P", Command::Play(self.playing.is_none())),
            Entry::new(
                "Go to the training length",
                "",
                Command::Mark(Some(diagnosis.trained_length.min(diagnosis.tokens.saturating_sub(1)))),
            ),
            Entry::new("All heads", "", Command::Head(None)),
        ];
        if let Some(token) = self.mark {
            all.push(Entry::new("Let the cursor go", "", Command::Mark(None)));
            let words = format!("Mark token {}", grouped(token));
            all.push(Entry::new(words, "Ctrl M", Command::Note(notes::Change::Add(token))));
        }
        for mark in self.shown_marks() {
            let name = format!("Go to mark {} {}", grouped(mark.token), mark.note);
            all.push(Entry::new(name.trim_end(), "", Command::Mark(Some(mark.token))));
        }
        for Named { number, name, .. } in self.history.named() {
            all.push(Entry::new(format!("Show {name}"), "", Command::Recall(number)));
        }
        let (layers, heads) = (diagnosis.config.layers, diagnosis.config.heads);
        if layers * heads <= HEADS {
            let heads = (0..layers * heads).map(|at| (at / heads, at % heads));
            all.push(Entry::new("Find causes", "", Command::Causes(Change::Start)));
            for head in heads {
                let (name, (layer, number)) = (head_name(head), head);
                all.push(Entry::new(format!("Head {name}"), "", Command::Head(Some(head))));
                let mend = Change::Toggle(Place { layer, head: Some(number) });
                all.push(Entry::new(format!("Mend {name}, or do not any more"), "", Command::Causes(mend)));
            }
        }
        all
    }
}
