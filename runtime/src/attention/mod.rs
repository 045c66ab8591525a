//! Attention twice: [`dense`] is the specification, `blockwise` (behind [`attend`]) the product.

#[cfg(test)]
mod agreement;
mod blockwise;
mod cells;
pub mod dense;
mod inputs;
mod middle;
mod partial;
mod query_block;
mod row;

pub use blockwise::attend;
pub use inputs::{Inputs, Shape};
pub use row::attention_row;
