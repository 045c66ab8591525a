//! Stored rows times one token.

use super::activations::TokenCodes;
use super::codes::{self, Affine, Block, Format, GROUP, with_block};
use super::{IntegerLevel, Set};

/// `out[r] = row r · x` for rows of `format` in `bytes`, and the codes `x` of one token.
///
/// # Panics
/// Where `bytes` are not the rows that `out` asks for.
pub fn rows_times_codes(
    level: IntegerLevel,
    format: Format,
    bytes: &[u8],
    x: TokenCodes<'_>,
    out: &mut [f32],
) {
    with_block!(format, B => {
        assert_eq!(bytes.len(), out.len() * (x.groups() / B::GROUPS) * B::BYTES, "whole rows");
        match level.0 {
            Set::Plain => plain::<B>(bytes, x, out),
            // SAFETY: a level is made only where the processor has its instructions.
            #[cfg(target_arch = "x86_64")]
            Set::Vnni => unsafe { super::vnni::rows::<B>(bytes, x, out) },
        }
    });
}

/// The definition.
fn plain<B: Block>(bytes: &[u8], x: TokenCodes<'_>, out: &mut [f32]) {
    let width = x.groups() / B::GROUPS * B::BYTES;
    for (row, out) in bytes.chunks_exact(width).zip(out) {
        let mut total = 0.0f32;
        for (at, block) in row.chunks_exact(B::BYTES).enumerate() {
            for within in 0..B::GROUPS {
                let group = at * B::GROUPS + within;
                let codes = B::codes(block, within);
                total = add_group(&codes, B::affine(block, within), B::HALVES, x, group, total);
            }
        }
        *out = total;
    }
}

/// `total` and the product of a group of weights with that of a token.
pub(super) fn add_group(
    weights: &[u8; GROUP],
    affine: [Affine; 2],
    halves: bool,
    x: TokenCodes<'_>,
    group: usize,
    mut total: f32,
) -> f32 {
    let codes = x.group(group);
    let dot = |range: std::ops::Range<usize>| {
        let pairs = weights[range.clone()].iter().zip(&codes[range]);
        pairs.map(|(&weight, &code)| i32::from(weight) * i32::from(code)).sum::<i32>() as f32
    };
    let scale = x.scales[group];
    if halves {
        for (half, affine) in affine.into_iter().enumerate() {
            total = dot(16 * half..16 * half + 16).mul_add(affine.scale * scale, total);
            total = affine.offset.mul_add(x.half_sums[group][half], total);
        }
        return total;
    }
    let [affine, _] = affine;
    total = dot(0..GROUP).mul_add(affine.scale * scale, total);
    affine.offset.mul_add(x.sums[group], total)
}
