//! Rotary position encoding (Su et al. 2021, arXiv 2104.09864) with the published scalings.
//!
//! Only relative positions enter a logit, so every angle here belongs to an offset from a nearby base and is computed in
//! f64; f32 angles lose their meaning past 2^24 tokens.

use std::f64::consts::TAU;

use num_traits::Float;

use crate::policy::PositionScaling;

/// Frequencies of a rotary encoding over the first `dim` dimensions of a head, in half-split order.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Radians per token, one per pair. [dim / 2]
    pub frequencies: Vec<f64>,
    /// YaRN's attention temperature: rotated dimensions of query and key are each multiplied by this (1 elsewhere).
    pub magnitude: f64,
}

impl Rope {
    /// Frequencies `theta^(−2j/dim)`, changed by `scaling`.
    pub fn new(theta: f64, dim: usize, scaling: PositionScaling) -> Self {
        let base = match scaling {
            PositionScaling::Ntk { factor } if dim > 2 => {
                theta * factor.powf(dim as f64 / (dim as f64 - 2.0))
            }
            _ => theta,
        };
        let mut frequencies: Vec<f64> =
            (0..dim / 2).map(|j| base.powf(-2.0 * j as f64 / dim as f64)).collect();
        let mut magnitude = 1.0;
        match scaling {
            // Those that depend on the position of the query, or on the checkpoint, are resolved by `PositionEncoding::at`.
            PositionScaling::None
            | PositionScaling::Ntk { .. }
            | PositionScaling::DynamicNtk { .. }
            | PositionScaling::LongRope { .. } => {}
            PositionScaling::Linear { factor } => frequencies.iter_mut().for_each(|f| *f /= factor),
            PositionScaling::Yarn {
                factor,
                original_length,
                beta_fast,
                beta_slow,
                attention_factor,
                exact_bounds,
            } => {
                // The pair that turns `rotations` times over the trained length.
                let pair = |rotations: f64| {
                    dim as f64 * (original_length as f64 / (rotations * TAU)).ln() / (2.0 * theta.ln())
                };
                let (low, high) = match exact_bounds {
                    true => (pair(beta_fast), pair(beta_slow)),
                    false => (pair(beta_fast).floor(), pair(beta_slow).ceil()),
                };
                let (low, high) = (low.max(0.0), high.min(dim as f64 - 1.0));
                let width = (high - low).max(0.001);
                for (j, frequency) in frequencies.iter_mut().enumerate() {
                    let interpolated = ((j as f64 - low) / width).clamp(0.0, 1.0);
                    *frequency *= interpolated / factor + (1.0 - interpolated);
                }
                magnitude = attention_factor.unwrap_or(0.1 * factor.ln() + 1.0);
            }
            PositionScaling::Llama3 { factor, original_length, low_frequency, high_frequency } => {
                for frequency in &mut frequencies {
                    let rotations = original_length as f64 * *frequency / TAU;
                    let kept =
                        ((rotations - low_frequency) / (high_frequency - low_frequency)).clamp(0.0, 1.0);
                    *frequency *= kept + (1.0 - kept) / factor;
                }
            }
        }
        Self { frequencies, magnitude }
    }

    /// Number of rotated dimensions.
    pub fn dim(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// `x` (`[head_dim]`) rotated by `offset` tokens; magnitude² is applied here, once for query and key together.
    pub fn rotated<T: Float>(&self, x: &[T], offset: f64) -> Vec<T> {
        let real = |x: f64| T::from(x).expect("every float type holds an f64, rounded");
        let half = self.frequencies.len();
        let mut rotated = x.to_vec();
        for (j, frequency) in self.frequencies.iter().enumerate() {
            let (sin, cos) = (offset * frequency).sin_cos();
            let (sin, cos) = (real(sin * self.magnitude.powi(2)), real(cos * self.magnitude.powi(2)));
            rotated[j] = x[j] * cos - x[j + half] * sin;
            rotated[j + half] = x[j] * sin + x[j + half] * cos;
        }
        rotated
    }
}

/// Cosines and sines of the offsets `0..len`, grown on demand and shared by all layers.
///
/// A policy with a window needs a number of rows that does not depend on the length of the text; without one, the table
/// grows with the text (by a small fraction of what the cache takes).
#[derive(Clone, Debug)]
pub struct RotaryTable {
    frequencies: Vec<f64>,
    rows: Vec<f32>,
}

impl RotaryTable {
    /// An empty table for `rope`.
    pub fn new(rope: &Rope) -> Self {
        Self { frequencies: rope.frequencies.clone(), rows: Vec::new() }
    }

    /// Pairs per row.
    pub fn half(&self) -> usize {
        self.frequencies.len()
    }

    /// Offsets held.
    pub fn len(&self) -> usize {
        self.rows.len() / (2 * self.half()).max(1)
    }

    /// True when no offset is held.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Makes offsets `0..len` available.
    pub fn grow(&mut self, len: usize) {
        let held = self.len();
        if len > held {
            // Rounded up, so that decoding without a window does not grow it token by token.
            let len = len.next_multiple_of(1024);
            self.rows.reserve_exact((len - held) * 2 * self.half());
            for offset in held..len {
                let start = self.rows.len();
                self.rows.resize(start + 2 * self.half(), 0.0);
                fill(&self.frequencies, offset as f64, &mut self.rows[start..]);
            }
        }
    }

    /// The row of cosines and sines ([2, dim/2]) of `offset`: from the table where it reaches that far, else computed
    /// into `spare`.
    pub fn row<'a>(&'a self, offset: u64, spare: &'a mut [f32]) -> &'a [f32] {
        let width = 2 * self.half();
        if offset < self.len() as u64 {
            let start = offset as usize * width;
            &self.rows[start..start + width]
        } else {
            fill(&self.frequencies, offset as f64, spare);
            spare
        }
    }

    /// The rows of the offsets `0..count` ([count, 2, dim/2]): from the table where it reaches that far, else computed into `spare`.
    pub fn first<'a>(&'a self, count: usize, spare: &'a mut Vec<f32>) -> &'a [f32] {
        let width = 2 * self.half();
        if let Some(rows) = self.rows.get(..count * width) {
            return rows;
        }
        spare.resize(count * width, 0.0);
        for offset in 0..count {
            fill(&self.frequencies, offset as f64, &mut spare[offset * width..][..width]);
        }
        spare
    }
}

fn fill(frequencies: &[f64], offset: f64, row: &mut [f32]) {
    let (cosines, sines) = row.split_at_mut(frequencies.len());
    for ((frequency, cos), sin) in frequencies.iter().zip(cosines).zip(sines) {
        let (s, c) = (offset * frequency).sin_cos();
        (*cos, *sin) = (c as f32, s as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logit_depends_on_the_difference_of_offsets_alone() {
        let rope = Rope::new(10_000.0, 8, PositionScaling::None);
        let q: Vec<f64> = (0..8).map(|x| (x as f64).sin()).collect();
        let k: Vec<f64> = (0..8).map(|x| (x as f64).cos()).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let near = dot(&rope.rotated(&q, 7.0), &rope.rotated(&k, 3.0));
        let far = dot(&rope.rotated(&q, 1_000_007.0), &rope.rotated(&k, 1_000_003.0));
        assert!((near - far).abs() < 1e-9);
    }

    #[test]
    fn table_and_direct_rows_agree() {
        let rope = Rope::new(100_000.0, 64, PositionScaling::None);
        let mut table = RotaryTable::new(&rope);
        table.grow(10);
        let (mut spare, mut again) = (vec![0.0; 64], vec![0.0; 64]);
        let direct = RotaryTable::new(&rope).row(9, &mut spare).to_vec();
        assert_eq!(table.row(9, &mut again), direct);
        assert_eq!(table.len(), 1024);
    }

    #[test]
    fn linear_scaling_stretches_positions() {
        let plain = Rope::new(10_000.0, 16, PositionScaling::None);
        let scaled = Rope::new(10_000.0, 16, PositionScaling::Linear { factor: 4.0 });
        for (a, b) in plain.frequencies.iter().zip(&scaled.frequencies) {
            assert!((a / b - 4.0).abs() < 1e-12);
        }
    }

    #[test]
    fn ntk_keeps_the_fastest_pair_and_stretches_the_slowest_by_the_factor() {
        let plain = Rope::new(10_000.0, 16, PositionScaling::None);
        let scaled = Rope::new(10_000.0, 16, PositionScaling::Ntk { factor: 4.0 });
        assert!((plain.frequencies[0] - scaled.frequencies[0]).abs() < 1e-12);
        assert!((plain.frequencies[7] / scaled.frequencies[7] - 4.0).abs() < 1e-9);
    }

    #[test]
    fn yarn_keeps_fast_pairs_and_interpolates_slow_ones() {
        let plain = Rope::new(10_000.0, 128, PositionScaling::None);
        let yarn = PositionScaling::yarn(8.0, 4096);
        let scaled = Rope::new(10_000.0, 128, yarn);
        assert!((plain.frequencies[0] - scaled.frequencies[0]).abs() < 1e-12);
        assert!((plain.frequencies[63] / scaled.frequencies[63] - 8.0).abs() < 1e-9);
        assert!((scaled.magnitude - (0.1 * 8f64.ln() + 1.0)).abs() < 1e-12);
    }
}
