//! The textures of all maps, made anew only when something of them is different.

use std::sync::{Arc, Weak};

use eframe::egui::{Context, TextureHandle, TextureOptions};
use lm_infinite::attention_window::{AttentionWindow, MOST_SIDE};
use lm_infinite::diagnose::{Diagnosis, RunMeasurement};

use super::model::{extremes, refine};
use super::overview::Overview;
use super::paint;
use super::viewport::{Scale, Tile, Viewport};

/// What the textures were made of, and the textures.
#[derive(Default)]
pub struct Pictures(Option<Made>);

struct Made {
    of: Key,
    ends: (f32, f32),
    textures: Vec<TextureHandle>,
}

#[derive(PartialEq)]
struct Key {
    diagnosis: ByPointer<Diagnosis>,
    windows: Vec<Option<ByPointer<AttentionWindow>>>,
    head: (usize, usize),
    viewport: Viewport,
    scale: Scale,
    dark: bool,
}

/// Equal if it is the same object. Weak: its address cannot be given to another.
pub struct ByPointer<T>(Weak<T>);

impl<T> ByPointer<T> {
    /// Of this object.
    pub fn new(of: &Arc<T>) -> Self {
        Self(Arc::downgrade(of))
    }
}

impl<T> PartialEq for ByPointer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

/// Tiles from side to side.
pub fn side_of(viewport: Viewport) -> usize {
    (viewport.span.ceil() as usize).min(MOST_SIDE as usize)
}

/// What is shown of one policy: the overview of its run, with the window that was computed over it.
pub fn tiles(
    diagnosis: &Diagnosis,
    run: &RunMeasurement,
    window: Option<&Arc<AttentionWindow>>,
    head: (usize, usize),
    viewport: Viewport,
    scale: Scale,
) -> Vec<Tile> {
    let (tokens, size) = (diagnosis.tokens, side_of(viewport));
    let mut tiles = Overview { bins: &diagnosis.bins, run, head }.tiles(viewport, tokens, size, scale);
    if let Some(window) = window {
        refine(&mut tiles, window, viewport, tokens, size, scale);
    }
    tiles
}

impl Pictures {
    /// Of one head: the overview of every run, with the window that was computed over it.
    pub fn update(
        &mut self,
        ctx: &Context,
        diagnosis: &Arc<Diagnosis>,
        windows: &[Option<Arc<AttentionWindow>>],
        head: (usize, usize),
        viewport: Viewport,
        scale: Scale,
    ) {
        let dark = ctx.global_style().visuals.dark_mode;
        let by_pointer = windows.iter().map(|window| window.as_ref().map(ByPointer::new)).collect();
        let diagnosed = ByPointer::new(diagnosis);
        let of = Key { diagnosis: diagnosed, windows: by_pointer, head, viewport, scale, dark };
        if self.0.as_ref().is_some_and(|made| made.of == of) {
            return;
        }
        let size = side_of(viewport);
        let tiles: Vec<_> = (diagnosis.runs.iter().zip(windows))
            .map(|(run, window)| tiles(diagnosis, run, window.as_ref(), head, viewport, scale))
            .collect();
        let ends = scale.ends(extremes(tiles.iter().flatten()));
        let mut textures = self.0.take().map_or_else(Vec::new, |made| made.textures);
        textures.truncate(tiles.len());
        for (side, tiles) in tiles.iter().enumerate() {
            let image = paint::image(tiles, size, ends, dark);
            match textures.get_mut(side) {
                Some(texture) => texture.set(image, TextureOptions::NEAREST),
                None => textures.push(ctx.load_texture(
                    format!("attention map {side}"),
                    image,
                    TextureOptions::NEAREST,
                )),
            }
        }
        self.0 = Some(Made { of, ends, textures });
    }

    /// The texture of a side.
    pub fn texture(&self, side: usize) -> Option<&TextureHandle> {
        self.0.as_ref()?.textures.get(side)
    }

    /// Values with the first and the last colour.
    pub fn ends(&self) -> Option<(f32, f32)> {
        self.0.as_ref().map(|made| made.ends)
    }
}
