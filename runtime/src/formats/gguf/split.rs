//! Models in several files, as llama.cpp's `gguf-split` writes them: `NAME-00001-of-00003.gguf` and so on.
//!
//! Each part is a GGUF file with `split.no` (from 0), `split.count` and, mostly, `split.tensors.count`, the number of tensors
//! of all parts together. The first part has the model's metadata; what the others have is theirs alone.

use std::path::{Path, PathBuf};

use super::file::GgufFile;
use crate::error::Result;

/// Number of a part, from 0.
const NUMBER: &str = "split.no";
/// Number of parts.
pub(super) const COUNT: &str = "split.count";
/// Number of tensors of all parts.
pub(super) const TENSORS: &str = "split.tensors.count";

/// Files above this number cannot be told by a name of five digits, nor by the 16 bits of the format.
pub(super) const MOST_PARTS: u64 = u16::MAX as u64;

/// The name of a part, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartName {
    stem: String,
    /// From 1.
    pub number: u64,
    pub count: u64,
    extension: String,
}

impl PartName {
    /// Takes `STEM-00001-of-00003.gguf` apart; `None` if `name` has another form.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (rest, extension) = name.rsplit_once('.')?;
        let (rest, count) = rest.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| {
            let plain = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u64>().ok()).flatten()
        };
        let (number, count) = (digits(number)?, digits(count)?);
        (number >= 1 && number <= count).then(|| Self {
            stem: stem.to_owned(),
            number,
            count,
            extension: extension.to_owned(),
        })
    }

    /// That of the file at `path`, or of the file that it links to.
    pub(super) fn of(path: &Path) -> Option<(Self, PathBuf)> {
        let named = |path: &Path| Self::parse(&path.file_name()?.to_string_lossy());
        match named(path) {
            Some(name) => Some((name, path.to_owned())),
            None => std::fs::canonicalize(path).ok().and_then(|path| Some((named(&path)?, path))),
        }
    }

    /// The name of part `number`.
    pub(crate) fn part(&self, number: u64) -> String {
        format!("{}-{number:05}-of-{:05}.{}", self.stem, self.count, self.extension)
    }
}

/// Opens part `number` of `count`.
pub(super) fn open_part(path: &Path, number: u64, count: u64) -> Result<GgufFile> {
    let file = GgufFile::open(path)?;
    let stated = file.metadata.require(COUNT, file.metadata.integer(COUNT)?)?;
    if stated != count {
        return Err(file.metadata.malformed(COUNT, format!("{count}, as in the other parts"), stated));
    }
    check_number(&file, number)?;
    Ok(file)
}

/// Refuses a part whose own number is not that of its name.
pub(super) fn check_number(file: &GgufFile, number: u64) -> Result<()> {
    let stated = file.metadata.require(NUMBER, file.metadata.integer(NUMBER)?)?;
    if stated.checked_add(1) != Some(number) {
        let expected = format!("{}, one below the number in the name of the file", number - 1);
        return Err(file.metadata.malformed(NUMBER, expected, stated));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_are_taken_apart_and_put_together() {
        let name = PartName::parse("a-b-00002-of-00003.gguf").expect("a part");
        assert_eq!((name.number, name.count), (2, 3));
        assert_eq!(name.part(1), "a-b-00001-of-00003.gguf");
        assert_eq!(name.part(2), "a-b-00002-of-00003.gguf");
        for other in [
            "a.gguf",
            "a-00001-of-00003",
            "a-0001-of-00003.gguf",
            "a-00000-of-00003.gguf",
            "a-00004-of-00003.gguf",
            "a-0000x-of-00003.gguf",
            "a-+0001-of-00003.gguf",
            "-of-.gguf",
        ] {
            assert_eq!(PartName::parse(other), None, "{other}");
        }
    }
}
