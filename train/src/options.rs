//! What is trained, and how: everything that decides the result, as data. A checkpoint holds it, so that a run that is
//! resumed is the run that was started.

use lm_infinite_runtime::Error;
use lm_infinite_runtime::model::config::{
    Mlp, ModelConfig, Multipliers, Norm, PositionConfig, Residual, RopeLayout, SoftCaps,
};
use lm_infinite_runtime::policy::PositionScaling;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Position encoding of a model to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainPosition {
    /// Rotary, over whole heads, with [`Shape::rope_base`].
    Rope,
    /// Attention with linear biases.
    Alibi,
    /// No position encoding.
    None,
}

/// Shape of a model to train: a Llama-like decoder with tied embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// How positions enter attention.
    pub position: TrainPosition,
    /// Base of the rotary frequencies `base^(−2j/d)` (Su et al. 2021); without meaning for other encodings.
    #[serde(default = "rope_base")]
    pub rope_base: f64,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads; each `hidden / heads` wide.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Width of the MLP's inner layer.
    pub intermediate: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// L_pretrain: tokens of a training segment, its BOS included.
    pub length: usize,
}

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

impl Default for Shape {
    fn default() -> Self {
        Self {
            position: TrainPosition::Rope,
            rope_base: rope_base(),
            hidden: 128,
            layers: 6,
            heads: 4,
            kv_heads: 4,
            intermediate: 352,
            vocabulary: 1024,
            length: 256,
        }
    }
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

/// That of the RoPE paper, and of checkpoints of trainings that knew no other.
fn rope_base() -> f64 {
    10_000.0
}

impl Shape {
    /// The decoder of this shape.
    pub fn config(&self) -> ModelConfig {
        let head_dim = self.hidden / self.heads;
        ModelConfig {
            architecture: "llama".into(),
            vocabulary: self.vocabulary,
            hidden: self.hidden,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim,
            intermediate: self.intermediate,
            norm: Norm::Rms { epsilon: 1e-5 },
            mlp: Mlp::SwiGlu,
            residual: Residual::Sequential,
            clip_qkv: None,
            query_key_norm: false,
            layer_positions: Vec::new(),
            multipliers: Multipliers::default(),
            learned_sinks: false,
            experts: None,
            soft_caps: SoftCaps::default(),
            position: match self.position {
                TrainPosition::Rope => PositionConfig::Rope {
                    theta: self.rope_base,
                    dim: head_dim,
                    layout: RopeLayout::HalfSplit,
                    scaling: PositionScaling::None,
                    long_rope: None,
                },
                TrainPosition::Alibi => PositionConfig::ALIBI,
                TrainPosition::None => PositionConfig::None,
            },
            tied_embeddings: true,
            trained_length: self.length as u64,
            sliding_windows: Vec::new(),
            kv: lm_infinite_runtime::model::KvType::default(),
        }
    }
}

impl TrainOptions {
    /// Refuses what cannot be trained.
    ///
    /// # Errors
    /// Names the option, what it must be and what it is.
    pub fn validate(&self) -> Result<()> {
        let shape = &self.shape;
        let require = |fits: bool, option: &str, expected: &str, got: &dyn std::fmt::Display| match fits {
            true => Ok(()),
            false => Err(Error::input(option, format!("expected {expected}, got {got}"))),
        };
        require((1..=1 << 14).contains(&shape.hidden), "--hidden", "1 to 16384", &shape.hidden)?;
        require((1..=512).contains(&shape.layers), "--layers", "1 to 512", &shape.layers)?;
        require(
            shape.heads > 0 && shape.hidden.is_multiple_of(shape.heads),
            "--heads",
            "a divisor of --hidden",
            &shape.heads,
        )?;
        require(
            shape.kv_heads > 0 && shape.heads.is_multiple_of(shape.kv_heads),
            "--kv-heads",
            "a divisor of --heads",
            &shape.kv_heads,
        )?;
        let rope = shape.position == TrainPosition::Rope;
        require(
            !rope || (shape.hidden / shape.heads).is_multiple_of(2),
            "--heads",
            "heads of an even width, which RoPE turns in pairs",
            &shape.heads,
        )?;
        let base = shape.rope_base;
        require(base > 1.0 && base.is_finite(), "--rope-base", "a number above 1", &base)?;
        require(
            rope || base == rope_base(),
            "--rope-base",
            "none where positions are not rotated (--position rope)",
            &base,
        )?;
        require(
            (1..=1 << 16).contains(&shape.intermediate),
            "--intermediate",
            "1 to 65536",
            &shape.intermediate,
        )?;
        require(
            (260..=1 << 16).contains(&shape.vocabulary),
            "--vocabulary",
            "260 to 65536",
            &shape.vocabulary,
        )?;
        require((2..=1 << 16).contains(&shape.length), "--length", "2 to 65536", &shape.length)?;
        require((1..=1 << 16).contains(&self.batch), "--batch", "1 to 65536", &self.batch)?;
        require(self.steps > 0, "--steps", "at least 1", &self.steps)?;
        let rate = self.learning_rate;
        require(rate > 0.0 && rate < 1.0, "--learning-rate", "a number between 0 and 1", &rate)?;
        let decay = self.weight_decay;
        require((0.0..=10.0).contains(&decay), "--weight-decay", "a number from 0 to 10", &decay)?;
        Ok(require((0.0..=1.0).contains(&self.passkey), "--passkey", "a part from 0 to 1", &self.passkey)?)
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
}
