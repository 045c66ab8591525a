//! How an attention map looks: its colours, texture, lines and legend.

use eframe::egui::{
    Align2, Color32, ColorImage, FontId, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, TextureHandle, Ui,
    pos2, vec2,
};

use super::layout::{OutlineKind, Plane, cell, outlines, ticks};
use super::model::{Cell, Scale};
use lm_infinite::policy::AttentionPolicy;

/// Steps of the legend's bar.
const STEPS: u8 = 64;

/// Not attended: no colour of the ramp is grey.
pub fn masked(dark: bool) -> Color32 {
    if dark { Color32::from_gray(72) } else { Color32::from_gray(205) }
}

/// Not a number: neither grey nor in the ramp.
pub const NOT_FINITE: Color32 = Color32::from_rgb(255, 0, 110);

/// From dark violet (0) over teal to yellow (1), "viridis": lightness rises evenly, so that it reads in grey and with every
/// common colour blindness.
pub fn ramp(share: f32) -> Color32 {
    const STOPS: [[f32; 3]; 6] = [
        [68.0, 1.0, 84.0],
        [65.0, 68.0, 135.0],
        [42.0, 120.0, 142.0],
        [34.0, 168.0, 132.0],
        [122.0, 209.0, 81.0],
        [253.0, 231.0, 37.0],
    ];
    let at = if share.is_finite() { share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32 } else { 0.0 };
    let low = (at as usize).min(STOPS.len() - 2);
    let part = at - low as f32;
    let mix = |channel: usize| {
        (STOPS[low][channel] + (STOPS[low + 1][channel] - STOPS[low][channel]) * part).round() as u8
    };
    Color32::from_rgb(mix(0), mix(1), mix(2))
}

/// The colour of a cell between these ends. All values being equal is no error: they are in the middle.
pub fn color(cell: Cell, (least, most): (f32, f32), dark: bool) -> Color32 {
    match cell {
        Cell::Future | Cell::Unseen => Color32::TRANSPARENT,
        Cell::Masked => masked(dark),
        Cell::NotFinite => NOT_FINITE,
        Cell::Value(_) if most <= least => ramp(0.5),
        Cell::Value(value) => ramp((value - least) / (most - least)),
    }
}

/// The picture of cells, row by row.
pub fn image(cells: &[Cell], size: usize, ends: (f32, f32), dark: bool) -> ColorImage {
    ColorImage::new([size, size], cells.iter().map(|&cell| color(cell, ends, dark)).collect())
}

/// A map with its axes, the lines of the policy and their names.
pub fn map(
    ui: &Ui,
    plane: &Plane,
    texture: &TextureHandle,
    policy: &AttentionPolicy,
    trained: u64,
    tokens: u64,
) {
    let painter = ui.painter();
    let (rect, ink) = (plane.rect, ui.visuals().text_color());
    painter.rect_filled(rect, 0.0, ui.visuals().extreme_bg_color);
    let whole = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
    painter.image(texture.id(), rect, whole, Color32::WHITE);
    let inside = painter.with_clip_rect(rect);
    for outline in outlines(policy, trained, tokens) {
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
            OutlineKind::Ceiling => 7.0,
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
    painter.rect_stroke(rect, 0.0, Stroke::new(1.0, ui.visuals().weak_text_color()), StrokeKind::Outside);
    let font = FontId::proportional(11.0);
    let sight = plane.sight;
    let most = (rect.width() / 64.0) as usize;
    for at in ticks(sight.query, sight.span, most) {
        let y = plane.point(at as f64, sight.key).y;
        painter.line_segment([pos2(rect.left() - 4.0, y), pos2(rect.left(), y)], Stroke::new(1.0, ink));
        painter.text(pos2(rect.left() - 6.0, y), Align2::RIGHT_CENTER, number(at), font.clone(), ink);
    }
    for at in ticks(sight.key, sight.span, most) {
        let x = plane.point(sight.query, at as f64).x;
        painter.line_segment([pos2(x, rect.bottom()), pos2(x, rect.bottom() + 4.0)], Stroke::new(1.0, ink));
        painter.text(pos2(x, rect.bottom() + 5.0), Align2::CENTER_TOP, number(at), font.clone(), ink);
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

/// Lines through a pair, and its frame where a cell is large enough to have one.
pub fn crosshair(ui: &Ui, plane: &Plane, query: u64, key: Option<u64>) {
    let painter = ui.painter().with_clip_rect(plane.rect);
    let line = |ends: [Pos2; 2]| {
        painter.line_segment(ends, Stroke::new(2.0, Color32::from_black_alpha(120)));
        painter.line_segment(ends, Stroke::new(0.8, Color32::WHITE));
    };
    let rect = plane.rect;
    let frame = cell(plane, query, key.unwrap_or(0));
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
    let y = cell(plane, query, 0).center().y;
    if plane.rect.y_range().contains(y) {
        let tip = pos2(plane.rect.left() - 1.0, y);
        let corners = vec![tip, tip + vec2(-8.0, -5.0), tip + vec2(-8.0, 5.0)];
        painter.add(Shape::convex_polygon(corners, color, Stroke::NONE));
    }
}

/// The colours with their numbers, and those that stand for no value.
pub fn legend(ui: &mut Ui, scale: Scale, (least, most): (f32, f32)) {
    ui.horizontal_wrapped(|ui| {
        let dark = ui.visuals().dark_mode;
        let end = |value: f32| match scale {
            Scale::Logit => format!("{value:.1}"),
            Scale::Probability => format!("{value:.2}"),
            Scale::LogProbability => format!("10^{value:.0}"),
        };
        ui.label(scale.name().to_lowercase());
        ui.label(end(least));
        let (rect, _) = ui.allocate_exact_size(vec2(160.0, 12.0), eframe::egui::Sense::hover());
        let step = rect.width() / f32::from(STEPS);
        for at in 0..STEPS {
            let corner = rect.min + vec2(step * f32::from(at), 0.0);
            let fill = ramp((f32::from(at) + 0.5) / f32::from(STEPS));
            ui.painter().rect_filled(Rect::from_min_size(corner, vec2(step + 0.5, 12.0)), 0.0, fill);
        }
        ui.label(end(most));
        for (fill, name) in [(masked(dark), "not attended"), (NOT_FINITE, "not a number")] {
            let (rect, _) = ui.allocate_exact_size(vec2(16.0, 12.0), eframe::egui::Sense::hover());
            ui.painter().rect_filled(rect, 1.0, fill);
            ui.label(name);
        }
        ui.weak(
            "lines: edge of the window and of the start tokens; dashed: ceiling; dotted: training length",
        );
    });
}

/// Thousands set apart.
pub fn number(at: u64) -> String {
    let digits = at.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness(color: Color32) -> f32 {
        let [r, g, b, _] = color.to_array().map(f32::from);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn the_ramp_grows_lighter_and_takes_any_number() {
        let light = |step: u8| lightness(ramp(f32::from(step) / 20.0));
        assert!((0..20).all(|step| light(step) < light(step + 1)));
        assert_eq!((ramp(f32::NAN), ramp(-4.0), ramp(7.0)), (ramp(0.0), ramp(0.0), ramp(1.0)));
    }

    #[test]
    fn masked_and_not_finite_have_colours_of_their_own() {
        for dark in [true, false] {
            let own = [color(Cell::Masked, (0.0, 1.0), dark), color(Cell::NotFinite, (0.0, 1.0), dark)];
            for step in 0_u8..=100 {
                let ramp = ramp(f32::from(step) / 100.0).to_array();
                for other in own.map(|color| color.to_array()) {
                    let apart: i32 = (0..3).map(|i| (i32::from(ramp[i]) - i32::from(other[i])).abs()).sum();
                    assert!(apart > 60, "{ramp:?} {other:?}");
                }
            }
        }
        assert_eq!(color(Cell::Value(3.0), (3.0, 3.0), true), ramp(0.5));
        assert_eq!(color(Cell::Future, (0.0, 1.0), true), Color32::TRANSPARENT);
    }

    #[test]
    fn numbers_have_their_thousands_set_apart() {
        assert_eq!([0, 999, 1000, 1_048_576].map(number), ["0", "999", "1,000", "1,048,576"]);
    }
}
