//! Files of models as bytes, without reading them: the one place of this crate that maps memory. Files of embedded models
//! are files like others.

use std::fs::File;
#[cfg(unix)]
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::embedded::embedded_file;
use crate::error::{Error, Result};
use crate::model::weights::{Bytes, Held};

/// Maps `path` read-only. Only regular files: a pipe or a device has no length to check anything against.
pub(crate) fn map(path: &Path) -> Result<Bytes> {
    if let Some(bytes) = embedded_file(path) {
        return Ok(Arc::new(bytes));
    }
    let file = File::open(path).map_err(Error::io(path))?;
    let metadata = file.metadata().map_err(Error::io(path))?;
    if !metadata.is_file() {
        let got = if metadata.is_dir() { "a folder" } else { "a device or pipe" };
        return Err(Error::malformed(path, "file", "a regular file", got));
    }
    if metadata.len() == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    // SAFETY: the mapping is read-only and lives as long as the `Arc` that owns it. As with every mapped file, another
    // program that truncates or rewrites it while we run can change what we read or end the process; that cannot be
    // excluded from in here. Nothing read from the mapping is trusted as an invariant: `Matrix` checks lengths once and
    // every later use is bounds-checked against the length of the mapping, which does not change.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::io(path))?;
    refuse_substitute(path, &map)?;
    Ok(Arc::new(Mapped(map)))
}

/// A mapped file.
struct Mapped(memmap2::Mmap);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Held for Mapped {
    #[cfg(unix)]
    fn release(&self, range: Range<usize>) {
        // The first and the last page may hold bytes of others; those are read again, as all are.
        // SAFETY: the mapping is of a file and read-only, so that its pages hold what the file holds whenever they are read.
        let _ = unsafe {
            self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
        };
    }
}

/// How a Git LFS pointer begins (the specification of Git LFS, version 1).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// Longest pointer, by the same specification.
const LONGEST_POINTER: usize = 1024;

/// How a web page begins, in small letters.
const PAGES: [&[u8]; 2] = [b"<!doctype html", b"<html"];

/// What UTF-8 files of some editors begin with.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Refuses what stands in the place of a file that was not fetched: what a clone without Git LFS leaves there, or the page that a
/// server answered with.
pub(crate) fn refuse_substitute(path: &Path, bytes: &[u8]) -> Result<()> {
    let refuse = |got: &str| Err(Error::malformed(path, "file", "the file itself", got));
    if bytes.len() < LONGEST_POINTER && bytes.starts_with(POINTER) {
        return refuse("a Git LFS pointer, not the file; fetch it with `git lfs pull`");
    }
    let page = bytes.trim_ascii_start();
    let begins =
        |begin: &&[u8]| page.get(..begin.len()).is_some_and(|start| start.eq_ignore_ascii_case(begin));
    if PAGES.iter().any(begins) {
        return refuse("a web page, not the file; fetch the file itself");
    }
    Ok(())
}

/// Largest JSON or template file that is read into memory; tokenizers of 256k entries take about 35 MB.
const LARGEST_TEXT: u64 = 256 << 20;

/// The text of a small file (configuration, tokenizer, template), with a limit on its size, without a byte order mark.
pub(crate) fn read_small(path: &Path) -> Result<String> {
    let mut text = String::from_utf8(read_small_bytes(path)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::malformed(path, "file", "UTF-8", format!("an invalid byte at offset {at}"))
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(text)
}

/// [`read_small`] of a file that is no text.
pub(crate) fn read_small_bytes(path: &Path) -> Result<Vec<u8>> {
    if let Some(bytes) = embedded_file(path) {
        return Ok(bytes.to_vec());
    }
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    if !metadata.is_file() {
        return Err(Error::malformed(path, "file", "a regular file", "something else"));
    }
    if metadata.len() > LARGEST_TEXT {
        let expected = format!("at most {LARGEST_TEXT} bytes");
        return Err(Error::malformed(path, "file", expected, format!("{} bytes", metadata.len())));
    }
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    refuse_substitute(path, &bytes)?;
    Ok(bytes)
}

/// Is there a file at `path`, on disk or embedded?
pub(crate) fn exists(path: &Path) -> bool {
    embedded_file(path).is_some() || path.exists()
}

/// [`read_small`], or `None` where the file does not exist.
pub(crate) fn read_small_if_present(path: &Path) -> Result<Option<String>> {
    if exists(path) { read_small(path).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_released_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights");
        let content: Vec<u8> = (0..100_000u32).map(|at| (at * 31 % 251) as u8).collect();
        std::fs::write(&path, &content).expect("room");
        let bytes = map(&path).expect("a file");
        for range in [0..100_000, 5_000..5_001, 4_096..8_192, 99_999..100_000, 7..7] {
            assert_eq!((*bytes).as_ref(), content);
            bytes.release(range);
        }
        assert_eq!((*bytes).as_ref(), content);
    }
}
