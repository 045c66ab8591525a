//! A vector made ready for products with stored rows.

/// A vector with the sums of its blocks of 32, which formats with an offset need.
#[derive(Clone, Debug)]
pub struct Activations<'a> {
    pub(super) values: &'a [f32],
    pub(super) block_sums: Vec<f32>,
}

impl<'a> Activations<'a> {
    /// Prepares `values` (`[columns]`).
    pub fn new(values: &'a [f32]) -> Self {
        let block_sums = values.as_chunks::<32>().0.iter().map(|block| block.iter().sum()).collect();
        Self { values, block_sums }
    }
}
