//! What every layer holds of consecutive tokens, taken from one session and put into another at other positions: contexts that
//! are composed instead of read.
//!
//! Keys are held before the position encoding, so a passage may stand anywhere: distances follow from where it is put. Its
//! hidden states are those of the session it was read in.

use std::ops::Range;

use super::{PagesOf, Session};
use crate::error::{Error, Result};

/// Keys and values of consecutive tokens in every layer. Memory: 8 · kv_heads · head_dim · layers bytes for each token.
#[derive(Clone, Debug)]
pub struct Passage {
    tokens: usize,
    /// Keys and values of a token, kv_heads · head_dim.
    width: usize,
    /// One per layer: keys before the position encoding, and values, each [tokens, kv_heads, head_dim].
    layers: Vec<[Vec<f32>; 2]>,
}

impl Passage {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens
    }

    /// Whether it has no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }
}

impl Session {
    /// A copy of what every layer holds at `positions`.
    ///
    /// # Errors
    /// Where a layer does not hold all of them.
    pub fn passage(&self, positions: Range<u64>) -> Result<Passage> {
        let shape = self.decoder.shape();
        let tokens = positions.end.saturating_sub(positions.start) as usize;
        let width = shape.kv_heads * shape.head_dim;
        let mut layers = Vec::with_capacity(self.caches.len());
        for (layer, cache) in self.caches.iter().enumerate() {
            let held = cache
                .positions()
                .map(|held| held.end.min(positions.end).saturating_sub(held.start.max(positions.start)));
            let held: u64 = held.iter().sum();
            if held < tokens as u64 {
                let reason = format!("layer {layer} holds {held} of these {tokens} tokens");
                return Err(Error::input(format!("positions {positions:?} of a session"), reason));
            }
            let mut sides = [vec![0.0; tokens * width], vec![0.0; tokens * width]];
            for head in 0..shape.kv_heads {
                for run in cache.runs(head, positions.clone()) {
                    for row in 0..run.len {
                        let to =
                            ((run.first - positions.start) as usize + row) * width + head * shape.head_dim;
                        let rows = [run.key(row, shape.head_dim), run.value(row, shape.head_dim)];
                        for (side, from) in sides.iter_mut().zip(rows) {
                            side[to..to + shape.head_dim].copy_from_slice(&from);
                        }
                    }
                }
            }
            layers.push(sides);
        }
        Ok(Passage { tokens, width, layers })
    }

    /// Puts tokens `rows` of `passage` behind the last token, as if they had been read there. The next token that is scored has no
    /// loss, since no hidden state predicts it.
    ///
    /// # Errors
    /// A model with an embedding of each position, whose keys are those of where the passage was read. Where the passage is of a model of another shape, or has no such tokens; old keys that cannot be written to their file:
    /// then the session must not be used any more.
    pub fn append(&mut self, passage: &Passage, rows: Range<usize>) -> Result<()> {
        if self.decoder.config().most_tokens().is_some() {
            let reason = "the model has an embedding of each position, so its keys are those of the place where they were read";
            return Err(Error::unsupported("a passage put to other positions", reason));
        }
        let shape = self.decoder.shape();
        let width = shape.kv_heads * shape.head_dim;
        if passage.layers.len() != self.caches.len() || passage.width != width {
            let got = format!("{} layers of {} values", passage.layers.len(), passage.width);
            let reason = format!("expected {} layers of {width} values, got {got}", self.caches.len());
            return Err(Error::input("a passage", reason));
        }
        if rows.start > rows.end || rows.end > passage.tokens {
            let reason = format!("the passage has {} tokens", passage.tokens);
            return Err(Error::input(format!("tokens {rows:?} of a passage"), reason));
        }
        let values = rows.start * width..rows.end * width;
        for (cache, [keys, held]) in self.caches.iter_mut().zip(&passage.layers) {
            cache.append(&keys[values.clone()], &held[values.clone()])?;
        }
        self.last_hidden = None;
        // A file of old pages knows nothing of tokens that were not read.
        self.pages = PagesOf::default();
        Ok(())
    }
}
