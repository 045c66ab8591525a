//! Beside the lines: where in the whole text is what was found, what the marked token looks at, and the cursor.

use std::ops::Range;

use eframe::egui::{Color32, Id, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use super::lines::Lines;
use crate::views::most::Key;

/// Width of the strip.
pub const WIDTH: f32 = 12.0;

/// What is marked.
pub struct Ticks<'a> {
    /// Places that were found.
    pub found: &'a [Range<u64>],
    /// Keys with most attention, the strongest first.
    pub looked_at: &'a [Key],
    /// The cursor.
    pub mark: Option<u64>,
}

impl Ticks<'_> {
    /// Draws them; returns the token whose place was clicked.
    pub fn show(&self, ui: &Ui, rect: Rect, lines: &Lines, tokens: u64) -> Option<u64> {
        let visuals = ui.visuals();
        ui.painter().rect_filled(rect, 2.0, visuals.extreme_bg_color);
        // Lines that have not been broken yet have their place, too.
        let y = |token: u64| rect.top() + rect.height() * (token as f32 / tokens.max(1) as f32);
        let tick = |token: u64, height: f32, color: Color32| {
            let at = Rect::from_min_size(
                rect.left_top() + vec2(1.0, y(token) - rect.top()),
                vec2(rect.width() - 2.0, height),
            );
            ui.painter().rect_filled(at.intersect(rect), 0.0, color);
        };
        // Many places share a row of pixels.
        let mut last = f32::NEG_INFINITY;
        for place in self.found {
            if y(place.start) - last >= 1.0 {
                last = y(place.start);
                tick(place.start, 1.5, visuals.selection.stroke.color);
            }
        }
        for key in self.looked_at {
            let share = 0.35 + 0.65 * key.probability.clamp(0.0, 1.0).sqrt();
            tick(key.position, 2.5, crate::theme::SPOTLIGHT.gamma_multiply(share));
        }
        if let Some(mark) = self.mark {
            tick(mark, 2.0, visuals.strong_text_color());
        }
        let response = ui.interact(rect, Id::unique("ticks of the text"), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::ScrollBar, true, "Places in the text"));
        let at = response.interact_pointer_pos().filter(|_| response.clicked());
        let share = at.map(|at| f64::from(((at.y - rect.top()) / rect.height()).clamp(0.0, 1.0)));
        response.on_hover_text(
            "The whole text: what was found, the tokens with most attention (orange), and the cursor. A click goes there.",
        );
        let last = tokens.min(lines.done()).checked_sub(1)?;
        share.map(|share| ((share * tokens as f64) as u64).min(last))
    }
}
