//! The instructions that products of bfloat16 are written out for.

/// One of them, which this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrainLevel(pub(super) Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Loops, the definition.
    Plain,
    /// AVX-512 with BF16.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl BrainLevel {
    /// The plain loops.
    pub const PLAIN: Self = Self(Set::Plain);

    /// The instructions of this processor; `None` where it has none that make bfloat16 faster than f32.
    pub fn best() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bf16")
        {
            return Some(Self(Set::Avx512));
        }
        None
    }
}
