//! The keys that a token gives most of its attention.

use lm_infinite::attention_window::AttentionWindow;

/// So many keys are told.
pub const TOLD: usize = 8;

/// A key with its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Its position.
    pub position: u64,
    /// Of all keys that the query attends to.
    pub probability: f32,
}

/// The keys that the one query of a window gives most.
pub fn of_row(window: &AttentionWindow) -> Vec<Key> {
    let query = window.request.queries.start;
    let probability = |position| Some(Key { position, probability: window.probability(query, position)? });
    most((0..=query).filter_map(probability))
}

/// The keys with most, the largest first; none that is not attended to, or is no number.
fn most(keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut most: Vec<Key> = Vec::with_capacity(TOLD + 1);
    for key in keys.filter(|key| key.probability > 0.0) {
        let at = most.partition_point(|other| other.probability >= key.probability);
        if at < TOLD {
            most.insert(at, key);
            most.truncate(TOLD);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_told_in_their_order() {
        let key = |position: u64| Key { position, probability: ((position * 37) % 101) as f32 / 101.0 };
        let found = most((0..101).map(key));
        assert_eq!(found.len(), TOLD);
        assert!(found.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
        assert_eq!(found[0].probability, 100.0 / 101.0);
        let nothing = [f32::NAN, 0.0].map(|probability| Key { position: 0, probability });
        assert!(most(nothing.into_iter()).is_empty());
    }
}
