//! From arguments to things: model, text, policies.

use std::sync::Arc;

use anyhow::Context;
use lm_infinite_runtime::checkpoint::{LoadedModel, load_ignoring};
use lm_infinite_runtime::corpus::Sample;
use lm_infinite_runtime::model::KvType;
use lm_infinite_runtime::model::config::PositionConfig;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::{AttentionPolicy, DistanceRemap, PolicySpec, PositionScaling};
use lm_infinite_runtime::session::{Decoder, Precision};
use lm_infinite_runtime::text::{EMBEDDED_TEXT, Text};

use super::args::{ModelArgs, TextArgs};
use super::output::{self, say};
use crate::error::Result;
use crate::words::grouped;

/// Presets that a model with learned positions can follow: they leave keys out, and change no distances.
const FOLLOWED: [&str; 3] = ["vanilla", "window", "lambda"];
/// Characters of the embedded text that make a prompt.
const PROMPT: usize = 1000;

/// A model ready to run.
pub struct Model {
    /// As loaded; its configuration may have another training length than the file says.
    pub loaded: LoadedModel,
    /// To run.
    pub decoder: Arc<Decoder>,
}

impl Model {
    /// Loads what `args` name, to measure it: keys and values are held as they are computed where the checkpoint is of f32 or
    /// quantized, unless asked otherwise.
    pub fn load(args: &ModelArgs) -> anyhow::Result<Self> {
        Self::load_with(args, KvType::F32)
    }

    /// Loads what `args` name, to run it: keys and values of a quantized checkpoint are held in 16 bits too.
    pub fn load_to_run(args: &ModelArgs) -> anyhow::Result<Self> {
        Self::load_with(args, KvType::F16)
    }

    fn load_with(args: &ModelArgs, quantized: KvType) -> anyhow::Result<Self> {
        let mut loaded = load_ignoring(&args.model, &output::cache()?, &args.ignored_fields)?;
        if let Some(folder) = &args.adapter {
            loaded = loaded.with_adapter(folder)?;
        }
        if let Some(length) = args.trained_length {
            anyhow::ensure!(length > 0, "--trained-length: it must be at least 1 token");
            loaded.config.trained_length = length;
        }
        loaded.hold_keys_and_values(args.kv.unwrap_or_else(|| loaded.weights.kv_type(quantized)));
        let decoder = Arc::new(Decoder::new(loaded.config.clone(), loaded.weights.clone())?);
        Ok(Self { loaded, decoder })
    }

    /// The same model, multiplied with `precision`; what is not exact is said beside every result.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.decoder = Arc::new(Decoder::clone(&self.decoder).with_precision(precision));
        if precision == Precision::Fast {
            let said = match self.decoder.precision() {
                Precision::Fast => {
                    "activations are rounded (to 8 bits, or to bfloat16) where they are multiplied with weights: losses differ a little from \
                     exact ones"
                }
                Precision::Exact => {
                    "weights like these are not multiplied faster by this processor (blocks of integers are by AVX-512 VNNI, bfloat16 by \
                     AVX-512 BF16), so that it is the same as exact"
                }
            };
            self.loaded.notes.push(Note::new("--precision fast", said));
        }
        self
    }

    /// `sample` with what the loader has to say of the model before what is said of the text.
    #[must_use]
    pub fn sample(&self, mut sample: Sample) -> Sample {
        sample.notes.splice(0..0, self.loaded.notes.iter().cloned());
        sample
    }

    /// L_pretrain.
    pub fn trained_length(&self) -> u64 {
        self.loaded.config.trained_length
    }

    /// Reads policies, or `defaults` where none are given.
    pub fn policies(&self, given: &[String], defaults: &[String]) -> Result<Vec<PolicySpec>> {
        let texts = if given.is_empty() { defaults } else { given };
        if given.is_empty() && !defaults.is_empty() {
            say(&[Note::new("--policy", format!("none was given; these are read: {}", defaults.join(", ")))]);
        }
        texts
            .iter()
            .map(|text| {
                let spec = PolicySpec::parse(text, self.trained_length())?;
                // Refuses now what the model's position encoding cannot follow, before hours of another policy.
                lm_infinite_runtime::session::check_policy(&self.loaded.config, &spec.policy)?;
                let layers = self.loaded.config.layers as u64;
                if let Some(retrieved) = spec.policy.retrieved.filter(|keys| keys.from_layer >= layers) {
                    let said = format!(
                        "from_layer={}: the model has {layers} layers, counted from 0, so that no layer retrieves keys, and the \
                         policy is the same without them",
                        retrieved.from_layer
                    );
                    say(&[Note::warning(format!("policy {}", spec.label), said)]);
                }
                if let (PositionConfig::Alibi { .. }, PositionScaling::Linear { factor }) =
                    (&self.loaded.config.position, spec.policy.scaling)
                {
                    let said = format!(
                        "the model's position encoding is ALiBi: its slopes are divided by {factor}, as if distances were"
                    );
                    say(&[Note::new(format!("policy {}", spec.label), said)]);
                }
                say(&beyond_training(&spec, self.trained_length()));
                Ok(spec)
            })
            .collect()
    }

    /// Vanilla, and LM-Infinite with a window of a quarter of the training length, or its mask alone where the model is given no
    /// distances.
    pub fn default_comparison(&self) -> [String; 2] {
        let name = if self.is_bounded() { "lambda" } else { "lm-infinite" };
        ["vanilla".into(), format!("{name}:window={}", (self.trained_length() / 4).max(1))]
    }

    /// Has the model an embedding of each position, so that no text is longer and no policy changes distances?
    pub fn is_bounded(&self) -> bool {
        self.loaded.config.most_tokens().is_some()
    }

    /// What is to be said where none of `names`, which would be read without `--policy`, can be followed, so that vanilla stands in
    /// their place.
    pub fn unfollowed(&self, names: &[&str]) -> Option<Note> {
        let stands_in = self.is_bounded() && !names.iter().any(|name| FOLLOWED.contains(name));
        stands_in.then(|| {
            let said = format!(
                "none was given; {} would change distances, of which attention is given none here, since positions are learned: the model's \
                 own attention is read (vanilla)",
                names.join(", ")
            );
            Note::new("--policy", said)
        })
    }

    /// Of policies that are compared where none are asked for, those that the model can follow. Where its positions are learned, windows
    /// are a quarter of the training length, since no text is longer than that; where it can follow none, it is vanilla.
    pub fn followed(&self, names: &[&str]) -> Vec<String> {
        if !self.is_bounded() {
            return names.iter().map(|&name| name.to_owned()).collect();
        }
        let quarter = (self.trained_length() / 4).max(1);
        let followed = |name: &&str| match *name {
            "vanilla" => Some("vanilla".to_owned()),
            name if FOLLOWED.contains(&name) => Some(format!("{name}:window={quarter}")),
            _ => None,
        };
        let followed: Vec<String> = names.iter().filter_map(followed).collect();
        if followed.is_empty() { vec!["vanilla".to_owned()] } else { followed }
    }
}

/// What is to be said of a policy that shows the model distances, or numbers of keys, which its training did not.
fn beyond_training(spec: &PolicySpec, trained_length: u64) -> Vec<Note> {
    let AttentionPolicy { window, ceiling, remap, .. } = spec.policy;
    // What is read at exact distances.
    let (grouped_window, chunk) = match remap {
        Some(DistanceRemap::Grouped { window, .. }) => (Some(window), None),
        Some(DistanceRemap::Chunked { chunk, .. }) => (None, Some(chunk)),
        None => (None, None),
    };
    [("window", window), ("ceiling", ceiling), ("window", grouped_window), ("chunk", chunk)]
        .into_iter()
        .filter_map(|(name, length)| {
            let length = length.filter(|&length| length > trained_length)?;
            let said = format!(
                "its {name} of {} tokens is longer than the training length of {}: distances beyond it are unseen",
                grouped(length),
                grouped(trained_length)
            );
            Some(Note::new(format!("policy {}", spec.label), said))
        })
        .collect()
}

/// Longest prompt, in bytes: it is tokenized at once.
const LONGEST_PROMPT: usize = 256 << 20;

/// The prompt that `prompt` or `text` gives.
pub fn prompt(prompt: Option<&str>, args: &TextArgs) -> anyhow::Result<String> {
    match prompt {
        Some(prompt) => Ok(prompt.to_owned()),
        None if args.texts.is_empty() => Ok(EMBEDDED_TEXT.chars().take(PROMPT).collect()),
        None => {
            let text = text(args)?;
            let prompt = text.read_all(LONGEST_PROMPT).context("--text")?;
            say(&text.notes());
            Ok(prompt)
        }
    }
}

/// The text that `args` name; it is read as far as it is needed.
pub fn text(args: &TextArgs) -> anyhow::Result<Text> {
    if args.texts.is_empty() { Ok(Text::embedded()) } else { Text::open(&args.texts).context("--text") }
}
