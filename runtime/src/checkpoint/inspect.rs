//! What is in a checkpoint: `models inspect`. Works on files whose architecture cannot be run, too.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::load::{self, Format};
use super::{random_weights, reader_gguf, reader_hf};
use crate::error::{Error, Result};
use crate::formats::gguf::Gguf;
use crate::formats::safetensors;
use crate::formats::tensors::TensorTable;
use crate::hub::Cache;
use crate::model::config::{
    Experts, Mlp, ModelConfig, Multipliers, Norm, PositionConfig, Residual, RopeLayout, SoftCaps,
};
use crate::model::weights::ModelWeights;
use crate::note::Note;
use crate::session::Decoder;
use crate::tokenizer::{ChatTemplate, Tokenizer};

/// A checkpoint, described.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Name, as in results.
    pub name: String,
    /// File or folder.
    pub path: PathBuf,
    /// `gguf` or `safetensors`.
    pub format: &'static str,
    /// Everything that decides how it is computed; `None` where it cannot be run.
    pub config: Option<ModelConfig>,
    /// Why it cannot be run, if it cannot.
    pub problem: Option<String>,
    /// As [`LoadedModel::notes`](super::LoadedModel::notes).
    pub notes: Vec<Note>,
    /// Tensors by element type.
    pub tensors: Vec<TensorGroup>,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// The tokenizer; `None` where it cannot be read.
    pub tokenizer: Option<TokenizerSummary>,
    /// Is there a chat template?
    pub chat_template: bool,
}

/// Tensors of one element type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorGroup {
    /// As the format names it.
    pub dtype: String,
    /// Number of tensors.
    pub tensors: usize,
    /// Their bytes; 0 where the type's size is not known.
    pub bytes: u64,
}

/// What matters about a tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenizerSummary {
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Begin-of-text token.
    pub bos: Option<String>,
    /// End-of-text token.
    pub eos: Option<String>,
    /// Is a BOS put in front of a text?
    pub adds_bos: bool,
}

/// Describes what [`load`](super::load()) would load, by the same checks but that of the weights' values. Fails only where the
/// files themselves are broken or missing; whatever else a run would refuse is [`Inspection::problem`].
pub fn inspect(reference: &str, cache: &Cache) -> Result<Inspection> {
    inspect_ignoring(reference, cache, &[])
}

/// As [`inspect`], of what [`load_ignoring`](super::load_ignoring()) would load.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_ignoring(reference: &str, cache: &Cache, ignored: &[String]) -> Result<Inspection> {
    if reference.starts_with(random_weights::SCHEME) {
        let reason = "its weights are drawn when it is loaded: there is no file to describe";
        return Err(Error::input(format!("model `{reference}`"), reason));
    }
    let located = load::locate(reference, cache)?;
    match located.format {
        Format::Gguf => inspect_gguf(located.name, located.path, ignored),
        Format::Folder => inspect_folder(located.name, located.path, ignored),
    }
}

fn inspect_gguf(name: String, path: PathBuf, ignored: &[String]) -> Result<Inspection> {
    let mut gguf = Gguf::open(&path)?;
    gguf.tensors = gguf.tensors.without_weights();
    let mut found = Findings::new(&gguf.tensors);
    found.notes.extend_from_slice(&gguf.notes);
    let config = found.keep(reader_gguf::config(&gguf));
    let config = config.map(|(config, notes)| {
        found.notes.extend(notes);
        let unread = found.keep(reader_gguf::check_unread(&gguf, ignored));
        found.notes.extend(unread.flatten());
        found.check_weights(&config, reader_gguf::weights(&gguf, &config));
        config
    });
    let rows = config.as_ref().map_or(usize::MAX, |config| config.vocabulary);
    let tokenizer = found.keep(Tokenizer::from_gguf(&gguf.metadata, rows));
    let template = found.keep(ChatTemplate::from_gguf(&gguf.metadata)).flatten();
    Ok(found.into_inspection(name, path, "gguf", config, tokenizer, template))
}

fn inspect_folder(name: String, path: PathBuf, ignored: &[String]) -> Result<Inspection> {
    let whole = safetensors::open(&path)?;
    let mut folder = reader_hf::open(&path);
    if let Ok(folder) = &mut folder {
        folder.look_at_head(&whole)?;
    }
    let mut tensors = whole.without_weights();
    let mut found = Findings::new(&tensors);
    found.notes.extend(safetensors::notes(&path, &tensors));
    let mut folder = found.keep(folder);
    if let Some(folder) = &mut folder
        && found.keep(folder.look_at_scales(&mut tensors)).is_some()
    {
        let weights = folder.weights(&tensors, ignored);
        found.check_weights(&folder.config, weights);
        found.notes.extend_from_slice(&folder.notes);
    }
    let config = folder.map(|folder| folder.config);
    let rows = config.as_ref().map_or(usize::MAX, |config| config.vocabulary);
    let tokenizer = found.keep(Tokenizer::from_folder(&path, rows));
    let template = found.keep(ChatTemplate::from_folder(&path)).flatten();
    Ok(found.into_inspection(name, path, "safetensors", config, tokenizer, template))
}

/// What has been found so far.
struct Findings {
    tensors: Vec<TensorGroup>,
    notes: Vec<Note>,
    problem: Option<String>,
}

impl Findings {
    fn new(table: &TensorTable) -> Self {
        let mut groups = BTreeMap::<String, TensorGroup>::new();
        for (_, tensor) in table.iter() {
            let dtype = tensor.element.to_string();
            let group = groups.entry(dtype.clone()).or_insert(TensorGroup { dtype, tensors: 0, bytes: 0 });
            group.tensors += 1;
            group.bytes += tensor.range.len() as u64;
        }
        Self { tensors: groups.into_values().collect(), notes: Vec::new(), problem: None }
    }

    /// Keeps the first error as the reason why the model cannot be run.
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.problem.get_or_insert(error.to_string()).clone()).ok()
    }

    /// Checks what a run checks of weights, all but their values.
    fn check_weights(&mut self, config: &ModelConfig, weights: Result<ModelWeights>) {
        self.keep(weights.and_then(|weights| Decoder::new(config.clone(), weights)));
    }

    fn into_inspection(
        mut self,
        name: String,
        path: PathBuf,
        format: &'static str,
        config: Option<ModelConfig>,
        tokenizer: Option<Tokenizer>,
        template: Option<ChatTemplate>,
    ) -> Inspection {
        self.notes.extend(tokenizer.iter().flat_map(|tokenizer| tokenizer.notes().iter().cloned()));
        self.notes.extend(template.iter().flat_map(|template| template.notes().iter().cloned()));
        let tokenizer = tokenizer.map(|tokenizer| TokenizerSummary {
            vocabulary: tokenizer.vocabulary_size(),
            bos: tokenizer.bos().and_then(|id| tokenizer.token_text(id)),
            eos: tokenizer.eos().and_then(|id| tokenizer.token_text(id)),
            adds_bos: tokenizer.adds_bos(),
        });
        Inspection {
            name,
            path,
            format,
            config,
            problem: self.problem,
            notes: self.notes,
            bytes: self.tensors.iter().map(|group| group.bytes).sum(),
            tensors: self.tensors,
            tokenizer,
            chat_template: template.is_some(),
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, value: &dyn fmt::Display| writeln!(f, "{label:<18}{value}");
        line("name", &self.name)?;
        line("path", &self.path.display())?;
        line("format", &self.format)?;
        if let Some(config) = &self.config {
            line("architecture", &config.architecture)?;
            line("positions", &position(&config.position))?;
            for (layers, own) in own_positions(config) {
                line(&format!("  {layers}"), &position(own))?;
            }
            line("training length", &format_args!("{} tokens", config.trained_length))?;
            if !config.sliding_windows.is_empty() {
                line("windows by layer", &windows(&config.sliding_windows))?;
            }
            line("layers", &config.layers)?;
            line(
                "heads",
                &format_args!("{} (key/value: {}), {} wide", config.heads, config.kv_heads, config.head_dim),
            )?;
            line("block", &block(config))?;
            line("hidden", &config.hidden)?;
            line("intermediate", &config.intermediate)?;
            line("embedding", &format_args!("{} rows, {}", config.vocabulary, tied(config.tied_embeddings)))?;
        }
        match &self.tokenizer {
            Some(t) => {
                let bos = t.bos.as_deref().unwrap_or("none");
                let rule = if t.adds_bos { "added" } else { "not added" };
                let eos = t.eos.as_deref().unwrap_or("none");
                line("tokenizer", &format_args!("{} entries, BOS {bos} ({rule}), EOS {eos}", t.vocabulary))?;
            }
            None => line("tokenizer", &"unreadable")?,
        }
        line("chat template", &if self.chat_template { "yes" } else { "no" })?;
        for group in &self.tensors {
            line("tensors", &format_args!("{} × {}, {} bytes", group.tensors, group.dtype, group.bytes))?;
        }
        line("bytes", &self.bytes)?;
        for note in &self.notes {
            line(note.label(), note)?;
        }
        if let Some(problem) = &self.problem {
            line("cannot run", problem)?;
        }
        Ok(())
    }
}

/// What a block is made of: `LayerNorm, GELU (tanh), attention and MLP side by side`.
fn block(config: &ModelConfig) -> String {
    let norm = match config.norm {
        Norm::Rms { .. } => "RMSNorm",
        Norm::Layer { .. } => "LayerNorm",
    };
    let mlp = match config.mlp {
        Mlp::SwiGlu => "SwiGLU",
        Mlp::SwiGluBounded => "SwiGLU (bounded)",
        Mlp::GeGluTanh => "GeGLU (tanh)",
        Mlp::Gelu => "GELU",
        Mlp::GeluTanh => "GELU (tanh)",
    };
    let mut parts = vec![norm.to_owned(), mlp.to_owned()];
    if config.residual == Residual::Parallel {
        parts.push("attention and MLP side by side".to_owned());
    }
    if config.query_key_norm {
        parts.push("queries and keys normalized".to_owned());
    }
    if let Some(most) = config.clip_qkv {
        parts.push(format!("queries, keys and values within ±{most}"));
    }
    let Multipliers { embedding, queries, residual, logits } = config.multipliers;
    for (what, factor) in
        [("embedding", embedding), ("queries", queries), ("residual", residual), ("logits", logits)]
    {
        if factor != 1.0 {
            parts.push(format!("{what} × {factor}"));
        }
    }
    if let Some(Experts { count, per_token, intermediate, .. }) = config.experts {
        parts.push(format!("{per_token} of {count} experts {intermediate} wide"));
    }
    if config.learned_sinks {
        parts.push("a learned sink in every head".to_owned());
    }
    let SoftCaps { attention, logits } = config.soft_caps;
    for (what, cap) in [("attention", attention), ("output", logits)] {
        parts.extend(cap.map(|cap| format!("{what} logits within ±{cap}")));
    }
    parts.join(", ")
}

/// Layers whose position encoding is another than the model's: `layers 0–4, 6–10`, and which.
fn own_positions(config: &ModelConfig) -> Vec<(String, &PositionConfig)> {
    let mut kinds: Vec<(&PositionConfig, Vec<usize>)> = Vec::new();
    for (layer, own) in config.layer_positions.iter().enumerate() {
        let Some(own) = own else { continue };
        match kinds.iter_mut().find(|(kind, _)| *kind == own) {
            Some((_, layers)) => layers.push(layer),
            None => kinds.push((own, vec![layer])),
        }
    }
    let named = |(kind, layers): (_, Vec<usize>)| {
        let runs = layers.chunk_by(|a, b| a + 1 == *b).map(|run| range(run[0], run[run.len() - 1]));
        (format!("layers {}", runs.collect::<Vec<_>>().join(", ")), kind)
    };
    kinds.into_iter().map(named).collect()
}

fn range(first: usize, last: usize) -> String {
    if first == last { first.to_string() } else { format!("{first}–{last}") }
}

/// Runs of layers with the same window: `4096 (layers 0–31)`, `none (layer 32)`.
fn windows(windows: &[Option<u64>]) -> String {
    let mut runs = Vec::new();
    let mut first = 0;
    for run in windows.chunk_by(PartialEq::eq) {
        let last = first + run.len() - 1;
        let name = run[0].map_or_else(|| "none".to_owned(), |window| window.to_string());
        let layers = if first == last { "layer" } else { "layers" };
        runs.push(format!("{name} ({layers} {})", range(first, last)));
        first = last + 1;
    }
    runs.join(", ")
}

fn tied(tied: bool) -> &'static str {
    if tied { "also the output head" } else { "separate output head" }
}

fn position(position: &PositionConfig) -> String {
    match position {
        PositionConfig::Rope { theta, dim, layout, scaling, .. } => {
            let layout = match layout {
                RopeLayout::HalfSplit => "pairs half-split",
                RopeLayout::Interleaved => "pairs interleaved",
            };
            format!("RoPE, base {theta}, {dim} dimensions, {layout}, {scaling}")
        }
        PositionConfig::Alibi { max, factor } => {
            let end = if *max == 8.0 { String::new() } else { format!(", slopes down to 2^−{max}") };
            let divided = if *factor == 1.0 { String::new() } else { format!(", slopes times {factor:.4}") };
            format!("ALiBi{end}{divided}")
        }
        PositionConfig::Learned { count } => format!("learned, an embedding of each of {count}"),
        PositionConfig::None => "none".into(),
    }
}
