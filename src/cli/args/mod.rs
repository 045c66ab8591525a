//! The command line as text: what can be asked for. No file is touched here.

mod calibrate;
mod measurements;
mod shared;
mod tasks;
mod training;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use self::calibrate::Calibrate;
pub use self::measurements::{
    AblationArgs, Bench, Compare, Diagnose, Merge, Perplexity, Sweep, SweepMeasure, WhichCauses,
};
pub use self::shared::{ModelArgs, RepeatArgs, TextArgs};
pub use self::tasks::{Generate, GenerationQuality, Needle, Passkey, Qasper};
pub use self::training::{Position, Train, TrainedFamily};
use crate::diagnose::Head;

/// Measures why a language model breaks past its training length, and runs it with the LM-Infinite fix
#[derive(Debug, Parser)]
#[command(name = "lm-infinite", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Print one JSON object to standard output instead of words
    #[arg(long, global = true)]
    pub json: bool,
    /// Seed of everything random
    #[arg(long, global = true, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Threads to use; all cores by default. Results do not depend on it
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl RepeatArgs {
    /// The seed to draw by.
    pub fn seed(self, cli: &Cli) -> Option<u64> {
        self.repeat.then_some(cli.seed)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run policies on a text, measure the three factors and the loss, write a result folder
    Diagnose(Diagnose),
    /// Loss by position
    Perplexity(Perplexity),
    /// Continue a prompt
    Generate(Generate),
    /// The paper's retrieval task: a number hidden in a long text
    Passkey(Passkey),
    /// Several numbers, variables or words hidden in a long text, in the manner of RULER
    Needle(Needle),
    /// Every method on one model: loss, retrieval, memory and speed, in one table and figure
    Compare(Compare),
    /// One key of a policy over several values, as in the paper's tables 4 to 7
    Sweep(Sweep),
    /// What each part of the fix is worth: the loss of all policies over many segments of text
    Ablation(AblationArgs),
    /// The paper's questions about scientific articles, on the user's copy of the Qasper dataset
    Qasper(Qasper),
    /// How a text goes on under each policy, against how it does: BLEU and ROUGE-L
    GenerationQuality(GenerationQuality),
    /// How often verdicts are wrong where the right answer is known
    Calibrate(Calibrate),
    /// Speed and memory, next to the machine's own limits
    Bench(Bench),
    /// Train a small model from scratch, on CPU
    Train(Train),
    /// Models: known, present, and what is in a file
    #[command(subcommand)]
    Models(Models),
    /// Join the result folders of all shards of a long run
    Merge(Merge),
    /// Every statement of the paper: assumptions, bound, measured value, verdict
    Theory,
    /// Redraw the figures and the report of a result folder
    Plot(Plot),
    /// Write completions of a shell to standard output
    Completions(Completions),
    /// Write a man page for each command
    Manual(Manual),
}

impl Command {
    /// Whether it measures for a while, and Ctrl-C leaves nothing of that.
    pub fn is_lost_when_stopped(&self) -> bool {
        match self {
            Self::Perplexity(args) => args.out.is_none() && args.resume.is_none(),
            Self::Diagnose(_)
            | Self::Passkey(_)
            | Self::Needle(_)
            | Self::Compare(_)
            | Self::Sweep(_)
            | Self::Ablation(_)
            | Self::Qasper(_)
            | Self::GenerationQuality(_)
            | Self::Bench(_)
            | Self::Merge(_) => true,
            Self::Generate(_)
            | Self::Calibrate(_)
            | Self::Train(_)
            | Self::Models(_)
            | Self::Theory
            | Self::Plot(_)
            | Self::Completions(_)
            | Self::Manual(_) => false,
        }
    }
}

/// `models`
#[derive(Debug, Subcommand)]
pub enum Models {
    /// The models that have a name: those that are built in, and those that can be pulled
    List,
    /// Fetch a model by name
    Pull {
        /// A name that `models list` shows, or hf:org/name
        name: String,
    },
    /// What is in a model file or folder
    Inspect {
        /// A name that `models list` shows, a .gguf file, a Hugging Face folder, or hf:org/name
        path: String,
        /// Pass over a field, or a key of a GGUF file, that nothing is known to read, repeatable
        #[arg(long = "ignore-field", value_name = "NAME")]
        ignored_fields: Vec<String>,
    },
}

/// `plot`
#[derive(Debug, Args)]
pub struct Plot {
    /// A folder that a command wrote
    pub folder: PathBuf,
    /// Draw the curves and the attention map of one head, repeatable; layer and head from 0
    #[arg(long = "head", value_name = "LAYER.HEAD", value_parser = parse_head)]
    pub heads: Vec<Head>,
}

/// `completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `manual`
#[derive(Debug, Args)]
pub struct Manual {
    /// Folder for the pages, such as ~/.local/share/man/man1
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// How lengths and lists are written; stands under the help of every command.
const NOTATION: &str = "Lengths are in tokens: 4096, 32k (32 · 1024), 200M (200 · 10^6), 1G (10^9). Lists are separated by \
                        commas: 512,2k,8k.";

/// The whole command line.
pub fn command() -> clap::Command {
    let command = Cli::command().after_help(NOTATION);
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |command| command.after_help(NOTATION)))
}

/// Layer and head.
fn parse_head(text: &str) -> Result<Head, String> {
    let parsed =
        text.split_once('.').and_then(|(layer, head)| Some((layer.parse().ok()?, head.parse().ok()?)));
    parsed.ok_or_else(|| "expected LAYER.HEAD, as in 4.1".to_owned())
}
