//! RGB pixels, row by row: made smaller, and written as PNG.

use super::theme::PAPER;

// Parts of paper are told by their bytes.
const _: () = assert!(PAPER[0] == u8::MAX && PAPER[1] == u8::MAX && PAPER[2] == u8::MAX);

/// Makes `pixels` a ground of paper, `width` × `height`. Memory that it has is used again: the system clears fresh memory, which takes
/// longer than to fill it.
pub(super) fn paper(pixels: &mut Vec<u8>, (width, height): (u32, u32)) {
    pixels.clear();
    pixels.resize(3 * width as usize * height as usize, u8::MAX);
}

/// Replaces an image `width` pixels wide by the means of its blocks of `FACTOR` × `FACTOR`; columns and rows that fill no block are
/// left out.
pub(super) fn average<const FACTOR: usize>(pixels: &mut Vec<u8>, width: usize) {
    // Most of a figure is paper: parts of this many blocks are looked at whole.
    const BLOCKS: usize = 16;
    let paper = vec![u8::MAX; 3 * FACTOR * BLOCKS];
    let columns = width / FACTOR;
    let rows = pixels.len().checked_div(3 * width * FACTOR).unwrap_or(0);
    let count = (FACTOR * FACTOR) as u32;
    // What is written never lies behind what is still to be read.
    for y in 0..rows {
        for from in (0..columns).step_by(BLOCKS) {
            let blocks = BLOCKS.min(columns - from);
            let row = |at: usize| 3 * ((y * FACTOR + at) * width + from * FACTOR);
            let mean = 3 * (y * columns + from);
            let part = 3 * FACTOR * blocks;
            if (0..FACTOR).all(|at| pixels[row(at)..][..part] == paper[..part]) {
                pixels[mean..][..3 * blocks].fill(u8::MAX);
                continue;
            }
            for block in 0..blocks {
                let mut total = [0; 3];
                for at in 0..FACTOR {
                    let line = &pixels[row(at) + 3 * FACTOR * block..][..3 * FACTOR];
                    for pixel in line.as_chunks::<3>().0 {
                        total.iter_mut().zip(pixel).for_each(|(total, &value)| *total += u32::from(value));
                    }
                }
                let mean = &mut pixels[mean + 3 * block..][..3];
                mean.copy_from_slice(&total.map(|sum| ((sum + count / 2) / count) as u8));
            }
        }
    }
    pixels.truncate(3 * rows * columns);
}

/// RGB pixels as PNG, which says how large it is meant to be.
pub(super) fn encode(
    pixels: &[u8],
    (width, height): (u32, u32),
    dpi: Option<u32>,
    compression: png::Compression,
) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(compression);
    encoder.set_pixel_dims(dpi.map(|dpi| {
        let per_meter = (f64::from(dpi) / 0.0254).round() as u32;
        png::PixelDimensions { xppu: per_meter, yppu: per_meter, unit: png::Unit::Meter }
    }));
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(pixels).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn averaged<const FACTOR: usize>(pixels: &[u8], width: usize) -> Vec<u8> {
        let mut pixels = pixels.to_vec();
        average::<FACTOR>(&mut pixels, width);
        pixels
    }

    #[test]
    fn averaging_halves_an_image() {
        let pixels = [[0, 0, 0], [200, 0, 0], [0, 100, 0], [0, 100, 4]].concat();
        assert_eq!(averaged::<2>(&pixels, 2), [50, 50, 1]);
        assert!(averaged::<2>(&[], 2).is_empty() && averaged::<2>(&[], 0).is_empty());
    }

    /// Also where a part is paper, and where sides are no multiples of the factor, whose last columns and rows are left out.
    #[test]
    fn averages_are_those_of_the_plain_definition() {
        for (width, height) in [(1, 1), (64, 4), (67, 5), (200, 6), (33, 2)] {
            let pixel = |x: usize, y: usize, c: usize| match x / 40 % 2 {
                0 => u8::MAX,
                _ => (x * 31 + y * 17 + c * 101) as u8,
            };
            let all = |x: usize, y: usize| (0..3).map(move |c| pixel(x, y, c));
            let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| all(x, y))).collect();
            let expected = |factor: usize| {
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
                expected
            };
            for (factor, found) in [
                (1, averaged::<1>(&pixels, width)),
                (2, averaged::<2>(&pixels, width)),
                (3, averaged::<3>(&pixels, width)),
            ] {
                assert!(found == expected(factor), "{width} × {height} by {factor}");
            }
        }
    }

    #[test]
    fn paper_is_white_whatever_was_there() {
        let mut pixels = vec![7; 100];
        paper(&mut pixels, (2, 3));
        assert_eq!(pixels, [255; 18]);
    }
}
