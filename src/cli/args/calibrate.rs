//! The options of `calibrate`.

use std::path::PathBuf;

use clap::Args;
use lm_infinite_runtime::policy::parse_length;

use crate::long_run::Shard;

/// `calibrate`
#[derive(Debug, Args)]
pub struct Calibrate {
    /// Models to read with, repeatable: a name that `models list` shows, `random` (random weights), a .gguf file, a Hugging Face
    /// folder, or hf:org/name [default: tiny-rope, tiny-alibi, tiny-nope, random, and smollm2 where it has been pulled]
    #[arg(long = "model", value_name = "MODEL")]
    pub models: Vec<String>,
    /// Tokens that LM-Infinite reads of each text [default: one and a half training lengths, at least 4096]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub tokens: Option<u64>,
    /// A UTF-8 file of your own, repeatable: LM-Infinite reads it too
    #[arg(long = "text", value_name = "FILE")]
    pub texts: Vec<PathBuf>,
    /// Eight texts, and of the cases those that take seconds each; without smollm2, unless --model names it
    #[arg(long)]
    pub quick: bool,
    /// Also what takes minutes each: models that are not built in, at one and a half training lengths
    #[arg(long, conflicts_with = "quick")]
    pub long: bool,
    /// Result folder [default: results/calibrate-DATE-TIME]
    #[arg(long, value_name = "FOLDER", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Go on with the unfinished calibration in FOLDER, of which every finished case is kept; all other options have to be those that
    /// it was begun with
    #[arg(long, value_name = "FOLDER")]
    pub resume: Option<PathBuf>,
    /// Judge the cases of every N-th text alone, from the I-th on, counted from 0; `merge` joins their folders
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
}
