//! `diagnose`, the main job: every policy over the same text, measured and written to a result folder.

use std::ffi::OsString;

use lm_infinite_runtime::corpus;

use super::args::{Cli, Diagnose};
use super::inputs::{self, Model};
use super::output::{Output, progress, say};
use crate::diagnose::{Collector, DiagnosisBuilder, RunInput};
use crate::error::Error;
use crate::evaluate::{evaluate, evaluate_in_segments};
use crate::results::{self, RunInfo, Source};

/// Policies that are compared where none are asked for: the model as it is, each part of the fix, and the fix.
const COMPARED: [&str; 5] = ["vanilla", "window", "lambda", "ceiling", "lm-infinite"];

/// Tokens to feed where the training length does not ask for more.
const SHORTEST: u64 = 4096;

/// Runs the command.
pub fn run(args: &Diagnose, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    let text = inputs::text(&args.text)?;
    let policies = model.policies(&args.policies, &COMPARED.map(str::to_owned))?;
    if args.bucket == Some(0) {
        return Err(Error::input("--bucket", "it must be at least 1 token").into());
    }
    let wanted = args.tokens.unwrap_or((model.trained_length().saturating_mul(3) / 2).max(SHORTEST));
    let sample = corpus::tokens(&text, &model.loaded.tokenizer, Some(wanted), args.repeat.seed(cli))?;
    say(&sample.notes);
    let tokens = &sample.tokens;
    // Refuses an unusable folder before the work, not after it.
    let folder = args.out.clone().unwrap_or_else(|| results::default_folder(&model.loaded.name));
    results::check_target(&folder)?;
    let config = &model.loaded.config;
    let bar = progress("within the training length", tokens.len() as u64, "tokens");
    let bos = model.loaded.tokenizer.bos().filter(|_| model.loaded.tokenizer.adds_bos());
    let trained = model.trained_length();
    let done = |position| bar.set_position(position);
    let reference = evaluate_in_segments(&model.decoder, tokens, bos, trained, &done)?;
    bar.finish_and_clear();
    let mut builder =
        DiagnosisBuilder::new(&model.loaded.name, config, tokens.len() as u64, reference, args.bucket);
    for spec in &policies {
        let mut collector = Collector::new(config, tokens.len() as u64);
        let bar = progress(&spec.label, tokens.len() as u64, "tokens");
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
        builder.push(input, collector.finish()?)?;
    }
    let mut diagnosis = builder.finish();
    (diagnosis.repeated_from, diagnosis.notes) = (sample.repeated_from, sample.notes.clone());
    let info = RunInfo::new(
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        Source { name: model.loaded.name.clone(), sha256: None },
        Source { name: text.name().to_owned(), sha256: None },
        tokens.len() as u64,
        policies.into_iter().map(|spec| (spec.label, spec.policy)),
        cli.seed,
    )
    .with_text(&sample.read, sample.repeated_from, &sample.notes)
    .of_model(model.loaded.digest()?);
    results::write(&folder, &diagnosis, &info)?;
    let words = format!("{}\nresults in {}", diagnosis.summary(), folder.display());
    output.write(&words, &diagnosis.to_json(Some(&folder)))
}
