//! What the positions of a segment do to the logits of its attention.

use lm_infinite_runtime::kernels::elementwise;
use lm_infinite_runtime::model::config::{PositionConfig, RopeLayout};
use lm_infinite_runtime::policy::PositionScaling;
use lm_infinite_runtime::position::{PositionEncoding, RotaryTable};

/// What a segment's positions do to the logits.
#[derive(Clone, Debug)]
pub enum TrainPositions {
    /// Angles of the positions of a segment.
    Rope {
        /// Those of each position.
        table: RotaryTable,
        /// Where neighbouring dimensions are turned together, how many; they are brought into half-split order first.
        neighbours: Option<usize>,
    },
    /// One slope per query head.
    Alibi(Vec<f32>),
    /// Nothing.
    None,
}

impl TrainPositions {
    /// Of `config` over `heads` query heads, for segments of `length` tokens.
    ///
    /// # Errors
    /// As [`PositionEncoding::at`].
    pub fn new(config: &PositionConfig, heads: usize, length: usize) -> crate::Result<Self> {
        let (encoding, _) = PositionEncoding::at(config, heads, PositionScaling::None, 0)?;
        Ok(match encoding {
            PositionEncoding::Rope(rope) => {
                let mut table = RotaryTable::new(&rope);
                table.grow(length);
                let neighbours = match config {
                    PositionConfig::Rope { layout: RopeLayout::Interleaved, dim, .. } => Some(*dim),
                    _ => None,
                };
                Self::Rope { table, neighbours }
            }
            PositionEncoding::Alibi { slopes } => Self::Alibi(slopes.iter().map(|&s| s as f32).collect()),
            PositionEncoding::None => Self::None,
        })
    }

    /// What a distance of 1 takes from a logit of query head `head`.
    pub(super) fn slope(&self, head: usize) -> Option<f32> {
        match self {
            Self::Alibi(slopes) => Some(slopes[head]),
            Self::Rope { .. } | Self::None => None,
        }
    }

    /// A head's vector turned to its position, in half-split order; `spare` is room for two of it.
    pub(super) fn turn(&self, position: usize, x: &[f32], spare: &mut [f32], out: &mut [f32]) {
        match self {
            Self::Rope { table, neighbours: None } => {
                elementwise::rotate(x, table.row(position as u64, &mut []), false, out);
            }
            Self::Rope { table, neighbours: Some(dim) } => {
                let (ordered, spare) = spare.split_at_mut(x.len());
                ordered.copy_from_slice(x);
                elementwise::to_half_split(ordered, *dim, spare);
                elementwise::rotate(ordered, table.row(position as u64, &mut []), false, out);
            }
            Self::Alibi(_) | Self::None => out.copy_from_slice(x),
        }
    }

    /// The inverse of [`Self::turn`], which is its transpose.
    pub(super) fn turn_back(&self, position: usize, x: &[f32], spare: &mut [f32], out: &mut [f32]) {
        match self {
            Self::Rope { table, neighbours: None } => {
                elementwise::rotate(x, table.row(position as u64, &mut []), true, out);
            }
            Self::Rope { table, neighbours: Some(dim) } => {
                let ordered = &mut spare[..x.len()];
                elementwise::rotate(x, table.row(position as u64, &mut []), true, ordered);
                out.copy_from_slice(ordered);
                let (first, second) = ordered[..*dim].split_at(dim / 2);
                for (pair, (a, b)) in out.chunks_exact_mut(2).zip(first.iter().zip(second)) {
                    (pair[0], pair[1]) = (*a, *b);
                }
            }
            Self::Alibi(_) | Self::None => out.copy_from_slice(x),
        }
    }
}
