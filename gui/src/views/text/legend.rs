//! What the colours of the text stand for.

use eframe::egui::{RichText, Ui};
use lm_infinite::diagnose::head_name;

use super::colors::{Colors, attention_colors, difference_color, loss_color};
use crate::views::shown::Shown;
use crate::views::strongest::strongest;

/// Draws it; `source` is the token whose attention is shown.
pub fn show(ui: &mut Ui, shown: &Shown<'_>, colors: Colors, source: Option<u64>) {
    let dark = ui.visuals().dark_mode;
    let head = shown.head.or_else(|| strongest(shown.diagnosis));
    match colors.attention_place() {
        None => {
            let steps: &[f32] =
                if colors == Colors::Difference { &[-5.0, -2.5, 2.5, 5.0] } else { &[0.0, 2.5, 5.0, 10.0] };
            for &nats in steps {
                let color = match colors {
                    Colors::Difference => difference_color(nats, shown.pair),
                    Colors::Second => loss_color(nats, shown.pair.color(1)),
                    _ => loss_color(nats, shown.pair.color(0)),
                };
                let text = RichText::new(format!(" {nats} ")).background_color(color).monospace();
                ui.label(text);
            }
            ui.weak("nats. Click a token to mark it: then its attention can be shown, here and in the map.");
        }
        Some(place) => {
            for share in [1e-4_f32, 1e-3, 1e-2, 0.1, 1.0] {
                let (fill, ink) = attention_colors(share, dark);
                ui.label(RichText::new(format!(" {share} ")).background_color(fill).color(ink).monospace());
            }
            let head = head_name(head.unwrap_or_default());
            match source {
                Some(query) => ui.weak(format!(
                    "probability of {head}, from token {query}, under {}",
                    shown.pair.row(place).words()
                )),
                None => ui.label("Point at a token, or click it, to see the attention of the head from it."),
            };
        }
    }
}
