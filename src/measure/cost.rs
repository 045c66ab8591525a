//! What reading will cost on this machine, before it is done: measured on a few passes over the beginning of a text.
//!
//! A pass over the weights costs the same for any number of tokens, a token a number of multiplications that does not depend on
//! where it stands, and every key that it attends to the same again and again. Three passes tell them apart: a few tokens,
//! more of them, and as many behind keys that were put into the cache without being read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::session::{Decoder, Session};

use crate::diagnose::Collector;
use crate::error::{Error, Result};
use crate::evaluate::ReferenceWindows;
use crate::reference_bias::{self, ReferenceBias};

/// Tokens of a pass, and of one where even that takes seconds.
const PASS: usize = 256;
const SHORT_PASS: usize = 64;
/// Tokens that tell which, and that bring the weights into memory.
const FIRST: usize = 8;
/// Tokens of a pass that shows what a pass costs by itself.
const FEW: usize = 16;
/// Tokens of a pass where a text is read: what a session takes at once.
const WHOLE: f64 = 512.0;
/// What the first tokens may take for long passes.
const QUICK: Duration = Duration::from_millis(250);
/// Keys before the second pass, at most.
const KEYS: u64 = 4096;
/// Queries at which attended keys are counted.
const COUNTED: u64 = 2048;

/// Seconds that reading with the probes of a diagnosis costs.
#[derive(Clone, Debug)]
pub struct ReadingCost {
    /// Of a token without its attention.
    per_token: f64,
    /// Of a pair of query and key in every layer.
    per_pair: f64,
    config: ModelConfig,
}

impl ReadingCost {
    /// Measures on the first of `tokens`, for texts of up to `farthest` tokens. Takes about as long as reading 200 tokens, of a
    /// quick model 600.
    ///
    /// # Errors
    /// Fewer than 88 tokens; as [`Session::score`].
    pub fn measure(decoder: &Arc<Decoder>, tokens: &[u32], farthest: u64) -> Result<Self> {
        let begin = FIRST + FEW;
        if tokens.len() < begin + SHORT_PASS {
            return Err(Error::input(
                "text",
                format!("{} tokens are too few to measure a speed", tokens.len()),
            ));
        }
        let config = decoder.config().clone();
        let mut session = Session::new(decoder.clone(), AttentionPolicy::default())?;
        let first = timed(&mut session, &tokens[..FIRST])?;
        let few = timed(&mut session, &tokens[FIRST..begin])?.as_secs_f64();
        let pass = if first < QUICK { PASS.min(tokens.len() - begin) } else { SHORT_PASS };
        let text = &tokens[begin..begin + pass];
        let near = timed(&mut session, text)?.as_secs_f64();
        let read = (begin + pass) as u64;
        let keys = KEYS.min(farthest.saturating_sub(read));
        let per_pair = match session.passage(0..read) {
            // Keys of learned positions cannot be put elsewhere.
            Ok(passage) if keys >= read && config.most_tokens().is_none() => {
                while session.position() < keys {
                    session.append(&passage, 0..passage.len())?;
                }
                let before = session.position();
                let far = timed(&mut session, text)?.as_secs_f64();
                ((far - near) / (pass as f64 * (before - begin as u64) as f64)).max(0.0)
            }
            // Nothing is far, or layers with windows of their own hold too little: all keys are as near.
            _ => 0.0,
        };
        let own = pass as f64 * (begin as f64 + pass as f64 / 2.0) * per_pair;
        let near = (near - own).max(0.0);
        // A pass cannot cost less by itself than nothing, nor more than the small one did.
        let per_token = ((near - few) / (pass - FEW) as f64).clamp(0.0, near / pass as f64);
        let by_itself = (near - per_token * pass as f64).clamp(0.0, few);
        Ok(Self { per_token: per_token + by_itself / WHOLE, per_pair, config })
    }

    /// Of a run over `tokens` tokens under `policy`.
    pub fn of_run(&self, policy: &AttentionPolicy, tokens: u64) -> Duration {
        let step = tokens.div_ceil(COUNTED).max(1);
        let layers: Vec<AttentionPolicy> =
            (0..self.config.layers).map(|layer| self.config.policy_at(policy, layer)).collect();
        let counted = (0..tokens).step_by(step as usize);
        let pairs: f64 = counted
            .map(|query| layers.iter().map(|layer| layer.attended_keys(query) as f64).sum::<f64>())
            .sum::<f64>()
            * step as f64
            / self.config.layers.max(1) as f64;
        self.seconds(tokens as f64, pairs)
    }

    /// Of the reference of a text of `tokens` tokens; where the model's own attention is `read` anyway, of all windows but the
    /// first.
    pub fn of_reference(&self, windows: ReferenceWindows, tokens: u64, read: bool) -> Duration {
        let length = windows.length.min(tokens);
        let more = tokens.saturating_sub(length).div_ceil(windows.stride.max(1));
        let bias = if ReferenceBias::is_measured(windows, tokens) { reference_bias::WINDOWS } else { 0 };
        let count = (u64::from(!read) + more + bias) as f64;
        self.seconds(count * length as f64, count * (length as f64).powi(2) / 2.0)
    }

    fn seconds(&self, tokens: f64, pairs: f64) -> Duration {
        let seconds = tokens * self.per_token + pairs * self.per_pair;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

fn timed(session: &mut Session, tokens: &[u32]) -> Result<Duration> {
    let mut collector = Collector::new(session.decoder().config(), session.position() + tokens.len() as u64);
    let start = Instant::now();
    session.score(tokens, Some(&mut collector))?;
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(per_token: f64, per_pair: f64, windows: Vec<Option<u64>>) -> ReadingCost {
        let (mut config, _) = crate::calibrate::random_model(0, 97).expect("a model");
        config.sliding_windows = windows;
        ReadingCost { per_token, per_pair, config }
    }

    fn close(got: Duration, want: f64) {
        assert!((got.as_secs_f64() / want - 1.0).abs() < 1e-3, "{got:?} for {want} s");
    }

    #[test]
    fn runs_cost_their_tokens_and_pairs() {
        let vanilla = AttentionPolicy::default();
        let window = AttentionPolicy { window: Some(100), ..Default::default() };
        let cost = |windows| cost(1e-3, 1e-6, windows);
        close(cost(vec![]).of_run(&vanilla, 10_000), 10.0 + 50.005);
        close(cost(vec![]).of_run(&window, 10_000), 10.0 + 0.995_05);
        close(cost(vec![Some(100); 3]).of_run(&vanilla, 10_000), 10.0 + 0.995_05);
        close(
            cost(vec![Some(100), None, None]).of_run(&vanilla, 10_000),
            10.0 + (2.0 * 50.005 + 0.995) / 3.0,
        );
        let windows = ReferenceWindows { length: 1000, stride: 500 };
        close(cost(vec![]).of_reference(windows, 1100, false), 2.0 + 2.0 * 0.5);
        // And two more, which say what so coarse a reference misses.
        close(cost(vec![]).of_reference(windows, 2000, false), 5.0 + 5.0 * 0.5);
        close(cost(vec![]).of_reference(windows, 400, false), 0.4 + 0.08);
        close(cost(vec![]).of_reference(windows, 2000, true), 4.0 + 4.0 * 0.5);
        assert_eq!(cost(vec![]).of_run(&vanilla, 0), Duration::ZERO);
    }

    #[test]
    fn a_measured_cost_is_positive_and_a_short_text_is_refused() {
        let (config, weights) = crate::calibrate::random_model(0, 97).expect("a model");
        let decoder = Arc::new(Decoder::new(config, weights).expect("a model"));
        let tokens: Vec<u32> = (0..300).map(|at| at * 7 % 97).collect();
        let cost = ReadingCost::measure(&decoder, &tokens, 2000).expect("a cost");
        assert!(cost.of_run(&AttentionPolicy::default(), 1000) > Duration::ZERO);
        assert!(ReadingCost::measure(&decoder, &tokens[..87], 2000).is_err());
    }
}
