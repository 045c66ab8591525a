//! Hugging Face folders: `config.json` and tensors, read as transformers 5.24 reads them, defaults included.

use std::path::Path;

use super::families::fields::Fields;
use super::families::{self, Family, unread};
use super::hf_quantization::{self, Float8};
use super::taken;
use crate::error::{Error, Result};
use crate::formats::folder::{ADAPTER_CONFIG_FILE, CONFIG_FILE};
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::ModelConfig;
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// A folder whose `config.json` has been read.
pub(super) struct Folder {
    json: Json,
    family: &'static Family,
    float8: Option<Float8>,
    /// Its decoder.
    pub config: ModelConfig,
    /// What is to be said of the file's fields.
    pub notes: Vec<Note>,
}

/// Reads `config.json` of the folder.
pub(super) fn open(folder: &Path) -> Result<Folder> {
    let json = Json::read(&folder.join(CONFIG_FILE))?;
    let model_type = json.require("model_type", json.text("model_type")?)?;
    let family = families::of(model_type).ok_or_else(|| {
        let known = families::model_types().join(", ");
        let detail = format!("{}: supported are {known}", json.path().display());
        Error::unsupported(format!("model type `{model_type}`"), detail)
    })?;
    let float8 = hf_quantization::read(&json, family)?;
    let mut notes = Vec::new();
    let mut fields = Fields { json: &json, absent: Vec::new() };
    let config = (family.config)(&mut fields, &mut notes)?;
    if !fields.absent.is_empty() {
        let said = format!("absent fields have the defaults of transformers: {}", fields.absent.join(", "));
        notes.push(Note::new(CONFIG_FILE, said));
    }
    if folder.join(ADAPTER_CONFIG_FILE).exists() {
        let said = "an adapter lies in the folder; it is applied where `--adapter` names it";
        notes.push(Note::new(ADAPTER_CONFIG_FILE, said));
    }
    Ok(Folder { config, notes, family, float8, json })
}

impl Folder {
    /// Whether the output head is the embedding, transformers decides by what is stored in `tensors`: with the flag set and two
    /// different ones, it is not.
    pub(super) fn look_at_head(&mut self, tensors: &TensorTable) -> Result<()> {
        let names = (self.family.embedding_and_head)(tensors);
        if self.config.tied_embeddings
            && taken::has_another_head(tensors, [names[0].as_str(), names[1].as_str()])?
        {
            self.config.tied_embeddings = false;
            self.notes.push(Note::warning(
                "tie_word_embeddings",
                "it is true, but the folder holds an embedding and another output head; both are used, as transformers 5 does \
                 (its version 4 put the embedding in the place of the head)",
            ));
        }
        Ok(())
    }

    /// Lets `tensors` have matrices of FP8, where the configuration says so.
    pub(super) fn look_at_scales(&mut self, tensors: &mut TensorTable) -> Result<()> {
        if let Some(float8) = &self.float8 {
            self.notes.push(float8.apply(tensors)?);
        }
        Ok(())
    }

    /// Takes the decoder's weights out of the folder's tensors, after [`Self::look_at_head`] and [`Self::look_at_scales`].
    ///
    /// # Errors
    /// Tensors that are missing or malformed; fields of the configuration that nobody reads and that are not `ignored`.
    pub(super) fn weights(&mut self, tensors: &TensorTable, ignored: &[String]) -> Result<ModelWeights> {
        let weights = (self.family.weights)(&self.json, tensors, &self.config)?;
        let model_type = self.json.text("model_type")?.unwrap_or_default();
        self.notes.extend(unread::check(&self.json, model_type, ignored)?);
        Ok(weights)
    }
}
