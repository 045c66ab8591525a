//! How a plot looks: A solid and B dashed, so that they differ in grey too, the training length, and the cursor.

use std::ops::Range;

use eframe::egui::{Color32, Rect, Sense, Shape, Stroke, Ui, Vec2b, Visuals, pos2, vec2};
use egui_plot::{FilledArea, Line, LineStyle, Plot, PlotPoints, Points, Span, VLine};

use super::axis::{Axis, grouped, round_marks, round_words};
use super::line::{Kind, Line as Drawn};
use super::model::Drawing;
use crate::theme;
use crate::views::data;
use crate::views::shown::Hidden;

/// Of bounds, beside those of A and B in the same palette.
const BOUNDS: [Color32; 4] = [
    Color32::from_rgb(128, 128, 128),
    Color32::from_rgb(0, 158, 115),
    Color32::from_rgb(204, 121, 167),
    Color32::from_rgb(230, 159, 0),
];
/// Opacity of a band.
const BAND: f32 = 0.16;
/// Of grid lines.
const GRID: f32 = 0.16;
/// Numbers along a vertical axis, about, and their width: the same for all plots, so that their axes are in line.
const UPWARDS: f64 = 5.0;
const NUMBERS: f32 = 44.0;

/// The colour of a side, lighter on dark ground.
pub fn side(ui: &Ui, side: usize) -> Color32 {
    theme::side(ui.visuals(), side)
}

/// The colour of a bound of the entropy.
pub fn bound(number: usize) -> Color32 {
    BOUNDS[number % BOUNDS.len()]
}

/// How the line of a side is drawn, in a word: not by colour alone.
pub fn style_name(side: usize) -> &'static str {
    ["solid", "dashed", "dotted", "long dashes"][side % 4]
}

fn style(side: usize) -> LineStyle {
    match side % 4 {
        0 => LineStyle::Solid,
        1 => LineStyle::dashed_dense(),
        2 => LineStyle::Dotted { spacing: 6.0 },
        _ => LineStyle::Dashed { length: 16.0 },
    }
}

/// What is marked along a plot, in tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// The training length.
    pub trained: u64,
    /// Where the text repeats.
    pub repeats: Option<u64>,
    /// Policies that are not drawn.
    pub hidden: Hidden,
    /// The cursor of the timeline, where the axis is that of the text.
    pub cursor: Option<u64>,
    /// Its range.
    pub range: Option<Range<u64>>,
}

/// The colour of the lines of a grid, without a fade.
pub fn grid(visuals: &Visuals) -> Color32 {
    visuals.text_color().gamma_multiply(GRID)
}

/// The line of a side, as an example of itself.
pub fn example(ui: &mut Ui, number: usize) {
    let (rect, _) = ui.allocate_exact_size(vec2(22.0, 12.0), Sense::hover());
    let stroke = Stroke::new(2.0, side(ui, number));
    let ends = [rect.left_center(), rect.right_center()];
    ui.painter().extend(match number % 4 {
        0 => vec![Shape::line_segment(ends, stroke)],
        1 => Shape::dashed_line(&ends, stroke, 4.0, 3.0),
        2 => Shape::dotted_line(&ends, stroke.color, 5.0, 1.5),
        _ => Shape::dashed_line(&ends, stroke, 9.0, 4.0),
    });
}

/// Draws a plot; returns the place that the pointer is over. The training length is marked, and where the text repeats. `cursor`
/// is marked, whichever plot it comes from.
pub fn plot(
    ui: &mut Ui,
    drawing: &Drawing,
    axis: &Axis,
    marked: &Marks,
    cursor: Option<f64>,
    height: f32,
) -> Option<f64> {
    let visuals = ui.visuals().clone();
    let color = |side: usize| theme::side(&visuals, side);
    let (strong, grey) = (visuals.strong_text_color(), visuals.weak_text_color());
    let [low, high] = axis.ends();
    let low_end = low;
    let marks = *axis;
    let plot = Plot::new(drawing.curve.title())
        .height(height)
        .x_axis_label(drawing.curve.across())
        .allow_scroll(false)
        .allow_zoom(Vec2b::TRUE)
        .include_x(low)
        .include_x(high)
        .x_grid_spacer(move |input| marks.marks(input.bounds))
        .x_axis_formatter(move |mark, _| grouped(marks.tokens(mark.value)))
        .y_grid_spacer(|input| round_marks(input.bounds, UPWARDS))
        .y_axis_formatter(|mark, range| round_words(mark.value, (*range.start(), *range.end()), UPWARDS))
        .y_axis_min_width(NUMBERS)
        .grid_color(grid(&visuals))
        .grid_fade(0.0)
        .show_crosshair(false)
        .label_formatter(|_| None);
    let plot = match drawing.holds {
        Some([low, high]) => plot.include_y(low).include_y(high),
        None => plot.include_y(0.0).include_y(1.0),
    };
    let begin = ui.cursor().min;
    let response = plot.show(ui, |plot| {
        let hidden = |line: &&Drawn| match line.kind {
            Kind::Side(side) | Kind::Pin { side, .. } => marked.hidden.has(side),
            _ => false,
        };
        for line in drawing.lines.iter().filter(|line| !hidden(line)) {
            let Kind::Side(side) = line.kind else { continue };
            for [places, low, high] in line.band_pieces() {
                let area = FilledArea::new("", places, low, high);
                plot.add(area.fill_color(color(side).gamma_multiply(BAND)).allow_hover(false));
            }
            if let Some(at) = line.not_finite_from {
                let at = axis.place(at as f64).unwrap_or(low_end);
                plot.vline(
                    VLine::new("", at).color(color(side)).style(LineStyle::dotted_dense()).allow_hover(false),
                );
            }
        }
        let from = |token: u64| axis.place(token as f64).unwrap_or(low_end);
        // What training never showed.
        if marked.trained as f64 * 1.001 < axis.tokens(high) {
            let beyond = Span::new("", from(marked.trained)..=high).fill(grey.gamma_multiply(0.07));
            plot.span(beyond.border_width(0.0));
        }
        if let Some(range) = &marked.range {
            let range = Span::new("", from(range.start)..=from(range.end));
            plot.span(range.fill(strong.gamma_multiply(0.07)).border_color(strong));
        }
        if let Some(at) = marked.cursor.and_then(|token| axis.place(token as f64)) {
            plot.vline(VLine::new("", at).color(strong).width(1.6).allow_hover(false));
        }
        if let Some(at) = axis.place(marked.trained as f64) {
            plot.vline(VLine::new("", at).color(grey).style(LineStyle::dashed_loose()));
        }
        if let Some(at) = marked.repeats.and_then(|from| axis.place(from as f64)) {
            plot.vline(VLine::new("", at).color(grey).style(LineStyle::dotted_dense()));
        }
        // A policy that holds lies on the reference, and is seen.
        let is_reference = |line: &&Drawn| line.kind == Kind::Reference;
        let lines = || drawing.lines.iter().filter(|line| !hidden(line));
        for line in lines().filter(is_reference).chain(lines().filter(|line| !is_reference(line))) {
            let (width, ink, style) = match line.kind {
                Kind::Side(0) => (2.2, color(0), style(0)),
                Kind::Side(side) => (1.8, color(side), style(side)),
                Kind::Pin { pin, side } => (1.6, color(pin), style(side)),
                Kind::Reference => (1.2, grey, LineStyle::dotted_dense()),
                Kind::Bound(number) => (1.6, bound(number), LineStyle::dotted_dense()),
            };
            for piece in line.pieces() {
                // One value between two gaps is no line.
                if let [only] = piece {
                    let point = Points::new(line.name.as_str(), vec![[only.x, only.y]]);
                    plot.points(point.color(ink).radius(width).allow_hover(false));
                    continue;
                }
                let drawn = Line::new(line.name.as_str(), PlotPoints::from(piece));
                plot.line(drawn.stroke(Stroke::new(width, ink)).style(style).allow_hover(false));
            }
        }
        if let Some(cursor) = cursor {
            plot.vline(VLine::new("", cursor).color(strong).width(1.0).allow_hover(false));
        }
        plot.response().hovered().then(|| plot.pointer_coordinate()).flatten().map(|at| at.x)
    });
    // With the numbers and names of its axes.
    let end = pos2(ui.max_rect().right(), ui.cursor().top());
    data::mark(ui, Rect::from_min_max(begin, end));
    response.inner
}
