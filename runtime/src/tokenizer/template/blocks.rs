//! The blocks of a Jinja template (`{% … %}`, `{{ … }}`) and the words in them.

use std::ops::Range;

/// A word of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// A name, a keyword or a number.
    Name(&'a str),
    /// A string with its quotes.
    Text(&'a str),
    /// Any other character.
    Sign(char),
}

impl Word<'_> {
    /// Bytes of it in the source.
    pub fn length(&self) -> usize {
        match self {
            Self::Name(text) | Self::Text(text) => text.len(),
            Self::Sign(sign) => sign.len_utf8(),
        }
    }
}

impl std::fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(text) | Self::Text(text) => f.write_str(text),
            Self::Sign(sign) => write!(f, "{sign}"),
        }
    }
}

/// Where the insides of `{% … %}` and `{{ … }}` lie, without comments, `raw` blocks and the text between blocks.
pub(super) fn blocks(source: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = source[at..].find('{') {
        at += next;
        let open = &source[at..];
        if open.starts_with("{#") {
            at = open.find("#}").map_or(source.len(), |end| at + end + 2);
        } else if open.starts_with("{%") || open.starts_with("{{") {
            let end = if open.starts_with("{%") { "%}" } else { "}}" };
            let block = at + 2..at + 2 + end_of_block(&open[2..], end);
            at = (block.end + end.len()).min(source.len());
            if words(&source[block.clone()]).iter().map(|&(_, word)| word).eq([Word::Name("raw")]) {
                at = source[at..].find("endraw").map_or(source.len(), |end| at + end + "endraw".len());
            } else {
                found.push(block);
            }
        } else {
            at += 1;
        }
    }
    found
}

/// Bytes before `end` outside strings and brackets; all, if it does not come.
fn end_of_block(text: &str, end: &str) -> usize {
    let (mut at, mut brackets) = (0, 0_i64);
    while let Some(next) = text[at..].chars().next() {
        if brackets == 0 && text[at..].starts_with(end) {
            return at;
        }
        match next {
            '\'' | '"' => {
                at += string_length(&text[at..], next);
                continue;
            }
            '(' | '[' | '{' => brackets += 1,
            ')' | ']' | '}' => brackets -= 1,
            _ => {}
        }
        at += next.len_utf8();
    }
    text.len()
}

/// Bytes of the string with which `text` begins, with its quotes.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if next == quote => return at + next.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Words of a block and where they begin in it, without spaces and the `-` or `+` at its edges.
pub(super) fn words(block: &str) -> Vec<(usize, Word<'_>)> {
    let from = usize::from(block.starts_with(['-', '+']));
    let block = block.strip_suffix(['-', '+']).filter(|rest| rest.len() >= from).unwrap_or(block);
    let mut words = Vec::new();
    let mut at = from;
    while let Some(next) = block[at..].chars().next() {
        let is_part = |c: char| c == '_' || c.is_alphanumeric();
        let word = if next == '\'' || next == '"' {
            Word::Text(&block[at..at + string_length(&block[at..], next)])
        } else if is_part(next) {
            let length = block[at..].find(|c| !is_part(c)).unwrap_or(block.len() - at);
            Word::Name(&block[at..at + length])
        } else {
            Word::Sign(next)
        };
        if !next.is_whitespace() {
            words.push((at, word));
        }
        at += word.length();
    }
    words
}
