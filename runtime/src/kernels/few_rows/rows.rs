//! What is multiplied.

use crate::model::kv_type::Stored;

/// Vectors that a row meets at once; more are taken in groups.
pub(super) const TOGETHER: usize = 4;

/// Rows of `width` numbers.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Row `r` begins at `r · stride`.
    pub numbers: Stored<'a>,
    /// Numbers from one row to the next.
    pub stride: usize,
    /// How many; at least one.
    pub count: usize,
    /// Numbers of a row.
    pub width: usize,
}

impl Rows<'_> {
    /// Rows `first..first + count`.
    pub fn part(&self, first: usize, count: usize) -> Self {
        let begin = first * self.stride;
        let numbers = self.numbers.slice(begin..begin + (count - 1) * self.stride + self.width);
        Self { numbers, count, ..*self }
    }

    /// What the loops over pointers rely on.
    pub(super) fn check(&self) {
        assert!(
            self.count > 0 && (self.count - 1) * self.stride + self.width <= self.numbers.count(),
            "rows"
        );
    }
}

/// Angles of each row, by which the pairs of its first numbers are rotated ([`rotate`](crate::kernels::elementwise::rotate)).
#[derive(Clone, Copy, Debug, Default)]
pub struct Angles<'a> {
    /// Cosines and sines. [rows, 2, half]
    pub values: &'a [f32],
    /// Pairs of a row.
    pub half: usize,
}
