//! Packed weights times activations: what [`Precision::Fast`](super::precision::Precision) does, whatever weights are stored as.

use super::brains::activations::Brains;
use super::brains::product::panels_times_brains;
use super::brains::{self, BrainLevel};
use super::integer::activations::Codes;
use super::integer::product::panel_times_codes;
use super::integer::{IntegerLevel, codes, pack};
use crate::model::packed::{Packed, ROWS};
use crate::model::weights::{Matrix, WeightType};

/// Whether this processor multiplies any packed weights faster than floats.
pub fn is_available() -> bool {
    IntegerLevel::best().is_some() || BrainLevel::best().is_some()
}

/// `matrix`, packed, where it is stored as something that this processor multiplies faster than floats.
pub fn packed(matrix: &Matrix) -> Option<Packed> {
    match matrix.weight_type() {
        WeightType::Quantized(format) => {
            let format = codes::Format::of(format).filter(|_| IntegerLevel::best().is_some())?;
            Some(Packed::Integers(pack::pack(format, matrix.bytes(), matrix.columns() / codes::GROUP)))
        }
        WeightType::Bf16 => {
            BrainLevel::best().map(|_| Packed::Brains(brains::pack::pack(matrix.bytes(), matrix.columns())))
        }
        WeightType::F32 | WeightType::F16 | WeightType::Block(_) => None,
    }
}

/// Activations of some tokens as packed weights need them, each kind where there are such weights.
#[derive(Default)]
pub struct Rounded {
    codes: Option<(IntegerLevel, Codes)>,
    brains: Option<(BrainLevel, Brains)>,
}

impl Rounded {
    /// Of `x` ([tokens, columns]), for products with `weights`.
    pub fn new<'a>(weights: impl Iterator<Item = &'a Matrix>, x: &[f32], columns: usize) -> Self {
        let mut rounded = Self::default();
        for packed in weights.filter_map(Matrix::packed) {
            match packed {
                Packed::Integers(_) if rounded.codes.is_none() => {
                    rounded.codes = IntegerLevel::best().map(|level| (level, Codes::new(x, columns)));
                }
                Packed::Brains(_) if rounded.brains.is_none() => {
                    rounded.brains = BrainLevel::best().map(|level| (level, Brains::new(x, columns)));
                }
                Packed::Integers(_) | Packed::Brains(_) => {}
            }
        }
        rounded
    }

    /// The products of rows `first..first + count` of `weight` with every token, given to `take`: the token, a row, and the values of
    /// it and of those behind it. False, and nothing done, where the weight is not packed. `first` is a multiple of 16.
    pub fn times(
        &self,
        weight: &Matrix,
        first: usize,
        count: usize,
        mut take: impl FnMut(usize, usize, &[f32]),
    ) -> bool {
        let mut take = |token: usize, panel: usize, values: &[f32; ROWS]| {
            let row = panel * ROWS;
            take(token, row, &values[..ROWS.min(first + count - row)]);
        };
        let panels = first / ROWS..(first + count).div_ceil(ROWS);
        match (weight.packed(), self) {
            (Some(Packed::Integers(packed)), Self { codes: Some((level, x)), .. }) => {
                for panel in panels {
                    panel_times_codes(*level, packed, panel, x, |token, values| take(token, panel, values));
                }
                true
            }
            (Some(Packed::Brains(packed)), Self { brains: Some((level, x)), .. }) => {
                panels_times_brains(*level, packed, panels.start, panels.len(), x, take);
                true
            }
            _ => false,
        }
    }
}
