//! How the head grid looks: tiles, the names in them, and the legend.

use eframe::egui::epaint::{Mesh, Shape};
use eframe::egui::{Align2, Color32, FontId, Pos2, Rect, Stroke, StrokeKind, Ui, pos2, vec2};

use lm_infinite::diagnose::head_name;

use super::layout::Layout;
use super::model::{Choice, Scale, Side, Table};
use crate::theme::{SIDES, ink_on, ramp};
use crate::views::pair::Pair;

/// Height of the legend's bar.
const BAR: f32 = 10.0;
/// Steps of the legend's bar.
const STEPS: u8 = 48;

/// Neither more under A nor more under B.
const EVEN: Color32 = Color32::from_rgb(236, 236, 232);

/// The colour of a value: high ones are bright, as in the maps.
pub fn color(scale: &Scale, value: f64, side: Side) -> Color32 {
    shaded(scale.share(value), side)
}

fn shaded(share: f64, side: Side) -> Color32 {
    side.pair().map_or_else(|| ramp(share as f32), |pair| diverging(share, pair))
}

/// From the colour of the second (0: more under it) over light grey to the colour of the first (1).
fn diverging(share: f64, pair: Pair) -> Color32 {
    let [a, b] = [0, 1].map(|place| SIDES[pair.color(place) % SIDES.len()]);
    let from_even = if share.is_finite() { (share.clamp(0.0, 1.0) as f32 - 0.5) * 2.0 } else { 0.0 };
    mix(EVEN, if from_even > 0.0 { a } else { b }, from_even.abs())
}

fn mix(from: Color32, to: Color32, part: f32) -> Color32 {
    let channel = |at: usize| {
        let (from, to) = (f32::from(from[at]), f32::from(to[at]));
        (from + (to - from) * part).round() as u8
    };
    Color32::from_rgb(channel(0), channel(1), channel(2))
}

/// The tiles that are on screen, with the numbers of their layers, or of their heads if they are `named`.
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
            if named {
                words.push((rect.center(), Align2::CENTER_CENTER, head_name(head), ink));
            }
        }
        if !named && (layout.tile.y >= 12.0 || row % 5 == 0) {
            let at = pos2(origin.x, layout.rect(origin, layout.places(row).start).center().y);
            words.push((at, Align2::LEFT_CENTER, row.to_string(), ui.visuals().weak_text_color()));
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
        painter.rect_filled(part, 0.0, shaded(share, side));
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

    fn lightness(color: Color32) -> f32 {
        let [r, g, b, _] = color.to_array().map(f32::from);
        0.299 * r + 0.587 * g + 0.114 * b
    }

    #[test]
    fn high_values_are_bright_as_in_the_maps() {
        let scale = Scale { low: -2.0, high: 6.0, diverging: false, reversed: false };
        let light = |at: u8| lightness(color(&scale, -2.0 + 0.8 * f64::from(at), Side::A));
        assert!((0..10).all(|at| light(at) < light(at + 1)));
        assert_eq!([-2.0, 6.0].map(|value| color(&scale, value, Side::A)), [ramp(0.0), ramp(1.0)]);
    }

    #[test]
    fn a_difference_is_lightest_at_zero_and_ends_in_the_colours_of_the_sides() {
        let pair = Pair::here(2, 1);
        let diverging = |share: f64| super::diverging(share, pair);
        assert_eq!([diverging(1.0), diverging(0.0), diverging(0.5)], [SIDES[2], SIDES[1], EVEN]);
        assert_eq!(diverging(f64::NAN), EVEN);
        for i in 0..5 {
            let (near, far) = (f64::from(i) / 10.0, f64::from(i + 1) / 10.0);
            assert!(lightness(diverging(0.5 + near)) > lightness(diverging(0.5 + far)));
            assert!(lightness(diverging(0.5 - near)) > lightness(diverging(0.5 - far)));
        }
    }

    #[test]
    fn names_are_legible_on_every_colour() {
        let colors =
            (0..=20).flat_map(|i| [ramp(i as f32 / 20.0), diverging(f64::from(i) / 20.0, Pair::default())]);
        for color in colors {
            assert!((lightness(ink_on(color)) - lightness(color)).abs() > 100.0, "{color:?}");
        }
    }
}
