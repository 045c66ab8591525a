//! The command line as text: what can be asked for. No file is touched here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::policy::parse_length;

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

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run policies on a text, measure the three factors and the loss, write a result folder
    Diagnose(Diagnose),
    /// Loss by position
    Perplexity(Perplexity),
    /// Continue a prompt
    Generate(Generate),
    /// Speed and memory, next to the machine's own limits
    Bench(Bench),
    /// Models: known, present, and what is in a file
    #[command(subcommand)]
    Models(Models),
    /// Redraw the figures of a result folder
    Plot(Plot),
}

/// Which model.
#[derive(Debug, Args)]
#[command(about = None, long_about = None)]
pub struct ModelArgs {
    /// A pulled name, a .gguf file, a Hugging Face folder, or hf:org/name
    #[arg(long, default_value = "smollm2", value_name = "MODEL")]
    pub model: String,
    /// Training length in tokens, where the file's own is wrong
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub trained_length: Option<u64>,
}

/// Which text.
#[derive(Debug, Args)]
#[command(about = None, long_about = None)]
pub struct TextArgs {
    /// A UTF-8 file, or - for standard input; an embedded text by default
    #[arg(long, value_name = "FILE")]
    pub text: Option<String>,
}

const POLICY_HELP: &str = "NAME[:key=value,…], repeatable: vanilla, window, lambda, ceiling, lm-infinite, streaming-llm, \
                           pi, ntk, yarn; keys start, window, ceiling, factor";

/// `diagnose`
#[derive(Debug, Args)]
pub struct Diagnose {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// Policies to compare [default: vanilla, lm-infinite with a window of a quarter of the training length]
    #[arg(long = "policy", value_name = "POLICY", long_help = POLICY_HELP)]
    pub policies: Vec<String>,
    /// Tokens to feed [default: one and a half training lengths]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: Option<u64>,
    /// Width of the position buckets of the loss, in tokens
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub bucket: Option<u64>,
    /// Result folder [default: results/MODEL-DATE-TIME]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// `perplexity`
#[derive(Debug, Args)]
pub struct Perplexity {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// Policies to run [default: lm-infinite]
    #[arg(long = "policy", value_name = "POLICY", long_help = POLICY_HELP)]
    pub policies: Vec<String>,
    /// Tokens to feed; more than the text has are drawn from its documents [default: the whole text]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: Option<u64>,
    /// Width of the position buckets, in tokens [default: an eighth of the training length]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub bucket: Option<u64>,
    /// Write the loss of tokens 1..n as f32 .npy; with several policies, one row each
    #[arg(long, value_name = "FILE.npy")]
    pub per_token: Option<PathBuf>,
}

/// `generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The prompt
    #[arg(long, value_name = "TEXT", conflicts_with = "text", required_unless_present = "text")]
    pub prompt: Option<String>,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// How to attend
    #[arg(long, default_value = "lm-infinite", value_name = "POLICY", long_help = POLICY_HELP)]
    pub policy: String,
    /// Most tokens to generate
    #[arg(long, default_value = "256", value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: u64,
    /// 0 takes the likeliest token always
    #[arg(long, default_value_t = 0.0, value_name = "T")]
    pub temperature: f64,
    /// Draw among the K likeliest tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Draw among the likeliest tokens that make up this probability
    #[arg(long, value_name = "P")]
    pub top_p: Option<f64>,
    /// Put the prompt into the model's chat template, as a user's message
    #[arg(long)]
    pub chat: bool,
}

/// `bench`
#[derive(Debug, Args)]
pub struct Bench {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Policies to time [default: vanilla, lm-infinite with a window of a quarter of the training length]
    #[arg(long = "policy", value_name = "POLICY", long_help = POLICY_HELP)]
    pub policies: Vec<String>,
    /// Context lengths
    #[arg(long, value_delimiter = ',', default_value = "512,2k,8k", value_name = "LENGTHS", value_parser = parse_length)]
    pub lengths: Vec<u64>,
    /// Tokens to decode after each
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub decode: u16,
    /// Rounds through all cases; medians are reported
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Time what the statistics of all heads cost, instead
    #[arg(long)]
    pub probes: bool,
}

/// `models`
#[derive(Debug, Subcommand)]
pub enum Models {
    /// What can be pulled, and what is here
    List,
    /// Fetch a model by name
    Pull {
        /// A name that `models list` shows, or hf:org/name
        name: String,
    },
    /// What is in a model file or folder
    Inspect {
        /// A pulled name, a .gguf file, or a Hugging Face folder
        path: String,
    },
}

/// `plot`
#[derive(Debug, Args)]
pub struct Plot {
    /// A folder that `diagnose` wrote
    pub folder: PathBuf,
}
