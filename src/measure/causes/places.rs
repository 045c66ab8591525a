//! The fix in one layer, in one head, and everywhere but in one layer.

use lm_infinite_runtime::policy::PolicyMap;
use serde::{Deserialize, Serialize};

use super::interventions::{Interventions, layer_cost};
use super::restored::Restored;
use crate::error::Result;

/// Multiply-adds for which heads are looked at one by one: ten minutes or so on two cores.
const AFFORDABLE: f64 = 2e13;

/// What the fix restores in each place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Places {
    /// Every layer.
    pub layers: Vec<LayerEffect>,
    /// Every head, by layer; empty where that costs too much.
    pub heads: Vec<HeadEffect>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// One layer. Values are `None` where a loss is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerEffect {
    /// From 0.
    pub layer: usize,
    /// What the fix in this layer alone takes away of the excess.
    pub restored: Option<Restored>,
    /// What comes back of the excess where the fix is in all layers but this one.
    pub lost: Option<Restored>,
}

/// One head. The value is `None` where a loss is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadEffect {
    /// Layer, from 0.
    pub layer: usize,
    /// Head, from 0.
    pub head: usize,
    /// What the fix in this head alone takes away of the excess.
    pub restored: Option<Restored>,
}

/// Runs the fix in every layer alone, in all layers but each, and, where that is affordable, in every head alone. `progress` is
/// told the runs made and all runs.
///
/// # Errors
/// As [`Interventions::losses`].
pub fn measure_places(
    interventions: &Interventions<'_>,
    tokens: u64,
    progress: &dyn Fn(u64, u64),
) -> Result<Places> {
    let begin = std::time::Instant::now();
    let config = interventions.config();
    let (layers, heads) = (config.layers, config.heads);
    let passes = (heads * layers * (layers + 1) / 2) as f64;
    let by_head = passes * layer_cost(config, tokens) <= AFFORDABLE;
    let all = (2 * layers + if by_head { layers * heads } else { 0 }) as u64;
    let mut done = 0;
    let mut count = || {
        done += 1;
        progress(done, all);
    };
    let (vanilla, fix) = (interventions.vanilla(), interventions.fix());
    let (as_it_is, fixed) = (PolicyMap::from(vanilla.clone()), PolicyMap::from(fix.clone()));
    let mut before = interventions.first().clone();
    let mut places = Places { layers: Vec::new(), heads: Vec::new(), seconds: 0.0 };
    for layer in 0..layers {
        let alone = interventions.losses(&as_it_is.clone().with_layer(layer, fix.clone()), layer)?;
        count();
        let left_out = before.losses(&fixed.clone().with_layer(layer, vanilla.clone()))?;
        before.advance(&fixed)?;
        count();
        places.layers.push(LayerEffect {
            layer,
            restored: interventions.restored(&alone),
            lost: interventions.lost(interventions.compared(&left_out)),
        });
        for head in (0..heads).filter(|_| by_head) {
            let losses =
                interventions.losses(&as_it_is.clone().with_head(layer, head, fix.clone()), layer)?;
            places.heads.push(HeadEffect { layer, head, restored: interventions.restored(&losses) });
            count();
        }
    }
    places.seconds = begin.elapsed().as_secs_f64();
    Ok(places)
}
