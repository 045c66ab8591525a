//! Activations as codes of 8 bits.

use multiversion::multiversion;
use rayon::prelude::*;

use super::codes::GROUP;

/// Largest code.
const LARGEST: f32 = 127.0;
/// 1.5 · 2^23: near it, neighbouring numbers are 1 apart.
const ROUNDING: f32 = 12_582_912.0;
/// Tokens that are encoded in one piece.
const TOKENS_PER_TASK: usize = 16;

/// Vectors of a number of tokens, in groups of 32: `value ≈ scale · code`, codes of −127 to 127, rounded to even.
///
/// The scale of a group is its largest magnitude ÷ 127. A group with a value that is not finite has the scale NaN, so that every
/// product with it is NaN.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    /// [tokens, groups, 8]: codes, four to a word.
    pub words: Vec<i32>,
    /// [tokens, groups]
    pub scales: Vec<f32>,
    /// [tokens, groups]: scale · sum of codes.
    pub sums: Vec<f32>,
    /// [tokens, groups, 2]: the same of the two halves of a group.
    pub half_sums: Vec<f32>,
    /// Groups of a token.
    pub groups: usize,
}

impl Codes {
    /// Of `x` ([tokens, columns]); columns are whole groups.
    pub fn new(x: &[f32], columns: usize) -> Self {
        let (groups, tokens) = (columns / GROUP, x.len() / columns.max(1));
        let all = tokens * groups;
        let mut codes = Self {
            words: vec![0; 8 * all],
            scales: vec![0.0; all],
            sums: vec![0.0; all],
            half_sums: vec![0.0; 2 * all],
            groups,
        };
        let step = if tokens > 1 { groups * TOKENS_PER_TASK } else { all }.max(1);
        let parts = codes.words.par_chunks_mut(8 * step).zip(codes.scales.par_chunks_mut(step));
        let sums = codes.sums.par_chunks_mut(step).zip(codes.half_sums.par_chunks_mut(2 * step));
        let tasks = x.par_chunks(GROUP * step).zip(parts).zip(sums);
        let run = |((x, (words, scales)), (sums, halves))| encode(x, words, scales, sums, halves);
        // One token is not worth another thread.
        if tokens > 1 {
            tasks.for_each(run);
        } else {
            encode(x, &mut codes.words, &mut codes.scales, &mut codes.sums, &mut codes.half_sums);
        }
        codes
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.scales.len() / self.groups.max(1)
    }

    /// Those of one token.
    #[inline]
    pub fn token(&self, token: usize) -> TokenCodes<'_> {
        let groups = token * self.groups..(token + 1) * self.groups;
        TokenCodes {
            words: &self.words.as_chunks().0[groups.clone()],
            scales: &self.scales[groups.clone()],
            sums: &self.sums[groups.clone()],
            half_sums: &self.half_sums.as_chunks().0[groups],
        }
    }
}

/// [`Codes`] of one token, by group.
#[derive(Clone, Copy, Debug)]
pub struct TokenCodes<'a> {
    /// Codes, four to a word.
    pub words: &'a [[i32; 8]],
    /// Scales.
    pub scales: &'a [f32],
    /// scale · sum of codes.
    pub sums: &'a [f32],
    /// The same of the two halves of a group.
    pub half_sums: &'a [[f32; 2]],
}

impl TokenCodes<'_> {
    /// Groups.
    pub fn groups(&self) -> usize {
        self.scales.len()
    }

    /// The codes of one group, as they are multiplied.
    pub fn group(&self, group: usize) -> [i8; GROUP] {
        let mut codes = [0; GROUP];
        for (codes, word) in codes.as_chunks_mut::<4>().0.iter_mut().zip(self.words[group]) {
            *codes = word.to_le_bytes().map(|byte| byte as i8);
        }
        codes
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn encode(x: &[f32], words: &mut [i32], scales: &mut [f32], sums: &mut [f32], half_sums: &mut [f32]) {
    let groups = x.as_chunks::<GROUP>().0.iter().zip(words.as_chunks_mut::<8>().0);
    let stands_for = scales.iter_mut().zip(sums).zip(half_sums.as_chunks_mut::<2>().0);
    for ((values, words), ((of_scale, of_sum), of_halves)) in groups.zip(stands_for) {
        let (mut largest, mut finite) = (0.0f32, true);
        for value in values {
            largest = largest.max(value.abs());
            finite &= value.is_finite();
        }
        let scale = if finite { largest / LARGEST } else { f32::NAN };
        let inverse = if finite && largest > 0.0 { LARGEST / largest } else { 0.0 };
        let mut codes = [0i32; GROUP];
        for (code, value) in codes.iter_mut().zip(values) {
            // Adding a number whose last digit is 1 rounds to integers, half to even. What is not finite gives any code.
            *code = ((value * inverse + ROUNDING).to_bits() as i32).wrapping_sub(ROUNDING.to_bits() as i32);
        }
        let mut bytes = [0u8; GROUP];
        for (byte, code) in bytes.iter_mut().zip(&codes) {
            *byte = *code as u8;
        }
        for (word, four) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = i32::from_le_bytes(*four);
        }
        let sum = |half: &[i32]| half.iter().map(|&code| i32::from(code as i8)).sum::<i32>();
        let halves = [sum(&codes[..16]), sum(&codes[16..])];
        (*of_scale, *of_sum) = (scale, scale * (halves[0] + halves[1]) as f32);
        *of_halves = halves.map(|half| scale * half as f32);
    }
}
