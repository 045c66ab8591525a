//! Sequences whose mean, autocorrelation and change are known.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// `n` independent standard normal values.
pub fn normal(n: usize, seed: u64) -> Vec<f64> {
    StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(seed ^ 0x5eed)).take(n).collect()
}

/// A stationary AR(1) of mean 0 and variance 1.
pub fn autoregressive(n: usize, rho: f64, seed: u64) -> Vec<f64> {
    let mut last = None;
    normal(n, seed)
        .into_iter()
        .map(|noise| {
            let value = last.map_or(noise, |last: f64| rho * last + (1.0 - rho * rho).sqrt() * noise);
            last = Some(value);
            value
        })
        .collect()
}

/// A moving average of `width` values, of mean 0 and variance 1.
pub fn moving_average(n: usize, width: usize, seed: u64) -> Vec<f64> {
    let noise = normal(n + width, seed);
    noise.windows(width).take(n).map(|window| window.iter().sum::<f64>() / (width as f64).sqrt()).collect()
}

/// Refuses a coverage of 95 % intervals that is not between 92 and 98 %.
#[track_caller]
pub fn is_covered(covered: usize, of: usize, case: &str) {
    let share = covered as f64 / of as f64;
    assert!((0.92..=0.98).contains(&share), "{case}: {:.1} % covered", 100.0 * share);
}
