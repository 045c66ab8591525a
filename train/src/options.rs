//! What is trained, and how: everything that decides the result, as data. A checkpoint holds it, so that a run that is
//! resumed is the run that was started.

use serde::{Deserialize, Serialize};

use super::shape::{Shape, require};
use crate::error::Result;

/// Hyperparameters of the optimization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// The model.
    pub shape: Shape,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Segments per step.
    pub batch: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Learning rate at the end, as a part of the largest.
    pub final_rate: f64,
    /// Steps over which the learning rate rises from 0.
    pub warmup: u64,
    /// Decoupled weight decay (Loshchilov & Hutter 2019), on matrices only.
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// Largest norm of a step's gradient; larger ones are scaled down to it.
    pub clip: f64,
    /// Part of the segments that are retrieval documents.
    pub passkey: f64,
    /// Seed of initial weights and of the order of segments.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            steps: 1000,
            batch: 16,
            learning_rate: 3e-3,
            final_rate: 0.05,
            warmup: 300,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            clip: 1.0,
            passkey: 0.0,
            seed: 0,
        }
    }
}

impl TrainOptions {
    /// Refuses what cannot be trained.
    ///
    /// # Errors
    /// Names the option, what it must be and what it is.
    pub fn validate(&self) -> Result<()> {
        self.shape.validate()?;
        require((1..=1 << 16).contains(&self.batch), "--batch", "1 to 65536", &self.batch)?;
        require(self.steps > 0, "--steps", "at least 1", &self.steps)?;
        let rate = self.learning_rate;
        require(rate > 0.0 && rate < 1.0, "--learning-rate", "a number between 0 and 1", &rate)?;
        let decay = self.weight_decay;
        require((0.0..=10.0).contains(&decay), "--weight-decay", "a number from 0 to 10", &decay)?;
        require((0.0..=1.0).contains(&self.passkey), "--passkey", "a part from 0 to 1", &self.passkey)
    }

    /// Learning rate of step `step` (from 0): linear from 0 over `warmup` steps, then half a cosine down to
    /// `final_rate · learning_rate`.
    pub fn rate(&self, step: u64) -> f64 {
        let warm = (step + 1) as f64 / self.warmup.max(1) as f64;
        let left = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let done = (step.saturating_sub(self.warmup) as f64 / left).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.learning_rate * warm.min(1.0) * (self.final_rate + (1.0 - self.final_rate) * cosine)
    }

    /// Tokens of all steps.
    pub fn tokens(&self) -> u64 {
        self.steps * (self.batch * self.shape.length) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::{TrainFamily, TrainPosition};
    use super::*;

    #[test]
    fn the_rate_rises_falls_and_ends_at_its_part() {
        let options = TrainOptions { steps: 1100, warmup: 100, final_rate: 0.1, ..TrainOptions::default() };
        assert_eq!(options.rate(99), options.learning_rate);
        assert!((options.rate(49) - options.learning_rate / 2.0).abs() < 1e-12);
        assert!((options.rate(600) - options.learning_rate * 0.55).abs() < 1e-12);
        assert!((options.rate(1100) - options.learning_rate * 0.1).abs() < 1e-12);
    }

    #[test]
    fn shapes_that_cannot_be_are_named() {
        let refused = |change: fn(&mut TrainOptions)| {
            let mut options = TrainOptions::default();
            change(&mut options);
            options.validate().unwrap_err().to_string()
        };
        assert!(refused(|o| o.shape.heads = 3).contains("--heads"));
        assert!(refused(|o| o.shape.heads = 128).contains("even"));
        assert!(refused(|o| o.shape.kv_heads = 3).contains("--kv-heads"));
        assert!(refused(|o| o.shape.length = 1).contains("--length"));
        assert!(refused(|o| o.shape.rope_base = f64::NAN).contains("--rope-base"));
        assert!(refused(|o| o.shape.rope_base = 1.0).contains("--rope-base"));
        let alibi = refused(|o| (o.shape.position, o.shape.rope_base) = (TrainPosition::Alibi, 500.0));
        assert!(alibi.contains("--rope-base"), "{alibi}");
        assert!(refused(|o| o.learning_rate = f64::NAN).contains("--learning-rate"));
        assert!(refused(|o| o.passkey = 1.5).contains("--passkey"));
        TrainOptions::default().validate().unwrap();
    }

    #[test]
    fn what_a_family_has_not_is_named() {
        let refused = |family: TrainFamily, change: fn(&mut Shape)| {
            let position = family.position().unwrap_or(TrainPosition::Rope);
            let window = family.is_windowed().then_some(64);
            let mut shape = Shape { family, position, window, ..Shape::default() };
            if family == TrainFamily::Mpt {
                shape.intermediate = 4 * shape.hidden;
            }
            shape.validate().unwrap();
            change(&mut shape);
            shape.validate().unwrap_err().to_string()
        };
        let said = refused(TrainFamily::Gptj, |shape| shape.position = TrainPosition::Alibi);
        assert!(said.contains("--position") && said.contains("gptj") && said.contains("got alibi"), "{said}");
        assert!(refused(TrainFamily::Gptj, |shape| shape.rope_base = 500.0).contains("10000"));
        assert!(
            refused(TrainFamily::GptNeox, |shape| (shape.heads, shape.kv_heads) = (32, 32))
                .contains("a quarter")
        );
        assert!(refused(TrainFamily::GptNeox, |shape| shape.kv_heads = 2).contains("--kv-heads"));
        assert!(refused(TrainFamily::Mpt, |shape| shape.intermediate = 352).contains("--intermediate"));
        assert!(refused(TrainFamily::Mpt, |shape| shape.window = Some(64)).contains("--window"));
        assert!(refused(TrainFamily::Gemma2, |shape| shape.window = None).contains("--window"));
        assert!(refused(TrainFamily::Gemma2, |shape| shape.window = Some(0)).contains("--window"));
        assert!(refused(TrainFamily::GptOss, |shape| shape.window = Some(257)).contains("--window"));
        assert!(refused(TrainFamily::Gemma2, |shape| shape.closed_sinks = true).contains("--closed-sinks"));
    }
}
