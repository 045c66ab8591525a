//! Causes in the folder of a diagnosis: `causes.json`, and tables of shares, layers and heads.

use std::path::Path;

use lm_infinite_analysis::causes::{Cause, Share};
use lm_infinite_analysis::effect::MeanEffect;

use super::store::{from_json, save, to_json};
use super::tables::Table;
use crate::causes::{Causes, Restored};
use crate::error::Result;

const FILE: &str = "causes.json";

/// Writes them into `folder`.
pub fn write(folder: &Path, causes: &Causes) -> Result<()> {
    to_json(&folder.join(FILE), causes, true)?;
    save(&folder.join("causes_shares.csv"), &shares(causes))?;
    save(&folder.join("causes_heads.csv"), &places(causes))
}

/// Reads them, where the folder has them.
pub fn read(folder: &Path) -> Result<Option<Causes>> {
    let path = folder.join(FILE);
    path.is_file().then(|| from_json(&path)).transpose()
}

/// Effects of every cause and of causes together.
fn shares(causes: &Causes) -> String {
    let mut table =
        Table::new("excess,effect,nats,nats_low,nats_high,share,share_low,share_high,tokens,block_tokens");
    let Some(effects) = &causes.factorial.effects else { return table.text() };
    let mut row = |excess: &str, name: &str, effect: &MeanEffect, share: Option<Share>| {
        let ends = share.map_or(",,".to_owned(), |share| {
            format!("{},{},{}", share.share, share.interval[0], share.interval[1])
        });
        let MeanEffect { mean, low, high, n, block } = effect;
        table.row(excess, &format!("{name},{mean},{low},{high},{ends},{n},{block}"));
    };
    let vanilla = &effects.vanilla;
    let of = |at: usize| vanilla.shares.map(|shares| shares[at]);
    row("vanilla", "total", &vanilla.excess, None);
    row("vanilla", "distances", &vanilla.distances, of(0));
    row("vanilla", "keys", &vanilla.keys, of(1));
    row("vanilla", "distances × keys", &vanilla.interaction, None);
    if let Some(remedy) = &causes.temperature {
        row("ceiling", "fewer keys", &remedy.fewer_keys, None);
        row("ceiling", "temperature", &remedy.restored, remedy.share);
    }
    row("no-start", "total", &effects.total, None);
    for cause in Cause::ALL {
        let share = effects.shares.as_ref().map(|shares| *shares.get(cause));
        row("no-start", name(cause), effects.shapley.get(cause), share);
    }
    for cause in Cause::ALL {
        row("no-start", &format!("main effect of {}", name(cause)), effects.main.get(cause), None);
    }
    for third in Cause::ALL {
        let pair: Vec<_> = Cause::ALL.into_iter().filter(|&cause| cause != third).map(name).collect();
        row("no-start", &pair.join(" × "), effects.pairs_without.get(third), None);
    }
    row("no-start", "distances × keys × start", &effects.three_way, None);
    table.text()
}

fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::Distances => "distances",
        Cause::Keys => "keys",
        Cause::Start => "start",
    }
}

/// What the fix restores in each place.
fn places(causes: &Causes) -> String {
    let mut table = Table::new(
        "intervention,layer,head,restored_nats,restored_nats_low,restored_nats_high,share,share_low,share_high,\
         in_smallest_fix",
    );
    let Some(places) = &causes.places else { return table.text() };
    let chosen = |layer: usize, head: Option<usize>| {
        let fix = causes.smallest_fix.as_ref()?;
        Some(fix.places.iter().any(|place| (place.layer, place.head) == (layer, head)))
    };
    let mut row = |what: &str, place: String, restored: Option<Restored>, chosen: Option<bool>| {
        let values = restored.map_or(",,,,,".to_owned(), |Restored { nats, share }| {
            let [low, high] = share.interval;
            format!("{},{},{},{},{low},{high}", nats.mean, nats.low, nats.high, share.share)
        });
        let chosen = chosen.map_or("", |chosen| if chosen { "1" } else { "0" });
        table.row(what, &format!("{place},{values},{chosen}"));
    };
    for effect in &places.layers {
        let place = format!("{},", effect.layer);
        row("fix in one layer", place.clone(), effect.restored, chosen(effect.layer, None));
        row("lost without the fix in one layer", place, effect.lost, None);
    }
    for effect in &places.heads {
        let place = format!("{},{}", effect.layer, effect.head);
        row("fix in one head", place, effect.restored, chosen(effect.layer, Some(effect.head)));
    }
    table.text()
}
