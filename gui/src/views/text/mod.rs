//! The text itself, every token coloured by its loss or by the attention of one token to it. Only the lines in sight are laid
//! out.

mod lines;

use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{
    self, Color32, FontId, Galley, Key, ProgressBar, Rect, RichText, ScrollArea, Sense, Stroke, StrokeKind,
    TextEdit, Ui, pos2, vec2,
};
use lm_infinite::attention_window::{AttentionWindow, WindowRequest};

use self::lines::Lines;
use super::map::{ramp, strongest};
use super::{NAMES, SIDES, Shown, tokens};
use crate::command::{Command, Hover};
use crate::job::Inputs;
use crate::reread::{Question, Reread};
use crate::tab::View;
use crate::theme;

/// Time a frame may spend on breaking lines.
const BREAKING: Duration = Duration::from_millis(3);
/// A token that was pointed at this long is meant.
const PATIENCE: Duration = Duration::from_millis(200);
/// Tokens between two looks at the clock.
const PIECE: usize = 2048;
/// Loss with the strongest colour, in nats.
const MOST_NATS: f32 = 10.0;
/// Difference of losses with the strongest colour, in nats.
const MOST_DIFFERENCE: f32 = 5.0;

/// What colours a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Colors {
    /// Loss under A.
    A,
    /// Loss under B.
    B,
    /// Loss under A minus that under B.
    #[default]
    Difference,
    /// Attention of the marked token, under A.
    AttentionA,
    /// Attention of the marked token, under B.
    AttentionB,
}

impl Colors {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Difference, "Loss A − B", "What a token costs more under A (orange) or under B (blue)"),
        (Self::A, "Loss A", "What a token costs under A"),
        (Self::B, "Loss B", "What a token costs under B"),
        (Self::AttentionA, "Attention A", "Where the chosen head looks from the marked token, under A"),
        (Self::AttentionB, "Attention B", "Where the chosen head looks from the marked token, under B"),
    ];

    fn attention_side(self) -> Option<usize> {
        match self {
            Self::AttentionA => Some(0),
            Self::AttentionB => Some(1),
            _ => None,
        }
    }
}

/// The tab.
#[derive(Default)]
struct Text {
    colors: Colors,
    of: Option<Arc<Inputs>>,
    lines: Option<Lines>,
    /// Characters of every token of the vocabulary, with whether a line ends after it.
    widths: Vec<Option<(u8, bool)>>,
    rereads: [Reread; 2],
    /// To be scrolled to, once its line is known.
    wanted: Option<u64>,
    typed: String,
    /// The mark that was last scrolled to.
    marked: Option<u64>,
    /// Where the pointer rests, and since when.
    pointed: Option<(u64, Instant)>,
    /// Whose attention is shown: the marked token, or the one that the pointer rests on.
    source: Option<u64>,
}

/// A new one.
pub fn view() -> Box<dyn View> {
    Box::<Text>::default()
}

impl View for Text {
    fn show(&mut self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        let Some(inputs) = shown.inputs else {
            ui.label("A result folder holds measurements, but neither the text nor the model. Press Run to read a text.");
            return;
        };
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, inputs)) {
            *self = Self { colors: self.colors, of: Some(inputs.clone()), ..Self::default() };
        }
        if self.marked != shown.mark {
            self.marked = shown.mark;
            self.wanted = shown.mark;
        }
        self.controls(ui, shown, commands);
        self.attention(ui, shown);
        self.reading(ui, shown, inputs);
        ui.separator();
        let font = FontId::monospace(13.0);
        let (width, height) =
            ui.fonts_mut(|fonts| (fonts.glyph_width(&font, 'm'), fonts.row_height(&font) + 3.0));
        let columns = ((ui.available_width() - 90.0) / width).clamp(20.0, 160.0) as usize;
        self.break_lines(ui, inputs, columns);
        let Some(lines) = self.lines.take() else { return };
        let mut area = ScrollArea::vertical().auto_shrink(false);
        if let Some(line) = self.wanted.and_then(|token| lines.line(token)) {
            area = area.vertical_scroll_offset((line as f32 * height - ui.available_height() / 3.0).max(0.0));
            self.wanted = None;
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        area.show_rows(ui, height, lines.len(), |ui, rows| {
            for line in rows {
                if let Some(token) = self.line(ui, shown, inputs, &lines, line, (height, &font), commands) {
                    // It is in sight already.
                    self.marked = Some(token);
                    commands.push(Command::Mark(Some(token)));
                }
            }
        });
        self.lines = Some(lines);
    }

    fn is_busy(&self) -> bool {
        self.rereads.iter().any(|reread| reread.progress().is_some())
    }
}

impl Text {
    fn controls(&mut self, ui: &mut Ui, shown: &Shown<'_>, commands: &mut Vec<Command>) {
        ui.horizontal_wrapped(|ui| {
            for (colors, name, help) in Colors::ALL {
                ui.selectable_value(&mut self.colors, colors, name).on_hover_text(help);
            }
            ui.separator();
            let label = ui.label("Go to token");
            let field = TextEdit::singleline(&mut self.typed).desired_width(80.0);
            let response = ui.add(field).labelled_by(label.id).on_hover_text("A position; Enter goes there");
            if response.lost_focus()
                && ui.input(|input| input.key_pressed(Key::Enter))
                && let Ok(position) = self.typed.trim().replace(',', "").parse::<u64>()
            {
                self.wanted = Some(position.min(shown.diagnosis.tokens.saturating_sub(1)));
            }
            if ui.button("Training length").on_hover_text("Go to the end of the training length").clicked() {
                self.wanted =
                    Some(shown.diagnosis.trained_length.min(shown.diagnosis.tokens.saturating_sub(1)));
            }
            if let Some(query) = shown.mark {
                if ui.button("Unmark").on_hover_text(format!("Let token {query} go")).clicked() {
                    commands.push(Command::Mark(None));
                }
                if ui.button("Show in the map").on_hover_text(format!("Where token {query} looks")).clicked()
                {
                    commands.push(Command::Show(crate::tab::Tab::Map));
                }
            }
        });
        ui.horizontal_wrapped(|ui| self.legend(ui, shown));
    }

    fn legend(&self, ui: &mut Ui, shown: &Shown<'_>) {
        let dark = ui.visuals().dark_mode;
        let head = shown.head.or_else(|| strongest(shown.diagnosis));
        match self.colors.attention_side() {
            None => {
                let steps: &[f32] = if self.colors == Colors::Difference {
                    &[-5.0, -2.5, 2.5, 5.0]
                } else {
                    &[0.0, 2.5, 5.0, 10.0]
                };
                for &nats in steps {
                    let color = match self.colors {
                        Colors::Difference => difference_color(nats),
                        _ => loss_color(nats, self.colors),
                    };
                    let text = RichText::new(format!(" {nats} ")).background_color(color).monospace();
                    ui.label(text);
                }
                ui.weak(
                    "nats. Click a token to mark it: then its attention can be shown, here and in the map.",
                );
            }
            Some(side) => {
                for share in [1e-4_f32, 1e-3, 1e-2, 0.1, 1.0] {
                    let (fill, ink) = attention_colors(share, dark);
                    ui.label(
                        RichText::new(format!(" {share} ")).background_color(fill).color(ink).monospace(),
                    );
                }
                let (layer, head) = head.unwrap_or_default();
                match self.source {
                    Some(query) => ui.weak(format!(
                        "probability of layer {layer}, head {head}, from token {query}, under {}",
                        NAMES[side]
                    )),
                    None => ui.label("Point at a token, or click it, to see where the head looks from it."),
                };
            }
        }
    }

    /// Has the attention of the marked token read.
    fn attention(&mut self, ui: &mut Ui, shown: &Shown<'_>) {
        for reread in &mut self.rereads {
            reread.poll();
            reread.keep_only(shown.inputs);
        }
        let Some(side) = self.colors.attention_side() else { return };
        self.choose_source(ui, shown);
        let wanted = (self.source, shown.head.or_else(|| strongest(shown.diagnosis)), shown.inputs);
        let (Some(query), Some((layer, head)), Some(inputs)) = wanted else { return };
        let request = WindowRequest { layer, head, queries: query..query + 1, keys: 0..query + 1, pool: 1 };
        self.rereads[side].ask(Question { inputs: inputs.clone(), side, request }, ui.ctx());
        ui.horizontal_wrapped(|ui| {
            if let Some(share) = self.rereads[side].progress() {
                ui.add(ProgressBar::new(share).desired_width(120.0).desired_height(8.0));
                ui.label("reading the attention of this token …");
            }
            if let Some(failure) = self.rereads[side].failure() {
                ui.label(failure);
            }
        });
    }

    /// The marked token, else the one that the pointer has rested on.
    fn choose_source(&mut self, ui: &Ui, shown: &Shown<'_>) {
        if shown.mark.is_some() {
            (self.source, self.pointed) = (shown.mark, None);
            return;
        }
        let Some(position) = shown.hover.map(|hover| hover.position) else { return };
        match self.pointed {
            Some((pointed, since)) if pointed == position => {
                match PATIENCE.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
                    Some(left) => ui.ctx().request_repaint_after(left),
                    None => self.source = Some(position),
                }
            }
            _ => {
                self.pointed = Some((position, Instant::now()));
                ui.ctx().request_repaint_after(PATIENCE);
            }
        }
    }

    /// One line about the token under the pointer, or the marked one.
    fn reading(&self, ui: &mut Ui, shown: &Shown<'_>, inputs: &Inputs) {
        let at = shown.hover.map(|hover| hover.position).or(shown.mark);
        ui.horizontal(|ui| {
            let Some(position) = at else {
                ui.weak("Point at a token to read its losses.");
                return;
            };
            ui.label(format!("token {position}"));
            ui.label(RichText::new(format!("“{}”", tokens::text(inputs, position))).monospace().strong());
            for (side, run) in shown.diagnosis.runs.iter().take(2).enumerate() {
                let words =
                    loss(&run.arrays.nll, position).map_or("–".to_owned(), |nll| format!("{nll:.3} nats"));
                ui.label(
                    RichText::new(format!("{} {words}", NAMES[side])).color(theme::side(ui.visuals(), side)),
                );
            }
            if let Some(window) = self.window() {
                let probability = window.probability(window.request.queries.start, position);
                if let Some(probability) = probability {
                    ui.label(format!("probability {probability:.4}"));
                }
            }
        });
    }

    fn window(&self) -> Option<&AttentionWindow> {
        let window = self.rereads[self.colors.attention_side()?].answer()?;
        (Some(window.request.queries.start) == self.source).then_some(window)
    }

    /// Breaks some more lines; all anew for another width.
    fn break_lines(&mut self, ui: &Ui, inputs: &Inputs, columns: usize) {
        let again = self.lines.as_ref().is_none_or(|lines| lines.columns() != columns);
        if again {
            // The place in the text stays.
            self.wanted = self.wanted.or(self.marked);
        }
        let lines = match &mut self.lines {
            Some(lines) if !again => lines,
            place => place.insert(Lines::new(columns)),
        };
        let start = Instant::now();
        while (lines.done() as usize) < inputs.tokens.len() && start.elapsed() < BREAKING {
            let from = lines.done() as usize;
            for &id in &inputs.tokens[from..inputs.tokens.len().min(from + PIECE)] {
                let (width, ends) = width(&mut self.widths, inputs, id);
                lines.push(usize::from(width), ends);
            }
        }
        if (lines.done() as usize) < inputs.tokens.len() {
            ui.ctx().request_repaint();
        }
    }

    /// Draws a line; returns the token that was clicked.
    #[expect(clippy::too_many_arguments, reason = "one line of the view, with all that it is made of")]
    fn line(
        &self,
        ui: &mut Ui,
        shown: &Shown<'_>,
        inputs: &Inputs,
        lines: &Lines,
        line: usize,
        (height, font): (f32, &FontId),
        commands: &mut Vec<Command>,
    ) -> Option<u64> {
        let mut clicked = None;
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
        let tokens = lines.tokens(line);
        let ink = ui.visuals().text_color();
        let mut job = LayoutJob::default();
        job.wrap.max_width = f32::INFINITY;
        let mut ends = Vec::new();
        for position in tokens.clone() {
            let text = tokens::text(inputs, position);
            let (background, color) = self.color(shown, position, ink, ui.visuals().dark_mode);
            job.append(&text, 0.0, TextFormat { background, ..TextFormat::simple(font.clone(), color) });
            ends.push(job.text.chars().count());
        }
        let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
        let origin = pos2(rect.left() + 80.0, rect.top());
        let number = pos2(rect.left() + 70.0, rect.top() + 2.0);
        let weak = ui.visuals().weak_text_color();
        let small = FontId::monospace(11.0);
        ui.painter().text(number, egui::Align2::RIGHT_TOP, tokens.start.to_string(), small, weak);
        ui.painter().galley(origin, galley.clone(), ink);
        if let Some(at) = response.hover_pos() {
            let character = galley.cursor_from_pos(at - origin - vec2(3.0, 0.0)).index;
            let token = ends.partition_point(|&end| end <= usize::from(character)) as u64 + tokens.start;
            if at.x >= origin.x && token < tokens.end {
                commands.push(Command::Hover(Hover { position: token, key: None }));
                clicked = response.clicked().then_some(token);
            }
        }
        for (position, width) in [(shown.mark, 2.0), (shown.hover.map(|hover| hover.position), 1.0)] {
            if let Some(position) = position.filter(|position| tokens.contains(position)) {
                let index = (position - tokens.start) as usize;
                let begin = index.checked_sub(1).map_or(0, |before| ends[before]);
                let frame = frame(&galley, origin, begin, ends[index], height);
                let stroke = Stroke::new(width, ui.visuals().strong_text_color());
                ui.painter().rect_stroke(frame, 2.0, stroke, StrokeKind::Outside);
            }
        }
        clicked
    }

    /// Background and ink of a token.
    fn color(&self, shown: &Shown<'_>, position: u64, ink: Color32, dark: bool) -> (Color32, Color32) {
        let runs = &shown.diagnosis.runs;
        let nll = |side: usize| runs.get(side).and_then(|run| loss(&run.arrays.nll, position));
        let fill = match self.colors {
            Colors::A => nll(0).map(|nll| loss_color(nll, Colors::A)),
            Colors::B => nll(1).map(|nll| loss_color(nll, Colors::B)),
            Colors::Difference => nll(0).zip(nll(1)).map(|(a, b)| difference_color(a - b)),
            Colors::AttentionA | Colors::AttentionB => {
                let window = self.window();
                let query = window.map(|window| window.request.queries.start);
                let probability =
                    window.zip(query).and_then(|(window, query)| window.probability(query, position));
                return match probability {
                    Some(probability) if probability >= 1e-4 || probability.is_nan() => {
                        attention_colors(probability, dark)
                    }
                    _ => (Color32::TRANSPARENT, ink),
                };
            }
        };
        (fill.unwrap_or(Color32::TRANSPARENT), ink)
    }
}

/// Loss of the token at `position`; the first has none.
fn loss(nll: &[f32], position: u64) -> Option<f32> {
    nll.get(usize::try_from(position).ok()?.checked_sub(1)?).copied()
}

/// The stronger, the dearer; what is not a number is as strong as can be.
fn loss_color(nll: f32, colors: Colors) -> Color32 {
    let share = if nll.is_finite() { (nll / MOST_NATS).clamp(0.0, 1.0) } else { 1.0 };
    SIDES[usize::from(colors == Colors::B)].gamma_multiply(share * 0.75)
}

/// The colour of the policy under which it is dearer.
fn difference_color(nats: f32) -> Color32 {
    let share = if nats.is_finite() { (nats.abs() / MOST_DIFFERENCE).min(1.0) } else { 1.0 };
    SIDES[usize::from(nats < 0.0)].gamma_multiply(share * 0.75)
}

/// Background and ink on it, on a logarithmic scale from 1e-4 on.
fn attention_colors(probability: f32, dark: bool) -> (Color32, Color32) {
    if probability.is_nan() {
        return (Color32::from_rgb(255, 0, 110), Color32::WHITE);
    }
    let share = 1.0 + probability.max(1e-4).log10() / 4.0;
    // On a light page little is light.
    let fill = if dark { ramp(share) } else { ramp(1.0 - share) };
    let [r, g, b, _] = fill.to_array().map(f32::from);
    (fill, if 0.299 * r + 0.587 * g + 0.114 * b > 125.0 { Color32::BLACK } else { Color32::WHITE })
}

/// Around some characters of a line.
fn frame(galley: &Galley, origin: egui::Pos2, begin: usize, end: usize, height: f32) -> Rect {
    use egui::text::CCursor;
    let x = |at: usize| galley.pos_from_cursor(CCursor::new(at)).left();
    Rect::from_min_max(origin + vec2(x(begin), 0.0), origin + vec2(x(end), height - 2.0))
}

/// Characters of a token and whether a line ends after it, looked up once for every token of the vocabulary.
fn width(widths: &mut Vec<Option<(u8, bool)>>, inputs: &Inputs, id: u32) -> (u8, bool) {
    let at = id as usize;
    if widths.len() <= at {
        widths.resize(at + 1, None);
    }
    *widths[at].get_or_insert_with(|| {
        let raw = inputs.tokenizer.token_text(id).unwrap_or_else(|| "?".to_owned());
        let count = raw.chars().count();
        (u8::try_from(count).unwrap_or(u8::MAX), raw.ends_with('\n'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dearer_tokens_are_stronger_and_the_first_has_no_loss() {
        let strength = |nll: f32| loss_color(nll, Colors::A).a();
        assert!(strength(0.0) < strength(2.0) && strength(2.0) < strength(9.0));
        assert_eq!((strength(f32::NAN), strength(99.0)), (strength(MOST_NATS), strength(MOST_NATS)));
        assert_eq!(
            (loss(&[1.0, 2.0], 0), loss(&[1.0, 2.0], 2), loss(&[1.0, 2.0], 3)),
            (None, Some(2.0), None)
        );
        assert_eq!(difference_color(5.0), SIDES[0].gamma_multiply(0.75));
        assert_eq!(difference_color(-50.0), SIDES[1].gamma_multiply(0.75));
        assert_eq!(difference_color(0.0).a(), 0);
    }

    #[test]
    fn text_on_attention_is_legible() {
        for dark in [true, false] {
            for share in [0.0, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0, f32::NAN] {
                let light = |color: Color32| {
                    let [r, g, b, _] = color.to_array().map(f32::from);
                    0.299 * r + 0.587 * g + 0.114 * b
                };
                let (fill, ink) = attention_colors(share, dark);
                assert!((light(fill) - light(ink)).abs() > 90.0, "{share} {fill:?}");
            }
        }
    }
}
