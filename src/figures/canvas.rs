//! Pixels at scale 1 on any drawing backend: lines with dashes, areas, markers and text.
//!
//! A figure is laid out once, in fractional pixels at scale 1. Backends have whole pixels, so they are given a larger
//! area: SVG 2×; PNG 4×, averaged down to 2× because the bitmap backend does not smooth thick lines.

use std::path::Path;
use std::sync::Once;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    FontFamily, FontStyle, FontTransform, IntoFont, IntoTextStyle, RGBAColor, ShapeStyle, TextStyle,
    register_font,
};

use super::theme::{self, Color, Marker};
use crate::error::{Error, Result};

/// Scale of the files that are written, relative to the layout.
const SCALE: u32 = 2;
/// The bitmap is drawn this much larger still, and averaged.
const SMOOTHING: u32 = 2;
/// Bytes that a bitmap may take. A larger figure is drawn without smoothing, then at scale 1.
pub(super) const LARGEST: u64 = 512 << 20;

/// The family that the embedded font is registered as. SVG names it too; there, a viewer's own sans-serif font stands in.
const FAMILY: &str = "sans-serif";
/// DejaVu Sans: the letters of every figure.
pub static FONT: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
static REGISTER: Once = Once::new();

/// A point, in pixels at scale 1; y grows downwards.
pub type Point = (f64, f64);

/// Where a text stands relative to its point, horizontally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Begins at the point.
    Left,
    /// Centred on it.
    Center,
    /// Ends at it.
    Right,
}

/// What a figure can draw. Errors of the backend are kept until the end.
pub trait Canvas {
    /// A line through `points`; `dash` holds lengths drawn and skipped, in turn.
    fn line(&mut self, points: &[Point], color: Color, opacity: f64, width: f64, dash: &[f64]);
    /// A filled area.
    fn area(&mut self, outline: &[Point], color: Color, opacity: f64);
    /// Text, vertically centred on the point.
    fn text(&mut self, text: &str, at: Point, size: f64, color: Color, align: Align);
    /// Text that reads upwards, centred on the point.
    fn text_upwards(&mut self, text: &str, at: Point, size: f64, color: Color);

    /// A filled rectangle.
    fn rect(&mut self, (x0, y0): Point, (x1, y1): Point, color: Color, opacity: f64) {
        self.area(&[(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, opacity);
    }

    /// A filled disc; thousands of them make a scatter plot, and SVG has a short form for it.
    fn disc(&mut self, center: Point, radius: f64, color: Color, opacity: f64);

    /// A filled marker.
    fn marker(&mut self, marker: Marker, at: Point, radius: f64, color: Color, opacity: f64) {
        match marker {
            Marker::Disc => self.disc(at, radius, color, opacity),
            _ => self.area(&outline(marker, at, radius), color, opacity),
        }
    }
}

/// Outline of a marker of about the same area for every shape.
pub fn outline(marker: Marker, (x, y): Point, radius: f64) -> Vec<Point> {
    let (corners, turn, size) = match marker {
        Marker::Disc => (20, 0.0, 1.0),
        Marker::Square => (4, 0.125, 1.2),
        Marker::Diamond => (4, 0.0, 1.3),
        Marker::Triangle => (3, 0.75, 1.45),
        Marker::Down => (3, 0.25, 1.45),
        Marker::Pentagon => (5, 0.75, 1.15),
        Marker::Right => (3, 0.0, 1.45),
        Marker::Star => (10, 0.75, 1.6),
        Marker::Hexagon => (6, 0.0, 1.1),
    };
    let corner = |i: i32| {
        let angle = std::f64::consts::TAU * (f64::from(i) / f64::from(corners) + turn);
        // Every second corner of a star is an inner one.
        let size = if marker == Marker::Star && i % 2 == 1 { 0.45 * size } else { size };
        (x + radius * size * angle.cos(), y + radius * size * angle.sin())
    };
    (0..corners).map(corner).collect()
}

/// Width of a text, in pixels at scale 1.
pub fn text_width(text: &str, size: f64) -> f64 {
    register();
    // Measured large, because the answer is in whole pixels.
    let font = (FontFamily::SansSerif, size * 16.0).into_font();
    let width = font.layout_box(text).map_or(0, |(low, high)| high.0 - low.0);
    f64::from(width) / 16.0
}

/// Scale and smoothing of the bitmap of a figure of `size`; `None` where it would be too large at any.
fn bitmap((width, height): (u32, u32)) -> Option<(u32, u32)> {
    let fits = |&(scale, smoothing): &(u32, u32)| {
        let side = |length: u32| u64::from(length) * u64::from(scale * smoothing);
        let pixels = side(width).checked_mul(side(height));
        pixels.and_then(|pixels| pixels.checked_mul(3)).is_some_and(|bytes| bytes <= LARGEST)
    };
    [(SCALE, SMOOTHING), (SCALE, 1), (1, 1)].into_iter().find(fits)
}

/// Bytes of the bitmap in which [`write`] draws a figure of `size`.
pub fn bitmap_bytes(size: (u32, u32)) -> u64 {
    let side = |length: u32, scale: u32| u64::from(length) * u64::from(scale);
    bitmap(size).map_or(0, |(scale, more)| 3 * side(size.0, scale * more) * side(size.1, scale * more))
}

/// Draws a figure of `size` and writes `path.svg` and `path.png` (extension replaced).
///
/// # Errors
/// A figure whose bitmap would be too large; a file that cannot be written.
pub fn write(path: &Path, size: (u32, u32), draw: &dyn Fn(&mut dyn Canvas)) -> Result<()> {
    register();
    let name = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |reason: String| Error::Figure { figure: name(), reason };
    let too_large = || failed(format!("it would be {} × {} pixels large", size.0, size.1));
    let (scale, smoothing) = bitmap(size).ok_or_else(too_large)?;
    let svg = path.with_extension("svg");
    let mut text = String::new();
    let backend = SVGBackend::with_string(&mut text, (size.0 * SCALE, size.1 * SCALE));
    on_backend(backend, SCALE, draw).map_err(failed)?;
    std::fs::write(&svg, text).map_err(Error::io(svg))?;

    let (width, height) = (size.0 * scale, size.1 * scale);
    let (large_width, large_height) = (width * smoothing, height * smoothing);
    let mut pixels = vec![255; large_width as usize * large_height as usize * 3];
    let backend = BitMapBackend::with_buffer(&mut pixels, (large_width, large_height));
    on_backend(backend, scale * smoothing, draw).map_err(failed)?;
    let small = average(&pixels, large_width as usize, smoothing as usize);
    let png = path.with_extension("png");
    let mut backend = BitMapBackend::new(&png, (width, height));
    backend.blit_bitmap((0, 0), (width, height), &small).map_err(|e| failed(e.to_string()))?;
    backend.present().map_err(|e| failed(e.to_string()))
}

pub(super) fn register() {
    REGISTER.call_once(|| {
        let registered = register_font(FAMILY, FontStyle::Normal, FONT);
        debug_assert!(registered.is_ok(), "the embedded font is a font");
    });
}

fn on_backend<B: DrawingBackend>(
    backend: B,
    scale: u32,
    draw: &dyn Fn(&mut dyn Canvas),
) -> std::result::Result<(), String> {
    let mut canvas = BackendCanvas::new(backend.into_drawing_area(), f64::from(scale));
    canvas.area.fill(&rgba(theme::PAPER, 1.0)).map_err(|e| e.to_string())?;
    draw(&mut canvas);
    let presented = canvas.area.present().map_err(|e| e.to_string());
    canvas.failure.map_or(presented, Err)
}

/// Mean of every `factor` × `factor` block of an RGB image `width` pixels wide.
pub(super) fn average(pixels: &[u8], width: usize, factor: usize) -> Vec<u8> {
    let count = (factor * factor) as u32;
    let mut small = Vec::with_capacity(pixels.len() / (factor * factor));
    // Most of a figure is paper: parts of this many blocks are looked at whole.
    const BLOCKS: usize = 16;
    let paper = vec![u8::MAX; 3 * factor * BLOCKS];
    for rows in pixels.chunks_exact(width * 3 * factor) {
        let row = |at: usize| &rows[at * width * 3..][..width / factor * factor * 3];
        for from in (0..width / factor * factor * 3).step_by(paper.len()) {
            let to = row(0).len().min(from + paper.len());
            if (0..factor).all(|at| row(at)[from..to] == paper[..to - from]) {
                small.resize(small.len() + (to - from) / factor, u8::MAX);
                continue;
            }
            for block in (from..to).step_by(3 * factor) {
                let mut total = [0; 3];
                for at in 0..factor {
                    for pixel in row(at)[block..block + 3 * factor].as_chunks::<3>().0 {
                        total.iter_mut().zip(pixel).for_each(|(total, &value)| *total += u32::from(value));
                    }
                }
                small.extend(total.map(|sum| ((sum + count / 2) / count) as u8));
            }
        }
    }
    small
}

/// A canvas on a part of a backend, `scale` times as large.
pub(super) struct BackendCanvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
    failure: Option<String>,
}

impl<B: DrawingBackend> BackendCanvas<B> {
    /// Nothing is drawn yet.
    pub(super) fn new(area: DrawingArea<B, Shift>, scale: f64) -> Self {
        Self { area, scale, failure: None }
    }

    /// The first thing that went wrong.
    pub(super) fn failure(self) -> Option<String> {
        self.failure
    }

    fn pixel(&self, (x, y): Point) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn note<E: std::fmt::Display>(&mut self, outcome: std::result::Result<(), E>) {
        if let Err(failure) = outcome {
            self.failure.get_or_insert_with(|| failure.to_string());
        }
    }

    fn write_text(&mut self, text: &str, at: Point, size: f64, color: Color, place: (HPos, FontTransform)) {
        let font = (FontFamily::SansSerif, size * self.scale).into_font().transform(place.1);
        let style: TextStyle<'_> = font.into_text_style(&self.area);
        let color = rgba(color, 1.0);
        let style = style.color(&color).pos(Pos::new(place.0, VPos::Center));
        let outcome = self.area.draw_text(text, &style, self.pixel(at));
        self.note(outcome);
    }
}

fn rgba([red, green, blue]: Color, opacity: f64) -> RGBAColor {
    RGBAColor(red, green, blue, opacity)
}

impl<B: DrawingBackend> Canvas for BackendCanvas<B> {
    fn line(&mut self, points: &[Point], color: Color, opacity: f64, width: f64, dash: &[f64]) {
        let stroke_width = (width * self.scale).round().max(1.0) as u32;
        let style = ShapeStyle { color: rgba(color, opacity), filled: false, stroke_width };
        for piece in dashed(points, dash).iter().flat_map(|piece| without_spikes(piece)) {
            let path: Vec<_> = piece.iter().map(|&point| self.pixel(point)).collect();
            let outcome = self.area.draw(&PathElement::new(path, style));
            self.note(outcome);
        }
    }

    fn area(&mut self, outline: &[Point], color: Color, opacity: f64) {
        let path: Vec<_> = outline.iter().map(|&point| self.pixel(point)).collect();
        let style = ShapeStyle { color: rgba(color, opacity), filled: true, stroke_width: 0 };
        let outcome = self.area.draw(&Polygon::new(path, style));
        self.note(outcome);
    }

    fn disc(&mut self, center: Point, radius: f64, color: Color, opacity: f64) {
        let style = ShapeStyle { color: rgba(color, opacity), filled: true, stroke_width: 0 };
        let radius = (radius * self.scale).round() as i32;
        let outcome = self.area.draw(&Circle::new(self.pixel(center), radius, style));
        self.note(outcome);
    }

    fn text(&mut self, text: &str, at: Point, size: f64, color: Color, align: Align) {
        let align = match align {
            Align::Left => HPos::Left,
            Align::Center => HPos::Center,
            Align::Right => HPos::Right,
        };
        self.write_text(text, at, size, color, (align, FontTransform::None));
    }

    fn text_upwards(&mut self, text: &str, at: Point, size: f64, color: Color) {
        self.write_text(text, at, size, color, (HPos::Center, FontTransform::Rotate270));
    }
}

/// Cuts a line where it turns back sharply: the bitmap backend would draw the outer corner of a thick line as a long spike.
fn without_spikes(points: &[Point]) -> Vec<Vec<Point>> {
    let mut pieces = vec![Vec::new()];
    for (at, &point) in points.iter().enumerate() {
        if let Some(piece) = pieces.last_mut() {
            piece.push(point);
        }
        if at > 0 && at + 1 < points.len() {
            let (before, after) = (points[at - 1], points[at + 1]);
            let (a, b) = ((point.0 - before.0, point.1 - before.1), (after.0 - point.0, after.1 - point.1));
            let along = a.0 * b.0 + a.1 * b.1;
            // More than a right angle.
            if along < 0.0 {
                pieces.push(vec![point]);
            }
        }
    }
    pieces
}

/// Longest line that is cut into dashes, in pixels; no picture is so wide, but a point may lie far outside.
const LONGEST_DASHED: f64 = 1e6;

/// Cuts a line into the pieces that a dash pattern draws. An empty pattern, or one without length, draws all of it, and so does a
/// line that is too long for any picture.
fn dashed(points: &[Point], dash: &[f64]) -> Vec<Vec<Point>> {
    if points.len() < 2 {
        return Vec::new();
    }
    let lengths = points.windows(2).map(|pair| (pair[1].0 - pair[0].0).hypot(pair[1].1 - pair[0].1));
    let fits = lengths.sum::<f64>() <= LONGEST_DASHED;
    if !fits || dash.is_empty() || !dash.iter().all(|length| *length > 0.0) {
        return vec![points.to_vec()];
    }
    let mut pieces = Vec::new();
    let mut piece = vec![points[0]];
    let (mut part, mut left) = (0, dash[0]);
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let length = (x1 - x0).hypot(y1 - y0);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = (x0 + (x1 - x0) * done / length, y0 + (y1 - y0) * done / length);
            if part % 2 == 0 {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            part += 1;
            left = dash[part % dash.len()];
        }
        left -= length - done;
        if part % 2 == 0 {
            piece.push((x1, y1));
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_carry_over_corners() {
        let line = [(0.0, 0.0), (3.0, 0.0), (3.0, 5.0)];
        let pieces = dashed(&line, &[4.0, 2.0]);
        assert_eq!(pieces, [vec![(0.0, 0.0), (3.0, 0.0), (3.0, 1.0)], vec![(3.0, 3.0), (3.0, 5.0)]]);
        assert_eq!(dashed(&line, &[]), [line.to_vec()]);
        assert!(dashed(&line[..1], &[1.0]).is_empty());
        for far in [1e9, f64::INFINITY, f64::NAN] {
            let line = [(0.0, 0.0), (far, 1.0)];
            assert_eq!(dashed(&line, &[4.0, 2.0]).len(), 1, "{far}");
        }
    }

    #[test]
    fn averaging_halves_an_image() {
        let pixels = [[0, 0, 0], [200, 0, 0], [0, 100, 0], [0, 100, 4]].concat();
        assert_eq!(average(&pixels, 2, 2), [50, 50, 1]);
    }

    /// Also where a part is paper, and where the width is no multiple of the factor, whose last columns are left out.
    #[test]
    fn averages_are_those_of_the_plain_definition() {
        for (width, height, factor) in [(1, 1, 1), (64, 4, 2), (67, 5, 2), (200, 6, 3), (33, 2, 2)] {
            let pixel = |x: usize, y: usize, c: usize| match x / 40 % 2 {
                0 => u8::MAX,
                _ => (x * 31 + y * 17 + c * 101) as u8,
            };
            let all = |x: usize, y: usize| (0..3).map(move |c| pixel(x, y, c));
            let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| all(x, y))).collect();
            let mean = |x: usize, y: usize, c: usize| {
                let block = (0..factor).flat_map(|dy| (0..factor).map(move |dx| (dx, dy)));
                let sum: u32 =
                    block.map(|(dx, dy)| u32::from(pixel(x * factor + dx, y * factor + dy, c))).sum();
                ((sum + (factor * factor / 2) as u32) / (factor * factor) as u32) as u8
            };
            let mut expected = Vec::new();
            for y in 0..height / factor {
                for x in 0..width / factor {
                    expected.extend((0..3).map(|c| mean(x, y, c)));
                }
            }
            assert!(average(&pixels, width, factor) == expected, "{width} × {height} by {factor}");
        }
    }

    #[test]
    fn a_large_figure_has_a_coarser_bitmap_and_a_huge_one_none() {
        assert_eq!(bitmap((900, 600)), Some((2, 2)));
        assert_eq!(bitmap((8_200, 6_000)), Some((1, 1)));
        assert_eq!((bitmap((u32::MAX, 2)), bitmap((u32::MAX, u32::MAX))), (None, None));
        let folder = tempfile::tempdir().expect("a folder");
        let refused = write(&folder.path().join("a"), (u32::MAX, 900), &|_| ()).expect_err("huge");
        assert!(refused.to_string().contains("pixels large"), "{refused}");
    }

    #[test]
    fn text_has_a_width() {
        assert!(text_width("mm", 16.0) > 2.0 * text_width("i", 16.0));
        assert_eq!(text_width("", 16.0), 0.0);
    }
}
