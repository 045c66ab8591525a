//! What the fix restores in every layer and every head alone, as a heat map; a click mends a place.

use eframe::egui::{
    Align2, Color32, FontId, Pos2, Rect, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};
use lm_infinite::causes::{Place, Restored};

use crate::mending::{Found, Mends};
use crate::theme::{ink_on, ramp};
use crate::views::data;

/// Room for the names of layers, for the column of whole layers, and above for the names of heads.
const LEFT: f32 = 26.0;
const WHOLE: f32 = 62.0;
const GAP: f32 = 6.0;
const ABOVE: f32 = 16.0;
/// Smallest and largest cell.
const SMALLEST: [f32; 2] = [14.0, 14.0];
const LARGEST: [f32; 2] = [72.0, 30.0];

/// Where the cells are.
struct Cells {
    origin: Pos2,
    cell: eframe::egui::Vec2,
    size: (usize, usize),
}

impl Cells {
    fn rect(&self, place: Place) -> Rect {
        let top = ABOVE + self.cell.y * place.layer as f32;
        let (left, width) = match place.head {
            None => (LEFT, WHOLE),
            Some(head) => (LEFT + WHOLE + GAP + self.cell.x * head as f32, self.cell.x),
        };
        Rect::from_min_size(self.origin + vec2(left, top), vec2(width, self.cell.y)).shrink(1.0)
    }

    fn at(&self, at: Pos2) -> Option<Place> {
        let from = at - self.origin - vec2(LEFT, ABOVE);
        let layer = (from.y >= 0.0).then_some((from.y / self.cell.y) as usize)?;
        if layer >= self.size.0 || from.x < 0.0 {
            return None;
        }
        if from.x < WHOLE {
            return Some(Place { layer, head: None });
        }
        let across = from.x - WHOLE - GAP;
        let head = (across >= 0.0).then_some((across / self.cell.x) as usize)?;
        (head < self.size.1).then_some(Place { layer, head: Some(head) })
    }
}

/// Draws it; returns the place that was clicked.
pub fn show(ui: &mut Ui, found: &Found, mends: &Mends) -> Option<Place> {
    let (layers, heads) = found.size;
    let room = vec2(ui.available_width() - LEFT - WHOLE - GAP - 4.0, ui.available_height() - ABOVE - 4.0);
    let each = vec2(room.x / heads.max(1) as f32, room.y / layers.max(1) as f32);
    let cell = each.clamp(SMALLEST.into(), LARGEST.into());
    let size = vec2(LEFT + WHOLE + GAP + cell.x * heads as f32, ABOVE + cell.y * layers as f32);
    let (area, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Grid, true, "Restored loss by place"));
    data::mark(ui, area);
    let cells = Cells { origin: area.min, cell, size: found.size };
    names(ui, &cells);
    for place in Found::places(found.size) {
        let rect = cells.rect(place);
        if ui.clip_rect().intersects(rect) {
            paint(ui, rect, found.restored.get(&place), mends.contains(&place));
        }
    }
    for place in mends {
        let cell = ui.interact(cells.rect(*place), response.id.with(place.name()), Sense::hover());
        cell.widget_info(|| WidgetInfo::labeled(Role::Cell, true, format!("Mended {}", place.name())));
    }
    let clicked = response.interact_pointer_pos().filter(|_| response.clicked()).and_then(|at| cells.at(at));
    if let Some(place) = response.hover_pos().and_then(|at| cells.at(at)) {
        response.on_hover_text_at_pointer(words(place, found.restored.get(&place)));
    }
    clicked
}

/// What the fix in one place alone restores, in words.
fn words(place: Place, restored: Option<&Option<Restored>>) -> String {
    let name = place.name();
    match restored {
        None => format!("{name}: not measured yet. A click mends it"),
        Some(None) => format!("{name}: no share, since there is no excess, or a loss is not finite"),
        Some(Some(restored)) => format!(
            "{name}: the fix here alone restores {}, {:+.3} nats. A click mends it",
            restored.share, restored.nats.mean
        ),
    }
}

fn names(ui: &Ui, cells: &Cells) {
    let (painter, font, ink) = (ui.painter(), FontId::proportional(10.0), ui.visuals().weak_text_color());
    for layer in 0..cells.size.0 {
        let at = pos2(cells.origin.x, cells.rect(Place { layer, head: None }).center().y);
        painter.text(at, Align2::LEFT_CENTER, format!("L{layer}"), font.clone(), ink);
    }
    let whole = cells.rect(Place { layer: 0, head: None });
    let above = cells.origin.y + 1.0;
    painter.text(pos2(whole.center().x, above), Align2::CENTER_TOP, "layer", font.clone(), ink);
    let every = (24.0 / cells.cell.x).ceil().max(1.0) as usize;
    for head in (0..cells.size.1).step_by(every) {
        let at = pos2(cells.rect(Place { layer: 0, head: Some(head) }).center().x, above);
        painter.text(at, Align2::CENTER_TOP, format!("H{head}"), font.clone(), ink);
    }
}

fn paint(ui: &Ui, rect: Rect, restored: Option<&Option<Restored>>, mended: bool) {
    let share = restored.copied().flatten().map(|restored| restored.share.share);
    let fill = share.map_or(ui.visuals().faint_bg_color, color);
    ui.painter().rect_filled(rect, 1.0, fill);
    let ink = if share.is_some() { ink_on(fill) } else { ui.visuals().weak_text_color() };
    let words = match (restored, share) {
        (None, _) => "…".to_owned(),
        (_, None) => "–".to_owned(),
        // No −0.
        (_, Some(share)) => format!("{}", (100.0 * share).round() as i64).replace('-', "\u{2212}"),
    };
    if rect.width() > 24.0 && rect.height() > 11.0 {
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, words, FontId::proportional(10.5), ink);
    }
    if mended {
        let (outside, inside) = (ui.visuals().strong_text_color(), ui.visuals().extreme_bg_color);
        ui.painter().rect_stroke(rect, 1.0, Stroke::new(2.5, outside), StrokeKind::Outside);
        ui.painter().rect_stroke(rect, 1.0, Stroke::new(1.0, inside), StrokeKind::Inside);
    }
}

/// Nothing restored is dark, all of it yellow; what makes the loss worse is red.
fn color(share: f64) -> Color32 {
    if share < -0.02 {
        return Color32::from_rgb(214, 69, 40).gamma_multiply((0.4 - share as f32).clamp(0.4, 1.0));
    }
    ramp(share as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_under_the_middle_of_a_cell_is_its_own() {
        let cells = Cells { origin: pos2(7.0, 9.0), cell: vec2(30.0, 20.0), size: (3, 4) };
        for place in Found::places(cells.size) {
            assert_eq!(cells.at(cells.rect(place).center()), Some(place), "{place:?}");
        }
        let outside = [(-1.0, 40.0), (60.0, 2.0), (400.0, 30.0), (60.0, 400.0)];
        assert!(outside.iter().all(|&(x, y)| cells.at(cells.origin + vec2(x, y)).is_none()));
    }
}
