//! `train`: a small model from scratch.

use std::path::Path;
use std::time::{Duration, Instant};

use lm_infinite_train::checkpoint;
use lm_infinite_train::{Shape, TrainFamily, TrainOptions, TrainPosition, Trainer};
use serde_json::json;

use super::args::{Cli, Position, Train, TrainedFamily};
use super::interrupt::Interrupt;
use super::output::{self, Output};
use crate::error::Error;

/// Lines of the log, and held-out losses, of a training.
const RECORDS: u64 = 50;

/// Runs the command.
pub fn run(args: &Train, cli: &Cli, output: &Output) -> anyhow::Result<()> {
    let (mut trainer, folder) = match (&args.resume, &args.out) {
        (Some(folder), _) => {
            if !folder.is_dir() {
                let reason = "there is no such folder; that of a training is expected";
                return Err(Error::input(format!("--resume `{}`", folder.display()), reason).into());
            }
            (Trainer::resume(folder)?, folder)
        }
        (None, Some(folder)) => {
            refuse_to_overwrite(folder)?;
            let bar = output::spinner("making a vocabulary, and tokens of the texts");
            let trainer = Trainer::start(options(args, cli.seed), &args.texts, folder)?;
            bar.finish_and_clear();
            (trainer, folder)
        }
        (None, None) => anyhow::bail!("--out: a folder is needed"),
    };
    let (steps, batch) = (trainer.options().steps, trainer.options().batch * trainer.options().shape.length);
    eprintln!(
        "{} parameters, {} tokens of text; {steps} steps of {batch} tokens",
        trainer.parameter_count(),
        trainer.train_tokens(),
    );
    let every = (steps / RECORDS).max(1);
    let bar = output::progress("training", trainer.options().tokens(), "tokens");
    bar.set_position(trainer.steps_done() * batch as u64);
    bar.reset_eta();
    let mut saved = Instant::now();
    let interrupt = Interrupt::listen("saving");
    while !trainer.is_done() {
        if interrupt.asked() {
            trainer.save(folder)?;
            bar.finish_and_clear();
            let (done, folder) = (trainer.steps_done(), folder.display());
            anyhow::bail!(
                "stopped after {done} of {steps} steps; go on with `lm-infinite train --resume {folder}`"
            );
        }
        trainer.step()?;
        bar.set_position(trainer.steps_done() * batch as u64);
        if trainer.steps_done().is_multiple_of(every) || trainer.is_done() {
            let line = trainer.record()?;
            let words = format!(
                "step {:>6}  loss {:.3}  held out {:.3}  {:.0} tokens/s",
                line.step,
                line.loss,
                line.held_out,
                (line.step * batch as u64) as f64 / line.seconds
            );
            bar.suspend(|| eprintln!("{words}"));
        }
        if saved.elapsed() >= Duration::from_secs(60 * args.checkpoint) {
            trainer.save(folder)?;
            saved = Instant::now();
        }
    }
    trainer.save(folder)?;
    bar.finish_and_clear();
    let Some(last) = trainer.log().last() else { anyhow::bail!("nothing was trained") };
    output.write(
        &format!(
            "{}: loss {:.3} nats per token, held out {:.3} (perplexity {:.2}), {:.0} minutes\nNext: lm-infinite diagnose --model {}",
            folder.display(),
            last.loss,
            last.held_out,
            last.held_out.exp(),
            last.seconds / 60.0,
            folder.display(),
        ),
        &json!({
            "out": folder,
            "parameters": trainer.parameter_count(),
            "steps": last.step,
            "tokens": last.step * batch as u64,
            "loss": last.loss,
            "held_out": last.held_out,
            "seconds": last.seconds,
            "tokens_per_second": (last.step * batch as u64) as f64 / last.seconds,
        }),
    )
}

fn refuse_to_overwrite(folder: &Path) -> anyhow::Result<()> {
    let empty = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    };
    if empty {
        return Ok(());
    }
    let resumable = folder.join(checkpoint::FILE).is_file();
    let hint = if resumable { "; `--resume` goes on with the training in it" } else { "" };
    Err(Error::input(format!("--out {}", folder.display()), format!("it is there already{hint}")).into())
}

fn options(args: &Train, seed: u64) -> TrainOptions {
    let size = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
    let per_step = (args.batch as u64).saturating_mul(args.length).max(1);
    let family = match args.family {
        TrainedFamily::Llama => TrainFamily::Llama,
        TrainedFamily::Gptj => TrainFamily::Gptj,
        TrainedFamily::GptNeox => TrainFamily::GptNeox,
        TrainedFamily::Mpt => TrainFamily::Mpt,
        TrainedFamily::Gemma2 => TrainFamily::Gemma2,
        TrainedFamily::GptOss => TrainFamily::GptOss,
    };
    let inner = match family.mlp().is_gated() {
        true => args.hidden.saturating_mul(11) / 4,
        false => args.hidden.saturating_mul(4),
    };
    let position = args.position.map(|position| match position {
        Position::Rope => TrainPosition::Rope,
        Position::Alibi => TrainPosition::Alibi,
        Position::None => TrainPosition::None,
    });
    TrainOptions {
        shape: Shape {
            family,
            position: position.or(family.position()).unwrap_or(TrainPosition::Rope),
            window: args.window.or(family.is_windowed().then_some((args.length / 4).max(1))),
            closed_sinks: args.closed_sinks,
            rope_base: args.rope_base,
            hidden: args.hidden,
            layers: args.layers,
            heads: args.heads,
            kv_heads: args.kv_heads.unwrap_or(args.heads),
            intermediate: args.intermediate.unwrap_or(inner),
            vocabulary: args.vocabulary,
            length: size(args.length),
        },
        steps: args.tokens.div_ceil(per_step),
        batch: args.batch,
        learning_rate: args.learning_rate,
        warmup: args.warmup,
        weight_decay: args.weight_decay,
        passkey: args.passkey,
        seed,
        ..TrainOptions::default()
    }
}
