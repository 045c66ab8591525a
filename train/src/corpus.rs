//! Training data: tokenized texts, a part held out, and segments drawn from the rest.

use std::sync::Arc;

use lm_infinite_runtime::Error;
use lm_infinite_runtime::random::{self, Stream};
use lm_infinite_runtime::tokenizer::Tokenizer;
use rand::Rng;

use super::options::TrainOptions;
use super::retrieval;
use crate::error::Result;

/// One token of this many, at the end of each text, is held out.
const HELD_OUT: usize = 50;

/// For the first steps, one of this many, retrieval documents are repeated passages alone: they are what induction heads
/// form on, and looking up numbers builds on those.
const REPEATS_FIRST: u64 = 10;

/// Most segments that the held-out loss is measured on.
const HELD_OUT_SEGMENTS: usize = 256;

/// Tokens to train on, and to measure on.
pub struct Corpus {
    train: Vec<u32>,
    held_out: Vec<Vec<u32>>,
    bos: u32,
    tokenizer: Arc<Tokenizer>,
}

impl Corpus {
    /// Tokenizes `texts`. The last fiftieth of each is held out; a text given twice weighs twice.
    ///
    /// # Errors
    /// Where there is too little text for a segment to train on and one to measure on, or the tokenizer has no BOS.
    pub fn new(texts: &[String], tokenizer: Arc<Tokenizer>, length: usize) -> Result<Self> {
        let bos = tokenizer.bos().ok_or_else(|| Error::input("tokenizer", "it has no BOS token"))?;
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for (index, text) in texts.iter().enumerate() {
            let tokens = tokenizer.encode_without_bos(text)?;
            let (kept, rest) = tokens.split_at(tokens.len() - tokens.len() / HELD_OUT);
            train.extend_from_slice(kept);
            if !texts[..index].contains(text) {
                held_out.extend(rest.chunks_exact(length).map(|part| with_bos(bos, part)));
            }
        }
        if train.len() <= length || held_out.is_empty() {
            let reason = format!(
                "{} tokens in all; segments of {length} need more, at least {} in one text",
                train.len(),
                HELD_OUT * length
            );
            return Err(Error::input("--text", reason).into());
        }
        // Spread over all texts.
        let stride = held_out.len().div_ceil(HELD_OUT_SEGMENTS);
        let held_out = held_out.into_iter().step_by(stride).collect();
        Ok(Self { train, held_out, bos, tokenizer })
    }

    /// Tokens to draw from.
    pub fn train_tokens(&self) -> usize {
        self.train.len()
    }

    /// Segments of `length + 1` tokens, a BOS first, that are never trained on.
    pub fn held_out(&self) -> &[Vec<u32>] {
        &self.held_out
    }

    /// The segments of step `step`: each of `length + 1` tokens, a BOS first. They depend on seed and step alone.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn batch(&self, options: &TrainOptions, step: u64) -> Result<Vec<Vec<u32>>> {
        let mut random = random::expanded(options.seed ^ (step + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let length = options.shape.length;
        let only_repeats = step < options.steps / REPEATS_FIRST;
        (0..options.batch)
            .map(|_| {
                let segment = self.segment(&mut random, length);
                if random.random_bool(options.passkey) {
                    let document =
                        retrieval::document(&mut random, &self.tokenizer, length, segment, only_repeats)?;
                    return Ok(with_bos(self.bos, &document));
                }
                Ok(with_bos(self.bos, segment))
            })
            .collect()
    }

    fn segment(&self, random: &mut Stream, length: usize) -> &[u32] {
        let start = random.random_range(0..=self.train.len() - length);
        &self.train[start..start + length]
    }
}

fn with_bos(bos: u32, tokens: &[u32]) -> Vec<u32> {
    std::iter::once(bos).chain(tokens.iter().copied()).collect()
}
