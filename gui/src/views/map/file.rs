//! Maps that are on screen, as they are there: a picture with the same colours, and its numbers.

use std::sync::Arc;

use eframe::egui::{Color32, Visuals};
use lm_infinite::attention_window::AttentionWindow;
use lm_infinite::diagnose::{Head, RunMeasurement, head_name};
use lm_infinite::figures::{Color, PlaceLine, PlaceMap};
use lm_infinite::policy::AttentionPolicy;
use ndarray::Array2;

use super::layout::{OutlineKind, outlines};
use super::model::extremes;
use super::paint::{NOT_FINITE, color, masked};
use super::pictures::{side_of, tiles};
use super::viewport::{Scale, Tile, Viewport};
use crate::export::Place;
use crate::theme::{self, ramp};
use crate::views::diverging::diverging;
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

/// Where a map is, and what of its head: what the files of all maps say alike.
#[derive(Clone, Copy)]
pub struct Part {
    /// The head.
    pub head: Head,
    /// The place.
    pub viewport: Viewport,
    /// What colours stand for.
    pub scale: Scale,
    /// Every square is of what was computed.
    pub exact: bool,
    /// Tokens of the text.
    pub tokens: u64,
}

impl Part {
    /// The end of the name of a file.
    fn name(&self) -> String {
        let (queries, keys) = self.viewport.ranges(self.tokens);
        let kind = if self.exact { "" } else { "_overview" };
        let scale = self.scale.name().to_lowercase().replace(' ', "_");
        format!("{scale}_q{}-{}_k{}-{}{kind}", queries.start, queries.end, keys.start, keys.end)
    }

    /// What is shown of which pairs.
    fn note(&self, what: &str) -> String {
        let from_to = |range: &std::ops::Range<u64>| {
            format!("{} to {}", grouped(range.start), grouped(range.end.saturating_sub(1)))
        };
        let what = match (self.exact, self.viewport.pool(self.tokens)) {
            (true, 1) => format!("{what} of every pair"),
            (true, pool) => format!("{what}, the largest of {pool} × {pool} tokens"),
            (false, _) => format!("{what}, overview of sampled queries"),
        };
        let (queries, keys) = self.viewport.ranges(self.tokens);
        format!("{what}; queries {}, keys {}", from_to(&queries), from_to(&keys))
    }
}

/// The lines of a policy, for a file.
fn lines(policy: &AttentionPolicy, trained: u64, part: &Part) -> Vec<PlaceLine> {
    let queries = part.viewport.ranges(part.tokens).0;
    let lines = outlines(policy, trained, part.tokens, queries).into_iter().map(|outline| PlaceLine {
        ends: outline.ends,
        dash: match outline.kind {
            OutlineKind::Diagonal | OutlineKind::Window | OutlineKind::Start => Vec::new(),
            OutlineKind::Ceiling | OutlineKind::Remapped => vec![7.0, 4.9],
            OutlineKind::Trained => vec![3.0, 2.1],
        },
        faint: outline.kind == OutlineKind::Diagonal,
    });
    lines.collect()
}

/// The difference of two maps, as it is written: its tiles, their colours, and the largest difference, which has the last colour of
/// either end. `lines_of` is the rule whose lines are drawn.
pub fn difference(
    shown: &Shown<'_>,
    part: &Part,
    (tiles, most): (&[Tile], f32),
    color: impl Fn(Tile) -> Color32,
    lines_of: &AttentionPolicy,
    visuals: &Visuals,
) -> Place {
    let (diagnosis, pair, Part { head, viewport, scale, .. }) = (shown.diagnosis, shown.pair, *part);
    let (side, ground) = (side_of(viewport), visuals.extreme_bg_color);
    let on_paper = |color: Color32| rgb(if color == Color32::TRANSPARENT { ground } else { color });
    let policies = pair.rows().map(|row| {
        let policy = shown.rows().run(row).map_or("", |run| run.policy.as_str());
        format!("{} {policy}", row.name())
    });
    let name = head_name(head);
    let neither = if scale == Scale::Probability { "attended by neither" } else { "not attended by both" };
    let step = |step: u8| f64::from(step) / f64::from(STEPS - 1);
    let map = PlaceMap {
        title: format!("{name} of {}, {} \u{2212} {}", diagnosis.model, policies[0], policies[1]),
        note: part.note(&format!("{}, {}", pair.name(), scale.name().to_lowercase())),
        from: (viewport.query, viewport.key),
        span: viewport.span,
        side,
        colors: tiles.iter().map(|&tile| on_paper(color(tile))).collect(),
        lines: lines(lines_of, diagnosis.trained_length, part),
        scale: (
            (0..STEPS).map(|at| rgb(diverging(step(at), pair))).collect(),
            format!("{}, {}", pair.name(), scale.name().to_lowercase()),
        ),
        ends: (-most, most),
        swatches: vec![
            (rgb(masked(visuals.dark_mode)), neither.to_owned()),
            (rgb(NOT_FINITE), "not finite".to_owned()),
        ],
        page: [ground, visuals.text_color(), visuals.weak_text_color()].map(rgb),
    };
    let value = |&tile: &Tile| match (tile, scale) {
        (Tile::Value(value), _) => value,
        (Tile::Future | Tile::Masked, Scale::Probability) => 0.0,
        _ => f32::NAN,
    };
    let values = Array2::from_shape_vec((side, side), tiles.iter().map(value).collect());
    // A star, of a result folder, has no place in the name of a file.
    let [first, second] = pair.rows().map(|row| row.name().replace('*', "_folder"));
    Place {
        name: format!("map_{}_{first}_minus_{second}_{}", name.replace(' ', ""), part.name()),
        map,
        values: values.unwrap_or_default(),
    }
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
    let part = Part { head, viewport, scale, exact, tokens };
    let (name, policy) = (head_name(head), &run.policy);
    let policy_at = diagnosis.config.policy_at(&run.attention, head.0);
    let on_paper = |color: Color32| rgb(if color == Color32::TRANSPARENT { ground } else { color });
    let map = PlaceMap {
        title: format!("{name} of {}, {} {policy}", diagnosis.model, theme::name(side)),
        note: part.note(scale.name()),
        from: (viewport.query, viewport.key),
        span: viewport.span,
        side: square,
        colors: tiles.iter().map(|&tile| on_paper(color(tile, ends, dark))).collect(),
        lines: lines(&policy_at, diagnosis.trained_length, &part),
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
    Place {
        name: format!("map_{}_{}_{}", name.replace(' ', ""), theme::name(side), part.name()),
        map,
        values: values.unwrap_or_default(),
    }
}

fn rgb(color: Color32) -> Color {
    let [red, green, blue, _] = color.to_array();
    [red, green, blue]
}
