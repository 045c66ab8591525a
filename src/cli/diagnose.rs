//! `diagnose`, the main job: every policy over the same text, measured and written to a result folder.

use std::ffi::OsString;

use lm_infinite_runtime::corpus;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::{AttentionPolicy, PolicySpec};

use super::args::{Cli, Diagnose, WhichCauses};
use super::inputs::{self, Model};
use super::output::{Output, progress, say};
use super::{budget, causes};
use super::{prediction, task};
use crate::diagnose::{
    Collector, Diagnosis, DiagnosisBuilder, DiagnosisShard, Measurements, RunInput, reference_of_shard,
    run_of_shard,
};
use crate::error::Error;
use crate::evaluate::{ReferenceWindows, evaluate, evaluate_in_segments_after};
use crate::long_run::Shard;
use crate::reference_bias::ReferenceBias;
use crate::results::{RunInfo, Source, Target};

/// Policies that are compared where none are asked for: the model as it is, each part of the fix, and the fix.
const COMPARED: [&str; 5] = ["vanilla", "window", "lambda", "ceiling", "lm-infinite"];

/// Those of them that a part of a text can be read under.
const COMPARED_IN_SHARDS: [&str; 3] = ["window", "lambda", "lm-infinite"];

/// Tokens to feed where the training length does not ask for more.
const SHORTEST: u64 = 4096;

/// Runs the command.
pub fn run(args: &Diagnose, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    let text = inputs::text(&args.text)?;
    // Of a prediction alone nothing is measured beyond the training length, where policies differ.
    let within = args.predict.is_some() && args.tokens.is_none();
    let compared: &[&str] = match args.shard {
        Some(_) => &COMPARED_IN_SHARDS,
        None if within => &COMPARED[..1],
        None => &COMPARED,
    };
    let compared = model.followed(compared);
    let default = (model.trained_length().saturating_mul(3) / 2).max(SHORTEST);
    let most = model.loaded.config.most_tokens();
    let default = default.min(most.unwrap_or(u64::MAX));
    let mut wanted = args.tokens.unwrap_or(if within { model.trained_length() } else { default });
    let mut which_causes = args.causes;
    let mut notes = Vec::new();
    if let Some(most) = most {
        let said = format!(
            "learned, one embedding for each of {most}: no text is longer, so nothing is read beyond them, and policies that change \
             distances (ceiling, lm-infinite) do not apply; windows show what the model loses without old tokens"
        );
        notes.push(Note::new("positions", said));
    }
    let policies = match args.budget {
        None => model.policies(&args.policies, &compared)?,
        Some(budget) => {
            let chosen = budget::choose(&model, budget, (&args.policies, args.tokens), default)?;
            wanted = chosen.tokens;
            if !chosen.causes {
                which_causes = Some(WhichCauses::None);
            }
            notes.push(chosen.note);
            chosen.policies
        }
    };
    if !(args.loss_margin.is_finite() && args.loss_margin >= 0.0) {
        let reason = format!("it must be a number of nats from 0 on; got {}", args.loss_margin);
        return Err(Error::input("--loss-margin", reason).into());
    }
    if args.bucket == Some(0) {
        return Err(Error::input("--bucket", "it must be at least 1 token").into());
    }
    let mut sample =
        model.sample(corpus::tokens(&text, &model.loaded.tokenizer, Some(wanted), args.repeat.seed(cli))?);
    sample.notes.extend(notes);
    say(&sample.notes);
    let tokens = &sample.tokens;
    let documents = sample.document_starts(&model.loaded.tokenizer)?;
    if args.budget.is_none() {
        say(budget::forecast(&model, &policies, tokens.len() as u64)?.as_slice());
    }
    let info = || -> anyhow::Result<RunInfo> {
        Ok(RunInfo::new(
            arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            Source { name: model.loaded.name.clone(), sha256: None },
            Source { name: text.name().to_owned(), sha256: None },
            tokens.len() as u64,
            policies.iter().map(|spec| (spec.label.clone(), spec.policy.clone())),
            cli.seed,
        )
        .with_text(&sample.read, sample.repeated_from, &sample.notes)
        .of_model(model.loaded.digest()?))
    };
    let name = &model.loaded.name;
    // Each refuses an unusable folder before the work, not after it.
    match args.shard {
        None => {
            let target = Target::new::<Diagnosis>(args.out.as_deref(), name)?;
            let plan = Plan { documents, bucket: args.bucket, margin: args.loss_margin };
            let mut diagnosis = diagnose(&model, tokens, &policies, plan)?;
            (diagnosis.repeated_from, diagnosis.notes) = (sample.repeated_from, sample.notes.clone());
            diagnosis.causes = causes::find(&model, tokens, &diagnosis, which_causes, cli.seed)?;
            diagnosis.predicted = args
                .predict
                .map(|longest| {
                    prediction::find(&model, &text, longest, args.loss_margin, args.repeat.seed(cli))
                })
                .transpose()?;
            output.finish(&diagnosis, &info()?, target.path())
        }
        Some(shard) => {
            let target = Target::new::<DiagnosisShard>(args.out.as_deref(), name)?;
            let mut part = measure_shard(&model, tokens, &policies, args.bucket, shard)?;
            part.documents = documents;
            output.finish(&part, &info()?, target.path())
        }
    }
}

/// How losses are judged and shown.
struct Plan {
    /// Positions at which documents start.
    documents: Vec<u64>,
    /// Width of the bins of positions, where it was asked for.
    bucket: Option<u64>,
    /// In nats.
    margin: f64,
}

fn diagnose(model: &Model, tokens: &[u32], policies: &[PolicySpec], plan: Plan) -> anyhow::Result<Diagnosis> {
    let (config, count) = (&model.loaded.config, tokens.len() as u64);
    let window = ReferenceWindows::of(config, count);
    let read = |spec: &PolicySpec| -> anyhow::Result<(RunInput, Measurements)> {
        let mut collector = Collector::new(config, count);
        let bar = progress(&spec.label, count, "tokens");
        let done = |position| bar.set_position(position);
        let run = evaluate(&model.decoder, &spec.policy, tokens, Some(&mut collector), &done)?;
        bar.finish_and_clear();
        let input = RunInput {
            policy: spec.label.clone(),
            attention: spec.policy.clone(),
            nll: run.nll,
            prefill_tokens_per_second: run.prefill_tokens_per_second,
            peak_rss_bytes: run.peak_rss_bytes,
            kv_cache_bytes: run.kv_cache_bytes as u64,
        };
        Ok((input, collector.finish()?))
    };
    // The model's own attention first: the beginning of the text is then not read twice.
    let own = policies.iter().position(|spec| spec.policy == AttentionPolicy::default());
    let own = own.filter(|_| window.first_is_own(tokens.len()));
    let mut known = own.map(|own| read(&policies[own])).transpose()?;
    let losses = known.as_ref().map_or(&[][..], |(input, _)| &input.nll);
    let bar = progress("within the training length", count, "tokens");
    let done = |position| bar.set_position(position);
    let reference =
        evaluate_in_segments_after(&model.decoder, tokens, task::bos(model), window, losses, &done)?;
    let bias = ReferenceBias::measure(&model.decoder, tokens, task::bos(model), window, &reference)?;
    bar.finish_and_clear();
    let mut builder = DiagnosisBuilder::new(&model.loaded.name, config, count, reference, plan.bucket)
        .with_loss_margin(plan.margin)
        .with_documents(plan.documents);
    for (index, spec) in policies.iter().enumerate() {
        let (input, measured) = match known.take_if(|_| own == Some(index)) {
            Some(known) => known,
            None => read(spec)?,
        };
        builder.push(input, measured)?;
    }
    Ok(Diagnosis { reference_bias: bias, ..builder.finish() })
}

fn measure_shard(
    model: &Model,
    tokens: &[u32],
    policies: &[PolicySpec],
    bucket: Option<u64>,
    shard: Shard,
) -> anyhow::Result<DiagnosisShard> {
    let (config, count) = (&model.loaded.config, tokens.len() as u64);
    // The first part could be read under any policy, and could not be joined with another.
    let last = Shard { index: shard.count - 1, ..shard };
    for spec in policies {
        last.begin(count, config.layers, &spec.policy)?;
    }
    let end = shard.part(count).end;
    let bar = progress("within the training length", end, "tokens");
    let done = |position| bar.set_position(position);
    let reference = reference_of_shard(&model.decoder, tokens, task::bos(model), shard, &done)?;
    bar.finish_and_clear();
    let mut runs = Vec::new();
    for spec in policies {
        let bar = progress(&spec.label, end, "tokens");
        let done = |position| bar.set_position(position);
        runs.push(run_of_shard(&model.decoder, tokens, spec, shard, &done)?);
        bar.finish_and_clear();
    }
    Ok(DiagnosisShard {
        model: model.loaded.name.clone(),
        config: config.clone(),
        tokens: count,
        bucket,
        shard,
        documents: Vec::new(),
        runs,
        reference,
    })
}
