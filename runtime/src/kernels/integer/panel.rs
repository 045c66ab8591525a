//! Sixteen stored rows, brought into the lanes of a register once, times many tokens.

use super::activations::{Codes, TokenCodes};
use super::codes::{self, Affine, Block, Format, GROUP, with_block};
use super::rows::add_group;
use super::{IntegerLevel, Set};

/// Rows of a panel.
pub const ROWS: usize = 16;

/// A value of each row.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub struct Lanes<T>(pub [T; ROWS]);

/// Codes and scales of 16 rows, or fewer: rows that are not there are 0.
#[derive(Debug, Default)]
pub struct Panel {
    /// [groups, 8]: four codes of each row to a word.
    pub(super) words: Vec<Lanes<u32>>,
    /// [groups, 1 or 2]: of a group, or of its halves.
    pub(super) scales: Vec<Lanes<f32>>,
    /// The same.
    pub(super) offsets: Vec<Lanes<f32>>,
    /// Whether halves of a group have scales of their own.
    pub(super) halves: bool,
}

impl Panel {
    /// Fills the panel with the rows of `format` in `bytes`, each of `groups` groups.
    ///
    /// # Panics
    /// Where `bytes` are not 1 to 16 whole rows.
    pub fn fill(&mut self, format: Format, bytes: &[u8], groups: usize) {
        with_block!(format, B => {
            let width = groups / B::GROUPS * B::BYTES;
            assert!(width > 0 && bytes.len().is_multiple_of(width) && bytes.len() <= ROWS * width, "rows");
            self.fill_with::<B>(bytes, groups, width);
        });
    }

    fn fill_with<B: Block>(&mut self, bytes: &[u8], groups: usize, width: usize) {
        let parts = if B::HALVES { 2 } else { 1 };
        let whole = bytes.len() == ROWS * width;
        fn sized<T: Copy + Default>(of: &mut Vec<Lanes<T>>, len: usize, clear: bool) {
            if clear {
                of.clear();
            }
            of.resize(len, Lanes::default());
        }
        sized(&mut self.words, groups * 8, !whole);
        sized(&mut self.scales, groups * parts, !whole);
        sized(&mut self.offsets, groups * parts, !whole);
        self.halves = B::HALVES;
        for (lane, row) in bytes.chunks_exact(width).enumerate() {
            for (at, block) in row.chunks_exact(B::BYTES).enumerate() {
                for within in 0..B::GROUPS {
                    let group = at * B::GROUPS + within;
                    let codes = B::codes(block, within);
                    for (word, four) in self.words[8 * group..][..8].iter_mut().zip(codes.as_chunks::<4>().0)
                    {
                        word.0[lane] = u32::from_le_bytes(*four);
                    }
                    for (part, affine) in B::affine(block, within).into_iter().take(parts).enumerate() {
                        self.scales[parts * group + part].0[lane] = affine.scale;
                        self.offsets[parts * group + part].0[lane] = affine.offset;
                    }
                }
            }
        }
    }

    /// Its products with every token, given to `take`: the token, and the value of each row.
    pub fn times(&self, level: IntegerLevel, x: &Codes, mut take: impl FnMut(usize, &[f32; ROWS])) {
        match level.0 {
            Set::Plain => (0..x.tokens()).for_each(|token| take(token, &self.plain(x.token(token)))),
            // SAFETY: a level is made only where the processor has its instructions.
            #[cfg(target_arch = "x86_64")]
            Set::Vnni => unsafe { super::vnni::times(self, x, &mut take) },
        }
    }

    /// The definition.
    fn plain(&self, x: TokenCodes<'_>) -> [f32; ROWS] {
        let parts = if self.halves { 2 } else { 1 };
        std::array::from_fn(|lane| {
            let mut total = 0.0;
            for group in 0..x.groups() {
                let mut codes = [0; GROUP];
                for (four, word) in codes.as_chunks_mut::<4>().0.iter_mut().zip(&self.words[8 * group..][..8])
                {
                    *four = word.0[lane].to_le_bytes();
                }
                let affine = [0, parts - 1].map(|part| Affine {
                    scale: self.scales[parts * group + part].0[lane],
                    offset: self.offsets[parts * group + part].0[lane],
                });
                total = add_group(&codes, affine, self.halves, x, group, total);
            }
            total
        })
    }
}
