//! `tokenizer.model`: SentencePiece's own file, a Protocol Buffers message (`sentencepiece_model.proto` of the SentencePiece
//! project, from which the numbers of the fields come). Fields that decide nothing here are left out.

use std::path::Path;

use prost::Message;

use super::mapped;
use crate::error::{Error, Result};

/// The whole file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SentencePieceModel {
    /// The vocabulary, in the order of its ids.
    #[prost(message, repeated, tag = "1")]
    pub pieces: Vec<StoredPiece>,
    /// How it was trained.
    #[prost(message, optional, tag = "2")]
    pub trainer: Option<TrainerSpec>,
    /// What is done to a text before.
    #[prost(message, optional, tag = "3")]
    pub normalizer: Option<NormalizerSpec>,
    /// What is done to a text behind.
    #[prost(message, optional, tag = "5")]
    pub denormalizer: Option<NormalizerSpec>,
}

/// An entry of the vocabulary.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredPiece {
    /// Its text.
    #[prost(string, optional, tag = "1")]
    pub piece: Option<String>,
    /// Pieces of higher scores are merged first.
    #[prost(float, optional, tag = "2")]
    pub score: Option<f32>,
    /// What it is for: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    #[prost(int32, optional, tag = "3")]
    pub kind: Option<i32>,
}

/// Options of the training that decide how a text is encoded.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TrainerSpec {
    /// 1 unigram, 2 BPE, 3 words, 4 characters.
    #[prost(int32, optional, tag = "3")]
    pub model_type: Option<i32>,
    /// Spaces behind words instead of before them.
    #[prost(bool, optional, tag = "24")]
    pub whitespace_as_suffix: Option<bool>,
    /// Characters without a piece become bytes, in unigram models.
    #[prost(bool, optional, tag = "35")]
    pub byte_fallback: Option<bool>,
    /// Id of the begin of a text; negative for none.
    #[prost(int32, optional, tag = "41")]
    pub bos_id: Option<i32>,
    /// Id of the end of a text; negative for none.
    #[prost(int32, optional, tag = "42")]
    pub eos_id: Option<i32>,
}

/// What is done to a text.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NormalizerSpec {
    /// Replacements of characters.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub charsmap: Option<Vec<u8>>,
    /// A space in front of every text.
    #[prost(bool, optional, tag = "3")]
    pub dummy_prefix: Option<bool>,
    /// Spaces at the edges are taken away, and several are made one.
    #[prost(bool, optional, tag = "4")]
    pub remove_extra_spaces: Option<bool>,
    /// Spaces are written as `▁`.
    #[prost(bool, optional, tag = "5")]
    pub escape_spaces: Option<bool>,
}

/// Reads the file.
pub(crate) fn read(path: &Path) -> Result<SentencePieceModel> {
    let bytes = mapped::read_small_bytes(path)?;
    let expected = "a SentencePiece model (a Protocol Buffers message)";
    let start = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if looks_like_ranks(start) {
        let got = "tokens with ranks, as tiktoken writes them; a tokenizer.json is needed";
        return Err(Error::malformed(path, "file", expected, got));
    }
    let model =
        SentencePieceModel::decode(&*bytes).map_err(|e| Error::malformed(path, "file", expected, e))?;
    if model.pieces.is_empty() {
        return Err(Error::malformed(path, "pieces", "at least one", "none"));
    }
    Ok(model)
}

/// Is the line a token in base64 and its rank?
fn looks_like_ranks(line: &[u8]) -> bool {
    let mut parts = line.split(|&byte| byte == b' ');
    let (token, rank) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let is_rank = !rank.is_empty() && rank.len() < 10 && rank.iter().all(u8::is_ascii_digit);
    !token.is_empty()
        && token.len().is_multiple_of(4)
        && token.iter().all(base64)
        && is_rank
        && parts.next().is_none()
}
