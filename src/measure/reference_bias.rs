//! What the shorter context of a coarse reference does to its losses.
//!
//! Where windows an eighth of the training length apart would cost too much, they are a quarter or a half of it apart
//! ([`ReferenceWindows::of`]), so that their tokens have as few as half of the training length before them. Most models read
//! a text the better the more of it they have seen: such a reference costs more than the model need pay, and what is held
//! against it seems to fail by less than it does. A few more windows, evenly far along the text, say by how much: the last
//! eighth of each has nearly as much context as training allows.

use std::sync::Arc;

use lm_infinite_analysis::effect::MeanEffect;
use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::session::{Decoder, Session};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::evaluate::{PIECE, ReferenceWindows};
use crate::error::Result;
use crate::words::grouped;

/// Windows that are read.
pub const WINDOWS: u64 = 2;
/// Part of a window whose tokens are compared: the last eighth.
const COMPARED: u64 = 8;
/// Seed of the interval.
const SEED: u64 = 0;

/// By how much the tokens of a coarse reference cost more than with nearly as much context as training allows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceBias {
    /// Mean over the compared tokens, in nats, with its 95 % interval.
    pub effect: MeanEffect,
    /// Windows that were read for it.
    pub windows: u64,
    /// Fewest tokens before a compared one in them.
    pub least_context: u64,
}

impl ReferenceBias {
    /// The bias of `reference`, the losses of tokens 1..n of `tokens` as
    /// [`evaluate_in_segments`](super::evaluate::evaluate_in_segments) gives them, behind `bos` where the model was trained with
    /// one. `None` where `windows` are fine, where the text has no room for as many others, or where a loss is not finite.
    ///
    /// # Errors
    /// As [`Session::new`] and [`Session::score`].
    pub fn measure(
        decoder: &Arc<Decoder>,
        tokens: &[u32],
        bos: Option<u32>,
        windows: ReferenceWindows,
        reference: &[f32],
    ) -> Result<Option<Self>> {
        let ends = ends(windows, tokens.len() as u64);
        let compared = windows.length / COMPARED;
        let of = |&end: &u64| -> Result<Vec<f64>> {
            let (begin, end) = ((end + u64::from(bos.is_some()) - windows.length) as usize, end as usize);
            let window: Vec<u32> = bos.into_iter().chain(tokens[begin..end].iter().copied()).collect();
            let mut session = Session::new(decoder.clone(), AttentionPolicy::default())?;
            let mut losses = Vec::with_capacity(window.len());
            for piece in window.chunks(PIECE) {
                losses.extend(session.score(piece, None)?.nll);
            }
            let fine = &losses[losses.len() - compared as usize..];
            // The loss of token t stands at t − 1.
            let coarse = &reference[end - 1 - compared as usize..end - 1];
            Ok(coarse.iter().zip(fine).map(|(coarse, fine)| f64::from(coarse - fine)).collect())
        };
        let differences = ends.par_iter().map(of).collect::<Result<Vec<_>>>()?.concat();
        let least_context = windows.length - compared;
        let bias = MeanEffect::of(&differences, SEED);
        Ok(bias.map(|effect| Self { effect, windows: ends.len() as u64, least_context }))
    }

    /// Whether it is measured for a text of `tokens` tokens.
    pub(crate) fn is_measured(windows: ReferenceWindows, tokens: u64) -> bool {
        !ends(windows, tokens).is_empty()
    }

    /// In words.
    pub fn words(&self) -> String {
        let MeanEffect { mean, low, high, n, .. } = self.effect;
        let (sign, less, more) = if mean < 0.0 { (-1.0, "more", "less") } else { (1.0, "less", "more") };
        let (low, high) = if mean < 0.0 { (-high, -low) } else { (low, high) };
        let so = if low > 0.0 {
            format!("so losses rise by about as much {more} than is said")
        } else {
            "which may be nothing".to_owned()
        };
        format!(
            "with at least {} tokens before it, a token costs {:.3} nats {less} ({low:.3} to {high:.3}, n = {}), {so}",
            grouped(self.least_context),
            sign * mean,
            grouped(n as u64),
        )
    }
}

/// Where the windows end: such that their compared tokens lie evenly behind the training length. None of a reference that is fine.
fn ends(windows: ReferenceWindows, tokens: u64) -> Vec<u64> {
    let ReferenceWindows { length, stride } = windows;
    let (compared, behind) = (length / COMPARED, tokens.saturating_sub(length));
    if stride <= compared || behind / WINDOWS < compared {
        return Vec::new();
    }
    (0..WINDOWS).map(|at| length + behind * (2 * at + 1) / (2 * WINDOWS) + compared / 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::evaluate_in_segments;

    #[test]
    fn windows_lie_behind_the_training_length_and_within_the_text() {
        let coarse = ReferenceWindows { length: 8192, stride: 4096 };
        assert_eq!(ends(coarse, 12_288), [9_728, 11_776]);
        for tokens in [0, 8192, 9000, 10_239] {
            assert_eq!(ends(coarse, tokens), [0; 0], "{tokens}");
        }
        for tokens in [10_240, 11_000, 100_000] {
            let ends = ends(coarse, tokens);
            assert!(ends.iter().all(|&end| end - 1024 >= 8192 && end <= tokens), "{ends:?} of {tokens}");
        }
        assert_eq!(ends(ReferenceWindows { length: 8192, stride: 1024 }, 100_000), [0; 0]);
    }

    #[test]
    fn the_bias_is_what_a_fine_reference_costs_less() {
        let loaded = lm_infinite_runtime::checkpoint::load(
            "tiny-rope",
            &lm_infinite_runtime::hub::Cache::open().expect("a folder"),
        )
        .expect("it");
        let text = lm_infinite_runtime::text::EMBEDDED_TEXT;
        let tokens =
            &loaded.tokenizer.encode(&text[..text.floor_char_boundary(20_000)]).expect("tokens")[..2000];
        let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a whole model"));
        for bos in [None, Some(1)] {
            let read = |stride| {
                let windows = ReferenceWindows { length: 256, stride };
                (windows, evaluate_in_segments(&decoder, tokens, bos, windows, &|_| ()).expect("runs"))
            };
            let (coarse, losses) = read(128);
            let bias = ReferenceBias::measure(&decoder, tokens, bos, coarse, &losses)
                .expect("runs")
                .expect("coarse");
            assert_eq!((bias.effect.n, bias.windows, bias.least_context), (64, 2, 224));
            // The same tokens in a reference of windows that end where these do, an eighth apart.
            let ends = ends(coarse, 2000);
            let mut expected = Vec::new();
            for end in ends {
                let begin = (end - 256 + u64::from(bos.is_some())) as usize;
                let window: Vec<u32> =
                    bos.into_iter().chain(tokens[begin..end as usize].iter().copied()).collect();
                let mut session = Session::new(decoder.clone(), AttentionPolicy::default()).expect("it");
                let fine = session.score(&window, None).expect("runs").nll;
                for token in end as usize - 32..end as usize {
                    let fine = fine[fine.len() - (end as usize - token)];
                    expected.push(f64::from(losses[token - 1] - fine));
                }
            }
            let mean = expected.iter().sum::<f64>() / expected.len() as f64;
            assert!((bias.effect.mean - mean).abs() < 1e-9, "{bias:?} {mean}");
            // Nothing is to be said of a fine one.
            let (fine, losses) = read(32);
            assert_eq!(ReferenceBias::measure(&decoder, tokens, bos, fine, &losses).expect("runs"), None);
            // A loss that is not finite has no bias.
            let lost = vec![f32::NAN; 1999];
            assert_eq!(ReferenceBias::measure(&decoder, tokens, bos, coarse, &lost).expect("runs"), None);
        }
    }

    #[test]
    fn the_words_say_which_way_it_goes() {
        let words = |mean, low, high| {
            let effect = MeanEffect { mean, low, high, n: 2048, block: 1 };
            ReferenceBias { effect, windows: 2, least_context: 7168 }.words()
        };
        assert_eq!(
            words(0.02, 0.01, 0.03),
            "with at least 7,168 tokens before it, a token costs 0.020 nats less (0.010 to 0.030, n = 2,048), so losses rise by \
             about as much more than is said"
        );
        assert!(words(-0.02, -0.03, -0.01).contains("0.020 nats more (0.010 to 0.030"));
        assert!(words(-0.02, -0.03, -0.01).ends_with("about as much less than is said"));
        assert!(words(-0.02, -0.03, 0.01).ends_with("(-0.010 to 0.030, n = 2,048), which may be nothing"));
        assert!(words(0.0, -0.01, 0.01).ends_with("which may be nothing"));
    }
}
