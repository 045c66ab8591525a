//! The picture of all maps: made off the screen, one square for each head.

use eframe::egui::{Color32, ColorImage};
use lm_infinite::diagnose::Diagnosis;

use crate::views::map::overview::Overview;
use crate::views::map::paint::color;
use crate::views::map::viewport::{Scale, Viewport};

/// Pixels of a map from side to side.
pub const SIDE: usize = 48;
/// Pixels of the picture from side to side, at most: what every graphics card takes.
const MOST: usize = 8192;

/// All maps of one policy.
pub struct Atlas {
    /// Heads across, layers downwards.
    pub image: ColorImage,
    /// Layers.
    pub layers: usize,
    /// Heads a layer.
    pub heads: usize,
}

impl Atlas {
    /// Of a policy; `None` where there are no maps, or more than a picture holds.
    pub fn new(diagnosis: &Diagnosis, side: usize, dark: bool) -> Option<Self> {
        let run = diagnosis.runs.get(side).filter(|run| !run.arrays.map_mass.is_empty())?;
        let (layers, heads) = (diagnosis.config.layers, diagnosis.config.heads);
        let size = [heads * SIDE, layers * SIDE];
        if size.iter().any(|&side| side == 0 || side > MOST) {
            return None;
        }
        let (scale, whole) = (Scale::LogProbability, Viewport::whole(diagnosis.tokens));
        let mut image = ColorImage::filled(size, Color32::TRANSPARENT);
        for layer in 0..layers {
            for head in 0..heads {
                let overview = Overview { bins: &diagnosis.bins, run, head: (layer, head) };
                let tiles = overview.tiles(whole, diagnosis.tokens, SIDE, scale);
                for (row, tiles) in tiles.chunks(SIDE).enumerate() {
                    let from = (layer * SIDE + row) * size[0] + head * SIDE;
                    let pixels = &mut image.pixels[from..from + SIDE];
                    for (pixel, &tile) in pixels.iter_mut().zip(tiles) {
                        *pixel = color(tile, scale.ends(None), dark);
                    }
                }
            }
        }
        Some(Self { image, layers, heads })
    }
}
