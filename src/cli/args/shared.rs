//! What several commands take: a model, a text, and the help of policies.

use std::path::PathBuf;

use clap::Args;
use lm_infinite_runtime::hub::DEFAULT_MODEL;
use lm_infinite_runtime::model::KvType;
use lm_infinite_runtime::policy::parse_length;

/// Which model.
#[derive(Clone, Debug, Args)]
#[command(about = None, long_about = None)]
pub struct ModelArgs {
    /// An embedded or pulled name (`models list`), a .gguf file, a Hugging Face folder, `hf:org/name[@revision][:file.gguf]`, or
    /// `random:SHAPE[:TYPE]`, a published shape with random weights (see `bench --random`)
    #[arg(long, default_value = DEFAULT_MODEL, value_name = "MODEL")]
    pub model: String,
    /// Add a LoRA adapter, a folder that PEFT wrote, to the weights of the model
    #[arg(long, value_name = "FOLDER")]
    pub adapter: Option<PathBuf>,
    /// Pass over a field of config.json, or a key of a GGUF file, that nothing is known to read, repeatable; such a field is refused
    /// otherwise, since it may change what the model computes
    #[arg(long = "ignore-field", value_name = "NAME")]
    pub ignored_fields: Vec<String>,
    /// Training length in tokens, where the file's own is wrong
    #[arg(long, value_name = "LENGTH", value_parser = parse_length)]
    pub trained_length: Option<u64>,
    /// Hold keys and values as f32, f16 or bf16, and compute in f32 [default: f32; f16 where the checkpoint is of 16 bits; generate:
    /// also where it is quantized]
    #[arg(long, value_name = "TYPE")]
    pub kv: Option<KvType>,
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

/// The long help of `--policy`: what it is for and its default, then what it takes.
macro_rules! policy_help {
    ($what:literal, $default:literal $(, $more:literal)?) => {
        concat!(
            $what,
            " [default: ",
            $default,
            "]\n\nNAME[:key=value,…]. Names and the keys they take: vanilla; window (window); lambda (start, window); ceiling \
             (ceiling); no-start (start, beyond); ceiling-no-start (start, beyond, ceiling); lm-infinite (start, window, ceiling); \
             lm-infinite-topk (the same, and k, from_layer, distance); \
             streaming-llm (start, window); rerope (window); self-extend (group, window); dca (chunk, local); temperature (from); \
             pi, ntk, dynamic-ntk, yarn (factor); longrope",
            $("; ", $more,)?
            ". Defaults: window and beyond are the training length, ceiling the window, start 10 (streaming-llm: 4), k 5, \
             from_layer 4, distance half of the window, factor 4 (dynamic-ntk: 1); rerope's window half of the training length, \
             self-extend's a quarter, group 8; dca's chunk three quarters, its local a quarter; temperature's from the training length. \
             Presets that say different things are joined by +: lambda:window=512+self-extend:group=4+temperature."
        )
    };
}

/// What `truncate` is, for the long help of tasks.
macro_rules! method_help {
    ($what:literal, $default:literal) => {
        $crate::cli::args::shared::policy_help!(
            $what,
            $default,
            "truncate (window), which gives the model the last `window` tokens alone, as if nothing had been before"
        )
    };
}

pub(super) use {method_help, policy_help};
