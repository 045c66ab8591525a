//! Where the documents of a plain text lie, found while the text is read in blocks.
//!
//! A document break is a run of at least two empty lines, that is three line ends without anything between them; a line
//! ends in `\n` or `\r\n`. A line of blanks is not empty.

use std::ops::Range;

/// Line ends that make a document break.
const LINE_ENDS: u64 = 3;

/// What a block holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Places in the block at which a document starts, behind a break.
    pub starts: Vec<usize>,
    /// Bytes of the documents that ended in the block, from the start of the text, without white space around them.
    pub documents: Vec<Range<u64>>,
}

/// The state between two blocks.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    /// Line ends since the last line with something on it.
    line_ends: u64,
    /// Bytes since the last line end, and whether they are one `\r`.
    since: usize,
    only_return: bool,
    /// The document that is being read: its first byte that is no white space, and the end of the last one.
    document: Option<Range<u64>>,
}

impl Breaks {
    /// Reads the next `block`, which begins `at` bytes behind the start of the text.
    pub fn push(&mut self, block: &str, at: u64) -> Found {
        let mut found = Found::default();
        let mut from = 0;
        while let Some(length) = block[from..].find('\n') {
            self.line(&block[from..from + length], from, at, &mut found);
            self.line_end(&mut found);
            from += length + 1;
        }
        self.line(&block[from..], from, at, &mut found);
        found
    }

    /// The document that the end of the text ends.
    pub fn finish(&mut self) -> Option<Range<u64>> {
        self.document.take()
    }

    /// Reads a line, or a part of one, without its line end.
    fn line(&mut self, line: &str, place: usize, block_at: u64, found: &mut Found) {
        if line.is_empty() {
            return;
        }
        self.only_return = self.since == 0 && line == "\r";
        self.since += line.len();
        if self.only_return {
            return;
        }
        if std::mem::take(&mut self.line_ends) >= LINE_ENDS {
            found.starts.push(place);
        }
        let at = block_at + place as u64;
        let end = at + line.trim_end().len() as u64;
        if end > at {
            let start = at + (line.len() - line.trim_start().len()) as u64;
            self.document.get_or_insert(start..end).end = end;
        }
    }

    fn line_end(&mut self, found: &mut Found) {
        let empty = self.since == 0 || self.only_return;
        self.line_ends = if empty { self.line_ends + 1 } else { 1 };
        (self.since, self.only_return) = (0, false);
        if self.line_ends == LINE_ENDS {
            found.documents.extend(self.document.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documents and starts of `text`, read in blocks that end at `cuts`.
    fn read(text: &str, cuts: &[usize]) -> (Vec<String>, Vec<usize>) {
        let (mut breaks, mut documents, mut starts, mut from) =
            (Breaks::default(), Vec::new(), Vec::new(), 0);
        for &end in cuts.iter().chain([&text.len()]) {
            let found = breaks.push(&text[from..end], from as u64);
            documents.extend(found.documents);
            starts.extend(found.starts.into_iter().map(|start| from + start));
            from = end;
        }
        documents.extend(breaks.finish());
        let text = |range: Range<u64>| text[range.start as usize..range.end as usize].to_owned();
        (documents.into_iter().map(text).collect(), starts)
    }

    /// By the definition, on the whole text at once.
    fn by_definition(text: &str) -> Vec<String> {
        let unix = text.replace("\r\n", "\n");
        unix.split("\n\n\n").map(str::trim).filter(|d| !d.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn documents_are_those_of_the_definition_however_the_text_is_cut() {
        for text in [
            "one",
            "\n\n\n one \n\n\n\n\ntwo\nlines\n\n\nthree\n",
            "one\r\n\r\n\r\ntwo \r\n\r\nstill two\r\n\r\n\r\n\r\nthree\r\n",
            "one\n\r\n\ntwo",
            "one\n\n \n\nstill one\n\n\n \t\n\n\n\u{a0}\n\n\ntwo",
            "é\n\n\nü\n\nö",
            "\n\n\n\n",
            "",
        ] {
            let whole = read(text, &[]);
            assert_eq!(
                whole.0.iter().map(|d| d.replace("\r\n", "\n")).collect::<Vec<_>>(),
                by_definition(text),
                "{text:?}"
            );
            for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
                assert_eq!(read(text, &[cut]), whole, "{text:?} cut at {cut}");
                assert_eq!(read(text, &[cut, cut]).0, whole.0, "{text:?} with an empty block at {cut}");
            }
        }
    }

    #[test]
    fn a_document_starts_behind_its_break() {
        assert_eq!(read("a\n\n\nb\r\n\r\n\r\n\r\nc\n\nd", &[]).1, [4, 13]);
        // A return that ends no line belongs to the document.
        assert_eq!(read("a\n\n\n\rb", &[]).1, [4]);
    }
}
