//! Cuts long texts where no token can cross, so that they can be encoded in parallel and in bounded memory.
//!
//! All vocabularies of the Llama family split a text before spaces, or merge nothing across the left edge of one; a
//! cut between a word and the single space behind it therefore changes nothing. Where that is not certain, there is
//! no cut.

use tokenizers::AddedToken;

/// Bytes between cuts, at least.
pub(super) const CHUNK_BYTES: usize = 1 << 16;

/// What a tokenizer allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nothing is known: one piece.
    Never,
    /// Before a space; the right piece keeps it.
    BeforeSpace,
    /// Before a space, which the tokenizer puts in front of every text by itself: the right piece goes without.
    InsteadOfSpace,
}

/// `cut`, unless an added token could lie across one.
pub(super) fn safe_with_added_tokens<'a>(cut: Cut, mut tokens: impl Iterator<Item = &'a AddedToken>) -> Cut {
    let safe = |token: &AddedToken| {
        let inner_space = token.content.trim_start().contains(char::is_whitespace);
        let at_left_edge = cut == Cut::InsteadOfSpace && token.content.starts_with(char::is_alphanumeric);
        !(inner_space || at_left_edge || token.lstrip || token.rstrip || token.single_word)
    };
    if tokens.all(safe) { cut } else { Cut::Never }
}

/// Pieces of `text`, each of at least `least` bytes but the last.
pub(super) fn split(text: &str, cut: Cut, least: usize) -> Vec<&str> {
    if cut == Cut::Never {
        return vec![text];
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = first_cut(rest, least) {
        let (left, right) = rest.split_at(at);
        pieces.push(left);
        rest = if cut == Cut::InsteadOfSpace { &right[1..] } else { right };
    }
    pieces.push(rest);
    pieces
}

/// First single space at `from` or later with a word on its left and on its right.
pub(super) fn first_cut(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let word = |c: char| c.is_alphanumeric() || c.is_ascii_punctuation();
    (from.max(1)..bytes.len()).find(|&at| {
        // A space is one byte in UTF-8 and no part of another character: both sides are character boundaries.
        bytes[at] == b' '
            && text[at + 1..].starts_with(char::is_alphanumeric)
            && text[..at].chars().next_back().is_some_and(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lie_between_words() {
        let text = "one two  three, four\n five é ü";
        assert_eq!(split(text, Cut::BeforeSpace, 1), ["one", " two  three,", " four\n five", " é", " ü"]);
        assert_eq!(split(text, Cut::InsteadOfSpace, 1), ["one", "two  three,", "four\n five", "é", "ü"]);
        assert_eq!(split(text, Cut::BeforeSpace, 18), ["one two  three, four\n five", " é ü"]);
        assert_eq!(split(text, Cut::Never, 1), [text]);
        assert_eq!(split("", Cut::BeforeSpace, 1), [""]);
    }

    #[test]
    fn added_tokens_that_could_be_cut_forbid_it() {
        let token = |text: &str| AddedToken::from(text.to_owned(), true);
        let check = |cut, token| safe_with_added_tokens(cut, [token].iter());
        assert_eq!(check(Cut::BeforeSpace, token("<|im_end|>")), Cut::BeforeSpace);
        assert_eq!(check(Cut::BeforeSpace, token("    ")), Cut::BeforeSpace);
        assert_eq!(check(Cut::BeforeSpace, token("<two words>")), Cut::Never);
        assert_eq!(check(Cut::BeforeSpace, token("<s>").rstrip(true)), Cut::Never);
        assert_eq!(check(Cut::InsteadOfSpace, token("word")), Cut::Never);
    }
}
