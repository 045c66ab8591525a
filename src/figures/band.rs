//! A part of a bitmap, between two rows of it: a large one is drawn part by part, so that it need not be in memory as a whole, and what
//! is drawn is read again while it is near the processor.
//!
//! Lines and polygons are turned into pixels in the coordinates of the whole, so that the parts show the same pixels as it would.

use plotters::backend::BitMapBackend;
use plotters::prelude::DrawingBackend;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingErrorKind, rasterizer};

/// The rows of a bitmap from `top` on that `rows` holds.
pub(super) struct Band<'a> {
    rows: BitMapBackend<'a>,
    /// Of the whole, in pixels.
    size: (u32, u32),
    top: i32,
}

type Outcome<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> Band<'a> {
    /// The part in `pixels`, of `height` rows from `top` on, of a bitmap of `size`.
    pub fn new(pixels: &'a mut [u8], size: (u32, u32), top: u32, height: u32) -> Self {
        Self { rows: BitMapBackend::with_buffer(pixels, (size.0, height)), size, top: top as i32 }
    }

    fn shifted(&self, (x, y): BackendCoord) -> BackendCoord {
        (x, y.saturating_sub(self.top))
    }
}

impl<'a> DrawingBackend for Band<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Outcome<'a> {
        self.rows.ensure_prepared()
    }

    fn present(&mut self) -> Outcome<'a> {
        self.rows.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Outcome<'a> {
        self.rows.draw_pixel(self.shifted(point), color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Outcome<'a> {
        // These the bitmap fills at once, and leaves out what lies outside of it.
        if style.stroke_width() == 1 && (from.0 == to.0 || from.1 == to.1) {
            let (from, to) = (self.shifted(from), self.shifted(to));
            return self.rows.draw_line(from, to, style);
        }
        rasterizer::draw_line(self, from, to, style)
    }
}
