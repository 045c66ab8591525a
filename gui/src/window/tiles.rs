//! The tiles, as they are arranged. Drawing works on a copy of the arrangement: what the reader changes in it is a command.

use eframe::egui::{Frame, Margin, Response, Ui, Visuals, WidgetText};
use egui_tiles::{Behavior, SimplificationOptions, TabState, Tile, TileId, Tiles, UiResponse};

use super::state::State;
use crate::command::Command;
use crate::tab::Tab;
use crate::theme;
use crate::tour::{self, Part};
use crate::views::shown::Shown;

/// Height of a row of tabs.
const TABS: f32 = 22.0;

/// Draws all tiles that are on screen.
pub fn show(state: &State, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
    let mut drawing = Drawing { state, shown, commands };
    if state.narrow {
        return state.bench.tabs().ui(&mut drawing, ui);
    }
    let mut tiles = state.bench.tiles.clone();
    tiles.ui(&mut drawing, ui);
    if tiles != state.bench.tiles {
        commands.push(Command::Arrange(tiles));
    }
}

struct Drawing<'a> {
    state: &'a State,
    shown: &'a Shown<'a>,
    commands: &'a mut Vec<Command>,
}

impl Drawing<'_> {
    fn tile(&mut self, ui: &mut Ui, tab: Tab) {
        let (state, shown) = (self.state, Shown { tab, ..self.shown.clone() });
        let Some(pane) = state.pane(tab) else {
            let heads = ui.scope(|ui| state.heads.show(ui, shown.rows(), shown.pair, self.commands));
            tour::mark(ui.ctx(), Part::Heads, heads.response.rect);
            if heads.inner != state.heads.choice {
                self.commands.push(Command::Heads(heads.inner));
            }
            return;
        };
        pane.show(ui, &shown, self.commands);
    }
}

impl Behavior<Tab> for Drawing<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile: TileId, tab: &mut Tab) -> UiResponse {
        let rect = ui.max_rect();
        ui.painter().rect_filled(rect, 0.0, ui.visuals().panel_fill);
        // Tiles of one kind are told apart by their names.
        ui.push_id(tab.name(), |ui| {
            Frame::NONE.inner_margin(Margin::symmetric(6, 3)).show(ui, |ui| self.tile(ui, *tab));
        });
        if let Some(caption) = self.state.caption() {
            caption.veil(ui, rect);
        }
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, tab: &Tab) -> WidgetText {
        let runs = self.shown.diagnosis.runs.len();
        let named = |first: usize| {
            let names: Vec<_> = (first..runs).step_by(2).map(theme::name).collect();
            if names.len() > 1 { format!("Maps {}", names.join(", ")) } else { tab.name().to_owned() }
        };
        match tab {
            Tab::Map if self.state.narrow => "Maps".into(),
            Tab::Map => named(0).into(),
            Tab::MapB => named(1).into(),
            tab => tab.name().into(),
        }
    }

    fn tab_title_for_tile(&mut self, tiles: &Tiles<Tab>, tile: TileId) -> WidgetText {
        let panes = panes(tiles, tile);
        match panes[..] {
            [only] => self.tab_title_for_pane(&only),
            [Tab::Map, Tab::MapB] => "Maps".into(),
            _ => panes.iter().map(|tab| tab.name()).collect::<Vec<_>>().join(", ").into(),
        }
    }

    fn on_tab_button(&mut self, tiles: &mut Tiles<Tab>, tile: TileId, button: Response) -> Response {
        let Some(&tab) = panes(tiles, tile).first() else { return button };
        if button.clicked() {
            self.commands.push(Command::Show(tab));
        }
        // The tenth has the key behind that of the ninth.
        let number = (tab.index() + 1) % 10;
        button.on_hover_text(format!("{} (key {number}); drag to move it", tab.help()))
    }

    fn tab_bar_height(&self, _style: &eframe::egui::Style) -> f32 {
        TABS
    }

    fn gap_width(&self, _style: &eframe::egui::Style) -> f32 {
        3.0
    }

    fn tab_text_color(
        &self,
        visuals: &Visuals,
        _tiles: &Tiles<Tab>,
        _tile: TileId,
        state: &TabState,
    ) -> eframe::egui::Color32 {
        if state.active { visuals.strong_text_color() } else { visuals.text_color() }
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }
}

/// The panes in a tile, in their order.
fn panes(tiles: &Tiles<Tab>, tile: TileId) -> Vec<Tab> {
    match tiles.get(tile) {
        Some(Tile::Pane(tab)) => vec![*tab],
        Some(Tile::Container(container)) => {
            container.children().flat_map(|&child| panes(tiles, child)).collect()
        }
        None => Vec::new(),
    }
}
