//! The textures of both maps, made anew only when something of them is different.

use std::sync::{Arc, Weak};

use eframe::egui::{ColorImage, Context, TextureHandle, TextureOptions};
use lm_infinite::attention_window::{AttentionWindow, MOST_SIDE};
use lm_infinite::diagnose::Diagnosis;

use super::model::{extremes, refine};
use super::overview::Overview;
use super::paint;
use super::viewport::{Scale, Viewport};

/// What the textures were made of, and the textures.
#[derive(Default)]
pub struct Pictures(Option<Made>);

struct Made {
    of: Key,
    ends: (f32, f32),
    textures: [TextureHandle; 2],
}

#[derive(PartialEq)]
struct Key {
    diagnosis: ByPointer<Diagnosis>,
    windows: [Option<ByPointer<AttentionWindow>>; 2],
    head: (usize, usize),
    viewport: Viewport,
    scale: Scale,
    dark: bool,
}

/// Equal if it is the same object. Weak: its address cannot be given to another.
struct ByPointer<T>(Weak<T>);

impl<T> ByPointer<T> {
    fn new(of: &Arc<T>) -> Self {
        Self(Arc::downgrade(of))
    }
}

impl<T> PartialEq for ByPointer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl Pictures {
    /// Of one head: the overviews of A and B, with the windows that were computed over them.
    pub fn update(
        &mut self,
        ctx: &Context,
        diagnosis: &Arc<Diagnosis>,
        windows: [Option<&Arc<AttentionWindow>>; 2],
        head: (usize, usize),
        viewport: Viewport,
        scale: Scale,
    ) {
        let dark = ctx.global_style().visuals.dark_mode;
        let by_pointer = windows.map(|window| window.map(ByPointer::new));
        let diagnosed = ByPointer::new(diagnosis);
        let of = Key { diagnosis: diagnosed, windows: by_pointer, head, viewport, scale, dark };
        if self.0.as_ref().is_some_and(|made| made.of == of) {
            return;
        }
        let tokens = diagnosis.tokens;
        let size = (viewport.span.ceil() as usize).min(MOST_SIDE as usize);
        let tiles: Vec<_> = (diagnosis.runs.iter().zip(windows))
            .map(|(run, window)| {
                let overview = Overview { bins: &diagnosis.bins, run, head };
                let mut tiles = overview.tiles(viewport, tokens, size, scale);
                if let Some(window) = window {
                    refine(&mut tiles, window, viewport, tokens, size, scale);
                }
                tiles
            })
            .collect();
        let ends = scale.ends(extremes(tiles.iter().flatten()));
        let image = |side: usize| {
            tiles.get(side).map_or_else(ColorImage::default, |tiles| paint::image(tiles, size, ends, dark))
        };
        let textures = match self.0.take() {
            Some(Made { mut textures, .. }) => {
                for (side, texture) in textures.iter_mut().enumerate() {
                    texture.set(image(side), TextureOptions::NEAREST);
                }
                textures
            }
            None => [0, 1].map(|side| {
                ctx.load_texture(format!("attention map {side}"), image(side), TextureOptions::NEAREST)
            }),
        };
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
