//! `perplexity --out` and `--resume`: a text of any length, in constant memory, into a result folder.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lm_infinite_runtime::corpus;
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::text::Text;

use super::args::{Cli, Perplexity};
use super::inputs::Model;
use super::interrupt::Interrupt;
use super::output::{Output, progress, say};
use crate::error::Error;
use crate::long_run::{Identity, LongResult, LongRun, LongRunResult, Shard};
use crate::results::{RunInfo, Source};

/// Linear buckets, about, where their width is not given.
const BUCKETS: u64 = 1024;

/// Runs the command into `folder`.
pub fn run(
    args: &Perplexity,
    cli: &Cli,
    arguments: &[OsString],
    folder: &Path,
    text: &Text,
    output: &Output,
) -> anyhow::Result<()> {
    let resume = args.resume.is_some();
    let mut model = Model::load(&args.model)?.with_precision(args.precision);
    if args.policies.is_empty() {
        model.loaded.notes.extend(model.unfollowed(&["lm-infinite"]));
    }
    let policies = model.policies(&args.policies, &model.followed(&["lm-infinite"]))?;
    let (name, trained) = (model.loaded.name.clone(), model.trained_length());
    // One that knows its tokenizer: snapshots are refused under another.
    let tokenizer = model.loaded.tokenizer_sha256()?;
    let decoder = Arc::new(Decoder::clone(&model.decoder).with_tokenizer_sha256(tokenizer));
    let (digest, precision) = (decoder.digest(), decoder.precision());
    let tokens = match args.tokens {
        Some(tokens) => tokens,
        None => corpus::count(text, &model.loaded.tokenizer)?,
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
    // Refused before the folder is touched, and before hours of another policy.
    for spec in &policies {
        shard.begin_of(tokens, decoder.config().layers, &spec.policy, &spec.label)?;
    }
    // What shards have in common is the whole text; other runs say how much of it they read.
    let whole = if shard == Shard::WHOLE { None } else { Some(text.digest()?) };
    let run = LongRun {
        decoder,
        tokenizer: Arc::new(model.loaded.tokenizer),
        text: text.clone(),
        identity: Identity {
            model: digest.clone(),
            text_sha256: whole.as_ref().map(|read| read.sha256.clone()),
            policies: policies.iter().map(|spec| spec.policy.clone()).collect(),
            tokens,
            seed: cli.seed,
            bucket,
            shard,
            precision,
        },
        snapshot_every: Duration::from_secs_f64(args.snapshot),
    };
    let bar = progress("", shard.part(tokens).end, "tokens");
    let done = |index: usize, position: u64| {
        bar.set_prefix(policies[index].label.clone());
        bar.set_position(position);
    };
    let interrupt = Interrupt::listen("saving");
    let finished = run.run(folder, resume, &done, &|| interrupt.asked())?;
    bar.finish_and_clear();
    let Some((workspace, totals)) = finished else {
        let folder = folder.display();
        anyhow::bail!(
            "stopped; what was read is saved: go on with the same options and `--resume {folder}` in place of `--out`"
        );
    };
    let read = whole.or(totals.first().map(|totals| totals.mark.text.clone())).unwrap_or_default();
    let repeated_from = totals.iter().find_map(|totals| totals.mark.repeats_from);
    let mut notes = model.loaded.notes.clone();
    notes.extend(text.notes());
    notes.extend(corpus::length_note(tokens, Some(tokens), repeated_from, Some(cli.seed)));
    say(&notes);
    let result = LongResult {
        model: name.clone(),
        trained_length: trained,
        tokens,
        shard,
        notes: notes.clone(),
        runs: policies
            .iter()
            .zip(totals)
            .map(|(spec, totals)| LongRunResult { policy: spec.label.clone(), totals })
            .collect(),
    };
    let info = RunInfo::new(
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        Source { name, sha256: Some(digest.whole()) },
        Source { name: text.name().to_owned(), sha256: None },
        tokens,
        policies.into_iter().map(|spec| (spec.label, spec.policy)),
        cli.seed,
    )
    .with_text(&read, repeated_from, &notes)
    .with_precision(precision)
    .of_model(digest);
    output.finish_after(&result, &info, folder, || workspace.finish())
}
