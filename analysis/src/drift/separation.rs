//! Distance and cosine of start tokens to the rest.
//!
//! With the means `s̄` and `r̄` of start tokens and of the rest, and the mean unit vectors `ŝ = mean(x/‖x‖)` and `r̂`:
//!
//! ```text
//! distance          ‖s̄ − r̄‖ / rms_rest
//! cosine            mean of cos(x, y) over all pairs of a start token x and another y       = ŝ·r̂
//! cosine_within     the same over pairs of distinct tokens of the rest                     = (n·‖r̂‖² − 1) / (n − 1)
//! ```
//!
//! A cosine has a meaning only against `cosine_within`: hidden states of most models share a direction. The mean over all
//! pairs is the product of means, so no pair is ever formed and memory is O(hidden).

use ndarray::{Array1, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::states::{check_width, is_finite};
use crate::error::{Error, Result};

/// Streaming separation of the first `start` positions from the others. Memory: 32·hidden bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct StartSeparation {
    start_tokens: u64,
    start: Group,
    rest: Group,
    non_finite: u64,
}

/// How far the start tokens lie from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Separation {
    /// Positions below this are start tokens.
    pub start_tokens: u64,
    /// Start tokens seen, with a finite state.
    pub starts: u64,
    /// Other tokens seen, with a finite state.
    pub others: u64,
    /// States with a NaN or ±inf, which were left out.
    pub non_finite: u64,
    /// Distance of the means, in units of the spread of the rest; `None` if a side is empty or the rest has no spread.
    pub distance: Option<f64>,
    /// Mean cosine between a start token and another; `None` if a side is empty or all of its states are 0.
    pub cosine: Option<f64>,
    /// Mean cosine between two others; `None` with fewer than two.
    pub cosine_within: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Group {
    count: u64,
    mean: Array1<f64>,
    /// `Σ ‖x − mean‖²`
    spread: f64,
    /// Sum of unit vectors; a state of 0 has none.
    units: Array1<f64>,
    directed: u64,
}

impl StartSeparation {
    /// Empty, for states of width `hidden`; positions below `start_tokens` are start tokens (10 in the paper).
    pub fn new(hidden: usize, start_tokens: u64) -> Self {
        Self { start_tokens, start: Group::new(hidden), rest: Group::new(hidden), non_finite: 0 }
    }

    /// Adds states of shape [tokens, hidden] at these positions, in any order.
    pub fn push(&mut self, positions: &[u64], states: ArrayView2<f32>) -> Result<()> {
        check_width(states, self.rest.mean.len(), "separation of start tokens")?;
        if positions.len() != states.nrows() {
            let expected = format!("{} positions", states.nrows());
            return Err(Error::mismatch("separation of start tokens", expected, positions.len()));
        }
        for (&position, state) in positions.iter().zip(states.rows()) {
            if !is_finite(state) {
                self.non_finite += 1;
            } else if position < self.start_tokens {
                self.start.push(state);
            } else {
                self.rest.push(state);
            }
        }
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let shape = |of: &Self| (of.start_tokens, of.rest.mean.len());
        if shape(self) != shape(other) {
            let text = |(start, hidden)| format!("{start} start tokens and states of width {hidden}");
            return Err(Error::mismatch("merging separations", text(shape(self)), text(shape(other))));
        }
        self.start.merge(&other.start);
        self.rest.merge(&other.rest);
        self.non_finite += other.non_finite;
        Ok(())
    }

    /// The numbers above.
    pub fn result(&self) -> Separation {
        let (start, rest) = (&self.start, &self.rest);
        let apart = (&start.mean - &rest.mean).mapv(|v| v * v).sum().sqrt();
        let rms = (rest.spread / rest.count.max(1) as f64).sqrt();
        let (starts, others) = (start.directed as f64, rest.directed as f64);
        let within = || (rest.units.dot(&rest.units) - others) / (others * (others - 1.0));
        Separation {
            start_tokens: self.start_tokens,
            starts: start.count,
            others: rest.count,
            non_finite: self.non_finite,
            distance: (start.count > 0 && rms > 0.0).then(|| apart / rms),
            cosine: (starts > 0.0 && others > 0.0).then(|| start.units.dot(&rest.units) / (starts * others)),
            cosine_within: (rest.directed > 1).then(within),
        }
    }
}

impl Group {
    fn new(hidden: usize) -> Self {
        let zeros = Array1::zeros(hidden);
        Self { count: 0, mean: zeros.clone(), spread: 0.0, units: zeros, directed: 0 }
    }

    fn push(&mut self, state: ArrayView1<f32>) {
        let state = state.mapv(f64::from);
        let length = state.dot(&state).sqrt();
        let directed = u64::from(length > 0.0);
        let units = if length > 0.0 { &state / length } else { state.clone() };
        self.merge(&Self { count: 1, mean: state, spread: 0.0, units, directed });
    }

    fn merge(&mut self, other: &Self) {
        let total = self.count + other.count;
        if total == 0 {
            return;
        }
        let (own, share) = (self.count as f64, other.count as f64 / total as f64);
        let delta = &other.mean - &self.mean;
        self.spread += other.spread + delta.dot(&delta) * own * share;
        self.mean.scaled_add(share, &delta);
        self.units += &other.units;
        self.directed += other.directed;
        self.count = total;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, array, s};

    use super::*;
    use crate::testing::{close, normal};

    fn of(states: &Array2<f32>, start: u64) -> StartSeparation {
        let mut seen = StartSeparation::new(states.ncols(), start);
        let positions: Vec<u64> = (0..states.nrows() as u64).collect();
        seen.push(&positions, states.view()).expect("fits");
        seen
    }

    #[test]
    fn separation_is_what_all_pairs_say() {
        let mut states = normal(30, 4, 9);
        states.slice_mut(s![..3, 0]).map_inplace(|value| *value += 8.0);
        let found = of(&states, 3).result();
        let state = |i: usize| states.row(i).mapv(f64::from);
        let cosine = |i: usize, j: usize| {
            let (x, y) = (state(i), state(j));
            x.dot(&y) / (x.dot(&x) * y.dot(&y)).sqrt()
        };
        let mean = |pairs: Vec<(usize, usize)>| {
            pairs.iter().map(|&(i, j)| cosine(i, j)).sum::<f64>() / pairs.len() as f64
        };
        let across = (0..3).flat_map(|i| (3..30).map(move |j| (i, j))).collect();
        let within = (3..30).flat_map(|i| (3..i).map(move |j| (i, j))).collect();
        assert!(close(found.cosine.expect("both sides"), mean(across), 1e-12));
        assert!(close(found.cosine_within.expect("many"), mean(within), 1e-12));
        let average = |from: usize, to: usize| {
            states.slice(s![from..to, ..]).mapv(f64::from).mean_axis(Axis(0)).expect("not empty")
        };
        let (start, rest) = (average(0, 3), average(3, 30));
        let spread = (3..30).map(|i| (state(i) - &rest).mapv(|v| v * v).sum()).sum::<f64>() / 27.0;
        let distance = ((start - &rest).mapv(|v| v * v).sum() / spread).sqrt();
        assert!(close(found.distance.expect("both sides"), distance, 1e-12));
        assert!(distance > 3.0);
    }

    #[test]
    fn shards_merge_in_any_order() {
        let states = normal(40, 3, 4);
        let mut merged = StartSeparation::new(3, 5);
        for rows in [[30, 2, 17], [4, 39, 8]] {
            let positions = rows.map(|row| row as u64);
            let mut shard = StartSeparation::new(3, 5);
            shard.push(&positions, states.select(Axis(0), &rows).view()).expect("fits");
            merged.merge(&shard).expect("same shape");
        }
        let mut whole = StartSeparation::new(3, 5);
        let rows = [2, 4, 8, 17, 30, 39];
        whole.push(&rows.map(|row| row as u64), states.select(Axis(0), &rows).view()).expect("fits");
        let (merged, whole) = (merged.result(), whole.result());
        assert_eq!((merged.starts, merged.others), (2, 4));
        for (a, b) in [
            (merged.distance, whole.distance),
            (merged.cosine, whole.cosine),
            (merged.cosine_within, whole.cosine_within),
        ] {
            assert!(close(a.expect("seen"), b.expect("seen"), 1e-12));
        }
    }

    #[test]
    fn sides_without_states_have_no_separation() {
        let nothing = StartSeparation::new(2, 5).result();
        assert_eq!((nothing.distance, nothing.cosine, nothing.cosine_within), (None, None, None));
        let broken = of(&array![[f32::NAN, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]], 2).result();
        assert_eq!((broken.non_finite, broken.starts, broken.others), (1, 1, 2));
        // The rest has no spread, and the start token no direction.
        assert_eq!((broken.distance, broken.cosine, broken.cosine_within), (None, None, Some(1.0)));
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let mut seen = StartSeparation::new(2, 5);
        assert!(seen.push(&[0], Array2::zeros((1, 3)).view()).is_err());
        assert!(seen.push(&[0], Array2::zeros((2, 2)).view()).is_err());
        assert!(
            seen.merge(&StartSeparation::new(2, 4)).is_err()
                && seen.merge(&StartSeparation::new(3, 5)).is_err()
        );
    }
}
