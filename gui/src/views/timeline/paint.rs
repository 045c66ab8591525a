//! How the strips of the timeline look.

use std::ops::Range;

use eframe::egui::epaint::Mesh;
use eframe::egui::{Align2, Color32, FontId, Pos2, Rect, Shape, Stroke, Ui, pos2, vec2};

use super::model::Loss;
use crate::views::map::layout::ticks;
use crate::views::map::paint::color;
use crate::views::map::viewport::Tile;
use crate::views::pair::Pair;
use crate::views::text::colors::{difference_color, loss_color};
use crate::words::grouped;

/// Ends of the colours of a row: from a millionth to 1, as in the maps.
const ENDS: (f32, f32) = (-6.0, 0.0);

/// A strip along the text.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// Where it is.
    pub rect: Rect,
    /// Tokens from its left to its right.
    pub tokens: u64,
}

impl Strip {
    /// Where a token begins.
    pub fn x(&self, token: u64) -> f32 {
        self.rect.left() + (token as f64 / self.tokens as f64) as f32 * self.rect.width()
    }

    /// The token at a place.
    pub fn token(&self, x: f32) -> u64 {
        let share = f64::from(((x - self.rect.left()) / self.rect.width()).clamp(0.0, 1.0));
        ((share * self.tokens as f64) as u64).min(self.tokens - 1)
    }
}

/// What a strip is called, left of it.
pub fn name(ui: &Ui, strip: &Strip, name: &str, color: Color32) {
    let at = pos2(strip.rect.left() - 5.0, strip.rect.center().y);
    ui.painter().text(at, Align2::RIGHT_CENTER, name, FontId::proportional(9.5), color);
}

/// Words in a strip that is empty yet.
pub fn hint(ui: &Ui, strip: &Strip, words: &str) {
    let (at, weak) = (strip.rect.center(), ui.visuals().weak_text_color());
    ui.painter().text(at, Align2::CENTER_CENTER, words, FontId::proportional(10.5), weak);
}

/// Numbers of tokens.
pub fn ruler(ui: &Ui, strip: &Strip, trained: u64) {
    let (painter, font) = (ui.painter(), FontId::proportional(10.0));
    let weak = ui.visuals().weak_text_color();
    name(ui, strip, "token", weak);
    let end = strip.x(trained);
    let most = (strip.rect.width() / 90.0) as usize;
    for at in ticks(0.0, strip.tokens as f64, most) {
        let x = strip.x(at);
        // The training length has a number of its own.
        if (x - end).abs() < 40.0 {
            continue;
        }
        painter.vline(x, strip.rect.bottom() - 3.0..=strip.rect.bottom(), Stroke::new(1.0, weak));
        painter.text(pos2(x, strip.rect.center().y - 1.5), align(strip, x), grouped(at), font.clone(), weak);
    }
    if trained < strip.tokens {
        let strong = ui.visuals().strong_text_color();
        painter.text(
            pos2(end, strip.rect.center().y - 1.5),
            align(strip, end),
            grouped(trained),
            font,
            strong,
        );
    }
}

/// Which side of a number is at its place: one near an end of the strip stays beside the name, and on screen.
fn align(strip: &Strip, x: f32) -> Align2 {
    match x {
        _ if x < strip.rect.left() + 12.0 => Align2::LEFT_CENTER,
        _ if x > strip.rect.right() - 28.0 => Align2::RIGHT_CENTER,
        _ => Align2::CENTER_CENTER,
    }
}

/// Losses, of A alone or the difference of a pair.
pub fn losses(ui: &Ui, strip: &Strip, losses: &[Loss], pair: Option<Pair>) {
    let color = |loss: &Loss| match loss {
        Loss::Unread => Color32::TRANSPARENT,
        Loss::NotFinite => crate::views::map::paint::NOT_FINITE,
        Loss::Nats(nats) => match pair {
            Some(pair) => difference_color(*nats, pair),
            None => loss_color(*nats, 0),
        },
    };
    cells(ui, strip.rect, losses.iter().map(color));
}

/// A row of attention.
pub fn tiles(ui: &Ui, strip: &Strip, tiles: &[Tile]) {
    let dark = ui.visuals().dark_mode;
    cells(ui, strip.rect.shrink2(vec2(0.0, 0.5)), tiles.iter().map(|&tile| color(tile, ENDS, dark)));
}

/// Cells of one width; equal neighbours are one.
fn cells(ui: &Ui, rect: Rect, colors: impl ExactSizeIterator<Item = Color32>) {
    let step = rect.width() / colors.len().max(1) as f32;
    let mut mesh = Mesh::default();
    let mut run: Option<(usize, Color32)> = None;
    let mut add = |from: usize, to: usize, color: Color32| {
        if color != Color32::TRANSPARENT {
            let left = rect.left() + step * from as f32;
            let right = rect.left() + step * to as f32;
            mesh.add_colored_rect(Rect::from_x_y_ranges(left..=right, rect.y_range()), color);
        }
    };
    let count = colors.len();
    for (at, color) in colors.enumerate() {
        match run {
            Some((_, last)) if last == color => {}
            _ => {
                if let Some((from, last)) = run {
                    add(from, at, last);
                }
                run = Some((at, color));
            }
        }
    }
    if let Some((from, last)) = run {
        add(from, count, last);
    }
    ui.painter().add(Shape::mesh(mesh));
}

/// The training length.
pub fn trained(ui: &Ui, strip: &Strip, trained: u64) {
    if trained < strip.tokens {
        let x = strip.x(trained);
        let ends = [pos2(x, strip.rect.top()), pos2(x, strip.rect.bottom())];
        let stroke = Stroke::new(1.2, ui.visuals().strong_text_color());
        ui.painter().extend(Shape::dashed_line(&ends, stroke, 3.0, 2.0));
    }
}

/// Where a loss begins to rise, with its interval: low end, place, high end.
pub fn onset(ui: &Ui, strip: &Strip, [low, at, high]: [u64; 3], color: Color32) {
    let y = strip.rect.bottom() - 1.5;
    ui.painter().hline(strip.x(low)..=strip.x(high), y, Stroke::new(2.0, color));
    let tip = pos2(strip.x(at), strip.rect.bottom());
    let corners = vec![tip, tip + vec2(-4.0, -6.0), tip + vec2(4.0, -6.0)];
    ui.painter().add(Shape::convex_polygon(corners, color, Stroke::NONE));
}

/// A token that was marked.
pub fn flag(ui: &Ui, strip: &Strip, token: u64) {
    let at = pos2(strip.x(token), strip.rect.top() + 4.0);
    let corners = vec![at - vec2(3.0, 0.0), at - vec2(0.0, 4.0), at + vec2(3.0, 0.0), at + vec2(0.0, 4.0)];
    ui.painter().add(Shape::convex_polygon(corners, crate::theme::SPOTLIGHT, Stroke::NONE));
}

/// What lies outside of the range is veiled.
pub fn range(ui: &Ui, ruler: &Strip, all: &Strip, range: Option<&Range<u64>>) {
    let Some(range) = range else { return };
    let (from, to) = (ruler.x(range.start), ruler.x(range.end));
    let veil = ui.visuals().panel_fill.gamma_multiply(0.6);
    let outside = [(all.rect.left(), from), (to, all.rect.right())];
    for (left, right) in outside.into_iter().filter(|(left, right)| left < right) {
        let rect = Rect::from_x_y_ranges(left..=right, all.rect.y_range());
        ui.painter().rect_filled(rect, 0.0, veil);
    }
    let bar = Rect::from_x_y_ranges(from..=to, ruler.rect.top()..=ruler.rect.top() + 3.0);
    ui.painter().rect_filled(bar, 1.5, ui.visuals().selection.stroke.color);
}

/// The cursor, and the token that the pointer is over.
pub fn cursor(ui: &Ui, strip: &Strip, cursor: Option<u64>, hover: Option<u64>) {
    let line = |x: f32, stroke: Stroke| {
        ui.painter().vline(x, strip.rect.y_range(), stroke);
    };
    let ink = ui.visuals().strong_text_color();
    let middle = |token: u64| (strip.x(token) + strip.x(token + 1)) / 2.0;
    if let Some(hover) = hover.filter(|&hover| hover < strip.tokens) {
        line(middle(hover), Stroke::new(1.0, ink.gamma_multiply(0.5)));
    }
    if let Some(cursor) = cursor {
        let x = middle(cursor);
        line(x, Stroke::new(1.6, ink));
        let tip: Pos2 = pos2(x, strip.rect.top() + 7.0);
        let corners = vec![tip, tip + vec2(-5.0, -7.0), tip + vec2(5.0, -7.0)];
        ui.painter().add(Shape::convex_polygon(corners, ink, Stroke::NONE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lead_back_to_tokens() {
        let rect = Rect::from_min_size(pos2(60.0, 0.0), vec2(1000.0, 10.0));
        for tokens in [1, 7, 4096, 1_000_000] {
            let strip = Strip { rect, tokens };
            assert_eq!((strip.token(-5.0), strip.token(1e9)), (0, tokens - 1));
            for token in [0, tokens / 2, tokens - 1] {
                let middle = (strip.x(token) + strip.x(token + 1)) / 2.0;
                assert!(strip.token(middle).abs_diff(token) <= tokens / 1000);
            }
        }
    }
}
