//! What a run was: everything needed to repeat it.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use jiff::Timestamp;
use lm_infinite_runtime::model::ModelDigest;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::random;
use lm_infinite_runtime::session::Precision;
use lm_infinite_runtime::text::TextRead;
use serde::{Deserialize, Serialize};

use super::store::{RUN, from_json};
use crate::error::{Error, Result};

/// Marks a folder as a result of this program.
const FORMAT: &str = "lm-infinite-result";
/// The layout that is written. 1 had no kind and no manifest.
pub(super) const VERSION: u32 = 2;
/// `run.json` of a result folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Always `lm-infinite-result`.
    pub format: String,
    /// Version of the folder's layout: 2. Version 1 had neither `kind` nor `files` nor `generator`.
    pub format_version: u32,
    /// What the folder holds. Set by whoever writes the folder, as `files` is.
    #[serde(default)]
    pub kind: String,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// The model; its digest is that of weights, configuration and tokenizer together ([`ModelDigest::whole`]).
    pub model: Source,
    /// The parts of that digest, so that a difference can be named; absent from folders of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_digest: Option<ModelDigest>,
    /// The text.
    pub text: Source,
    /// Length of the text, in tokens.
    pub tokens: u64,
    /// The policies, by their text.
    pub policies: BTreeMap<String, AttentionPolicy>,
    /// Seed of everything random.
    pub seed: u64,
    /// The generator of random numbers that expands it ([`random::GENERATOR`]); `None` in folders of before it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// How weights were multiplied, where that was not exact.
    #[serde(default, skip_serializing_if = "is_exact")]
    pub precision: Precision,
    /// Versions: this program, and what else matters.
    pub versions: BTreeMap<String, String>,
    /// Where it ran.
    pub machine: Machine,
    /// When it was written, UTC, as `2024-05-31T12:00:00Z`.
    pub date: String,
    /// Names of the files in the folder that belong to the result, this one among them.
    #[serde(default)]
    pub files: Vec<String>,
    /// How much of the text was read: the digest of [`Self::text`] is that of these bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_read: Option<TextRead>,
    /// Position of the first token that was drawn from the text's documents, behind its end: from here on it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_from: Option<u64>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

fn is_exact(precision: &Precision) -> bool {
    *precision == Precision::Exact
}

/// A file that went in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Name or path as it was asked for.
    pub name: String,
    /// SHA-256 in hexadecimal, of the bytes of a text, of a model as [`ModelDigest`] says; `None` for what has no bytes of its
    /// own.
    pub sha256: Option<String>,
}

/// A machine, as far as it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system.
    pub system: String,
    /// Processor architecture.
    pub architecture: String,
    /// Processor, as the system names it.
    pub processor: Option<String>,
    /// Threads that can run at once.
    pub threads: usize,
}

impl RunInfo {
    /// Of a run on this machine, now. `policies` are (text, meaning).
    pub fn new(
        command: Vec<String>,
        model: Source,
        text: Source,
        tokens: u64,
        policies: impl IntoIterator<Item = (String, AttentionPolicy)>,
        seed: u64,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            format_version: VERSION,
            kind: String::new(),
            command,
            model,
            model_digest: None,
            text,
            tokens,
            policies: policies.into_iter().collect(),
            seed,
            generator: Some(random::GENERATOR.to_owned()),
            precision: Precision::Exact,
            versions: [("lm-infinite".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
            machine: Machine::this(),
            date: Timestamp::now().strftime(DATE).to_string(),
            files: Vec::new(),
            text_read: None,
            repeated_from: None,
            notes: Vec::new(),
        }
    }

    /// The same, of a run whose weights were multiplied with `precision`.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same, with the parts of the model's digest.
    #[must_use]
    pub fn of_model(mut self, digest: ModelDigest) -> Self {
        self.model.sha256 = Some(digest.whole());
        self.model_digest = Some(digest);
        self
    }

    /// With what was read of the text, from where on it repeats, and what there is to say of it.
    #[must_use]
    pub fn with_text(mut self, read: &TextRead, repeated_from: Option<u64>, notes: &[Note]) -> Self {
        self.text.sha256 = Some(read.sha256.clone());
        (self.text_read, self.repeated_from) = (Some(read.clone()), repeated_from);
        self.notes.extend_from_slice(notes);
        self
    }

    /// Reads `run.json` of `folder`.
    ///
    /// # Errors
    /// None there; one that is damaged, not of this program, or of a later version.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(RUN);
        let info: Self = from_json(&path)?;
        if info.format != FORMAT {
            return Err(Error::malformed(path, "format", FORMAT, info.format));
        }
        if !(1..=VERSION).contains(&info.format_version) {
            return Err(Error::malformed(path, "format_version", "1 or 2", info.format_version));
        }
        if info.kind.is_empty() != (info.format_version == 1) {
            let expected = format!("a kind in version {VERSION} and none in version 1");
            return Err(Error::malformed(path, "kind", expected, format!("`{}`", info.kind)));
        }
        if let Some(name) = info.files.iter().find(|name| !is_plain_name(name)) {
            return Err(Error::malformed(path, "files", "names of files in this folder", name));
        }
        Ok(info)
    }
}

/// The name of a file, and not a way out of a folder.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == name)
}

impl Machine {
    /// The machine that this runs on.
    pub fn this() -> Self {
        Self {
            system: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            processor: crate::machine::processor(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// How a moment is written in `run.json`, UTC.
const DATE: &str = "%Y-%m-%dT%H:%M:%SZ";
