//! Tokens as text that can be seen: one line, nothing invisible.

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{Color32, FontId, Ui};

use crate::inputs::Inputs;

/// Text of the token at `position`; a space is kept, line ends and other control characters become marks.
pub fn text(inputs: &Inputs, position: u64) -> String {
    let id = usize::try_from(position).ok().and_then(|at| inputs.tokens.get(at));
    let raw = id.and_then(|id| inputs.tokenizer.token_text(id));
    raw.map_or_else(|| "?".to_owned(), |raw| visible(&raw))
}

/// The same text on one line.
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
