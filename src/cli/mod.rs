//! The command line: [`args`] (text, no files) → resolving (may fail) → running. Standard output is data, standard
//! error is talk; exit code 0 fine, 1 failed, 2 misuse; a closed pipe is no error.

mod ablation;
pub mod args;
mod bench;
mod budget;
mod calibrate;
mod causes;
mod compare;
mod diagnose;
mod generate;
mod generation_quality;
mod inputs;
mod interrupt;
mod long_perplexity;
mod manual;
mod merge;
mod models;
mod needle;
mod output;
mod passkey;
mod perplexity;
mod plot;
mod prediction;
mod qasper;
mod sweep;
mod task;
mod theory;
mod train;

use std::ffi::OsString;
use std::process::ExitCode;

use args::{Cli, Command};
use clap::FromArgMatches;
use output::Output;

/// Runs the program on `arguments` (the first is its name).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = args::command().try_get_matches_from(&arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with code 0, misuse to standard error with code 2.
            let code = error.exit_code().clamp(0, 2) as u8;
            if code != 0 && arguments.iter().any(|argument| argument == "--json") {
                Output::new(true).fail(error.to_string().trim().trim_start_matches("error: "));
            } else {
                let _ = error.print();
            }
            return ExitCode::from(code);
        }
    };
    let output = Output::new(cli.json);
    if cli.command.is_lost_when_stopped() {
        interrupt::Interrupt::explain();
    }
    let outcome = configure_threads(cli.threads).and_then(|()| match &cli.command {
        Command::Diagnose(args) => diagnose::run(args, &cli, &arguments, &output),
        Command::Perplexity(args) => perplexity::run(args, &cli, &arguments, &output),
        Command::Merge(args) => merge::run(args, &arguments, &output),
        Command::Generate(args) => generate::run(args, &cli, &output),
        Command::Passkey(args) => passkey::run(args, &cli, &arguments, &output),
        Command::Needle(args) => needle::run(args, &cli, &arguments, &output),
        Command::Compare(args) => compare::run(args, &cli, &arguments, &output),
        Command::Sweep(args) => sweep::run(args, &cli, &arguments, &output),
        Command::Ablation(args) => ablation::run(args, &cli, &arguments, &output),
        Command::Qasper(args) => qasper::run(args, &cli, &arguments, &output),
        Command::GenerationQuality(args) => generation_quality::run(args, &cli, &arguments, &output),
        Command::Calibrate(args) => calibrate::run(args, &cli, &arguments, &output),
        Command::Bench(args) => bench::run(args, &cli, &arguments, &output),
        Command::Train(args) => train::run(args, &cli, &output),
        Command::Models(args) => models::run(args, &output),
        Command::Theory => theory::run(&cli, &output),
        Command::Plot(args) => plot::run(args, &output),
        Command::Completions(args) => manual::completions(args, &output),
        Command::Manual(args) => manual::pages(args, &output),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output.fail(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn configure_threads(threads: Option<u16>) -> anyhow::Result<()> {
    let mut builder = rayon::ThreadPoolBuilder::new().thread_name(|index| format!("compute-{index}"));
    if let Some(threads) = threads {
        builder = builder.num_threads(threads.into());
    }
    // The pool exists already when a program calls `run` twice; then it stays as it is.
    let _ = builder.build_global();
    lm_infinite_analysis::lapack_on_calling_thread();
    Ok(())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
