//! `perplexity`: the loss by position.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use lm_infinite_analysis::nll::NllByPosition;
use lm_infinite_runtime::corpus;
use lm_infinite_runtime::files::Sink;
use ndarray::Array2;
use serde_json::{Value, json};

use super::args::{Cli, Perplexity};
use super::inputs::{self, Model};
use super::long_perplexity;
use super::output::{Output, progress, say};
use crate::error::Error;
use crate::evaluate::{Evaluation, evaluate};
use crate::long_run::LongResult;
use crate::results::Target;
use crate::words::{bucket_json, loss, loss_and_perplexity};

/// From this many tokens on a run is a long one, whatever was asked for: its tokens and losses would fill the memory.
const LONG: u64 = 4 << 20;

/// Most lines of buckets in words, unless their width was asked for; the JSON object has them all.
const LINES: u64 = 40;

/// Runs the command.
pub fn run(args: &Perplexity, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    if let Some(folder) = &args.resume {
        return long_perplexity::run(args, cli, arguments, folder, &inputs::text(&args.text)?, output);
    }
    let long =
        args.shard.is_some() || args.per_token.is_none() && args.tokens.is_some_and(|tokens| tokens >= LONG);
    let text = inputs::text(&args.text)?;
    if args.out.is_some() || long {
        let target = Target::new::<LongResult>(args.out.as_deref(), &args.model.model)?;
        return long_perplexity::run(args, cli, arguments, target.path(), &text, output);
    }
    if let Some(place) = &args.per_token {
        refuse_own_input(place, args)?;
    }
    // Refuses a place that cannot be written before the work, not after it.
    let per_token = args.per_token.as_deref().map(Sink::open).transpose()?;
    let mut model = Model::load(&args.model)?.with_precision(args.precision);
    if args.policies.is_empty() {
        model.loaded.notes.extend(model.unfollowed(&["lm-infinite"]));
    }
    let policies = model.policies(&args.policies, &model.followed(&["lm-infinite"]))?;
    let tokenizer = &model.loaded.tokenizer;
    let sample = match (args.tokens, &args.per_token) {
        (None, None) => corpus::at_most(&text, tokenizer, LONG)?,
        (wanted, _) => corpus::tokens(&text, tokenizer, wanted, args.repeat.seed(cli))?,
    };
    let sample = model.sample(sample);
    let tokens = &sample.tokens;
    if args.tokens.is_none() && args.per_token.is_none() && tokens.len() as u64 >= LONG {
        let target = Target::new::<LongResult>(None, &args.model.model)?;
        return long_perplexity::run(args, cli, arguments, target.path(), &text, output);
    }
    say(&sample.notes);
    let bucket = args.bucket.unwrap_or((model.trained_length() / 8).max(1));
    if bucket == 0 {
        return Err(Error::input("--bucket", "it must be at least 1 token").into());
    }
    let count = tokens.len() as u64;
    let joined = count.div_ceil(bucket).div_ceil(LINES).max(1).next_power_of_two();
    let line = args.bucket.unwrap_or(bucket.saturating_mul(joined));
    let mut words: String = sample.notes.iter().map(|note| format!("{note}\n")).collect();
    let (mut runs, mut rows) = (Vec::new(), Vec::new());
    for spec in &policies {
        let bar = progress(&spec.label, tokens.len() as u64, "tokens");
        let done = |position| bar.set_position(position);
        let evaluation = evaluate(&model.decoder, &spec.policy, tokens, None, &done)?;
        bar.finish_and_clear();
        let mut losses = NllByPosition::new(bucket);
        losses.extend(1, &evaluation.nll);
        runs.push(to_json(&spec.label, &evaluation, &losses, count));
        describe(&mut words, &spec.label, &evaluation, &losses, (count, line))?;
        if per_token.is_some() {
            rows.push(evaluation.nll);
        }
    }
    if let Some(sink) = per_token {
        let columns = tokens.len() - 1;
        let flat: Vec<f32> = rows.concat();
        let mut bytes = Vec::new();
        let written = if policies.len() == 1 {
            ndarray_npy::WriteNpyExt::write_npy(&ndarray::Array1::from(flat), &mut bytes)
        } else {
            let rows = Array2::from_shape_vec((policies.len(), columns), flat)?;
            ndarray_npy::WriteNpyExt::write_npy(&rows, &mut bytes)
        };
        written.map_err(|e| Error::input("--per-token", e))?;
        sink.write(&bytes)?;
    }
    let data = json!({
        "model": model.loaded.name,
        "tokens": tokens.len(),
        "text": sample.read,
        "repeated_from": sample.repeated_from,
        "notes": sample.notes,
        "precision": model.decoder.precision(),
        "runs": runs,
    });
    output.write(&words, &data)
}

/// Refuses to write over what is read.
fn refuse_own_input(place: &Path, args: &Perplexity) -> crate::error::Result<()> {
    let real = |path: &Path| path.canonicalize().ok();
    let inputs = args.text.texts.iter().map(PathBuf::as_path).chain([Path::new(&args.model.model)]);
    let is_input = |input: &Path| real(input).is_some_and(|input| real(place) == Some(input));
    match inputs.into_iter().find(|input| is_input(input)) {
        Some(_) => {
            let reason = "it is read, and would be lost; choose another file";
            Err(Error::input(format!("--per-token `{}`", place.display()), reason))
        }
        None => Ok(()),
    }
}

fn to_json(policy: &str, run: &Evaluation, losses: &NllByPosition, tokens: u64) -> Value {
    let buckets = losses.buckets(tokens);
    json!({
        "policy": policy,
        "nll": losses.mean(),
        "perplexity": losses.mean().map(f64::exp),
        "non_finite_tokens": losses.non_finite().count,
        "first_non_finite": losses.non_finite().first,
        "buckets": buckets.iter().map(bucket_json).collect::<Vec<_>>(),
        "prefill_tokens_per_second": run.prefill_tokens_per_second,
        "peak_rss_bytes": run.peak_rss_bytes,
        "kv_cache_bytes": run.kv_cache_bytes,
    })
}

fn describe(
    words: &mut String,
    policy: &str,
    run: &Evaluation,
    losses: &NllByPosition,
    (tokens, line): (u64, u64),
) -> std::fmt::Result {
    writeln!(
        words,
        "{policy}\n  {}, {:.0} tokens/s, cache {:.1} MB",
        loss_and_perplexity(losses),
        run.prefill_tokens_per_second,
        run.kv_cache_bytes as f64 / 1e6,
    )?;
    let mut from = 0;
    while from < tokens {
        let end = from.saturating_add(line);
        let nll = loss(losses.mean_between(from, end), losses.non_finite_between(from, end));
        writeln!(words, "  {from:>9} … {:>9}  {nll}", end.min(tokens))?;
        from = end;
    }
    Ok(())
}
