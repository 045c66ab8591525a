//! Products of bfloat16 weights with activations that are rounded to bfloat16: what
//! [`Precision::Fast`](super::precision::Precision) multiplies with where weights are stored so.
//!
//! Weights stay what they are; an activation loses at most 1/256 of itself. Sums are f32, of two columns at a time. Weights are packed
//! once ([`pack`]): sixteen rows side by side, two columns to a lane. [`product`] multiplies panels of them with any number of tokens, in
//! plain loops, which are the definition, and in AVX-512 BF16, which rounds sums in its own order. On other processors
//! [`BrainLevel::best`] is none, and callers multiply exactly.

pub mod activations;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod level;
pub mod pack;
pub mod product;
#[cfg(test)]
mod tests;

pub use level::BrainLevel;
