//! What LM-Infinite guarantees, for any query and keys (section 4).
//!
//! The query at `i` sees the keys with `j < start` or `0 ≤ i − j < window`, and the position encoding is given
//! `min(i − j, window)` for a distance. Then, with no assumption about q, k or the encoding:
//!
//! * every distance that reaches the encoding is in `0..=window`, so a logit `w(q, k, ·)` lies between its own smallest and
//!   largest value over distances up to `window`: no logit is out of the range that a training length of `window` (and one
//!   token) has for that pair;
//! * at most `start + window` keys are seen, so the entropy is at most `ln(start + window)`.
//!
//! Either half alone fails: without the ceiling, start tokens have unbounded distances; without the mask, the entropy is
//! bounded by `ln(i + 1)` alone.

use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::encodings::Encoding;
use super::observation::Mask;
use crate::error::{Error, Result};

/// A mask, and a ceiling on distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Who sees whom.
    pub mask: Mask,
    /// Largest distance that the position encoding is given.
    pub ceiling: Option<u64>,
}

/// A key that a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenKey {
    /// Its position.
    pub position: u64,
    /// The distance that the position encoding is given.
    pub distance: u64,
    /// Its logit.
    pub logit: f64,
}

impl Attention {
    /// As the model was trained: causal, true distances.
    pub fn vanilla() -> Self {
        Self { mask: Mask::Causal, ceiling: None }
    }

    /// Λ mask, and a ceiling at the window.
    pub fn lm_infinite(start: u64, window: u64) -> Self {
        Self { mask: Mask::Lambda { start, window }, ceiling: Some(window) }
    }

    /// The row of a query behind all `keys`, [tokens, head_dim], the last of which has the position of the query.
    pub fn row(
        &self,
        encoding: &Encoding,
        query: ArrayView1<f64>,
        keys: ArrayView2<f64>,
    ) -> Result<Vec<SeenKey>> {
        let last = keys.nrows().checked_sub(1).ok_or(Error::NoData { operation: "attention row" })? as u64;
        let seen = keys.rows().into_iter().zip(0..).filter(|&(_, position)| self.mask.sees(last, position));
        seen.map(|(key, position)| {
            let distance = (last - position).min(self.ceiling.unwrap_or(u64::MAX));
            Ok(SeenKey { position, distance, logit: encoding.logit(query, key, distance)? })
        })
        .collect()
    }
}

/// How far the logits of a row lie outside the range that each key has over distances `0..=longest`: the largest excess
/// over keys, and at most 0 if there is none.
pub fn excess_over_trained(
    row: &[SeenKey],
    encoding: &Encoding,
    query: ArrayView1<f64>,
    keys: ArrayView2<f64>,
    longest: u64,
) -> Result<f64> {
    let mut most = f64::NEG_INFINITY;
    for seen in row {
        let key = keys.row(seen.position as usize);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for distance in 0..=longest {
            let logit = encoding.logit(query, key, distance)?;
            (low, high) = (low.min(logit), high.max(logit));
        }
        most = most.max(seen.logit - high).max(low - seen.logit);
    }
    Ok(most)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::RowEntropy;
    use crate::testing::normal;

    const DIM: usize = 4;

    fn encodings() -> impl Strategy<Value = Encoding> {
        prop_oneof![
            Just(Encoding::None),
            (0.01..2.0).prop_map(|slope| Encoding::Alibi { slope }),
            prop::collection::vec(-3.0..3.0, 2..9)
                .prop_map(|biases| Encoding::T5 { biases, max_distance: 16 }),
            (2.0..1e4).prop_map(|base| Encoding::Rope { base }),
        ]
    }

    fn vectors(tokens: usize) -> impl Strategy<Value = (Array2<f64>, Array2<f64>)> {
        let matrix = |rows| {
            prop::collection::vec(-5.0..5.0, rows * DIM)
                .prop_map(move |values| Array2::from_shape_vec((rows, DIM), values).expect("rows × DIM"))
        };
        (matrix(1), matrix(tokens))
    }

    fn entropy(row: &[SeenKey]) -> f64 {
        RowEntropy::of(row.iter().map(|seen| seen.logit)).expect("finite").entropy
    }

    proptest! {
        #[test]
        fn lm_infinite_keeps_logits_in_the_range_of_distances_up_to_the_window(
            encoding in encodings(),
            start in 0..6_u64,
            window in 1..12_u64,
            (query, keys) in (1..48_usize).prop_flat_map(vectors),
        ) {
            let row = Attention::lm_infinite(start, window).row(&encoding, query.row(0), keys.view()).expect("fits");
            prop_assert!(row.iter().all(|seen| seen.distance <= window));
            let excess = excess_over_trained(&row, &encoding, query.row(0), keys.view(), window).expect("fits");
            prop_assert!(excess <= 0.0, "{excess}");
        }

        #[test]
        fn lm_infinite_keeps_entropy_below_ln_of_start_and_window(
            encoding in encodings(),
            start in 0..6_u64,
            window in 1..12_u64,
            (query, keys) in (1..48_usize).prop_flat_map(vectors),
        ) {
            let row = Attention::lm_infinite(start, window).row(&encoding, query.row(0), keys.view()).expect("fits");
            prop_assert_eq!(row.len() as u64, (start + window).min(keys.nrows() as u64));
            prop_assert!(entropy(&row) <= ((start + window) as f64).ln() + 1e-12);
        }
    }

    /// The row of the last of 64 tokens, with 4 start tokens and a window of 8.
    fn last_row(attention: Attention, encoding: &Encoding, scale: f64) -> (Vec<SeenKey>, f64) {
        let vectors = normal(65, DIM, 6).mapv(|v| scale * f64::from(v));
        let (query, keys) = (vectors.row(0), vectors.slice(ndarray::s![1.., ..]));
        let row = attention.row(encoding, query, keys).expect("fits");
        let excess = excess_over_trained(&row, encoding, query, keys, 8).expect("fits");
        (row, excess)
    }

    #[test]
    fn a_lambda_mask_without_a_ceiling_leaves_the_range() {
        let mask = Mask::Lambda { start: 4, window: 8 };
        for encoding in [Encoding::Alibi { slope: 0.5 }, Encoding::Rope { base: 100.0 }] {
            assert!(last_row(Attention { mask, ceiling: None }, &encoding, 1.0).1 > 0.01);
            assert!(last_row(Attention { mask, ceiling: Some(8) }, &encoding, 1.0).1 <= 0.0);
        }
    }

    #[test]
    fn a_ceiling_without_a_mask_leaves_the_entropy_to_grow() {
        let attention = Attention { mask: Mask::Causal, ceiling: Some(8) };
        let (row, excess) = last_row(attention, &Encoding::Alibi { slope: 0.1 }, 0.1);
        assert!(excess <= 0.0 && entropy(&row) > 12.0_f64.ln(), "{}", entropy(&row));
        let (row, _) = last_row(Attention::lm_infinite(4, 8), &Encoding::Alibi { slope: 0.1 }, 0.1);
        assert!(row.len() == 12 && entropy(&row) <= 12.0_f64.ln());
    }

    #[test]
    fn a_start_token_inside_the_window_is_seen_once() {
        let keys = Array2::zeros((5, 2));
        let row = Attention::lm_infinite(3, 4).row(&Encoding::None, ArrayView1::from(&[0.0; 2]), keys.view());
        let row: Vec<_> = row.expect("fits").iter().map(|seen| (seen.position, seen.distance)).collect();
        assert_eq!(row, [(0, 4), (1, 3), (2, 2), (3, 1), (4, 0)]);
        let none = Array2::zeros((0, 2));
        assert!(Attention::vanilla().row(&Encoding::None, ArrayView1::from(&[0.0; 2]), none.view()).is_err());
    }
}
