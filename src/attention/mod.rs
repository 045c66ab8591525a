//! Attention twice: [`dense`] is the specification, `blockwise` (behind [`attend`]) the product.

#[cfg(test)]
mod agreement;
mod blockwise;
mod cells;
pub mod dense;
mod middle;
mod partial;
mod query_block;
mod row;

pub use blockwise::{Inputs, Shape, attend};
pub use row::attention_row;
