//! A text from its beginning to its end, in parts, in memory that does not grow with it.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;

use super::breaks::Breaks;
use super::bytes::Blocks;
use super::index::Index;
use super::line_ends::LineEnds;
use super::part::{A_DOCUMENT, Part, document};
use super::source::{DOCUMENT_BREAK, Layout, Text};
use crate::error::{Error, Result};

/// Longest line of a `.jsonl` file, in bytes. A line is a document and has to be parsed whole.
pub const LONGEST_LINE: usize = 64 << 20;

/// Line ends at the end of a file that are kept back, at most, to be left out where another file follows.
const HELD: usize = 1 << 16;
const LINE_ENDS: [char; 2] = ['\n', '\r'];

/// Gives the parts of a [`Text`]: all of them, one after the other, are the text.
pub struct Reader {
    text: Text,
    next_file: usize,
    open: Option<Open>,
    parts: VecDeque<Part>,
    /// Line ends that are left out where a file ends.
    held: String,
    /// Something was given before.
    any: bool,
    index: Option<Index>,
}

/// A file that is being read.
struct Open {
    items: Items,
    /// It has given something.
    any: bool,
    line_ends: LineEnds,
}

/// What is between two places of a file.
enum Items {
    Plain { blocks: Blocks, breaks: Breaks },
    Lines(Lines),
}

/// The lines of a file.
struct Lines {
    blocks: Blocks,
    label: std::path::PathBuf,
    /// The line that has not ended yet, its place in the file, and its number.
    line: String,
    at: u64,
    number: u64,
    ended: bool,
}

/// What a block of a file gives.
#[derive(Default)]
struct Given {
    parts: Vec<Part>,
    documents: Vec<Range<u64>>,
}

impl Reader {
    pub(super) fn new(text: Text, index: Option<Index>) -> Self {
        let (parts, held) = (VecDeque::new(), String::new());
        Self { text, next_file: 0, open: None, parts, held, any: false, index }
    }

    /// The documents that were read, where they were asked for.
    pub(super) fn take_index(&mut self) -> Option<Index> {
        self.index.take()
    }

    /// The next part, at most some 64 KB of a plain text or one document of a `.jsonl` file; `None` at the end.
    ///
    /// # Errors
    /// A file that cannot be read, is empty or not UTF-8, a broken archive or line. In a folder such a file is left out
    /// instead, from the block on in which the fault lies, and [`Text::notes`] names it; then the error is that no file is
    /// left.
    pub fn next_part(&mut self) -> Result<Option<Part>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                self.any = true;
                return Ok(Some(part));
            }
            let file = match self.open {
                Some(_) => self.next_file - 1,
                None if self.next_file == self.text.files().len() => {
                    return if self.any { Ok(None) } else { Err(self.text.nothing()) };
                }
                None => {
                    self.next_file += 1;
                    self.next_file - 1
                }
            };
            match self.read_on(file) {
                Ok(true) => {}
                Ok(false) => self.open = None,
                Err(reason) if self.text.files()[file].in_folder => {
                    let begun = self.open.take().is_some_and(|open| open.any);
                    self.held.clear();
                    let rest = if begun { "what follows in it is left out" } else { "it is left out" };
                    let name = self.text.files()[file].label.display().to_string();
                    // The file is named by the note already.
                    let reason = reason.to_string();
                    let reason = reason.strip_prefix(&format!("{name}: ")).unwrap_or(&reason);
                    self.text.note(&name, &format!("{reason}; {rest}"));
                }
                Err(reason) => return Err(reason),
            }
        }
    }

    /// Reads one block of `file`; false at its end.
    fn read_on(&mut self, file: usize) -> Result<bool> {
        let source = &self.text.files()[file];
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let blocks = Blocks::new(source.open_at(0)?, &source.label);
                let items = match source.layout {
                    Layout::Plain => Items::Plain { blocks, breaks: Breaks::default() },
                    Layout::Lines => Items::Lines(Lines::new(blocks, &source.label)),
                };
                self.open.insert(Open { items, any: false, line_ends: LineEnds::default() })
            }
        };
        let given = match &mut open.items {
            Items::Plain { blocks, breaks } => plain(blocks, breaks)?,
            Items::Lines(lines) => lines.next()?,
        };
        let (given, more) = match given {
            Some(given) => (given, true),
            None => {
                if !open.any {
                    let reason = match source.layout {
                        Layout::Plain => "the text is empty",
                        Layout::Lines => "it has no document with a text",
                    };
                    return Err(Error::input(source.label.display().to_string(), reason));
                }
                let last = match &mut open.items {
                    Items::Plain { breaks, .. } => breaks.finish(),
                    Items::Lines(_) => None,
                };
                self.held.clear();
                (Given { parts: Vec::new(), documents: last.into_iter().collect() }, false)
            }
        };
        if let Some(index) = &mut self.index {
            for document in given.documents {
                index.push(file as u64, document)?;
            }
        }
        let joined = self.text.files().len() > 1;
        for mut part in given.parts {
            let (plain, first) = (source.layout == Layout::Plain, !open.any);
            if plain {
                let known = open.line_ends.changed;
                open.line_ends.push(&mut part.text);
                if open.line_ends.changed && !known {
                    let said = "its lines end in carriage return and line feed, which are read as line feeds";
                    self.text.note(&source.label.display().to_string(), said);
                }
                if part.text.is_empty() && !part.starts_document {
                    continue;
                }
            }
            if joined && plain {
                // Line ends around a file are left out; those inside it wait for what comes behind them.
                let text: &str = if first { part.text.trim_start_matches(LINE_ENDS) } else { &part.text };
                let body = text.trim_end_matches(LINE_ENDS);
                let line_ends = &text[body.len()..];
                let given = if body.is_empty() && self.held.len() <= HELD {
                    String::new()
                } else {
                    std::mem::take(&mut self.held) + body
                };
                self.held += line_ends;
                part.text = given;
                if part.text.is_empty() {
                    continue;
                }
            }
            if first && (self.any || !self.parts.is_empty()) || !first && !plain {
                part.text.insert_str(0, DOCUMENT_BREAK);
            }
            part.starts_document |= first;
            open.any = true;
            self.parts.push_back(part);
        }
        Ok(more)
    }
}

/// The next block of a plain text, cut where documents start.
fn plain(blocks: &mut Blocks, breaks: &mut Breaks) -> Result<Option<Given>> {
    let Some((at, text)) = blocks.next()? else { return Ok(None) };
    let found = breaks.push(&text, at);
    let mut parts = Vec::with_capacity(found.starts.len() + 1);
    let (mut rest, mut cut, mut starts_document) = (text.as_str(), 0, false);
    for start in found.starts {
        let (part, behind) = rest.split_at(start - cut);
        if !part.is_empty() {
            parts.push(Part { text: part.to_owned(), starts_document });
        }
        (rest, cut, starts_document) = (behind, start, true);
    }
    parts.push(Part { text: rest.to_owned(), starts_document });
    Ok(Some(Given { parts, documents: found.documents }))
}

impl Lines {
    fn new(blocks: Blocks, label: &Path) -> Self {
        Self { blocks, label: label.to_owned(), line: String::new(), at: 0, number: 0, ended: false }
    }

    /// The documents of the next block.
    fn next(&mut self) -> Result<Option<Given>> {
        if self.ended {
            return Ok(None);
        }
        let mut given = Given::default();
        let Some((at, text)) = self.blocks.next()? else {
            self.ended = true;
            self.end_line(&mut given)?;
            return Ok(Some(given));
        };
        let mut from = 0;
        if self.line.is_empty() {
            self.at = at;
        }
        while let Some(length) = text[from..].find('\n') {
            self.extend(&text[from..from + length])?;
            self.end_line(&mut given)?;
            from += length + 1;
            self.at = at + from as u64;
        }
        self.extend(&text[from..])?;
        if self.blocks.is_ended() {
            self.ended = true;
            self.end_line(&mut given)?;
        }
        Ok(Some(given))
    }

    fn extend(&mut self, more: &str) -> Result<()> {
        self.line += more;
        if self.line.len() > LONGEST_LINE {
            let expected = format!("at most {} MiB, one document", LONGEST_LINE >> 20);
            let field = format!("line {}", self.number + 1);
            return Err(Error::malformed(&self.label, field, expected, "a longer line"));
        }
        Ok(())
    }

    fn end_line(&mut self, given: &mut Given) -> Result<()> {
        self.number += 1;
        let line = std::mem::take(&mut self.line);
        if line.trim().is_empty() {
            return Ok(());
        }
        let place = || format!("line {}", self.number);
        let text = document(&line).map_err(|e| Error::malformed(&self.label, place(), A_DOCUMENT, e))?;
        if !text.trim().is_empty() {
            given.parts.push(Part { text, starts_document: true });
            given.documents.push(self.at..self.at + line.len() as u64);
        }
        Ok(())
    }
}
