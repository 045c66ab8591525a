//! `perplexity --out` and `--resume`: a text of any length, in constant memory, into a result folder.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lm_infinite_runtime::digest::sha256;

use super::args::{Cli, Perplexity};
use super::inputs::{Model, Text};
use super::output::{Output, progress};
use crate::error::Error;
use crate::long_run::{Identity, LongResult, LongRun, LongRunResult, Shard};
use crate::results::{ResultFolder, RunInfo, Source};

/// Linear buckets, about, where their width is not given.
const BUCKETS: u64 = 1024;

/// Runs the command into `folder`.
pub fn run(
    args: &Perplexity,
    cli: &Cli,
    arguments: &[OsString],
    folder: &Path,
    output: &Output,
) -> anyhow::Result<()> {
    let resume = args.resume.is_some();
    let model = Model::load(&args.model)?;
    let text = Text::read(&args.text)?;
    let policies = model.policies(&args.policies, &["lm-infinite".into()])?;
    let (name, trained) = (model.loaded.name.clone(), model.trained_length());
    // One that knows its tokenizer: snapshots are refused under another.
    let decoder = Arc::new(model.loaded.decoder()?);
    let digest = decoder.digest();
    let tokens = match args.tokens {
        Some(tokens) => tokens,
        None => model.loaded.tokenizer.encode(&text.text)?.len() as u64,
    };
    if tokens < 2 {
        return Err(Error::input("--tokens", "at least 2 are needed for one prediction").into());
    }
    let default = (tokens / BUCKETS).max(trained / 8).max(1).next_power_of_two();
    let bucket = args.bucket.unwrap_or(default);
    if bucket == 0 {
        return Err(Error::input("--bucket", "it must be at least 1 token").into());
    }
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let text_sha256 = sha256(text.text.as_bytes());
    let run = LongRun {
        decoder,
        tokenizer: Arc::new(model.loaded.tokenizer),
        text: text.text.into(),
        identity: Identity {
            model: digest.clone(),
            text_sha256: text_sha256.clone(),
            policies: policies.iter().map(|spec| spec.policy.clone()).collect(),
            tokens,
            seed: cli.seed,
            bucket,
            shard,
        },
        snapshot_every: Duration::from_secs_f64(args.snapshot),
    };
    let bar = progress("", shard.part(tokens).end, "tokens");
    let done = |index: usize, position: u64| {
        bar.set_prefix(policies[index].label.clone());
        bar.set_position(position);
    };
    let (workspace, tallies) = run.run(folder, resume, &done)?;
    bar.finish_and_clear();
    let runs = policies.iter().zip(tallies);
    let result = LongResult {
        model: name.clone(),
        trained_length: trained,
        tokens,
        shard,
        runs: runs.map(|(spec, tally)| LongRunResult { policy: spec.label.clone(), tally }).collect(),
    };
    let info = RunInfo::new(
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        Source { name, sha256: Some(digest.whole()) },
        Source { name: text.name, sha256: Some(text_sha256) },
        tokens,
        policies.into_iter().map(|spec| (spec.label, spec.policy)),
        cli.seed,
    )
    .of_model(digest);
    ResultFolder::write(folder, &result, &info)?;
    workspace.finish()?;
    output.write(&format!("{}\nresults in {}", result.summary(), folder.display()), &result.to_json(folder))
}
