//! A figure in one format, in a size and at a number of dots per inch that somebody has chosen.

use std::path::Path;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters::drawing::IntoDrawingArea;
use plotters::prelude::DrawingBackend;

use super::canvas::{self, BackendCanvas, Canvas, LARGEST, Point};
use super::pixels::{average, encode};
use super::theme::Color;
use crate::error::{Error, Result};

/// Dots per inch of what is called a pixel (CSS, "reference pixel").
const REFERENCE: f64 = 96.0;
/// Backends have whole pixels, so SVG is drawn on a finer grid; and the bitmap is drawn larger, and averaged.
const GRID: u32 = 4;
const SMOOTHING: u32 = 2;
/// Least and most of a side, in pixels, and of dots per inch.
const SIDES: std::ops::RangeInclusive<u32> = 64..=20_000;
const DOTS: std::ops::RangeInclusive<u32> = 24..=2_400;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines that scale.
    Svg,
    /// Pixels.
    Png,
}

impl Format {
    /// How the names of its files end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }
}

/// How large a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// Width and height, in pixels of 1/96 inch; `None`: those of the figure.
    pub size: Option<(u32, u32)>,
    /// Dots per inch of PNG.
    pub dpi: u32,
}

impl Default for Sizing {
    fn default() -> Self {
        Self { size: None, dpi: 192 }
    }
}

/// Cells of one size each, below everything else that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Raster {
    /// Upper left corner.
    pub from: Point,
    /// Lower right corner.
    pub to: Point,
    /// Cells in a row.
    pub columns: usize,
    /// Their colours, row by row from the top.
    pub colors: Vec<Color>,
}

/// Draws a figure, laid out in a size.
pub type Draw<'a> = dyn Fn(&mut dyn Canvas, (u32, u32)) + 'a;

/// A figure that is to be drawn.
pub struct Figure<'a> {
    /// Its own width and height, in pixels at scale 1.
    pub size: (u32, u32),
    /// It is laid out anew for any size; others are enlarged or reduced, and keep their proportions.
    pub elastic: bool,
    /// Its ground.
    pub paper: Color,
    /// Its cells, if it has some, when it is laid out in a size.
    pub raster: Option<&'a dyn Fn((u32, u32)) -> Raster>,
    /// Draws it, laid out in a size.
    pub draw: &'a Draw<'a>,
}

/// Where a figure lies in a file: how it is laid out, how much larger it is drawn, and its upper left corner in the file.
struct Placed {
    layout: (u32, u32),
    scale: f64,
    corner: Point,
}

impl Figure<'_> {
    /// In a file of `size`, in pixels at scale 1.
    fn placed(&self, size: (u32, u32)) -> Placed {
        if self.elastic {
            return Placed { layout: size, scale: 1.0, corner: (0.0, 0.0) };
        }
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        let scale = (f64::from(size.0) / width).min(f64::from(size.1) / height);
        let rest = |side: u32, length: f64| (f64::from(side) - scale * length) / 2.0;
        Placed { layout: self.size, scale, corner: (rest(size.0, width), rest(size.1, height)) }
    }

    /// Writes it to `path`, with the ending of the format.
    ///
    /// # Errors
    /// A size or dots per inch that are not between their limits; a bitmap that would be too large; a file that cannot be written.
    pub fn write(&self, path: &Path, format: Format, sizing: Sizing) -> Result<()> {
        canvas::register();
        let name = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let failed = |reason: String| Error::Figure { figure: name(), reason };
        let size = sizing.size.unwrap_or(self.size);
        if sizing.size.is_some() && ![size.0, size.1].iter().all(|side| SIDES.contains(side)) {
            let (least, most) = (SIDES.start(), SIDES.end());
            return Err(failed(format!(
                "{} × {} pixels, where a side has {least} to {most}",
                size.0, size.1
            )));
        }
        if !DOTS.contains(&sizing.dpi) {
            let (least, most) = (DOTS.start(), DOTS.end());
            return Err(failed(format!("{} dots per inch, where {least} to {most} can be had", sizing.dpi)));
        }
        let bytes = match format {
            Format::Svg => self.svg(size).map_err(failed)?,
            Format::Png => self.png(size, sizing.dpi).map_err(failed)?,
        };
        Ok(crate::files::write_whole(&path.with_extension(format.extension()), &bytes)?)
    }

    fn svg(&self, size: (u32, u32)) -> std::result::Result<Vec<u8>, String> {
        let placed = self.placed(size);
        let fine = (size.0 * GRID, size.1 * GRID);
        let mut text = String::new();
        self.on_backend(SVGBackend::with_string(&mut text, fine), &placed, f64::from(GRID), true)?;
        // The backend says the size of its grid; the box of it stays, and is shown this large.
        let says = format!("width=\"{}\" height=\"{}\" ", fine.0, fine.1);
        let wanted = format!("width=\"{}\" height=\"{}\" ", size.0, size.1);
        if !text.contains(&says) {
            return Err("the backend does not name the size".to_owned());
        }
        let mut text = text.replacen(&says, &wanted, 1);
        if let Some(raster) = self.raster {
            let raster = raster(placed.layout);
            let image = raster.element(&placed, f64::from(GRID))?;
            // Behind the ground, which is the first thing that is drawn.
            let ground = text.find("/>").ok_or("the backend draws no ground")? + 2;
            text.insert_str(ground, &image);
        }
        Ok(text.into_bytes())
    }

    fn png(&self, size: (u32, u32), dpi: u32) -> std::result::Result<Vec<u8>, String> {
        let placed = self.placed(size);
        let dots = f64::from(dpi) / REFERENCE;
        let pixels = |side: u32| ((f64::from(side) * dots).round() as u64).max(1);
        let (width, height) = (pixels(size.0), pixels(size.1));
        let bytes = |smoothing: u32| 3 * (width * u64::from(smoothing)) * (height * u64::from(smoothing));
        let smoothing = [SMOOTHING, 1].into_iter().find(|&smoothing| bytes(smoothing) <= LARGEST);
        let smoothing = smoothing.ok_or_else(|| format!("it would be {width} × {height} dots large"))?;
        let large = (width as u32 * smoothing, height as u32 * smoothing);
        let mut buffer: Vec<u8> =
            self.paper.iter().copied().cycle().take(3 * large.0 as usize * large.1 as usize).collect();
        let scale = dots * f64::from(smoothing);
        if let Some(raster) = self.raster {
            raster(placed.layout).paint(&mut buffer, large, &placed, scale);
        }
        let backend = BitMapBackend::with_buffer(&mut buffer, large);
        self.on_backend(backend, &placed, scale, false)?;
        if smoothing > 1 {
            average::<{ SMOOTHING as usize }>(&mut buffer, large.0 as usize);
        }
        encode(&buffer, (width as u32, height as u32), Some(dpi), png::Compression::Balanced)
    }

    /// Draws on a backend of `scale` pixels for each of the file's.
    fn on_backend<B: DrawingBackend>(
        &self,
        backend: B,
        placed: &Placed,
        scale: f64,
        ground: bool,
    ) -> std::result::Result<(), String> {
        let whole = backend.into_drawing_area();
        let (width, height) = whole.dim_in_pixel();
        let mut canvas = BackendCanvas::new(whole.clone(), 1.0);
        if ground {
            canvas.rect((0.0, 0.0), (f64::from(width), f64::from(height)), self.paper, 1.0);
        }
        let corner = |at: f64| (at * scale).round() as i32;
        let area = whole.margin(corner(placed.corner.1), 0, corner(placed.corner.0), 0);
        let failed = canvas.failure();
        let mut canvas = BackendCanvas::new(area, scale * placed.scale);
        (self.draw)(&mut canvas, placed.layout);
        let presented = whole.present().map_err(|e| e.to_string());
        failed.or(canvas.failure()).map_or(presented, Err)
    }
}

impl Raster {
    fn rows(&self) -> usize {
        self.colors.len().checked_div(self.columns).unwrap_or(0)
    }

    /// Corners on a backend.
    fn corners(&self, placed: &Placed, scale: f64) -> [Point; 2] {
        let at = |(x, y): Point| {
            let place = |corner: f64, along: f64| (corner + along * placed.scale) * scale;
            (place(placed.corner.0, x), place(placed.corner.1, y))
        };
        [at(self.from), at(self.to)]
    }

    /// Every pixel gets the colour of the cell that its middle lies in.
    fn paint(&self, pixels: &mut [u8], (width, height): (u32, u32), placed: &Placed, scale: f64) {
        let ([(x0, y0), (x1, y1)], rows) = (self.corners(placed, scale), self.rows());
        let cell = |at: u32, from: f64, to: f64, cells: usize| {
            let share = (f64::from(at) + 0.5 - from) / (to - from);
            (0.0..1.0)
                .contains(&share)
                .then(|| ((share * cells as f64) as usize).min(cells.saturating_sub(1)))
        };
        for y in 0..height {
            let Some(row) = cell(y, y0, y1, rows) else { continue };
            for x in 0..width {
                let color =
                    cell(x, x0, x1, self.columns).and_then(|at| self.colors.get(row * self.columns + at));
                let at = 3 * (y as usize * width as usize + x as usize);
                if let (Some(color), Some(pixel)) = (color, pixels.get_mut(at..at + 3)) {
                    pixel.copy_from_slice(color);
                }
            }
        }
    }

    /// As an element of SVG: a picture with a pixel for each cell, not smoothed.
    fn element(&self, placed: &Placed, scale: f64) -> std::result::Result<String, String> {
        if self.rows() == 0 {
            return Ok(String::new());
        }
        let [(x0, y0), (x1, y1)] = self.corners(placed, scale);
        let size = (self.columns as u32, self.rows() as u32);
        let picture = encode(&self.colors.concat(), size, None, png::Compression::Balanced)?;
        Ok(format!(
            "\n<image x=\"{x0:.1}\" y=\"{y0:.1}\" width=\"{:.1}\" height=\"{:.1}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering: pixelated\" href=\"data:image/png;base64,{}\"/>",
            x1 - x0,
            y1 - y0,
            base64(&picture)
        ))
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let three = [0, 1, 2].map(|at| u32::from(group.get(at).copied().unwrap_or(0)));
        let bits = (three[0] << 16) | (three[1] << 8) | three[2];
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > group.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::canvas::Align;
    use crate::figures::theme::PAPER;

    fn decoded(path: &Path) -> (png::Info<'static>, Vec<u8>) {
        let file = std::io::BufReader::new(std::fs::File::open(path).expect("a file"));
        let mut reader = png::Decoder::new(file).read_info().expect("a header");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        reader.next_frame(&mut pixels).expect("pixels");
        (reader.info().clone(), pixels)
    }

    /// Four cells on the left half of a page of 200 × 100, a line on the right.
    fn figure(elastic: bool, act: impl Fn(&Figure<'_>)) {
        let raster = |(width, height): (u32, u32)| Raster {
            from: (0.0, 0.0),
            to: (f64::from(width) / 2.0, f64::from(height)),
            columns: 2,
            colors: vec![[250, 0, 0], [0, 250, 0], [0, 0, 250], [9, 9, 9]],
        };
        let draw = |canvas: &mut dyn Canvas, (width, height): (u32, u32)| {
            canvas.rect(
                (f64::from(width) * 0.75, 0.0),
                (f64::from(width), f64::from(height)),
                [1, 2, 3],
                1.0,
            );
            canvas.text("words", (4.0, 50.0), 12.0, [0, 0, 0], Align::Left);
        };
        act(&Figure { size: (200, 100), elastic, paper: PAPER, raster: Some(&raster), draw: &draw });
    }

    #[test]
    fn a_bitmap_has_the_dots_that_were_asked_for_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        for (size, dpi, dots) in
            [(None, 96, (200, 100)), (Some((300, 300)), 96, (300, 300)), (Some((100, 200)), 300, (313, 625))]
        {
            figure(true, |figure| figure.write(&path, Format::Png, Sizing { size, dpi }).expect("written"));
            let (info, pixels) = decoded(&path.with_extension("png"));
            assert_eq!((info.width, info.height), dots, "{size:?} {dpi}");
            assert_eq!(info.pixel_dims.map(|dims| dims.xppu), Some((f64::from(dpi) / 0.0254).round() as u32));
            let at = |x: f64, y: f64| {
                let (x, y) = ((x * f64::from(dots.0)) as usize, (y * f64::from(dots.1)) as usize);
                <[u8; 3]>::try_from(&pixels[3 * (y * dots.0 as usize + x)..][..3]).expect("three")
            };
            assert_eq!([at(0.1, 0.1), at(0.4, 0.1), at(0.4, 0.9)], [[250, 0, 0], [0, 250, 0], [9, 9, 9]]);
            assert_eq!([at(0.6, 0.5), at(0.9, 0.5)], [PAPER, [1, 2, 3]]);
        }
    }

    #[test]
    fn a_figure_that_is_not_laid_out_anew_keeps_its_proportions() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let sizing = Sizing { size: Some((400, 400)), dpi: 96 };
        figure(false, |figure| figure.write(&path, Format::Png, sizing).expect("written"));
        let (_, pixels) = decoded(&path.with_extension("png"));
        let at = |x: usize, y: usize| &pixels[3 * (y * 400 + x)..][..3];
        // It is 400 × 200, in the middle.
        assert_eq!((at(20, 90), at(20, 110), at(20, 310)), (&PAPER[..], &[250, 0, 0][..], &PAPER[..]));
        assert_eq!((at(390, 110), at(250, 110)), (&[1, 2, 3][..], &PAPER[..]));
    }

    #[test]
    fn lines_that_scale_hold_the_cells_as_a_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let sizing = Sizing { size: Some((400, 400)), dpi: 96 };
        figure(false, |figure| figure.write(&path, Format::Svg, sizing).expect("written"));
        let text = std::fs::read_to_string(path.with_extension("svg")).expect("written");
        assert!(
            text.starts_with("<svg width=\"400\" height=\"400\" viewBox=\"0 0 1600 1600\""),
            "{text:.90}"
        );
        assert!(
            text.contains("<image x=\"0.0\" y=\"400.0\" width=\"800.0\" height=\"800.0\""),
            "{text:.600}"
        );
        let (ground, image) = (text.find("<polygon").expect("ground"), text.find("<image").expect("cells"));
        assert!(ground < image && image < text.find("words").expect("words"));
    }

    #[test]
    fn what_is_too_small_or_too_large_is_refused_with_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let refused = |size, dpi, format| {
            let mut words = String::new();
            let sizing = Sizing { size, dpi };
            let words_of = |figure: &Figure<'_>| figure.write(&path, format, sizing).expect_err("refused");
            figure(true, |_| ());
            let raster = |_| Raster { from: (0.0, 0.0), to: (1.0, 1.0), columns: 0, colors: Vec::new() };
            let figure =
                Figure { size: (9, 9), elastic: true, paper: PAPER, raster: Some(&raster), draw: &|_, _| () };
            words.push_str(&words_of(&figure).to_string());
            words
        };
        assert!(refused(Some((9, 900)), 96, Format::Svg).contains("9 × 900 pixels"));
        assert!(refused(None, 5, Format::Png).contains("5 dots per inch"));
        assert!(refused(Some((20_000, 20_000)), 1_200, Format::Png).contains("250000 × 250000 dots large"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn letters_of_base64() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }
}
