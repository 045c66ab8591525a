//! One line of the text on screen.

use std::ops::Range;

use eframe::egui::text::{CCursor, LayoutJob, TextFormat};
use eframe::egui::{Align2, Color32, FontId, Galley, Pos2, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use crate::inputs::Inputs;
use crate::views::tokens;

/// Room for the numbers left of the lines.
const LEFT: f32 = 80.0;

/// How lines look.
#[derive(Clone, Debug)]
pub struct Look {
    /// Of the letters.
    pub font: FontId,
    /// Width of a letter.
    pub letter: f32,
    /// Height of a line.
    pub height: f32,
    /// The line is in the range that was chosen: its number is strong.
    pub strong: bool,
}

impl Look {
    /// That of the view.
    pub fn new(ui: &Ui) -> Self {
        let font = FontId::monospace(13.0);
        let (letter, height) =
            ui.fonts_mut(|fonts| (fonts.glyph_width(&font, 'm'), fonts.row_height(&font) + 3.0));
        Self { font, letter, height, strong: false }
    }

    /// Letters of a line.
    pub fn columns(&self, ui: &Ui) -> usize {
        ((ui.available_width() - LEFT - 12.0 - super::ticks::WIDTH) / self.letter).clamp(20.0, 160.0) as usize
    }
}

/// What the pointer does on a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pointed {
    /// The token under it.
    pub token: Option<u64>,
    /// It was clicked.
    pub clicked: bool,
}

/// Draws the tokens of a line with `color`'s background and ink, and frames around the `framed` ones.
pub fn line(
    ui: &mut Ui,
    look: &Look,
    inputs: &Inputs,
    line: Range<u64>,
    color: impl Fn(u64) -> (Color32, Color32),
    framed: &[(Range<u64>, Stroke)],
) -> Pointed {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), look.height), Sense::click());
    let mut job = LayoutJob::default();
    job.wrap.max_width = f32::INFINITY;
    let mut ends = Vec::new();
    let letters = tokens::row(inputs, line.start as usize..line.end as usize);
    for (position, letters) in line.clone().zip(letters) {
        let (background, ink) = color(position);
        let format = TextFormat { background, ..TextFormat::simple(look.font.clone(), ink) };
        job.append(&tokens::visible(&letters.marked()), 0.0, format);
        ends.push(job.text.chars().count());
    }
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    let origin = pos2(rect.left() + LEFT, rect.top());
    let number = pos2(origin.x - 10.0, rect.top() + 2.0);
    let visuals = ui.visuals();
    let ink = if look.strong { visuals.strong_text_color() } else { visuals.weak_text_color() };
    let small = FontId::monospace(11.0);
    ui.painter().text(number, Align2::RIGHT_TOP, line.start.to_string(), small, ink);
    ui.painter().galley(origin, galley.clone(), ui.visuals().text_color());
    for (tokens, stroke) in framed {
        let (from, to) = (tokens.start.max(line.start), tokens.end.min(line.end));
        if from < to {
            let [first, last] = [from, to - 1].map(|token| (token - line.start) as usize);
            let begin = first.checked_sub(1).map_or(0, |before| ends[before]);
            let frame = frame(&galley, origin, begin, ends[last], look.height);
            ui.painter().rect_stroke(frame, 2.0, *stroke, StrokeKind::Outside);
        }
    }
    let Some(at) = response.hover_pos().filter(|at| at.x >= origin.x) else { return Pointed::default() };
    let character = galley.cursor_from_pos(at - origin - vec2(3.0, 0.0)).index;
    let token = ends.partition_point(|&end| end <= usize::from(character)) as u64 + line.start;
    if token < line.end {
        let clicked = response.clicked();
        if let Some(bytes) = tokens::bytes_words(inputs, token) {
            response.on_hover_text_at_pointer(bytes);
        }
        Pointed { token: Some(token), clicked }
    } else {
        Pointed::default()
    }
}

/// Around some characters of a line.
fn frame(galley: &Galley, origin: Pos2, begin: usize, end: usize, height: f32) -> Rect {
    let x = |at: usize| galley.pos_from_cursor(CCursor::new(at)).left();
    Rect::from_min_max(origin + vec2(x(begin), 0.0), origin + vec2(x(end), height - 2.0))
}
