//! Weights, brought into the order in which fast products read them: sixteen rows side by side.

/// Rows of a panel: as many as a register has lanes.
pub const ROWS: usize = 16;

/// Sixty-four bytes that a register takes at once: four codes of each row, or eight of four bits.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Line(pub [[u8; 4]; ROWS]);

/// A matrix [rows, columns] of weights.
#[derive(Clone, Debug)]
pub enum Packed {
    /// Quantized ones.
    Integers(IntegerPanels),
    /// Those that are bfloat16.
    Brains(BrainPanels),
}

/// A matrix [rows, columns] of bfloat16 in panels of 16 rows, each in pairs of columns; what is beyond the last row or column is 0.
#[derive(Clone, Debug)]
pub struct BrainPanels {
    /// Pairs of a row.
    pub pairs: usize,
    /// [panels, pairs]: of each row two numbers, little-endian.
    pub lines: Vec<Line>,
}

/// A matrix [rows, columns] in panels of 16 rows, each in groups of 32 columns; rows beyond the last are 0.
///
/// A weight is `scale · code + offset`.
#[derive(Clone, Debug)]
pub struct IntegerPanels {
    /// Groups of a row.
    pub groups: usize,
    /// Whether codes have four bits: then the low ones of a line are those of the first half of a group.
    pub four_bits: bool,
    /// [panels, groups, 4 or 8]
    pub codes: Vec<Line>,
    /// What codes stand for.
    pub scales: Scales,
}

/// Scales and offsets of groups.
#[derive(Clone, Debug)]
pub enum Scales {
    /// Halves, as bits: a scale, of which the offset is a multiple.
    Scaled {
        /// [panels, groups]
        scales: Vec<[u16; ROWS]>,
        /// offset ÷ scale
        factor: f32,
    },
    /// Halves, as bits: a scale and an offset.
    Affine(Vec<[[u16; ROWS]; 2]>),
    /// A scale and an offset of a group, or of each half of a group.
    Floats {
        /// [panels, groups, 1 or 2]
        scales: Vec<[[f32; ROWS]; 2]>,
        /// Whether halves have their own.
        halves: bool,
    },
}

impl IntegerPanels {
    /// Lines of a group.
    pub fn lines(&self) -> usize {
        if self.four_bits { 4 } else { 8 }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.codes[..])
            + match &self.scales {
                Scales::Scaled { scales, .. } => size_of_val(&scales[..]),
                Scales::Affine(scales) => size_of_val(&scales[..]),
                Scales::Floats { scales, .. } => size_of_val(&scales[..]),
            }
    }
}
