//! The thread: the factorial, then every place alone, and whatever is wanted in between.

use std::collections::BTreeMap;

use lm_infinite::causes::{CauseRuns, Causes, Interventions, Place, smallest_fix};
use lm_infinite::policy::{AttentionPolicy, PolicyMap};
use lm_infinite_analysis::causes::CauseSet;

use super::found::{Found, Mended, Mends, Message, Request};
use super::orders::Orders;
use crate::task::Worker;

/// Seed of the random sets: that of the command.
const SEED: u64 = 0;

/// What is said while a small set is searched.
pub const SEARCHING: &str = "searching a small set";

/// Works until nobody wants more.
pub fn run(request: &Request, orders: &Orders, worker: &Worker<Message>) -> anyhow::Result<()> {
    let Request { inputs, diagnosis, tokens } = request;
    let tokens = inputs.tokens.range(0..*tokens as usize);
    let config = inputs.decoder.config();
    let trained = config.trained_length;
    anyhow::ensure!(
        tokens.len() as u64 > trained,
        "nothing lies beyond the training length of {trained} tokens; {} were given",
        tokens.len()
    );
    let known: Vec<(&AttentionPolicy, &[f32])> = diagnosis
        .runs
        .iter()
        .filter_map(|run| Some((&run.attention, run.arrays.nll.get(..tokens.len() - 1)?)))
        .collect();
    worker.report(|progress| {
        (progress.phase, progress.total) = ("reading under the fix and its parts", tokens.len() as u64)
    });
    let told = |_: &str, position| worker.report(|progress| progress.done = position);
    let runs = CauseRuns::measure(&inputs.decoder, &tokens, &known, &told)?;
    let size = (config.layers, config.heads);
    let mut found = Found {
        causes: Causes::new(&runs)?,
        vanilla: runs.compared(CauseSet::VANILLA).into(),
        fix: runs.compared(CauseSet::NONE).into(),
        size,
        restored: BTreeMap::new(),
        mended: None,
        searched: false,
    };
    let has_excess = found.causes.has_excess();
    if !worker.send(Message::Begun(Box::new(found.clone()))) {
        return Ok(());
    }
    let interventions = Interventions::new(&inputs.decoder, &tokens, &runs)?;
    let places = Found::places(size);
    let mut left = places.iter().copied();
    let mut done = 0;
    while !worker.is_cancelled() {
        if let Some(mends) = orders.take_mends() {
            worker.report(|progress| progress.phase = "mending");
            let losses = losses(&interventions, &mends)?;
            let restored = interventions.restored(&losses);
            worker.send(Message::Mended(Mended { places: mends, losses: losses.into(), restored }));
            continue;
        }
        if let Some(place) = left.next() {
            worker.report(|progress| {
                progress.phase = "layers and heads, one by one";
                (progress.done, progress.total) = (done, places.len() as u64);
            });
            let restored = interventions.restored(&losses(&interventions, &Mends::from([place]))?);
            done += 1;
            found.restored.insert(place, restored);
            worker.send(Message::Place(place, restored));
            continue;
        }
        if orders.take_search() {
            worker.report(|progress| {
                progress.phase = SEARCHING;
                (progress.done, progress.total) = (0, places.len() as u64);
            });
            let told = |done| {
                worker.report(|progress| progress.done = done);
                orders.may_search() && !worker.is_cancelled()
            };
            let fix = if has_excess {
                let measured = found.measured();
                smallest_fix(&interventions, &measured, tokens.len() as u64, SEED, &told)?
            } else {
                None
            };
            // What was given up may be searched again.
            if orders.may_search() && !worker.is_cancelled() {
                worker.send(Message::Smallest(fix));
            }
            continue;
        }
        worker.report(|progress| (progress.phase, progress.done) = ("", progress.total));
        while !worker.is_cancelled() && !orders.wants() {
            orders.wait();
        }
    }
    Ok(())
}

/// Losses of the compared tokens with the fix in these places alone.
fn losses(interventions: &Interventions<'_>, mends: &Mends) -> lm_infinite::Result<Vec<f32>> {
    let as_it_is = PolicyMap::from(interventions.vanilla().clone());
    let map = mends.iter().fold(as_it_is, |map, place| {
        let fix = interventions.fix().clone();
        match *place {
            Place { layer, head: None } => map.with_layer(layer, fix),
            Place { layer, head: Some(head) } => map.with_head(layer, head, fix),
        }
    });
    interventions.losses(&map, mends.first().map_or(0, |place| place.layer))
}
