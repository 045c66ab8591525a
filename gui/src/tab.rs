//! The tabs of the central area.

use eframe::egui::Ui;

use crate::command::Command;
use crate::views::{Shown, curves, features, generate, map, text, theory};

/// A tab of the central area. A new one is a name here and a line in [`TABS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tab {
    /// Loss, logits and entropy.
    Curves,
    /// Attention maps of the chosen head.
    Map,
    /// Hidden states by layer.
    Features,
    /// The text, coloured.
    Text,
    /// What both policies go on with.
    Generate,
    /// The paper's statements.
    Theory,
}

/// What a tab shows; it may keep what it needs from frame to frame.
pub trait View {
    /// Draws, and pushes what the reader asks for.
    fn show(&mut self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>);

    /// Whether it is still working on what it shows: a picture of the window waits for it.
    fn is_busy(&self) -> bool {
        false
    }
}

/// How a tab is listed and made.
pub struct Entry {
    /// Which.
    pub tab: Tab,
    /// What it is called.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub help: &'static str,
    /// An empty one.
    pub make: fn() -> Box<dyn View>,
}

/// All tabs, in the order of the number keys.
pub const TABS: &[Entry] = &[
    entry(Tab::Curves, "Curves", "Loss, logits and entropy of A and B", curves::view),
    entry(Tab::Map, "Map", "Where the chosen head looks, under A and B", map::view),
    entry(Tab::Features, "Features", "Hidden states by layer, in one frame for A and B", features::view),
    entry(Tab::Text, "Text", "The text, coloured by loss or by attention", text::view),
    entry(Tab::Generate, "Generate", "What A and B go on with after a long prompt", generate::view),
    entry(
        Tab::Theory,
        "Theory",
        "The paper's statements, of the chosen head and of drawn numbers",
        theory::view,
    ),
];

const fn entry(tab: Tab, name: &'static str, help: &'static str, make: fn() -> Box<dyn View>) -> Entry {
    Entry { tab, name, help, make }
}

impl Tab {
    /// The tab of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        TABS.iter().find(|entry| entry.name.eq_ignore_ascii_case(name)).map(|entry| entry.tab)
    }
}
