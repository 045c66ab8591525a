//! What an attention map shows: a place in the text, cells, and what is to be said of a pair.

use std::ops::Range;

use lm_infinite::attention_window::{AttentionWindow, MOST_SIDE, WindowRequest};
use lm_infinite::policy::{AttentionPolicy, Region, region};

use super::overview::{Coarse, Share};

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

/// The square of the map that is on screen, in tokens: queries downwards, keys across, both at the same scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// First query, as a number with a fraction.
    pub query: f64,
    /// First key.
    pub key: f64,
    /// Tokens from side to side.
    pub span: f64,
}

impl Sight {
    /// All of a text.
    pub fn whole(tokens: u64) -> Self {
        Self { query: 0.0, key: 0.0, span: (tokens as f64).max(CLOSEST) }
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

    /// Whether every logit of it can be read again.
    pub fn is_close(self, tokens: u64) -> bool {
        self.pool(tokens) == 1
    }

    /// Tokens from side to side of one cell, so that there are not more cells than can be read again: a power of two.
    pub fn pool(self, tokens: u64) -> u64 {
        let fits = |&pool: &u64| {
            let (queries, keys) = self.cells(pool, tokens);
            [queries, keys].iter().all(|range| (range.end - range.start).div_ceil(pool) <= MOST_SIDE)
        };
        (0..63).map(|power| 1 << power).find(fits).unwrap_or(1 << 63)
    }

    /// What to read again of a head: what is in sight, in whole cells, so that a small move asks for the same.
    pub fn request(self, (layer, head): (usize, usize), tokens: u64) -> WindowRequest {
        let pool = self.pool(tokens);
        let (queries, keys) = self.cells(pool, tokens);
        WindowRequest { layer, head, queries, keys, pool }
    }

    /// Queries and keys in sight, in whole cells.
    fn cells(self, pool: u64, tokens: u64) -> (Range<u64>, Range<u64>) {
        let (queries, keys) = self.ranges(tokens);
        let whole = |range: Range<u64>| {
            range.start / pool * pool..range.end.div_ceil(pool).saturating_mul(pool).min(tokens)
        };
        (whole(queries), whole(keys))
    }
}

/// One cell of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
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

/// The cell of a pair in a window that was read again; `None` outside of it.
pub fn exact(window: &AttentionWindow, query: u64, key: u64, scale: Scale) -> Option<Cell> {
    let (logit, probability) = (window.logit(query, key)?, window.probability(query, key)?);
    Some(match scale {
        _ if key > query => Cell::Future,
        _ if logit == f32::NEG_INFINITY => Cell::Masked,
        _ if !logit.is_finite() || probability.is_nan() => Cell::NotFinite,
        Scale::Logit => Cell::Value(logit),
        _ => Cell::Value(scale.of_probability(probability)),
    })
}

/// Puts the cells of a window over those of an overview of the same place.
pub fn refine(
    cells: &mut [Cell],
    window: &AttentionWindow,
    sight: Sight,
    tokens: u64,
    size: usize,
    scale: Scale,
) {
    let keys = places(sight.key, sight.span, size, tokens);
    for (row, query) in places(sight.query, sight.span, size, tokens).into_iter().enumerate() {
        for (column, &key) in keys.iter().enumerate() {
            if let (Some(cell), Some(place)) =
                (exact(window, query, key, scale), cells.get_mut(row * size + column))
            {
                *place = cell;
            }
        }
    }
}

/// Tokens at the middles of `size` equal parts.
pub(super) fn places(from: f64, span: f64, size: usize, tokens: u64) -> Vec<u64> {
    let at = |part: usize| (from + span * (part as f64 + 0.5) / size as f64) as u64;
    (0..size).map(|part| at(part).min(tokens.saturating_sub(1))).collect()
}

/// Smallest and largest value.
pub fn extremes<'a>(cells: impl Iterator<Item = &'a Cell>) -> Option<(f32, f32)> {
    cells.fold(None, |seen, cell| match (cell, seen) {
        (&Cell::Value(value), None) => Some((value, value)),
        (&Cell::Value(value), Some((least, most))) => Some((least.min(value), most.max(value))),
        _ => seen,
    })
}

/// What is told of one pair under one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Where the key stands for the query.
    pub region: &'static str,
    /// The distance that the position encoding is given, where it is given one.
    pub effective_distance: Option<u64>,
    /// In words.
    pub logit: String,
    /// In words.
    pub probability: String,
}

impl Reading {
    /// From the window where it has the pair, else from the overview.
    pub fn new(
        policy: &AttentionPolicy,
        (query, key): (u64, u64),
        window: Option<&AttentionWindow>,
        coarse: Option<Coarse>,
    ) -> Self {
        let region = region(query, key, policy);
        let exact = window.and_then(|window| {
            Some((window.logit(query, key)?, window.probability(query, key)?, window.request.pool))
        });
        let (logit, probability) = match (region, exact, coarse) {
            (Region::Future | Region::Masked, ..) => ("–".to_owned(), "0".to_owned()),
            (_, Some((f32::NEG_INFINITY, ..)), _) => ("–".to_owned(), "0 (not chosen)".to_owned()),
            (_, Some((logit, probability, 1)), _) => (format!("{logit:.3}"), probability_words(probability)),
            (_, Some((logit, probability, pool)), _) => (
                format!("at most {logit:.2} (of {pool} × {pool} tokens)"),
                format!("at most {}", probability_words(probability)),
            ),
            (_, None, Some(Coarse { logit: f32::NEG_INFINITY, place, .. })) => {
                (format!("– ({place}: none attended)"), "0".to_owned())
            }
            (_, None, Some(coarse)) if coarse.logit.is_nan() => {
                (format!("not a number ({})", coarse.place), "not a number".to_owned())
            }
            (_, None, Some(coarse)) => (
                format!("at most {:.2} ({})", coarse.logit, coarse.place),
                match coarse.probability {
                    Share::Largest(probability) => format!("at most {}", probability_words(probability)),
                    Share::Together(mass) => format!("{} together", probability_words(mass)),
                },
            ),
            (_, None, None) => ("not read".to_owned(), "not read".to_owned()),
        };
        let name = match region {
            Region::Future => "future",
            Region::Masked => "masked",
            Region::Start { .. } => "start",
            Region::Middle { .. } => "middle",
            Region::Recent { .. } => "recent",
        };
        Self { region: name, effective_distance: region.distance(), logit, probability }
    }
}

fn probability_words(probability: f32) -> String {
    if probability.is_nan() {
        "not a number".to_owned()
    } else if probability < 1e-3 && probability > 0.0 {
        format!("{probability:.1e}")
    } else {
        format!("{probability:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_leaves_the_point_where_it_is_and_stays_in_the_text() {
        let sight = Sight::whole(4096);
        let nearer = sight.zoomed(4.0, (0.25, 0.75), 4096);
        assert_eq!(nearer, Sight { query: 2304.0, key: 768.0, span: 1024.0 });
        let at = |sight: Sight| (sight.key + 0.25 * sight.span, sight.query + 0.75 * sight.span);
        assert_eq!(at(nearer), at(sight));
        assert_eq!(nearer.zoomed(0.001, (0.5, 0.5), 4096), sight);
        assert_eq!(nearer.zoomed(1e9, (0.0, 0.0), 4096).span, CLOSEST);
        assert_eq!(nearer.moved(-9.0, 9.0, 4096), Sight { query: 3072.0, key: 0.0, span: 1024.0 });
        assert_eq!(
            Sight::around(4095, 512.0, 4096).within(4096),
            Sight { query: 3584.0, key: 3584.0, span: 512.0 }
        );
        assert_eq!(Sight::whole(3).within(3).ranges(3), (0..3, 0..3));
    }

    #[test]
    fn only_what_is_close_is_read_again() {
        assert!(Sight::whole(512).is_close(512));
        assert!(!Sight::whole(513).is_close(513));
        let sight = Sight { query: 1_000_000.5, key: 999_900.0, span: 511.0 };
        assert_eq!(sight.ranges(2_000_000), (1_000_000..1_000_512, 999_900..1_000_411));
        assert!(sight.is_close(2_000_000));
        let request = sight.request((3, 1), 2_000_000);
        assert_eq!((request.queries, request.pool), (1_000_000..1_000_512, 1));
    }

    #[test]
    fn farther_away_cells_have_many_tokens_but_are_few() {
        for (tokens, span, pool) in
            [(4096, 4096.0, 8), (4096, 600.0, 2), (1 << 20, 1e6, 2048), (513, 513.0, 2)]
        {
            let sight = Sight { query: 3.0, key: 1.0, span }.within(tokens);
            let request = sight.request((0, 0), tokens);
            assert_eq!(request.pool, pool);
            for range in [request.queries, request.keys] {
                assert!((range.end - range.start).div_ceil(pool) <= MOST_SIDE && range.end <= tokens);
                assert!(range.start.is_multiple_of(pool));
            }
            let moved = Sight { query: sight.query + 0.3, ..sight }.within(tokens);
            assert_eq!(moved.pool(tokens), pool);
        }
    }

    #[test]
    fn constant_or_missing_values_make_no_error() {
        assert_eq!(extremes([Cell::Masked, Cell::Value(2.0), Cell::Value(2.0)].iter()), Some((2.0, 2.0)));
        assert_eq!(extremes([Cell::Future, Cell::NotFinite].iter()), None);
        assert_eq!((Scale::Logit.ends(None), Scale::Logit.ends(Some((2.0, 2.0)))), ((0.0, 1.0), (2.0, 2.0)));
        assert_eq!(Scale::LogProbability.of_probability(0.0), f32::MIN_POSITIVE.log10());
    }

    #[test]
    fn readings_tell_region_distance_and_where_a_number_is_from() {
        let policy =
            AttentionPolicy { start: 10, window: Some(64), ceiling: Some(64), ..AttentionPolicy::default() };
        let coarse = |logit, probability| Coarse { logit, probability, place: "there".to_owned() };
        let sampled = coarse(2.5, Share::Together(0.25));
        let reading = Reading::new(&policy, (120, 3), None, Some(sampled.clone()));
        assert_eq!((reading.region, reading.effective_distance), ("start", Some(64)));
        assert_eq!(reading.logit, "at most 2.50 (there)");
        assert_eq!(reading.probability, "0.2500 together");
        let pooled = Reading::new(&policy, (120, 3), None, Some(coarse(2.5, Share::Largest(0.25))));
        assert_eq!(pooled.probability, "at most 0.2500");
        let told = |coarse| {
            let Reading { logit, probability, .. } = Reading::new(&policy, (120, 3), None, Some(coarse));
            (logit, probability)
        };
        let words = |logit: &str, probability: &str| (logit.to_owned(), probability.to_owned());
        let none = told(coarse(f32::NEG_INFINITY, Share::Largest(0.0)));
        assert_eq!(none, words("– (there: none attended)", "0"));
        let nan = told(coarse(f32::NAN, Share::Largest(f32::NAN)));
        assert_eq!(nan, words("not a number (there)", "not a number"));
        let masked = Reading::new(&policy, (120, 20), None, Some(sampled));
        assert_eq!(
            (masked.region, masked.effective_distance, masked.probability.as_str()),
            ("masked", None, "0")
        );
        let recent = Reading::new(&policy, (120, 100), None, None);
        assert_eq!(
            (recent.region, recent.effective_distance, recent.logit.as_str()),
            ("recent", Some(20), "not read")
        );
        assert_eq!(Reading::new(&policy, (1, 2), None, None).region, "future");
    }
}
