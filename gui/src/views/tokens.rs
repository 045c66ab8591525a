//! Tokens as text that can be seen: one line, nothing invisible.

use std::ops::Range;

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{Color32, FontId, Ui};

use super::letters::{Letters, NEIGHBOURS, has_bytes};
use crate::inputs::Inputs;

/// Text of the token at `position`; a space is kept, line ends and other control characters become marks. Where tokens of bytes
/// join to a letter, the first one has the letter, and the others a mark.
pub fn text(inputs: &Inputs, position: u64) -> String {
    letters(inputs, position).map_or_else(|| "?".to_owned(), |letters| visible(&letters.marked()))
}

/// The same in words, for one token alone: which byte of which letter it is, where it is one.
pub fn named(inputs: &Inputs, position: u64) -> String {
    let bytes = letters(inputs, position).and_then(|letters| letters.bytes_words());
    let token = text(inputs, position);
    bytes.map_or_else(|| format!("“{token}”"), |bytes| format!("“{token}”, {bytes}"))
}

/// What there is to say of a token that is a part of a letter, or bytes that are none.
pub fn bytes_words(inputs: &Inputs, position: u64) -> Option<String> {
    letters(inputs, position)?.bytes_words()
}

/// The letters of the token at `position`.
fn letters(inputs: &Inputs, position: u64) -> Option<Letters> {
    let at = usize::try_from(position).ok()?;
    row(inputs, at..at.saturating_add(1)).pop()
}

/// The letters of the tokens in `range` that are known.
pub fn row(inputs: &Inputs, range: Range<usize>) -> Vec<Letters> {
    let from = range.start.saturating_sub(NEIGHBOURS);
    let ids = inputs.tokens.range(from..range.end.saturating_add(NEIGHBOURS));
    let raw = |id: u32| inputs.tokenizer.token_text(id).unwrap_or_else(|| "?".to_owned());
    let raw: Vec<_> = ids.into_iter().map(raw).collect();
    let one = |at: usize| match raw[at].as_str() {
        own if has_bytes(own) => {
            let first = at.saturating_sub(NEIGHBOURS);
            Letters::of(&raw[first..raw.len().min(at + NEIGHBOURS + 1)], at - first)
        }
        own => Letters { text: own.to_owned(), ..Letters::default() },
    };
    let (begin, end) = (range.start - from, (range.end - from).min(raw.len()));
    (begin..end).map(one).collect()
}

/// A text on one line.
pub fn visible(raw: &str) -> String {
    let mark = |character: char| match character {
        '\n' => '⏎',
        '\t' => '→',
        c if c.is_control() => '·',
        c => c,
    };
    raw.chars().map(mark).collect()
}

/// The token at `position` among its neighbours, on one line of at most about `characters`.
pub fn in_context(ui: &Ui, inputs: &Inputs, position: u64, color: Color32, characters: usize) -> LayoutJob {
    let token = text(inputs, position);
    let half = characters.saturating_sub(token.chars().count()) / 2;
    let (mut before, mut after) = (String::new(), String::new());
    let mut at = position;
    while at > 0 && before.chars().count() < half {
        at -= 1;
        before.insert_str(0, &text(inputs, at));
    }
    let mut at = position + 1;
    while at < inputs.tokens.len() as u64 && after.chars().count() < half {
        after.push_str(&text(inputs, at));
        at += 1;
    }
    let before: String = before.chars().skip(before.chars().count().saturating_sub(half)).collect();
    let after: String = after.chars().take(half).collect();
    let font = FontId::monospace(12.0);
    let weak = TextFormat::simple(font.clone(), ui.visuals().weak_text_color());
    let mut job = LayoutJob::default();
    job.wrap.max_rows = 1;
    job.append(&before, 0.0, weak.clone());
    let strong = TextFormat {
        background: color.gamma_multiply(0.35),
        ..TextFormat::simple(font, ui.visuals().strong_text_color())
    };
    job.append(&token, 0.0, strong);
    job.append(&after, 0.0, weak);
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_invisible() {
        assert_eq!(visible("a\n\tb\u{7}ü"), "a⏎→b·ü");
        assert_eq!(visible(" the"), " the");
    }
}
