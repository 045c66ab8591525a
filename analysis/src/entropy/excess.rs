//! What unseen numbers of keys do to the entropy of attention: rows with all their keys, against the same rows with as many
//! as in training.
//!
//! Entropy grows with the number of keys in a healthy head too, so its largest value within the training length is no null.
//! Here query, keys and logits are the same on both sides, and the number of keys alone differs: the row that is compared has
//! the start tokens and the nearest keys, as many together as the longest row of training. What a head gained per doubling
//! of the keys within the training length (the same comparison, of all keys with half of them) it may gain beyond it:
//!
//! ```text
//! excess(i) = H(all n keys of i) − H(L keys of i) − g · log₂(n / L),     g = mean over i in [L/2, L) of H(i + 1 keys) − H((i + 1)/2 keys)
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bounds::RowEntropy;
use crate::error::{Error, Result};
use crate::non_finite::NonFinite;

/// Excess of the entropy of sampled queries, by layer and head. Memory: 8 bytes per query beyond the training length, layer
/// and head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntropyExcess {
    layers: usize,
    heads: usize,
    /// Keys of the longest row of training, L.
    trained: u64,
    /// The first keys, which both rows have.
    start: u64,
    /// By position of the query within the training length: [layers × heads] of the gain of a doubling; NaN where it was not
    /// seen.
    within: BTreeMap<u64, Vec<f32>>,
    /// By position of the query beyond it: [layers × heads] of H(all) − H(L), in nats, and log₂(n / L); NaN where it was not
    /// seen, or has no entropy.
    beyond: BTreeMap<u64, Vec<[f32; 2]>>,
    non_finite: NonFinite,
}

impl EntropyExcess {
    /// Empty. `start` of the `trained` keys of a row are the first ones of the text.
    pub fn new(layers: usize, heads: usize, trained: u64, start: u64) -> Self {
        Self {
            layers,
            heads,
            trained,
            start: start.min(trained),
            within: BTreeMap::new(),
            beyond: BTreeMap::new(),
            non_finite: NonFinite::default(),
        }
    }

    /// Adds the row of one query of one head: runs of consecutive keys, each with its first key, in ascending order. Queries in
    /// the first half of the training length have nothing to compare and are passed over. A row with a NaN or +inf is counted
    /// and located.
    ///
    /// # Errors
    /// Where there is no such layer or head.
    pub fn push<'a>(
        &mut self,
        (layer, head): (usize, usize),
        query: u64,
        runs: impl Iterator<Item = (u64, &'a [f32])> + Clone,
    ) -> Result<()> {
        if layer >= self.layers || head >= self.heads {
            let expected = format!("a layer and head below {} and {}", self.layers, self.heads);
            return Err(Error::mismatch("excess of entropy", expected, format!("{layer} and {head}")));
        }
        if query < self.trained / 2 || self.trained == 0 {
            return Ok(());
        }
        let count: u64 = runs.clone().map(|(_, logits)| logits.len() as u64).sum();
        let keep = if query < self.trained { count / 2 } else { self.trained };
        let keys = || {
            runs.clone()
                .flat_map(|(first, logits)| (first..).zip(logits.iter().map(|&logit| f64::from(logit))))
        };
        let begin = (query + 1).saturating_sub(keep.saturating_sub(self.start));
        let near = || keys().filter(|&(key, _)| key < self.start || key >= begin).map(|(_, logit)| logit);
        let entropy = |row: Option<RowEntropy>| row.map(|row| row.entropy);
        let all = entropy(RowEntropy::of(keys().map(|(_, logit)| logit)));
        // A policy that attends no more keys than training did has the same row twice.
        let few = if count <= keep { all } else { entropy(RowEntropy::of(near())) };
        let gain = all.zip(few).map_or(f32::NAN, |(all, few)| (all - few) as f32);
        self.non_finite.note(query, u64::from(gain.is_nan()));
        let (size, at) = (self.layers * self.heads, layer * self.heads + head);
        if query < self.trained {
            self.within.entry(query).or_insert_with(|| vec![f32::NAN; size])[at] = gain;
        } else {
            let doublings = (count as f64 / self.trained as f64).log2().max(0.0) as f32;
            self.beyond.entry(query).or_insert_with(|| vec![[f32::NAN; 2]; size])[at] = [gain, doublings];
        }
        Ok(())
    }

    /// Adds what `other` saw: other queries of the same text.
    ///
    /// # Errors
    /// Where shapes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let shape = |of: &Self| (of.layers, of.heads, of.trained, of.start);
        let size = self.layers * self.heads;
        let fits = other.within.values().all(|row| row.len() == size)
            && other.beyond.values().all(|row| row.len() == size);
        if shape(self) != shape(other) || !fits {
            let text = |of: &Self| format!("[layers, heads, keys, start] {:?}", shape(of));
            return Err(Error::mismatch("merging excesses of entropy", text(self), text(other)));
        }
        for (&query, more) in &other.within {
            let row = self.within.entry(query).or_insert_with(|| vec![f32::NAN; size]);
            row.iter_mut().zip(more).filter(|(own, _)| own.is_nan()).for_each(|(own, &more)| *own = more);
        }
        for (&query, more) in &other.beyond {
            let row = self.beyond.entry(query).or_insert_with(|| vec![[f32::NAN; 2]; size]);
            row.iter_mut().zip(more).filter(|(own, _)| own[0].is_nan()).for_each(|(own, &more)| *own = more);
        }
        self.non_finite.merge(&other.non_finite);
        Ok(())
    }

    /// Rows, of all layers and heads, without an entropy, by the position of their query.
    pub fn non_finite(&self) -> NonFinite {
        self.non_finite
    }

    /// What each head gains per doubling of the keys within the training length, in nats; 0 where nothing was seen.
    /// [layers × heads]
    pub fn gains(&self) -> Vec<f64> {
        (0..self.layers * self.heads)
            .map(|at| mean(self.within.values().map(|row| f64::from(row[at]))).unwrap_or(0.0))
            .collect()
    }

    /// Positions of the queries, and their mean excess over all heads, in nats.
    pub fn over_heads(&self) -> Vec<(u64, f64)> {
        let gains = self.gains();
        let of = |row: &[[f32; 2]]| mean(row.iter().zip(&gains).map(|(value, gain)| excess(*value, *gain)));
        self.beyond.iter().filter_map(|(&query, row)| Some((query, of(row)?))).collect()
    }

    /// Positions of the queries of every head, and its excess, in nats. [layers × heads]
    pub fn by_head(&self) -> Vec<Vec<(u64, f64)>> {
        let of = |at: usize, gain: f64| {
            let rows = self
                .beyond
                .iter()
                .filter_map(move |(&query, row)| Some((query, excess(*row.get(at)?, gain))));
            rows.filter(|(_, excess)| !excess.is_nan()).collect()
        };
        self.gains().into_iter().enumerate().map(|(at, gain)| of(at, gain)).collect()
    }
}

fn excess([gain, doublings]: [f32; 2], allowed: f64) -> f64 {
    f64::from(gain) - allowed * f64::from(doublings)
}

/// Mean of the values that are not NaN.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values
        .filter(|value| !value.is_nan())
        .fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::close;

    fn pushed(trained: u64, query: u64, runs: &[(u64, &[f32])]) -> EntropyExcess {
        let mut seen = EntropyExcess::new(1, 2, trained, 2);
        seen.push((0, 1), query, runs.iter().copied()).expect("it has such a head");
        seen
    }

    #[test]
    fn equal_logits_have_the_excess_of_their_numbers() {
        let row = [0.5; 64];
        let mut seen = pushed(16, 63, &[(0, &row)]);
        let [(63, excess)] = seen.over_heads()[..] else { panic!("one query") };
        assert!(close(excess, (64.0_f64 / 16.0).ln(), 1e-6), "{excess}");
        assert_eq!(seen.by_head(), [vec![], vec![(63, excess)]]);
        // The same keys in two runs, and a policy that leaves keys out.
        assert_eq!(pushed(16, 63, &[(0, &row[..5]), (5, &row[..59])]).over_heads(), seen.over_heads());
        let few = pushed(16, 63, &[(0, &row[..2]), (50, &row[..14])]);
        assert_eq!(few.over_heads(), [(63, 0.0)]);
        // Where the head did the same within the training length, it is none.
        seen.push((0, 1), 15, [(0, &row[..16])].into_iter()).expect("fits");
        assert!(close(seen.gains()[1], 2.0_f64.ln(), 1e-6) && seen.gains()[0] == 0.0);
        assert!(seen.over_heads()[0].1.abs() < 1e-6);
    }

    #[test]
    fn far_keys_that_nobody_attends_have_none() {
        let mut row = vec![-40.0; 64];
        row[0] = 3.0;
        row[60..].fill(2.0);
        let [(_, excess)] = pushed(16, 63, &[(0, &row)]).over_heads()[..] else { panic!("one query") };
        assert!(excess.abs() < 1e-6, "{excess}");
    }

    #[test]
    fn queries_within_the_training_length_and_broken_rows() {
        assert!(pushed(64, 63, &[(0, &[1.0; 64])]).over_heads().is_empty());
        let early = pushed(64, 31, &[(0, &[1.0; 32])]);
        assert_eq!(early, EntropyExcess::new(1, 2, 64, 2));
        assert!(pushed(0, 3, &[(0, &[1.0; 4])]).over_heads().is_empty());
        let broken = pushed(16, 63, &[(0, &[f32::NAN; 64])]);
        assert!(broken.over_heads().is_empty());
        assert_eq!((broken.non_finite().count, broken.non_finite().first), (1, Some(63)));
        let mut seen = EntropyExcess::new(1, 1, 4, 2);
        assert!(seen.push((1, 0), 9, std::iter::empty()).is_err());
        assert!(seen.merge(&EntropyExcess::new(1, 2, 4, 2)).is_err());
    }

    #[test]
    fn parts_make_the_whole() {
        let row: Vec<f32> = (0..80).map(|key| (key * 7 % 11) as f32 / 3.0).collect();
        let mut whole = EntropyExcess::new(1, 1, 8, 2);
        let mut parts = [whole.clone(), whole.clone()];
        for query in 4..80 {
            let runs = [(0, &row[..=query])];
            whole.push((0, 0), query as u64, runs.iter().copied()).expect("fits");
            parts[usize::from(query > 30)].push((0, 0), query as u64, runs.iter().copied()).expect("fits");
        }
        let [mut joined, more] = parts;
        joined.merge(&more).expect("the same shape");
        assert_eq!(joined, whole);
        assert_eq!(whole.over_heads().len(), 72);
    }
}
