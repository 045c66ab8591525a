//! What is known of whether two runs read the same.

/// How many tokens of which two runs were found to be the same.
#[derive(Default)]
pub struct Checked {
    /// The earlier run.
    pub kept: u64,
    /// What both were made of, by address.
    pub of: [usize; 2],
    /// Tokens that are the same.
    pub tokens: usize,
}
