//! The attention of one head at one place of a text, in the colours that somebody looks at: queries downwards, keys across.

use std::path::Path;

use super::axes::Axis;
use super::canvas::{Align, Canvas, Point, text_width};
use super::sized::{Figure, Format, Raster, Sizing};
use super::theme::{Color, LABEL, ON_DARK, ON_LIGHT, TICK, TITLE};
use crate::error::Result;

const SIZE: (u32, u32) = (720, 800);
const LEFT: f64 = 92.0;
const TOP: f64 = 86.0;
const RIGHT: f64 = 28.0;
/// Below the map: numbers, their name, the scale of colours and its numbers.
const BELOW: f64 = 112.0;
const BAR: f64 = 13.0;

/// A line over the map.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceLine {
    /// (query, key) of its ends.
    pub ends: [(f64, f64); 2],
    /// Lengths drawn and skipped, in pixels; empty for a solid line.
    pub dash: Vec<f64>,
    /// A thin line that stands back.
    pub faint: bool,
}

/// One map.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceMap {
    /// What is shown.
    pub title: String,
    /// How to read it, in small print.
    pub note: String,
    /// First query and first key.
    pub from: (f64, f64),
    /// Tokens from side to side.
    pub span: f64,
    /// Cells from side to side.
    pub side: usize,
    /// Their colours, query by query. [side × side]
    pub colors: Vec<Color>,
    /// The policy's lines.
    pub lines: Vec<PlaceLine>,
    /// Colours from the least value to the most, and what they are of.
    pub scale: (Vec<Color>, String),
    /// The two values.
    pub ends: (f32, f32),
    /// Colours that stand for no value, with their names.
    pub swatches: Vec<(Color, String)>,
    /// Ground, words, and what stands back.
    pub page: [Color; 3],
}

impl PlaceMap {
    /// Writes it to `path`, with the ending of the format.
    ///
    /// # Errors
    /// A file that cannot be written, or a figure that cannot be drawn.
    pub fn write(&self, path: &Path, format: Format, sizing: Sizing) -> Result<()> {
        let raster = |size| {
            let [from, to] = Self::square(size);
            Raster { from, to, columns: self.side, colors: self.colors.clone() }
        };
        let draw = |canvas: &mut dyn Canvas, size| self.draw(canvas, size);
        let figure =
            Figure { size: SIZE, elastic: true, paper: self.page[0], raster: Some(&raster), draw: &draw };
        figure.write(path, format, sizing)
    }

    /// Corners of the map in a page of `size`: as large as fits.
    fn square((width, height): (u32, u32)) -> [Point; 2] {
        let side = (f64::from(width) - LEFT - RIGHT).min(f64::from(height) - TOP - BELOW).max(16.0);
        [(LEFT, TOP), (LEFT + side, TOP + side)]
    }

    fn draw(&self, canvas: &mut dyn Canvas, size: (u32, u32)) {
        let [_, ink, muted] = self.page;
        let [from, to] = Self::square(size);
        let point = |(query, key): (f64, f64)| {
            let along =
                |at: f64, first: f64, low: f64, high: f64| low + (at - first) / self.span * (high - low);
            (along(key, self.from.1, from.0, to.0), along(query, self.from.0, from.1, to.1))
        };
        canvas.text(&self.title, (24.0, 24.0), TITLE, ink, Align::Left);
        canvas.text(&self.note, (24.0, 47.0), TICK, muted, Align::Left);
        for line in &self.lines {
            let Some(ends) = clipped(line.ends.map(point), from, to) else { continue };
            if line.faint {
                canvas.line(&ends, muted, 1.0, 1.0, &line.dash);
            } else {
                // Dark under light: seen on every colour.
                canvas.line(&ends, ON_LIGHT, 0.7, 2.8, &line.dash);
                canvas.line(&ends, ON_DARK, 1.0, 1.3, &line.dash);
            }
        }
        let frame = [from, (to.0, from.1), to, (from.0, to.1), from];
        canvas.line(&frame, muted, 1.0, 1.0, &[]);
        let most = ((to.0 - from.0) / 80.0).max(2.0);
        for (at, number) in Axis::new("", self.from.0, self.from.0 + self.span, most).ticks() {
            let (_, y) = point((at, self.from.1));
            canvas.line(&[(from.0 - 5.0, y), (from.0, y)], ink, 1.0, 1.0, &[]);
            canvas.text(&number, (from.0 - 9.0, y), TICK, ink, Align::Right);
        }
        for (at, number) in Axis::new("", self.from.1, self.from.1 + self.span, most).ticks() {
            let (x, _) = point((self.from.0, at));
            canvas.line(&[(x, to.1), (x, to.1 + 5.0)], ink, 1.0, 1.0, &[]);
            canvas.text(&number, (x, to.1 + 16.0), TICK, ink, Align::Center);
        }
        canvas.text("key (token)", ((from.0 + to.0) / 2.0, to.1 + 38.0), LABEL, ink, Align::Center);
        canvas.text_upwards("query (token)", (18.0, (from.1 + to.1) / 2.0), LABEL, ink);
        self.draw_scale(canvas, (from.0, to.1 + 62.0), to.0 - from.0);
    }

    /// The colours with their numbers, and those that stand for no value.
    fn draw_scale(&self, canvas: &mut dyn Canvas, (left, top): Point, room: f64) {
        let ([_, ink, muted], (colors, name)) = (self.page, &self.scale);
        let width = (room * 0.45).min(300.0);
        let step = width / colors.len().max(1) as f64;
        for (at, &color) in colors.iter().enumerate() {
            let x = left + step * at as f64;
            canvas.rect((x, top), (x + step + 0.3, top + BAR), color, 1.0);
        }
        let below = top + BAR + 13.0;
        let number = |value: f32| format!("{value:.2}").replace('-', "\u{2212}");
        canvas.text(&number(self.ends.0), (left, below), TICK, ink, Align::Left);
        canvas.text(&number(self.ends.1), (left + width, below), TICK, ink, Align::Right);
        canvas.text(name, (left + width / 2.0, below), TICK, ink, Align::Center);
        let mut x = left + width + 24.0;
        for (color, words) in &self.swatches {
            canvas.rect((x, top), (x + 18.0, top + BAR), *color, 1.0);
            let frame = [(x, top), (x + 18.0, top), (x + 18.0, top + BAR), (x, top + BAR), (x, top)];
            canvas.line(&frame, muted, 1.0, 1.0, &[]);
            canvas.text(words, (x + 25.0, top + BAR / 2.0), TICK, ink, Align::Left);
            x += 25.0 + text_width(words, TICK) + 16.0;
        }
    }
}

/// The part of a line that is inside of a rectangle (Liang and Barsky 1984).
fn clipped([(x0, y0), (x1, y1)]: [Point; 2], from: Point, to: Point) -> Option<[Point; 2]> {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let (mut begin, mut end) = (0.0_f64, 1.0_f64);
    for (along, room) in [(-dx, x0 - from.0), (dx, to.0 - x0), (-dy, y0 - from.1), (dy, to.1 - y0)] {
        if along == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if along < 0.0 {
            begin = begin.max(room / along);
        } else {
            end = end.min(room / along);
        }
    }
    (begin <= end).then(|| [begin, end].map(|share| (x0 + dx * share, y0 + dy * share)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_frame() {
        let clipped = |ends| clipped(ends, (0.0, 0.0), (10.0, 10.0));
        assert_eq!(clipped([(-5.0, -5.0), (20.0, 20.0)]), Some([(0.0, 0.0), (10.0, 10.0)]));
        assert_eq!(clipped([(2.0, 3.0), (4.0, 5.0)]), Some([(2.0, 3.0), (4.0, 5.0)]));
        assert_eq!(clipped([(5.0, -1.0), (5.0, 99.0)]), Some([(5.0, 0.0), (5.0, 10.0)]));
        assert_eq!((clipped([(11.0, 0.0), (11.0, 9.0)]), clipped([(-9.0, 0.0), (0.0, -9.0)])), (None, None));
    }

    #[test]
    fn a_map_is_written_in_both_formats_with_its_words() {
        let map = PlaceMap {
            title: "L4 H1 of m, under lm-infinite".into(),
            note: "Logits".into(),
            from: (100.0, 90.0),
            span: 8.0,
            side: 8,
            colors: (0..64).map(|at| [at * 3, 10, 200]).collect(),
            lines: vec![PlaceLine { ends: [(0.0, 0.0), (999.0, 999.0)], dash: vec![4.0, 3.0], faint: false }],
            scale: (vec![[0, 0, 0], [255, 255, 255]], "logit".into()),
            ends: (-1.5, 2.0),
            swatches: vec![([9, 9, 9], "not attended".into())],
            page: [[255, 255, 255], [0, 0, 0], [99, 99, 99]],
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("map");
        map.write(&path, Format::Svg, Sizing::default()).expect("written");
        let text = std::fs::read_to_string(path.with_extension("svg")).expect("written");
        for words in ["L4 H1 of m", "key (token)", "\u{2212}1.50", "2.00", "not attended", "102", "<image "] {
            assert!(text.contains(words), "{words}");
        }
        let sizing = Sizing { size: Some((300, 500)), dpi: 96 };
        map.write(&path, Format::Png, sizing).expect("written");
        let bytes = std::fs::read(path.with_extension("png")).expect("written");
        assert_eq!(bytes[16..24], [0, 0, 1, 44, 0, 0, 1, 244]);
    }
}
