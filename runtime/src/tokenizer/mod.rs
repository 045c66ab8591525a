//! Text to token ids and back, by the vocabulary that came with the model.
//!
//! The algorithms are those of the `tokenizers` crate, but for SentencePiece's. Here is what surrounds them:
//! reading GGUF's vocabularies, refusing malformed files, each file's own rule about BOS, texts in pieces, which tokens
//! end a text, long texts, and streams.

mod byte_level;
mod charsmap;
mod checks;
mod chunks;
mod continuation;
mod duplicates;
mod gguf;
mod huggingface;
mod merges_file;
mod normalization;
mod pieces;
mod segmentation;
mod sentencepiece;
mod sentencepiece_file;
mod side_files;
mod splitters;
mod stream;
mod template;
#[cfg(test)]
mod tests;
mod unigram;

use std::collections::BTreeSet;

use rayon::prelude::*;
use tokenizers::{
    Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Token,
};

pub(crate) use pieces::{Cutter, Piece};
pub use stream::StreamDecoder;
pub use template::{ChatMessage, ChatTemplate};

use self::chunks::Cut;
use self::continuation::{Behind, WithoutPrefix};
use self::normalization::{Normalization, Placed};
use self::segmentation::Segmentation;
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::note::Note;

/// Tokenizer of one model.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Takes the place of the model of `inner`.
    segmentation: Option<Segmentation>,
    /// Takes the place of the normalizer of `inner`.
    normalization: Option<Normalization>,
    /// Takes the place of the pre-tokenizer of `inner` where a text goes on behind another, if that differs.
    behind: Option<Behind>,
    cut: Cut,
    special: Specials,
    /// Rows of the embedding: ids from here on are refused.
    limit: usize,
    /// What was assumed where the files are silent.
    notes: Vec<Note>,
}

/// Where a text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of everything.
    Start,
    /// Behind other text.
    Behind,
}

/// A token whose text and place nobody asks for.
fn token(id: u32) -> Token {
    Token::new(id, String::new(), (0, 0))
}

/// Tokens with a meaning of their own.
#[derive(Clone, Debug, Default)]
struct Specials {
    bos: Option<u32>,
    eos: Option<u32>,
    adds_bos: bool,
    stop: BTreeSet<u32>,
}

/// Texts of control tokens that end a turn or a document, in the families whose files do not always say so.
const STOP_TEXTS: [&str; 7] =
    ["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "</s>"];

impl Tokenizer {
    /// Token ids of `text`, behind a BOS where the model's own rules add one.
    ///
    /// Texts of special tokens inside `text` become those tokens, as in Hugging Face's tokenizers. Long texts are cut
    /// where no token can cross and encoded in parallel; the result is the same as in one piece. An error if a token
    /// lies outside the model's embedding.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let bos = self.special.bos.filter(|_| self.special.adds_bos);
        self.encode_at(Place::Start, bos, text)
    }

    /// [`Tokenizer::encode`] without a BOS: for texts whose BOS comes from somewhere else, as in rendered chat templates,
    /// which write their own.
    pub fn encode_without_bos(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_at(Place::Start, None, text)
    }

    /// Token ids of `text` where it goes on behind another text: without a BOS, and without the space that
    /// SentencePiece puts in front of a text.
    ///
    /// The tokens of a text and of its continuations, one after the other, are those of the whole wherever no token
    /// crosses the cuts, for example between a word and the space before the next one. (Cuts before a line break are not
    /// safe in every vocabulary: that of Llama 3 has tokens such as `.\n`. Cuts between a line break and a word are.)
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_at(Place::Behind, None, text)
    }

    fn encode_at(&self, place: Place, bos: Option<u32>, text: &str) -> Result<Vec<u32>> {
        let pieces = chunks::split(text, self.cut, chunks::CHUNK_BYTES);
        let encoded: Vec<Vec<u32>> = match pieces.as_slice() {
            [piece] => vec![self.encode_piece(place, piece)?],
            _ => {
                let encode = |(index, piece): (usize, &&str)| {
                    self.encode_piece(if index == 0 { place } else { self.place_of_pieces() }, piece)
                };
                pieces.par_iter().enumerate().map(encode).collect::<Result<_>>()?
            }
        };
        let ids: Vec<u32> = bos.into_iter().chain(encoded.into_iter().flatten()).collect();
        match ids.iter().find(|&&id| id as usize >= self.limit) {
            None => Ok(ids),
            Some(&id) => Err(Error::input(
                format!("token {id} {:?}", self.token_text(id).unwrap_or_default()),
                format!("the text contains it, but the model's embedding has {} rows only", self.limit),
            )),
        }
    }

    /// Where pieces of a text that [`chunks`] cuts stand, but for the first: behind the text before them, or at a start,
    /// whose prefix is the space that the cut took away.
    fn place_of_pieces(&self) -> Place {
        match self.cut {
            Cut::InsteadOfSpace => Place::Start,
            Cut::BeforeSpace | Cut::Never => Place::Behind,
        }
    }

    fn encode_piece(&self, place: Place, piece: &str) -> Result<Vec<u32>> {
        let ids = match (place, &self.segmentation) {
            (Place::Start, None) => {
                self.inner.encode_fast(piece, false).map(|encoding| encoding.get_ids().to_vec())
            }
            _ => self.encode_by_steps(place, piece),
        };
        ids.map_err(|e| Error::input("tokenizer", e))
    }

    /// The steps of the library's `encode_fast`, two of which may be others here.
    fn encode_by_steps(&self, place: Place, piece: &str) -> tokenizers::Result<Vec<u32>> {
        let (added, normalizer) = (self.inner.get_added_vocabulary(), self.inner.get_normalizer());
        let goes_on = place == Place::Behind;
        let mut segments = match place {
            _ if self.normalization.is_some() => {
                let steps = self.normalization.as_ref().map(|steps| Placed { steps, goes_on });
                added.extract_and_normalize(steps.as_ref(), piece)
            }
            Place::Start => added.extract_and_normalize(normalizer, piece),
            Place::Behind => added.extract_and_normalize(normalizer.map(WithoutPrefix).as_ref(), piece),
        };
        segments.tokenize(|segment| {
            let mut words = PreTokenizedString::from(segment.clone());
            match &self.behind {
                Some(behind) if goes_on && continuation::starts_the_text(segment) => {
                    behind.pre_tokenize(&mut words)?;
                }
                _ => {
                    if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                        pre_tokenizer.pre_tokenize(&mut words)?;
                    }
                }
            }
            words.tokenize(|word| self.tokens_of_word(word))?;
            let ids = words.into_encoding(None, 0, OffsetType::None)?;
            Ok(ids.get_ids().iter().map(|&id| token(id)).collect())
        })?;
        Ok(segments.into_encoding(None, 0, OffsetType::None)?.get_ids().to_vec())
    }

    fn tokens_of_word(&self, word: &NormalizedString) -> tokenizers::Result<Vec<Token>> {
        match &self.segmentation {
            Some(own) => Ok(own.ids(word.get())?.into_iter().map(token).collect()),
            None => self.inner.get_model().tokenize(word.get()),
        }
    }

    /// The parts of `text` that tokens do not cross, as the vocabulary writes them (`Ġthe` for ` the` in byte-level ones). Texts
    /// of special tokens are taken as text.
    pub fn words(&self, text: &str) -> Result<Vec<String>> {
        let split = || -> tokenizers::Result<Vec<String>> {
            let mut normalized = NormalizedString::from(text);
            match (&self.normalization, self.inner.get_normalizer()) {
                (Some(steps), _) => Placed { steps, goes_on: false }.normalize(&mut normalized)?,
                (None, Some(normalizer)) => normalizer.normalize(&mut normalized)?,
                (None, None) => {}
            }
            let mut words = PreTokenizedString::from(normalized);
            if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut words)?;
            }
            let words = words.get_splits(OffsetReferential::Normalized, OffsetType::None);
            Ok(words.into_iter().map(|(word, ..)| word.to_owned()).collect())
        };
        split().map_err(|e| Error::input("tokenizer", e))
    }

    /// Text of `ids`, special tokens left out; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|e| Error::input("tokenizer", e))
    }

    /// One token as text for people: its bytes where they are UTF-8, special tokens by name. `None` for an id that the
    /// vocabulary does not have.
    pub fn token_text(&self, id: u32) -> Option<String> {
        let raw = self.inner.id_to_token(id)?;
        if self.inner.get_added_vocabulary().is_special_token(&raw) {
            return Some(raw);
        }
        if let Some(text) = byte_level::text_of_token(&raw).filter(|_| self.is_byte_level()) {
            return Some(text);
        }
        Some(raw.replace('▁', " "))
    }

    fn is_special(&self, id: u32) -> bool {
        let added = self.inner.get_added_vocabulary();
        added.simple_id_to_token(id).is_some_and(|text| added.is_special_token(&text))
    }

    fn is_byte_level(&self) -> bool {
        matches!(self.inner.get_decoder(), Some(tokenizers::DecoderWrapper::ByteLevel(_)))
    }

    /// What was assumed about the tokenizer where its files are silent.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Begin-of-text token.
    pub fn bos(&self) -> Option<u32> {
        self.special.bos
    }

    /// End-of-text token.
    pub fn eos(&self) -> Option<u32> {
        self.special.eos
    }

    /// Does [`Tokenizer::encode`] put a BOS first?
    pub fn adds_bos(&self) -> bool {
        self.special.adds_bos && self.special.bos.is_some()
    }

    /// Is this a token that ends a text or a turn (EOS, end of turn)?
    pub fn is_stop(&self, id: u32) -> bool {
        self.special.stop.contains(&id)
    }

    /// Tokens that end a text or a turn.
    pub fn stop_tokens(&self) -> impl Iterator<Item = u32> {
        self.special.stop.iter().copied()
    }

    /// Number of entries of the vocabulary, special tokens included.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// SHA-256 of everything that decides which tokens a text becomes and which text tokens become: the vocabulary with its
    /// added tokens and rules, the special tokens, and the size of the model's embedding. Whichever files they were read
    /// from, equal tokenizers have equal digests.
    ///
    /// # Errors
    /// A part that the tokenizers library cannot write down.
    pub fn sha256(&self) -> Result<String> {
        // What stands in for parts of `inner` behind another text follows from `inner`; scores do not.
        let Self { inner, segmentation, normalization, behind: _, cut: _, special, limit, notes: _ } = self;
        let failed = |e: &dyn std::fmt::Display| Error::input("digest of the tokenizer", e);
        let mut writer = std::io::BufWriter::new(Hasher::default());
        serde_json::to_writer(&mut writer, inner).map_err(|e| failed(&e))?;
        let mut hasher = writer.into_inner().map_err(|e| failed(&e))?;
        if let Some(own) = segmentation {
            own.update(&mut hasher);
        }
        if let Some(steps) = normalization {
            steps.update(&mut hasher);
        }
        let Specials { bos, eos, adds_bos, stop } = special;
        hasher.update(format!("\n{bos:?} {eos:?} {adds_bos} {stop:?} {limit}").as_bytes());
        Ok(hasher.finish())
    }

    /// Builds a tokenizer of a model with `limit` rows of embedding.
    fn assemble(
        inner: tokenizers::Tokenizer,
        segmentation: Option<Segmentation>,
        cut: Cut,
        mut special: Specials,
        limit: usize,
    ) -> Self {
        special.stop.extend(special.eos);
        for text in STOP_TEXTS {
            if inner.get_added_vocabulary().is_special_token(text) {
                special.stop.extend(inner.token_to_id(text));
            }
        }
        let cut = chunks::safe_with_added_tokens(cut, inner.get_added_tokens_decoder().values());
        let behind = inner.get_pre_tokenizer().and_then(continuation::behind);
        Self { inner, segmentation, normalization: None, behind, cut, special, limit, notes: Vec::new() }
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocabulary", &self.vocabulary_size()).finish_non_exhaustive()
    }
}
