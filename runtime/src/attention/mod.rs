//! Attention twice: [`dense`] is the specification, `blockwise` the fast implementation that a session uses.

#[cfg(test)]
mod agreement;
mod blockwise;
mod counterfactual;
pub mod dense;
mod few_rows;
mod inputs;
mod partial;
mod query_block;
mod retrieved;
mod row;
mod tiles;

#[cfg(test)]
pub(crate) use blockwise::attend;
pub(crate) use blockwise::attend_heads;
pub(crate) use counterfactual::counterfactual;
pub(crate) use inputs::Inputs;
pub use inputs::Shape;
pub(crate) use row::attention_row;
