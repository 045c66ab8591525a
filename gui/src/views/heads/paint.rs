//! How the head grid looks: tiles, the names in them, and the legend.

use eframe::egui::epaint::{Mesh, Shape};
use eframe::egui::{Align2, Color32, FontId, Pos2, Rect, Stroke, StrokeKind, Ui, pos2, vec2};

use lm_infinite::diagnose::head_name;

use super::layout::Layout;
use super::model::{Choice, Scale, Side, Table};
use crate::theme::{ink_on, ramp, signed};
use crate::views::diverging::diverging;

/// Height of the legend's bar.
const BAR: f32 = 10.0;
/// Steps of the legend's bar.
const STEPS: u8 = 48;

/// The colour of a value: high ones are bright, as in the maps. Where values have a sign, 0 is grey; a difference has the colours of
/// its two sides.
pub fn color(scale: &Scale, value: f64, side: Side) -> Color32 {
    shaded(scale, scale.share(value), side)
}

fn shaded(scale: &Scale, share: f64, side: Side) -> Color32 {
    match side.pair() {
        Some(pair) => diverging(share, pair),
        None if scale.diverging => signed(share as f32),
        None => ramp(share as f32),
    }
}

/// The tiles that are on screen, with the names of their layers and heads around them, or in them if they are `named`.
pub fn tiles(ui: &Ui, origin: Pos2, layout: &Layout, table: &Table, side: Side, named: bool) {
    let visible = ui.clip_rect();
    let painter = ui.painter();
    let mut mesh = Mesh::default();
    let mut words = Vec::new();
    let empty = ui.visuals().faint_bg_color;
    for row in layout.rows_between(visible.top() - origin.y, visible.bottom() - origin.y) {
        for place in layout.places(row) {
            let Some(head) = table.head_at(place) else { continue };
            let rect = layout.rect(origin, place);
            let fill = match (table.scale, table.value(head)) {
                (Some(scale), Some(value)) => color(&scale, value, side),
                _ => empty,
            };
            mesh.add_colored_rect(rect, fill);
            let ink = if fill == empty { ui.visuals().weak_text_color() } else { ink_on(fill) };
            // White on white would look like nothing at all.
            if fill == empty && !named && layout.tile.min_elem() >= 12.0 {
                words.push((rect.center(), Align2::CENTER_CENTER, "–".to_owned(), ink));
            }
            if named {
                words.push((rect.center(), Align2::CENTER_CENTER, head_name(head), ink));
            }
        }
        if !named && (layout.tile.y >= 12.0 || row % 5 == 0) {
            let at = pos2(origin.x, layout.rect(origin, layout.places(row).start).center().y);
            words.push((at, Align2::LEFT_CENTER, format!("L{row}"), ui.visuals().weak_text_color()));
        }
    }
    if !named {
        let every = (26.0 / layout.tile.x).ceil().max(1.0) as usize;
        for head in (0..layout.columns).step_by(every) {
            let at = pos2(layout.rect(origin, head).center().x, origin.y);
            words.push((at, Align2::CENTER_TOP, format!("H{head}"), ui.visuals().weak_text_color()));
        }
    }
    // One mesh for all tiles: a shape for each would cost a frame's time with thousands of heads.
    painter.add(Shape::mesh(mesh));
    for (at, align, text, ink) in words {
        painter.text(at, align, text, FontId::proportional(11.0), ink);
    }
}

/// The frame of the chosen head: two rings, of which one stands out on any colour.
pub fn chosen(ui: &Ui, rect: Rect) {
    let painter = ui.painter();
    painter.rect_stroke(rect, 1.0, Stroke::new(2.0, ui.visuals().strong_text_color()), StrokeKind::Outside);
    painter.rect_stroke(rect, 1.0, Stroke::new(1.0, ui.visuals().extreme_bg_color), StrokeKind::Inside);
}

/// The colour scale with its numbers, in a row of `width`.
pub fn legend(ui: &Ui, area: Rect, scale: &Scale, choice: Choice) {
    let (painter, Choice { measure, side, .. }) = (ui.painter(), choice);
    let step = area.width() / f32::from(STEPS);
    for at in 0..STEPS {
        let corner = area.min + vec2(step * f32::from(at), 0.0);
        let share = (f64::from(at) + 0.5) / f64::from(STEPS);
        let part = Rect::from_min_size(corner, vec2(step + 0.5, BAR));
        painter.rect_filled(part, 0.0, shaded(scale, share, side));
    }
    let below = area.min.y + BAR + 2.0;
    let ink = ui.visuals().text_color();
    let more = |place: usize| {
        side.pair().map_or_else(String::new, |pair| format!("more under {}", pair.row(place).name()))
    };
    let ends = [
        (0.0, Align2::LEFT_TOP, format!("  {}", more(1))),
        (0.5, Align2::CENTER_TOP, String::new()),
        (1.0, Align2::RIGHT_TOP, format!("{}  ", more(0))),
    ];
    for (share, align, words) in ends {
        let number = measure.words(Some(scale.value(share)));
        let text = if share > 0.5 { format!("{words}{number}") } else { format!("{number}{words}") };
        let text = text.trim().to_owned();
        let x = area.min.x + share as f32 * area.width();
        painter.text(pos2(x, below), align, text, FontId::proportional(11.0), ink);
    }
}

/// Height of the legend with its numbers.
pub fn legend_height() -> f32 {
    BAR + 16.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::lightness;
    use crate::views::pair::Pair;

    #[test]
    fn high_values_are_bright_as_in_the_maps() {
        let scale = Scale { low: -2.0, high: 6.0, diverging: false, reversed: false };
        let light = |at: u8| lightness(color(&scale, -2.0 + 0.8 * f64::from(at), Side::A));
        assert!((0..10).all(|at| light(at) < light(at + 1)));
        assert_eq!([-2.0, 6.0].map(|value| color(&scale, value, Side::A)), [ramp(0.0), ramp(1.0)]);
        let scale = Scale { low: -6.0, diverging: true, ..scale };
        let of = |value: f64| color(&scale, value, Side::A);
        assert_eq!([-6.0, 0.0, 6.0].map(of), [signed(0.0), signed(0.5), signed(1.0)]);
    }

    #[test]
    fn names_are_legible_on_every_colour() {
        let colors = (0..=20).flat_map(|i| {
            let share = i as f32 / 20.0;
            [ramp(share), signed(share), diverging(f64::from(share), Pair::default())]
        });
        for color in colors {
            assert!((lightness(ink_on(color)) - lightness(color)).abs() > 100.0, "{color:?}");
        }
    }
}
