//! Formulas in words that are written as one line of plain text, as a terminal shows them, set as the paper sets them.
//!
//! `x^y` raises `y`, which is a number, a name, or what stands in parentheses, and these are dropped; `x_i` lowers `i`, one or two letters
//! or digits behind a single letter, so that names such as `head_dim` stay; `sqrt(x)` has a root sign. All other text is as it is written.

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{Align, Label, Response, Role, TextStyle, Ui, WidgetInfo};

/// Size of what is raised or lowered, of that of the line.
const SMALL: f32 = 0.72;
/// Room before a root sign, in points: its hook would touch the dot of a product.
const HOOK: f32 = 2.0;
/// What stays on a line with what follows it, and with what stands before it.
const SIGNS: [&str; 7] = ["ln ", " ≥ ", " ≤ ", " = ", " → ", " \u{2212} ", " + "];
/// Letters and digits that are lowered, at most.
const LOWERED: usize = 2;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// On the line.
    Plain(String),
    /// An exponent, without the parentheses around it.
    Raised(String),
    /// An index.
    Lowered(String),
    /// A root sign; what it is of follows.
    Root,
}

/// The parts of a text.
fn parts(text: &str) -> Vec<Part> {
    let letters: Vec<char> = text.chars().collect();
    let (mut parts, mut plain, mut at) = (Vec::new(), String::new(), 0);
    while let Some(&letter) = letters.get(at) {
        let found = match letter {
            '^' => raised(&letters, at),
            '_' => lowered(&letters, at),
            's' => root(&letters, at),
            _ => None,
        };
        match found {
            Some((part, length)) => {
                if !plain.is_empty() {
                    parts.push(Part::Plain(std::mem::take(&mut plain)));
                }
                parts.push(part);
                at += length;
            }
            None => {
                plain.push(letter);
                at += 1;
            }
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Plain(plain));
    }
    parts
}

/// What is raised by a `^` at `at`, and the letters that it takes.
fn raised(letters: &[char], at: usize) -> Option<(Part, usize)> {
    letters.get(at.checked_sub(1)?).filter(|base| !base.is_whitespace())?;
    let rest = &letters[at + 1..];
    if rest.first() == Some(&'(') {
        let end = closing(rest)?;
        let inside: String = rest[1..end].iter().collect();
        return (!inside.is_empty()).then_some((Part::Raised(inside), end + 2));
    }
    let sign = usize::from(rest.first().is_some_and(|letter| "-\u{2212}".contains(*letter)));
    let name = rest[sign..].iter().take_while(|letter| letter.is_alphanumeric()).count();
    let all: String = rest[..sign + name].iter().collect();
    (name > 0).then_some((Part::Raised(all), 1 + sign + name))
}

/// Where the parenthesis that `letters` begin with is closed.
fn closing(letters: &[char]) -> Option<usize> {
    let mut open = 0_usize;
    letters.iter().position(|letter| {
        match letter {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        open == 0
    })
}

/// What is lowered by a `_` at `at`, and the letters that it takes.
fn lowered(letters: &[char], at: usize) -> Option<(Part, usize)> {
    let is_word =
        |at: usize| letters.get(at).is_some_and(|letter| letter.is_alphanumeric() || *letter == '_');
    let base = at.checked_sub(1)?;
    let single = letters[base].is_alphabetic() && !base.checked_sub(1).is_some_and(is_word);
    let count = (at + 1..).take_while(|&next| is_word(next)).count();
    let index: String = letters[at + 1..][..count].iter().collect();
    let fits = single && (1..=LOWERED).contains(&count) && !index.contains('_');
    fits.then_some((Part::Lowered(index), 1 + count))
}

/// A root sign, if `sqrt(` begins at `at`.
fn root(letters: &[char], at: usize) -> Option<(Part, usize)> {
    let begins = letters[at..].starts_with(&['s', 'q', 'r', 't', '(']);
    let inside_a_word = at.checked_sub(1).is_some_and(|before| letters[before].is_alphanumeric());
    (begins && !inside_a_word).then_some((Part::Root, 4))
}

/// The text as it is read aloud.
fn spoken(parts: &[Part]) -> String {
    let words = parts.iter().map(|part| match part {
        Part::Plain(text) => text.clone(),
        Part::Raised(text) if text.chars().all(char::is_alphanumeric) => format!(" to the power of {text}"),
        Part::Raised(text) => format!(" to the power of ({text})"),
        Part::Lowered(text) => format!(" sub {text}"),
        Part::Root => "the square root of ".to_owned(),
    });
    words.collect()
}

/// The text, with no break beside a sign.
fn unbroken(text: &str) -> String {
    let held = |text: String, sign: &&str| text.replace(*sign, &sign.replace(' ', "\u{a0}"));
    SIGNS.iter().fold(text.to_owned(), held)
}

/// Draws a text with its formulas; words wrap.
pub fn formula_ui(ui: &mut Ui, text: &str) -> Response {
    let parts = parts(text);
    if matches!(parts[..], [] | [Part::Plain(_)]) && unbroken(text) == text {
        return ui.add(Label::new(text).wrap());
    }
    let (font, color) = (TextStyle::Body.resolve(ui.style()), ui.visuals().text_color());
    let mut small = font.clone();
    small.size *= SMALL;
    let on_the_line = TextFormat { valign: Align::BOTTOM, ..TextFormat::simple(font, color) };
    let raised = TextFormat { valign: Align::TOP, ..TextFormat::simple(small.clone(), color) };
    let lowered = TextFormat { valign: Align::BOTTOM, ..TextFormat::simple(small, color) };
    let mut job = LayoutJob::default();
    for part in &parts {
        match part {
            Part::Plain(text) => job.append(&unbroken(text), 0.0, on_the_line.clone()),
            Part::Raised(text) => job.append(text, 0.0, raised.clone()),
            Part::Lowered(text) => job.append(text, 0.0, lowered.clone()),
            Part::Root => job.append("√", HOOK, on_the_line.clone()),
        }
    }
    // What is selected would be copied without its exponents, and with other blanks.
    let label = ui.add(Label::new(job).wrap().selectable(false));
    label.widget_info(|| WidgetInfo::labeled(Role::Label, true, spoken(&parts)));
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use lm_infinite_analysis::theory::claims;

    fn plain(text: &str) -> Part {
        Part::Plain(text.to_owned())
    }

    #[test]
    fn a_text_without_formulas_is_as_it_is_written() {
        for text in [
            "",
            "nothing to measure",
            "r ≤ head_dim",
            "from_layer and head_dim",
            "a ^ b",
            "^2",
            "x^",
            "x^ y",
            "x^(",
            "x^(1",
            "x^()",
            "_",
            "a_",
            "_a",
            "a_token",
            "a_b_c",
            "mysqrt(2)",
            "sqrt of 2",
            "Λ mask (d ≥ 0)",
        ] {
            let expected = if text.is_empty() { vec![] } else { vec![plain(text)] };
            assert_eq!(parts(text), expected, "{text}");
            assert_eq!(spoken(&parts(text)), text);
        }
    }

    #[test]
    fn exponents_indices_and_roots_are_set() {
        let raised = |text: &str| Part::Raised(text.to_owned());
        let lowered = |text: &str| Part::Lowered(text.to_owned());
        assert_eq!(parts("below e^40 keys"), [plain("below e"), raised("40"), plain(" keys")]);
        assert_eq!(parts("e^a/Z."), [plain("e"), raised("a"), plain("/Z.")]);
        assert_eq!(
            parts("10^-6, 10^\u{2212}6"),
            [plain("10"), raised("-6"), plain(", 10"), raised("\u{2212}6")]
        );
        assert_eq!(
            parts("(M/2)^(1/(2r))·sqrt(ε/(8e))"),
            [plain("(M/2)"), raised("1/(2r)"), plain("·"), Part::Root, plain("(ε/(8e))")]
        );
        assert_eq!(
            parts("Σ_j |q_j||k_12|"),
            [plain("Σ"), lowered("j"), plain(" |q"), lowered("j"), plain("||k"), lowered("12"), plain("|")]
        );
    }

    #[test]
    fn no_line_breaks_beside_a_sign() {
        assert_eq!(unbroken("at most r ≤ head_dim"), "at most r\u{a0}≤\u{a0}head_dim");
        assert_eq!(unbroken("H ≥ ln n \u{2212} 2B"), "H\u{a0}≥\u{a0}ln\u{a0}n\u{a0}\u{2212}\u{a0}2B");
        assert_eq!(unbroken("no sign, and a-b"), "no sign, and a-b");
    }

    #[test]
    fn formulas_are_read_aloud_in_words() {
        for (text, words) in [
            ("(M/2)^(1/(2r))·sqrt(ε/(8e))", "(M/2) to the power of (1/(2r))·the square root of (ε/(8e))"),
            ("Σ_j |q_j| below e^40", "Σ sub j |q sub j| below e to the power of 40"),
        ] {
            assert_eq!(spoken(&parts(text)), words);
        }
    }

    #[test]
    fn no_statement_keeps_a_sign_of_the_terminal() {
        let claims = claims(0).expect("computed");
        assert!(claims.len() > 20);
        let mut set = 0;
        for claim in &claims {
            for text in [&claim.statement, &claim.note, &claim.quantity, &claim.setting] {
                let all = parts(text);
                set += usize::from(all.len() > 1);
                let left = all.iter().any(|part| match part {
                    Part::Plain(text) | Part::Raised(text) | Part::Lowered(text) => {
                        text.contains('^') || text.contains("sqrt")
                    }
                    Part::Root => false,
                });
                assert!(!left, "{text}: {all:?}");
            }
        }
        assert!(set >= 8, "{set}");
    }
}
