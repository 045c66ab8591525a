//! The arrangements that ship.

use serde::{Deserialize, Serialize};

use super::saved::Saved;
use crate::tab::Tab;

/// An arrangement that ships.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// The loss, in a sentence.
    #[default]
    Learn,
    /// Every head, and the maps of one.
    Heads,
    /// The text, and the curves beside it.
    Text,
}

impl Layout {
    /// All, in the order of the buttons.
    pub const ALL: [Self; 3] = [Self::Learn, Self::Heads, Self::Text];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Learn => "Learn",
            Self::Heads => "Heads",
            Self::Text => "Text",
        }
    }

    /// What it is for.
    pub fn help(self) -> &'static str {
        match self {
            Self::Learn => "What breaks, in one curve and one sentence (F2)",
            Self::Heads => "Every head, and the maps of the chosen one (F3)",
            Self::Text => "The text, token by token, and the curves (F4)",
        }
    }

    /// The layout of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name().eq_ignore_ascii_case(name))
    }

    /// The layout in which a tile has most room.
    pub fn of(tab: Tab) -> Self {
        match tab {
            Tab::Map | Tab::MapB | Tab::Heads | Tab::AllMaps => Self::Heads,
            Tab::Text => Self::Text,
            Tab::Curves | Tab::Features | Tab::Generate | Tab::Theory | Tab::Causes => Self::Learn,
        }
    }

    /// What it is made for.
    pub fn front(self) -> Tab {
        match self {
            Self::Learn => Tab::Curves,
            Self::Heads => Tab::Heads,
            Self::Text => Tab::Text,
        }
    }

    /// How its tiles are arranged.
    pub(super) fn saved(self) -> Saved {
        let tile = |tab: Tab| Saved::Tile(tab);
        let tabs = |tabs: Vec<Saved>| Saved::Tabs { tabs, active: 0 };
        let alone = |tab: Tab| tabs(vec![tile(tab)]);
        let maps = || Saved::Row(vec![(1.0, alone(Tab::Map)), (1.0, alone(Tab::MapB))]);
        let rest = [Tab::Causes, Tab::Features, Tab::Generate, Tab::Theory].map(tile);
        match self {
            Self::Learn => {
                let first =
                    [tile(Tab::Curves), tile(Tab::Heads), maps(), tile(Tab::AllMaps), tile(Tab::Text)];
                tabs(first.into_iter().chain(rest).collect())
            }
            Self::Heads => {
                let below = [Tab::Curves, Tab::AllMaps, Tab::Text].map(tile);
                let below = tabs(below.into_iter().chain(rest).collect());
                let right = Saved::Column(vec![(1.25, maps()), (0.75, below)]);
                Saved::Row(vec![(0.5, alone(Tab::Heads)), (1.5, right)])
            }
            Self::Text => {
                // As many names as there is room for in a window of 1,280 points.
                let main = tabs([Tab::Text, Tab::Generate, Tab::Features, Tab::Theory].map(tile).to_vec());
                let side =
                    [tile(Tab::Curves), tile(Tab::Heads), maps(), tile(Tab::AllMaps), tile(Tab::Causes)];
                Saved::Row(vec![(1.2, main), (0.8, tabs(side.to_vec()))])
            }
        }
    }
}
