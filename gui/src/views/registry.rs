//! Which pane stands behind a tile. A new one is a name in [`Tab`] and a line here.

use super::pane::Pane;
use super::{causes, curves, features, generate, map, multiples, text, theory};
use crate::tab::Tab;

/// What stands behind the tiles.
pub type Panes = Vec<(Tab, Box<dyn Pane>)>;

/// Empty ones.
pub fn panes() -> Panes {
    vec![
        (Tab::Curves, curves::pane()),
        (Tab::Map, map::pane()),
        (Tab::Features, features::pane()),
        (Tab::Text, text::pane()),
        (Tab::Generate, generate::pane()),
        (Tab::Theory, theory::pane()),
        (Tab::AllMaps, multiples::pane()),
        (Tab::Causes, causes::pane()),
    ]
}

/// Whose pane stands behind a tile: both maps are of one, which shows one place. The heads are chosen for all panes, and no pane.
pub fn owner(tab: Tab) -> Tab {
    if tab == Tab::MapB { Tab::Map } else { tab }
}
