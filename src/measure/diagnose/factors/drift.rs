//! Factor 3: are start tokens that live in a region of their own dropped, or do later states leave theirs?

use lm_infinite_analysis::{NonFinite, Proportion};
use lm_infinite_runtime::policy::AttentionPolicy;
use serde::{Deserialize, Serialize};

use super::super::drift::{START_APART, SiteDrift};
use super::super::onset::TokenOnset;
use super::super::outcome::Outcome;
use super::super::plan::START_TOKENS;
use super::verdict::FactorVerdict;
use crate::words::{grouped, not_finite_from};

/// Share of the later states outside their region that fails.
const MOST: f64 = 0.5;

/// Factor 3. It fails if start tokens have a region of their own (the 95 % interval of the distance of one of them, after some
/// block, lies above 3 times the spread of the others) and the policy drops them; or if from some position on most hidden states
/// lie outside the region that they had within the training length (the interval of their share lies above one half); or if a
/// hidden state is not finite. It holds if the intervals lie below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftFactor {
    /// The rule above. Its effect is the largest share, over layers, of states beyond the training length that left their region;
    /// its onset the position from which start tokens are dropped, which is exact, or the sampled state from which most are
    /// outside, and the one before it; what is not finite are sampled hidden states, of all sites.
    #[serde(flatten)]
    pub verdict: FactorVerdict,
    /// Distance of the farthest start token to the others, largest over layers, in units of their spread. The embedding
    /// does not count: there, a distance is the token's and not the position's.
    pub start_distance: Option<f64>,
    /// Its 95 % interval.
    #[serde(default)]
    pub start_distance_interval: Option<[f64; 2]>,
    /// Start tokens that lie more than 3 times the spread away there.
    #[serde(default)]
    pub starts_apart: Option<usize>,
    /// Blocks passed where it is so far.
    pub start_layer: Option<usize>,
    /// Distance of the mean of all start tokens there.
    pub start_mean_distance: Option<f64>,
    /// Position from which queries no longer see the start tokens.
    pub start_dropped_at: Option<u64>,
    /// The effect of the verdict.
    pub outside_share: Option<f64>,
    /// First position from which most states lie outside, over layers.
    pub leaves_at: Option<u64>,
}

impl DriftFactor {
    pub(in super::super) fn new(
        sites: &[SiteDrift],
        policy: &AttentionPolicy,
        non_finite: NonFinite,
        tokens: u64,
    ) -> Self {
        let farthest = sites
            .iter()
            .filter(|site| site.layer > 0)
            .filter_map(|site| Some((site.farthest_start?, site)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let interval = farthest.map(|(distance, site)| site.farthest_interval.unwrap_or([distance; 2]));
        // Query i sees key 0 through the window up to i = window − 1.
        let windowed = policy.window.filter(|_| policy.start == 0);
        let dropped =
            windowed.or(policy.dropped.map(|dropped| dropped.beyond)).filter(|&beyond| beyond < tokens);
        let start = match (interval, dropped) {
            (None, _) => Outcome::Undecided,
            (Some([low, _]), Some(_)) if low > START_APART => Outcome::Fails,
            (Some([low, high]), Some(_)) if (low..=high).contains(&START_APART) => Outcome::Undecided,
            _ => Outcome::Holds,
        };
        let outside: Option<Proportion> =
            sites.iter().filter_map(|site| site.outside).max_by(|a, b| a.share.total_cmp(&b.share));
        let leaving = sites.iter().filter(|site| site.leaves.is_some()).min_by_key(|site| site.leaves_at);
        let later = match leaving.and_then(|site| site.outside_since) {
            Some(since) if since.low > MOST => Outcome::Fails,
            Some(since) if since.high >= MOST => Outcome::Undecided,
            None if outside.is_none() => Outcome::Undecided,
            _ => Outcome::Holds,
        };
        let either = |outcome| [start, later].contains(&outcome);
        let outcome = if non_finite.any() {
            Outcome::NotFinite
        } else if either(Outcome::Fails) {
            Outcome::Fails
        } else if either(Outcome::Undecided) {
            Outcome::Undecided
        } else {
            Outcome::Holds
        };
        let exactly = dropped.filter(|_| start == Outcome::Fails).map(TokenOnset::exactly);
        let leaves = leaving.filter(|_| later == Outcome::Fails).and_then(|site| site.leaves);
        let onset = [exactly, leaves].into_iter().flatten().min_by_key(|onset| onset.at);
        let told = format!("{}{}", start_words(farthest, interval, dropped), later_words(leaving, outside));
        let words = match outcome {
            Outcome::NotFinite => format!(
                "{}: {} sampled hidden states (over all layers) are NaN or infinite; {told}",
                not_finite_from("position", non_finite.first),
                grouped(non_finite.count)
            ),
            _ => format!("{outcome}: {told}"),
        };
        Self {
            verdict: FactorVerdict {
                words,
                effect: outside.map(|share| share.share),
                interval: outside.map(|share| [share.low, share.high]),
                ..FactorVerdict::new(outcome, onset, non_finite)
            },
            start_distance: farthest.map(|(distance, _)| distance),
            start_distance_interval: interval,
            starts_apart: farthest.map(|(_, site)| site.starts_apart),
            start_layer: farthest.map(|(_, site)| site.layer),
            start_mean_distance: farthest.and_then(|(_, site)| site.start_distance),
            start_dropped_at: dropped,
            outside_share: outside.map(|share| share.share),
            leaves_at: leaving.and_then(|site| site.leaves_at),
        }
    }
}

fn start_words(
    farthest: Option<(f64, &SiteDrift)>,
    interval: Option<[f64; 2]>,
    dropped: Option<u64>,
) -> String {
    let Some((distance, site)) = farthest else {
        return "start tokens not measured (too few states within the training length)".to_owned();
    };
    let interval = interval.map_or(String::new(), |[low, high]| format!(" ({low:.1} to {high:.1})"));
    let fate = match dropped {
        Some(position) => format!("are dropped from position {}", grouped(position)),
        None => "stay attended".to_owned(),
    };
    let lie = if site.starts_apart == 1 { "1 lies".to_owned() } else { format!("{} lie", site.starts_apart) };
    format!(
        "of the first {START_TOKENS} tokens {lie} more than {START_APART}× the spread of the others away, the farthest \
         {distance:.1}×{interval}, after block {}; they {fate}",
        site.layer
    )
}

fn later_words(leaving: Option<&SiteDrift>, outside: Option<Proportion>) -> String {
    let percent = |share: Proportion| {
        format!(
            "{:.0} % ({:.0} to {:.0}) outside",
            share.share * 100.0,
            share.low * 100.0,
            share.high * 100.0
        )
    };
    let left = leaving.and_then(|site| Some((site.leaves?, site.outside_since?)));
    match (left, outside) {
        (Some((leaves, since)), _) => format!(
            "; later states leave their region from position {} ({} to {}): {} from there on",
            grouped(leaves.at),
            grouped(leaves.interval[0]),
            grouped(leaves.interval[1]),
            percent(since)
        ),
        (None, Some(share)) => format!("; later states stay in their region: {}", percent(share)),
        (None, None) => "; no state beyond the training length".to_owned(),
    }
}
