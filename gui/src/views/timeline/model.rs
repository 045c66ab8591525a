//! What the strips of the timeline show: losses over the text, and one row of attention over its keys.

use lm_infinite::diagnose::{Diagnosis, Head, RunMeasurement};

use crate::views::map::overview::Overview;
use crate::views::map::viewport::{Scale, Tile};

/// Columns of a strip, at most: a screen has hardly more that can be told apart.
pub const COLUMNS: u64 = 768;

/// Columns of a text.
pub fn columns(tokens: u64) -> u64 {
    tokens.clamp(1, COLUMNS)
}

/// The first token of a column.
fn begin(column: u64, columns: u64, tokens: u64) -> u64 {
    (u128::from(column) * u128::from(tokens) / u128::from(columns.max(1))) as u64
}

/// What a column of losses has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Not read yet.
    Unread,
    /// A loss is not finite.
    NotFinite,
    /// Mean, in nats: of one policy, or of one less that of another.
    Nats(f32),
}

/// Mean losses under `first` less those under `second`, or of `first` alone, column by column. The first token of a text has none.
pub fn losses(first: &[f32], second: Option<&[f32]>, tokens: u64) -> Vec<Loss> {
    let columns = columns(tokens);
    let read = second.map_or(first.len(), |second| second.len().min(first.len()));
    let column = |column: u64| {
        let of = |at: u64| (at.saturating_sub(1) as usize).min(read);
        let range = of(begin(column, columns, tokens))..of(begin(column + 1, columns, tokens));
        if range.is_empty() {
            // The first column of a short text has the token without a loss alone.
            return Loss::Unread;
        }
        let mean = |values: &[f32]| {
            values[range.clone()].iter().map(|&nll| f64::from(nll)).sum::<f64>() / range.len() as f64
        };
        let nats = mean(first) - second.map_or(0.0, mean);
        if nats.is_finite() { Loss::Nats(nats as f32) } else { Loss::NotFinite }
    };
    (0..columns).map(column).collect()
}

/// Attention of `query` on the keys of every column, as the overview of the run has it.
pub fn row(diagnosis: &Diagnosis, run: &RunMeasurement, head: Head, query: u64) -> Vec<Tile> {
    let overview = Overview { bins: &diagnosis.bins, run, head };
    let columns = columns(diagnosis.tokens);
    let middle = |column: u64| {
        let (from, to) =
            (begin(column, columns, diagnosis.tokens), begin(column + 1, columns, diagnosis.tokens));
        from + (to - from) / 2
    };
    let keys: Vec<_> = (0..columns).map(middle).collect();
    overview.keys_of(query, &keys, Scale::LogProbability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_in_one_column() {
        for tokens in [1, 2, 700, 768, 4096, 1_000_003, u64::MAX] {
            let columns = columns(tokens);
            assert_eq!((begin(0, columns, tokens), begin(columns, columns, tokens)), (0, tokens));
            assert!(
                (0..columns).all(|at| begin(at, columns, tokens) < begin(at + 1, columns, tokens)),
                "{tokens}"
            );
        }
    }

    #[test]
    fn losses_are_means_of_their_columns() {
        // Token 0 has no loss; every loss of A is its position, those of B are 1.
        let a: Vec<f32> = (1..1536).map(|at| at as f32).collect();
        let b = vec![1.0; 1000];
        let alone = losses(&a, None, 1536);
        assert_eq!((alone[0], alone[1], alone[767]), (Loss::Nats(1.0), Loss::Nats(2.5), Loss::Nats(1534.5)));
        let both = losses(&a, Some(&b), 1536);
        assert_eq!((both[1], both[499], both[501]), (Loss::Nats(1.5), Loss::Nats(997.5), Loss::Unread));
        let mut broken = a.clone();
        broken[1] = f32::NAN;
        assert_eq!(losses(&broken, None, 1536)[1], Loss::NotFinite);
        assert_eq!(losses(&[], None, 1), [Loss::Unread]);
    }
}
