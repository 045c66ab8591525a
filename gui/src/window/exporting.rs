//! Maps as they are on screen, for the export.

use std::sync::Arc;

use eframe::egui::Visuals;

use super::state::State;
use crate::export::{PlaceFile, ShownMap, Wanted};
use crate::tab::Tab;

impl State {
    /// Maps that are on screen.
    pub fn shown_maps(&self) -> Vec<ShownMap> {
        let on_screen = self.owners().contains(&Tab::Map);
        let pane = self.pane(Tab::Map).filter(|_| on_screen);
        pane.zip(self.shown()).map_or_else(Vec::new, |(pane, shown)| pane.places(&shown))
    }

    /// The same, with the map that is on screen where it is asked for.
    pub fn as_shown(&self, wanted: Wanted, visuals: &Visuals) -> Wanted {
        let Wanted::Shown(map, form) = wanted else { return wanted };
        let pane = self.pane(Tab::Map).zip(self.shown());
        let place = pane.and_then(|(pane, shown)| pane.place(&shown, map, visuals));
        place.map_or(wanted, |place| Wanted::Place(PlaceFile(Arc::new(place)), form))
    }
}
