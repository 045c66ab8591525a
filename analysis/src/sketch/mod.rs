//! Quantiles of a stream, mergeable and without randomness.
//!
//! A histogram of fixed width `h` on the scale `u = asinh x`, which is linear near 0 and logarithmic far from it, so
//! that one grid serves logits of 0.1 and of 10^9. A value is answered by the middle of its cell, `x̂ = sinh û`, with
//! `|u − û| ≤ h/2`; since `cosh(u + δ) ≤ e^|δ| cosh u`, the error is at most
//!
//! ```text
//! |x̂ − x| ≤ (h/2)·e^(h/2)·sqrt(1 + x²)
//! ```
//!
//! With the default `h` = 1/64 that is 0.008 near 0 and 0.8 % far from it. The rank is exact: the answer is for the
//! value of rank `⌈q·n⌉`, the smallest one that at least a share `q` of the values does not exceed. Extremes are exact.
//!
//! Memory: 8 kB for the cells near 0, and 16 bytes for each other one that holds a value; finite f32 fill at most
//! `2·asinh(3.4e38)/h` = 11,500 cells, logits between −40 and 40 about 560. Counts are whole numbers, so a merge is exact and
//! order does not matter at all.

mod cells;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use cells::Cells;

/// Histogram on the asinh scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantileSketch {
    step: f64,
    cells: Cells,
    count: u64,
    non_finite: u64,
    low: f32,
    high: f32,
}

impl Default for QuantileSketch {
    fn default() -> Self {
        Self::with_step(Self::DEFAULT_STEP)
    }
}

impl QuantileSketch {
    const DEFAULT_STEP: f64 = 1.0 / 64.0;

    /// Empty, with cells of width `step` on the asinh scale, 1e-6 to 1.
    pub fn new(step: f64) -> Result<Self> {
        if (1e-6..=1.0).contains(&step) {
            Ok(Self::with_step(step))
        } else {
            Err(Error::mismatch("quantile sketch", "a step in 1e-6..=1", step))
        }
    }

    fn with_step(step: f64) -> Self {
        Self {
            step,
            cells: Cells::default(),
            count: 0,
            non_finite: 0,
            low: f32::INFINITY,
            high: f32::NEG_INFINITY,
        }
    }

    /// Adds a value; false if it is not finite. It is counted, and there are no quantiles any more: NaN has no place among
    /// the others.
    pub fn push(&mut self, value: f32) -> bool {
        if value.is_finite() {
            self.cells.add(self.cell(value), 1);
            self.count += 1;
            (self.low, self.high) = (self.low.min(value), self.high.max(value));
        } else {
            self.non_finite += 1;
        }
        value.is_finite()
    }

    /// Adds values, as [`Self::push`] does one by one, several times as fast.
    pub fn extend(&mut self, values: impl IntoIterator<Item = f32>) {
        let mut values = values.into_iter();
        loop {
            let mut block = [0.0; BLOCK];
            let taken = block.iter_mut().zip(&mut values).map(|(into, value)| *into = value).count();
            if taken == 0 {
                return;
            }
            self.add_block(&block, taken);
        }
    }

    /// Adds the first `taken` values.
    fn add_block(&mut self, values: &[f32; BLOCK], taken: usize) {
        let per_step = (1.0 / self.step) as f32;
        let places = values.map(|value| rough_asinh(value) * per_step);
        let (mut low, mut high) = (self.low, self.high);
        for (&value, place) in values.iter().zip(places).take(taken) {
            if !value.is_finite() {
                self.non_finite += 1;
                continue;
            }
            self.count += 1;
            (low, high) = (low.min(value), high.max(value));
            // `floor` would be a call of the C library on processors that the program is not built for.
            let whole = place as i32;
            let cell = whole.saturating_sub(i32::from(whole as f32 > place));
            // Where the rough place lies within its error of an edge, it takes all digits to tell on which side.
            let (beside, into) = (ROUGH * (1.0 + place.abs() + per_step), place - cell as f32);
            let sure = into > beside && into < 1.0 - beside;
            self.cells.add(if sure { cell } else { self.cell(value) }, 1);
        }
        (self.low, self.high) = (low, high);
    }

    /// The cell `⌊asinh(value)/step⌋` of a finite value.
    fn cell(&self, value: f32) -> i32 {
        (f64::from(value).asinh() / self.step).floor() as i32
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.step != other.step {
            return Err(Error::mismatch(
                "merging quantile sketches",
                format!("step {}", self.step),
                other.step,
            ));
        }
        for (cell, count) in other.cells.iter() {
            self.cells.add(cell, count);
        }
        self.count += other.count;
        self.non_finite += other.non_finite;
        (self.low, self.high) = (self.low.min(other.low), self.high.max(other.high));
        Ok(())
    }

    /// Values that were not finite.
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// Finite values seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Cells that hold a value.
    pub fn cells(&self) -> usize {
        self.cells.iter().count()
    }

    /// The `q`-quantile, `q` clamped to 0..=1; `None` of nothing, for NaN, and where a value was not finite.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 || self.non_finite > 0 || q.is_nan() {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).clamp(1, self.count);
        if rank == self.count {
            return Some(f64::from(self.high));
        }
        if rank == 1 {
            return Some(f64::from(self.low));
        }
        let mut seen = 0;
        let cell = self.cells.iter().find_map(|(cell, count)| {
            seen += count;
            (seen >= rank).then_some(cell)
        })?;
        let middle = ((f64::from(cell) + 0.5) * self.step).sinh();
        Some(middle.clamp(f64::from(self.low), f64::from(self.high)))
    }

    /// Largest error of a quantile whose true value is `value`.
    pub fn error_at(&self, value: f64) -> f64 {
        self.step / 2.0 * (self.step / 2.0).exp() * value.hypot(1.0)
    }
}

/// Values that are placed at once.
const BLOCK: usize = 32;

/// Largest error of [`rough_asinh`], in units of `1 + |asinh x|`.
const ROUGH: f32 = 1e-6;

/// `asinh x`, at a fraction of what all of its digits cost and without branches, so that loops over it vectorize; of a size beyond
/// 1.8e19 something that is not finite.
#[inline(always)]
fn rough_asinh(x: f32) -> f32 {
    use std::f32::consts::{FRAC_1_SQRT_2, LN_2};
    const FRACTION: u32 = (1 << 23) - 1;
    let size = x.abs();
    let y = size + (size * size + 1.0).sqrt();
    // y = 2^exponent · m with m in [√½, √2): then ln m = 2 artanh s, s = (m − 1)/(m + 1), |s| < 0.172.
    let bits = y.to_bits().wrapping_add(1.0_f32.to_bits() - FRAC_1_SQRT_2.to_bits());
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & FRACTION) + FRAC_1_SQRT_2.to_bits());
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0)));
    let ln = exponent as f32 * LN_2 + 2.0 * s * series;
    // Of an infinite y the bits above mean nothing.
    (if y < f32::INFINITY { ln } else { f32::NAN }).copysign(x)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f32]) -> QuantileSketch {
        let mut sketch = QuantileSketch::default();
        for &value in values {
            sketch.push(value);
        }
        sketch
    }

    /// By sorting.
    fn exact(values: &[f32], q: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f32::total_cmp);
        let rank = (q * values.len() as f64).ceil() as usize;
        f64::from(sorted[rank.clamp(1, values.len()) - 1])
    }

    #[test]
    fn cells_are_those_of_the_definition_at_their_edges_too() {
        for step in [1e-6, 1.0 / 64.0, 1.0] {
            let check = |value: f32| {
                let mut sketch = QuantileSketch::new(step).expect("a step");
                sketch.extend([value]);
                let cell = (f64::from(value).asinh() / step).floor() as i32;
                assert_eq!(sketch.cells.iter().collect::<Vec<_>>(), [(cell, 1)], "{value:e} by {step}");
            };
            for edge in -6000..6000 {
                let edge = (f64::from(edge) * step).sinh() as f32;
                [edge.next_down(), edge, edge.next_up()]
                    .into_iter()
                    .filter(|value| value.is_finite())
                    .for_each(check);
            }
            for value in [0.0, 1e-45, 1e-30, 1e-7, 1.0, 40.0, 1e9, 1.7e19, 2e19, f32::MAX] {
                [value, -value].into_iter().for_each(check);
            }
        }
    }

    #[test]
    fn blocks_end_where_they_may() {
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let values: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin() * 30.0).collect();
            let mut at_once = QuantileSketch::default();
            at_once.extend(values.iter().copied());
            assert_eq!((at_once.count(), at_once), (len as u64, of(&values)));
        }
    }

    #[test]
    fn the_rough_asinh_is_as_near_as_it_says() {
        let near = |x: f32| {
            let (found, exact) = (f64::from(rough_asinh(x)), f64::from(x).asinh());
            assert!((found - exact).abs() < 0.5 * f64::from(ROUGH) * (1.0 + exact.abs()), "{x:e}: {found}");
        };
        let mut x = 1e-30_f32;
        while x < 1.8e19 {
            [x, -x].into_iter().for_each(near);
            x *= 1.000_37;
        }
        for x in [0.0, -0.0, 1e-45, 0.75, 0.75_f32.next_up(), 0.75_f32.next_down()] {
            near(x);
        }
        for x in [1.9e19, f32::MAX, f32::INFINITY, f32::NAN] {
            assert!(!rough_asinh(x).is_finite() && !rough_asinh(-x).is_finite(), "{x}");
        }
    }

    #[test]
    fn values_at_once_are_values_one_by_one() {
        let values = [3.5, -2.0, 3.5, f32::NAN, 0.0, -0.0, 1e30, f32::NEG_INFINITY, 3.6, -2.0];
        let mut at_once = of(&[7.0]);
        at_once.extend(values);
        at_once.extend([]);
        let one_by_one: Vec<f32> = std::iter::once(7.0).chain(values).collect();
        assert_eq!(at_once, of(&one_by_one));
    }

    #[test]
    fn nothing_one_value_and_constants() {
        assert_eq!(of(&[]).quantile(0.5), None);
        assert_eq!((of(&[7.5]).quantile(0.0), of(&[7.5]).quantile(f64::NAN)), (Some(7.5), None));
        let constant = of(&[-3.25; 9]);
        assert_eq!([0.0, 0.3, 0.5, 1.0].map(|q| constant.quantile(q)), [Some(-3.25); 4]);
    }

    #[test]
    fn what_is_not_finite_is_counted_and_leaves_no_quantile() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut sketch = of(&[1.0, 2.0]);
            assert!(!sketch.push(broken));
            assert_eq!((sketch.count(), sketch.non_finite(), sketch.quantile(0.5)), (2, 1, None));
            let mut merged = of(&[3.0]);
            merged.merge(&sketch).expect("equal steps");
            assert_eq!((merged.non_finite(), merged.quantile(1.0)), (1, None));
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_values() {
        let wave = |n: u32| of(&(0..n).map(|i| 40.0 * (i as f32 * 0.37).sin()).collect::<Vec<_>>());
        assert!(wave(200_000).cells() <= 565, "{}", wave(200_000).cells());
        let widest = of(&[f32::MAX, f32::MIN, 0.0, f32::MIN_POSITIVE]);
        assert_eq!((widest.count(), widest.quantile(1.0)), (4, Some(f64::from(f32::MAX))));
    }

    #[test]
    fn steps_that_make_no_sense_or_differ_are_refused() {
        for step in [0.0, -1.0, f64::NAN, 2.0] {
            assert!(QuantileSketch::new(step).is_err());
        }
        let coarse = QuantileSketch::new(0.5).expect("in range");
        assert!(of(&[1.0]).merge(&coarse).is_err());
    }

    proptest! {
        #[test]
        fn the_error_is_within_the_stated_bound(
            values in prop::collection::vec(prop_oneof![-3.0_f32..3.0, -1e6_f32..1e6], 1..80),
            q in 0.0..=1.0_f64,
        ) {
            let sketch = of(&values);
            let (found, wanted) = (sketch.quantile(q).expect("values"), exact(&values, q));
            let bound = sketch.error_at(wanted);
            prop_assert!((found - wanted).abs() <= bound * (1.0 + 1e-9), "{found} for {wanted}, allowed {bound}");
            prop_assert!(bound <= 0.0079 * wanted.hypot(1.0));
        }

        #[test]
        fn merged_is_whole_in_any_order(
            mut values in prop::collection::vec(-50.0_f32..50.0, 0..50),
            cut in 0..50_usize,
        ) {
            let whole = of(&values);
            values.reverse();
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = of(left);
            merged.merge(&of(right)).expect("equal steps");
            prop_assert_eq!(merged, whole);
        }
    }
}
