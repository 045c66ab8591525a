//! What is taken back: changes of settings, and where the reader looked.

use std::time::Instant;

use super::place::Place;
use super::state::State;
use crate::notes::Mark;
use crate::recent;
use crate::settings::Settings;

impl State {
    /// Notes how things are, once a frame.
    pub fn note_steps(&mut self, at: Instant) {
        self.undo.note(&self.settings, at);
        // What is dragged or played is on its way.
        if !self.dragged && self.playing.is_none() {
            let (tab, head) = (self.bench.front, self.heads.choice.head);
            let place = Place { tab, head, mark: self.mark, range: self.range.clone() };
            self.places.note(&place, at);
        }
    }

    /// The settings before the last change of them, or after it again.
    pub fn undo(&mut self, back: bool) {
        let settings = if back { self.undo.back() } else { self.undo.forward() };
        if let Some(settings) = settings {
            self.set_settings(settings);
        }
    }

    /// All settings at once.
    pub fn set_settings(&mut self, settings: Settings) {
        self.set_policies(settings.policies.iter().cloned());
        self.settings = settings;
    }

    /// Where the reader looked before, or after that again.
    pub fn go(&mut self, back: bool) {
        let place = if back { self.places.back() } else { self.places.forward() };
        let Some(Place { tab, head, mark, range }) = place else { return };
        if tab != self.bench.front {
            self.bench.show(tab);
        }
        (self.heads.choice.head, self.range) = (head, range);
        self.put_cursor(mark, false);
    }

    /// Marks of the text on screen.
    pub fn shown_marks(&self) -> Vec<Mark> {
        self.marked_text().map_or_else(Vec::new, |(model, text)| self.marks.of(&model, &text))
    }

    /// The model and the text on screen, by which marks are kept; a pasted text has no name that would find it again.
    pub fn marked_text(&self) -> Option<(String, String)> {
        match (&self.inputs, &self.folder) {
            (Some(inputs), _) if inputs.settings.pasted.is_none() => {
                Some((inputs.model.clone(), inputs.settings.text_name().to_owned()))
            }
            (None, Some(folder)) => Some((folder.info.model.name.clone(), folder.info.text.name.clone())),
            _ => None,
        }
    }

    /// Notes what a run reads, once it is known to be readable.
    pub fn note_used(&mut self) {
        let Some(inputs) = &self.inputs else { return };
        let Settings { model, text, pasted, .. } = &inputs.settings;
        recent::used(&mut self.recent.models, model);
        if pasted.is_none() {
            recent::used(&mut self.recent.texts, text.trim());
        }
    }
}
