//! How many distances an encoding tells apart: packing numbers.
//!
//! For logits `w(q, k, d)` on samples of (q, k), two distances are apart by
//!
//! ```text
//! μ(d, d') = mean |w(·, d) − w(·, d')|        (L1)
//! μ(d, d') = mean (w(·, d) − w(·, d'))²       (squared L2, as the paper writes it; no metric, but its root is)
//! ```
//!
//! The packing number `M(ε)` is the size of the largest set of distances that are *pairwise* more than `ε` apart. To find
//! it is to find a largest clique. [`Separations::exact`] does so for up to 64 distances; [`Separations::greedy`] takes
//! distances in order while they are apart from all taken so far, which gives a maximal set: a lower bound on `M(ε)`, and
//! so a lower bound in Theorem 2 too. A maximal set leaves no distance farther than `ε` from one of its members, so by the
//! triangle inequality it bounds from above as well: `M(ε) ≤ greedy(ε/2)` in L1, `greedy(ε/4)` in squared L2.

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::encodings::Encoding;
use crate::error::{Error, Result};

/// How two distances are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    /// Mean absolute difference.
    L1,
    /// Mean squared difference.
    SquaredL2,
}

/// Logits of the same (q, k) at several distances.
#[derive(Clone, Debug, PartialEq)]
pub struct LogitSamples {
    distances: Vec<u64>,
    /// [samples, distances]
    values: Array2<f64>,
}

/// `μ` between all pairs of distances.
#[derive(Clone, Debug, PartialEq)]
pub struct Separations {
    metric: Metric,
    distances: Vec<u64>,
    /// [distances, distances]
    values: Array2<f64>,
}

/// A set of distances that are pairwise more than `level` apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packing {
    /// How they were compared.
    pub metric: Metric,
    /// `ε`.
    pub level: f64,
    /// The set, ascending in the order of the samples.
    pub members: Vec<u64>,
    /// No larger set exists.
    pub exact: bool,
    /// No set has more members than this.
    pub at_most: usize,
}

impl LogitSamples {
    /// Captured logits, of shape [samples, distances]: for samples of (q, k), `w` at each of these distances.
    pub fn new(distances: Vec<u64>, values: Array2<f64>) -> Result<Self> {
        let operation = "samples of logits";
        if values.ncols() != distances.len() {
            return Err(Error::mismatch(operation, format!("{} distances", distances.len()), values.ncols()));
        }
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return Err(Error::NoData { operation });
        }
        Ok(Self { distances, values })
    }

    /// Captured queries and keys, each of shape [samples, head_dim], before position encoding.
    pub fn of(
        encoding: &Encoding,
        queries: ArrayView2<f64>,
        keys: ArrayView2<f64>,
        distances: Vec<u64>,
    ) -> Result<Self> {
        if queries.dim() != keys.dim() {
            let (expected, got) = (format!("{:?}", queries.dim()), format!("{:?}", keys.dim()));
            return Err(Error::mismatch("samples of logits", expected, got));
        }
        let mut values = Array2::zeros((queries.nrows(), distances.len()));
        for ((mut row, query), key) in values.rows_mut().into_iter().zip(queries.rows()).zip(keys.rows()) {
            for (value, &distance) in row.iter_mut().zip(&distances) {
                *value = encoding.logit(query, key, distance)?;
            }
        }
        Self::new(distances, values)
    }

    /// The distances.
    pub fn distances(&self) -> &[u64] {
        &self.distances
    }

    /// Logits, [samples, distances].
    pub fn values(&self) -> ArrayView2<'_, f64> {
        self.values.view()
    }

    /// `sup |w|` over samples and distances.
    pub fn supremum(&self) -> f64 {
        self.values.iter().fold(0.0, |most, value| most.max(value.abs()))
    }

    /// `μ` between all pairs. Cost: samples × distances².
    pub fn separations(&self, metric: Metric) -> Separations {
        let count = self.distances.len();
        let columns: Vec<_> = self.values.axis_iter(Axis(1)).map(|column| column.to_vec()).collect();
        let between = |a: &[f64], b: &[f64]| {
            let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            let sum: f64 = match metric {
                Metric::L1 => differences.sum(),
                Metric::SquaredL2 => differences.map(|difference| difference * difference).sum(),
            };
            sum / a.len() as f64
        };
        let mut values = Array2::zeros((count, count));
        for i in 0..count {
            for j in 0..i {
                let value = between(&columns[i], &columns[j]);
                values[[i, j]] = value;
                values[[j, i]] = value;
            }
        }
        Separations { metric, distances: self.distances.clone(), values }
    }
}

impl Separations {
    /// Most distances whose packing number is searched exactly.
    pub const MOST_EXACT: usize = 64;

    /// `μ` of two distances by index.
    pub fn between(&self, i: usize, j: usize) -> f64 {
        self.values[[i, j]]
    }

    /// Largest `μ`.
    pub fn diameter(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    /// A maximal packing at level `ε`, in the order of the samples. Exact where distances lie on a line in that order, as
    /// in ALiBi, whose `μ` is a function of `|d − d'|`.
    pub fn greedy(&self, level: f64) -> Packing {
        let members = self.maximal(level);
        let finer = match self.metric {
            Metric::L1 => level / 2.0,
            Metric::SquaredL2 => level / 4.0,
        };
        let at_most = self.maximal(finer).len();
        self.packing(level, at_most == members.len(), at_most, members)
    }

    /// A largest packing at level `ε`, by branch and bound; at most [`Self::MOST_EXACT`] distances. Cost: fast on the
    /// near-ordered graphs of encodings, exponential in the worst case.
    pub fn exact(&self, level: f64) -> Result<Packing> {
        let count = self.distances.len();
        if count > Self::MOST_EXACT {
            let expected = format!("at most {} distances", Self::MOST_EXACT);
            return Err(Error::mismatch("exact packing number", expected, count));
        }
        let apart = |i: usize| {
            let far = (0..count).filter(|&j| j != i && self.values[[i, j]] > level);
            far.fold(0_u64, |set, j| set | 1 << j)
        };
        let apart: Vec<u64> = (0..count).map(apart).collect();
        let mut best = Vec::new();
        let everything = if count == 64 { u64::MAX } else { (1 << count) - 1 };
        largest_clique(&apart, &mut Vec::new(), everything, &mut best);
        best.sort_unstable();
        Ok(self.packing(level, true, best.len(), best))
    }

    fn maximal(&self, level: f64) -> Vec<usize> {
        let mut members: Vec<usize> = Vec::new();
        for i in 0..self.distances.len() {
            if members.iter().all(|&j| self.values[[i, j]] > level) {
                members.push(i);
            }
        }
        members
    }

    fn packing(&self, level: f64, exact: bool, at_most: usize, members: Vec<usize>) -> Packing {
        let members = members.into_iter().map(|i| self.distances[i]).collect();
        Packing { metric: self.metric, level, members, exact, at_most }
    }
}

/// Extends `chosen` by vertices of `candidates` (those adjacent to all chosen). Candidates are coloured so that equal
/// colours are not adjacent; a clique takes at most one vertex of each colour, which bounds what a branch can reach.
fn largest_clique(adjacent: &[u64], chosen: &mut Vec<usize>, candidates: u64, best: &mut Vec<usize>) {
    if candidates == 0 {
        if chosen.len() > best.len() {
            best.clone_from(chosen);
        }
        return;
    }
    let mut coloured: Vec<(usize, usize)> = Vec::new();
    let (mut uncoloured, mut colour) = (candidates, 0);
    while uncoloured != 0 {
        colour += 1;
        let mut free = uncoloured;
        while free != 0 {
            let vertex = free.trailing_zeros() as usize;
            coloured.push((vertex, colour));
            uncoloured &= !(1 << vertex);
            free &= !(1 << vertex) & !adjacent[vertex];
        }
    }
    let mut left = candidates;
    for (vertex, colour) in coloured.into_iter().rev() {
        if chosen.len() + colour <= best.len() {
            return;
        }
        chosen.push(vertex);
        largest_clique(adjacent, chosen, left & adjacent[vertex], best);
        chosen.pop();
        left &= !(1 << vertex);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    fn of(values: Array2<f64>, metric: Metric) -> Separations {
        let distances = (0..values.ncols() as u64).collect();
        LogitSamples::new(distances, values).expect("finite").separations(metric)
    }

    /// By trying every subset.
    fn brute_force(separations: &Separations, level: f64) -> usize {
        let count = separations.distances.len();
        let fits = |set: &u32| {
            let members: Vec<usize> = (0..count).filter(|i| set >> i & 1 == 1).collect();
            members.iter().all(|&i| members.iter().all(|&j| i == j || separations.between(i, j) > level))
        };
        (0..1_u32 << count).filter(fits).map(u32::count_ones).max().unwrap_or(0) as usize
    }

    #[test]
    fn two_metrics_by_hand() {
        let values = array![[0.0, 1.0], [2.0, -1.0]];
        assert_eq!(of(values.clone(), Metric::L1).between(0, 1), 2.0);
        assert_eq!(of(values, Metric::SquaredL2).between(0, 1), 5.0);
    }

    #[test]
    fn points_on_a_line_pack_as_a_ruler_does() {
        // 0, 1, …, 20: pairwise more than 3 apart are 0, 4, 8, 12, 16, 20.
        let line = of(Array2::from_shape_fn((1, 21), |(_, d)| d as f64), Metric::L1);
        let packing = line.greedy(3.0);
        assert_eq!(packing.members, [0, 4, 8, 12, 16, 20]);
        assert_eq!(line.exact(3.0).expect("few").members.len(), 6);
        assert_eq!((line.diameter(), line.greedy(20.0).members.len()), (20.0, 1));
        assert_eq!(line.greedy(0.0).members.len(), 21);
        assert!(packing.at_most >= 6);
    }

    #[test]
    fn greedy_may_miss_what_exact_finds() {
        // The first point is close to all others, which are far from each other.
        let star = of(array![[0.0, 1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, -1.0]], Metric::L1);
        let greedy = star.greedy(0.6);
        assert_eq!((greedy.members.len(), greedy.exact), (1, false));
        let exact = star.exact(0.6).expect("few");
        assert_eq!((exact.members, exact.exact), (vec![1, 2, 3, 4], true));
        assert!(greedy.at_most >= 4);
    }

    #[test]
    fn constants_pack_to_one_and_bad_samples_are_errors() {
        let constant = of(Array2::from_elem((3, 70), 2.5), Metric::L1);
        assert_eq!((constant.greedy(0.0).members, constant.greedy(0.0).exact), (vec![0], true));
        assert!(constant.exact(0.0).is_err());
        assert!(LogitSamples::new(vec![0], array![[f64::NAN]]).is_err());
        assert!(LogitSamples::new(vec![], Array2::zeros((3, 0))).is_err());
        assert!(LogitSamples::new(vec![0], Array2::zeros((1, 2))).is_err());
        let (q, k) = (Array2::zeros((1, 2)), Array2::zeros((2, 2)));
        assert!(LogitSamples::of(&Encoding::None, q.view(), k.view(), vec![0]).is_err());
        let full = of(Array2::from_shape_fn((1, 64), |(_, d)| d as f64), Metric::L1);
        assert_eq!(full.exact(0.5).expect("64 fit").members.len(), 64);
    }

    proptest! {
        #[test]
        fn exact_is_brute_force_and_greedy_brackets_it(
            values in prop::collection::vec(-2.0..2.0, 22),
            level in 0.05..2.0,
            squared in any::<bool>(),
        ) {
            let metric = if squared { Metric::SquaredL2 } else { Metric::L1 };
            let points = of(Array2::from_shape_vec((2, 11), values).expect("22 values"), metric);
            let largest = brute_force(&points, level);
            prop_assert_eq!(points.exact(level).expect("few").members.len(), largest);
            let greedy = points.greedy(level);
            prop_assert!(greedy.members.len() <= largest && largest <= greedy.at_most);
            prop_assert!(!greedy.exact || greedy.members.len() == largest);
        }
    }
}
