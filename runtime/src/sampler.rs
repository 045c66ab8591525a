//! From logits to the next token.

use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingParams {
    /// Logits are divided by this; 0 takes the largest one.
    pub temperature: f64,
    /// Only this many of the largest logits take part.
    pub top_k: Option<usize>,
    /// Only the most probable tokens up to this sum of probabilities take part, at least one.
    pub top_p: Option<f64>,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Default for SamplingParams {
    /// Greedy.
    fn default() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: None, seed: 0 }
    }
}

/// Chooses tokens, with its own stream of random numbers: the same parameters and logits give the same tokens.
pub struct Sampler {
    params: SamplingParams,
    processor: LogitsProcessor,
}

impl Sampler {
    /// Refuses a negative or infinite temperature, `top_k` 0, and `top_p` outside 0 to 1.
    pub fn new(params: SamplingParams) -> Result<Self> {
        let SamplingParams { temperature, top_k, top_p, seed } = params;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(Error::input(
                "temperature",
                format!("expected a number of at least 0, got {temperature}"),
            ));
        }
        if top_k == Some(0) {
            return Err(Error::input("top-k", "expected at least 1, got 0"));
        }
        if let Some(p) = top_p.filter(|&p| !(p > 0.0 && p <= 1.0)) {
            return Err(Error::input("top-p", format!("expected a number above 0, at most 1, got {p}")));
        }
        // The logits arrive here divided by the temperature and cut to `top_k`.
        let sampling = match top_p {
            Some(p) => Sampling::TopP { p, temperature: 1.0 },
            None => Sampling::All { temperature: 1.0 },
        };
        Ok(Self { params, processor: LogitsProcessor::from_sampling(seed, sampling) })
    }

    /// The next token.
    ///
    /// * Ties: the greedy choice is the smallest id; `top_k` keeps the smaller ids.
    /// * −∞ is never chosen.
    /// * NaN or +∞ anywhere, no logits, or −∞ everywhere is an error: they have no softmax, and nothing is drawn from what is
    ///   left of them.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        let broken = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
        if let Some(id) = logits.iter().position(broken) {
            let (count, all) = (logits.iter().filter(|&logit| broken(logit)).count(), logits.len());
            let reason = format!("not finite for {count} of {all} tokens: {} for token {id}", logits[id]);
            return Err(Error::input("logits", reason));
        }
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if best == f32::NEG_INFINITY {
            return Err(Error::input("logits", format!("none of {} is above −∞", logits.len())));
        }
        let temperature = self.params.temperature;
        if temperature == 0.0 || self.params.top_k == Some(1) {
            let first = logits.iter().position(|&logit| logit == best).unwrap_or_default();
            return id(first);
        }
        // Differences to the best are finite or −∞ at any temperature, so the softmax cannot overflow.
        let scaled = |logit: f32| match () {
            () if logit == best => 0.0,
            () => (f64::from(logit - best) / temperature) as f32,
        };
        let mut scaled: Vec<f32> = logits.iter().map(|&logit| scaled(logit)).collect();
        if let Some(k) = self.params.top_k {
            keep_largest(&mut scaled, k);
        }
        let failed = |e: candle_core::Error| Error::input("sampling", e);
        let length = scaled.len();
        let tensor = Tensor::from_vec(scaled, length, &Device::Cpu).map_err(failed)?;
        self.processor.sample(&tensor).map_err(failed)
    }
}

fn id(index: usize) -> Result<u32> {
    u32::try_from(index).map_err(|e| Error::input("logits", e))
}

/// Sets everything but the `k` largest values to −∞; of equal ones the first stay.
fn keep_largest(values: &mut [f32], k: usize) {
    if k >= values.len() {
        return;
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.select_nth_unstable_by(k - 1, |&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    for &index in &order[k..] {
        values[index] = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f32 = f32::INFINITY;

    fn draws(params: SamplingParams, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(params).expect("valid");
        (0..count).map(|_| sampler.sample(logits).expect("sampled")).collect()
    }

    fn hot() -> SamplingParams {
        SamplingParams { temperature: 1.0, seed: 7, ..Default::default() }
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        assert_eq!(draws(SamplingParams::default(), &[0.0, 3.0, 3.0, -INF], 2), [1, 1]);
        assert_eq!(draws(SamplingParams { top_k: Some(1), ..hot() }, &[1.0, 2.0, 2.0], 3), [1, 1, 1]);
    }

    #[test]
    fn nan_and_nothing_to_choose_are_errors() {
        for params in [SamplingParams::default(), hot()] {
            let mut sampler = Sampler::new(params).expect("valid");
            for broken in [f32::NAN, INF] {
                let refused = sampler.sample(&[0.0, broken, 90.0, -INF]).expect_err("no softmax").to_string();
                assert!(refused.contains("1 of 4 tokens") && refused.contains("for token 1"), "{refused}");
            }
            assert!(sampler.sample(&[-INF, -INF]).is_err());
            assert!(sampler.sample(&[]).is_err());
        }
    }

    #[test]
    fn minus_infinity_is_impossible() {
        assert!(draws(hot(), &[0.0, -INF, 0.0], 200).iter().all(|&id| id != 1));
        assert_eq!(draws(SamplingParams::default(), &[-INF, -3.0, -INF], 1), [1]);
    }

    #[test]
    fn top_k_and_top_p_keep_what_they_say() {
        let logits = [0.0, 2.0, 1.0, 1.0, 1.0];
        let chosen = draws(SamplingParams { top_k: Some(2), ..hot() }, &logits, 300);
        assert!(chosen.contains(&1) && chosen.contains(&2) && chosen.iter().all(|&id| id == 1 || id == 2));
        // Probabilities 0.64, 0.24, 0.09, 0.03: half of the mass is one token, 0.7 takes two.
        let logits = [3.0, 2.0, 1.0, 0.0];
        assert!(draws(SamplingParams { top_p: Some(0.5), ..hot() }, &logits, 100).iter().all(|&id| id == 0));
        let chosen = draws(SamplingParams { top_p: Some(0.7), ..hot() }, &logits, 300);
        assert!(chosen.contains(&1) && chosen.iter().all(|&id| id < 2));
    }

    #[test]
    fn frequencies_are_those_of_the_softmax_and_the_seed_decides() {
        let params = SamplingParams { temperature: 2.0, ..hot() };
        let chosen = draws(params, &[2.0, 0.0], 20_000);
        let share = chosen.iter().filter(|&&id| id == 0).count() as f64 / 20_000.0;
        let expected = 1.0 / (1.0 + (-1.0f64).exp());
        assert!((share - expected).abs() < 0.01, "{share} against {expected}");
        assert_eq!(chosen, draws(params, &[2.0, 0.0], 20_000));
        assert_ne!(chosen, draws(SamplingParams { seed: 8, ..params }, &[2.0, 0.0], 20_000));
    }

    #[test]
    fn a_tiny_temperature_is_greedy() {
        let params = SamplingParams { temperature: 1e-300, ..hot() };
        assert_eq!(draws(params, &[1.0, 1.0001, 0.0], 20), [1; 20]);
    }

    #[test]
    fn nonsense_parameters_are_refused() {
        for params in [
            SamplingParams { temperature: -1.0, ..hot() },
            SamplingParams { temperature: f64::NAN, ..hot() },
            SamplingParams { top_k: Some(0), ..hot() },
            SamplingParams { top_p: Some(0.0), ..hot() },
            SamplingParams { top_p: Some(1.5), ..hot() },
            SamplingParams { top_p: Some(f64::NAN), ..hot() },
        ] {
            assert!(Sampler::new(params).is_err(), "{params:?}");
        }
    }
}
