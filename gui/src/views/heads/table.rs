//! The table of heads on screen.

use eframe::egui::{
    Align, Button, Checkbox, Id, Key, Label, Layout, RichText, Role, Sense, TextEdit, Ui, WidgetInfo, vec2,
};
use egui_table::{CellInfo, Column, HeaderCellInfo, HeaderRow, Table, TableDelegate};
use lm_infinite::diagnose::{Head, head_name};

use super::filter;
use super::listing::{Controls, Listing, Sort};
use super::model::Measure;
use super::pins;

/// Height of a row, and of the names of the columns in three lines at most.
const ROW: f32 = 19.0;
const NAMES: f32 = 46.0;
/// Widths of the columns.
const HEAD: f32 = 84.0;
const VALUE: f32 = 88.0;

/// What the reader does in the table.
#[derive(Default)]
pub struct Done {
    /// The head that was clicked.
    pub chosen: Option<Head>,
    /// What is pinned now, if it was changed.
    pub pins: Option<Vec<Head>>,
    /// What sorts now, if it was changed.
    pub sort: Option<Sort>,
}

/// The filter, and how many heads it lists.
pub fn filter_ui(ui: &mut Ui, listing: &Listing, controls: &mut Controls) {
    let label = ui.label("Find");
    let field = TextEdit::singleline(&mut controls.filter).hint_text("L4  >2  pinned").desired_width(110.0);
    let field = ui.add(field).labelled_by(label.id);
    field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, "Filter of heads"));
    let field = field.on_hover_text(filter::HELP);
    if field.has_focus() && ui.input(|input| input.key_pressed(Key::Escape)) {
        controls.filter.clear();
    }
    ui.weak(format!("{} of {}", listing.rows.len(), listing.of));
}

/// Draws the rows.
pub fn show(ui: &mut Ui, listing: &Listing, sort: Sort, chosen: Option<Head>, pinned: &[Head]) -> Done {
    if let Some(refused) = &listing.refused {
        ui.add(Label::new(RichText::new(refused).color(crate::theme::bad(ui.visuals()))).wrap());
    }
    let mut drawing = Drawing { listing, sort, chosen, pinned, done: Done::default() };
    let value = Column::new(VALUE).range(82.0..=240.0);
    let columns = std::iter::once(Column::new(HEAD).range(HEAD..=160.0)).chain(Measure::ALL.map(|_| value));
    let at = chosen.and_then(|head| listing.rows.iter().position(|row| row.head == head));
    let mut table = Table::new()
        .id_salt("heads as rows")
        .num_rows(listing.rows.len() as u64)
        .columns(columns.collect::<Vec<_>>())
        .num_sticky_cols(1)
        .headers([HeaderRow::new(NAMES)]);
    // What was chosen elsewhere is brought into view, once.
    let id = Id::unique("row that was scrolled to");
    if ui.data(|data| data.get_temp::<Option<Head>>(id)).flatten() != chosen {
        ui.data_mut(|data| data.insert_temp(id, chosen));
        if let Some(at) = at {
            table = table.scroll_to_row(at as u64, None);
        }
    }
    table.show(ui, &mut drawing);
    drawing.done
}

struct Drawing<'a> {
    listing: &'a Listing,
    sort: Sort,
    chosen: Option<Head>,
    pinned: &'a [Head],
    done: Done,
}

impl TableDelegate for Drawing<'_> {
    fn header_cell_ui(&mut self, ui: &mut Ui, cell: &HeaderCellInfo) {
        let column = cell.col_range.start.checked_sub(1);
        let name = column.map_or("head", |column| Measure::ALL[column].name());
        let arrow = match self.sort.column == column {
            true if self.sort.descending => " ⏷",
            true => " ⏶",
            false => "",
        };
        let words = RichText::new(format!("{name}{arrow}")).size(11.0);
        ui.set_max_width(ui.available_width() - 4.0);
        let button = ui.add(Button::new(words).wrap().frame(false));
        let label = format!("Sort by {name}");
        button.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, &label));
        let help = column.map_or("Layer and number of the head", |column| Measure::ALL[column].help());
        if button.on_hover_text(help).clicked() {
            self.done.sort = Some(self.sort.clicked(column));
        }
    }

    fn row_ui(&mut self, ui: &mut Ui, row: u64) {
        let Some(row) = self.listing.rows.get(row as usize) else { return };
        let rect = ui.max_rect();
        let response = ui.interact(rect, ui.scope_id().with("row"), Sense::click());
        let visuals = ui.visuals();
        if self.chosen == Some(row.head) {
            ui.painter().rect_filled(rect, 0.0, visuals.selection.bg_fill.gamma_multiply(0.6));
        } else if response.hovered() {
            ui.painter().rect_filled(rect, 0.0, visuals.widgets.hovered.weak_bg_fill);
        }
        if response.clicked() {
            self.done.chosen = Some(row.head);
        }
    }

    fn cell_ui(&mut self, ui: &mut Ui, cell: &CellInfo) {
        let Some(row) = self.listing.rows.get(cell.row_nr as usize) else { return };
        let Some(column) = cell.col_nr.checked_sub(1) else { return self.head_ui(ui, row.head) };
        let words = Measure::ALL[column].words(row.values[column]);
        let text = RichText::new(words).monospace().size(12.0);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.add_space(6.0);
            ui.add(Label::new(text).selectable(false));
        });
    }

    fn default_row_height(&self) -> f32 {
        ROW
    }
}

impl Drawing<'_> {
    /// Its name, and whether it is pinned.
    fn head_ui(&mut self, ui: &mut Ui, head: Head) {
        ui.spacing_mut().item_spacing = vec2(3.0, 0.0);
        ui.horizontal(|ui| {
            let mut pinned = self.pinned.contains(&head);
            let room = pinned || self.pinned.len() < pins::MOST;
            let tick = ui.add_enabled(room, Checkbox::without_text(&mut pinned));
            let (name, label) = (head_name(head), format!("Pin {}", head_name(head)));
            tick.widget_info(|| WidgetInfo::selected(Role::CheckBox, room, pinned, &label));
            let full = format!("{} heads are pinned: that is all there is room for", pins::MOST);
            let tick = tick.on_hover_text("Pinned heads are compared in the curves");
            if tick.on_disabled_hover_text(full).changed() {
                self.done.pins = Some(pins::toggled(self.pinned, head));
            }
            let button = ui.selectable_label(self.chosen == Some(head), &name);
            button.widget_info(|| WidgetInfo::labeled(Role::Row, true, format!("Row {name}")));
            if button.clicked() {
                self.done.chosen = Some(head);
            }
        });
    }
}
