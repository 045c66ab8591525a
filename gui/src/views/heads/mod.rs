//! The heads: a grid, coloured by a measure of a policy or of the difference of two, by layer or the strongest first; or a table of
//! every measure. Some can be pinned, to be compared.

mod filter;
mod layout;
pub mod listing;
mod missing;
pub mod model;
mod paint;
mod pins;
mod table;

use std::sync::Arc;

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{
    Button, ComboBox, FontId, Grid, Key, Label, Response, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo,
    vec2,
};
use lm_infinite::diagnose::{Diagnosis, Head, RunMeasurement, head_name};

pub use self::model::{Choice, Measure, Order, Scale, Side, Table, View};

use self::layout::Layout;
use self::listing::Listing;
use super::data;
use super::memo::Memo;
use super::pair::{Pair, Row};
use super::rows::Rows;
use crate::command::Command;
use crate::export::{TableFile, Wanted};
use crate::theme;

/// What a table is made of, beside the diagnosis.
type Asked = (Measure, Side, Order, u64);

/// Room below the grid for the legend and the chosen head.
const BELOW: f32 = 92.0;
/// Width that the scroll bar takes.
const SCROLL_BAR: f32 = 14.0;

/// The grid: what is chosen in it, and its values.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    /// What is chosen.
    pub choice: Choice,
    table: Memo<Asked, Table>,
    /// What sorts the rows of the table, and which ones there are.
    pub rows: listing::Controls,
    /// Heads that are compared.
    pub pins: Vec<Head>,
    listing: Memo<(Side, listing::Controls, Vec<Head>, u64), Listing>,
}

impl Heads {
    /// Computes the table anew for another diagnosis or choice. A policy that the diagnosis does not have is not chosen any more.
    pub fn update(&mut self, rows: Rows<'_>, pair: Pair) {
        let diagnosis = rows.diagnosis;
        if self.choice.side.pair().is_some() {
            self.choice.side = Side::Difference(pair);
        }
        if !Side::all(rows, pair).any(|side| side == self.choice.side) {
            self.choice.side = Side::A;
        }
        let Choice { measure, side, order, .. } = self.choice;
        let table = || Table::new(rows, measure, side, order);
        self.table.update(diagnosis, (measure, side, order, rows.version), table);
        let (layers, heads) = (diagnosis.config.layers, diagnosis.config.heads);
        self.pins.retain(|&(layer, head)| layer < layers && head < heads);
        if self.choice.view == View::Table {
            let asked = (side, self.rows.clone(), self.pins.clone(), rows.version);
            self.listing.update(diagnosis, asked, || Listing::new(rows, side, &self.rows, &self.pins));
        }
    }

    /// Draws the grid and its menus; returns the choice after clicks and arrow keys.
    #[must_use]
    pub fn show(&self, ui: &mut Ui, of: Rows<'_>, pair: Pair, commands: &mut Vec<Command>) -> Choice {
        let mut choice = self.choice;
        menus(ui, of, pair, &mut choice);
        let pinned = ui.horizontal_wrapped(|ui| pins::show(ui, &self.pins, choice.head, commands));
        choice.head = pinned.inner.or(choice.head);
        if let Some(listing) = self.listing.value().filter(|_| choice.view == View::Table) {
            self.rows_ui(ui, listing, &mut choice, commands);
            return choice;
        }
        let Some(table) = self.table.value().filter(|table| !table.is_empty()) else {
            ui.label("The model has no heads.");
            return choice;
        };
        grid(ui, of.diagnosis, table, &mut choice);
        legend(ui, of, table, choice);
        match choice.head {
            None => {
                let help = "Click a head, or press an arrow key";
                ui.label("Curves: mean over all heads").on_hover_text(help);
            }
            Some(head) => {
                ui.strong(format!("Curves: {}", head_name(head)));
                let value = choice.measure.words(table.value(head));
                let words = format!("{}, {}: {value}", choice.measure.name(), choice.side.name());
                ui.add(Label::new(&words).truncate()).on_hover_text(words);
            }
        }
        choice
    }

    /// Every measure of every head that is listed.
    fn rows_ui(&self, ui: &mut Ui, listing: &Listing, choice: &mut Choice, commands: &mut Vec<Command>) {
        let mut rows = self.rows.clone();
        ui.horizontal_wrapped(|ui| {
            table::filter_ui(ui, listing, &mut rows);
            let help = "These rows, in this order, as a file for other programs";
            if ui.button("Save as CSV").on_hover_text(help).clicked() {
                let name = format!("heads_{}", choice.side.name().replace(" \u{2212} ", "_minus_"));
                let file = TableFile { name, extension: "csv", text: listing.csv().into() };
                commands.push(Command::Write(Wanted::Table(file)));
            }
        });
        data::mark(ui, ui.available_rect_before_wrap());
        let table::Done { chosen, pins, sort } = table::show(ui, listing, rows.sort, choice.head, &self.pins);
        choice.head = chosen.or(choice.head);
        commands.extend(pins.map(Command::Pins));
        rows.sort = sort.unwrap_or(rows.sort);
        if rows != self.rows {
            commands.push(Command::HeadRows(rows));
        }
    }
}

/// What colours a head.
fn measure(ui: &mut Ui, choice: &mut Choice) {
    let menu = ComboBox::from_id_salt("measure").selected_text(choice.measure.name()).truncate();
    let menu = menu.width((ui.available_width() - 8.0).min(230.0)).show_ui(ui, |ui| {
        for measure in Measure::ALL {
            ui.selectable_value(&mut choice.measure, measure, measure.name());
        }
    });
    menu.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, "Heads"));
    menu.response.on_hover_text("What colours a head");
}

fn menus(ui: &mut Ui, rows: Rows<'_>, pair: Pair, choice: &mut Choice) {
    ui.horizontal_wrapped(|ui| {
        // A table has every measure.
        if choice.view == View::Grid {
            measure(ui, choice);
        }
        for side in Side::all(rows, pair) {
            let help = match side {
                Side::Run(_) => format!("Heads under policy {}", side.name()),
                Side::Difference(pair) => {
                    let [first, second] = pair.rows().map(Row::words);
                    format!("What {first} has more than {second}")
                }
            };
            ui.selectable_value(&mut choice.side, side, side.name()).on_hover_text(help);
        }
        ui.selectable_value(&mut choice.view, View::Grid, "Grid").on_hover_text("A coloured tile for each");
        ui.selectable_value(&mut choice.view, View::Table, "Table")
            .on_hover_text("A row for each, with every measure: sorted, filtered, as CSV");
        if choice.view == View::Table {
            return;
        }
        ui.selectable_value(&mut choice.order, Order::Layers, "By layer")
            .on_hover_text("Rows are layers, columns are heads");
        ui.selectable_value(&mut choice.order, Order::Strongest, "Strongest first")
            .on_hover_text("Sorted by the measure");
        let all = ui.add_enabled(choice.head.is_some(), Button::new("All heads"));
        if all.on_hover_text("Curves show the mean over all heads").clicked() {
            choice.head = None;
        }
    });
}

fn grid(ui: &mut Ui, diagnosis: &Arc<Diagnosis>, table: &Table, choice: &mut Choice) {
    let height = (ui.available_height() - BELOW).max(160.0);
    let space = vec2(ui.available_width() - SCROLL_BAR, height);
    let layout = Layout::new(choice.order, table.layers, table.heads, space);
    let named = choice.order == Order::Strongest;
    ScrollArea::both().id_salt(("heads", named)).max_height(height).auto_shrink([false, true]).show(
        ui,
        |ui| {
            let (area, response) = ui.allocate_exact_size(layout.size(), Sense::click());
            response.widget_info(|| WidgetInfo::labeled(Role::Grid, true, "Head grid"));
            let origin = area.min;
            data::mark(ui, area);
            paint::tiles(ui, origin, &layout, table, choice.side, named);
            let moved = pressed(ui, &response, &layout, table, choice);
            if let Some(head) = choice.head
                && let Some(place) = table.place_of(head)
            {
                let rect = layout.rect(origin, place);
                paint::chosen(ui, rect);
                let cell = ui.interact(rect, response.id.with("chosen"), Sense::hover());
                let name = format!("Chosen head: {}", head_name(head));
                cell.widget_info(|| WidgetInfo::labeled(Role::Cell, true, &name));
                if moved {
                    ui.scroll_to_rect(rect, None);
                }
            }
            let under = response.hover_pos().and_then(|at| layout.place(origin, at));
            if let Some(head) = under.and_then(|place| table.head_at(place)) {
                response.on_hover_ui_at_pointer(|ui| {
                    let grid = Grid::new("head under the pointer").num_columns(1 + diagnosis.runs.len());
                    grid.spacing([12.0, 2.0]).show(ui, |ui| describe(ui, diagnosis, head));
                });
            }
        },
    );
}

/// Lets clicks and arrow keys choose; true if a key did.
fn pressed(ui: &Ui, response: &Response, layout: &Layout, table: &Table, choice: &mut Choice) -> bool {
    if response.clicked() {
        let at = response.interact_pointer_pos();
        let place = at.and_then(|at| layout.place(response.rect.min, at));
        if let Some(head) = place.and_then(|place| table.head_at(place)) {
            choice.head = Some(head);
        }
        response.request_focus();
    }
    // Arrow keys move the cursor where something is typed, and the slider that has the focus.
    if ui.ctx().memory(|memory| memory.focused().is_some_and(|id| id != response.id)) {
        return false;
    }
    ui.memory_mut(|memory| {
        let filter = eframe::egui::EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..Default::default()
        };
        memory.set_focus_lock_filter(response.id, filter);
    });
    const ARROWS: [(Key, isize, isize); 4] =
        [(Key::ArrowDown, 1, 0), (Key::ArrowUp, -1, 0), (Key::ArrowRight, 0, 1), (Key::ArrowLeft, 0, -1)];
    let mut moved = false;
    for (key, down, right) in ARROWS {
        if ui.input(|input| input.key_pressed(key)) {
            let place = choice.head.and_then(|head| table.place_of(head));
            choice.head = layout.moved(place, down, right).and_then(|place| table.head_at(place));
            moved = true;
        }
    }
    moved
}

/// The colour scale, and what its colours mean.
fn legend(ui: &mut Ui, rows: Rows<'_>, table: &Table, choice: Choice) {
    let Some(scale) = table.scale else {
        ui.add(Label::new(RichText::new(missing::of_all(rows, choice.measure, choice.side)).small()).wrap());
        return;
    };
    ui.add_space(4.0);
    let size = vec2((ui.available_width() - SCROLL_BAR).min(360.0), paint::legend_height());
    let (area, response) = ui.allocate_exact_size(size, Sense::hover());
    paint::legend(ui, area, &scale, choice);
    let words = |value: f64| choice.measure.words(Some(value));
    let name = format!(
        "Colours: {}, {}, from {} to {}",
        choice.measure.name(),
        choice.side.name(),
        words(scale.value(0.0)),
        words(scale.value(1.0))
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
    response.on_hover_text(name.as_str());
}

/// Every measure of one head, its values below its name: for a narrow column.
pub fn column(ui: &mut Ui, diagnosis: &Diagnosis, (layer, head): (usize, usize)) {
    let at = layer * diagnosis.config.heads + head;
    // A narrow column has no room for what the model has not.
    for measure in
        Measure::ALL.into_iter().filter(|&of| of != Measure::SinkMass || diagnosis.config.learned_sinks)
    {
        ui.label(RichText::new(measure.name()).weak());
        ui.horizontal_wrapped(|ui| {
            for (side, run) in diagnosis.runs.iter().enumerate() {
                // A name and its value are one word, so that no line ends between them.
                let (font, color) = (FontId::proportional(12.5), theme::side(ui.visuals(), side));
                let mut words = LayoutJob::default();
                words.append(theme::name(side), 0.0, TextFormat::simple(font.clone(), color));
                let value = value(diagnosis, run, measure, at);
                words.append(&format!(" {value}"), 0.0, TextFormat::simple(font, ui.visuals().text_color()));
                ui.add(Label::new(words).extend());
            }
        });
    }
}

/// What a run has of a measure of the head at a place in its list, or why it has none.
fn value(diagnosis: &Diagnosis, run: &RunMeasurement, measure: Measure, at: usize) -> String {
    let value = run.heads.get(at).and_then(|report| measure.of(run, report));
    let missing = || missing::of_one(diagnosis, run, measure);
    let words = value.is_none().then(missing).flatten();
    words.map_or_else(|| measure.words(value), str::to_owned)
}

/// Everything about one head, under every policy: rows of a grid.
pub fn describe(ui: &mut Ui, diagnosis: &Diagnosis, (layer, head): (usize, usize)) {
    let at = layer * diagnosis.config.heads + head;
    ui.label(head_name((layer, head)));
    for side in 0..diagnosis.runs.len() {
        ui.strong(theme::name(side));
    }
    ui.end_row();
    for measure in Measure::ALL {
        ui.label(measure.name());
        for run in diagnosis.runs.iter() {
            ui.label(value(diagnosis, run, measure, at));
        }
        ui.end_row();
    }
}
