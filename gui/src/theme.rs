//! Every colour of the window, and its letters.

use std::sync::Arc;

use eframe::egui::{Color32, Context, FontData, FontDefinitions, Visuals};

/// Stands in where the window's own fonts have no glyph: mathematics, arrows, other scripts.
static FALLBACK: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");

/// Adds the letters that formulas and texts need.
pub fn add_fonts(ctx: &Context) {
    let mut fonts = FontDefinitions::default();
    fonts.font_data.insert("DejaVu Sans".into(), Arc::new(FontData::from_static(FALLBACK)));
    for family in fonts.families.values_mut() {
        family.push("DejaVu Sans".into());
    }
    ctx.set_fonts(fonts);
}

/// Of A and B: those of the figures.
pub const SIDES: [Color32; 2] = [Color32::from_rgb(213, 94, 0), Color32::from_rgb(0, 114, 178)];

/// Words in the colour of a side: lighter on dark ground.
pub fn side(visuals: &Visuals, side: usize) -> Color32 {
    let color = SIDES[side];
    if visuals.dark_mode { color.lerp_to_gamma(Color32::WHITE, 0.3) } else { color }
}

/// What went wrong, and what a statement does not survive.
pub const BAD: Color32 = Color32::from_rgb(214, 69, 40);

/// What holds.
pub const GOOD: Color32 = Color32::from_rgb(0, 158, 115);

/// Around what the tour speaks of.
pub const SPOTLIGHT: Color32 = Color32::from_rgb(230, 159, 0);

/// Loss, in nats, that has the whole colour.
const DEAREST: f32 = 8.0;

/// Behind a token that costs `nll` nats: nothing at 0, all of [`BAD`] from 8 on and where it is no number.
pub fn loss(nll: f32) -> Color32 {
    let share = if nll.is_nan() { 1.0 } else { (nll / DEAREST).clamp(0.0, 1.0) };
    BAD.gamma_multiply(share * 0.85)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dearer_tokens_are_stronger() {
        let strength = |nll: f32| loss(nll).a();
        assert_eq!((strength(-1.0), strength(0.0)), (0, 0));
        assert!(strength(1.0) < strength(4.0) && strength(4.0) < strength(8.0));
        assert_eq!((strength(f32::NAN), strength(f32::INFINITY)), (strength(8.0), strength(8.0)));
    }
}
