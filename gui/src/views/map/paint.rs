//! How an attention map looks: its colours, texture, lines and legend.

use eframe::egui::{
    Align2, Color32, ColorImage, FontId, Label, Painter, Pos2, Rect, Sense, Shape, Stroke, StrokeKind,
    TextureHandle, Ui, pos2, vec2,
};

use super::layout::{OutlineKind, Plane, outlines, ticks, tile};
use super::viewport::{Scale, Tile};
use crate::theme::ramp;
use crate::views::room::room;
use crate::words::grouped;
use lm_infinite::policy::AttentionPolicy;

/// Steps of the legend's bar.
const STEPS: u8 = 64;
/// Room for the words beside it.
pub const BESIDE: f32 = 300.0;

/// Not attended: no colour of the ramp is grey.
pub fn masked(dark: bool) -> Color32 {
    if dark { Color32::from_gray(72) } else { Color32::from_gray(205) }
}

/// Not a number: neither grey nor in the ramp.
pub const NOT_FINITE: Color32 = Color32::from_rgb(255, 0, 110);

/// The colour of a tile between these ends. All values being equal is no error: they are in the middle.
pub fn color(tile: Tile, (least, most): (f32, f32), dark: bool) -> Color32 {
    match tile {
        Tile::Future | Tile::Unseen => Color32::TRANSPARENT,
        Tile::Masked => masked(dark),
        Tile::NotFinite => NOT_FINITE,
        Tile::Value(_) if most <= least => ramp(0.5),
        Tile::Value(value) => ramp((value - least) / (most - least)),
    }
}

/// The picture of tiles, row by row.
pub fn image(tiles: &[Tile], size: usize, ends: (f32, f32), dark: bool) -> ColorImage {
    ColorImage::new([size, size], tiles.iter().map(|&tile| color(tile, ends, dark)).collect())
}

/// A map with its axes, the lines of the policy, and dotted ones where the text `repeats`.
pub fn map(
    ui: &Ui,
    plane: &Plane,
    texture: &TextureHandle,
    policy: &AttentionPolicy,
    (trained, repeats): (u64, Option<u64>),
    tokens: u64,
) {
    let painter = ui.painter();
    let (rect, ink) = (plane.rect, ui.visuals().text_color());
    painter.rect_filled(rect, 0.0, ui.visuals().extreme_bg_color);
    let whole = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
    painter.image(texture.id(), rect, whole, Color32::WHITE);
    let inside = painter.with_clip_rect(rect);
    for outline in outlines(policy, trained, tokens, plane.viewport.ranges(tokens).0) {
        let points = outline.ends.map(|(query, key)| plane.point(query, key));
        let line = |width: f32, color: Color32, dash: f32| -> Vec<Shape> {
            let stroke = Stroke::new(width, color);
            if dash > 0.0 {
                Shape::dashed_line(&points, stroke, dash, dash * 0.7)
            } else {
                vec![Shape::line_segment(points, stroke)]
            }
        };
        let dash = match outline.kind {
            OutlineKind::Diagonal | OutlineKind::Window | OutlineKind::Start => 0.0,
            OutlineKind::Ceiling | OutlineKind::Remapped => 7.0,
            OutlineKind::Trained => 3.0,
        };
        if outline.kind == OutlineKind::Diagonal {
            inside.extend(line(1.0, ui.visuals().weak_text_color(), dash));
        } else {
            // Dark under light: seen on every colour.
            inside.extend(line(2.6, Color32::from_black_alpha(170), dash));
            inside.extend(line(1.2, Color32::WHITE, dash));
        }
    }
    if let Some(from) = repeats {
        // From here on the text repeats, along both axes.
        let corner = plane.point(from as f64, from as f64);
        let stroke = Stroke::new(1.4, ui.visuals().strong_text_color());
        for ends in [
            [pos2(rect.left(), corner.y), pos2(rect.right(), corner.y)],
            [pos2(corner.x, rect.top()), pos2(corner.x, rect.bottom())],
        ] {
            inside.extend(Shape::dotted_line(&ends, stroke.color, 4.0, stroke.width));
        }
    }
    painter.rect_stroke(rect, 0.0, Stroke::new(1.0, ui.visuals().weak_text_color()), StrokeKind::Outside);
    let font = FontId::proportional(11.0);
    let viewport = plane.viewport;
    let most = |side: f32| (side / 64.0) as usize;
    for at in ticks(viewport.query, viewport.span, most(rect.height())) {
        let y = plane.point(at as f64, viewport.key).y;
        painter.line_segment([pos2(rect.left() - 4.0, y), pos2(rect.left(), y)], Stroke::new(1.0, ink));
        painter.text(pos2(rect.left() - 6.0, y), Align2::RIGHT_CENTER, grouped(at), font.clone(), ink);
    }
    for at in ticks(viewport.key, viewport.span, most(rect.width())) {
        let x = plane.point(viewport.query, at as f64).x;
        painter.line_segment([pos2(x, rect.bottom()), pos2(x, rect.bottom() + 4.0)], Stroke::new(1.0, ink));
        painter.text(pos2(x, rect.bottom() + 5.0), Align2::CENTER_TOP, grouped(at), font.clone(), ink);
    }
    painter.text(
        pos2(rect.right(), rect.bottom() + 18.0),
        Align2::RIGHT_TOP,
        "key (token) →",
        font.clone(),
        ui.visuals().weak_text_color(),
    );
    painter.text(
        pos2(rect.left() - 4.0, rect.top() - 8.0),
        Align2::RIGHT_BOTTOM,
        "query ↓",
        font,
        ui.visuals().weak_text_color(),
    );
}

/// Lines through a pair, and its frame where a tile is large enough to have one.
pub fn crosshair(ui: &Ui, plane: &Plane, query: u64, key: Option<u64>) {
    let painter = ui.painter().with_clip_rect(plane.rect);
    let line = |ends: [Pos2; 2]| {
        painter.line_segment(ends, Stroke::new(2.0, Color32::from_black_alpha(120)));
        painter.line_segment(ends, Stroke::new(0.8, Color32::WHITE));
    };
    let rect = plane.rect;
    let frame = tile(plane, query, key.unwrap_or(0));
    let y = frame.center().y;
    line([pos2(rect.left(), y), pos2(rect.right(), y)]);
    if key.is_some() {
        let x = frame.center().x;
        line([pos2(x, rect.top()), pos2(x, rect.bottom())]);
        if frame.width() > 5.0 {
            painter.rect_stroke(frame, 0.0, Stroke::new(1.5, Color32::WHITE), StrokeKind::Outside);
        }
    }
}

/// The row that is marked.
pub fn mark(painter: &Painter, plane: &Plane, query: u64, color: Color32) {
    let y = tile(plane, query, 0).center().y;
    if plane.rect.y_range().contains(y) {
        let tip = pos2(plane.rect.left() - 1.0, y);
        let corners = vec![tip, tip + vec2(-8.0, -5.0), tip + vec2(-8.0, 5.0)];
        painter.add(Shape::convex_polygon(corners, color, Stroke::NONE));
    }
}

/// The colours with their numbers, and those that stand for no value.
pub fn legend(ui: &mut Ui, scale: Scale, (least, most): (f32, f32)) {
    let row = ui.horizontal_wrapped(|ui| {
        let end = |value: f32| match scale {
            Scale::Logit => format!("{value:.1}"),
            Scale::Probability => format!("{value:.2}"),
            // As a power, which a probability on this scale is.
            Scale::LogProbability if value == 0.0 => "1".to_owned(),
            Scale::LogProbability => format!("10{}", superscript(value)),
        };
        ui.label(end(least));
        bar(ui, BESIDE, ramp);
        ui.label(end(most));
        swatches(ui, "not attended");
    });
    row.response.on_hover_text(
        "Lines: edge of the window and of the start tokens; dashed: ceiling, groups or chunks; dotted: training length",
    );
}

/// A bar of the colours of shares from 0 to 1; `beside` is the room that the words beside it take.
pub fn bar(ui: &mut Ui, beside: f32, color: impl Fn(f32) -> Color32) {
    let width = (ui.available_width() - beside).clamp(40.0, 160.0);
    let (rect, _) = ui.allocate_exact_size(vec2(width, 12.0), Sense::hover());
    let step = rect.width() / f32::from(STEPS);
    for at in 0..STEPS {
        let corner = rect.min + vec2(step * f32::from(at), 0.0);
        let fill = color((f32::from(at) + 0.5) / f32::from(STEPS));
        ui.painter().rect_filled(Rect::from_min_size(corner, vec2(step + 0.5, 12.0)), 0.0, fill);
    }
}

/// The colours that stand for no value: `unattended` says whose.
pub fn swatches(ui: &mut Ui, unattended: &str) {
    let dark = ui.visuals().dark_mode;
    for (fill, name) in [(masked(dark), unattended), (NOT_FINITE, "not a number")] {
        room(ui, 100.0);
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), Sense::hover());
            ui.painter().rect_filled(rect, 1.0, fill);
            ui.add(Label::new(name).extend());
        });
    }
}

/// A whole number as an exponent.
fn superscript(number: f32) -> String {
    let raise = |character: char| match character {
        '-' => '\u{207b}',
        '1' => '\u{b9}',
        '2' => '\u{b2}',
        '3' => '\u{b3}',
        digit => digit.to_digit(10).and_then(|digit| char::from_u32(0x2070 + digit)).unwrap_or(digit),
    };
    format!("{number:.0}").chars().map(raise).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_and_not_finite_have_colours_of_their_own() {
        for dark in [true, false] {
            let own = [color(Tile::Masked, (0.0, 1.0), dark), color(Tile::NotFinite, (0.0, 1.0), dark)];
            for step in 0_u8..=100 {
                let ramp = ramp(f32::from(step) / 100.0).to_array();
                for other in own.map(|color| color.to_array()) {
                    let apart: i32 = (0..3).map(|i| (i32::from(ramp[i]) - i32::from(other[i])).abs()).sum();
                    assert!(apart > 60, "{ramp:?} {other:?}");
                }
            }
        }
        assert_eq!(color(Tile::Value(3.0), (3.0, 3.0), true), ramp(0.5));
        assert_eq!(color(Tile::Future, (0.0, 1.0), true), Color32::TRANSPARENT);
    }
}
