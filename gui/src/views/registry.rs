//! Which pane stands behind a tab. A new one is a name in [`Tab`] and a line here.

use super::pane::Pane;
use super::{curves, features, generate, map, text, theory};
use crate::tab::Tab;

/// An empty pane for a tab.
pub fn pane(tab: Tab) -> Box<dyn Pane> {
    match tab {
        Tab::Curves => curves::pane(),
        Tab::Map => map::pane(),
        Tab::Features => features::pane(),
        Tab::Text => text::pane(),
        Tab::Generate => generate::pane(),
        Tab::Theory => theory::pane(),
    }
}
