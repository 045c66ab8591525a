//! A small set of heads, or of layers, whose fix restores almost all of the excess.
//!
//! Forward: the place whose fix restores most is added, until [`TARGET`] of the excess is restored. What a place adds is measured
//! anew only while it may be the best by what it added last (lazy greedy, Minoux 1978). Backward: a place without which the
//! target is still reached is taken out. The set is one that suffices, small but perhaps not the smallest. Random sets of the same
//! size tell how much the choice matters. Set and share come from the same tokens, so that the share leans upwards a little.

use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::policy::{AttentionPolicy, PolicyMap};
use lm_infinite_runtime::random;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::interventions::Interventions;
use super::places::Places;
use super::restored::Restored;
use crate::error::Result;

/// Share of the excess that the set is to restore.
pub(super) const TARGET: f64 = 0.95;

/// Random sets that it is compared with.
const DRAWS: usize = 8;

/// A set of places to fix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SmallestFix {
    /// The places, in the order in which they were added.
    pub places: Vec<Place>,
    /// Number of places that it was chosen from: all heads, or all layers of a model with so many heads that trying them
    /// costs too much.
    pub of: usize,
    /// What their fix takes away of the excess.
    pub restored: Restored,
    /// Random sets of the same size.
    pub random: Option<RandomSets>,
    /// Bytes of keys and values after the text under vanilla.
    pub cache_bytes_vanilla: u64,
    /// Bytes that are needed where these places are fixed, if each key/value head keeps what its query heads read.
    pub cache_bytes: u64,
    /// Pairs of query and key that are attended, as a share of those under vanilla.
    pub attended_share: f64,
    /// Runs that the search made.
    pub runs: u64,
}

/// A head or a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// From 0.
    pub layer: usize,
    /// From 0; `None`: all heads of the layer.
    pub head: Option<usize>,
}

/// What random sets of the same size restore, as shares of the excess.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomSets {
    /// Number of sets.
    pub draws: usize,
    /// Mean.
    pub mean: f64,
    /// Smallest and largest.
    pub range: [f64; 2],
}

/// Searches a set of heads, or of layers where `places` has no heads. `None` where a loss is not finite, so that no set can be
/// told to suffice. `seed` draws the random sets; `progress` is told the runs made, and says whether to go on: where it does not, there
/// is no set either.
///
/// # Errors
/// As [`Interventions::losses`].
pub fn smallest_fix(
    interventions: &Interventions<'_>,
    places: &Places,
    tokens: u64,
    seed: u64,
    progress: &dyn Fn(u64) -> bool,
) -> Result<Option<SmallestFix>> {
    let heads = places
        .heads
        .iter()
        .map(|effect| (Place { layer: effect.layer, head: Some(effect.head) }, effect.restored));
    let layers =
        places.layers.iter().map(|effect| (Place { layer: effect.layer, head: None }, effect.restored));
    let singles: Vec<_> = if places.heads.is_empty() { layers.collect() } else { heads.collect() };
    let mut search = Search { interventions, runs: 0, progress };
    // Places with what they added when it was last measured, the best last.
    let mut left: Vec<(Place, f64)> = Vec::new();
    for (place, restored) in &singles {
        let Some(restored) = restored else { return Ok(None) };
        left.push((*place, restored.share.share));
    }
    let mut chosen: Vec<Place> = Vec::new();
    let mut reached = 0.0;
    while reached < TARGET {
        left.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let Some((place, mut gain)) = left.pop() else { break };
        if !chosen.is_empty() {
            let Some(now) = search.share(&with(&chosen, place))? else { return Ok(None) };
            gain = now - reached;
            if left.last().is_some_and(|next| next.1 > gain) {
                left.push((place, gain));
                continue;
            }
        }
        chosen.push(place);
        reached += gain;
    }
    // The last one was needed to reach the target.
    let mut at = 0;
    while at + 1 < chosen.len() {
        let mut without = chosen.clone();
        without.remove(at);
        match search.share(&without)? {
            Some(share) if share >= TARGET => chosen = without,
            Some(_) => at += 1,
            None => return Ok(None),
        }
    }
    let Some(restored) = search.restored(&chosen)? else { return Ok(None) };
    let all: Vec<Place> = singles.iter().map(|(place, _)| *place).collect();
    let random = search.random(&all, chosen.len(), seed)?;
    let config = interventions.config();
    let map = interventions.map(&chosen);
    let (cache_bytes, pairs) = cost(config, &map, tokens);
    let (cache_bytes_vanilla, all_pairs) = cost(config, &interventions.map(&[]), tokens);
    Ok(Some(SmallestFix {
        places: chosen,
        of: all.len(),
        restored,
        random,
        cache_bytes_vanilla,
        cache_bytes,
        attended_share: pairs as f64 / all_pairs.max(1) as f64,
        runs: search.runs,
    }))
}

impl Interventions<'_> {
    /// Vanilla with the fix in `places`.
    fn map(&self, places: &[Place]) -> PolicyMap {
        places.iter().fold(PolicyMap::from(self.vanilla().clone()), |map, place| match place.head {
            Some(head) => map.with_head(place.layer, head, self.fix().clone()),
            None => map.with_layer(place.layer, self.fix().clone()),
        })
    }
}

struct Search<'a, 'b> {
    interventions: &'a Interventions<'b>,
    runs: u64,
    progress: &'a dyn Fn(u64) -> bool,
}

impl Search<'_, '_> {
    fn restored(&mut self, places: &[Place]) -> Result<Option<Restored>> {
        let first = places.iter().map(|place| place.layer).min().unwrap_or(0);
        let losses = self.interventions.losses(&self.interventions.map(places), first)?;
        self.runs += 1;
        let goes_on = (self.progress)(self.runs);
        Ok(self.interventions.restored(&losses).filter(|_| goes_on))
    }

    fn share(&mut self, places: &[Place]) -> Result<Option<f64>> {
        Ok(self.restored(places)?.map(|restored| restored.share.share))
    }

    /// Random sets of `size` of `all`; `None` where one of them is not finite, or there is but one set of this size.
    fn random(&mut self, all: &[Place], size: usize, seed: u64) -> Result<Option<RandomSets>> {
        if size == 0 || size >= all.len() {
            return Ok(None);
        }
        let mut shares = Vec::new();
        for draw in 0..DRAWS {
            let mut order = all.to_vec();
            let mut generator = random::stream(random::Purpose::Intervention, seed, &[draw as u64]);
            order.shuffle(&mut generator);
            let Some(share) = self.share(&order[..size])? else { return Ok(None) };
            shares.push(share);
        }
        let range = shares.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], &share| {
            [low.min(share), high.max(share)]
        });
        Ok(Some(RandomSets { draws: DRAWS, mean: shares.iter().sum::<f64>() / DRAWS as f64, range }))
    }
}

fn with(places: &[Place], more: Place) -> Vec<Place> {
    places.iter().copied().chain([more]).collect()
}

/// Bytes of keys and values that are needed after `tokens` tokens, each key/value head for itself, and the pairs of query and
/// key that all heads attend.
fn cost(config: &ModelConfig, map: &PolicyMap, tokens: u64) -> (u64, u64) {
    let per_key = 2 * config.kv.bytes() as u64 * config.head_dim as u64;
    let held = |policy: &AttentionPolicy| policy.kept_keys().map_or(tokens, |kept| kept.min(tokens));
    let attended = |policy: &AttentionPolicy| match policy.kept_keys() {
        // The first queries see what there is.
        Some(kept) => {
            let short = kept.min(tokens);
            short * (short + 1) / 2 + (tokens - short) * kept
        }
        None => tokens * (tokens + 1) / 2,
    };
    let policy = |layer, head| map.at(layer, head).within(config.own_window(layer));
    let group = config.group();
    let (mut bytes, mut pairs) = (0, 0);
    for layer in 0..config.layers {
        for kv_head in 0..config.kv_heads {
            let heads = kv_head * group..(kv_head + 1) * group;
            bytes += per_key * heads.clone().map(|head| held(&policy(layer, head))).max().unwrap_or(0);
            pairs += heads.map(|head| attended(&policy(layer, head))).sum::<u64>();
        }
    }
    (bytes, pairs)
}
