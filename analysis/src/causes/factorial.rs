//! The 2×2×2 factorial of the three causes, from the losses of the same tokens under eight policies.
//!
//! With `v(S)` the mean loss where the causes of `S` are present, in nats per token:
//!
//! ```text
//! total            v(all) − v(none)
//! main effect      mean over the four sets S of the other causes of v(S ∪ c) − v(S)
//! interaction      mean over the levels of the third cause of v(ab) − v(a) − v(b) + v(none)
//! three-way        v(abc) − v(ab) − v(ac) − v(bc) + v(a) + v(b) + v(c) − v(none)
//! Shapley value    Σ over sets S without c of |S|! (2 − |S|)! / 3! · (v(S ∪ c) − v(S))
//! ```
//!
//! Shapley values (Shapley 1953) add up to the total: an interaction is shared equally by its causes. A share is a Shapley
//! value divided by the total. The model as it is keeps its start tokens, so that its own excess `v(distances, keys) − v(none)`
//! has two causes, and is split between them in the same way.

use serde::{Deserialize, Serialize};

use super::cause::{ByCause, Cause, CauseSet};
use super::paired::{PairedMeans, Share};
use crate::NonFinite;
use crate::effect::MeanEffect;

/// What the eight runs say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factorial {
    /// Number of tokens.
    pub n: usize,
    /// Mean loss by [`CauseSet::index`], in nats per token; `None` where one is not finite.
    pub means: [Option<f64>; CauseSet::COUNT],
    /// Tokens whose loss is NaN or infinite, by [`CauseSet::index`]; positions are indices in the series.
    pub non_finite: [NonFinite; CauseSet::COUNT],
    /// Everything that follows; `None` for fewer than 8 tokens, and where a loss is not finite.
    pub effects: Option<Effects>,
}

/// Effects, in nats per token, each with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    /// All three causes against none.
    pub total: MeanEffect,
    /// Shapley values; they add up to the total.
    pub shapley: ByCause<MeanEffect>,
    /// Shapley values as shares of the total; `None` unless its interval lies above 0.
    pub shares: Option<ByCause<Share>>,
    /// Main effects.
    pub main: ByCause<MeanEffect>,
    /// Interactions of two causes, called by the third one.
    pub pairs_without: ByCause<MeanEffect>,
    /// Interaction of all three.
    pub three_way: MeanEffect,
    /// The model as it is.
    pub vanilla: VanillaEffects,
}

/// The excess of the model as it is, which keeps its start tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VanillaEffects {
    /// Distances and keys against none.
    pub excess: MeanEffect,
    /// Shapley value of unseen distances.
    pub distances: MeanEffect,
    /// Shapley value of the number of keys.
    pub keys: MeanEffect,
    /// Interaction of the two.
    pub interaction: MeanEffect,
    /// Shares of distances and of keys; `None` unless the interval of the excess lies above 0.
    pub shares: Option<[Share; 2]>,
}

type Weights = [f64; CauseSet::COUNT];

impl Factorial {
    /// From `losses`, those of the same tokens in nats, by [`CauseSet::index`]; `seed` draws the blocks.
    ///
    /// Series that differ in length are cut to the shortest.
    pub fn new(losses: [&[f32]; CauseSet::COUNT], seed: u64) -> Self {
        let n = losses.iter().map(|series| series.len()).min().unwrap_or(0);
        let losses = losses.map(|series| &series[..n]);
        let non_finite = losses.map(|series| {
            let mut found = NonFinite::default();
            found.note_all(0, series, |loss| !loss.is_finite());
            found
        });
        let mean = |series: &[f32]| {
            let mean = series.iter().map(|&loss| f64::from(loss)).sum::<f64>() / n as f64;
            Some(mean).filter(|mean| mean.is_finite())
        };
        let effects = PairedMeans::new(&losses, seed).map(|means| Effects::new(&means));
        Self { n, means: losses.map(mean), non_finite, effects }
    }
}

impl Effects {
    fn new(means: &PairedMeans) -> Self {
        let total = difference(CauseSet::FULL, CauseSet::NONE);
        let shapley = |cause| shapley(cause, &Cause::ALL);
        let share = |cause| means.share(&shapley(cause), &total);
        let shares = ByCause::from_fn(share);
        Self {
            total: means.contrast(&total),
            shapley: ByCause::from_fn(|cause| means.contrast(&shapley(cause))),
            shares: match (shares.distances, shares.keys, shares.start) {
                (Some(distances), Some(keys), Some(start)) => Some(ByCause { distances, keys, start }),
                _ => None,
            },
            main: ByCause::from_fn(|cause| means.contrast(&interaction(&[cause], &Cause::ALL))),
            pairs_without: ByCause::from_fn(|third| {
                let pair: Vec<Cause> = Cause::ALL.into_iter().filter(|&cause| cause != third).collect();
                means.contrast(&interaction(&pair, &Cause::ALL))
            }),
            three_way: means.contrast(&interaction(&Cause::ALL, &Cause::ALL)),
            vanilla: VanillaEffects::new(means),
        }
    }
}

impl VanillaEffects {
    fn new(means: &PairedMeans) -> Self {
        const CAUSES: [Cause; 2] = [Cause::Distances, Cause::Keys];
        let excess = difference(CauseSet::VANILLA, CauseSet::NONE);
        let [distances, keys] = CAUSES.map(|cause| shapley(cause, &CAUSES));
        let shares = (means.share(&distances, &excess), means.share(&keys, &excess));
        Self {
            excess: means.contrast(&excess),
            distances: means.contrast(&distances),
            keys: means.contrast(&keys),
            interaction: means.contrast(&interaction(&CAUSES, &CAUSES)),
            shares: match shares {
                (Some(distances), Some(keys)) => Some([distances, keys]),
                _ => None,
            },
        }
    }
}

/// `v(a) − v(b)`.
fn difference(a: CauseSet, b: CauseSet) -> Weights {
    let mut weights = [0.0; CauseSet::COUNT];
    weights[a.index()] += 1.0;
    weights[b.index()] -= 1.0;
    weights
}

/// The sets that have none but `causes`.
fn subsets(causes: &[Cause]) -> impl Iterator<Item = CauseSet> {
    let all = CauseSet::of(causes);
    CauseSet::all().filter(move |set| Cause::ALL.iter().all(|&cause| all.has(cause) || !set.has(cause)))
}

/// The Shapley value of `cause` among `causes`.
fn shapley(cause: Cause, causes: &[Cause]) -> Weights {
    let factorial = |n: usize| (1..=n).product::<usize>() as f64;
    let mut weights = [0.0; CauseSet::COUNT];
    for set in subsets(causes).filter(|set| !set.has(cause)) {
        let weight = factorial(set.len()) * factorial(causes.len() - 1 - set.len()) / factorial(causes.len());
        weights[set.with(cause).index()] += weight;
        weights[set.index()] -= weight;
    }
    weights
}

/// The difference of differences over `of`, mean over the levels of the other `causes`; of one cause its main effect.
fn interaction(of: &[Cause], causes: &[Cause]) -> Weights {
    let levels = (1u32 << (causes.len() - of.len())) as f64;
    let mut weights = [0.0; CauseSet::COUNT];
    for set in subsets(causes) {
        let absent = of.iter().filter(|&&cause| !set.has(cause)).count();
        weights[set.index()] = if absent.is_multiple_of(2) { 1.0 } else { -1.0 } / levels;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::simulated::{autoregressive, is_covered, moving_average};

    /// What each set of causes costs in the simulations, by index.
    type Costs = [f64; 8];

    fn losses(costs: &Costs, n: usize, seed: u64) -> Vec<Vec<f32>> {
        // The text, which costs all runs the same; what a cause does to a token, of either sign, more often a rise, with heavy tails;
        // what a run does by itself.
        let text = autoregressive(n, 0.6, seed * 31);
        let effects: Vec<Vec<f64>> = (1..4)
            .map(|at| {
                moving_average(n, 8, seed * 31 + at).iter().map(|x| x.powi(3) / 2.0 + x * x / 4.0).collect()
            })
            .collect();
        (0..8)
            .map(|set: usize| {
                let own = autoregressive(n, 0.3, seed * 31 + 10 + set as u64);
                let token = |at: usize| {
                    let present = (0..3).filter(|bit| set >> bit & 1 == 1);
                    let noise: f64 = present.map(|bit| effects[bit][at]).sum();
                    (3.0 + 2.0 * text[at] + costs[set] + noise / 2.0 + own[at] / 5.0) as f32
                };
                (0..n).map(token).collect()
            })
            .collect()
    }

    fn factorial(losses: &[Vec<f32>], seed: u64) -> Factorial {
        Factorial::new(std::array::from_fn(|set| losses[set].as_slice()), seed)
    }

    #[test]
    fn effects_of_exact_means_are_those_of_the_definition() {
        // v = 2·d + 1·k + 0.5·s + 0.4·d·k − 0.2·d·k·s
        let costs = |set: usize| {
            let [d, k, s] = [0, 1, 2].map(|bit| f64::from(u8::from(set >> bit & 1 == 1)));
            2.0 * d + k + 0.5 * s + 0.4 * d * k - 0.2 * d * k * s
        };
        let text = autoregressive(300, 0.5, 1);
        let series: Vec<Vec<f32>> =
            (0..8).map(|set| text.iter().map(|x| (x + costs(set)) as f32).collect()).collect();
        let found = factorial(&series, 0).effects.expect("values");
        let close = |effect: MeanEffect, wanted: f64| {
            assert!((effect.mean - wanted).abs() < 1e-6, "{effect:?} {wanted}");
            assert!(effect.half_width() < 1e-6, "{effect:?}");
        };
        close(found.total, 3.7);
        close(found.main.distances, 2.0 + 0.2 - 0.05);
        close(found.main.keys, 1.0 + 0.2 - 0.05);
        close(found.main.start, 0.5 - 0.05);
        close(found.pairs_without.start, 0.4 - 0.1);
        close(found.pairs_without.keys, -0.1);
        close(found.pairs_without.distances, -0.1);
        close(found.three_way, -0.2);
        close(found.shapley.distances, 2.0 + 0.2 - 0.2 / 3.0);
        close(found.shapley.keys, 1.0 + 0.2 - 0.2 / 3.0);
        close(found.shapley.start, 0.5 - 0.2 / 3.0);
        close(found.vanilla.excess, 3.4);
        close(found.vanilla.distances, 2.2);
        close(found.vanilla.keys, 1.2);
        close(found.vanilla.interaction, 0.4);
        let shares = found.shares.expect("an excess");
        let sum: f64 = Cause::ALL.iter().map(|&cause| shares.get(cause).share).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        let [distances, keys] = found.vanilla.shares.expect("an excess");
        assert!((distances.share - 2.2 / 3.4).abs() < 1e-6 && (keys.share - 1.2 / 3.4).abs() < 1e-6);
    }

    #[test]
    fn intervals_cover_known_effects_as_often_as_they_say() {
        const RUNS: u64 = 2000;
        let costs: Costs = [0.0, 0.5, 0.3, 1.0, 0.1, 0.5, 0.5, 1.2];
        // Mean of half of x³/2 + x²/4 for a standard normal x.
        let per_cause = 1.0 / 8.0;
        let v = |set: usize| costs[set] + per_cause * f64::from(set.count_ones());
        let total = v(7) - v(0);
        let keys = (v(2) - v(0)) / 3.0 + (v(3) - v(1) + v(6) - v(4)) / 6.0 + (v(7) - v(5)) / 3.0;
        let three_way = v(7) - v(3) - v(5) - v(6) + v(1) + v(2) + v(4) - v(0);
        let main_start = (v(4) - v(0) + v(5) - v(1) + v(6) - v(2) + v(7) - v(3)) / 4.0;
        let vanilla = ((v(1) - v(0)) + (v(3) - v(2))) / 2.0 / (v(3) - v(0));
        let mut covered = [0; 6];
        for seed in 0..RUNS {
            let found = factorial(&losses(&costs, 800, seed), seed).effects.expect("values");
            let inside = |effect: MeanEffect, truth: f64| effect.low <= truth && truth <= effect.high;
            let share = |share: Share, truth: f64| share.interval[0] <= truth && truth <= share.interval[1];
            let shares = found.shares.expect("an excess");
            let all = [
                inside(found.total, total),
                inside(found.shapley.keys, keys),
                inside(found.three_way, three_way),
                inside(found.main.start, main_start),
                share(shares.keys, keys / total),
                share(found.vanilla.shares.expect("an excess")[0], vanilla),
            ];
            covered.iter_mut().zip(all).for_each(|(count, inside)| *count += usize::from(inside));
        }
        let names = ["total", "Shapley value", "three-way", "main effect", "share", "share of vanilla"];
        for (name, covered) in names.into_iter().zip(covered) {
            is_covered(covered, RUNS as usize, name);
        }
    }

    #[test]
    fn without_an_excess_nothing_is_shared() {
        let text: Vec<f32> = autoregressive(500, 0.5, 1).iter().map(|&x| x as f32).collect();
        let noisy = |seed| -> Vec<f32> {
            let noise = autoregressive(500, 0.2, seed);
            text.iter().zip(noise).map(|(&x, noise)| x + noise as f32 / 10.0).collect()
        };
        let series: Vec<Vec<f32>> = (0..8).map(|set| noisy(100 + set)).collect();
        let found = factorial(&series, 0);
        let effects = found.effects.expect("values");
        assert_eq!((effects.shares, effects.vanilla.shares), (None, None), "{:?}", effects.total);
        assert_eq!(found.n, 500);
    }

    #[test]
    fn a_loss_that_is_not_finite_is_told_of_and_not_averaged() {
        let mut series = losses(&[0.0; 8], 100, 1);
        (series[3][40], series[3][60]) = (f32::NAN, f32::INFINITY);
        let found = factorial(&series, 0);
        assert_eq!((found.effects, found.means[3]), (None, None));
        assert_eq!(found.non_finite[3], NonFinite { count: 2, first: Some(40) });
        assert!(found.means[2].is_some() && !found.non_finite[2].any());
        assert_eq!(factorial(&vec![vec![1.0; 5]; 8], 0).effects, None);
    }
}
