//! The colours of a difference: light grey where there is none.

use eframe::egui::Color32;

use super::pair::Pair;
use crate::theme::SIDES;

/// Neither more under the first nor more under the second.
pub const EVEN: Color32 = Color32::from_rgb(236, 236, 232);

/// From the colour of the second (0: more under it) over light grey to the colour of the first (1).
pub fn diverging(share: f64, pair: Pair) -> Color32 {
    let [a, b] = [0, 1].map(|place| SIDES[pair.color(place) % SIDES.len()]);
    let from_even = if share.is_finite() { (share.clamp(0.0, 1.0) as f32 - 0.5) * 2.0 } else { 0.0 };
    mix(EVEN, if from_even > 0.0 { a } else { b }, from_even.abs())
}

fn mix(from: Color32, to: Color32, part: f32) -> Color32 {
    let channel = |at: usize| {
        let (from, to) = (f32::from(from[at]), f32::from(to[at]));
        (from + (to - from) * part).round() as u8
    };
    Color32::from_rgb(channel(0), channel(1), channel(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::lightness;

    #[test]
    fn a_difference_is_lightest_at_zero_and_ends_in_the_colours_of_the_sides() {
        let pair = Pair::here(2, 1);
        let diverging = |share: f64| super::diverging(share, pair);
        assert_eq!([diverging(1.0), diverging(0.0), diverging(0.5)], [SIDES[2], SIDES[1], EVEN]);
        assert_eq!(diverging(f64::NAN), EVEN);
        for i in 0..5 {
            let (near, far) = (f64::from(i) / 10.0, f64::from(i + 1) / 10.0);
            assert!(lightness(diverging(0.5 + near)) > lightness(diverging(0.5 + far)));
            assert!(lightness(diverging(0.5 - near)) > lightness(diverging(0.5 - far)));
        }
    }
}
