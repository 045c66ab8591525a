//! Tokenizers from the vocabulary inside a GGUF file.

use std::collections::HashMap;

use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::chunks::Cut;
use super::segmentation::Segmentation;
use super::sentencepiece::{self, Merges, Piece};
use super::{Specials, Tokenizer, splitters};
use crate::error::{Error, Result};
use crate::formats::gguf::Metadata;
use crate::note::Note;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";
const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const ADDS_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADDS_EOS: &str = "tokenizer.ggml.add_eos_token";

/// The splitter of a file that names none.
const SPLITTER_OF_NONE: &str = "gpt-2";

/// BOS and EOS of SentencePiece vocabularies whose file names none, as llama.cpp has them.
const SENTENCEPIECE_BOS: u32 = 1;
const SENTENCEPIECE_EOS: u32 = 2;

/// What a token is for, as GGUF numbers it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenType {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// The vocabulary as the file has it.
struct Vocabulary<'a> {
    metadata: &'a Metadata,
    texts: Vec<&'a str>,
    types: Vec<TokenType>,
    ids: HashMap<&'a str, u32>,
}

impl Tokenizer {
    /// The tokenizer of a GGUF file whose embedding has `rows` rows.
    ///
    /// Supported are `gpt2` vocabularies with one of the known splitters, and `llama` (SentencePiece). A file without
    /// `tokenizer.ggml.pre` is split as GPT-2 does, and a note says so.
    pub fn from_gguf(metadata: &Metadata, rows: usize) -> Result<Self> {
        let mut notes = Vec::new();
        let vocabulary = Vocabulary::read(metadata, rows, &mut notes)?;
        let model = metadata.require(MODEL, metadata.text(MODEL)?)?;
        let (mut inner, merges, cut, adds_bos) = match model {
            "gpt2" => byte_pairs(&vocabulary, &mut notes)?,
            "llama" => pieces(&vocabulary)?,
            other => {
                let detail = format!("{}: supported are `gpt2` and `llama`", metadata.path().display());
                return Err(Error::unsupported(format!("tokenizer model `{other}`"), detail));
            }
        };
        let added = vocabulary.texts.iter().zip(&vocabulary.types).filter_map(|(&text, token_type)| {
            let special = match token_type {
                TokenType::Control | TokenType::Unknown => true,
                TokenType::UserDefined => false,
                TokenType::Normal | TokenType::Unused | TokenType::Byte => return None,
            };
            Some(AddedToken::from(text.to_owned(), special).normalized(false))
        });
        inner.add_tokens(added).map_err(|e| metadata.malformed(TOKENS, "tokens that can be added", e))?;

        let mut special = Specials {
            bos: vocabulary.id(BOS)?,
            eos: vocabulary.id(EOS)?,
            adds_bos: metadata.boolean(ADDS_BOS)?.unwrap_or(adds_bos),
            ..Specials::default()
        };
        if model == "llama" {
            for (key, id, default) in
                [(BOS, &mut special.bos, SENTENCEPIECE_BOS), (EOS, &mut special.eos, SENTENCEPIECE_EOS)]
            {
                if !metadata.contains(key)
                    && let Some(text) = vocabulary.texts.get(default as usize)
                {
                    *id = Some(default);
                    let said =
                        format!("not in the file; token {default}, {text:?}, is taken, as llama.cpp does");
                    notes.push(Note::warning(key, said));
                }
            }
        }
        if special.adds_bos && special.bos.is_none() && metadata.contains(ADDS_BOS) {
            notes.push(Note::warning(ADDS_BOS, "the file asks for a BOS and has none: none is put first"));
        }
        if metadata.boolean(ADDS_EOS)? == Some(true) {
            notes.push(Note::new(ADDS_EOS, "the file asks for an EOS behind every text; none is put there"));
        }
        for key in ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
            match vocabulary.id(key) {
                Ok(id) => special.stop.extend(id),
                Err(error) => notes.push(Note::new(key, format!("passed over ({error})"))),
            }
        }
        let mut tokenizer = Self::assemble(inner, merges.map(Segmentation::Merges), cut, special, rows);
        tokenizer.notes = notes;
        Ok(tokenizer)
    }
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a Metadata, rows: usize, notes: &mut Vec<Note>) -> Result<Self> {
        let texts = metadata.require(TOKENS, metadata.texts(TOKENS)?)?;
        if texts.is_empty() || texts.len() > rows {
            let expected = format!("1 to {rows} tokens, the rows of the embedding");
            return Err(metadata.malformed(TOKENS, expected, texts.len()));
        }
        let mut ids = HashMap::with_capacity(texts.len());
        for (id, &text) in texts.iter().enumerate() {
            // Ids fit: there are at most as many as rows of a checked matrix, and types below are checked against them.
            let id =
                u32::try_from(id).map_err(|e| metadata.malformed(TOKENS, "fewer than 2^32 tokens", e))?;
            // Some files pad the vocabulary with repeated texts: the first one is meant.
            ids.entry(text).or_insert(id);
        }
        let types = match metadata.integers(TYPES)? {
            None => vec![TokenType::Normal; texts.len()],
            Some(numbers) if numbers.len() != texts.len() => {
                return Err(metadata.malformed(
                    TYPES,
                    format!("{} values, as tokens", texts.len()),
                    numbers.len(),
                ));
            }
            Some(numbers) => {
                note_unknown_types(&numbers, notes);
                numbers.into_iter().map(token_type).collect()
            }
        };
        Ok(Self { metadata, texts, types, ids })
    }

    /// A token id under `key`, if the file has it; −1 is none.
    fn id(&self, key: &str) -> Result<Option<u32>> {
        let id = self.metadata.token(key)?;
        id.map(|id| match u32::try_from(id) {
            Ok(small) if (small as usize) < self.texts.len() => Ok(small),
            _ => Err(self.metadata.malformed(key, format!("an id below {}", self.texts.len()), id)),
        })
        .transpose()
    }
}

/// The meaning of GGUF's number; as llama.cpp does, a token of no known type is one like others.
fn token_type(number: i128) -> TokenType {
    match number {
        2 => TokenType::Unknown,
        3 => TokenType::Control,
        4 => TokenType::UserDefined,
        5 => TokenType::Unused,
        6 => TokenType::Byte,
        _ => TokenType::Normal,
    }
}

fn note_unknown_types(numbers: &[i128], notes: &mut Vec<Note>) {
    let mut unknown = numbers.iter().enumerate().filter(|(_, number)| !(1..=6).contains(*number));
    if let Some((id, number)) = unknown.next() {
        let said = format!(
            "{} tokens have types that GGUF does not define ({number} of token {id} is the first); they are taken as normal ones",
            1 + unknown.count()
        );
        notes.push(Note::warning(TYPES, said));
    }
}

/// A tokenizer, merges of our own, where texts may be cut, and whether a BOS is put first.
type Built = (tokenizers::Tokenizer, Option<Merges>, Cut, bool);

/// `gpt2`: byte-level BPE with a list of merges.
fn byte_pairs(vocabulary: &Vocabulary<'_>, notes: &mut Vec<Note>) -> Result<Built> {
    let metadata = vocabulary.metadata;
    let pre = metadata.text(PRE)?.unwrap_or_else(|| {
        let said = "not in the file: the text is split as GPT-2 does, which is wrong for most other families (digits, \
                    contractions, line breaks), and then so are the tokens; convert the model anew, or set the key";
        notes.push(Note::warning(PRE, said));
        SPLITTER_OF_NONE
    });
    if pre == "default" {
        let said = "`default` is what llama.cpp takes where it does not know a model's own splitter";
        notes.push(Note::warning(PRE, said));
    }
    let unsupported = |detail: String| {
        let detail = format!("{}: {detail}", metadata.path().display());
        Error::unsupported(format!("tokenizer splitter `{pre}` ({PRE})"), detail)
    };
    if splitters::NOT_BYTE_LEVEL.contains(&pre) {
        return Err(unsupported("its vocabulary is not one of bytes".into()));
    }
    let splitter = splitters::find(pre).ok_or_else(|| {
        unsupported(format!("supported are {}", splitters::names().collect::<Vec<_>>().join(", ")))
    })?;
    let mut merges = Vec::new();
    for (rank, merge) in metadata.require(MERGES, metadata.texts(MERGES)?)?.into_iter().enumerate() {
        let bad =
            |expected: &str| metadata.malformed(&format!("{MERGES}[{rank}]"), expected, format!("{merge:?}"));
        let (left, right) =
            merge.split_once(' ').ok_or_else(|| bad("two tokens with a space between them"))?;
        let union = format!("{left}{right}");
        if !vocabulary.ids.contains_key(left) || !vocabulary.ids.contains_key(right) {
            return Err(bad("two tokens of the vocabulary"));
        }
        if !vocabulary.ids.contains_key(union.as_str()) {
            return Err(bad("two tokens whose union is a token"));
        }
        merges.push((left.to_owned(), right.to_owned()));
    }
    let owned: Vocab = vocabulary.ids.iter().map(|(text, &id)| ((*text).to_owned(), id)).collect();
    let bad = |e: tokenizers::Error| metadata.malformed(MERGES, "merges that make a BPE model", e);
    let builder = BPE::builder().vocab_and_merges(owned, merges).ignore_merges(splitter.whole_words);
    let mut inner = tokenizers::Tokenizer::new(builder.build().map_err(bad)?);
    if splitter.composed {
        inner.with_normalizer(Some(NFC)).map_err(bad)?;
    }
    inner.with_pre_tokenizer(Some(splitter.build().map_err(bad)?));
    inner.with_decoder(Some(ByteLevel::default()));
    Ok((inner, None, splitter.cut, splitter.adds_bos))
}

/// `llama`: SentencePiece.
fn pieces(vocabulary: &Vocabulary<'_>) -> Result<Built> {
    let metadata = vocabulary.metadata;
    let scores = metadata.require(SCORES, metadata.floats(SCORES)?)?;
    if scores.len() != vocabulary.texts.len() {
        let expected = format!("{} values, as tokens", vocabulary.texts.len());
        return Err(metadata.malformed(SCORES, expected, scores.len()));
    }
    let mut pieces = Vec::new();
    let mut unknown = None;
    for ((&text, token_type), score) in vocabulary.texts.iter().zip(&vocabulary.types).zip(scores) {
        match token_type {
            TokenType::Normal | TokenType::Unused if score.is_nan() => {
                return Err(metadata.malformed(SCORES, "numbers", "NaN"));
            }
            TokenType::Normal | TokenType::Unused if text.len() > sentencepiece::LONGEST_PIECE => {
                let expected = format!("pieces of at most {} bytes", sentencepiece::LONGEST_PIECE);
                return Err(metadata.malformed(TOKENS, expected, text.len()));
            }
            TokenType::Normal => pieces.push(Piece { text, score, unused: false }),
            TokenType::Unused => pieces.push(Piece { text, score, unused: true }),
            TokenType::Unknown => unknown = Some(text),
            TokenType::Control | TokenType::UserDefined | TokenType::Byte => {}
        }
    }
    let space_prefix = metadata.boolean("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let (inner, merges, cut) = sentencepiece::build(&vocabulary.ids, &pieces, unknown, space_prefix)
        .map_err(|e| metadata.malformed(TOKENS, "pieces that make a vocabulary", e))?;
    Ok((inner, Some(merges), cut, true))
}
