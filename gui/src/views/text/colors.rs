//! What colours a token, and how.

use eframe::egui::Color32;

use crate::theme::{SIDES, ink_on, ramp};

/// Loss with the strongest colour, in nats.
const MOST_NATS: f32 = 10.0;
/// Difference of losses with the strongest colour, in nats.
const MOST_DIFFERENCE: f32 = 5.0;

/// What colours a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// Loss under A.
    A,
    /// Loss under B.
    B,
    /// Loss under A minus that under B.
    #[default]
    Difference,
    /// Attention of the marked token, under A.
    AttentionA,
    /// Attention of the marked token, under B.
    AttentionB,
}

impl Colors {
    /// All, in the order of the buttons: what each is called, and what it shows.
    pub const ALL: [(Self, &'static str, &'static str); 5] = [
        (
            Self::Difference,
            "Loss A − B",
            "Loss of a token under A less that under B: orange where A is worse, blue where B is",
        ),
        (Self::A, "Loss A", "Loss of a token under A"),
        (Self::B, "Loss B", "Loss of a token under B"),
        (Self::AttentionA, "Attention A", "Attention of the chosen head from the marked token, under A"),
        (Self::AttentionB, "Attention B", "Attention of the chosen head from the marked token, under B"),
    ];

    /// The side whose attention is shown, if one is.
    pub fn attention_side(self) -> Option<usize> {
        match self {
            Self::AttentionA => Some(0),
            Self::AttentionB => Some(1),
            _ => None,
        }
    }
}

/// What the fields say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// What colours a token.
    pub colors: Colors,
    /// The position that is being typed.
    pub typed: String,
}

/// What the reader, or the drawing, has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Loss of the token at `position`; the first has none.
pub fn loss(nll: &[f32], position: u64) -> Option<f32> {
    nll.get(usize::try_from(position).ok()?.checked_sub(1)?).copied()
}

/// The stronger, the dearer; what is not a number is as strong as can be.
pub fn loss_color(nll: f32, colors: Colors) -> Color32 {
    let share = if nll.is_finite() { (nll / MOST_NATS).clamp(0.0, 1.0) } else { 1.0 };
    SIDES[usize::from(colors == Colors::B)].gamma_multiply(share * 0.75)
}

/// The colour of the policy under which it is dearer.
pub fn difference_color(nats: f32) -> Color32 {
    let share = if nats.is_finite() { (nats.abs() / MOST_DIFFERENCE).min(1.0) } else { 1.0 };
    SIDES[usize::from(nats < 0.0)].gamma_multiply(share * 0.75)
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
        let strength = |nll: f32| loss_color(nll, Colors::A).a();
        assert!(strength(0.0) < strength(2.0) && strength(2.0) < strength(9.0));
        assert_eq!((strength(f32::NAN), strength(99.0)), (strength(MOST_NATS), strength(MOST_NATS)));
        assert_eq!(
            (loss(&[1.0, 2.0], 0), loss(&[1.0, 2.0], 2), loss(&[1.0, 2.0], 3)),
            (None, Some(2.0), None)
        );
        assert_eq!(difference_color(5.0), SIDES[0].gamma_multiply(0.75));
        assert_eq!(difference_color(-50.0), SIDES[1].gamma_multiply(0.75));
        assert_eq!(difference_color(0.0).a(), 0);
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
