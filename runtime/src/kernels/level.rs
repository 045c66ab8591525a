//! The instruction sets that products of block-quantized rows, and of a few vectors with many rows, are written out for.

use candle_core::quantized::GgmlDType;

use super::activations::Activations;

/// An instruction set that this processor has. Only [`Level::available`] and [`Level::best`] make one, so that having a
/// level means that its instructions can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Loops that the compiler vectorizes.
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// The fastest.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("f16c") && is_x86_feature_detected!("fma") {
            if is_x86_feature_detected!("avx512f") {
                return Self(Set::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                return Self(Set::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Self(Set::Neon);
        }
        Self(Set::Plain)
    }

    /// All that this processor has, the slowest first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self(Set::Plain)];
        let best = Self::best();
        #[cfg(target_arch = "x86_64")]
        if best == Self(Set::Avx512) && is_x86_feature_detected!("avx2") {
            levels.push(Self(Set::Avx2));
        }
        if best != levels[0] {
            levels.push(best);
        }
        levels
    }

    /// What it stands for.
    pub(super) fn set(self) -> Set {
        self.0
    }

    /// `out[r] = row r · x`, if the format is written out for this level; else false, and nothing done.
    pub(super) fn rows_times_vector(
        self,
        format: GgmlDType,
        bytes: &[u8],
        x: &Activations<'_>,
        out: &mut [f32],
    ) -> bool {
        match self.0 {
            Set::Plain => false,
            // SAFETY: a level is made only where the processor has its instructions.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { super::avx2::rows_times_vector(format, bytes, x, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { super::avx512::rows_times_vector(format, bytes, x, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { super::neon::rows_times_vector(format, bytes, x, out) },
        }
    }
}
