//! What colours a token, and how.

use eframe::egui::Color32;

use crate::theme::{SIDES, ink_on, ramp};
use crate::views::pair::{Pair, Row};

/// Loss with the strongest colour, in nats.
const MOST_NATS: f32 = 10.0;
/// Difference of losses with the strongest colour, in nats.
const MOST_DIFFERENCE: f32 = 5.0;

/// What colours a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// Loss under the first of the pair.
    First,
    /// Loss under the second.
    Second,
    /// Loss under the first minus that under the second.
    #[default]
    Difference,
    /// Attention of the marked token, under the first.
    AttentionFirst,
    /// Attention of the marked token, under the second.
    AttentionSecond,
}

impl Colors {
    /// All, in the order of the buttons.
    pub const ALL: [Self; 5] =
        [Self::Difference, Self::First, Self::Second, Self::AttentionFirst, Self::AttentionSecond];

    /// What the button says, and what that is.
    pub fn words(self, pair: Pair) -> (String, String) {
        let [first, second] = pair.rows().map(Row::name);
        match self {
            Self::Difference => (
                format!("Loss {}", pair.name()),
                format!(
                    "Loss of a token under {first} less that under {second}, in the colour of the one under which it is dearer"
                ),
            ),
            Self::First => (format!("Loss {first}"), format!("Loss of a token under {first}")),
            Self::Second => (format!("Loss {second}"), format!("Loss of a token under {second}")),
            Self::AttentionFirst | Self::AttentionSecond => {
                let name = if self == Self::AttentionFirst { first } else { second };
                (
                    format!("Attention {name}"),
                    format!("Attention of the chosen head from the marked token, under {name}"),
                )
            }
        }
    }

    /// Whose attention is shown, if one is: the first (0) of the pair or the second (1).
    pub fn attention_place(self) -> Option<usize> {
        match self {
            Self::AttentionFirst => Some(0),
            Self::AttentionSecond => Some(1),
            _ => None,
        }
    }
}

/// What the fields say.
#[derive(Clone, Debug, PartialEq)]
pub struct Controls {
    /// What colours a token.
    pub colors: Colors,
    /// The position that is being typed.
    pub typed: String,
    /// What is looked for.
    pub search: String,
    /// A token fails where the first policy of the pair loses so many nats more than the second.
    pub nats: f32,
}

impl Default for Controls {
    fn default() -> Self {
        Self { colors: Colors::default(), typed: String::new(), search: String::new(), nats: 1.0 }
    }
}

/// What the reader, or the drawing, has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The fields say this now.
    Controls(Controls),
    /// Scroll to this token.
    GoTo(u64),
    /// The lines were scrolled to this token.
    Scrolled(u64),
    /// A line holds this many characters.
    Columns(usize),
    /// This token was marked here: it is in view already.
    Marked(u64),
}

/// The colour of a side, behind words.
fn ground(side: usize) -> Color32 {
    // Black would hide the words.
    match SIDES[side % SIDES.len()] {
        Color32::BLACK => Color32::from_gray(110),
        color => color,
    }
}

/// Loss of the token at `position`; the first has none.
pub fn loss(nll: &[f32], position: u64) -> Option<f32> {
    nll.get(usize::try_from(position).ok()?.checked_sub(1)?).copied()
}

/// The stronger, the dearer; what is not a number is as strong as can be.
pub fn loss_color(nll: f32, side: usize) -> Color32 {
    let share = if nll.is_finite() { (nll / MOST_NATS).clamp(0.0, 1.0) } else { 1.0 };
    ground(side).gamma_multiply(share * 0.75)
}

/// The colour of the policy under which it is dearer.
pub fn difference_color(nats: f32, pair: Pair) -> Color32 {
    let share = if nats.is_finite() { (nats.abs() / MOST_DIFFERENCE).min(1.0) } else { 1.0 };
    ground(pair.color(usize::from(nats < 0.0))).gamma_multiply(share * 0.75)
}

/// Background and ink on it, on a logarithmic scale from 1e-4 on.
pub fn attention_colors(probability: f32, dark: bool) -> (Color32, Color32) {
    if probability.is_nan() {
        return (Color32::from_rgb(255, 0, 110), Color32::WHITE);
    }
    let share = 1.0 + probability.max(1e-4).log10() / 4.0;
    // On a light page little is light.
    let fill = if dark { ramp(share) } else { ramp(1.0 - share) };
    (fill, ink_on(fill))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dearer_tokens_are_stronger_and_the_first_has_no_loss() {
        let strength = |nll: f32| loss_color(nll, 0).a();
        assert!(strength(0.0) < strength(2.0) && strength(2.0) < strength(9.0));
        assert_eq!((strength(f32::NAN), strength(99.0)), (strength(MOST_NATS), strength(MOST_NATS)));
        assert_eq!(
            (loss(&[1.0, 2.0], 0), loss(&[1.0, 2.0], 2), loss(&[1.0, 2.0], 3)),
            (None, Some(2.0), None)
        );
        let pair = Pair::here(0, 2);
        assert_eq!(difference_color(5.0, pair), SIDES[0].gamma_multiply(0.75));
        assert_eq!(difference_color(-50.0, pair), SIDES[2].gamma_multiply(0.75));
        assert_eq!(difference_color(0.0, pair).a(), 0);
    }

    #[test]
    fn text_on_attention_is_legible() {
        for dark in [true, false] {
            for share in [0.0, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0, f32::NAN] {
                let light = |color: Color32| {
                    let [r, g, b, _] = color.to_array().map(f32::from);
                    0.299 * r + 0.587 * g + 0.114 * b
                };
                let (fill, ink) = attention_colors(share, dark);
                assert!((light(fill) - light(ink)).abs() > 90.0, "{share} {fill:?}");
            }
        }
    }
}
