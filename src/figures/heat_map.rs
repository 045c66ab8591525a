//! Tables of shares as colours: one panel per method, for instance accuracy by depth and length.

use serde::{Deserialize, Serialize};

use super::canvas::{Align, Canvas, text_width};
use super::theme::{GRID, INK, LABEL, MUTED, ON_DARK, ON_LIGHT, TICK, TITLE, ramp};

const CELL: (f64, f64) = (66.0, 36.0);
const LEFT: f64 = 96.0;
const TOP: f64 = 72.0;
const NAME: f64 = 34.0;
const BELOW: f64 = 66.0;

/// Panels that share their axes. Values are shares from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// What is shown.
    pub title: String,
    /// How to read it, in small print.
    pub note: String,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Names of the columns.
    pub x: Vec<String>,
    /// Names of the rows, from the top.
    pub y: Vec<String>,
    /// One below the other.
    pub panels: Vec<Panel>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Its name.
    pub name: String,
    /// Rows of columns; `None` where nothing was measured.
    pub cells: Vec<Vec<Option<f64>>>,
}

impl HeatMap {
    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        let texts = [(&self.title, TITLE), (&self.note, TICK)].into_iter();
        let names = self.panels.iter().map(|panel| (&panel.name, LABEL));
        let widest = texts.chain(names).map(|(text, size)| text_width(text, size) + 48.0).fold(0.0, f64::max);
        let width = (LEFT + self.x.len() as f64 * CELL.0 + 28.0).max(widest).max(360.0);
        (width as u32, (TOP + self.panels.len() as f64 * self.panel_height() + 8.0) as u32)
    }

    fn panel_height(&self) -> f64 {
        NAME + self.y.len() as f64 * CELL.1 + BELOW
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        canvas.text(&self.title, (24.0, 24.0), TITLE, INK, Align::Left);
        canvas.text(&self.note, (24.0, 47.0), TICK, MUTED, Align::Left);
        for (index, panel) in self.panels.iter().enumerate() {
            self.draw_panel(canvas, panel, TOP + index as f64 * self.panel_height());
        }
    }

    fn draw_panel(&self, canvas: &mut dyn Canvas, panel: &Panel, top: f64) {
        canvas.text(&panel.name, (24.0, top + NAME / 2.0), LABEL, INK, Align::Left);
        let at =
            |column: usize, row: usize| (LEFT + column as f64 * CELL.0, top + NAME + row as f64 * CELL.1);
        for (row, name) in self.y.iter().enumerate() {
            let (_, y) = at(0, row);
            canvas.text(name, (LEFT - 9.0, y + CELL.1 / 2.0), TICK, INK, Align::Right);
            for column in 0..self.x.len() {
                let (x, y) = at(column, row);
                let (from, to) = ((x + 0.5, y + 0.5), (x + CELL.0 - 0.5, y + CELL.1 - 0.5));
                let middle = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
                let value = panel.cells.get(row).and_then(|cells| cells.get(column)).copied().flatten();
                let Some(value) = value.filter(|value| value.is_finite()) else {
                    canvas.rect(from, to, GRID, 1.0);
                    continue;
                };
                canvas.rect(from, to, ramp(value), 1.0);
                let ink = if value < 0.6 { ON_DARK } else { ON_LIGHT };
                canvas.text(&format!("{:.0}", 100.0 * value), middle, TICK, ink, Align::Center);
            }
        }
        let (_, bottom) = at(0, self.y.len());
        for (column, name) in self.x.iter().enumerate() {
            let (x, _) = at(column, 0);
            canvas.text(name, (x + CELL.0 / 2.0, bottom + 14.0), TICK, INK, Align::Center);
        }
        let (middle, _) = at(self.x.len(), 0);
        canvas.text(&self.x_label, ((LEFT + middle) / 2.0, bottom + 38.0), LABEL, INK, Align::Center);
        let height = self.y.len() as f64 * CELL.1;
        canvas.text_upwards(&self.y_label, (18.0, top + NAME + height / 2.0), LABEL, INK);
    }
}
