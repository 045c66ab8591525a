//! Activations as codes of 8 bits.

use multiversion::multiversion;

use super::codes::GROUP;

/// Largest code.
const LARGEST: f32 = 127.0;

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
        let mut codes = Self {
            words: Vec::with_capacity(tokens * groups * 8),
            scales: Vec::with_capacity(tokens * groups),
            sums: Vec::with_capacity(tokens * groups),
            half_sums: Vec::with_capacity(tokens * groups * 2),
            groups,
        };
        encode(x, &mut codes);
        codes
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.scales.len() / self.groups.max(1)
    }

    /// Those of one token.
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
fn encode(x: &[f32], into: &mut Codes) {
    for values in x.as_chunks::<GROUP>().0 {
        let (mut largest, mut finite) = (0.0f32, true);
        for value in values {
            largest = largest.max(value.abs());
            finite &= value.is_finite();
        }
        let scale = if finite { largest / LARGEST } else { f32::NAN };
        let inverse = if finite && largest > 0.0 { LARGEST / largest } else { 0.0 };
        let (mut codes, mut halves) = ([0u8; GROUP], [0i32; 2]);
        for (i, value) in values.iter().enumerate() {
            // A conversion to integers saturates, and makes 0 of NaN.
            let code = (value * inverse).round_ties_even() as i8;
            codes[i] = code as u8;
            halves[i / 16] += i32::from(code);
        }
        into.words.extend(codes.as_chunks::<4>().0.iter().map(|four| i32::from_le_bytes(*four)));
        into.scales.push(scale);
        into.sums.push(scale * (halves[0] + halves[1]) as f32);
        into.half_sums.extend(halves.map(|half| scale * half as f32));
    }
}
