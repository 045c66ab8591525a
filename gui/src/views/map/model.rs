//! What an attention map shows: the tiles of a window that was computed, and what is to be said of a pair.

use lm_infinite::attention_window::AttentionWindow;
use lm_infinite::policy::{AttentionPolicy, Region, region};

use super::overview::{Coarse, Share};
use super::viewport::{Scale, Tile, Viewport, places};

/// The tile of a pair in a window that was computed; `None` outside of it.
pub fn exact(window: &AttentionWindow, query: u64, key: u64, scale: Scale) -> Option<Tile> {
    let (logit, probability) = (window.logit(query, key)?, window.probability(query, key)?);
    Some(match scale {
        _ if key > query => Tile::Future,
        _ if logit == f32::NEG_INFINITY => Tile::Masked,
        _ if !logit.is_finite() || probability.is_nan() => Tile::NotFinite,
        Scale::Logit => Tile::Value(logit),
        _ => Tile::Value(scale.of_probability(probability)),
    })
}

/// Puts the tiles of a window over those of an overview of the same place.
pub fn refine(
    tiles: &mut [Tile],
    window: &AttentionWindow,
    viewport: Viewport,
    tokens: u64,
    size: usize,
    scale: Scale,
) {
    let keys = places(viewport.key, viewport.span, size, tokens);
    for (row, query) in places(viewport.query, viewport.span, size, tokens).into_iter().enumerate() {
        for (column, &key) in keys.iter().enumerate() {
            if let (Some(tile), Some(place)) =
                (exact(window, query, key, scale), tiles.get_mut(row * size + column))
            {
                *place = tile;
            }
        }
    }
}

/// Smallest and largest value.
pub fn extremes<'a>(tiles: impl Iterator<Item = &'a Tile>) -> Option<(f32, f32)> {
    tiles.fold(None, |seen, tile| match (tile, seen) {
        (&Tile::Value(value), None) => Some((value, value)),
        (&Tile::Value(value), Some((least, most))) => Some((least.min(value), most.max(value))),
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
            Region::Retrieved { .. } => "retrieved",
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
    fn constant_or_missing_values_make_no_error() {
        assert_eq!(extremes([Tile::Masked, Tile::Value(2.0), Tile::Value(2.0)].iter()), Some((2.0, 2.0)));
        assert_eq!(extremes([Tile::Future, Tile::NotFinite].iter()), None);
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
