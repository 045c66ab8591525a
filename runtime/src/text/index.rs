//! Where the documents of a text lie: written down while the text is read, looked up by number. What does not fit into a
//! megabyte goes to a temporary file.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::error::{Error, Result};

/// Bytes of an index that are kept in memory; a longer one goes to a temporary file.
const KEPT: usize = 1 << 20;

/// Bytes of an entry: file, start, end.
const ENTRY: usize = 24;

/// Files, starts and ends of documents, while they are found.
pub(super) struct Index {
    entries: io::BufWriter<tempfile::SpooledTempFile>,
    count: u64,
}

/// An [`Index`] that is whole.
pub(super) struct WholeIndex {
    entries: tempfile::SpooledTempFile,
    count: u64,
}

impl Index {
    pub fn new() -> Self {
        Self { entries: io::BufWriter::new(tempfile::SpooledTempFile::new(KEPT)), count: 0 }
    }

    /// Adds a document of the file of this number.
    pub fn push(&mut self, file: u64, Range { start, end }: Range<u64>) -> Result<()> {
        let entry = [file, start, end].map(u64::to_le_bytes).concat();
        self.entries.write_all(&entry).map_err(temporary)?;
        self.count += 1;
        Ok(())
    }

    /// Nothing more comes.
    pub fn finish(self) -> Result<WholeIndex> {
        let entries = self.entries.into_inner().map_err(|e| temporary(e.into_error()))?;
        Ok(WholeIndex { entries, count: self.count })
    }
}

impl WholeIndex {
    /// How many documents there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// File and bytes of a document.
    pub fn get(&mut self, number: u64) -> Result<(usize, Range<u64>)> {
        if number >= self.count {
            return Err(Error::input("text", format!("no document {number}: it has {}", self.count)));
        }
        let mut entry = [0; ENTRY];
        self.entries.seek(SeekFrom::Start(number * ENTRY as u64)).map_err(temporary)?;
        self.entries.read_exact(&mut entry).map_err(temporary)?;
        let field = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&entry[8 * at..8 * (at + 1)]);
            u64::from_le_bytes(bytes)
        };
        Ok((field(0) as usize, field(1)..field(2)))
    }
}

/// A temporary file that cannot be used.
pub(super) fn temporary(reason: io::Error) -> Error {
    Error::input("temporary file", format!("{reason}; TMPDIR names the folder for such files"))
}
