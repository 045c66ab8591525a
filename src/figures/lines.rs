//! A figure of curves: one per policy, with bands, a legend above the frame and the training length marked.

use super::axes::{Axis, Frame};
use super::canvas::{Align, Canvas, Point, text_width};
use super::theme::{INK, LABEL, Look, MUTED, PAPER, TICK, TITLE};
use crate::words::grouped;

/// Width and the part of the height that no legend takes, in pixels at scale 1.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 520.0;
const ROW: f64 = 25.0;
const SAMPLE: f64 = 46.0;
/// Width of a column of pixels that holds one point of a curve.
const COLUMN: f64 = 2.0;
/// Size of the widths of bins.
const SMALL: f64 = 11.5;
/// Markers along one curve.
const MARKERS: f64 = 9.0;

/// Curves with axes.
#[derive(Clone, Debug)]
pub struct LineFigure {
    /// What is shown.
    pub title: String,
    /// How to read it, in small print.
    pub note: String,
    /// Label of the horizontal axis, with its unit.
    pub x_label: String,
    /// Label of the vertical axis, with its unit.
    pub y_label: String,
    /// End of the horizontal axis, in tokens.
    pub x_end: u64,
    /// The horizontal axis is one of distances: logarithmic from 1 on.
    pub distances: bool,
    /// The vertical axis has room for what is far below 0.
    pub asinh: bool,
    /// A value that the vertical axis has to hold.
    pub y_holds: Option<f64>,
    /// Where the bins of the curves change their width: (position, width from there on, in tokens). A curve of wider bins is
    /// smoother, which says nothing about what it shows.
    pub widths: Vec<(u64, u64)>,
    /// Where to draw the dashed line.
    pub trained_length: u64,
    /// Position from which on the text repeats, where the horizontal axis is one of positions.
    pub repeated_from: Option<u64>,
    /// The curves, in the order of the legend.
    pub series: Vec<Series>,
}

/// One curve.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// How it is told from the others; `None` for a thin grey reference line.
    pub look: Option<Look>,
    /// The curve, in pieces: it is broken where there are no values.
    pub pieces: Vec<Vec<Point>>,
    /// Lower and upper edge of the band: (x, low, high).
    pub band: Vec<(f64, f64, f64)>,
    /// The values that the curve smooths, drawn pale.
    pub raw: Vec<Vec<Point>>,
    /// Where values are not finite: crosses at the top of the frame.
    pub crosses: Vec<f64>,
    /// Where the first value is that is not finite: marked by a line, a pale area behind it, and in the legend.
    pub not_finite_from: Option<f64>,
}

impl LineFigure {
    /// Width and height, in pixels at scale 1.
    pub fn size(&self) -> (u32, u32) {
        (WIDTH as u32, (HEIGHT + ROW * self.legend(WIDTH).len() as f64) as u32)
    }

    /// Draws everything.
    pub fn draw(&self, canvas: &mut dyn Canvas) {
        self.draw_within(canvas, self.size());
    }

    /// Draws everything, laid out in a size.
    pub fn draw_within(&self, canvas: &mut dyn Canvas, (width, height): (u32, u32)) {
        let (width, height) = (f64::from(width), f64::from(height));
        canvas.text(&self.title, (24.0, 24.0), TITLE, INK, Align::Left);
        canvas.text(&self.note, (24.0, 47.0), TICK, MUTED, Align::Left);
        let rows = self.legend(width);
        for (row, entries) in rows.iter().enumerate() {
            for &(x, series) in entries {
                series.draw_key(canvas, (x, 74.0 + ROW * row as f64));
            }
        }
        let top = 74.0 + ROW * rows.len() as f64 + 22.0;
        let frame = Frame {
            from: (84.0, top),
            to: ((width - 28.0).max(120.0), (height - 64.0).max(top + 40.0)),
            x: self.x(),
            y: self.y(),
        };
        frame.draw(canvas);
        self.draw_widths(canvas, &frame);
        if self.asinh {
            let zero = [frame.pixel((frame.x.low, 0.0)), frame.pixel((frame.x.high, 0.0))];
            canvas.line(&zero, INK, 1.0, 1.0, &[]);
        }
        // Many bands on top of each other would add up to mud.
        let opacity = (0.3 / self.series.len() as f64).min(0.14);
        let series: Vec<Series> = self.series.iter().map(|series| series.fitted(&frame)).collect();
        for (index, series) in series.iter().enumerate() {
            series.draw_band(canvas, &frame, opacity);
            series.draw_not_finite(canvas, &frame, index);
        }
        frame.mark(
            canvas,
            self.trained_length as f64,
            &format!("training length {}", grouped(self.trained_length)),
        );
        if let Some(from) = self.repeated_from {
            frame.mark_inside(canvas, from as f64, "text repeats from here");
        }
        for (index, series) in series.iter().enumerate() {
            series.draw(canvas, &frame, index as f64 / self.series.len() as f64, index);
        }
    }

    /// Rows of (left edge, series), as many to a row as fit into a page so wide.
    fn legend(&self, room: f64) -> Vec<Vec<(f64, &Series)>> {
        let mut rows = vec![Vec::new()];
        let mut x = 24.0;
        for series in &self.series {
            let width = SAMPLE + 8.0 + text_width(&series.label(), LABEL) + 26.0;
            if x + width > room - 10.0 && x > 24.0 {
                rows.push(Vec::new());
                x = 24.0;
            }
            if let Some(row) = rows.last_mut() {
                row.push((x, series));
            }
            x += width;
        }
        rows
    }

    fn x(&self) -> Axis {
        match self.distances {
            true => Axis::distances(self.x_label.as_str(), self.x_end),
            false => Axis::lengths(self.x_label.as_str(), self.x_end, self.trained_length),
        }
    }

    /// Marks along the lower edge, each with the width of the bins behind it; where there is no room the mark alone.
    fn draw_widths(&self, canvas: &mut dyn Canvas, frame: &Frame) {
        if self.widths.len() < 2 {
            return;
        }
        let y = frame.to.1 - 9.0;
        let mut free = frame.from.0;
        for &(from, width) in &self.widths {
            let (x, _) = frame.pixel(((from as f64).max(frame.x.low), frame.y.low));
            if x > frame.to.0 {
                break;
            }
            canvas.line(&[(x, frame.to.1), (x, frame.to.1 - 8.0)], MUTED, 1.0, 1.2, &[]);
            let text = format!("{}\u{2009}/bin", grouped(width));
            let end = x + 5.0 + text_width(&text, SMALL);
            if x + 5.0 > free && end < frame.to.0 {
                canvas.text(&text, (x + 5.0, y), SMALL, MUTED, Align::Left);
                free = end + 4.0;
            }
        }
    }

    fn y(&self) -> Axis {
        let values = self.series.iter().flat_map(Series::heights).chain(self.y_holds);
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        if self.asinh {
            return Axis::asinh(self.y_label.as_str(), low * 1.1, high * 1.1);
        }
        Axis::new(self.y_label.as_str(), low, high, 6.0).padded(6.0)
    }
}

impl Series {
    /// A curve of these pieces, and nothing else.
    pub fn new(name: impl Into<String>, look: Option<Look>, pieces: Vec<Vec<Point>>) -> Self {
        Self {
            name: name.into(),
            look,
            pieces,
            band: Vec::new(),
            raw: Vec::new(),
            crosses: Vec::new(),
            not_finite_from: None,
        }
    }

    /// Its name in the legend, which says too from where it is not finite.
    fn label(&self) -> String {
        match self.not_finite_from {
            Some(at) => format!("{} (not finite from {})", self.name, grouped(at as u64)),
            None => self.name.clone(),
        }
    }

    /// A line where the first value is that is not finite, and a pale area behind it: what comes there is not known to be
    /// what it seems.
    fn draw_not_finite(&self, canvas: &mut dyn Canvas, frame: &Frame, index: usize) {
        let (Some(look), Some(at)) = (self.look, self.not_finite_from) else { return };
        let (x, _) = frame.pixel((at.clamp(frame.x.low, frame.x.high), frame.y.low));
        canvas.rect((x, frame.from.1), frame.to, look.color, 0.07);
        canvas.line(&[(x, frame.from.1), (x, frame.to.1)], look.color, 1.0, 1.6, &[1.5, 3.0]);
        let (y, arm) = (frame.from.1 + 8.0 + 11.0 * index as f64, 4.0);
        canvas.line(&[(x - arm, y - arm), (x + arm, y + arm)], look.color, 1.0, 1.8, &[]);
        canvas.line(&[(x - arm, y + arm), (x + arm, y - arm)], look.color, 1.0, 1.8, &[]);
    }

    /// What a frame has room for: nothing left of a logarithmic axis, and of the points that share a column of pixels their
    /// mean.
    fn fitted(&self, frame: &Frame) -> Self {
        let column = |x: f64| (frame.pixel((x, frame.y.low)).0 / COLUMN) as i64;
        let inside = |x: f64| x >= frame.x.low;
        let cut = |pieces: &[Vec<Point>]| -> Vec<Vec<Point>> {
            let visible =
                |piece: &Vec<Point>| piece.iter().copied().filter(|&(x, _)| inside(x)).collect::<Vec<_>>();
            pieces.iter().map(|piece| averaged(&visible(piece), |&(x, _)| column(x))).collect()
        };
        Self {
            name: self.name.clone(),
            look: self.look,
            pieces: cut(&self.pieces),
            band: self.band.iter().copied().filter(|&(x, ..)| inside(x)).collect(),
            raw: cut(&self.raw),
            crosses: self.crosses.iter().copied().filter(|&x| inside(x)).collect(),
            not_finite_from: self.not_finite_from,
        }
    }

    fn heights(&self) -> impl Iterator<Item = f64> + '_ {
        let lines = self.pieces.iter().chain(&self.raw).flatten().map(|&(_, y)| y);
        lines.chain(self.band.iter().flat_map(|&(_, low, high)| [low, high]))
    }

    fn draw_band(&self, canvas: &mut dyn Canvas, frame: &Frame, opacity: f64) {
        let Some(look) = self.look else { return };
        let low: Vec<_> = self.band.iter().map(|&(x, low, _)| frame.pixel((x, low))).collect();
        let high: Vec<_> = self.band.iter().rev().map(|&(x, _, high)| frame.pixel((x, high))).collect();
        if low.len() > 1 {
            canvas.area(&[low.as_slice(), &high].concat(), look.color, opacity);
            canvas.line(&low, look.color, 0.45, 0.8, &[]);
            canvas.line(&high, look.color, 0.45, 0.8, &[]);
        }
        for piece in &self.raw {
            let piece: Vec<_> = piece.iter().map(|&point| frame.pixel(point)).collect();
            canvas.line(&piece, look.color, 0.30, 1.0, &[]);
        }
    }

    /// `phase` in 0..1 sets markers of different series apart; earlier series are wider, so that later ones that cover
    /// them leave an edge.
    fn draw(&self, canvas: &mut dyn Canvas, frame: &Frame, phase: f64, index: usize) {
        let Some(look) = self.look else {
            for piece in &self.pieces {
                let piece: Vec<_> = piece.iter().map(|&point| frame.pixel(point)).collect();
                canvas.line(&piece, MUTED, 1.0, 1.2, &[2.0, 3.0]);
            }
            return;
        };
        let spacing = (frame.to.0 - frame.from.0) / MARKERS;
        for piece in &self.pieces {
            let piece: Vec<_> = piece.iter().map(|&point| frame.pixel(point)).collect();
            canvas.line(&piece, look.color, 1.0, look.width, look.dash);
            let mut next = frame.from.0 + spacing * (0.25 + phase);
            for pair in piece.windows(2) {
                while next <= pair[1].0.min(frame.to.0) {
                    let part = (next - pair[0].0) / (pair[1].0 - pair[0].0);
                    if part >= 0.0 {
                        let at = (next, pair[0].1 + part * (pair[1].1 - pair[0].1));
                        canvas.marker(look.marker, at, 5.0, PAPER, 1.0);
                        canvas.marker(look.marker, at, 3.9, look.color, 1.0);
                    }
                    next += spacing;
                }
            }
        }
        for &x in &self.crosses {
            let (x, _) = frame.pixel((x, frame.y.low));
            let (y, arm) = (frame.from.1 + 8.0 + 11.0 * index as f64, 4.0);
            canvas.line(&[(x - arm, y - arm), (x + arm, y + arm)], look.color, 1.0, 1.8, &[]);
            canvas.line(&[(x - arm, y + arm), (x + arm, y - arm)], look.color, 1.0, 1.8, &[]);
        }
    }

    fn draw_key(&self, canvas: &mut dyn Canvas, (x, y): Point) {
        let line = [(x, y), (x + SAMPLE, y)];
        match self.look {
            Some(look) => {
                canvas.line(&line, look.color, 1.0, 2.6, look.dash);
                canvas.marker(look.marker, (x + SAMPLE / 2.0, y), 5.6, PAPER, 1.0);
                canvas.marker(look.marker, (x + SAMPLE / 2.0, y), 4.4, look.color, 1.0);
            }
            None => canvas.line(&line, MUTED, 1.0, 1.2, &[2.0, 3.0]),
        }
        canvas.text(&self.label(), (x + SAMPLE + 8.0, y), LABEL, INK, Align::Left);
    }
}

/// Where bins (from, to) change their width, and the width from there on; the last bin may be cut by the end of the text.
pub fn widths(bins: impl IntoIterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut bins: Vec<(u64, u64)> =
        bins.into_iter().map(|(from, to)| (from, to.saturating_sub(from))).collect();
    if let [.., (_, before), (_, last)] = bins.as_slice()
        && last < before
    {
        bins.pop();
    }
    bins.dedup_by_key(|&mut (_, width)| width);
    bins
}

/// The mean of each run of points of the same group.
pub fn averaged(points: &[Point], group: impl Fn(&Point) -> i64) -> Vec<Point> {
    let mean = |part: &[Point]| {
        let count = part.len() as f64;
        (part.iter().map(|&(x, _)| x).sum::<f64>() / count, part.iter().map(|&(_, y)| y).sum::<f64>() / count)
    };
    points.chunk_by(|a, b| group(a) == group(b)).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_told_where_they_change() {
        assert_eq!(widths([(0, 32), (32, 64), (64, 128), (128, 192), (192, 200)]), [(0, 32), (64, 64)]);
        assert_eq!(widths([(0, 32)]), [(0, 32)]);
        assert!(widths([]).is_empty());
    }

    #[test]
    fn points_of_a_group_become_their_mean() {
        let points = [(0.0, 1.0), (0.5, 3.0), (2.0, 7.0), (4.5, 1.0), (4.9, 2.0)];
        assert_eq!(averaged(&points, |&(x, _)| x as i64), [(0.25, 2.0), (2.0, 7.0), (4.7, 1.5)]);
        assert!(averaged(&[], |_| 0).is_empty());
    }
}
