//! From stored blocks to panels of rows.

use rayon::prelude::*;

use super::codes::{self, Block, Format, with_block};
use crate::model::packed::{IntegerPanels, Line, ROWS, Scales};

/// The rows of `format` in `bytes`, each of `groups` groups, on all threads.
///
/// # Panics
/// Where `bytes` are no whole rows.
pub fn pack(format: Format, bytes: &[u8], groups: usize) -> IntegerPanels {
    with_block!(format, B => pack_blocks::<B>(format, bytes, groups))
}

fn pack_blocks<B: Block>(format: Format, bytes: &[u8], groups: usize) -> IntegerPanels {
    let width = groups / B::GROUPS * B::BYTES;
    assert!(width > 0 && bytes.len().is_multiple_of(width), "whole rows");
    let panels = bytes.len().div_ceil(ROWS * width);
    let four_bits = matches!(format, Format::Q4_0 | Format::Q4_1 | Format::Q4K);
    let lines = if four_bits { 4 } else { 8 };
    let mut codes = vec![Line([[0; 4]; ROWS]); panels * groups * lines];
    let block = |row: &[u8], group: usize| -> ([u8; 32], [codes::Affine; 2]) {
        let block = &row[group / B::GROUPS * B::BYTES..][..B::BYTES];
        (B::codes(block, group % B::GROUPS), B::affine(block, group % B::GROUPS))
    };
    codes.par_chunks_mut(groups * lines).zip(bytes.par_chunks(ROWS * width)).for_each(|(panel, rows)| {
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (group, lines) in panel.chunks_exact_mut(lines).enumerate() {
                let (codes, _) = block(row, group);
                let (low, high) = codes.split_at(16);
                for (at, line) in lines.iter_mut().enumerate() {
                    line.0[lane] = if four_bits {
                        std::array::from_fn(|byte| low[4 * at + byte] | high[4 * at + byte] << 4)
                    } else {
                        std::array::from_fn(|byte| codes[4 * at + byte])
                    };
                }
            }
        }
    });
    // What a format stores as halves is put back into them without a change.
    let half = |value: f32| half::f16::from_f32(value).to_bits();
    let scales = match format {
        Format::Q4_0 | Format::Q8_0 => {
            let mut scales = vec![[0; ROWS]; panels * groups];
            fill(&mut scales, bytes, groups, 1, width, |scales, lane, row, group, _| {
                scales[lane] = half(block(row, group).1[0].scale);
            });
            Scales::Scaled { scales, factor: if format == Format::Q4_0 { -8.0 } else { -128.0 } }
        }
        Format::Q4_1 => {
            let mut scales = vec![[[0; ROWS]; 2]; panels * groups];
            fill(&mut scales, bytes, groups, 1, width, |[scales, offsets], lane, row, group, _| {
                let [affine, _] = block(row, group).1;
                (scales[lane], offsets[lane]) = (half(affine.scale), half(affine.offset));
            });
            Scales::Affine(scales)
        }
        Format::Q4K | Format::Q5K | Format::Q6K => {
            let parts = if B::HALVES { 2 } else { 1 };
            let mut scales = vec![[[0.0; ROWS]; 2]; panels * groups * parts];
            fill(&mut scales, bytes, groups, parts, width, |[scales, offsets], lane, row, group, part| {
                let affine = block(row, group).1[part];
                (scales[lane], offsets[lane]) = (affine.scale, affine.offset);
            });
            Scales::Floats { scales, halves: B::HALVES }
        }
    };
    IntegerPanels { groups, four_bits, codes, scales }
}

/// Gives `set` every lane of every part of every group of every panel.
fn fill<T: Send>(
    scales: &mut [T],
    bytes: &[u8],
    groups: usize,
    parts: usize,
    width: usize,
    set: impl Fn(&mut T, usize, &[u8], usize, usize) + Sync,
) {
    scales.par_chunks_mut(groups * parts).zip(bytes.par_chunks(ROWS * width)).for_each(|(panel, rows)| {
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (at, scales) in panel.iter_mut().enumerate() {
                set(scales, lane, row, at / parts, at % parts);
            }
        }
    });
}
