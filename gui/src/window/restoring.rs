//! How the window opens: as the command line asks for, or as it was left.

use std::path::PathBuf;

use lm_infinite::hub;
use serde::Deserialize;

use super::Window;
use super::state::State;
use crate::args::Theme;
use crate::command::Command;
use crate::memory::Memory;
use crate::tab::Tab;
use crate::tour::Tour;
use crate::workbench::{Layout, Saved, Workbench};

impl Window {
    /// Opens as it was left, and keeps how it is left at `path`. What was asked for in the command line goes first: the
    /// run bar and the tab come back only where there was `nothing_asked`. At the first start the tour is offered.
    pub fn remember(&mut self, path: PathBuf, memory: Memory, damage: Option<String>, nothing_asked: bool) {
        if let Some(first) = &mut self.first {
            let dark = memory.dark.map(|dark| if dark { Theme::Dark } else { Theme::Light });
            first.theme = first.theme.or(dark);
            first.zoom = memory.zoom.filter(|zoom| (0.2..=5.0).contains(zoom));
            if let Some(settings) = memory.settings.clone().filter(|_| nothing_asked) {
                // Large models are not read before somebody says so.
                first.begin = settings.model == hub::DEFAULT_MODEL;
                self.state.settings = settings.usable();
                if memory.text_was_pasted {
                    let text = self.state.settings.text_name();
                    let words = format!("The text was pasted, and such a text is not kept: this is {text}.");
                    self.state.unkept = Some(words);
                }
            }
        }
        self.state.said = damage;
        if nothing_asked {
            self.restore(&memory);
        }
        if !memory.tour_offered {
            self.state.tour = Tour::Offered;
        }
        self.state.panels = memory.panels;
        (self.state.recent, self.state.marks) = (memory.recent.clone(), memory.marks.clone());
        self.state.heads.pins = memory.pins.iter().copied().take(8).collect();
        self.memory = Memory { tour_offered: true, ..memory };
        self.memory_path = Some(path);
    }

    /// The tiles as they were left.
    fn restore(&mut self, memory: &Memory) {
        let layout = memory.layout.as_deref().and_then(Layout::named).unwrap_or_default();
        let mut bench = Workbench::new(layout);
        if let Some(tiles) = &memory.tiles {
            let saved = Saved::deserialize(tiles).map_err(|e| e.to_string());
            match saved.and_then(|saved| Workbench::restored(&saved, layout)) {
                Ok(restored) => bench = restored,
                Err(reason) => {
                    let words = format!(
                        "The arrangement of tiles could not be restored, so it is that of {}: {reason}",
                        layout.name()
                    );
                    self.state.said.get_or_insert(words);
                }
            }
        }
        if let Some(tab) = memory.tab.as_deref().and_then(Tab::named) {
            bench.show(tab);
        }
        self.state.panes.iter_mut().for_each(|(_, pane)| pane.obey(&Command::Layout(layout)));
        self.state.bench = bench;
    }

    /// How it would be opened again.
    pub fn memory(&self) -> Memory {
        let State { bench, panels, settings, recent, marks, heads, .. } = &self.state;
        Memory {
            tab: Some(bench.front.name().to_owned()),
            layout: Some(bench.layout.name().to_owned()),
            tiles: bench.saved().and_then(|saved| serde_json::to_value(saved).ok()),
            panels: *panels,
            settings: Some(settings.clone()),
            text_was_pasted: settings.pasted.is_some(),
            recent: recent.clone(),
            marks: marks.clone(),
            pins: heads.pins.clone(),
            ..self.memory.clone()
        }
    }
}
