//! Panels of packed rows times activations.

use super::activations::Brains;
use super::level::{BrainLevel, Set};
use crate::model::packed::{BrainPanels, ROWS};

/// The products of the rows of panels `first` to `first + count − 1` with every token, given to `take`: the token, the panel, and the
/// value of each of its rows.
///
/// A token gets the same bits whatever stands beside it, at every level; the order of sums differs between levels.
pub fn panels_times_brains(
    level: BrainLevel,
    packed: &BrainPanels,
    first: usize,
    count: usize,
    x: &Brains,
    mut take: impl FnMut(usize, usize, &[f32; ROWS]),
) {
    assert_eq!(packed.pairs, x.pairs, "columns");
    match level.0 {
        Set::Plain => {
            for panel in first..first + count {
                for token in 0..x.tokens() {
                    take(token, panel, &plain(packed, panel, x.token(token)));
                }
            }
        }
        // SAFETY: a level is made only where the processor has its instructions.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { super::avx512::times(packed, first, count, x, &mut take) },
    }
}

/// The definition.
fn plain(packed: &BrainPanels, panel: usize, x: &[u32]) -> [f32; ROWS] {
    let lines = &packed.lines[panel * packed.pairs..][..packed.pairs];
    let number = |bits: u16| f32::from_bits(u32::from(bits) << 16);
    std::array::from_fn(|lane| {
        let mut total = 0.0;
        for (line, word) in lines.iter().zip(x) {
            let [a, b, c, d] = line.0[lane];
            total += number(u16::from_le_bytes([a, b])) * number(*word as u16)
                + number(u16::from_le_bytes([c, d])) * number((word >> 16) as u16);
        }
        total
    })
}
