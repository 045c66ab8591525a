//! The place of the text that an attention map shows, what its colours stand for, and its tiles.

use std::ops::Range;

use lm_infinite::attention_window::{MOST_SIDE, WindowRequest};

/// Fewest tokens that are shown from side to side.
const CLOSEST: f64 = 8.0;

/// What a colour stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scale {
    /// Logits as the softmax sees them.
    Logit,
    /// Probabilities.
    Probability,
    /// Their logarithm to base 10: small ones can be told apart.
    #[default]
    LogProbability,
}

impl Scale {
    /// All, in the order of the buttons.
    pub const ALL: [Self; 3] = [Self::Logit, Self::Probability, Self::LogProbability];

    /// What the button says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logit => "Logit",
            Self::Probability => "Probability",
            Self::LogProbability => "Log probability",
        }
    }

    pub(super) fn of_probability(self, probability: f32) -> f32 {
        match self {
            Self::LogProbability => probability.max(f32::MIN_POSITIVE).log10(),
            _ => probability,
        }
    }

    /// Ends of the colours, from the smallest and largest value on screen.
    pub fn ends(self, seen: Option<(f32, f32)>) -> (f32, f32) {
        match (self, seen) {
            (Self::LogProbability, _) => (-6.0, 0.0),
            (_, None) => (0.0, 1.0),
            (Self::Probability, Some((_, most))) => (0.0, most),
            (Self::Logit, Some(ends)) => ends,
        }
    }
}

/// The part of a map that is on screen, in tokens: queries downwards, keys across, both at the same scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Viewport {
    /// First query, as a number with a fraction.
    pub query: f64,
    /// First key.
    pub key: f64,
    /// Tokens from side to side.
    pub span: f64,
}

/// What the reader has chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Controls {
    /// `None`: all of the text.
    pub viewport: Option<Viewport>,
    /// What the colours stand for.
    pub scale: Scale,
    /// The marked query that was last brought into the viewport.
    pub marked: Option<u64>,
    /// The difference of the pair is shown, too.
    pub difference: bool,
}

impl Viewport {
    /// All of a text.
    pub fn whole(tokens: u64) -> Self {
        Self { query: 0.0, key: 0.0, span: (tokens as f64).max(CLOSEST) }
    }

    /// A range of tokens, as queries and as keys.
    pub fn of(range: &Range<u64>) -> Self {
        let (from, span) = (range.start as f64, (range.end - range.start) as f64);
        Self { query: from, key: from, span }
    }

    /// As near as possible, inside the text.
    #[must_use]
    pub fn within(self, tokens: u64) -> Self {
        let all = (tokens as f64).max(CLOSEST);
        let span = self.span.clamp(CLOSEST, all);
        let first = |at: f64| if at.is_finite() { at.clamp(0.0, all - span) } else { 0.0 };
        Self { query: first(self.query), key: first(self.key), span }
    }

    /// Nearer (`factor` > 1) or farther, with the point at these shares of the square left where it is.
    #[must_use]
    pub fn zoomed(self, factor: f64, (across, down): (f64, f64), tokens: u64) -> Self {
        let span = (self.span / factor).clamp(CLOSEST, (tokens as f64).max(CLOSEST));
        let less = self.span - span;
        Self { query: self.query + less * down, key: self.key + less * across, span }.within(tokens)
    }

    /// Moved by shares of the square.
    #[must_use]
    pub fn moved(self, across: f64, down: f64, tokens: u64) -> Self {
        Self { query: self.query + down * self.span, key: self.key + across * self.span, ..self }
            .within(tokens)
    }

    /// A window around one query that ends a little after it: what it attends to lies before.
    pub fn around(query: u64, span: f64, tokens: u64) -> Self {
        let at = query as f64;
        Self { query: at - span / 2.0, key: at - span * 0.75, span }.within(tokens)
    }

    /// Queries and keys that are at least partly in it.
    pub fn ranges(self, tokens: u64) -> (Range<u64>, Range<u64>) {
        let range = |from: f64| {
            let end = ((from + self.span).ceil() as u64).min(tokens);
            (from.floor() as u64).min(end.saturating_sub(1))..end
        };
        (range(self.query), range(self.key))
    }

    /// Whether every logit of it can be computed.
    pub fn is_close(self, tokens: u64) -> bool {
        self.pool(tokens) == 1
    }

    /// Tokens from side to side of one tile, so that there are not more tiles than can be computed: a power of two.
    pub fn pool(self, tokens: u64) -> u64 {
        let fits = |&pool: &u64| {
            let (queries, keys) = self.tiles(pool, tokens);
            [queries, keys].iter().all(|range| (range.end - range.start).div_ceil(pool) <= MOST_SIDE)
        };
        (0..63).map(|power| 1 << power).find(fits).unwrap_or(1 << 63)
    }

    /// What to computed of a head: what is in viewport, in whole tiles, so that a small move asks for the same.
    pub fn request(self, (layer, head): (usize, usize), tokens: u64) -> WindowRequest {
        let pool = self.pool(tokens);
        let (queries, keys) = self.tiles(pool, tokens);
        WindowRequest { layer, head, queries, keys, pool }
    }

    /// Queries and keys in viewport, in whole tiles.
    fn tiles(self, pool: u64, tokens: u64) -> (Range<u64>, Range<u64>) {
        let (queries, keys) = self.ranges(tokens);
        let whole = |range: Range<u64>| {
            range.start / pool * pool..range.end.div_ceil(pool).saturating_mul(pool).min(tokens)
        };
        (whole(queries), whole(keys))
    }
}

/// One tile of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tile {
    /// The key comes after the query.
    Future,
    /// The run is not there yet.
    Unseen,
    /// Not attended.
    Masked,
    /// A logit of this row is not a number.
    NotFinite,
    /// In units of the scale.
    Value(f32),
}

/// Tokens at the middles of `size` equal parts.
pub(super) fn places(from: f64, span: f64, size: usize, tokens: u64) -> Vec<u64> {
    let at = |part: usize| (from + span * (part as f64 + 0.5) / size as f64) as u64;
    (0..size).map(|part| at(part).min(tokens.saturating_sub(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_leaves_the_point_where_it_is_and_stays_in_the_text() {
        let viewport = Viewport::whole(4096);
        let nearer = viewport.zoomed(4.0, (0.25, 0.75), 4096);
        assert_eq!(nearer, Viewport { query: 2304.0, key: 768.0, span: 1024.0 });
        let at =
            |viewport: Viewport| (viewport.key + 0.25 * viewport.span, viewport.query + 0.75 * viewport.span);
        assert_eq!(at(nearer), at(viewport));
        assert_eq!(nearer.zoomed(0.001, (0.5, 0.5), 4096), viewport);
        assert_eq!(nearer.zoomed(1e9, (0.0, 0.0), 4096).span, CLOSEST);
        assert_eq!(nearer.moved(-9.0, 9.0, 4096), Viewport { query: 3072.0, key: 0.0, span: 1024.0 });
        assert_eq!(
            Viewport::around(4095, 512.0, 4096).within(4096),
            Viewport { query: 3584.0, key: 3584.0, span: 512.0 }
        );
        assert_eq!(Viewport::whole(3).within(3).ranges(3), (0..3, 0..3));
    }

    #[test]
    fn only_what_is_close_is_read_again() {
        assert!(Viewport::whole(512).is_close(512));
        assert!(!Viewport::whole(513).is_close(513));
        let viewport = Viewport { query: 1_000_000.5, key: 999_900.0, span: 511.0 };
        assert_eq!(viewport.ranges(2_000_000), (1_000_000..1_000_512, 999_900..1_000_411));
        assert!(viewport.is_close(2_000_000));
        let request = viewport.request((3, 1), 2_000_000);
        assert_eq!((request.queries, request.pool), (1_000_000..1_000_512, 1));
    }

    #[test]
    fn farther_away_tiles_have_many_tokens_but_are_few() {
        for (tokens, span, pool) in
            [(4096, 4096.0, 8), (4096, 600.0, 2), (1 << 20, 1e6, 2048), (513, 513.0, 2)]
        {
            let viewport = Viewport { query: 3.0, key: 1.0, span }.within(tokens);
            let request = viewport.request((0, 0), tokens);
            assert_eq!(request.pool, pool);
            for range in [request.queries, request.keys] {
                assert!((range.end - range.start).div_ceil(pool) <= MOST_SIDE && range.end <= tokens);
                assert!(range.start.is_multiple_of(pool));
            }
            let moved = Viewport { query: viewport.query + 0.3, ..viewport }.within(tokens);
            assert_eq!(moved.pool(tokens), pool);
        }
    }
}
