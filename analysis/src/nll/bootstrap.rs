//! Confidence bands of the loss by position, by a bootstrap over documents.
//!
//! Tokens of one document are no independent draws, documents are; so whole documents are drawn again. Drawing `D`
//! documents with replacement gives each a count that is binomial, for many documents Poisson(1); giving every document an
//! independent Poisson(1) weight instead is the *Poisson bootstrap* (Oza and Russell 2001; Chamandy et al. 2012). It needs
//! no list of documents: replicate `r` keeps
//!
//! ```text
//! mean_r(bin) = Σ_d w_dr · Σ_{t in bin} nll_dt  /  Σ_d w_dr · n_d(bin),        w_dr ~ Poisson(1)
//! ```
//!
//! and the band at level `c` is from the `(1−c)/2` to the `(1+c)/2` quantile of the replicates, widened around the mean for few
//! documents. The weights depend on
//! seed, document and replicate alone (one ChaCha stream per document), so neither the order of documents, nor how they
//! are cut into pieces or shards, changes a band beyond rounding.
//!
//! NaN and ±inf are counted and located; a bin with one has neither a mean nor a band.

use ndarray::{Array2, ArrayView1};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Poisson};
use serde::{Deserialize, Serialize};

use crate::bins::Bins;
use crate::effect::student_975;
use crate::error::{Error, Result};
use crate::non_finite::NonFinite;

/// Streaming Poisson bootstrap. Memory: 16 bytes per replicate and bin, whatever the number of documents and their
/// length.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentBootstrap {
    bins: Bins,
    seed: u64,
    weight: Poisson<f64>,
    /// Row 0 has weight 1 for every document. [1 + replicates, bins]
    sums: Array2<f64>,
    /// [1 + replicates, bins]
    counts: Array2<f64>,
    /// `[bins]`
    non_finite: Vec<NonFinite>,
}

/// Mean loss in one bin of positions, with its band.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandBucket {
    /// First position.
    pub from: u64,
    /// End, exclusive; `None` for the last bin, which is open.
    pub to: Option<u64>,
    /// Mean over all tokens, in nats; `None` if there are none, or one that is not finite.
    pub nll: Option<f64>,
    /// Band `(low, high)` of the mean, in nats; `None` where fewer than two documents contribute, or nearly so.
    pub band: Option<(f64, f64)>,
    /// Effective number of documents, `(Σ n_d)² / Σ n_d²`, estimated from the replicates' weights.
    pub documents: Option<f64>,
    /// Tokens whose loss was NaN or ±inf, and the first position of one in its document.
    #[serde(default)]
    pub non_finite: NonFinite,
}

/// Quantile of the normal distribution.
const NORMAL_975: f64 = 1.959_963_984_540_054;

impl DocumentBootstrap {
    /// Fewer effective documents than this give no band: with one, every replicate has the same mean, and a band of no
    /// width would claim certainty.
    const LEAST_DOCUMENTS: f64 = 1.5;

    /// Empty; at least 500 replicates, so that one document is told from two. 1000 make a 95 % band steady to a few
    /// percent of its width.
    pub fn new(bins: Bins, replicates: usize, seed: u64) -> Result<Self> {
        let operation = "bootstrap over documents";
        if replicates < 500 {
            return Err(Error::mismatch(operation, "at least 500 replicates", replicates));
        }
        let weight = Poisson::new(1.0).map_err(|error| Error::mismatch(operation, "a rate of 1", error))?;
        let sums = Array2::zeros((1 + replicates, bins.len()));
        let non_finite = vec![NonFinite::default(); bins.len()];
        Ok(Self { bins, seed, weight, counts: sums.clone(), sums, non_finite })
    }

    /// Adds losses of consecutive tokens of a document, the first at `position`. A document has a number of its own; it may
    /// come in pieces. Costs one random number per replicate and piece.
    pub fn push(&mut self, document: u64, position: u64, values: &[f32]) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(document);
        let pieces: Vec<(usize, f64, f64)> = (self.bins.split(position, values.len()))
            .map(|(bin, range)| {
                let first = position + range.start as u64;
                self.non_finite[bin].note_all(first, &values[range.clone()], |value| !value.is_finite());
                let finite = values[range].iter().filter(|value| value.is_finite());
                finite.fold((bin, 0.0, 0.0), |(bin, sum, count), &value| {
                    (bin, sum + f64::from(value), count + 1.0)
                })
            })
            .collect();
        let weights = std::iter::once(1.0).chain(self.weight.sample_iter(random));
        let rows = self.sums.rows_mut().into_iter().zip(self.counts.rows_mut());
        for ((mut sums, mut counts), weight) in rows.zip(weights) {
            for &(bin, sum, count) in &pieces {
                sums[bin] += weight * sum;
                counts[bin] += weight * count;
            }
        }
    }

    /// Adds what `other` saw: other documents, or other pieces of the same ones.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let shape = |of: &Self| (of.seed, of.sums.dim());
        if shape(self) != shape(other) || self.bins != other.bins {
            let text = |of: &Self| format!("seed {}, {:?} with equal bins", of.seed, of.sums.dim());
            return Err(Error::mismatch("merging bootstraps", text(self), text(other)));
        }
        self.sums += &other.sums;
        self.counts += &other.counts;
        self.non_finite.iter_mut().zip(&other.non_finite).for_each(|(own, more)| own.merge(more));
        Ok(())
    }

    /// Bands at this level (0.95: 95 % of the replicates lie inside), one entry per bin.
    pub fn bands(&self, level: f64) -> Result<Vec<BandBucket>> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::mismatch("bootstrap over documents", "a level between 0 and 1", level));
        }
        let bucket = |(bin, &from): (usize, &u64)| {
            let (sums, counts) = (self.sums.column(bin), self.counts.column(bin));
            let documents = effective_documents(counts);
            let non_finite = self.non_finite[bin];
            let enough = documents.is_some_and(|documents| documents >= Self::LEAST_DOCUMENTS);
            let enough = enough && !non_finite.any();
            BandBucket {
                from,
                to: self.bins.end(bin),
                nll: (counts[0] > 0.0 && !non_finite.any()).then(|| sums[0] / counts[0]),
                band: documents.filter(|_| enough).and_then(|documents| {
                    let (low, high) = band(sums, counts, level)?;
                    let (mean, widened) = (sums[0] / counts[0], widening(documents));
                    Some((mean + (low - mean) * widened, mean + (high - mean) * widened))
                }),
                documents,
                non_finite,
            }
        };
        Ok(self.bins.lower().iter().enumerate().map(bucket).collect())
    }
}

/// `T² / Var C` with the token counts `C = Σ w_d n_d` of the replicates, whose mean is `T = Σ n_d` and whose variance is
/// `Σ n_d²`.
fn effective_documents(counts: ArrayView1<f64>) -> Option<f64> {
    let total = counts[0];
    let replicates = counts.len() - 1;
    let variance =
        counts.iter().skip(1).map(|count| (count - total).powi(2)).sum::<f64>() / replicates as f64;
    (total > 0.0 && variance > 0.0).then(|| total * total / variance)
}

/// What makes quantiles of a bootstrap over `documents` cover: replicates vary by `√((n − 1)/n)` too little, and their
/// deviation is itself an estimate (Hesterberg 2015, section 3: Student's quantile in place of the normal one).
fn widening(documents: f64) -> f64 {
    let freedom = (documents - 1.0).max(0.5);
    student_975(freedom) / NORMAL_975 * (documents / freedom).sqrt()
}

/// Quantiles of the replicates; those that drew no document with a token here have no mean.
fn band(sums: ArrayView1<f64>, counts: ArrayView1<f64>, level: f64) -> Option<(f64, f64)> {
    let replicates = sums.iter().zip(&counts).skip(1).filter(|&(_, &count)| count > 0.0);
    let mut means: Vec<f64> = replicates.map(|(sum, count)| sum / count).collect();
    means.sort_by(f64::total_cmp);
    // As many replicates lie below the lower end as above the upper one.
    let outside = ((1.0 - level) / 2.0 * means.len() as f64) as usize;
    let high = means.len().checked_sub(1 + outside)?;
    Some((*means.get(outside)?, *means.get(high)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulated::is_covered;
    use crate::testing::{close, normal};

    fn empty() -> DocumentBootstrap {
        DocumentBootstrap::new(Bins::new(vec![0, 8]).expect("ascending"), 2000, 7).expect("enough replicates")
    }

    /// Documents of 8 equal losses each.
    fn of(losses: &[f32]) -> DocumentBootstrap {
        let mut bootstrap = empty();
        for (document, &loss) in losses.iter().enumerate() {
            bootstrap.push(document as u64, 0, &[loss; 8]);
        }
        bootstrap
    }

    #[test]
    fn the_band_is_that_of_the_mean_of_documents() {
        let losses = normal(1, 400, 3) * 0.5 + 3.0;
        let losses = losses.as_slice().expect("one row");
        let mean = losses.iter().map(|&v| f64::from(v)).sum::<f64>() / 400.0;
        let deviation = (losses.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
        let found = of(losses).bands(0.95).expect("a level")[0];
        assert!(close(found.nll.expect("seen"), mean, 1e-12));
        let (low, high) = found.band.expect("many documents");
        // Tokens of a document do not vary: a band over tokens would be sqrt(8) times narrower.
        let half = 1.96 * deviation / 20.0;
        assert!((low - (mean - half)).abs() < 0.1 * half, "{low} for {}", mean - half);
        assert!((high - (mean + half)).abs() < 0.1 * half, "{high} for {}", mean + half);
        let documents = found.documents.expect("seen");
        assert!((documents - 400.0).abs() < 40.0, "{documents}");
        let narrow = of(losses).bands(0.5).expect("a level")[0].band.expect("many");
        assert!(close(narrow.1 - narrow.0, 2.0 * 0.6745 * deviation / 20.0, 0.005));
    }

    /// Documents of different means: the band of a few holds the mean of all as often as it says.
    #[test]
    fn bands_of_few_documents_cover_the_truth() {
        for documents in [4, 8, 16] {
            let mut covered = 0;
            for seed in 0..2000 {
                let losses = normal(1, documents, seed);
                let mut bootstrap = DocumentBootstrap::new(Bins::new(vec![0]).expect("ascending"), 500, seed)
                    .expect("enough");
                for (document, &loss) in losses.iter().enumerate() {
                    bootstrap.push(document as u64, 0, &[loss]);
                }
                let (low, high) = bootstrap.bands(0.95).expect("a level")[0].band.expect("several");
                covered += usize::from(low <= 0.0 && 0.0 <= high);
            }
            is_covered(covered, 2000, &format!("{documents} documents"));
        }
    }

    #[test]
    fn neither_order_nor_pieces_nor_shards_change_a_band() {
        let losses: Vec<Vec<f32>> =
            (0..20).map(|d| (0..16).map(|t| ((d * 16 + t) as f32).sin() + 3.0).collect()).collect();
        let mut whole = empty();
        for (document, losses) in losses.iter().enumerate() {
            whole.push(document as u64, 0, losses);
        }
        let mut merged = empty();
        for part in [[3, 17], [11, 0]] {
            let mut shard = empty();
            for (document, losses) in losses.iter().enumerate().rev().filter(|(d, _)| part.contains(d)) {
                shard.push(document as u64, 5, &losses[5..]);
            }
            merged.merge(&shard).expect("same shape");
        }
        for (document, losses) in losses.iter().enumerate() {
            let cut = if [3, 17, 11, 0].contains(&document) { 5 } else { 16 };
            merged.push(document as u64, 0, &losses[..cut]);
        }
        assert_eq!(merged.counts, whole.counts);
        let (merged, whole) = (merged.bands(0.9).expect("a level"), whole.bands(0.9).expect("a level"));
        for (a, b) in merged.iter().zip(&whole) {
            let (a, b) = (a.band.expect("many"), b.band.expect("many"));
            assert!(close(a.0, b.0, 1e-12) && close(a.1, b.1, 1e-12));
        }
        assert!(whole[1].band.expect("many").0 < whole[1].nll.expect("seen"));
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let losses: Vec<f32> = (0..30).map(|i| (i as f32).cos()).collect();
        let with = |seed| {
            let mut bootstrap = DocumentBootstrap::new(Bins::doubling(1), 500, seed).expect("enough");
            for (document, &loss) in losses.iter().enumerate() {
                bootstrap.push(document as u64, 0, &[loss]);
            }
            bootstrap.bands(0.9).expect("a level")[0].band
        };
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn one_document_has_no_band_and_nothing_no_mean() {
        let one = of(&[3.0]).bands(0.95).expect("a level");
        assert_eq!((one[0].nll, one[0].band), (Some(3.0), None));
        assert_eq!((one[1].nll, one[1].band, one[1].documents, one[1].to), (None, None, None, None));
        assert!(of(&[3.0, 4.0]).bands(0.95).expect("a level")[0].band.is_some());
        let equal = of(&[2.5; 9]).bands(0.95).expect("a level")[0];
        assert_eq!(equal.band, Some((2.5, 2.5)));
    }

    #[test]
    fn what_is_not_finite_is_located_and_leaves_no_mean_and_no_band() {
        let broken = |order: [usize; 2]| {
            let mut bootstrap = empty();
            for part in order {
                let mut shard = empty();
                match part {
                    0 => shard.push(2, 5, &[1.0, f32::NAN, f32::INFINITY, 3.0]),
                    _ => (0..2).for_each(|document| shard.push(document, 0, &[1.5; 12])),
                }
                bootstrap.merge(&shard).expect("same shape");
            }
            bootstrap.bands(0.5).expect("a level")
        };
        for found in [broken([0, 1]), broken([1, 0])] {
            assert_eq!((found[0].nll, found[0].band), (None, None));
            assert_eq!(found[0].non_finite, NonFinite { count: 2, first: Some(6) });
            assert!(found[1].nll.is_some() && found[1].band.is_some() && !found[1].non_finite.any());
        }
    }

    #[test]
    fn memory_depends_on_bins_and_replicates_alone() {
        let mut bootstrap = empty();
        for document in 0..50 {
            bootstrap.push(document, u64::MAX - 3, &[1.0, 2.0]);
        }
        assert_eq!((bootstrap.sums.len(), bootstrap.counts.len()), (2 * 2001, 2 * 2001));
    }

    #[test]
    fn levels_replicates_and_shapes_are_checked() {
        assert!(DocumentBootstrap::new(Bins::doubling(1), 499, 0).is_err());
        for level in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(empty().bands(level).is_err());
        }
        let other =
            DocumentBootstrap::new(Bins::new(vec![0, 8]).expect("ascending"), 2000, 8).expect("enough");
        assert!(empty().merge(&other).is_err());
    }
}
