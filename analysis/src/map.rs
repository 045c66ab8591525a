//! Coarse attention maps: a few queries against bins of keys, by layer and head.
//!
//! A row of the map is one query. Its cells hold, for the keys of a bin,
//!
//! ```text
//! logit   max_j w_ij        −inf where none is attended, NaN in a row that is not finite
//! mass    Σ_j p_ij          p = softmax over the attended keys of the whole row; rows add up to 1; NaN as above
//! ```
//!
//! so that a single strong key stays visible at any length. Memory: 8 bytes per layer, head, query and bin; a row costs
//! two exponentials per key.

use ndarray::{Array4, ArrayViewMut1, s};
use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::error::{Error, Result};
use crate::grid::HeadGrid;
use crate::non_finite::NonFinite;

/// Streaming maps of all heads. A row belongs to one query and is seen once; shards merge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionMaps {
    grid: HeadGrid,
    queries: Vec<u64>,
    /// [layers, heads, queries, bins]
    logits: Array4<f32>,
    /// [layers, heads, queries, bins]
    mass: Array4<f32>,
    non_finite: NonFinite,
}

impl AttentionMaps {
    /// Empty maps of these queries against bins of key position.
    pub fn new(layers: usize, heads: usize, mut queries: Vec<u64>, keys: Bins) -> Self {
        queries.sort_unstable();
        queries.dedup();
        let shape = (layers, heads, queries.len(), keys.len());
        Self {
            grid: HeadGrid::new(layers, heads, keys),
            queries,
            logits: Array4::from_elem(shape, f32::NEG_INFINITY),
            mass: Array4::from_elem(shape, f32::NAN),
            non_finite: NonFinite::default(),
        }
    }

    /// Adds the row of one query of one head, as runs of consecutive keys: (first key, logits). Rows of other queries are
    /// passed over. A row with a NaN, with +inf or without an attended key is counted and located, and its logits are NaN.
    pub fn push<'logits>(
        &mut self,
        layer: usize,
        head: usize,
        query: u64,
        runs: impl Iterator<Item = (u64, &'logits [f32])> + Clone,
    ) -> Result<()> {
        let operation = "attention maps";
        self.grid.check_head(operation, layer, head)?;
        for (first, logits) in runs.clone() {
            let end = first.checked_add(logits.len() as u64);
            if end.is_none_or(|end| end > query.saturating_add(1)) {
                let got = format!("{} keys from {first}", logits.len());
                return Err(Error::mismatch(operation, format!("keys up to {query}"), got));
            }
        }
        let Ok(row) = self.queries.binary_search(&query) else { return Ok(()) };
        let largest = runs.clone().flat_map(|(_, logits)| logits).fold(f32::NEG_INFINITY, |most, &logit| {
            if most.is_nan() || logit.is_nan() { f32::NAN } else { most.max(logit) }
        });
        if !largest.is_finite() {
            self.non_finite.note(query, 1);
            self.logits.slice_mut(s![layer, head, row, ..=self.grid.bins.index(query)]).fill(f32::NAN);
            return Ok(());
        }
        let weight = |logit: &f32| f64::from(logit - largest).exp();
        let total: f64 = runs.clone().flat_map(|(_, logits)| logits).map(weight).sum();
        let part = s![layer, head, row, ..];
        let (mut maxima, mut mass) = (self.logits.slice_mut(part), self.mass.slice_mut(part));
        mass.fill(0.0);
        for (first, logits) in runs {
            for (bin, range) in self.grid.bins.split(first, logits.len()) {
                let logits = &logits[range];
                raise(&mut maxima, bin, logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                mass[bin] += (logits.iter().map(weight).sum::<f64>() / total) as f32;
            }
        }
        Ok(())
    }

    /// Adds the rows that `other` saw. A row that both saw must be the same row.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let operation = "merging attention maps";
        self.grid.check_equal(&other.grid, operation)?;
        if self.queries != other.queries {
            return Err(Error::mismatch(operation, "equal queries", "others"));
        }
        for values in [&other.logits, &other.mass] {
            if values.dim() != self.logits.dim() {
                let expected = format!("{:?} values", self.logits.dim());
                return Err(Error::mismatch(operation, expected, format!("{:?}", values.dim())));
            }
        }
        self.logits.zip_mut_with(&other.logits, |own, &more| crate::pooled::raise(own, more));
        // The maximum with NaN is the other number: an unseen row takes what was seen.
        self.mass.zip_mut_with(&other.mass, |own, &more| *own = own.max(more));
        self.non_finite.merge(&other.non_finite);
        Ok(())
    }

    /// Queries, ascending.
    pub fn queries(&self) -> &[u64] {
        &self.queries
    }

    /// Bins of key position.
    pub fn keys(&self) -> &Bins {
        &self.grid.bins
    }

    /// Largest logit per cell, of shape [layers, heads, queries, bins]; −inf where no key was attended, NaN in rows that are
    /// not finite.
    pub fn logits(&self) -> &Array4<f32> {
        &self.logits
    }

    /// Probability per cell, of shape [layers, heads, queries, bins]; NaN in rows that were not seen, or are not
    /// finite.
    pub fn mass(&self) -> &Array4<f32> {
        &self.mass
    }

    /// Rows that are not finite, by the position of their query.
    pub fn non_finite(&self) -> NonFinite {
        self.non_finite
    }
}

fn raise(maxima: &mut ArrayViewMut1<f32>, bin: usize, logit: f32) {
    maxima[bin] = maxima[bin].max(logit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, normal};

    fn bins() -> Bins {
        Bins::new(vec![0, 2, 5, 8]).expect("ascending")
    }

    /// Rows of 10 logits for queries 0..10 of two heads; a query sees keys up to itself.
    fn pushed(queries: impl Iterator<Item = u64>) -> AttentionMaps {
        let logits = normal(20, 10, 5);
        let mut maps = AttentionMaps::new(1, 2, vec![9, 3, 3, 6], bins());
        for query in queries {
            for head in 0..2 {
                let row = logits.row(head * 10 + query as usize).to_vec();
                let (start, rest) = row[..=query as usize].split_at(1 + query as usize / 3);
                let runs = [(0, start), (start.len() as u64, rest)];
                maps.push(0, head, query, runs.into_iter()).expect("fits");
            }
        }
        maps
    }

    #[test]
    fn cells_are_maxima_and_sums_of_the_softmax() {
        let logits = normal(20, 10, 5);
        let maps = pushed(0..10);
        assert_eq!(maps.queries(), [3, 6, 9]);
        for (head, (row, &query)) in
            (0..2).flat_map(|h| maps.queries().iter().enumerate().map(move |q| (h, q)))
        {
            let seen = logits.row(head * 10 + query as usize);
            let weights: Vec<f64> =
                seen.iter().take(query as usize + 1).map(|&w| f64::from(w).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (bin, keys) in [0..2, 2..5, 5..8, 8..10].into_iter().enumerate() {
                let keys: Vec<_> = keys.filter(|&key| key <= query as usize).collect();
                let mass: f64 = keys.iter().map(|&key| weights[key] / total).sum();
                let most = keys.iter().map(|&key| seen[key]).fold(f32::NEG_INFINITY, f32::max);
                assert!(close(f64::from(maps.mass()[[0, head, row, bin]]), mass, 1e-6));
                assert_eq!(maps.logits()[[0, head, row, bin]], most);
            }
        }
    }

    #[test]
    fn shards_merge_into_the_whole_in_any_order() {
        let whole = pushed(0..10);
        for (a, b) in [(0..5, 5..10), (5..10, 0..5)] {
            let mut merged = pushed(a);
            merged.merge(&pushed(b)).expect("same shape");
            assert_eq!(merged, whole);
        }
        assert!(pushed(0..1).merge(&AttentionMaps::new(1, 2, vec![3], bins())).is_err());
    }

    #[test]
    fn masked_keys_have_no_mass_and_broken_rows_are_nan() {
        let mut maps = AttentionMaps::new(1, 1, vec![1, 2, 3, 4], bins());
        let row: &[f32] = &[f32::NEG_INFINITY, 0.0, 0.0];
        maps.push(0, 0, 2, [(0, row)].into_iter()).expect("fits");
        assert_eq!(maps.mass().slice(s![0, 0, 1, ..]).to_vec(), [0.5, 0.5, 0.0, 0.0]);
        for (query, row) in
            [(1, &[f32::NAN, 1.0][..]), (3, &[f32::INFINITY]), (4, &[]), (1, &[f32::NEG_INFINITY])]
        {
            maps.push(0, 0, query, [(0, row)].into_iter()).expect("counted");
        }
        assert_eq!(maps.non_finite(), NonFinite { count: 4, first: Some(1) });
        assert!(maps.mass().slice(s![0, 0, 0, ..]).iter().all(|mass| mass.is_nan()));
        let logits = |row: usize| maps.logits().slice(s![0, 0, row, ..]).mapv(f32::is_nan).to_vec();
        assert_eq!((logits(0), logits(1)), (vec![true, false, false, false], vec![false; 4]));
        assert_eq!(logits(2), [true, true, false, false], "up to the cell of the query");
        let mut merged = AttentionMaps::new(1, 1, vec![1, 2, 3, 4], bins());
        merged.merge(&maps).expect("same shape");
        assert!(merged.logits()[[0, 0, 0, 0]].is_nan() && merged.non_finite() == maps.non_finite());
    }

    #[test]
    fn keys_after_the_query_and_missing_heads_are_errors() {
        let mut maps = AttentionMaps::new(1, 1, vec![1], bins());
        let row: &[f32] = &[0.0; 3];
        assert!(maps.push(0, 0, 1, [(0, row)].into_iter()).is_err());
        assert!(maps.push(0, 0, 1, [(u64::MAX, row)].into_iter()).is_err());
        assert!(maps.push(0, 1, 5, [(0, row)].into_iter()).is_err());
    }
}
