//! The options of a training.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lm_infinite_runtime::policy::parse_length;

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

/// Families that `train` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TrainedFamily {
    /// RMSNorm, SwiGLU; positions as --position says
    Llama,
    /// Attention and MLP side by side behind one LayerNorm, RoPE in neighbouring pairs over a quarter of each head
    Gptj,
    /// Side by side behind two LayerNorms, RoPE over a quarter of each head, biases
    GptNeox,
    /// LayerNorm without bias, ALiBi
    Mpt,
    /// Norms before and behind, soft caps, a window in every second layer
    Gemma2,
    /// A learned sink in every head, a window in every second layer; one expert, so an MLP
    GptOss,
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
    /// Decoder to train, written as a Hugging Face folder of that family
    #[arg(long, value_enum, default_value_t = TrainedFamily::Llama)]
    pub family: TrainedFamily,
    /// Position encoding [default: that of the family; rope in a llama, the only one where it can be chosen]
    #[arg(long, value_enum)]
    pub position: Option<Position>,
    /// Window of every second layer, in tokens, in a gemma2 or gpt-oss [default: a quarter of --length]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub window: Option<u64>,
    /// Leave the sinks of a gpt-oss where no attention goes to them: the same decoder without learned sinks
    #[arg(long)]
    pub closed_sinks: bool,
    /// Base of the rotary frequencies
    #[arg(long, default_value_t = 10_000.0, value_name = "BASE")]
    pub rope_base: f64,
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
    /// Width of the MLP's inner layer [default: 2.75 times --hidden; 4 times in a gptj, gpt-neox or mpt, whose MLP has no gate]
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
