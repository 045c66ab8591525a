//! Entropy and its curves from whole rows of logits, by layer, head and position.

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use super::bounds::RowEntropy;
use crate::bins::Bins;
use crate::curve::BandCurve;
use crate::error::Result;
use crate::head_means::HeadMeans;
use crate::non_finite::NonFinite;

/// Streaming means, over the rows of a bin, of the entropy and of the four curves of [`super::EntropyBounds`].
///
/// An inequality that holds for every row holds for the means. Memory: 96 bytes per layer, head and bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntropyRows {
    means: EntropyCurves<HeadMeans>,
}

/// One `T` for each quantity of a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EntropyCurves<T> {
    /// `H`, in nats.
    pub entropy: T,
    /// `e^H`, in keys.
    pub effective_keys: T,
    /// `ln n`, in nats.
    pub maximum: T,
    /// `ln n − 2B`, in nats.
    pub magnitude: T,
    /// `ln n − (max w − min w)`, in nats.
    pub spread: T,
    /// `ln n − σ²/2`, in nats.
    pub gaussian: T,
}

impl<T> EntropyCurves<T> {
    /// The same of every quantity.
    pub fn map<U>(&self, f: impl Fn(&T) -> U) -> EntropyCurves<U> {
        EntropyCurves {
            entropy: f(&self.entropy),
            effective_keys: f(&self.effective_keys),
            maximum: f(&self.maximum),
            magnitude: f(&self.magnitude),
            spread: f(&self.spread),
            gaussian: f(&self.gaussian),
        }
    }

    fn each_mut(&mut self) -> [&mut T; 6] {
        let Self { entropy, effective_keys, maximum, magnitude, spread, gaussian } = self;
        [entropy, effective_keys, maximum, magnitude, spread, gaussian]
    }

    fn each(&self) -> [&T; 6] {
        let Self { entropy, effective_keys, maximum, magnitude, spread, gaussian } = self;
        [entropy, effective_keys, maximum, magnitude, spread, gaussian]
    }
}

impl EntropyRows {
    /// Empty.
    pub fn new(layers: usize, heads: usize, bins: Bins) -> Self {
        let means = HeadMeans::new(layers, heads, bins);
        let curves = EntropyCurves {
            entropy: means.clone(),
            effective_keys: means.clone(),
            maximum: means.clone(),
            magnitude: means.clone(),
            spread: means.clone(),
            gaussian: means,
        };
        Self { means: curves }
    }

    /// Adds the row of one query of one head: the logits of all its keys, in any order; −inf is a masked key. A row with a
    /// NaN, with +inf or without an attended key has no entropy: it is counted and located, and the means of its bin are NaN.
    pub fn push(&mut self, layer: usize, head: usize, query: u64, row: &[f32]) -> Result<()> {
        let values = match RowEntropy::of(row.iter().map(|&logit| f64::from(logit))) {
            None => [f64::NAN; 6],
            Some(RowEntropy { entropy, effective_keys, bounds, .. }) => {
                [entropy, effective_keys, bounds.maximum, bounds.magnitude, bounds.spread, bounds.gaussian]
            }
        };
        for (means, value) in self.means.each_mut().into_iter().zip(values) {
            means.push_values(layer, head, query, std::iter::once(value))?;
        }
        Ok(())
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        for (own, more) in self.means.each_mut().into_iter().zip(other.means.each()) {
            own.merge(more)?;
        }
        Ok(())
    }

    /// Rows that have no entropy, by the position of their query.
    pub fn without_entropy(&self) -> NonFinite {
        self.means.entropy.non_finite()
    }

    /// The same by head. [layers, heads]
    pub fn without_entropy_by_head(&self) -> &Array2<NonFinite> {
        self.means.entropy.non_finite_by_head()
    }

    /// Means by layer, head and position. [layers, heads, bins] each; NaN where nothing was seen, or a row without an
    /// entropy.
    pub fn means(&self) -> EntropyCurves<Array3<f64>> {
        self.means.map(HeadMeans::means)
    }

    /// Mean ± std over heads against position; `end` is the length of the text.
    pub fn over_heads(&self, end: u64) -> EntropyCurves<BandCurve> {
        self.means.map(|means| means.over_heads(end).trimmed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, normal};

    fn rows(queries: impl Iterator<Item = usize>) -> EntropyRows {
        let logits = normal(64, 64, 3);
        let mut seen = EntropyRows::new(1, 1, Bins::linear(64, 4));
        for query in queries {
            let row = logits.row(query).to_vec();
            seen.push(0, 0, query as u64, &row[..=query]).expect("in range");
        }
        seen
    }

    #[test]
    fn means_are_those_of_the_rows() {
        let seen = rows(0..64).means();
        let logits = normal(64, 64, 3);
        let of =
            |query: usize| RowEntropy::of(logits.row(query).iter().take(query + 1).map(|&w| f64::from(w)));
        for bin in 0..4 {
            let rows: Vec<_> = (16 * bin..16 * bin + 16).filter_map(of).collect();
            let mean = |of: &dyn Fn(&RowEntropy) -> f64| rows.iter().map(of).sum::<f64>() / 16.0;
            assert!(close(seen.entropy[[0, 0, bin]], mean(&|row| row.entropy), 1e-12));
            assert!(close(seen.effective_keys[[0, 0, bin]], mean(&|row| row.effective_keys), 1e-12));
            assert!(close(seen.magnitude[[0, 0, bin]], mean(&|row| row.bounds.magnitude), 1e-12));
            assert!(close(seen.gaussian[[0, 0, bin]], mean(&|row| row.bounds.gaussian), 1e-12));
        }
    }

    #[test]
    fn shards_merge_in_any_order() {
        let mut merged = rows((0..64).filter(|i| i % 3 == 1));
        merged.merge(&rows((0..64).rev().filter(|i| i % 3 != 1))).expect("same shape");
        let (merged, whole) = (merged.over_heads(64), rows(0..64).over_heads(64));
        for (a, b) in merged.each().into_iter().zip(whole.each()) {
            assert_eq!(a.x, b.x);
            for (a, b) in a.mean.iter().zip(&b.mean) {
                assert!(close(a.expect("seen"), b.expect("seen"), 1e-12));
            }
        }
    }

    #[test]
    fn rows_without_an_entropy_are_counted() {
        let mut seen = EntropyRows::new(1, 1, Bins::linear(4, 4));
        for row in [&[][..], &[f32::NEG_INFINITY], &[f32::NAN, 1.0]] {
            seen.push(0, 0, 0, row).expect("in range");
        }
        seen.push(0, 0, 1, &[1.0, 2.0]).expect("in range");
        assert_eq!(seen.without_entropy(), NonFinite { count: 3, first: Some(0) });
        let curve = seen.over_heads(4).entropy;
        assert_eq!((curve.points().count(), curve.not_finite_from), (1, Some(0)));
        assert!(seen.means().entropy[[0, 0, 0]].is_nan() && seen.means().entropy[[0, 0, 1]] > 0.0);
        assert!(seen.push(1, 0, 0, &[]).is_err() && seen.push(0, 1, 0, &[1.0]).is_err());
        assert!(seen.merge(&EntropyRows::new(2, 1, Bins::linear(4, 4))).is_err());
    }
}
