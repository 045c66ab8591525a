//! Circular block bootstrap (Politis and Romano 1992): blocks of consecutive values, drawn with replacement, the end of the
//! sequence followed by its beginning.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform};

/// Draws blocks of `length` of `n` values, `n` > 0 and `1 ≤ length ≤ n`.
pub(crate) struct Blocks {
    n: usize,
    length: usize,
    begin: Option<Uniform<usize>>,
}

impl Blocks {
    pub fn new(n: usize, length: usize) -> Self {
        Self { n, length: length.clamp(1, n.max(1)), begin: Uniform::new(0, n).ok() }
    }

    /// Calls `block` with the begin and the length of each block until `n` values are drawn; the last one is cut.
    pub fn draw(&self, random: &mut ChaCha8Rng, mut block: impl FnMut(usize, usize)) {
        let Some(begin) = self.begin else { return };
        let mut left = self.n;
        while left > 0 {
            let length = self.length.min(left);
            block(begin.sample(random), length);
            left -= length;
        }
    }
}

/// Sums of any block in constant time.
pub(crate) struct PrefixSums {
    sums: Vec<f64>,
}

impl PrefixSums {
    pub fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut sums = vec![0.0];
        for value in values {
            sums.push(sums[sums.len() - 1] + value);
        }
        Self { sums }
    }

    /// Sum of `length ≤ n` values from `begin < n`, around the end.
    pub fn circular(&self, begin: usize, length: usize) -> f64 {
        let n = self.sums.len() - 1;
        match begin + length {
            end if end <= n => self.sums[end] - self.sums[begin],
            end => self.sums[n] - self.sums[begin] + self.sums[end - n],
        }
    }
}

/// The value below which a share of `sorted` lies, between neighbours by a line; NaN if it is empty.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn every_value_is_drawn_equally_often() {
        let (n, length) = (10, 4);
        let blocks = Blocks::new(n, length);
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut counts = [0.0; 10];
        for _ in 0..20_000 {
            let mut drawn = 0;
            blocks.draw(&mut random, |begin, length| {
                (begin..begin + length).for_each(|at| counts[at % n] += 1.0);
                drawn += length;
            });
            assert_eq!(drawn, n);
        }
        assert!(counts.iter().all(|count: &f64| (count / 20_000.0 - 1.0).abs() < 0.03), "{counts:?}");
    }

    #[test]
    fn sums_go_around_the_end() {
        let sums = PrefixSums::new([1.0, 2.0, 4.0].into_iter());
        assert_eq!(
            [(0, 3), (1, 2), (2, 2), (2, 0)].map(|(at, n)| sums.circular(at, n)),
            [7.0, 6.0, 5.0, 0.0]
        );
        assert_eq!([0.0, 0.25, 1.0].map(|share| quantile(&[1.0, 2.0, 5.0], share)), [1.0, 1.5, 5.0]);
        assert!(quantile(&[], 0.5).is_nan());
        Blocks::new(0, 3).draw(&mut ChaCha8Rng::seed_from_u64(0), |_, _| panic!("there is nothing to draw"));
    }
}
