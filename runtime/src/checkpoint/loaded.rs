//! A model with everything that came with it.

use std::path::PathBuf;

use crate::digest;
use crate::error::Result;
use crate::model::config::ModelConfig;
use crate::model::identity::{self, ModelDigest};
use crate::model::kv_type::KvType;
use crate::model::weights::ModelWeights;
use crate::note::Note;
use crate::session::Decoder;
use crate::tokenizer::{ChatTemplate, Tokenizer};

/// A model with everything that came with it.
#[derive(Debug)]
pub struct LoadedModel {
    /// What it is called in results: the embedded or pulled name, `hf:…`, or the name of the file or folder as the user
    /// wrote it; of a snapshot in Hugging Face's cache, `org/name`.
    pub name: String,
    /// File (GGUF) or folder (Hugging Face) that it was read from; `embedded:NAME` of one that is compiled in.
    pub path: PathBuf,
    /// Shape and structure.
    pub config: ModelConfig,
    /// Views of the mapped files.
    pub weights: ModelWeights,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// How a conversation becomes a prompt, where the model knows.
    pub chat_template: Option<ChatTemplate>,
    /// What the reader of the results has to know of the checkpoint: what was applied, assumed or passed over. What would
    /// change numbers and cannot be applied is refused instead.
    pub notes: Vec<Note>,
}

impl LoadedModel {
    /// Has keys and values held as `kv`, with a note where they are rounded.
    pub fn hold_keys_and_values(&mut self, kv: KvType) {
        self.config.kv = kv;
        if kv != KvType::F32 {
            let said = format!("keys and values are held as {kv}: rounded, in half the memory");
            self.notes.push(Note::new("--kv", said));
        }
    }

    /// Which model this is: weights, configuration as it stands in [`LoadedModel::config`], tokenizer and chat template.
    /// Reads all weights, on all threads, at every call.
    ///
    /// # Errors
    /// A tokenizer that cannot be written down.
    pub fn digest(&self) -> Result<ModelDigest> {
        Ok(ModelDigest {
            weights: identity::of_weights(&self.weights),
            configuration: identity::of_configuration(&self.config),
            tokenizer: Some(self.tokenizer_sha256()?),
        })
    }

    /// [`ModelDigest::whole`] of [`LoadedModel::digest`].
    ///
    /// # Errors
    /// As [`LoadedModel::digest`].
    pub fn sha256(&self) -> Result<String> {
        Ok(self.digest()?.whole())
    }

    /// A decoder of this model that knows its tokenizer, so that snapshots are refused under another one.
    ///
    /// # Errors
    /// As [`Decoder::new`] and [`LoadedModel::digest`].
    pub fn decoder(&self) -> Result<Decoder> {
        let decoder = Decoder::new(self.config.clone(), self.weights.clone())?;
        Ok(decoder.with_tokenizer_sha256(self.tokenizer_sha256()?))
    }

    /// Digest of the tokenizer and the chat template, which a decoder is told so that snapshots name it.
    ///
    /// # Errors
    /// As [`LoadedModel::digest`].
    pub fn tokenizer_sha256(&self) -> Result<String> {
        let template = self.chat_template.as_ref().map_or_else(|| "none".into(), ChatTemplate::sha256);
        Ok(digest::sha256(format!("{}\n{template}\n", self.tokenizer.sha256()?).as_bytes()))
    }
}
