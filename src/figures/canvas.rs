//! Pixels at scale 1 on any drawing backend: lines with dashes, areas, markers and text.
//!
//! A figure is laid out once, in fractional pixels at scale 1. Backends have whole pixels, so they are given a larger
//! area: SVG 2×; PNG 4×, averaged down to 2× because the bitmap backend does not smooth thick lines.

use std::path::Path;
use std::sync::Once;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    FontFamily, FontStyle, FontTransform, IntoFont, IntoTextStyle, RGBAColor, ShapeStyle, TextStyle,
    register_font,
};

use super::band::Band;
use super::pixels::{average, encode, paper};
use super::theme::{self, Color, Marker};
use crate::error::{Error, Result};

/// Scale of the files that are written, relative to the layout.
const SCALE: u32 = 2;
/// The bitmap is drawn this much larger still, and averaged.
const SMOOTHING: u32 = 2;
/// Bytes of the part of a bitmap that is drawn at once.
const BAND: u32 = 8 << 20;
/// Bytes of a bitmap that is averaged. What is larger shows every head, much smaller than it is, and drawing it cost more than the rest of the
/// figures together.
const SMOOTHED: u64 = 64 << 20;
/// Bytes that a bitmap may take. A larger figure is drawn at scale 1.
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
fn scaling((width, height): (u32, u32)) -> Option<(u32, u32)> {
    let fits = |&(scale, smoothing, most): &(u32, u32, u64)| {
        let side = |length: u32| u64::from(length) * u64::from(scale * smoothing);
        let pixels = side(width).checked_mul(side(height));
        pixels.and_then(|pixels| pixels.checked_mul(3)).is_some_and(|bytes| bytes <= most)
    };
    let ways = [(SCALE, SMOOTHING, SMOOTHED), (SCALE, 1, LARGEST), (1, 1, LARGEST)];
    ways.into_iter().find(fits).map(|(scale, smoothing, _)| (scale, smoothing))
}

/// Bytes of the bitmap in which [`write`] draws a figure of `size`.
pub fn bitmap_bytes(size: (u32, u32)) -> u64 {
    let side = |length: u32, scale: u32| u64::from(length) * u64::from(scale);
    scaling(size).map_or(0, |(scale, more)| 3 * side(size.0, scale * more) * side(size.1, scale * more))
}

/// The memory of a bitmap, kept from one figure to the next: the system clears fresh memory, which takes longer than to fill it.
#[derive(Default)]
pub(super) struct Bitmap {
    /// The band that is drawn.
    band: Vec<u8>,
    /// The bands that are finished.
    done: Vec<u8>,
}

/// Draws a figure of `size` and writes `path.svg` and `path.png` (extension replaced).
///
/// # Errors
/// A figure whose bitmap would be too large; a file that cannot be written.
pub fn write(path: &Path, size: (u32, u32), draw: &dyn Fn(&mut dyn Canvas)) -> Result<()> {
    write_in(&mut Bitmap::default(), path, size, draw)
}

/// The same, in memory that another figure may have left.
pub(super) fn write_in(
    bitmap: &mut Bitmap,
    path: &Path,
    size: (u32, u32),
    draw: &dyn Fn(&mut dyn Canvas),
) -> Result<()> {
    register();
    let name = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |reason: String| Error::Figure { figure: name(), reason };
    let too_large = || failed(format!("it would be {} × {} pixels large", size.0, size.1));
    let (scale, smoothing) = scaling(size).ok_or_else(too_large)?;
    let svg = path.with_extension("svg");
    let mut text = String::new();
    let backend = SVGBackend::with_string(&mut text, (size.0 * SCALE, size.1 * SCALE));
    on_svg(backend, draw).map_err(failed)?;
    std::fs::write(&svg, text).map_err(Error::io(svg))?;

    bitmap.draw(size, (scale, smoothing), BAND, draw).map_err(failed)?;
    let pixels = (size.0 * scale, size.1 * scale);
    let bytes = encode(&bitmap.done, pixels, None, png::Compression::Fast).map_err(failed)?;
    let png = path.with_extension("png");
    std::fs::write(&png, bytes).map_err(Error::io(png))
}

impl Bitmap {
    /// Draws a figure of `size`, `scale · smoothing` times as large, in bands of about `bytes`, and averages it down to `scale`.
    fn draw(
        &mut self,
        (width, height): (u32, u32),
        (scale, smoothing): (u32, u32),
        bytes: u32,
        draw: &dyn Fn(&mut dyn Canvas),
    ) -> std::result::Result<(), String> {
        let whole = (width * scale * smoothing, height * scale * smoothing);
        let rows = (bytes / (3 * whole.0).max(1)).max(1).next_multiple_of(smoothing);
        self.done.clear();
        for top in (0..whole.1).step_by(rows as usize) {
            let rows = rows.min(whole.1 - top);
            paper(&mut self.band, (whole.0, rows));
            let band = Band::new(&mut self.band, whole, top, rows);
            let mut canvas = BackendCanvas::new(band.into_drawing_area(), f64::from(scale * smoothing));
            canvas.rows = (f64::from(top), f64::from(top + rows));
            canvas.draw(draw)?;
            if smoothing > 1 {
                average::<{ SMOOTHING as usize }>(&mut self.band, whole.0 as usize);
            }
            self.done.extend_from_slice(&self.band);
        }
        Ok(())
    }
}

pub(super) fn register() {
    REGISTER.call_once(|| {
        let registered = register_font(FAMILY, FontStyle::Normal, FONT);
        debug_assert!(registered.is_ok(), "the embedded font is a font");
    });
}

fn on_svg(backend: SVGBackend<'_>, draw: &dyn Fn(&mut dyn Canvas)) -> std::result::Result<(), String> {
    let canvas = BackendCanvas::new(backend.into_drawing_area(), f64::from(SCALE));
    canvas.area.fill(&rgba(theme::PAPER, 1.0)).map_err(|e| e.to_string())?;
    canvas.draw(draw)
}

/// A canvas on a part of a backend, `scale` times as large.
pub(super) struct BackendCanvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
    /// What lies outside of these rows of the backend need not be drawn.
    rows: (f64, f64),
    failure: Option<String>,
}

impl<B: DrawingBackend> BackendCanvas<B> {
    /// Nothing is drawn yet.
    pub(super) fn new(area: DrawingArea<B, Shift>, scale: f64) -> Self {
        Self { area, scale, rows: (f64::NEG_INFINITY, f64::INFINITY), failure: None }
    }

    /// Draws everything, and gives the first thing that went wrong.
    fn draw(mut self, draw: &dyn Fn(&mut dyn Canvas)) -> std::result::Result<(), String> {
        draw(&mut self);
        let presented = self.area.present().map_err(|e| e.to_string());
        self.failure.map_or(presented, Err)
    }

    /// The first thing that went wrong.
    pub(super) fn failure(self) -> Option<String> {
        self.failure
    }

    fn pixel(&self, (x, y): Point) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    /// Whether no part of `points` lies within `around` (pixels at scale 1) of the rows that are drawn.
    fn misses(&self, points: &[Point], around: f64) -> bool {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &(_, y) in points {
            (low, high) = (low.min(y), high.max(y));
        }
        (high + around) * self.scale < self.rows.0 || (low - around) * self.scale > self.rows.1
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
        if self.misses(points, 2.0 * width + 2.0) {
            return;
        }
        let stroke_width = (width * self.scale).round().max(1.0) as u32;
        let style = ShapeStyle { color: rgba(color, opacity), filled: false, stroke_width };
        for piece in dashed(points, dash).iter().flat_map(|piece| without_spikes(piece)) {
            let path: Vec<_> = piece.iter().map(|&point| self.pixel(point)).collect();
            let outcome = self.area.draw(&PathElement::new(path, style));
            self.note(outcome);
        }
    }

    fn area(&mut self, outline: &[Point], color: Color, opacity: f64) {
        if self.misses(outline, 2.0) {
            return;
        }
        let path: Vec<_> = outline.iter().map(|&point| self.pixel(point)).collect();
        let style = ShapeStyle { color: rgba(color, opacity), filled: true, stroke_width: 0 };
        let outcome = self.area.draw(&Polygon::new(path, style));
        self.note(outcome);
    }

    fn disc(&mut self, center: Point, radius: f64, color: Color, opacity: f64) {
        if self.misses(&[center], radius + 2.0) {
            return;
        }
        let style = ShapeStyle { color: rgba(color, opacity), filled: true, stroke_width: 0 };
        let radius = (radius * self.scale).round() as i32;
        let outcome = self.area.draw(&Circle::new(self.pixel(center), radius, style));
        self.note(outcome);
    }

    fn text(&mut self, text: &str, at: Point, size: f64, color: Color, align: Align) {
        if self.misses(&[at], 2.0 * size) {
            return;
        }
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
    fn a_large_figure_has_a_coarser_bitmap_and_a_huge_one_none() {
        assert_eq!(scaling((900, 600)), Some((2, 2)));
        assert_eq!(scaling((900, 2_071)), Some((2, 1)));
        assert_eq!(scaling((8_200, 6_000)), Some((1, 1)));
        assert_eq!((scaling((u32::MAX, 2)), scaling((u32::MAX, u32::MAX))), (None, None));
        let folder = tempfile::tempdir().expect("a folder");
        let refused = write(&folder.path().join("a"), (u32::MAX, 900), &|_| ()).expect_err("huge");
        assert!(refused.to_string().contains("pixels large"), "{refused}");
    }

    /// A figure with everything that a canvas draws, across the edges of bands and beyond the figure.
    fn everything(canvas: &mut dyn Canvas) {
        let wave: Vec<Point> =
            (0..40).map(|i| (f64::from(i) * 3.3, 45.0 + 40.0 * f64::from(i).sin())).collect();
        for (width, dash) in [(0.25, &[][..]), (1.0, &[5.0, 2.0]), (3.7, &[])] {
            canvas.line(&wave, [10, 80, 200], 0.7, width, dash);
            canvas.line(&[(4.0 * width, -20.0), (4.0 * width, 140.0)], [0, 0, 0], 1.0, width, dash);
            canvas.line(&[(-5.0, 20.0 * width), (300.0, 20.0 * width)], [200, 0, 0], 0.3, width, &[]);
        }
        canvas.area(&wave, [0, 120, 0], 0.2);
        canvas.rect((20.0, -10.0), (60.0, 55.5), [90, 0, 90], 0.5);
        for (at, marker) in [(12.3, Marker::Disc), (30.0, Marker::Star), (61.7, Marker::Down)] {
            canvas.marker(marker, (2.0 * at, at), 9.0, [250, 130, 0], 0.9);
        }
        canvas.text("of rows, gjpq", (5.0, 33.0), 17.0, [0, 0, 0], Align::Left);
        canvas.text_upwards("upwards", (100.0, 50.0), 13.0, [0, 0, 0]);
    }

    #[test]
    fn a_figure_in_bands_is_the_figure_in_one_piece() {
        register();
        let (size, mut whole, mut parts) = ((131, 97), Bitmap::default(), Bitmap::default());
        for scaling in [(1, 1), (2, 1), (2, 2)] {
            whole.draw(size, scaling, u32::MAX, &everything).expect("draws");
            assert_eq!(whole.done.len(), 3 * 131 * 97 * (scaling.0 * scaling.0) as usize);
            for bytes in [0, 3 * 131 * 4 * 7, 20_000, 100_000] {
                parts.draw(size, scaling, bytes, &everything).expect("draws");
                assert!(parts.done == whole.done, "{scaling:?} in bands of {bytes}");
            }
        }
    }

    #[test]
    fn text_has_a_width() {
        assert!(text_width("mm", 16.0) > 2.0 * text_width("i", 16.0));
        assert_eq!(text_width("", 16.0), 0.0);
    }
}
