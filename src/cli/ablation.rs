//! `ablation`: what each part of the fix is worth.

use std::ffi::OsString;

use lm_infinite_runtime::corpus;

use super::args::{AblationArgs, Cli};
use super::inputs::{self, Model};
use super::output::{Output, progress, say};
use crate::ablation::{Ablation, AblationPlan, ablation};
use crate::results::{RunInfo, Source, Target};

/// Policies that are compared where none are asked for: nothing, each part of the fix, the fix, and what others do.
const COMPARED: [&str; 6] = ["vanilla", "window", "lambda", "ceiling", "lm-infinite", "streaming-llm"];

/// Training lengths to a segment.
const TIMES: u64 = 16;

/// Runs the command.
pub fn run(args: &AblationArgs, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    let text = inputs::text(&args.text)?;
    let target = Target::new::<Ablation>(args.out.as_deref(), &model.loaded.name)?;
    let policies = model.policies(&args.policies, &model.followed(&COMPARED))?;
    let length = args.tokens.unwrap_or(model.trained_length().saturating_mul(TIMES));
    let plan = AblationPlan {
        policies: policies.clone(),
        tokens: usize::try_from(length).unwrap_or(usize::MAX),
        segments: args.segments as usize,
        seed: cli.seed,
    };
    let tokenizer = &model.loaded.tokenizer;
    let sample = corpus::pool(
        &text,
        tokenizer,
        length.saturating_mul(args.segments.into()).max(2),
        args.repeat.seed(cli),
    )?;
    let sample = model.sample(sample);
    say(&sample.notes);
    let tokens = sample.without_bos(tokenizer);
    let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
    let bar = progress("ablation", (plan.policies.len() * plan.segments) as u64, "runs");
    let mut result = ablation(&model.loaded.name, &model.decoder, tokens, bos, &plan, &|| bar.inc(1))?;
    bar.finish_and_clear();
    result.repeated_from = sample.repeated_from;
    result.notes.splice(0..0, sample.notes.iter().cloned());
    let info = RunInfo::new(
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        Source { name: model.loaded.name.clone(), sha256: None },
        Source { name: text.name().to_owned(), sha256: None },
        length,
        policies.into_iter().map(|spec| (spec.label, spec.policy)),
        cli.seed,
    )
    .with_text(&sample.read, sample.repeated_from, &sample.notes)
    .of_model(model.loaded.digest()?);
    output.finish(&result, &info, target.path())
}
