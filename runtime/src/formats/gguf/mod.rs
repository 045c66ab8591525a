//! GGUF: one file, or the parts of a split model.

mod cursor;
mod element;
mod file;
mod metadata;
mod split;

use std::path::Path;

pub use file::MAGIC;
pub use metadata::Metadata;
pub(crate) use split::PartName;

use self::file::GgufFile;
use super::tensors::TensorTable;
use crate::error::{Error, Result};
use crate::note::Note;

/// At most so many missing files are named.
const MOST_NAMES: usize = 8;

/// A model in the format: a file, or all parts of a split one, that have been opened and whose directories have been checked.
pub struct Gguf {
    /// Key/value pairs, of the first part.
    pub metadata: Metadata,
    /// The tensors of all parts, by name.
    pub tensors: TensorTable,
    /// What is odd about the files and was passed over.
    pub notes: Vec<Note>,
    /// Which parts are not there.
    lacking: Option<Lacking>,
}

/// Parts that are not there: what was expected, and what is there.
struct Lacking {
    expected: String,
    got: String,
}

impl Gguf {
    /// Maps and checks the file at `path`, and the other parts of the model where it is one of several.
    ///
    /// # Errors
    /// A file that is broken, and parts that do not belong together. Parts that are not there are told by
    /// [`Gguf::check_whole`].
    pub fn open(path: &Path) -> Result<Self> {
        join(path, GgufFile::open(path)?)
    }

    fn of_one(file: GgufFile) -> Self {
        let GgufFile { metadata, tensors, notes } = file;
        Self { metadata, tensors, notes, lacking: None }
    }

    /// Refuses a model of which parts are missing.
    ///
    /// # Errors
    /// Which files are not there.
    pub fn check_whole(&self) -> Result<()> {
        match &self.lacking {
            None => Ok(()),
            Some(Lacking { expected, got }) => Err(self.metadata.malformed(split::COUNT, expected, got)),
        }
    }
}

/// The model of which `given` is a file: alone, or with its other parts, as far as they are there.
fn join(path: &Path, given: GgufFile) -> Result<Gguf> {
    let count = match given.metadata.integer(split::COUNT)? {
        None | Some(0 | 1) => return Ok(Gguf::of_one(given)),
        Some(count) if count > split::MOST_PARTS => {
            let expected = format!("at most {}", split::MOST_PARTS);
            return Err(given.metadata.malformed(split::COUNT, expected, count));
        }
        Some(count) => count,
    };
    let Some((name, path)) = PartName::of(path) else {
        let expected =
            format!("a file name that ends in -00001-of-{count:05}.gguf, by which its other parts are found");
        let got = format!("one of {count} parts, under another name");
        return Ok(Gguf { lacking: Some(Lacking { expected, got }), ..Gguf::of_one(given) });
    };
    if name.count != count {
        let expected = format!("{}, as in the name of the file", name.count);
        return Err(given.metadata.malformed(split::COUNT, expected, count));
    }
    split::check_number(&given, name.number)?;

    let (mut whole, mut given, mut missing, mut more) = (None::<Gguf>, Some(given), Vec::new(), 0);
    for number in 1..=count {
        let part = path.with_file_name(name.part(number));
        let file = match given.take_if(|_| number == name.number) {
            Some(given) => given,
            None if part.is_file() => split::open_part(&part, number, count)?,
            None if missing.len() < MOST_NAMES => {
                missing.push(name.part(number));
                continue;
            }
            None => {
                more += 1;
                continue;
            }
        };
        match &mut whole {
            None => whole = Some(Gguf::of_one(file)),
            Some(whole) => {
                whole.tensors.extend(file.tensors)?;
                whole.notes.extend(file.notes);
            }
        }
    }
    let expected = format!("all {count} parts of the model");
    let Some(mut whole) = whole else {
        return Err(Error::malformed(path, split::COUNT, expected, "none of them"));
    };
    if !missing.is_empty() {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let got = format!("no file {}{more} beside it", missing.join(", "));
        whole.lacking = Some(Lacking { expected, got });
    } else if let Some(stated) = whole.metadata.integer(split::TENSORS)? {
        let found = whole.tensors.count() as u64;
        if found != stated {
            return Err(whole.metadata.malformed(
                split::TENSORS,
                format!("{found}, those of all parts"),
                stated,
            ));
        }
    }
    Ok(whole)
}
