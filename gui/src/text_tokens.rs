//! The tokens of a text while it is being tokenized: one thread adds them, others read what is there.

use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lm_infinite::note::Note;
use lm_infinite::text::TextRead;

/// Tokens of a block: blocks never move, so that adding to them takes no time.
const BLOCK: usize = 1 << 16;

/// The tokens that are known by now.
#[derive(Default)]
pub struct TextTokens(RwLock<Known>);

#[derive(Default)]
struct Known {
    /// All but the last are full.
    blocks: Vec<Vec<u32>>,
    len: usize,
    state: State,
    sample: Sample,
}

/// Whether more tokens will come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// They will.
    #[default]
    Going,
    /// These are all.
    Ended,
    /// Tokenizing ended before the text did.
    Failed,
}

/// What the tokens are of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// What was read of the text.
    pub read: TextRead,
    /// Position from which on it repeats.
    pub repeated_from: Option<u64>,
    /// What there is to say of it.
    pub notes: Vec<Note>,
    /// Positions at which its documents start, once it is read.
    pub documents: Vec<u64>,
}

impl TextTokens {
    /// Tokens that are known.
    pub fn len(&self) -> usize {
        self.known().len
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether more will come.
    pub fn state(&self) -> State {
        self.known().state
    }

    /// What they are of the text, as far as that is known.
    pub fn sample(&self) -> Sample {
        self.known().sample.clone()
    }

    /// The token at a position, if it is known.
    pub fn get(&self, at: usize) -> Option<u32> {
        self.known().blocks.get(at / BLOCK)?.get(at % BLOCK).copied()
    }

    /// Those of the tokens in `range` that are known.
    pub fn range(&self, range: Range<usize>) -> Vec<u32> {
        let known = self.known();
        let Range { start, end } = range.start..range.end.min(known.len);
        let mut tokens = Vec::with_capacity(end.saturating_sub(start));
        let mut at = start;
        while at < end {
            let Some(block) = known.blocks.get(at / BLOCK) else { break };
            let stop = (end - at / BLOCK * BLOCK).min(block.len());
            tokens.extend_from_slice(block.get(at % BLOCK..stop).unwrap_or_default());
            at = (at / BLOCK + 1) * BLOCK;
        }
        tokens
    }

    /// Adds tokens at the end; from `repeated_from` on the text repeats.
    pub fn push(&self, mut tokens: &[u32], repeated_from: Option<u64>) {
        let mut known = self.change();
        known.len += tokens.len();
        known.sample.repeated_from = repeated_from;
        while !tokens.is_empty() {
            if known.blocks.last().is_none_or(|block| block.len() == BLOCK) {
                known.blocks.push(Vec::with_capacity(BLOCK.min(tokens.len().next_power_of_two())));
            }
            let Some(block) = known.blocks.last_mut() else { return };
            let (now, later) = tokens.split_at(tokens.len().min(BLOCK - block.len()));
            block.extend_from_slice(now);
            tokens = later;
        }
    }

    /// No more will come: they are all, and of this.
    pub fn finish(&self, sample: Sample) {
        let mut known = self.change();
        (known.state, known.sample) = (State::Ended, sample);
    }

    /// No more will come, unless they were all.
    pub fn fail(&self) {
        let mut known = self.change();
        if known.state == State::Going {
            known.state = State::Failed;
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_read_across_blocks() {
        let all: Vec<u32> = (0..200_000).collect();
        let tokens = TextTokens::default();
        assert!(tokens.is_empty() && tokens.range(0..10).is_empty() && tokens.get(0).is_none());
        for chunk in all.chunks(12_345) {
            tokens.push(chunk, None);
        }
        assert_eq!((tokens.len(), tokens.get(65_536), tokens.get(200_000)), (200_000, Some(65_536), None));
        for range in [0..0, 0..1, 65_535..65_537, 10..199_999, 0..200_000, 131_072..131_073] {
            assert!(tokens.range(range.clone()) == all[range.clone()], "{range:?}");
        }
        assert_eq!(tokens.range(199_999..300_000), [199_999]);
        assert!(tokens.range(250_000..300_000).is_empty());
    }

    #[test]
    fn what_ended_cannot_fail_any_more() {
        let tokens = TextTokens::default();
        tokens.push(&[1, 2], Some(1));
        assert_eq!((tokens.state(), tokens.sample().repeated_from), (State::Going, Some(1)));
        tokens.finish(Sample::default());
        tokens.fail();
        assert_eq!(tokens.state(), State::Ended);
        let other = TextTokens::default();
        other.fail();
        assert_eq!(other.state(), State::Failed);
    }
}
