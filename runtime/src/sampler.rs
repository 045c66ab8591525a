//! From logits to the next token.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::random::{self, Purpose, Stream};

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
    stream: Stream,
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
        Ok(Self { params, stream: random::stream(Purpose::Sampling, seed, &[]) })
    }

    /// The next token.
    ///
    /// * Ties: the greedy choice is the smallest id; `top_k` and `top_p` keep the smaller ids.
    /// * One random number is drawn for each token that is not a greedy choice: with the weights `e^((logit − best) /
    ///   temperature)` of the tokens that take part, in order of id, the choice is the first whose cumulative sum exceeds that
    ///   number's share of the total.
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
        // Differences to the best are 0, finite or −∞ at any temperature, so no weight is above 1 and the best has 1.
        let weight = |&logit: &f32| match () {
            () if logit == best => 1.0,
            () => ((f64::from(logit) - f64::from(best)) / temperature).exp(),
        };
        let mut weights: Vec<f64> = logits.iter().map(weight).collect();
        if self.params.top_k.is_some() || self.params.top_p.is_some_and(|p| p < 1.0) {
            keep_likeliest(&mut weights, self.params.top_k, self.params.top_p);
        }
        id(pick(&weights, random::unit(&mut self.stream)))
    }
}

/// The first index whose cumulative weight exceeds `unit` (from 0 to below 1) of the total, which is above 0.
fn pick(weights: &[f64], unit: f64) -> usize {
    let aim = unit * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let chosen = weights.iter().position(|&weight| {
        sum += weight;
        sum > aim
    });
    // Where rounding leaves the aim at the total, the last one that can be chosen.
    chosen.or_else(|| weights.iter().rposition(|&weight| weight > 0.0)).unwrap_or_default()
}

fn id(index: usize) -> Result<u32> {
    u32::try_from(index).map_err(|e| Error::input("logits", e))
}

/// Sets everything to 0 but the `k` largest weights, and of those all but the largest whose sum reaches the share `p` of
/// theirs; of equal ones the first stay.
fn keep_likeliest(weights: &mut [f64], k: Option<usize>, p: Option<f64>) {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let likelier = |&a: &usize, &b: &usize| weights[b].total_cmp(&weights[a]).then(a.cmp(&b));
    let mut kept = k.unwrap_or(usize::MAX).min(order.len());
    if kept < order.len() {
        // Most of a vocabulary need not be sorted.
        order.select_nth_unstable_by(kept, likelier);
    }
    order[..kept].sort_unstable_by(likelier);
    if let Some(p) = p {
        let aim = p * order[..kept].iter().map(|&index| weights[index]).sum::<f64>();
        let mut sum = 0.0;
        let reached = order[..kept].iter().position(|&index| {
            sum += weights[index];
            sum >= aim
        });
        kept = reached.map_or(kept, |last| last + 1);
    }
    for &index in &order[kept..] {
        weights[index] = 0.0;
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

    /// A change of these is a change of what `--seed` means.
    #[test]
    fn chosen_tokens_are_those_that_were_written_down() {
        let logits: Vec<f32> = (0..50).map(|id| ((id * 7 % 50) as f32).sqrt()).collect();
        let params = SamplingParams { temperature: 0.8, seed: 42, ..Default::default() };
        assert_eq!(draws(params, &logits, 8), [7, 20, 21, 14, 49, 7, 20, 42]);
        assert_eq!(
            draws(SamplingParams { top_k: Some(5), ..params }, &logits, 8),
            [7, 14, 14, 14, 35, 7, 14, 35]
        );
        assert_eq!(
            draws(SamplingParams { top_p: Some(0.5), ..params }, &logits, 8),
            [7, 21, 21, 14, 49, 7, 21, 42]
        );
    }

    #[test]
    fn the_pick_is_the_first_whose_cumulative_weight_exceeds_the_share() {
        let weights = [0.0, 1.0, 0.0, 2.0, 1.0, 0.0];
        for (unit, index) in [(0.0, 1), (0.2499, 1), (0.25, 3), (0.7499, 3), (0.75, 4), (0.9999, 4), (1.0, 4)]
        {
            assert_eq!(pick(&weights, unit), index, "{unit}");
        }
        let cut = |k, p| {
            let mut weights = vec![2.0, 8.0, 4.0, 2.0];
            keep_likeliest(&mut weights, k, p);
            weights
        };
        assert_eq!(cut(Some(3), None), [2.0, 8.0, 4.0, 0.0]);
        assert_eq!(cut(None, Some(0.75)), [0.0, 8.0, 4.0, 0.0]);
        assert_eq!(cut(Some(2), Some(0.6)), [0.0, 8.0, 0.0, 0.0]);
        assert_eq!(
            (cut(Some(9), Some(1.0)), cut(None, Some(1e-9))),
            (vec![2.0, 8.0, 4.0, 2.0], vec![0.0, 8.0, 0.0, 0.0])
        );
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
