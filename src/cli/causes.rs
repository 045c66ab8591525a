//! The causes that `diagnose` looks for: the factorial where it is cheap, and everything with `--causes`.

use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::AttentionPolicy;

use super::args::WhichCauses;
use super::inputs::Model;
use super::output::progress;
use crate::causes::{
    CauseRuns, Causes, Interventions, MeasuredHead, TemperatureRemedy, measure_places, predictions,
    smallest_fix,
};
use crate::diagnose::{Diagnosis, HeadReport};

/// Tokens beyond the training length, at least, that causes are looked for with.
const LEAST_BEYOND: u64 = 64;

/// Causes of what `diagnosis` found on `tokens`: every intervention or none, as asked for; without a word the factorial alone, and
/// that only where the runs it needs cost less than the diagnosis did.
pub fn find(
    model: &Model,
    tokens: &[u32],
    diagnosis: &Diagnosis,
    which: Option<WhichCauses>,
    seed: u64,
) -> anyhow::Result<Option<Causes>> {
    if which == Some(WhichCauses::None) {
        return Ok(None);
    }
    let all = which == Some(WhichCauses::All);
    if model.is_bounded() {
        if !all {
            return Ok(None);
        }
        let reason = "they are told apart by policies that change distances, and the model is given none: each position has an \
                      embedding of its own";
        return Err(crate::error::Error::input("--causes", reason).into());
    }
    let trained_length = diagnosis.trained_length;
    let known: Vec<(&AttentionPolicy, &[f32])> =
        diagnosis.runs.iter().map(|run| (&run.attention, run.arrays.nll.as_slice())).collect();
    let policies: Vec<&AttentionPolicy> = known.iter().map(|(policy, _)| *policy).collect();
    let beyond = (tokens.len() as u64).saturating_sub(trained_length);
    if !all && (beyond < LEAST_BEYOND || !is_cheap(diagnosis, &policies)?) {
        return Ok(None);
    }
    let bar = progress("causes", tokens.len() as u64, "tokens");
    let told = |label: &str, position| {
        bar.set_prefix(label.to_owned());
        bar.set_position(position);
    };
    let runs = CauseRuns::measure(&model.decoder, tokens, &known, &told)?;
    bar.finish_and_clear();
    let mut causes = Causes::new(&runs)?;
    if !all {
        return Ok(Some(causes));
    }
    if !causes.has_excess() {
        let said = "layers and heads were not looked at: vanilla does not surely cost more than lm-infinite";
        causes.notes.push(Note::new("causes", said));
        return Ok(Some(causes));
    }
    let bar = progress("temperature", tokens.len() as u64, "tokens");
    causes.temperature =
        TemperatureRemedy::measure(&model.decoder, tokens, &runs, &|position| bar.set_position(position))?;
    bar.finish_and_clear();
    let interventions = Interventions::new(&model.decoder, tokens, &runs)?;
    let bar = progress("layers and heads", 1, "runs");
    let places = measure_places(&interventions, tokens.len() as u64, &|done, of| {
        bar.set_length(of);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if places.heads.is_empty() {
        let said = "so many heads cost too much one by one: layers were looked at, and the smallest fix is one of layers";
        causes.notes.push(Note::new("causes", said));
    }
    let bar = progress("smallest fix", places.layers.len().max(places.heads.len()) as u64, "runs");
    let told = |done| {
        bar.set_position(done);
        true
    };
    let found = smallest_fix(&interventions, &places, tokens.len() as u64, seed, &told)?;
    bar.finish_and_clear();
    let vanilla = diagnosis.runs.iter().find(|run| run.attention == *interventions.vanilla());
    causes.predictions = match vanilla {
        Some(run) if !places.heads.is_empty() => {
            let measured: Vec<_> = run.heads.iter().map(measured).collect();
            predictions(&places.heads, &measured)
        }
        _ => Vec::new(),
    };
    (causes.places, causes.smallest_fix) = (Some(places), found);
    Ok(Some(causes))
}

/// Whether the factorial costs less than the diagnosis did, in passes over the text: one for each policy and, of the reference,
/// as many as its windows overlap.
fn is_cheap(diagnosis: &Diagnosis, known: &[&AttentionPolicy]) -> crate::Result<bool> {
    let reference = diagnosis.reference_window.map_or(1, |windows| windows.length / windows.stride.max(1));
    let done = diagnosis.runs.len() as u64 + reference;
    Ok((CauseRuns::missing(diagnosis.trained_length, known)? as u64) < done)
}

/// What the diagnosis measured of a head under vanilla.
fn measured(head: &HeadReport) -> MeasuredHead {
    MeasuredHead {
        layer: head.layer,
        head: head.head,
        logit_excess: head.largest_logit_excess(),
        entropy_excess: head.entropy_excess.map(|excess| excess.effect.mean),
        start_mass: head.start_mass_inside,
    }
}
