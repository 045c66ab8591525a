//! Reads little-endian fields from mapped bytes; every length is checked against what is left before it is used.

use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};

/// What a text is expected to be.
pub(super) const UTF8: &str = "UTF-8";

/// What a text has at `offset` instead.
pub(super) fn invalid_byte(offset: usize) -> String {
    format!("an invalid byte at offset {offset}")
}

/// A position in the bytes of one file.
pub(super) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self { path, bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Refuses `count` items of at least `least` bytes each, for which the rest of the file is too short.
    pub(super) fn check_count(&self, count: u64, least: u64, field: &str) -> Result<usize> {
        match (count.checked_mul(least), usize::try_from(count)) {
            (Some(bytes), Ok(count)) if bytes <= self.left() as u64 => Ok(count),
            _ => Err(self.malformed(
                field,
                format!("a count that fits the {} bytes left in the file", self.left()),
                format!("{count} items of at least {least} bytes"),
            )),
        }
    }

    /// The range of the next `count` bytes, which are skipped.
    pub(super) fn skip(&mut self, count: u64, field: &str) -> Result<Range<usize>> {
        let Some(count) = usize::try_from(count).ok().filter(|&count| count <= self.left()) else {
            let got = format!("a file that ends after {} more", self.left());
            return Err(self.malformed(field, format!("{count} bytes at offset {}", self.at), got));
        };
        let range = self.at..self.at + count;
        self.at = range.end;
        Ok(range)
    }

    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N]> {
        let range = self.skip(N as u64, field)?;
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[range]);
        Ok(out)
    }

    pub(super) fn u8(&mut self, field: &str) -> Result<u8> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, field: &str) -> Result<u16> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, field: &str) -> Result<u32> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, field: &str) -> Result<u64> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A length in 64 bits and that many bytes, which are skipped.
    pub(super) fn skip_text(&mut self, field: &str) -> Result<Range<usize>> {
        let length = self.u64(field)?;
        self.skip(length, field)
    }

    /// The text in `range`, or where its first byte lies that is no UTF-8.
    pub(super) fn utf8(&self, range: Range<usize>) -> std::result::Result<&'a str, usize> {
        let start = range.start;
        std::str::from_utf8(&self.bytes[range]).map_err(|e| start + e.valid_up_to())
    }

    /// The same with every wrong byte replaced by U+FFFD.
    pub(super) fn lossy(&self, range: Range<usize>) -> String {
        String::from_utf8_lossy(&self.bytes[range]).into_owned()
    }

    /// A length in 64 bits and that many bytes of UTF-8.
    pub(super) fn text(&mut self, field: &str) -> Result<&'a str> {
        let range = self.skip_text(field)?;
        self.utf8(range).map_err(|at| self.malformed(field, UTF8, invalid_byte(at)))
    }

    pub(super) fn malformed(&self, field: &str, expected: impl ToString, got: impl ToString) -> Error {
        Error::malformed(self.path, field, expected, got)
    }
}
