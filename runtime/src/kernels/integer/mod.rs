//! Products of block-quantized weights with activations of 8 bits: what [`Precision::Fast`](super::precision::Precision) multiplies with.
//!
//! A weight of a group of 32 is `scale · code + offset`, with codes of 0 to 255 ([`codes`]); an activation of such a group is
//! `scale · code`, with codes of −127 to 127 ([`activations`]). So the product of two groups is
//!
//! ```text
//! Σ w·x = s_w · s_x · Σ c_w·c_x  +  o_w · s_x · Σ c_x
//! ```
//!
//! whose sums are of integers, and exact. They are added up in f32, group after group. What is lost is the rounding of activations
//! alone: at most 1/254 of the largest of a group.
//!
//! Weights are packed once, when a decoder is made fast ([`pack`]): sixteen rows side by side, so that a register holds four codes of
//! each, and sums of rows need no exchange of lanes. [`product`] multiplies a panel of them with any number of tokens, in plain
//! loops, which are the definition, and in AVX-512 with VNNI, bit by bit the same. On other processors [`IntegerLevel::best`] is none, and
//! callers multiply exactly: without such instructions nothing is won.

pub mod activations;
pub mod codes;
pub mod pack;
pub mod product;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vnni;

/// The instructions that integer products are written out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegerLevel(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// Loops, the definition.
    Plain,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl IntegerLevel {
    /// The plain loops.
    pub const PLAIN: Self = Self(Set::Plain);

    /// The instructions of this processor; `None` where it has none that make integers faster than floats.
    pub fn best() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("fma")
        {
            return Some(Self(Set::Vnni));
        }
        None
    }
}
