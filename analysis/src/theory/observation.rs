//! Observation 1 (section 3; Kazemnejad et al. 2023, theorem 1): one causal attention layer without any position encoding
//! can write the absolute position into its output.
//!
//! **Construction.** The first token carries a mark, 1 in one coordinate; all others have 0 there. Query and key matrices
//! are 0, so all logits are 0 and attention is uniform over what is seen; the value matrix reads the mark. A query that
//! sees `n` keys, the first token among them, then writes `1/n`. Under a causal mask the query at `t` (from 1) sees `t`
//! keys and writes `1/t`. The differences `1/t − 1/(t+1)` fall like `1/t²`: the signal is strongest at the start, which is
//! why features of start tokens lie apart.
//!
//! **What masks do to it.** A sliding window of `W` keys drops the first token at `t = W + 1`: the output is 0 from there
//! on, the same at every position, and a value that a model trained on `L` tokens (outputs in `[1/L, 1]`) never saw. A Λ
//! mask of `s` start tokens and a window of `W` still sees the mark: it writes `1/t` up to `t = s + W` and `1/(s + W)` from
//! there on. Later positions are no longer told apart, but every output is one of those that the first `s + W` positions
//! have.

use ndarray::{Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Who sees whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mask {
    /// All keys up to the query.
    Causal,
    /// The last `W` keys, the query's own included.
    Window(u64),
    /// The first `start` keys and the last `window`.
    Lambda {
        /// Start tokens.
        start: u64,
        /// Recent keys, the query's own included.
        window: u64,
    },
}

/// One attention head without position encoding.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionHead {
    /// Query matrix. [model, head]
    pub query: Array2<f64>,
    /// Key matrix. [model, head]
    pub key: Array2<f64>,
    /// Value matrix. [model, values]
    pub value: Array2<f64>,
}

impl Mask {
    /// Whether the query at position `query` (from 0) sees the key at position `key`.
    pub fn sees(self, query: u64, key: u64) -> bool {
        let recent = |window: u64| key <= query && query - key < window;
        match self {
            Self::Causal => key <= query,
            Self::Window(window) => recent(window),
            Self::Lambda { start, window } => recent(window) || (key < start && key <= query),
        }
    }
}

impl AttentionHead {
    /// The head of Observation 1, on states whose first coordinate is the mark.
    pub fn position_writer(model: usize) -> Self {
        let mut value = Array2::zeros((model, 1));
        if let Some(mark) = value.first_mut() {
            *mark = 1.0;
        }
        Self { query: Array2::zeros((model, 1)), key: Array2::zeros((model, 1)), value }
    }

    /// Outputs for states of shape [tokens, model], as [tokens, values]. A query that sees nothing writes 0. Cost:
    /// tokens².
    pub fn apply(&self, states: ArrayView2<f64>, mask: Mask) -> Result<Array2<f64>> {
        let rows = [&self.query, &self.key, &self.value].map(|matrix| matrix.nrows());
        if rows != [states.ncols(); 3] || self.query.ncols() != self.key.ncols() {
            let expected = format!("matrices with {} rows, query and key of one width", states.ncols());
            return Err(Error::mismatch("attention head", expected, format!("rows {rows:?}")));
        }
        let (queries, keys, values) =
            (states.dot(&self.query), states.dot(&self.key), states.dot(&self.value));
        let scale = (self.query.ncols().max(1) as f64).sqrt().recip();
        let mut outputs = Array2::zeros(values.dim());
        for (i, (query, mut output)) in queries.rows().into_iter().zip(outputs.rows_mut()).enumerate() {
            let seen: Vec<usize> = (0..=i).filter(|&j| mask.sees(i as u64, j as u64)).collect();
            let logit = |&j: &usize| query.dot(&keys.row(j)) * scale;
            let largest = seen.iter().map(logit).fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = seen.iter().map(|j| (logit(j) - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for (&j, weight) in seen.iter().zip(weights) {
                output.scaled_add(weight / sum, &values.row(j));
            }
        }
        Ok(outputs)
    }
}

/// States of a text of `tokens` tokens: the mark in the first coordinate of the first, and `content` (one row a token) in
/// the others.
pub fn marked_states(content: ArrayView2<f64>) -> Array2<f64> {
    let (tokens, model) = content.dim();
    Array2::from_shape_fn((tokens, model + 1), |(token, coordinate)| match coordinate.checked_sub(1) {
        Some(coordinate) => content[[token, coordinate]],
        None => f64::from(u8::from(token == 0)),
    })
}

/// What the head of Observation 1 writes at every position of a text with this content, `[tokens]`.
pub fn written_positions(content: ArrayView2<f64>, mask: Mask) -> Result<Vec<f64>> {
    let states = marked_states(content);
    let outputs = AttentionHead::position_writer(states.ncols()).apply(states.view(), mask)?;
    Ok(outputs.column(0).to_vec())
}

/// Largest difference of outputs to `1/t`.
pub fn error_of_positions(outputs: ArrayView1<f64>) -> f64 {
    let error = |(i, &output): (usize, &f64)| (output - 1.0 / (i as f64 + 1.0)).abs();
    outputs.iter().enumerate().map(error).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    #[cfg(feature = "drift")]
    use crate::drift::{PositionProbe, ProbeRule};
    use crate::testing::{close, normal};

    const TOKENS: usize = 96;

    fn written(mask: Mask, seed: u64) -> Vec<f64> {
        written_positions(normal(TOKENS, 3, seed).mapv(f64::from).view(), mask).expect("fits")
    }

    #[test]
    fn observation_1_causal_attention_writes_the_position_whatever_the_text() {
        for seed in 0..3 {
            let outputs = written(Mask::Causal, seed);
            assert!(error_of_positions(ArrayView1::from(&outputs)) < 1e-15);
        }
    }

    #[test]
    fn observation_1_a_sliding_window_destroys_the_position() {
        let outputs = written(Mask::Window(32), 0);
        assert!(error_of_positions(ArrayView1::from(&outputs[..32])) < 1e-15);
        assert_eq!(outputs[32..], [0.0; TOKENS - 32]);
    }

    #[test]
    fn observation_1_a_lambda_mask_keeps_outputs_that_were_seen() {
        for start in [1, 4] {
            let outputs = written(Mask::Lambda { start, window: 32 }, 0);
            let keys = 32 + start as usize;
            assert!(error_of_positions(ArrayView1::from(&outputs[..keys])) < 1e-15);
            assert!(outputs[keys..].iter().all(|&output| close(output, 1.0 / keys as f64, 1e-15)));
        }
        // Without start tokens it is the window.
        assert_eq!(written(Mask::Lambda { start: 0, window: 32 }, 0), written(Mask::Window(32), 0));
    }

    #[cfg(feature = "drift")]
    #[test]
    fn observation_1_a_probe_reads_the_written_position_and_loses_it_under_a_window() {
        let r2 = |mask| {
            // A linear map cannot invert 1/t; powers of it make ln t nearly linear.
            let outputs = written(mask, 0);
            let states = Array2::from_shape_fn((TOKENS, 6), |(t, power)| {
                outputs[t].powf((power + 1) as f64 / 6.0) as f32
            });
            let mut probe =
                PositionProbe::new(6, ProbeRule { ridge: 1e-6, held_out_every: 4 }).expect("a rule");
            let later: Vec<u64> = (32..TOKENS as u64).collect();
            probe.push(0, &later, states.slice(ndarray::s![32.., ..])).expect("fits");
            probe.result().expect("states").r2.expect("held out")
        };
        assert!(r2(Mask::Causal) > 0.99);
        assert!(r2(Mask::Window(32)) <= 0.0);
    }

    #[test]
    fn masks_by_hand() {
        let row = |mask: Mask| (0..6).map(|key| mask.sees(4, key)).collect::<Vec<_>>();
        let seen = |keys: &[u64]| (0..6).map(|key| keys.contains(&key)).collect::<Vec<_>>();
        assert_eq!(row(Mask::Causal), seen(&[0, 1, 2, 3, 4]));
        assert_eq!(row(Mask::Window(2)), seen(&[3, 4]));
        assert_eq!(row(Mask::Lambda { start: 1, window: 2 }), seen(&[0, 3, 4]));
        assert_eq!(row(Mask::Window(0)), seen(&[]));
        assert!(!Mask::Lambda { start: 9, window: 2 }.sees(4, 5));
    }

    #[test]
    fn attention_with_logits_by_hand() {
        let head = AttentionHead { query: array![[1.0]], key: array![[1.0]], value: array![[1.0]] };
        let outputs = head.apply(array![[2.0], [3.0]].view(), Mask::Causal).expect("fits");
        let (a, b) = (6.0_f64.exp(), 9.0_f64.exp());
        assert!(
            close(outputs[[0, 0]], 2.0, 1e-15)
                && close(outputs[[1, 0]], (2.0 * a + 3.0 * b) / (a + b), 1e-12)
        );
        assert_eq!(head.apply(array![[2.0]].view(), Mask::Window(0)).expect("fits"), array![[0.0]]);
        assert!(head.apply(array![[2.0, 1.0]].view(), Mask::Causal).is_err());
        assert!(written_positions(Array2::zeros((0, 2)).view(), Mask::Causal).expect("fits").is_empty());
    }
}
