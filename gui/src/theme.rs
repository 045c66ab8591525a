//! Every colour of the window, its letters, and what the two sides are called.

use std::sync::Arc;

use eframe::egui::{Color32, Context, FontData, FontDefinitions, Theme, Visuals};
use lm_infinite::figures::FONT;

use crate::task::Wake;

/// Adds the letters of the figures, which stand in where the window's own fonts have no glyph: mathematics, arrows, other
/// scripts.
pub fn add_fonts(ctx: &Context) {
    let mut fonts = FontDefinitions::default();
    fonts.font_data.insert("DejaVu Sans".into(), Arc::new(FontData::from_static(FONT)));
    for family in fonts.families.values_mut() {
        family.push("DejaVu Sans".into());
    }
    ctx.set_fonts(fonts);
}

/// What asks the toolkit for a frame, from any thread.
pub fn wake(ctx: &Context) -> Wake {
    let ctx = ctx.clone();
    Arc::new(move || ctx.request_repaint())
}

/// Names of policies, in their order.
const NAMES: [&str; 26] = [
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U",
    "V", "W", "X", "Y", "Z",
];

/// What the policy at `side` is called: A, B and so on.
pub fn name(side: usize) -> &'static str {
    NAMES[side % NAMES.len()]
}

/// Of A, B and the others: those of the figures.
pub const SIDES: [Color32; 9] = [
    Color32::from_rgb(213, 94, 0),
    Color32::from_rgb(0, 114, 178),
    Color32::from_rgb(0, 158, 115),
    Color32::from_rgb(204, 121, 167),
    Color32::from_rgb(86, 180, 233),
    Color32::from_rgb(230, 159, 0),
    Color32::BLACK,
    Color32::from_rgb(88, 44, 131),
    Color32::from_rgb(127, 83, 44),
];

/// Words and lines in the colour of a side: lighter on dark ground, and darker on light, as far as letters ask for.
pub fn side(visuals: &Visuals, side: usize) -> Color32 {
    let color = SIDES[side % SIDES.len()];
    let white = match lightness(color) {
        _ if !visuals.dark_mode => return legible(visuals, color),
        ..50.0 => 0.8,
        ..80.0 => 0.5,
        _ => 0.3,
    };
    legible(visuals, color.lerp_to_gamma(Color32::WHITE, white))
}

/// Least contrast of words and their ground (WCAG 2.2, success criterion 1.4.3).
const CONTRAST: f32 = 4.5;

/// Words about what went wrong.
pub fn bad(visuals: &Visuals) -> Color32 {
    legible(visuals, BAD)
}

/// Words about what holds.
pub fn good(visuals: &Visuals) -> Color32 {
    legible(visuals, GOOD)
}

/// The colour, lighter or darker as far as its contrast with the ground of panels asks for.
pub fn legible(visuals: &Visuals, color: Color32) -> Color32 {
    let towards = if visuals.dark_mode { Color32::WHITE } else { Color32::BLACK };
    let steps = (0..=20_u8).map(|step| color.lerp_to_gamma(towards, f32::from(step) / 20.0));
    let mut enough = steps.filter(|&color| contrast(color, visuals.panel_fill) >= CONTRAST);
    enough.next().unwrap_or(towards)
}

/// Contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio" and "relative luminance").
pub fn contrast(one: Color32, other: Color32) -> f32 {
    let channel = |value: u8| {
        let value = f32::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = |color: Color32| {
        0.2126 * channel(color.r()) + 0.7152 * channel(color.g()) + 0.0722 * channel(color.b())
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Hints are weaker than words, and can be read.
pub fn set_hints(ctx: &Context) {
    for (theme, hints, words, links) in [
        (Theme::Light, Color32::from_gray(96), Color32::from_gray(50), Color32::from_rgb(0, 95, 175)),
        (Theme::Dark, Color32::from_gray(150), Color32::from_gray(196), Color32::from_rgb(90, 170, 255)),
    ] {
        ctx.style_mut_of(theme, |style| {
            style.visuals.hyperlink_color = links;
            style.visuals.weak_text_color = Some(hints);
            style.visuals.widgets.noninteractive.fg_stroke.color = words;
        });
    }
}

/// How light a colour looks, 0 to 255: Rec. 601 luma of its values as they are stored.
pub fn lightness(color: Color32) -> f32 {
    let [r, g, b, _] = color.to_array().map(f32::from);
    0.299 * r + 0.587 * g + 0.114 * b
}

/// What went wrong, and what a statement does not survive.
pub const BAD: Color32 = Color32::from_rgb(214, 69, 40);

/// What holds.
pub const GOOD: Color32 = Color32::from_rgb(0, 158, 115);

/// Around what the tour speaks of.
pub const SPOTLIGHT: Color32 = Color32::from_rgb(230, 159, 0);

/// Loss, in nats, that has the whole colour.
const DEAREST: f32 = 8.0;

/// Behind a token with a loss of `nll` nats: nothing at 0, all of [`BAD`] from 8 on and where it is no number.
pub fn loss(nll: f32) -> Color32 {
    let share = if nll.is_nan() { 1.0 } else { (nll / DEAREST).clamp(0.0, 1.0) };
    BAD.gamma_multiply(share * 0.85)
}

/// From dark violet (0) over teal to yellow (1), "viridis": lightness rises evenly, so that it reads in grey and with every
/// common colour blindness.
pub fn ramp(share: f32) -> Color32 {
    const STOPS: [[f32; 3]; 6] = [
        [68.0, 1.0, 84.0],
        [65.0, 68.0, 135.0],
        [42.0, 120.0, 142.0],
        [34.0, 168.0, 132.0],
        [122.0, 209.0, 81.0],
        [253.0, 231.0, 37.0],
    ];
    between(&STOPS, if share.is_finite() { share } else { 0.0 })
}

/// From blue (0) over grey (0.5, neither more nor less) to yellow (1): what has a sign. Lightness rises evenly, as in [`ramp`], and blue
/// and yellow are told apart with every common colour blindness.
pub fn signed(share: f32) -> Color32 {
    const STOPS: [[f32; 3]; 3] = [[8.0, 38.0, 110.0], [124.0, 124.0, 124.0], [255.0, 226.0, 70.0]];
    between(&STOPS, if share.is_finite() { share } else { 0.5 })
}

/// The colour at a share of the way along `stops`, which lie evenly.
fn between(stops: &[[f32; 3]], share: f32) -> Color32 {
    let at = share.clamp(0.0, 1.0) * (stops.len() - 1) as f32;
    let low = (at as usize).min(stops.len() - 2);
    let part = at - low as f32;
    let mix = |channel: usize| {
        (stops[low][channel] + (stops[low + 1][channel] - stops[low][channel]) * part).round() as u8
    };
    Color32::from_rgb(mix(0), mix(1), mix(2))
}

/// Black or white, whichever is read better on `background`.
pub fn ink_on(background: Color32) -> Color32 {
    if lightness(background) > 125.0 { Color32::BLACK } else { Color32::WHITE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_side_has_a_name_and_stands_out_on_both_grounds() {
        assert_eq!([0, 1, 3, 25].map(name), ["A", "B", "D", "Z"]);
        for (visuals, ground) in [(Visuals::dark(), 27.0), (Visuals::light(), 248.0)] {
            for at in 0..SIDES.len() {
                let contrast = (lightness(side(&visuals, at)) - ground).abs();
                assert!(contrast > 70.0, "{at}: {contrast}");
                assert!(super::contrast(side(&visuals, at), visuals.panel_fill) >= CONTRAST, "{at}");
            }
            for color in [bad(&visuals), good(&visuals)] {
                assert!(super::contrast(color, visuals.panel_fill) >= CONTRAST, "{color:?}");
            }
        }
    }

    #[test]
    fn words_and_hints_can_be_read_in_both_themes() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 1e-3);
        let ctx = Context::default();
        set_hints(&ctx);
        for theme in [Theme::Light, Theme::Dark] {
            let visuals = ctx.style_of(theme).visuals.clone();
            let links = visuals.hyperlink_color;
            for color in [visuals.text_color(), visuals.weak_text_color(), visuals.strong_text_color(), links]
            {
                // The last one is that of fields, with hints of what to type.
                let fields = visuals.text_edit_bg_color();
                for ground in [visuals.panel_fill, visuals.faint_bg_color, visuals.window_fill, fields] {
                    let ground = if ground.is_opaque() { ground } else { visuals.panel_fill };
                    assert!(contrast(color, ground) >= CONTRAST, "{theme:?}: {color:?} on {ground:?}");
                }
            }
        }
    }

    #[test]
    fn dearer_tokens_are_stronger() {
        let strength = |nll: f32| loss(nll).a();
        assert_eq!((strength(-1.0), strength(0.0)), (0, 0));
        assert!(strength(1.0) < strength(4.0) && strength(4.0) < strength(8.0));
        assert_eq!((strength(f32::NAN), strength(f32::INFINITY)), (strength(8.0), strength(8.0)));
    }

    #[test]
    fn the_ramp_grows_lighter_and_takes_any_number() {
        let lightness = |color: Color32| {
            let [r, g, b, _] = color.to_array().map(f32::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let light = |step: u8| lightness(ramp(f32::from(step) / 20.0));
        assert!((0..20).all(|step| light(step) < light(step + 1)));
        assert_eq!((ramp(f32::NAN), ramp(-4.0), ramp(7.0)), (ramp(0.0), ramp(0.0), ramp(1.0)));
    }
}
