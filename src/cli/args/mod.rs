//! The command line as text: what can be asked for. No file is touched here.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use lm_infinite_runtime::hub::DEFAULT_MODEL;
use lm_infinite_runtime::policy::parse_length;

use crate::diagnose::Head;
use crate::long_run::Shard;

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
    /// The paper's retrieval task: a number hidden in a long text
    Passkey(Passkey),
    /// One key of a policy over several values, as in the paper's tables 4 to 7
    Sweep(Sweep),
    /// What each part of the fix is worth: the loss of all policies over many segments of text
    Ablation(AblationArgs),
    /// The paper's questions about scientific articles, on the user's copy of the Qasper dataset
    Qasper(Qasper),
    /// How a text goes on under each policy, against how it does: BLEU and ROUGE-L
    GenerationQuality(GenerationQuality),
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

/// Which model.
#[derive(Debug, Args)]
#[command(about = None, long_about = None)]
pub struct ModelArgs {
    /// An embedded or pulled name (`models list`), a .gguf file, a Hugging Face folder, or hf:org/name
    #[arg(long, default_value = DEFAULT_MODEL, value_name = "MODEL")]
    pub model: String,
    /// Training length in tokens, where the file's own is wrong
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub trained_length: Option<u64>,
}

/// Which text.
#[derive(Debug, Args)]
#[command(about = None, long_about = None)]
pub struct TextArgs {
    /// A UTF-8 file, or - for standard input, repeatable; a folder of .txt and .jsonl files (field `text`), each also as .gz
    /// or .zst, without the folders in it; an embedded text by default
    #[arg(long = "text", value_name = "FILE")]
    pub texts: Vec<PathBuf>,
}

/// What to do behind the end of a text.
#[derive(Clone, Copy, Debug, Args)]
#[command(about = None, long_about = None)]
pub struct RepeatArgs {
    /// Where the text has fewer tokens than are asked for, go on with its documents, drawn with replacement by --seed; what
    /// is measured on such a text is marked. Without it, the text is read to its end
    #[arg(long)]
    pub repeat: bool,
}

impl RepeatArgs {
    /// The seed to draw by.
    pub fn seed(self, cli: &Cli) -> Option<u64> {
        self.repeat.then_some(cli.seed)
    }
}

/// The long help of `--policy`: what it is for and its default, then what it takes.
macro_rules! policy_help {
    ($what:literal, $default:literal $(, $more:literal)?) => {
        concat!(
            $what,
            " [default: ",
            $default,
            "]\n\nNAME[:key=value,…]. Names and the keys they take: vanilla; window (window); lambda (start, window); ceiling \
             (ceiling); lm-infinite (start, window, ceiling); lm-infinite-topk (the same, and k, from_layer, distance); \
             streaming-llm (start, window); pi, ntk, yarn (factor)",
            $("; ", $more,)?
            ". Defaults: window is the training length, ceiling the window, start 10 (streaming-llm: 4), k 5, from_layer 4, \
             distance half of the window, factor 4."
        )
    };
}

/// What `truncate` is, for the long help of tasks.
macro_rules! method_help {
    ($what:literal, $default:literal) => {
        policy_help!(
            $what,
            $default,
            "truncate (window), which gives the model the last `window` tokens alone, as if nothing had been before"
        )
    };
}

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
    /// Measure the I-th of N parts alone, counted from 0, after warming up on the tokens before it; `merge` joins their
    /// folders. Policies need a window [default then: window, lambda, lm-infinite]
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
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

/// `generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The prompt [default: the text; of the embedded text the first 1000 characters]
    #[arg(long, value_name = "TEXT", conflicts_with = "text")]
    pub prompt: Option<String>,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// How to attend
    #[arg(long, default_value = "lm-infinite", value_name = "POLICY", long_help = policy_help!("How to attend", "lm-infinite"), hide_default_value = true)]
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

/// `passkey`
#[derive(Debug, Args)]
pub struct Passkey {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Policies to compare, repeatable [default: vanilla, lm-infinite]
    #[arg(long = "policy", value_name = "POLICY", long_help = method_help!("Policies to compare, repeatable", "vanilla, lm-infinite"))]
    pub policies: Vec<String>,
    /// Prompt lengths in tokens [default: the training length]
    #[arg(long, value_delimiter = ',', value_name = "LENGTHS", value_parser = parse_length)]
    pub lengths: Vec<u64>,
    /// Prompts per length, and per depth where --depth gives several
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// Places of the key, 0 right after the task and 1 right before the question [default: anywhere]
    #[arg(long = "depth", value_delimiter = ',', value_name = "DEPTHS", value_parser = parse_share)]
    pub depths: Vec<f64>,
    /// Write a result folder with tables and figures
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
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
    /// The key: start, window, ceiling, k, from_layer, distance, or factor
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

/// `qasper`
#[derive(Debug, Args)]
pub struct Qasper {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// A file of the dataset's release, such as qasper-dev-v0.3.json
    #[arg(long, value_name = "FILE.json")]
    pub data: PathBuf,
    /// Policies to compare, repeatable [default: vanilla, lm-infinite]
    #[arg(long = "policy", value_name = "POLICY", long_help = method_help!("Policies to compare, repeatable", "vanilla, lm-infinite"))]
    pub policies: Vec<String>,
    /// Longest prompt; longer ones lose their centre
    #[arg(long, default_value = "6k", value_name = "LENGTH", value_parser = parse_length)]
    pub length: u64,
    /// Ask the first N questions alone
    #[arg(long, value_name = "N")]
    pub questions: Option<usize>,
    /// Write a result folder with tables and figures
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// `generation-quality`
#[derive(Debug, Args)]
pub struct GenerationQuality {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// Policies to compare, repeatable [default: vanilla, lm-infinite]
    #[arg(long = "policy", value_name = "POLICY", long_help = method_help!("Policies to compare, repeatable", "vanilla, lm-infinite"))]
    pub policies: Vec<String>,
    /// Prompt lengths in tokens [default: the training length]
    #[arg(long, value_delimiter = ',', value_name = "LENGTHS", value_parser = parse_length)]
    pub lengths: Vec<u64>,
    /// Tokens to generate after each prompt
    #[arg(long, default_value = "64", value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: u64,
    /// Places in the text that are gone on from
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
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
    /// Write a result folder with figures over length
    #[arg(long, value_name = "FOLDER", conflicts_with = "probes")]
    pub out: Option<PathBuf>,
    /// Time what the statistics of all heads cost, instead
    #[arg(long)]
    pub probes: bool,
}

/// Position encodings that `train` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Position {
    /// Rotary, base 10,000, over whole heads
    Rope,
    /// Attention with linear biases
    Alibi,
    /// No position encoding
    None,
}

/// `train`
#[derive(Debug, Args)]
pub struct Train {
    /// UTF-8 files to train on, repeatable; one given twice weighs twice
    #[arg(long = "text", value_name = "FILE", required_unless_present = "resume")]
    pub texts: Vec<String>,
    /// Folder for the model and its checkpoints
    #[arg(long, value_name = "FOLDER", required_unless_present = "resume")]
    pub out: Option<PathBuf>,
    /// Go on with the training in FOLDER, which has all other options
    #[arg(long, value_name = "FOLDER", exclusive = true)]
    pub resume: Option<PathBuf>,
    /// Position encoding
    #[arg(long, value_enum, default_value_t = Position::Rope)]
    pub position: Position,
    /// Training length, in tokens
    #[arg(long, default_value = "256", value_name = "LENGTH", value_parser = parse_length)]
    pub length: u64,
    /// Tokens to train on
    #[arg(long, default_value = "8M", value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: u64,
    /// Tokens of the vocabulary
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub vocabulary: usize,
    /// Width of the residual stream
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub hidden: usize,
    /// Number of blocks
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub layers: usize,
    /// Query heads per block
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub heads: usize,
    /// Key/value heads per block [default: as many as query heads]
    #[arg(long, value_name = "N")]
    pub kv_heads: Option<usize>,
    /// Width of the MLP's inner layer [default: 2.75 times --hidden]
    #[arg(long, value_name = "N")]
    pub intermediate: Option<usize>,
    /// Segments per step
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub batch: usize,
    /// Largest learning rate; it rises over --warmup steps and falls by half a cosine
    #[arg(long, default_value_t = 3e-3, value_name = "RATE")]
    pub learning_rate: f64,
    /// Steps of warm-up
    #[arg(long, default_value_t = 300, value_name = "N")]
    pub warmup: u64,
    /// Weight decay of matrices
    #[arg(long, default_value_t = 0.1, value_name = "DECAY")]
    pub weight_decay: f64,
    /// Part of the segments that are retrieval documents: numbers told once and asked for later, passages that come again
    #[arg(long, default_value_t = 0.0, value_name = "PART")]
    pub passkey: f64,
    /// Minutes between checkpoints
    #[arg(long, default_value_t = 2, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub checkpoint: u64,
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

/// Seconds, 0 or more.
fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if (0.0..=1e6).contains(&seconds) { Ok(seconds) } else { Err("expected 0 to 1000000 seconds".into()) }
}

/// A place between beginning and end.
fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("expected 0 to 1".into()) }
}
