//! What a kind of result has to say about itself, once: how it is written, drawn, read and joined.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::RunInfo;
use crate::error::{Error, Result};

/// What a command measured, as a result folder holds it.
///
/// Writing and drawing are given a folder of their own, into which nothing else is written at the same time: whatever
/// lies in it afterwards is the result's, and becomes the manifest.
pub trait Storable: Sized + 'static {
    /// What its shards become when they are joined: mostly the same.
    type Whole: Storable;

    /// What `run.json` calls results of this kind, unless [`Storable::kind`] says it.
    const KIND: &'static str;
    /// The kind with its article, in a sentence.
    const NAMED: &'static str;
    /// The file that [`Storable::read`] begins with. It tells of what kind a folder is that does not say so.
    const FILE: &'static str;
    /// Files that every result of this kind may have, `run.json` left out. A folder of format 1, which has no manifest,
    /// is taken to own these.
    const FILES: &'static [&'static str];

    /// What `run.json` calls this one. Kinds that are not equal never replace one another.
    fn kind(&self) -> &str {
        Self::KIND
    }

    /// Writes numbers and tables into `folder`: everything but `run.json` and what [`Storable::draw`] makes.
    ///
    /// # Errors
    /// Where a file cannot be written.
    fn write(&self, folder: &Path) -> Result<()>;

    /// Draws figures, and reports that hold them, into `folder`. Returns their paths.
    ///
    /// # Errors
    /// Where a file cannot be written.
    fn draw(&self, info: &RunInfo, folder: &Path) -> Result<Vec<PathBuf>>;

    /// Reads from `folder` what [`Storable::write`] wrote.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    fn read(folder: &Path) -> Result<Self>;

    /// In words.
    fn summary(&self) -> String;

    /// As `--json` prints it, with the folder it was written to.
    fn to_json(&self, out: &Path) -> Value;

    /// Files of this one beside [`Storable::FILES`], for folders without a manifest.
    fn more_files(&self) -> Vec<String> {
        Vec::new()
    }

    /// Joins the results of all shards of one run to the result of the whole.
    ///
    /// # Errors
    /// Results of different runs; a shard that is missing or there twice; kinds that have no shards.
    fn merge(parts: Vec<Part<Self>>) -> Result<(Self::Whole, RunInfo)> {
        let what = parts.first().map_or("merge".to_owned(), |part| format!("`{}`", part.folder.display()));
        Err(Error::input(what, format!("it holds {}, which has no shards to join", Self::NAMED)))
    }
}

/// One shard of a result.
#[derive(Clone, Debug)]
pub struct Part<T> {
    /// Where it was read from.
    pub folder: PathBuf,
    /// What was measured.
    pub outcome: T,
    /// How.
    pub info: RunInfo,
}

/// How a sentence names a result of `kind`, which is registered as `registered` and `named`: tasks by their command.
pub(super) fn named(named: &str, kind: &str, registered: &str) -> String {
    if kind == registered { named.to_owned() } else { format!("a result of `{kind}`") }
}

/// An [`Storable`] whose type is not known.
pub(super) trait AnyStorable {
    fn kind(&self) -> &str;
    fn named(&self) -> String;
    fn files(&self) -> &'static [&'static str];
    fn write(&self, folder: &Path) -> Result<()>;
    fn draw(&self, info: &RunInfo, folder: &Path) -> Result<Vec<PathBuf>>;
    fn summary(&self) -> String;
    fn to_json(&self, out: &Path) -> Value;
    fn more_files(&self) -> Vec<String>;
}

impl<T: Storable> AnyStorable for T {
    fn kind(&self) -> &str {
        Storable::kind(self)
    }

    fn named(&self) -> String {
        named(T::NAMED, Storable::kind(self), T::KIND)
    }

    fn files(&self) -> &'static [&'static str] {
        T::FILES
    }

    fn write(&self, folder: &Path) -> Result<()> {
        Storable::write(self, folder)
    }

    fn draw(&self, info: &RunInfo, folder: &Path) -> Result<Vec<PathBuf>> {
        Storable::draw(self, info, folder)
    }

    fn summary(&self) -> String {
        Storable::summary(self)
    }

    fn to_json(&self, out: &Path) -> Value {
        Storable::to_json(self, out)
    }

    fn more_files(&self) -> Vec<String> {
        Storable::more_files(self)
    }
}
