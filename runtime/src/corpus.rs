//! Tokens to measure on: a text, or, where more are wanted than it has, its documents drawn with replacement.

use rand::Rng;

use crate::error::{Error, Result};
use crate::random;
use crate::tokenizer::Tokenizer;

/// What stands between two documents of a text, in the text itself: at least two empty lines.
pub const DOCUMENT_BREAK: &str = "\n\n\n";

/// The first `wanted` tokens of `text`, with the beginning-of-sequence token where the tokenizer's rules add one;
/// all of it if `wanted` is `None`.
///
/// Where the text is shorter, its documents (set apart by at least two empty lines) are drawn with replacement and
/// joined until there are enough, as the paper does for 200M tokens (section 4.2).
///
/// # Errors
/// A text without a single prediction, or one that cannot be tokenized.
pub fn tokens(text: &str, tokenizer: &Tokenizer, wanted: Option<u64>, seed: u64) -> Result<Vec<u32>> {
    if wanted.is_some_and(|wanted| wanted < 2) {
        return Err(Error::input("--tokens", "at least 2 are needed for one prediction"));
    }
    let wanted = wanted.map(|wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
    let part = prefix(text, wanted);
    let mut tokens = tokenizer.encode(part)?;
    if part.len() < text.len() && wanted.is_some_and(|wanted| tokens.len() <= wanted) {
        tokens = tokenizer.encode(text)?;
    }
    if let Some(wanted) = wanted {
        let documents: Vec<&str> =
            text.split(DOCUMENT_BREAK).map(str::trim).filter(|document| !document.is_empty()).collect();
        let mut random = random::expanded(seed);
        while tokens.len() < wanted && !documents.is_empty() {
            let document = documents[random.random_range(0..documents.len())];
            tokens.extend(tokenizer.encode_continuation(&format!("{DOCUMENT_BREAK}{document}"))?);
        }
        tokens.truncate(wanted);
    }
    if tokens.len() < 2 {
        return Err(Error::input(
            "text",
            format!("it has {} tokens; at least 2 are needed for one prediction", tokens.len()),
        ));
    }
    Ok(tokens)
}

/// A part of `text` that has more than `wanted` tokens where tokens are shorter than 32 bytes on average, so that a long
/// file is not tokenized whole for a short run.
fn prefix(text: &str, wanted: Option<usize>) -> &str {
    let Some(bytes) = wanted.and_then(|wanted| wanted.checked_mul(32)).filter(|&bytes| bytes < text.len())
    else {
        return text;
    };
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    &text[..end]
}
