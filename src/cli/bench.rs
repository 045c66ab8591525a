//! `bench`: speed and memory, next to the machine's own limits.

use std::ffi::OsString;
use std::fmt::Write;

use lm_infinite_runtime::corpus;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::text::Text;
use serde_json::json;

use super::args::{Bench, Cli};
use super::inputs::Model;
use super::output::{Output, progress, say};
use crate::bench::{BenchPlan, BenchResult, bench, probe_cost};
use crate::error::Error;
use crate::machine::{Limits, processor};
use crate::results::{self, ResultFolder, RunInfo, Source, Storable};

/// Longest context that is timed: what a machine can hold is the user's to know, but not more than this.
const LONGEST: u64 = 1 << 32;

/// Runs the command.
pub fn run(args: &Bench, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let mut named = args.model.clone();
    if let Some(shape) = &args.random {
        named.model = format!("random:{shape}");
    }
    let model = Model::load(&named)?.with_precision(args.precision);
    let policies = model.policies(&args.policies, &model.default_comparison())?;
    let length = |&length: &u64| match length {
        1..=LONGEST => Ok(length as usize),
        _ => Err(Error::input("--lengths", format!("from 1 to {LONGEST} tokens, got {length}"))),
    };
    let plan = BenchPlan {
        policies,
        lengths: args.lengths.iter().map(length).collect::<Result<_, _>>()?,
        decode: args.decode.into(),
        rounds: args.rounds.into(),
        truncate: args.truncate.as_ref().map(length).transpose()?,
    };
    if let Some(folder) = &args.out {
        results::check::<BenchResult>(folder, BenchResult::KIND)?;
    }
    let text = Text::embedded();
    let longest = plan.lengths.iter().max().copied().unwrap_or(0) as u64;
    let sample = corpus::at_most(&text, &model.loaded.tokenizer, longest.clamp(2, 1 << 16))?;
    let mut sample = model.sample(sample);
    let tokens = &sample.tokens;
    let repeated_from = (longest > tokens.len() as u64).then_some(tokens.len() as u64);
    if let Some(from) = repeated_from {
        let said =
            format!("the text has {from} tokens; longer contexts repeat it, which speed does not depend on");
        sample.notes.push(Note::new("--lengths", said));
    }
    say(&sample.notes);
    let limits = Limits::measure();
    let mut words = format!(
        "{}\n{} threads, GEMM {:.0} GFLOP/s, copy {:.1} GB/s\n\n",
        processor().unwrap_or_else(|| "unknown processor".into()),
        limits.threads,
        limits.gemm_gflops,
        limits.copy_gbps
    );
    let cases =
        (plan.policies.len() + usize::from(plan.truncate.is_some())) * plan.lengths.len() * plan.rounds;
    let cases = cases as u64;
    if args.probes {
        let bar = progress("bench", 3 * cases, "runs");
        let costs = probe_cost(&model.decoder, tokens, &plan, &|| bar.inc(1))?;
        bar.finish_and_clear();
        writeln!(
            words,
            "{:<40} {:>8} {:>10} {:>12} {:>12}",
            "prefill, tokens/s", "length", "no probe", "idle probe", "statistics"
        )?;
        for cost in &costs {
            writeln!(
                words,
                "{:<40} {:>8} {:>10.0} {:>5.0} {:+5.1}% {:>5.0} {:+5.1}%",
                cost.policy,
                cost.length,
                cost.off_tokens_per_second,
                cost.idle_tokens_per_second,
                100.0 * cost.idle_overhead,
                cost.on_tokens_per_second,
                100.0 * cost.statistics_overhead,
            )?;
        }
        return output
            .write(&words, &json!({ "model": model.loaded.name, "machine": limits, "probes": costs }));
    }
    let bar = progress("bench", cases, "runs");
    let runs = bench(&model.decoder, tokens, &plan, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let name = model.loaded.name.clone();
    let result = BenchResult {
        model: name.clone(),
        trained_length: model.trained_length(),
        machine: limits,
        repeated_from,
        notes: sample.notes.clone(),
        runs,
    };
    words += &result.summary();
    if let Some(folder) = &args.out {
        let info = RunInfo::new(
            arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            Source { name, sha256: None },
            Source { name: text.name().to_owned(), sha256: None },
            longest,
            plan.policies.iter().map(|spec| (spec.label.clone(), spec.policy.clone())),
            cli.seed,
        )
        .with_text(&sample.read, repeated_from, &sample.notes)
        .with_precision(model.decoder.precision())
        .of_model(model.loaded.digest()?);
        ResultFolder::write(folder, &result, &info)?;
        writeln!(words, "\nresults in {}", folder.display())?;
        return output.write(&words, &Storable::to_json(&result, folder));
    }
    let BenchResult { model, machine, repeated_from, notes, runs, .. } = &result;
    let data = json!({
        "model": model, "machine": machine, "repeated_from": repeated_from, "notes": notes, "runs": runs,
    });
    output.write(&words, &data)
}
