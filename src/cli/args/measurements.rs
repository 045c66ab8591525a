//! The options of measurements: losses on a text, and speed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use lm_infinite_runtime::policy::parse_length;
use lm_infinite_runtime::session::Precision;

use super::shared::{ModelArgs, RepeatArgs, TextArgs, policy_help};
use crate::diagnose::LOSS_MARGIN;
use crate::long_run::Shard;

/// `diagnose`
#[derive(Debug, Args)]
pub struct Diagnose {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// Policies to compare, repeatable [default: vanilla, window, lambda, ceiling, lm-infinite]
    #[arg(long = "policy", value_name = "POLICY", long_help = policy_help!("Policies to compare, repeatable", "vanilla, window, lambda, ceiling, lm-infinite"))]
    pub policies: Vec<String>,
    /// Tokens to feed [default: one and a half training lengths, at least 4096]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: Option<u64>,
    /// Behind the end of the text.
    #[command(flatten)]
    pub repeat: RepeatArgs,
    /// Width of the position buckets of the loss, in tokens
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub bucket: Option<u64>,
    /// Nats per token by which a loss may rise beyond the training length: it fails where the 95 % interval lies above, and holds
    /// where it lies below. 0.2 is a perplexity that is 22 % higher
    #[arg(long, value_name = "NATS", default_value_t = LOSS_MARGIN)]
    pub loss_margin: f64,
    /// Look for causes by every intervention: distances, number of keys and start tokens alone and together; the fix in each
    /// layer and head alone; a small set of heads whose fix suffices. Without it, the three causes alone, where that costs
    /// less than the diagnosis; with `--causes=none`, none
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "all", conflicts_with = "shard")]
    pub causes: Option<WhichCauses>,
    /// Predict the loss, the logits and the entropy of every head up to this length from windows of the training length:
    /// nothing longer is read. Without --tokens and --policy, the model alone is diagnosed, within its training length; with
    /// them, figures show the prediction beside what was measured
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, conflicts_with = "shard")]
    pub predict: Option<u64>,
    /// Take about this long, such as 90s, 10m or 1h 30m: fewer policies where all do not fit, then fewer tokens; what --policy or
    /// --tokens gives stays
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with_all = ["causes", "predict", "shard"])]
    pub budget: Option<Duration>,
    /// Measure the I-th of N parts alone, counted from 0, after warming up on the tokens before it; `merge` joins their
    /// folders. Policies need a window [default then: window, lambda, lm-infinite]
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Result folder [default: results/MODEL-DATE-TIME]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// A time of at least a second.
fn parse_time(text: &str) -> Result<Duration, String> {
    let time: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    let time = Duration::try_from(time).map_err(|error| error.to_string())?;
    if time >= Duration::from_secs(1) { Ok(time) } else { Err("expected at least a second".into()) }
}

/// How far `diagnose --causes` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhichCauses {
    /// Every intervention
    All,
    /// None
    None,
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
    /// Policies to run, repeatable [default: lm-infinite]
    #[arg(long = "policy", value_name = "POLICY", long_help = policy_help!("Policies to run, repeatable", "lm-infinite"))]
    pub policies: Vec<String>,
    /// Tokens to feed [default: the whole text]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: Option<u64>,
    /// Behind the end of the text.
    #[command(flatten)]
    pub repeat: RepeatArgs,
    /// Width of the position buckets, in tokens [default: an eighth of the training length]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub bucket: Option<u64>,
    /// Write the loss of tokens 1..n as f32 .npy; with several policies, one row each
    #[arg(long, value_name = "FILE.npy", conflicts_with_all = ["out", "resume"])]
    pub per_token: Option<PathBuf>,
    /// Read in constant memory, and write a result folder; more tokens than the text has are drawn as with --repeat
    /// [default from 4M tokens on: results/MODEL-DATE-TIME]
    #[arg(long, value_name = "FOLDER", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Go on with the unfinished run in FOLDER; all other options have to be those that it was begun with
    #[arg(long, value_name = "FOLDER")]
    pub resume: Option<PathBuf>,
    /// Read the I-th of N parts alone, counted from 0, after warming up on the tokens before it; `merge` joins their folders
    #[arg(long, value_name = "I/N", conflicts_with = "per_token")]
    pub shard: Option<Shard>,
    /// How weights are multiplied: exact (f32, as every measurement), or fast (activations of 8 bits, where weights are stored in blocks
    /// of integers and the processor has AVX-512 VNNI; bfloat16, where weights are and it has AVX-512 BF16)
    #[arg(long, default_value_t, value_name = "PRECISION")]
    pub precision: Precision,
    /// Seconds between two snapshots of a run with a folder
    #[arg(long, default_value_t = 120.0, value_name = "SECONDS", value_parser = parse_seconds)]
    pub snapshot: f64,
}

/// `merge`
#[derive(Debug, Args)]
pub struct Merge {
    /// Result folders of `perplexity --shard` or of `diagnose --shard`, in any order
    #[arg(value_name = "FOLDER", required = true)]
    pub folders: Vec<PathBuf>,
    /// Result folder of the whole
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}

/// What `sweep` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SweepMeasure {
    /// Share of keys found
    Passkey,
    /// Loss after the training length
    Nll,
}

/// `sweep`
#[derive(Debug, Args)]
pub struct Sweep {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which text (for nll).
    #[command(flatten)]
    pub text: TextArgs,
    /// Behind the end of the text (for nll).
    #[command(flatten)]
    pub repeat: RepeatArgs,
    /// What to measure
    #[arg(long, value_enum, default_value_t = SweepMeasure::Nll)]
    pub measure: SweepMeasure,
    /// The policy, without the key that is varied [default: lm-infinite]
    #[arg(long, default_value = "lm-infinite", value_name = "POLICY", hide_default_value = true, long_help = policy_help!("The policy, without the key that is varied", "lm-infinite"))]
    pub policy: String,
    /// A key that the policy takes (see --policy), such as window or factor; of joined policies PRESET.KEY where two take it
    #[arg(long, value_name = "KEY")]
    pub key: String,
    /// Its values
    #[arg(long, value_delimiter = ',', required = true, value_name = "VALUES")]
    pub values: Vec<String>,
    /// Tokens of a text or prompt [default: 16 training lengths]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub length: Option<u64>,
    /// Texts or prompts per value
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// Write a result folder with tables and figures
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// `ablation`
#[derive(Debug, Args)]
pub struct AblationArgs {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// Policies to compare, repeatable [default: vanilla, window, lambda, ceiling, lm-infinite, streaming-llm]
    #[arg(long = "policy", value_name = "POLICY", long_help = policy_help!("Policies to compare, repeatable", "vanilla, window, lambda, ceiling, lm-infinite, streaming-llm"))]
    pub policies: Vec<String>,
    /// Behind the end of the text.
    #[command(flatten)]
    pub repeat: RepeatArgs,
    /// Tokens of a segment [default: 16 training lengths]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: Option<u64>,
    /// Segments of the text, from anywhere in it
    #[arg(long, alias = "stretches", default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub segments: u32,
    /// Result folder [default: results/MODEL-DATE-TIME]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// `compare`
#[derive(Debug, Args)]
pub struct Compare {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// Policies to compare, repeatable [default: every one whose formula fits the model, with factors that reach --tokens]
    #[arg(long = "policy", value_name = "POLICY", long_help = policy_help!("Policies to compare, repeatable", "every one whose formula fits the model, with factors that reach --tokens"))]
    pub policies: Vec<String>,
    /// Behind the end of the text.
    #[command(flatten)]
    pub repeat: RepeatArgs,
    /// Tokens of a segment, and the longest prompt [default: 4 training lengths]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: Option<u64>,
    /// Segments of the text that the loss is a mean over, from anywhere in it
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub segments: u32,
    /// Passkey prompts at each length: the training length and its doublings
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// Rounds through all policies that time them; medians are reported
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Write a result folder with tables and figures
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// `bench`
#[derive(Debug, Args)]
pub struct Bench {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Time a model of a published shape with random weights, as `--model random:SHAPE` does: llama-2-7b, llama-2-13b, llama-3-8b,
    /// mistral-7b, qwen2.5-7b, qwen3-8b, tinyllama-1.1b, smollm2-135m or gpt-oss-20b, and behind a colon q4_0 (the default), q8_0, f16,
    /// bf16, f32 or, of gpt-oss-20b, mxfp4 (its default: experts in MXFP4, other matrices in BF16)
    #[arg(long, value_name = "SHAPE[:TYPE]", conflicts_with = "model")]
    pub random: Option<String>,
    /// Policies to time, repeatable [default: vanilla, lm-infinite with a window of a quarter of the training length]
    #[arg(long = "policy", value_name = "POLICY", long_help = policy_help!("Policies to time, repeatable", "vanilla, lm-infinite with a window of a quarter of the training length"))]
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
    /// Also time the model as it is on the last W tokens, read anew for every token
    #[arg(long, value_name = "W", value_parser = parse_length)]
    pub truncate: Option<u64>,
    /// How weights are multiplied: exact (f32, as every measurement), or fast (activations of 8 bits, where weights are stored in blocks
    /// of integers and the processor has AVX-512 VNNI; bfloat16, where weights are and it has AVX-512 BF16)
    #[arg(long, default_value_t, value_name = "PRECISION")]
    pub precision: Precision,
    /// Write a result folder with figures over length
    #[arg(long, value_name = "FOLDER", conflicts_with = "probes")]
    pub out: Option<PathBuf>,
    /// Time what the statistics of all heads cost, instead
    #[arg(long)]
    pub probes: bool,
}

/// Seconds, 0 or more.
fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if (0.0..=1e6).contains(&seconds) { Ok(seconds) } else { Err("expected 0 to 1000000 seconds".into()) }
}
