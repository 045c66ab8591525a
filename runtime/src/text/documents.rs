//! Any document of a text, by its number: where each lies was written down while the text was read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::bytes::{Blocks, Packing};
use super::index::{Index, WholeIndex, temporary};
use super::line_ends::LineEnds;
use super::part::{A_DOCUMENT, Part, document};
use super::source::{DOCUMENT_BREAK, Layout, Text};
use crate::error::{Error, Result};

/// Most bytes that a packed file may unpack to where its documents are drawn.
const LARGEST: u64 = 64 << 30;

/// The documents of a [`Text`] that was read to its end.
pub struct Documents {
    text: Text,
    index: WholeIndex,
    /// What packed files hold.
    unpacked: HashMap<usize, Arc<Mutex<File>>>,
}

impl Documents {
    pub(super) fn new(text: Text, index: Index) -> Result<Self> {
        let index = index.finish()?;
        if index.count() == 0 {
            return Err(Error::input("text", "it has nothing but empty lines: there is no document to draw"));
        }
        Ok(Self { text, index, unpacked: HashMap::new() })
    }

    /// How many there are, at least one.
    pub fn count(&self) -> u64 {
        self.index.count()
    }

    /// The document of this number, from 0, behind [`DOCUMENT_BREAK`], without white space around it.
    ///
    /// # Errors
    /// A number that is none; files that cannot be read any more, or have changed.
    pub fn open(&mut self, number: u64) -> Result<Document> {
        let (file, Range { start, end }) = self.index.get(number)?;
        let text = self.text.clone();
        let source = &text.files()[file];
        let bytes: Box<dyn Read + Send> = match source.packing {
            Packing::None => source.open_at(start)?,
            Packing::Gzip | Packing::Zstandard => {
                Box::new(Unpacked { file: self.unpacked(file)?, at: start })
            }
        };
        let length = end - start;
        let blocks = Blocks::behind_mark(Box::new(bytes.take(length)), &source.label, start);
        let mut document = Document {
            blocks: Some(blocks),
            part: None,
            begun: false,
            line_ends: LineEnds::default(),
            length,
        };
        if source.layout == Layout::Lines {
            document.parse_line(&source.label)?;
        }
        Ok(document)
    }

    fn unpacked(&mut self, file: usize) -> Result<Arc<Mutex<File>>> {
        if let Some(unpacked) = self.unpacked.get(&file) {
            return Ok(unpacked.clone());
        }
        let source = &self.text.files()[file];
        let mut unpacked = tempfile::tempfile().map_err(temporary)?;
        let mut bytes = source.open_at(0)?.take(LARGEST + 1);
        let (mut buffer, mut length) = (vec![0; 1 << 16], 0);
        loop {
            let count = bytes.read(&mut buffer).map_err(Error::io(&source.label))?;
            if count == 0 {
                break;
            }
            unpacked.write_all(&buffer[..count]).map_err(temporary)?;
            length += count as u64;
        }
        if length > LARGEST {
            let reason = format!("it unpacks to more than {} GiB: unpack it to repeat it", LARGEST >> 30);
            return Err(Error::input(source.label.display().to_string(), reason));
        }
        let unpacked = Arc::new(Mutex::new(unpacked));
        self.unpacked.insert(file, unpacked.clone());
        Ok(unpacked)
    }
}

/// Reads an unpacked file from any place.
struct Unpacked {
    file: Arc<Mutex<File>>,
    at: u64,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.at))?;
        let count = file.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// One document, in parts.
pub struct Document {
    blocks: Option<Blocks>,
    part: Option<Part>,
    begun: bool,
    line_ends: LineEnds,
    length: u64,
}

impl Document {
    /// Bytes that it takes in its file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next part, the first of which has [`DOCUMENT_BREAK`] in front; `None` at the end.
    ///
    /// # Errors
    /// As [`Documents::open`].
    pub fn next_part(&mut self) -> Result<Option<Part>> {
        if let Some(part) = self.part.take() {
            return Ok(Some(part));
        }
        let Some(blocks) = &mut self.blocks else { return Ok(None) };
        let Some((_, mut text)) = blocks.next()? else {
            self.blocks = None;
            return Ok(None);
        };
        self.line_ends.push(&mut text);
        let starts_document = !std::mem::replace(&mut self.begun, true);
        if starts_document {
            text.insert_str(0, DOCUMENT_BREAK);
        }
        Ok(Some(Part { text, starts_document }))
    }

    /// Takes the text out of a line, which has a limit of its own.
    fn parse_line(&mut self, label: &std::path::Path) -> Result<()> {
        let (mut line, blocks) = (String::new(), self.blocks.take());
        if let Some(mut blocks) = blocks {
            while let Some((_, more)) = blocks.next()? {
                line += &more;
            }
        }
        let text = document(&line).map_err(|e| Error::malformed(label, "a line", A_DOCUMENT, e))?;
        let text = format!("{DOCUMENT_BREAK}{}", text.trim());
        self.part = Some(Part { text, starts_document: true });
        Ok(())
    }
}
