//! Where things of an attention map are on screen: the two squares, their axes, and the outlines of the Λ.

use std::ops::Range;

use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};
use lm_infinite::policy::{AttentionPolicy, DistanceRemap, Positions};

use super::viewport::Viewport;

/// Room for the numbers left of a map.
const LEFT: f32 = 58.0;
/// Room for the numbers below it.
const BELOW: f32 = 36.0;
/// Room for its name above it.
const ABOVE: f32 = 20.0;

/// Longest side of a map, in units of its shortest: tokens are as long as they are high, or nearly so.
const LONGEST: f32 = 2.4;
/// Shortest side.
const SHORTEST: f32 = 120.0;

/// Places of so many maps in an area of this size, `columns` in a row; with the height that they take with their axes. A map fills
/// its place as far as it is not stretched too much.
pub fn places(corner: Pos2, area: Vec2, count: usize, columns: usize) -> (Vec<Rect>, f32) {
    let (columns, rows) = (columns.max(1), count.div_ceil(columns.max(1)).max(1));
    let across = (area.x / columns as f32 - LEFT - 6.0).max(SHORTEST);
    let down = (area.y / rows as f32 - ABOVE - BELOW).max(SHORTEST);
    let size = vec2(across.min(down * LONGEST), down.min(across * LONGEST));
    let row = size.y + ABOVE + BELOW;
    let place = |at: usize| {
        let (column, down) = ((at % columns) as f32, (at / columns) as f32);
        let from = vec2(LEFT + column * (LEFT + 6.0 + size.x), ABOVE + down * row);
        Rect::from_min_size(corner + from, size)
    };
    ((0..count).map(place).collect(), row * rows as f32)
}

/// A map with the numbers at its axes.
pub fn figure(map: Rect) -> Rect {
    Rect::from_min_max(map.min - vec2(LEFT, 0.0), map.max + vec2(0.0, BELOW))
}

/// A map on screen: tokens to points and back.
#[derive(Clone, Copy, Debug)]
pub struct Plane {
    /// The square.
    pub rect: Rect,
    /// What is in it.
    pub viewport: Viewport,
}

impl Plane {
    /// Where the upper left corner of a pair is.
    pub fn point(&self, query: f64, key: f64) -> Pos2 {
        let share = |at: f64, from: f64| ((at - from) / self.viewport.span) as f32;
        let size = self.rect.size();
        let Viewport { query: first_query, key: first_key, .. } = self.viewport;
        self.rect.min + vec2(share(key, first_key) * size.x, share(query, first_query) * size.y)
    }

    /// The shares of the square, across and down, of a point.
    pub fn shares(&self, at: Pos2) -> (f64, f64) {
        let from = at - self.rect.min;
        (f64::from(from.x / self.rect.width()), f64::from(from.y / self.rect.height()))
    }

    /// The pair under a point, as (query, key).
    pub fn pair(&self, at: Pos2, tokens: u64) -> Option<(u64, u64)> {
        let (across, down) = self.shares(at);
        if !self.rect.contains(at) {
            return None;
        }
        let token = |at: f64| (at.max(0.0) as u64).min(tokens.saturating_sub(1));
        let Viewport { query, key, span } = self.viewport;
        Some((token(query + down * span), token(key + across * span)))
    }
}

/// A line of the Λ or of a distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outline {
    /// What it is.
    pub kind: OutlineKind,
    /// (query, key) of its ends.
    pub ends: [(f64, f64); 2],
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutlineKind {
    /// The query itself: nothing is to the right of it.
    Diagonal,
    /// The last key of the window.
    Window,
    /// The last start token.
    Start,
    /// From here on distances are given as the ceiling.
    Ceiling,
    /// From here on distances are given otherwise: in groups, or within chunks.
    Remapped,
    /// The distance of the training length.
    Trained,
}

/// Chunks whose edges are drawn one by one; more of them are a line to the eye.
const CHUNKS: u64 = 300;

/// All lines of a policy over a text, of chunks those of the queries `seen`. The window and the ceiling are one where they are equal, and the distance of the
/// training length is left out where one of them already is there.
pub fn outlines(policy: &AttentionPolicy, trained: u64, tokens: u64, seen: Range<u64>) -> Vec<Outline> {
    let end = tokens as f64;
    let at_distance = |kind, distance: u64| {
        let distance = distance as f64;
        (distance < end).then_some(Outline { kind, ends: [(distance, 0.0), (end, end - distance)] })
    };
    let mut lines = vec![Outline { kind: OutlineKind::Diagonal, ends: [(0.0, 0.0), (end, end)] }];
    lines.extend(policy.window.and_then(|window| at_distance(OutlineKind::Window, window)));
    if let Some(window) = policy.window.filter(|_| policy.start > 0) {
        // Below this query the start tokens are all inside the window.
        let (start, from) = (policy.start as f64, (window + policy.start) as f64);
        if from < end {
            lines.push(Outline { kind: OutlineKind::Start, ends: [(from, start), (end, start)] });
        }
    }
    let ceiling = policy.ceiling.filter(|_| policy.positions == Positions::True);
    lines.extend(
        ceiling
            .filter(|&ceiling| policy.window != Some(ceiling))
            .and_then(|ceiling| at_distance(OutlineKind::Ceiling, ceiling)),
    );
    match policy.remap {
        Some(DistanceRemap::Grouped { window, .. }) => {
            lines.extend(at_distance(OutlineKind::Remapped, window));
        }
        Some(DistanceRemap::Chunked { chunk, .. }) if (seen.end - seen.start) / chunk > CHUNKS => {
            lines.extend(at_distance(OutlineKind::Remapped, chunk));
        }
        Some(DistanceRemap::Chunked { chunk, local }) => {
            lines.extend(chunk_edges(chunk, local, seen, tokens));
        }
        None => {}
    }
    if policy.window != Some(trained) && policy.ceiling != Some(trained) {
        lines.extend(at_distance(OutlineKind::Trained, trained));
    }
    lines
}

/// Left of these edges keys stand at changed distances. The first `local` queries of a chunk see the chunk before as it is.
fn chunk_edges(chunk: u64, local: u64, seen: Range<u64>, tokens: u64) -> impl Iterator<Item = Outline> {
    let chunks = seen.start / chunk..seen.end.div_ceil(chunk);
    let edge = move |ends: [(u64, u64); 2]| {
        let ends = ends.map(|(query, key)| (query.min(tokens) as f64, key as f64));
        (ends[0] != ends[1]).then_some(Outline { kind: OutlineKind::Remapped, ends })
    };
    chunks.filter(|&at| at > 0).flat_map(move |at| {
        let (begin, before) = (at * chunk, (at - 1) * chunk);
        let exact = begin + local;
        [
            [(begin, before), (exact, before)],
            [(exact, before), (exact, begin)],
            [(exact, begin), (begin + chunk, begin)],
        ]
        .into_iter()
        .filter_map(edge)
    })
}

/// Round numbers inside `from..from + span`, about `most` of them at most.
pub fn ticks(from: f64, span: f64, most: usize) -> Vec<u64> {
    let least = (span / most.max(1) as f64).max(1.0);
    let decade = 10_f64.powf(least.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * decade).find(|&s| s >= least * 0.999).unwrap_or(decade);
    let first = (from / step).ceil() as u64;
    let last = ((from + span) / step).floor() as u64;
    (first..=last).map(|at| at * step as u64).collect()
}

/// A square for the frame of one tile.
pub fn tile(plane: &Plane, query: u64, key: u64) -> Rect {
    let (from, to) =
        (plane.point(query as f64, key as f64), plane.point(query as f64 + 1.0, key as f64 + 1.0));
    Rect::from_two_pos(from, pos2(to.x, to.y))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane() -> Plane {
        let rect = Rect::from_min_size(pos2(100.0, 50.0), vec2(200.0, 200.0));
        Plane { rect, viewport: Viewport { query: 1000.0, key: 400.0, span: 100.0 } }
    }

    #[test]
    fn points_and_pairs_are_inverse() {
        let plane = plane();
        assert_eq!(plane.point(1050.0, 400.0), pos2(100.0, 150.0));
        assert_eq!(plane.pair(pos2(101.0, 151.0), 5000), Some((1050, 400)));
        assert_eq!(plane.pair(pos2(99.0, 151.0), 5000), None);
        assert_eq!(plane.pair(plane.rect.max, 1060), Some((1059, 500)));
        assert_eq!(plane.pair(tile(&plane, 1031, 477).center(), 5000), Some((1031, 477)));
    }

    #[test]
    fn the_maps_are_equal_and_do_not_overlap() {
        for (width, height) in [(900.0, 500.0), (400.0, 900.0), (2000.0, 300.0), (0.0, 0.0)] {
            let (all, taken) = places(pos2(10.0, 20.0), vec2(width, height), 3, 2);
            let [a, b, c] = all[..] else { panic!("three") };
            assert_eq!((a.size(), a.size()), (b.size(), c.size()));
            assert!(a.right() + 20.0 < b.left() && a.bottom() < c.top() && c.bottom() < 20.0 + taken);
            assert_eq!(a.left(), c.left());
            assert!(a.width() <= LONGEST * a.height() + 0.1 && a.height() <= LONGEST * a.width() + 0.1);
        }
    }

    #[test]
    fn outlines_are_where_regions_change() {
        use lm_infinite::policy::region;
        let policy =
            AttentionPolicy { start: 10, window: Some(64), ceiling: Some(64), ..AttentionPolicy::default() };
        let lines = outlines(&policy, 256, 1000, 0..1000);
        let kinds: Vec<_> = lines.iter().map(|line| line.kind).collect();
        use OutlineKind::{Diagonal, Start, Trained, Window};
        assert_eq!(kinds, [Diagonal, Window, Start, Trained]);
        let name = |query: u64, key: u64| region(query, key, &policy).distance().is_some();
        for line in &lines[1..3] {
            let [(query, key), (_, last)] = line.ends;
            let (query, key) =
                ((query as u64 + 500).min(999), if last > key { key as u64 + 500 } else { key as u64 });
            // On one side of a line keys are attended, on the other they are not.
            assert_ne!(name(query, key.saturating_sub(1)), name(query, key + 1), "{line:?}");
        }
        assert_eq!(outlines(&AttentionPolicy::default(), 256, 200, 0..200).len(), 1);
    }

    #[test]
    fn grouped_and_chunked_distances_have_their_edges() {
        let of = |remap: DistanceRemap, seen: Range<u64>| {
            let policy = AttentionPolicy { remap: Some(remap), ..AttentionPolicy::default() };
            let lines = outlines(&policy, 5000, 1000, seen).into_iter();
            lines.filter(|line| line.kind == OutlineKind::Remapped).collect::<Vec<_>>()
        };
        let grouped = of(DistanceRemap::Grouped { group: 8, window: 64 }, 0..1000);
        assert_eq!(grouped[0].ends, [(64.0, 0.0), (1000.0, 936.0)]);
        let remap = DistanceRemap::Chunked { chunk: 192, local: 64 };
        let edges = of(remap, 0..1000);
        assert_eq!(edges[0].ends, [(192.0, 0.0), (256.0, 0.0)].map(|(query, key)| (query, key)));
        // Left of an edge that goes down distances are changed, right of it they are true.
        for line in edges.iter().filter(|line| line.ends[0].1 == line.ends[1].1 && line.ends[0].1 > 0.0) {
            let query = ((line.ends[0].0 + line.ends[1].0) / 2.0) as u64;
            let key = line.ends[0].1 as u64;
            assert_eq!(remap.changed_end(query), key, "{line:?}");
            assert_eq!(remap.distance(query, key), query - key);
            assert_ne!(remap.distance(query, key - 1), query - key + 1, "{line:?}");
        }
        assert!(of(remap, 400..500).len() < edges.len());
        assert_eq!(of(DistanceRemap::Chunked { chunk: 2, local: 1 }, 0..1000).len(), 1);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(0.0, 4096.0, 5), [0, 1000, 2000, 3000, 4000]);
        assert_eq!(ticks(999_990.5, 12.0, 4), [999_995, 1_000_000]);
        assert_eq!(ticks(0.0, 8.0, 100), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(ticks(0.0, 1e6, 6).len() <= 7);
    }
}
