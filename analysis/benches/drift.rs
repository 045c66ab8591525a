//! What drift costs at the widths of models: from the states themselves, and from their covariance.
//!
//! `cargo bench -p lm-infinite-analysis --bench drift -- [WIDEST DENSE]`: at widths 576, 4096 and 8192, and as many states as
//! a diagnosis samples (134 of 300 tokens, 448 of 8,192 trained ones, and 64 for every doubling after that), the seconds of each
//! part; those from the covariance up to a width of 1024 by default, since they grow with its cube.

use std::time::Instant;

use lm_infinite_analysis::Result;
use lm_infinite_analysis::drift::{
    Mahalanobis, Pca, PositionProbe, ProbeResult, ProbeRule, Shrinkage, StateMoments,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

fn main() -> Result<()> {
    let widest = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(1024);
    println!("| width | states | part | of the states, s | of the covariance, s |");
    println!("|---|---|---|---|---|");
    for hidden in [576, 4096, 8192] {
        for tokens in [134, 448, 640] {
            let states = states(tokens, hidden);
            let positions: Vec<u64> = (0..tokens as u64).collect();
            let row = |part: &str, few: f64, dense: Option<f64>| {
                let dense = dense.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.3}"));
                println!("| {hidden} | {tokens} | {part} | {few:.3} | {dense} |");
            };
            let dense = hidden <= widest;
            let moments = || StateMoments::of(states.view());
            let (fit, few) = timed(|| Mahalanobis::fit(states.view(), Shrinkage::Oracle))?;
            let (whole, slow) = if dense {
                let (found, seconds) = timed(|| Mahalanobis::of_moments(&moments(), Shrinkage::Oracle))?;
                (Some(found), Some(seconds))
            } else {
                (None, None)
            };
            row("Mahalanobis, fit", few, slow);
            let few = timed(|| fit.distances(states.view()))?.1;
            let slow = whole.map(|whole| timed(|| whole.distances(states.view()))).transpose()?;
            row("Mahalanobis, distances", few, slow.map(|(_, seconds)| seconds));
            let few = timed(|| Pca::fit(states.view(), 2))?.1;
            let slow = dense.then(|| timed(|| Pca::of_moments(&moments(), 2))).transpose()?;
            row("principal components", few, slow.map(|(_, seconds)| seconds));
            let rule = ProbeRule::default();
            let few = timed(|| ProbeResult::of_states(rule, &positions, states.view()))?.1;
            let streamed = || {
                let mut probe = PositionProbe::new(hidden, rule)?;
                probe.push(0, &positions, states.view())?;
                probe.result()
            };
            let slow = dense.then(|| timed(streamed)).transpose()?;
            row("position probe", few, slow.map(|(_, seconds)| seconds));
        }
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let done = work()?;
    Ok((done, start.elapsed().as_secs_f64()))
}

/// Noise, with one direction far wider than the others.
fn states(tokens: usize, hidden: usize) -> Array2<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut states = Array2::from_shape_simple_fn((tokens, hidden), || StandardNormal.sample(&mut random));
    states.column_mut(0).mapv_inplace(|value: f32| value * 100.0);
    states
}
