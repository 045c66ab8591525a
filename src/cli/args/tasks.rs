//! The options of commands in which a model continues a prompt.

use std::path::PathBuf;

use clap::Args;
use lm_infinite_runtime::policy::parse_length;
use lm_infinite_runtime::session::Precision;

use super::shared::{ModelArgs, TextArgs, method_help, policy_help};
use crate::needles::{TASKS, Task};

/// `generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The prompt [default: the text; of the embedded text the first 1000 characters]
    #[arg(long, value_name = "TEXT", conflicts_with = "texts")]
    pub prompt: Option<String>,
    /// Which text.
    #[command(flatten)]
    pub text: TextArgs,
    /// How to attend
    #[arg(long, value_name = "POLICY", long_help = policy_help!("How to attend", "lm-infinite; vanilla where the model's positions are learned"))]
    pub policy: Option<String>,
    /// Most tokens to generate
    #[arg(long, default_value = "256", value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: u64,
    /// How weights are multiplied: exact (f32, as every measurement), or fast (activations of 8 bits, where weights are stored in blocks
    /// of integers and the processor has AVX-512 VNNI; bfloat16, where weights are and it has AVX-512 BF16)
    #[arg(long, default_value_t = Precision::Fast, value_name = "PRECISION")]
    pub precision: Precision,
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
    /// What the system says before the user's message; implies --chat
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// A conversation in place of the prompt: a JSON list of {"role", "content"}; implies --chat
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "texts"])]
    pub messages: Option<PathBuf>,
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
    #[arg(long, value_name = "FOLDER", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Go on with the unfinished run in FOLDER: what was answered there is not asked again, also where more policies, lengths, depths
    /// or prompts are asked for now
    #[arg(long, value_name = "FOLDER")]
    pub resume: Option<PathBuf>,
}

/// `needle`
#[derive(Debug, Args)]
pub struct Needle {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Policies to compare, repeatable [default: vanilla, lm-infinite]
    #[arg(long = "policy", value_name = "POLICY", long_help = method_help!("Policies to compare, repeatable", "vanilla, lm-infinite"))]
    pub policies: Vec<String>,
    /// Tasks: multi-key, multi-value, multi-query, variable-tracking, common-words [default: all]
    #[arg(long = "task", value_delimiter = ',', value_name = "TASKS", value_parser = parse_task)]
    pub tasks: Vec<Task>,
    /// Prompt lengths in tokens [default: the training length]
    #[arg(long, value_delimiter = ',', value_name = "LENGTHS", value_parser = parse_length)]
    pub lengths: Vec<u64>,
    /// Prompts per task and length
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// Write a result folder with tables and figures
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

fn parse_task(text: &str) -> Result<Task, String> {
    let names: Vec<String> = TASKS.iter().map(Task::to_string).collect();
    let task = TASKS.iter().zip(&names).find(|(_, name)| *name == text);
    task.map(|(task, _)| *task).ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

/// A place between beginning and end.
fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("expected 0 to 1".into()) }
}
