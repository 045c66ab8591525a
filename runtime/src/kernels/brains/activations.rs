//! Activations as bfloat16.

use multiversion::multiversion;
use rayon::prelude::*;

/// Tokens that are rounded in one piece.
const TOKENS_PER_TASK: usize = 16;

/// Vectors of a number of tokens, rounded to the nearest bfloat16, ties to even.
#[derive(Clone, Debug)]
pub struct Brains {
    /// [tokens, pairs]: two numbers, the first in the low half; behind the last column 0.
    pub words: Vec<u32>,
    /// Pairs of a token.
    pub pairs: usize,
}

impl Brains {
    /// Of `x` ([tokens, columns]).
    pub fn new(x: &[f32], columns: usize) -> Self {
        let (pairs, tokens) = (columns.div_ceil(2), x.len() / columns.max(1));
        let mut words = vec![0; tokens * pairs];
        let parts = words.par_chunks_mut((pairs * TOKENS_PER_TASK).max(1));
        let x = x.par_chunks((columns * TOKENS_PER_TASK).max(1));
        // One token is not worth another thread.
        let least = if tokens > 1 { 1 } else { usize::MAX };
        parts.zip(x).with_min_len(least).for_each(|(words, x)| {
            for (words, x) in words.chunks_mut(pairs).zip(x.chunks(columns)) {
                round(x, words);
            }
        });
        Self { words, pairs }
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.words.len() / self.pairs.max(1)
    }

    /// The words of a token.
    pub fn token(&self, token: usize) -> &[u32] {
        &self.words[token * self.pairs..][..self.pairs]
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn round(x: &[f32], words: &mut [u32]) {
    let (pairs, rest) = x.as_chunks::<2>();
    for (word, [first, second]) in words.iter_mut().zip(pairs) {
        *word = rounded(*first) | rounded(*second) << 16;
    }
    if let ([last], Some(word)) = (rest, words.last_mut()) {
        *word = rounded(*last);
    }
}

/// The bits of the nearest bfloat16; NaN stays.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    let nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    // Rounding up would carry the bits of a NaN over.
    if x.is_nan() { bits >> 16 | 0x40 } else { nearest }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_nan_stays() {
        let mut values: Vec<f32> = (0..4000u32).map(|at| (at as f32 - 2000.0) * 0.37e-3).collect();
        values.extend([0.0, -0.0, 1e-40, 3.3e38, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0]);
        for columns in [1, 2, 3, 7, 4009] {
            let tokens = values.len() / columns;
            let x = &values[..tokens * columns];
            let brains = Brains::new(x, columns);
            assert_eq!(brains.tokens(), tokens);
            for (token, x) in x.chunks(columns).enumerate() {
                let words = brains.token(token).iter();
                let got: Vec<u16> = words.flat_map(|word| [*word as u16, (word >> 16) as u16]).collect();
                for (x, got) in x.iter().zip(&got) {
                    let expected = bf16::from_f32(*x);
                    let got = bf16::from_bits(*got);
                    assert!(
                        got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan(),
                        "{x}: {got}"
                    );
                }
                assert!(got[columns..].iter().all(|bits| *bits == 0));
            }
        }
        // A NaN whose low bits alone are set.
        assert!(bf16::from_bits(rounded(f32::from_bits(0x7f80_0001)) as u16).is_nan());
        assert!(bf16::from_bits(rounded(f32::from_bits(0x7fff_ffff)) as u16).is_nan());
    }
}
