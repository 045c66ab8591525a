//! The mean of a sequence that is made of documents.
//!
//! Tokens of a document are alike in more than their neighbours: one document is hard, another easy. How well the mean over
//! documents is known follows from drawing whole documents again (a cluster bootstrap; Field and Welsh 2007): replicate `r` is
//! `Σ S_d / Σ n_d` over as many documents as there are, drawn with replacement, with `S_d` the sum and `n_d` the number of the
//! values of document `d`. As for blocks, the interval is `mean ± t · s`, where Student's distribution has one degree of
//! freedom less than there are effective documents, `(Σ n_d)² / Σ n_d²`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Uniform};

use super::mean::{MeanEffect, REPLICATES, student_975};

/// Fewer effective documents say too little of how documents differ.
const LEAST: f64 = 8.0;

impl MeanEffect {
    /// The mean of `values` with the wider of two intervals: that of [`MeanEffect::of`] and, where the values come from at least
    /// eight effective documents, that of drawing these. `starts` are the indices at which documents start; what
    /// lies before the first belongs to a document, too. Also given: from how many documents, where that interval was made.
    pub fn of_documents(values: &[f64], starts: &[usize], seed: u64) -> Option<(Self, Option<usize>)> {
        let blocks = Self::of(values, seed)?;
        let documents = documents(values, starts);
        let total: f64 = documents.iter().map(|document| document.count).sum();
        let effective = total.powi(2) / documents.iter().map(|document| document.count.powi(2)).sum::<f64>();
        let number = documents.len();
        if effective < LEAST {
            return Some((blocks, None));
        }
        let Ok(pick) = Uniform::new(0, number) else { return Some((blocks, None)) };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut squares = 0.0;
        for _ in 0..REPLICATES {
            let (mut sum, mut count) = (0.0, 0.0);
            for _ in 0..number {
                let document = &documents[pick.sample(&mut random)];
                // Around the mean, as the numbers of values differ, too.
                sum += document.sum - blocks.mean * document.count;
                count += document.count;
            }
            squares += (sum / count).powi(2);
        }
        // Drawing with replacement sees the variance of a mean without the correction for its estimated centre.
        let deviation = (squares / REPLICATES as f64 * effective / (effective - 1.0)).sqrt();
        let half = (student_975(effective - 1.0) * deviation).max(blocks.half_width());
        Some((Self { low: blocks.mean - half, high: blocks.mean + half, ..blocks }, Some(number)))
    }
}

struct Document {
    sum: f64,
    count: f64,
}

fn documents(values: &[f64], starts: &[usize]) -> Vec<Document> {
    let inner = starts.iter().copied().filter(|&start| start > 0 && start < values.len());
    let mut edges: Vec<usize> = std::iter::once(0).chain(inner).chain([values.len()]).collect();
    edges.sort_unstable();
    let document = |edge: &[usize]| {
        let values = &values[edge[0]..edge[1]];
        Document { sum: values.iter().sum(), count: values.len() as f64 }
    };
    edges.windows(2).filter(|edge| edge[0] < edge[1]).map(document).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulated::{autoregressive, is_covered, normal};

    /// Starts of documents of 20 to `longest` values, by the seed, and the values: a level of each document, and what is
    /// autocorrelated within.
    fn text(number: usize, longest: usize, level: f64, seed: u64) -> (Vec<f64>, Vec<usize>) {
        let levels = normal(number, seed ^ 0xd0c);
        let lengths = normal(number, seed ^ 0x1e4);
        let (mut starts, mut levels_of) = (Vec::new(), Vec::new());
        for (height, length) in levels.iter().zip(&lengths) {
            let length = 20 + (length.abs() / 3.0 * longest as f64) as usize % longest;
            starts.push(levels_of.len());
            levels_of.extend(std::iter::repeat_n(level * height, length));
        }
        let noise = autoregressive(levels_of.len(), 0.4, seed);
        (noise.iter().zip(levels_of).map(|(noise, level)| noise + level).collect(), starts)
    }

    fn covered(number: usize, longest: usize, level: f64) -> (usize, usize) {
        let (mut documents, mut blocks) = (0, 0);
        for seed in 0..2000 {
            let (values, starts) = text(number, longest, level, seed);
            let (effect, _) = MeanEffect::of_documents(&values, &starts, seed).expect("values");
            documents += usize::from(effect.low <= 0.0 && 0.0 <= effect.high);
            let alone = MeanEffect::of(&values, seed).expect("values");
            blocks += usize::from(alone.low <= 0.0 && 0.0 <= alone.high);
        }
        (documents, blocks)
    }

    #[test]
    fn intervals_cover_the_mean_of_documents_as_often_as_they_say() {
        for (number, longest, level) in [(16, 200, 0.5), (40, 200, 0.5), (40, 60, 1.0), (30, 300, 0.2)] {
            let (with, without) = covered(number, longest, level);
            is_covered(with, 2000, &format!("{number} documents of up to {longest}, level {level}"));
            // Blocks as long as neighbours are alike know nothing of documents.
            assert!(
                without < 1870,
                "{number} documents of up to {longest}, level {level}: {without} by blocks"
            );
        }
    }

    #[test]
    fn where_documents_do_not_differ_they_change_little() {
        let (with, _) = covered(40, 100, 0.0);
        is_covered(with, 2000, "40 documents without a level");
    }

    #[test]
    fn few_documents_are_not_drawn_and_one_long_one_is_few() {
        let values = autoregressive(2000, 0.3, 7);
        let alone = MeanEffect::of(&values, 7).map(|effect| (effect, None));
        for starts in [vec![], vec![0], vec![0, 500, 1000, 1500], vec![9, 3000], (0..50).collect()] {
            assert_eq!(MeanEffect::of_documents(&values, &starts, 7), alone, "{starts:?}");
        }
        let even: Vec<usize> = (0..2000).step_by(100).collect();
        let (effect, number) = MeanEffect::of_documents(&values, &even, 7).expect("values");
        assert_eq!((number, effect.n), (Some(20), 2000));
        assert!(effect.half_width() >= alone.expect("values").0.half_width());
        // What comes before the first start is a document, and equal starts are one.
        let behind: Vec<usize> = (1..20).flat_map(|at| [at * 100, at * 100]).collect();
        assert_eq!(MeanEffect::of_documents(&values, &behind, 7), Some((effect, number)));
        assert_eq!(MeanEffect::of_documents(&[1.0; 7], &[0], 7), None);
        assert_eq!(MeanEffect::of_documents(&[f64::NAN; 200], &even, 7), None);
    }
}
