//! Colours, dashes and sizes: the only place of this crate that names them.

/// Red, green, blue.
pub type Color = [u8; 3];

/// Text and frames.
pub const INK: Color = [38, 38, 38];
/// Secondary text and reference lines.
pub const MUTED: Color = [105, 105, 105];
/// Grid.
pub const GRID: Color = [228, 228, 228];
/// Where numbers are not finite, on a scale of colours that has no such hue.
pub const LOST: Color = [213, 94, 0];
/// Background.
pub const PAPER: Color = [255, 255, 255];
/// Keys that are not attended, in a map: no colour of the ramp is grey.
pub const MASKED: Color = [205, 205, 205];
/// Letters and lines on a dark colour of the ramp, and on a light one: the ramp is the same on dark paper, and so are they.
pub const ON_DARK: Color = [254, 254, 254];
/// The other.
pub const ON_LIGHT: Color = [24, 24, 24];

/// Text sizes, in pixels at scale 1: an image is written at scale 2, so half size is still legible.
pub const TITLE: f64 = 19.0;
/// Labels of axes and legends.
pub const LABEL: f64 = 16.0;
/// Numbers at ticks.
pub const TICK: f64 = 14.0;

/// How one series is told from the others, in colour or in grey: hue, dash and marker all differ.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Hue.
    pub color: Color,
    /// Lengths drawn and skipped, in pixels; empty for a solid line.
    pub dash: &'static [f64],
    /// Marker set along the line.
    pub marker: Marker,
    /// Width of a line, in pixels at scale 1: those of earlier series are wider, so that one that covers them leaves an edge.
    pub width: f64,
}

/// Shape of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Disc.
    Disc,
    /// Square.
    Square,
    /// Triangle pointing up.
    Triangle,
    /// Square on its corner.
    Diamond,
    /// Triangle pointing down.
    Down,
    /// Pentagon.
    Pentagon,
    /// Triangle pointing to the right.
    Right,
    /// Star of five points.
    Star,
    /// Hexagon.
    Hexagon,
}

/// Okabe & Ito's palette (2008), distinguishable with every common colour blindness, darkest contrasts first; its yellow
/// is left out because it vanishes on white. Then two that differ from them in lightness: a dark violet and a brown.
const PALETTE: [Color; 9] = [
    [213, 94, 0],
    [0, 114, 178],
    [0, 158, 115],
    [204, 121, 167],
    [86, 180, 233],
    [230, 159, 0],
    [0, 0, 0],
    [88, 44, 131],
    [127, 83, 44],
];

const DASHES: [&[f64]; 5] = [&[], &[9.0, 4.0], &[2.5, 3.0], &[12.0, 3.5, 2.5, 3.5], &[5.0, 2.5]];

const MARKERS: [Marker; 9] = [
    Marker::Disc,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::Down,
    Marker::Pentagon,
    Marker::Right,
    Marker::Star,
    Marker::Hexagon,
];

/// Widths of the lines of the first series and of the last that is told apart.
const WIDTHS: [f64; 2] = [4.4, 1.6];

/// What becomes of colours on dark paper. Those that are not named are seen on both.
const DARK: [(Color, Color); 11] = [
    (PAPER, [34, 36, 39]),
    (INK, [232, 232, 230]),
    (MUTED, [172, 172, 168]),
    (GRID, [64, 67, 71]),
    (MASKED, [84, 84, 84]),
    (PALETTE[0], [240, 128, 48]),
    (PALETTE[1], [62, 146, 214]),
    (PALETTE[4], [150, 210, 245]),
    (PALETTE[6], [255, 255, 255]),
    (PALETTE[7], [172, 130, 214]),
    (PALETTE[8], [196, 148, 104]),
];

/// Rules of a style sheet that put the figures below `selector` on dark paper: SVG names every colour in attributes.
pub fn dark_rules(selector: &str) -> String {
    let hex = |color: Color| color.map(|channel| format!("{channel:02X}")).concat();
    let rule = |(light, dark): &(Color, Color)| {
        let (light, dark) = (hex(*light), hex(*dark));
        ["fill", "stroke"]
            .map(|what| format!("{selector} [{what}=\"#{light}\"] {{ {what}: #{dark}; }}\n"))
            .concat()
    };
    DARK.iter().map(rule).collect()
}

/// The look of the series at `index`: of nine, colours and markers all differ, of 45 the combination with the dash.
pub fn look(index: usize) -> Look {
    Look {
        color: PALETTE[index % PALETTE.len()],
        dash: DASHES[index % DASHES.len()],
        marker: MARKERS[index % MARKERS.len()],
        width: WIDTHS[0]
            + (WIDTHS[1] - WIDTHS[0]) * (index % PALETTE.len()) as f64 / (PALETTE.len() - 1) as f64,
    }
}

/// A colour from dark violet (0) over teal to light green (1): lightness rises evenly, so that it also reads in grey. It
/// ends before yellow, which vanishes on white.
pub fn ramp(share: f64) -> Color {
    const STOPS: [Color; 5] = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [70, 178, 112], [150, 208, 60]];
    let at = if share.is_finite() { share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64 } else { 0.0 };
    let low = (at as usize).min(STOPS.len() - 2);
    let part = at - low as f64;
    let mix = |channel: usize| {
        let (a, b) = (f64::from(STOPS[low][channel]), f64::from(STOPS[low + 1][channel]));
        (a + (b - a) * part).round() as u8
    };
    [mix(0), mix(1), mix(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness(color: Color) -> f64 {
        0.2126 * f64::from(color[0]) + 0.7152 * f64::from(color[1]) + 0.0722 * f64::from(color[2])
    }

    #[test]
    fn on_dark_paper_everything_can_be_seen_and_told_apart() {
        let (_, paper) = DARK[0];
        let on_dark =
            |color: Color| DARK.iter().find(|(light, _)| *light == color).map_or(color, |(_, dark)| *dark);
        let palette = PALETTE.map(on_dark);
        for (index, color) in palette.iter().enumerate() {
            assert!(lightness(*color) > lightness(paper) + 60.0, "{color:?}");
            let distance = |other: &Color| (0..3).map(|c| color[c].abs_diff(other[c]) as u32).sum::<u32>();
            assert!(palette[..index].iter().all(|other| distance(other) > 60), "{color:?}");
        }
        assert!([INK, MUTED].iter().all(|ink| lightness(on_dark(*ink)) > lightness(paper) + 100.0));
        assert!(dark_rules("svg").contains("svg [fill=\"#262626\"] { fill: #E8E8E6; }"));
        assert!([ON_DARK, ON_LIGHT].iter().all(|ink| DARK.iter().all(|(light, _)| light != ink)));
    }

    #[test]
    fn the_ramp_grows_lighter_and_takes_any_number() {
        let ramp: Vec<_> = (0..=20).map(|i| lightness(ramp(f64::from(i) / 20.0))).collect();
        assert!(ramp.windows(2).all(|pair| pair[0] < pair[1]), "{ramp:?}");
        assert_eq!(super::ramp(f64::NAN), super::ramp(-1.0));
    }

    #[test]
    fn nine_series_differ_in_colour_and_marker_and_five_in_dash_too() {
        for i in 0..9 {
            for j in 0..i {
                let (a, b) = (look(i), look(j));
                assert!(a.color != b.color && a.marker != b.marker && a.width < b.width);
                assert!(i >= 5 || a.dash != b.dash);
            }
        }
        for i in 0..45 {
            assert!((0..i).all(|j| (look(i).color, look(i).dash) != (look(j).color, look(j).dash)), "{i}");
        }
    }
}
