//! How words become tokens where the library has no model for it.

use super::sentencepiece::Merges;
use super::unigram::Unigram;
use crate::digest::Hasher;

/// SentencePiece's two models.
pub(super) enum Segmentation {
    /// Neighbours are merged.
    Merges(Merges),
    /// The best sum of scores.
    Unigram(Unigram),
}

impl Segmentation {
    /// The ids of `text`, in which spaces are `▁` already.
    ///
    /// # Errors
    /// As [`Merges::ids`].
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, String> {
        match self {
            Self::Merges(merges) => merges.ids(text),
            Self::Unigram(unigram) => Ok(unigram.ids(text)),
        }
    }

    /// Adds everything that decides which tokens a text becomes.
    pub fn update(&self, hasher: &mut Hasher) {
        match self {
            Self::Merges(merges) => merges.update(hasher),
            Self::Unigram(unigram) => unigram.update(hasher),
        }
    }
}
