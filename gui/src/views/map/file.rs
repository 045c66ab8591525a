//! The map that is on screen, as it is there: a picture with the same colours, and its numbers.

use std::sync::Arc;

use eframe::egui::{Color32, Visuals};
use lm_infinite::attention_window::AttentionWindow;
use lm_infinite::diagnose::{Head, RunMeasurement, head_name};
use lm_infinite::figures::{Color, PlaceLine, PlaceMap};
use ndarray::Array2;

use super::layout::{OutlineKind, outlines};
use super::model::extremes;
use super::paint::{NOT_FINITE, color, masked};
use super::pictures::{side_of, tiles};
use super::viewport::{Scale, Tile, Viewport};
use crate::export::Place;
use crate::theme::{self, ramp};
use crate::views::shown::Shown;
use crate::words::grouped;

/// Steps of the scale of colours.
const STEPS: u8 = 96;

/// What is on screen of one policy.
pub struct OnScreen<'a> {
    /// The policy's number, from 0.
    pub side: usize,
    /// What it did.
    pub run: &'a RunMeasurement,
    /// What was computed for the place, if it was.
    pub window: Option<&'a Arc<AttentionWindow>>,
    /// Every square on screen is of what was computed.
    pub exact: bool,
    /// The head.
    pub head: Head,
    /// The place.
    pub viewport: Viewport,
    /// What colours stand for.
    pub scale: Scale,
    /// Values with the first and the last colour.
    pub ends: Option<(f32, f32)>,
}

/// As it is written.
pub fn place(shown: &Shown<'_>, of: &OnScreen<'_>, visuals: &Visuals) -> Place {
    let OnScreen { side, run, window, exact, head, viewport, scale, .. } = *of;
    let (diagnosis, tokens) = (shown.diagnosis, shown.diagnosis.tokens);
    let tiles = tiles(diagnosis, run, window, head, viewport, scale);
    let ends = of.ends.unwrap_or_else(|| scale.ends(extremes(tiles.iter())));
    let dark = visuals.dark_mode;
    let ground = visuals.extreme_bg_color;
    let square = side_of(viewport);
    let (queries, keys) = viewport.ranges(tokens);
    let pool = viewport.pool(tokens);
    let (name, policy) = (head_name(head), &run.policy);
    let from_to = |range: &std::ops::Range<u64>| {
        format!("{} to {}", grouped(range.start), grouped(range.end.saturating_sub(1)))
    };
    let what = match (exact, pool) {
        (true, 1) => format!("{} of every pair", scale.name()),
        (true, pool) => format!("{}, the largest of {pool} × {pool} tokens", scale.name()),
        (false, _) => format!("{}, overview of sampled queries", scale.name()),
    };
    let policy_at = diagnosis.config.policy_at(&run.attention, head.0);
    let lines = outlines(&policy_at, diagnosis.trained_length, tokens, queries.clone());
    let lines = lines.into_iter().map(|outline| PlaceLine {
        ends: outline.ends,
        dash: match outline.kind {
            OutlineKind::Diagonal | OutlineKind::Window | OutlineKind::Start => Vec::new(),
            OutlineKind::Ceiling | OutlineKind::Remapped => vec![7.0, 4.9],
            OutlineKind::Trained => vec![3.0, 2.1],
        },
        faint: outline.kind == OutlineKind::Diagonal,
    });
    let on_paper = |color: Color32| rgb(if color == Color32::TRANSPARENT { ground } else { color });
    let map = PlaceMap {
        title: format!("{name} of {}, {} {policy}", diagnosis.model, theme::name(side)),
        note: format!("{what}; queries {}, keys {}", from_to(&queries), from_to(&keys)),
        from: (viewport.query, viewport.key),
        span: viewport.span,
        side: square,
        colors: tiles.iter().map(|&tile| on_paper(color(tile, ends, dark))).collect(),
        lines: lines.collect(),
        scale: (
            (0..STEPS).map(|step| rgb(ramp(f32::from(step) / f32::from(STEPS - 1)))).collect(),
            scale.name().to_lowercase(),
        ),
        ends,
        swatches: vec![
            (rgb(masked(dark)), "not attended".to_owned()),
            (rgb(NOT_FINITE), "not finite".to_owned()),
        ],
        page: [ground, visuals.text_color(), visuals.weak_text_color()].map(rgb),
    };
    let value = |&tile: &Tile| match (tile, scale) {
        (Tile::Value(value), _) => value,
        // As the softmax has it: no key is attended that is not seen.
        (Tile::Future | Tile::Masked, Scale::Probability) => 0.0,
        (Tile::Future | Tile::Masked, _) => f32::NEG_INFINITY,
        (Tile::NotFinite | Tile::Unseen, _) => f32::NAN,
    };
    let values = Array2::from_shape_vec((square, square), tiles.iter().map(value).collect());
    let part = format!("q{}-{}_k{}-{}", queries.start, queries.end, keys.start, keys.end);
    let kind = if exact { "" } else { "_overview" };
    Place {
        name: format!(
            "map_{}_{}_{}_{part}{kind}",
            name.replace(' ', ""),
            theme::name(side),
            scale.name().to_lowercase().replace(' ', "_")
        ),
        map,
        values: values.unwrap_or_default(),
    }
}

fn rgb(color: Color32) -> Color {
    let [red, green, blue, _] = color.to_array();
    [red, green, blue]
}
