//! Where a text comes from: files, plain or packed, of folders or by name, standard input, or memory. Nothing is read here
//! before it is asked for.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::bytes::{Packing, Spool, SpoolReader, open_at};
use crate::error::{Error, Result};
use crate::note::Note;

/// A public-domain text that is compiled in, so that everything works without a file.
pub const EMBEDDED_TEXT: &str = include_str!("../../assets/text/sample.txt");
/// What it is.
pub const EMBEDDED_TEXT_NAME: &str = "embedded: CIA World Factbook";

/// What is put between two documents: at least two empty lines.
pub const DOCUMENT_BREAK: &str = "\n\n\n";

/// Names that a folder is searched for.
pub(super) const KINDS: [&str; 6] = [".txt", ".txt.gz", ".txt.zst", ".jsonl", ".jsonl.gz", ".jsonl.zst"];

/// A text: where it comes from. Cloning it clones a reference; nothing is read before it is asked for.
#[derive(Clone)]
pub struct Text(Arc<Inner>);

struct Inner {
    name: String,
    files: Vec<Source>,
    notes: Mutex<Vec<Note>>,
}

/// One file of a text, or what stands in its place.
pub(super) struct Source {
    pub label: PathBuf,
    origin: Origin,
    pub layout: Layout,
    pub packing: Packing,
    /// It was found, not asked for by name: it may be left out.
    pub in_folder: bool,
}

enum Origin {
    Memory(Arc<str>),
    File,
    /// What can be read once only.
    Spool(Arc<Mutex<Spool>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Plain,
    Lines,
}

/// How much of a text was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextRead {
    /// Bytes, from the beginning: unpacked, without a byte order mark, documents of several files or lines joined.
    pub bytes: u64,
    /// SHA-256 of these bytes, in hexadecimal.
    pub sha256: String,
    /// Whether they are the whole text.
    pub whole: bool,
}

impl Text {
    /// The text that is compiled in.
    pub fn embedded() -> Self {
        Self::from_memory(EMBEDDED_TEXT_NAME, EMBEDDED_TEXT)
    }

    /// A plain text that is there already.
    pub fn from_memory(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let origin = Origin::Memory(text.into());
        let (layout, packing, label) = (Layout::Plain, Packing::None, PathBuf::from(&name));
        Self::new(name, vec![Source { label, origin, layout, packing, in_folder: false }], Vec::new())
    }

    /// What `reader` gives: a plain text, which is read once, while it is asked for.
    pub fn from_reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        let name = name.into();
        let origin = Origin::Spool(Spool::new(Box::new(reader)));
        let (layout, packing, label) = (Layout::Plain, Packing::None, PathBuf::from(&name));
        Self::new(name, vec![Source { label, origin, layout, packing, in_folder: false }], Vec::new())
    }

    /// The documents of every source, a file, a folder or `-` for standard input, in this order. Files of a folder (not of
    /// folders in it, which a note names) come by name, those alone that the table above knows by `.txt` or `.jsonl`.
    ///
    /// # Errors
    /// No source; one that is not there; a folder without such a file.
    pub fn open(sources: &[impl AsRef<Path>]) -> Result<Self> {
        let (mut files, mut notes, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for source in sources {
            let path = source.as_ref();
            names.push(path.display().to_string());
            if path.as_os_str() == "-" {
                let (label, origin) =
                    ("standard input".into(), Origin::Spool(Spool::new(Box::new(io::stdin()))));
                let (layout, packing) = (Layout::Plain, Packing::None);
                files.push(Source { label, origin, layout, packing, in_folder: false });
                names.pop();
                names.push("standard input".to_owned());
            } else if path.is_dir() {
                files.extend(files_of(path, &mut notes)?);
            } else {
                files.push(Source::file(path)?);
            }
        }
        if files.is_empty() {
            return Err(Error::input("text", "there is none"));
        }
        Ok(Self::new(names.join(", "), files, notes))
    }

    fn new(name: String, files: Vec<Source>, notes: Vec<Note>) -> Self {
        Self(Arc::new(Inner { name, files, notes: Mutex::new(notes) }))
    }

    /// What it is called: the sources as they were given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What was left out so far, and why: files of a folder are looked at when they are read.
    pub fn notes(&self) -> Vec<Note> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn files(&self) -> &[Source] {
        &self.0.files
    }

    pub(super) fn note(&self, field: &str, said: &str) {
        let note = Note::new(field, said);
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        // A text may be read several times.
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// Why nothing was read at all.
    pub(super) fn nothing(&self) -> Error {
        let reasons: Vec<String> = self.notes().iter().map(ToString::to_string).collect();
        Error::input(self.name(), format!("no file in it can be used ({})", reasons.join("; ")))
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Source {
    fn file(path: &Path) -> Result<Self> {
        let metadata = path.metadata().map_err(Error::io(path))?;
        if metadata.is_dir() {
            return Err(Error::input(path.display().to_string(), "expected a text file, got a folder"));
        }
        let file = open_at(path, 0)?;
        // A pipe can be read once only.
        let origin =
            if metadata.is_file() { Origin::File } else { Origin::Spool(Spool::new(Box::new(file))) };
        let (layout, packing) = kind(path);
        Ok(Self { label: path.to_owned(), origin, layout, packing, in_folder: false })
    }

    /// Its bytes, unpacked, from `at` on; a packed file can be read from 0 on only.
    pub fn open_at(&self, at: u64) -> Result<Box<dyn Read + Send>> {
        let packed: Box<dyn Read + Send> = match &self.origin {
            Origin::Memory(text) => {
                let mut bytes = io::Cursor::new(Shared(text.clone()));
                bytes.set_position(at);
                Box::new(bytes)
            }
            Origin::File => Box::new(open_at(&self.label, at)?),
            Origin::Spool(spool) => Box::new(SpoolReader { spool: spool.clone(), at }),
        };
        Ok(self.packing.reader(packed))
    }
}

/// Bytes of a text that others hold too.
struct Shared(Arc<str>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What a file is, by its name.
fn kind(path: &Path) -> (Layout, Packing) {
    let name = name_of(path);
    let (name, packing) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
        (Some(name), _) => (name, Packing::Gzip),
        (_, Some(name)) => (name, Packing::Zstandard),
        _ => (name.as_str(), Packing::None),
    };
    (if name.ends_with(".jsonl") { Layout::Lines } else { Layout::Plain }, packing)
}

/// The name of a file in small letters; what is not Unicode in it is replaced, which no ending minds.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Names that one note lists at most.
const MOST_NAMES: usize = 5;

fn files_of(folder: &Path, notes: &mut Vec<Note>) -> Result<Vec<Source>> {
    let (mut paths, mut folders, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.is_dir() {
            folders.push(path);
        } else if KINDS.iter().any(|kind| name_of(&path).ends_with(kind)) {
            if path.is_file() {
                paths.push(path);
            } else {
                let said = "it is no file, or a link that leads nowhere; it is left out";
                notes.push(Note::new(path.display().to_string(), said));
            }
        } else {
            others.push(path);
        }
    }
    paths.sort();
    let mut note = |left_out: Vec<PathBuf>, one: &str, many: &str| {
        if !left_out.is_empty() {
            let what = if left_out.len() == 1 { one } else { many };
            let said = format!("{} {what}: {}", left_out.len(), listed(left_out));
            notes.push(Note::new(folder.display().to_string(), said));
        }
    };
    note(folders, "folder in it is not looked into", "folders in it are not looked into");
    let endings = KINDS.join(", ");
    let one = format!("file in it is left out, whose name does not end in {endings}");
    note(others, &one, &format!("files in it are left out, whose names do not end in {endings}"));
    if paths.is_empty() {
        let reason = format!("the folder has no file that ends in {endings}");
        return Err(Error::input(folder.display().to_string(), reason));
    }
    let source = |path: PathBuf| {
        let (layout, packing) = kind(&path);
        Source { label: path, origin: Origin::File, layout, packing, in_folder: true }
    };
    Ok(paths.into_iter().map(source).collect())
}

/// The names of these files, in order: the first of them, and how many more there are.
fn listed(mut paths: Vec<PathBuf>) -> String {
    paths.sort();
    let names =
        paths.iter().take(MOST_NAMES).map(|path| path.file_name().unwrap_or_default().to_string_lossy());
    let names = names.collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(MOST_NAMES) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}
