//! From arguments to things: model, text, policies.

use std::sync::Arc;

use anyhow::Context;
use lm_infinite_runtime::checkpoint::{LoadedModel, load};
use lm_infinite_runtime::policy::PolicySpec;
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::text::{EMBEDDED_TEXT, EMBEDDED_TEXT_NAME};

use super::args::{ModelArgs, TextArgs};
use super::output;
use crate::error::Result;

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
    /// Loads what `args` name.
    pub fn load(args: &ModelArgs) -> anyhow::Result<Self> {
        let mut loaded = load(&args.model, &output::cache()?)?;
        if let Some(length) = args.trained_length {
            anyhow::ensure!(length > 0, "--trained-length: it must be at least 1 token");
            loaded.config.trained_length = length;
        }
        let decoder = Arc::new(Decoder::new(loaded.config.clone(), loaded.weights.clone())?);
        Ok(Self { loaded, decoder })
    }

    /// L_pretrain.
    pub fn trained_length(&self) -> u64 {
        self.loaded.config.trained_length
    }

    /// Reads policies, or `defaults` where none are given.
    pub fn policies(&self, given: &[String], defaults: &[String]) -> Result<Vec<PolicySpec>> {
        let texts = if given.is_empty() { defaults } else { given };
        texts
            .iter()
            .map(|text| {
                let spec = PolicySpec::parse(text, self.trained_length())?;
                // Refuses now what the model's position encoding cannot follow, before hours of another policy.
                lm_infinite_runtime::position::PositionEncoding::new(
                    &self.loaded.config,
                    spec.policy.scaling,
                )?;
                Ok(spec)
            })
            .collect()
    }

    /// Vanilla, and LM-Infinite with a window of a quarter of the training length.
    pub fn default_comparison(&self) -> [String; 2] {
        ["vanilla".into(), format!("lm-infinite:window={}", (self.trained_length() / 4).max(1))]
    }
}

/// The prompt that `prompt` or `text` gives.
pub fn prompt(prompt: Option<&str>, text: &TextArgs) -> anyhow::Result<String> {
    match prompt {
        Some(prompt) => Ok(prompt.to_owned()),
        None if text.texts.is_empty() => Ok(EMBEDDED_TEXT.chars().take(PROMPT).collect()),
        None => Ok(Text::read(text)?.text),
    }
}

/// A text and where it came from.
pub struct Text {
    /// File name, or what it is.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Text {
    /// Reads what `args` name.
    pub fn read(args: &TextArgs) -> anyhow::Result<Self> {
        if args.texts.is_empty() {
            return Ok(Self { name: EMBEDDED_TEXT_NAME.into(), text: EMBEDDED_TEXT.into() });
        }
        let name = |path: &String| if path == "-" { "standard input" } else { path.as_str() }.to_owned();
        let text = lm_infinite_runtime::text::read_texts(&args.texts).context("--text")?;
        Ok(Self { name: args.texts.iter().map(name).collect::<Vec<_>>().join(", "), text })
    }
}
