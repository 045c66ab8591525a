//! Panels of packed rows times activations.

use super::activations::{Codes, TokenCodes};
use super::codes::{Affine, GROUP};
use super::{IntegerLevel, Set};
use crate::kernels::dequantize::half_to_f32;
use crate::model::packed::{IntegerPanels, ROWS, Scales};

/// The products of rows `16 · panel` to `16 · panel + 15` with every token, given to `take`: the token, and the value of each row.
///
/// A token gets the same bits whatever stands beside it, at every level.
pub fn panel_times_codes(
    level: IntegerLevel,
    packed: &IntegerPanels,
    panel: usize,
    x: &Codes,
    mut take: impl FnMut(usize, &[f32; ROWS]),
) {
    match level.0 {
        Set::Plain => (0..x.tokens()).for_each(|token| take(token, &plain(packed, panel, x.token(token)))),
        // SAFETY: a level is made only where the processor has its instructions.
        #[cfg(target_arch = "x86_64")]
        Set::Vnni => unsafe { super::vnni::times(packed, panel, x, &mut take) },
    }
}

/// The definition.
fn plain(packed: &IntegerPanels, panel: usize, x: TokenCodes<'_>) -> [f32; ROWS] {
    std::array::from_fn(|lane| {
        let mut total = 0.0;
        for group in 0..packed.groups {
            let (weights, affine) = (codes(packed, panel, lane, group), affine(packed, panel, lane, group));
            let activations = x.group(group);
            let dot = |range: std::ops::Range<usize>| {
                let pairs = weights[range.clone()].iter().zip(&activations[range]);
                pairs.map(|(&weight, &code)| i32::from(weight) * i32::from(code)).sum::<i32>() as f32
            };
            let mut add = |dot: f32, affine: Affine, sum: f32| {
                total = dot.mul_add(affine.scale * x.scales[group], total);
                total = affine.offset.mul_add(sum, total);
            };
            match affine {
                [whole, None] => add(dot(0..GROUP), whole.unwrap_or_default(), x.sums[group]),
                halves => {
                    for (half, affine) in halves.into_iter().enumerate() {
                        let range = 16 * half..16 * half + 16;
                        add(dot(range), affine.unwrap_or_default(), x.half_sums[group][half]);
                    }
                }
            }
        }
        total
    })
}

/// The codes of a group of a row.
pub(super) fn codes(packed: &IntegerPanels, panel: usize, lane: usize, group: usize) -> [u8; GROUP] {
    let lines = &packed.codes[(panel * packed.groups + group) * packed.lines()..][..packed.lines()];
    std::array::from_fn(|at| match packed.four_bits {
        true => lines[at % 16 / 4].0[lane][at % 4] >> (4 * (at / 16)) & 15,
        false => lines[at / 4].0[lane][at % 4],
    })
}

/// Scale and offset of a group of a row, or of its halves.
pub(super) fn affine(packed: &IntegerPanels, panel: usize, lane: usize, group: usize) -> [Option<Affine>; 2] {
    let at = panel * packed.groups + group;
    let half = |bits: u16| half_to_f32(bits.to_le_bytes());
    match &packed.scales {
        Scales::Scaled { scales, factor } => {
            let scale = half(scales[at][lane]);
            [Some(Affine { scale, offset: factor * scale }), None]
        }
        Scales::Affine(scales) => {
            let [scale, offset] = scales[at].map(|of| half(of[lane]));
            [Some(Affine { scale, offset }), None]
        }
        Scales::Floats { scales, halves } => {
            let part = |at: usize| Some(Affine { scale: scales[at][0][lane], offset: scales[at][1][lane] });
            if *halves { [part(2 * at), part(2 * at + 1)] } else { [part(at), None] }
        }
    }
}
