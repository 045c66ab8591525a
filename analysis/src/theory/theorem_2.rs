//! Theorem 2 (formal Theorem 1; appendix C): an encoding that tells many distances apart has large logits.
//!
//! **Statement used here.** Let `H = {w(·, ·, d) : d ≤ n}` have pseudo-dimension `r`, let `|w| ≤ S`, and let `M ≥ 2`
//! distances be pairwise more than `ε` apart in L1, `E|w(d) − w(d')| > ε`. Then
//!
//! ```text
//! S ≥ (M/2)^(1/(2r)) · ε/(4e)                (the paper's constants)
//! S ≥ (M/(e(r+1)))^(1/r) · ε/(4e)            (sharper in M)
//! ```
//!
//! **Derivation.** The functions lie in a range of length `B = 2S`. Haussler (1992, theorem 6) bounds a packing by
//! `M ≤ 2·((2eB/ε)·ln(2eB/ε))^r`; with `ln x ≤ x` this is at most `2·(2eB/ε)^(2r)`, which solved for `S` is the first line.
//! Haussler (1995) bounds a packing of sets of VC dimension `r` in the measure of their symmetric difference by
//! `M ≤ e(r+1)(2e/δ)^r`. The sets below the graphs, `{(x, t) : t < f(x)}` with `t` uniform on the range, have VC dimension
//! `r` and symmetric difference `E|f − g|/B`; with `δ = ε/B` that is the second line.
//!
//! **Squared L2**, as the paper writes `μ`: differences are at most `B`, so `E(f − g)² ≤ B·E|f − g|`, and `μ > ε` means L1
//! distance above `ε/B`. In the same way `S ≥ (M/2)^(1/(4r)) · sqrt(ε/(8e))` and `S ≥ (M/(e(r+1)))^(1/(2r)) · sqrt(ε/(8e))`:
//! the exponent halves.
//!
//! **What is wrong as printed.** The paper counts groups of distances that `μ` at level `ε` tells apart, but asks only
//! that groups be close *within*. Single distances always are, so `n + 1` of them always qualify, and a constant `w` (NoPE)
//! would have to explode: see [`printed_bound`] and its test. What is needed is a packing, apart *between*. And with `M = 1`
//! nothing is apart, `w = 0` is allowed and the bound must be 0, though the formula is not.
//!
//! **What it says.** For ALiBi, `r = 1` and `M` at a fixed `ε` grows with `n`: logits grow linearly. For RoPE with bounded
//! q and k, logits are bounded at any distance ([`super::Encoding::rope_limit`]), and the theorem turns round: it caps how
//! many distances can be told apart ([`largest_packing`]). The rise in Fig. 1a is then phases that training never showed,
//! which is measured and not implied.
//!
//! **How much it says.** Two distances alone imply `S ≥ max μ/2`, as `E|w(d) − w(d')| ≤ 2S`. Where `r = 1` the functions
//! are a chain along which L1 distances add up, so `M` of them need `max μ ≥ (M − 1)·ε` and the two alone imply more than
//! the theorem, for any `M`: for ALiBi `m·n/2` against `m·n/(8e²)`. The theorem can only add something where `r > 1` and
//! logits are large on few (q, k), so that differences are small on average. [`Theorem2::two_distances`] is given beside
//! the bounds.

use std::f64::consts::E;

use serde::{Deserialize, Serialize};

use super::encodings::Encoding;
use super::packing::{LogitSamples, Metric};
use super::pseudo_dimension::PseudoDimension;
use crate::error::{Error, Result};

/// Bound and measured supremum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Theorem2 {
    /// How distances were compared.
    pub metric: Metric,
    /// `ε`.
    pub level: f64,
    /// `M`: distances found that are pairwise more than `ε` apart.
    pub packing: usize,
    /// No larger set exists. If not, the bound is for the set that was found, and no less valid.
    pub exact: bool,
    /// `r`, an upper bound.
    pub pseudo_dimension: usize,
    /// Lower bound on `sup |w|`, the paper's constants.
    pub bound: f64,
    /// Lower bound on `sup |w|`, sharper in `M`.
    pub sharp_bound: f64,
    /// What the two distances that are farthest apart imply alone: `max μ/2` in L1, `sqrt(max μ)/2` in squared L2.
    pub two_distances: f64,
    /// `sup |w|` over the samples and distances.
    pub measured: f64,
}

impl Theorem2 {
    /// The theorem on samples of an encoding whose vectors have `head_dim` coordinates, at level `level`.
    pub fn at(
        samples: &LogitSamples,
        encoding: &Encoding,
        head_dim: usize,
        metric: Metric,
        level: f64,
    ) -> Result<Self> {
        if !(level > 0.0 && level.is_finite()) {
            return Err(Error::mismatch("Theorem 2", "a level above 0", level));
        }
        let r = PseudoDimension::of(encoding, head_dim, samples.distances().len()).bound();
        let separations = samples.separations(metric);
        let packing = separations.greedy(level);
        let count = packing.members.len();
        let farthest = separations.diameter();
        Ok(Self {
            metric,
            level,
            packing: count,
            exact: packing.exact,
            pseudo_dimension: r,
            bound: bound(count, r, metric, level),
            sharp_bound: sharp_bound(count, r, metric, level),
            two_distances: match metric {
                Metric::L1 => farthest / 2.0,
                Metric::SquaredL2 => farthest.sqrt() / 2.0,
            },
            measured: samples.supremum(),
        })
    }

    /// The larger of the theorem's two bounds.
    pub fn larger_bound(&self) -> f64 {
        self.bound.max(self.sharp_bound)
    }

    /// Whether the measured supremum is at least all bounds.
    pub fn holds(&self) -> bool {
        // Half of the largest difference may equal the supremum up to rounding.
        self.measured * (1.0 + 1e-12) >= self.larger_bound().max(self.two_distances)
    }
}

/// Lower bound on `sup |w|` from a packing of `packing` distances at pseudo-dimension `r`, with the paper's constants.
///
/// 0 for fewer than two distances, and for `r = 0`, where there is one function and no two distances are apart.
pub fn bound(packing: usize, r: usize, metric: Metric, level: f64) -> f64 {
    from_range(packing, r, metric, level, (packing as f64 / 2.0).powf(1.0 / (2.0 * r as f64)))
}

/// The same by Haussler's bound of 1995; smaller than [`bound`] for few distances, and larger for many.
pub fn sharp_bound(packing: usize, r: usize, metric: Metric, level: f64) -> f64 {
    from_range(packing, r, metric, level, (packing as f64 / (E * (r as f64 + 1.0))).powf(1.0 / r as f64))
}

/// Both bounds have the form `2e·B²/ε ≥ root` in squared L2 and `2e·B/ε ≥ root` in L1, and `S = B/2`.
fn from_range(packing: usize, r: usize, metric: Metric, level: f64, root: f64) -> f64 {
    if packing < 2 || r == 0 {
        return 0.0;
    }
    let range = root * level / (2.0 * E);
    match metric {
        Metric::L1 => range / 2.0,
        Metric::SquaredL2 => range.sqrt() / 2.0,
    }
}

/// The bound as the paper prints it, `(α/2)^(1/(2r)) · ε/(4e)` with `α` groups that are only close within. It is false.
pub fn printed_bound(groups: usize, r: usize, level: f64) -> f64 {
    (groups as f64 / 2.0).powf(1.0 / (2.0 * r as f64)) * level / (4.0 * E)
}

/// The most distances that can be pairwise more than `level` apart in L1 while `|w| ≤ supremum`: the smaller of the two
/// bounds, rounded down. Infinite if it is beyond the floats.
pub fn largest_packing(supremum: f64, r: usize, level: f64) -> f64 {
    if r == 0 || 2.0 * supremum <= level {
        return 1.0;
    }
    let ratio = 4.0 * E * supremum / level;
    let (r, whole) = (r as f64, (ratio * ratio.ln()).powf(r as f64) * 2.0);
    whole.min(E * (r + 1.0) * ratio.powf(r)).floor()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};

    use super::*;
    use crate::testing::{close, normal};

    const DIM: usize = 8;

    fn encodings() -> [Encoding; 4] {
        let biases = (0..32).map(|bucket| 4.0 / (1.0 + f64::from(bucket)) - 2.0).collect();
        [
            Encoding::None,
            Encoding::Alibi { slope: 0.25 },
            Encoding::T5 { biases, max_distance: 128 },
            Encoding::Rope { base: 1e4 },
        ]
    }

    fn samples(encoding: &Encoding, distances: Vec<u64>, seed: u64) -> LogitSamples {
        let vectors = normal(2 * 40, DIM, seed).mapv(f64::from);
        let (queries, keys) = vectors.view().split_at(Axis(0), 40);
        LogitSamples::of(encoding, queries, keys, distances).expect("fits")
    }

    fn holds_for(encoding: &Encoding) -> Vec<Theorem2> {
        let mut all = Vec::new();
        for seed in 0..3 {
            let samples = samples(encoding, (0..200).collect(), seed);
            for metric in [Metric::L1, Metric::SquaredL2] {
                for level in [0.01, 0.1, 0.3, 1.0, 3.0, 30.0] {
                    let result = Theorem2::at(&samples, encoding, DIM, metric, level).expect("a level");
                    assert!(result.holds(), "{result:?}");
                    all.push(result);
                }
            }
        }
        all
    }

    #[test]
    fn theorem_2_packing_bound_holds_for_alibi() {
        let all = holds_for(&encodings()[1]);
        assert!(
            all.iter().any(|result| result.packing > 50 && result.bound > 0.1 && result.sharp_bound > 0.5)
        );
        // On a chain, the theorem never says more than its two ends.
        assert!(all.iter().all(|result| result.larger_bound() <= result.two_distances));
    }

    #[test]
    fn theorem_2_packing_bound_holds_for_rope() {
        let all = holds_for(&encodings()[3]);
        assert!(all.iter().any(|result| result.packing > 100 && result.bound > 0.0));
    }

    #[test]
    fn theorem_2_packing_bound_holds_for_t5() {
        assert!(holds_for(&encodings()[2]).iter().any(|result| result.packing > 10 && result.bound > 0.0));
    }

    #[test]
    fn theorem_2_packing_bound_holds_for_nope_where_it_says_nothing() {
        for result in holds_for(&encodings()[0]) {
            assert_eq!(
                (result.packing, result.bound, result.sharp_bound, result.two_distances),
                (1, 0.0, 0.0, 0.0)
            );
        }
    }

    #[test]
    fn theorem_2_implies_linear_growth_for_alibi() {
        let alibi = &encodings()[1];
        let at = |n: u64, metric| {
            let samples = samples(alibi, (0..n).collect(), 1);
            Theorem2::at(&samples, alibi, DIM, metric, 0.9).expect("a level")
        };
        let (short, long) = (at(128, Metric::L1), at(512, Metric::L1));
        assert!(short.holds() && long.holds());
        assert!((3.9..4.1).contains(&(long.sharp_bound / short.sharp_bound)), "{short:?} {long:?}");
        // ε = 0.9 is told apart by 4 steps of 0.25, so M = n/4 and the bound is 0.9·n/(32e²): a share 1/66 of 0.25·n.
        assert!(close(long.sharp_bound, 0.9 * 512.0 / (32.0 * E * E), 1e-9), "{long:?}");
        // The paper's constants grow like the root, and in squared L2, the metric as printed, like the root of that.
        assert!(close(long.bound / short.bound, 2.0, 0.02));
        let squared = at(512, Metric::SquaredL2).bound / at(128, Metric::SquaredL2).bound;
        assert!(close(squared, 4.0_f64.powf(0.25), 0.02), "{squared}");
    }

    #[test]
    fn theorem_2_as_printed_is_refuted_by_a_constant_logit() {
        let nope = &encodings()[0];
        let samples = samples(nope, (0..1000).collect(), 2);
        let separations = samples.separations(Metric::L1);
        // Every single distance is a group that is close within, at any level.
        let (groups, level) = (samples.distances().len(), 3.0 * samples.supremum());
        assert!((0..groups).all(|d| separations.between(d, d) <= level));
        let printed = printed_bound(groups, 1, level);
        assert!(printed > samples.supremum(), "{printed} over {}", samples.supremum());
        assert!(printed_bound(100 * groups, 1, level) > 9.0 * printed);
        // The packing form counts one distance, and asks for nothing.
        assert_eq!(separations.greedy(0.0).at_most, 1);
        assert_eq!(bound(1, 1, Metric::L1, level), 0.0);
    }

    #[test]
    fn theorem_2_caps_what_bounded_rope_can_tell_apart() {
        let rope = Encoding::Rope { base: 1e4 };
        let vectors = normal(2 * 40, 2, 4).mapv(f64::from);
        let (queries, keys) = vectors.view().split_at(Axis(0), 40);
        let limit = (queries.rows().into_iter().zip(keys.rows()))
            .map(|(q, k)| rope.rope_limit(q, k).expect("fits"))
            .fold(0.0, f64::max);
        let far = (0..300).map(|i| i * i * 1000).collect();
        let samples = LogitSamples::of(&rope, queries, keys, far).expect("fits");
        assert!(samples.supremum() <= limit + 1e-12, "{} over {limit}", samples.supremum());
        assert!(samples.supremum() > 0.9 * limit);
        for level in [0.1, 0.3, 1.0] {
            let greedy = samples.separations(Metric::L1).greedy(level);
            assert!(greedy.members.len() as f64 <= largest_packing(limit, 2, level));
            // Not even with all distances: on one circle, only so many fit.
            assert!(greedy.members.len() < 100, "{}", greedy.members.len());
        }
        assert_eq!((largest_packing(0.4, 2, 1.0), largest_packing(5.0, 0, 1.0)), (1.0, 1.0));
    }

    #[test]
    fn the_bounds_invert_hausslers() {
        for (packing, r) in [(50, 1), (1000, 3), (7, 2)] {
            let ratio = |supremum: f64| 4.0 * E * supremum / 0.2;
            let paper = bound(packing, r, Metric::L1, 0.2);
            assert!(close(2.0 * ratio(paper).powi(2 * r as i32), packing as f64, 1e-9));
            let sharp = sharp_bound(packing, r, Metric::L1, 0.2);
            assert!(close(E * (r as f64 + 1.0) * ratio(sharp).powi(r as i32), packing as f64, 1e-9));
            let squared = bound(packing, r, Metric::SquaredL2, 0.2);
            assert!(close(
                squared,
                (packing as f64 / 2.0).powf(0.25 / r as f64) * (0.2 / (8.0 * E)).sqrt(),
                1e-12
            ));
        }
        let zeros = LogitSamples::new(vec![0, 1], Array2::zeros((3, 2))).expect("finite");
        let nothing =
            Theorem2::at(&zeros, &Encoding::Alibi { slope: 1.0 }, 2, Metric::L1, 1.0).expect("a level");
        assert!(nothing.holds() && nothing.bound == 0.0);
        for level in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Theorem2::at(&zeros, &Encoding::None, 2, Metric::L1, level).is_err());
        }
    }
}
