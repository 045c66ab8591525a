//! Tokenizers from the vocabulary inside a GGUF file.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::chunks::Cut;
use super::sentencepiece::{self, Merges, Piece};
use super::{Specials, Tokenizer};
use crate::error::{Error, Result};
use crate::formats::gguf::Metadata;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";

/// How a `gpt2` vocabulary splits a text before merging.
struct Splitter {
    /// Values of `tokenizer.ggml.pre`.
    names: &'static [&'static str],
    /// Every digit is a token of its own, before anything else.
    single_digits: bool,
    /// Replaces GPT-2's own expression.
    expression: Option<&'static str>,
    /// Words that are tokens are not put together from merges.
    whole_words: bool,
    /// Text is brought to Unicode's composed form first, as the family's own tokenizer does.
    composed: bool,
    /// A BOS is put first unless the file says otherwise.
    adds_bos: bool,
}

const PLAIN: Splitter = Splitter {
    names: &["gpt-2", "gpt2", "default"],
    single_digits: false,
    expression: None,
    whole_words: false,
    composed: false,
    adds_bos: false,
};

const SPLITTERS: [Splitter; 4] = [
    PLAIN,
    Splitter { names: &["smollm", "starcoder"], single_digits: true, ..PLAIN },
    Splitter {
        names: &["llama-bpe", "llama3", "llama-v3"],
        expression: Some(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )),
        whole_words: true,
        adds_bos: true,
        ..PLAIN
    },
    Splitter {
        names: &["qwen2"],
        expression: Some(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )),
        composed: true,
        ..PLAIN
    },
];

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
    /// `tokenizer.ggml.pre` is split as GPT-2 does.
    pub fn from_gguf(metadata: &Metadata, rows: usize) -> Result<Self> {
        let vocabulary = Vocabulary::read(metadata, rows)?;
        let (mut inner, merges, cut, adds_bos) = match metadata.require(MODEL, metadata.text(MODEL)?)? {
            "gpt2" => byte_pairs(&vocabulary)?,
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
            bos: vocabulary.id("tokenizer.ggml.bos_token_id")?,
            eos: vocabulary.id("tokenizer.ggml.eos_token_id")?,
            adds_bos: metadata.boolean("tokenizer.ggml.add_bos_token")?.unwrap_or(adds_bos),
            ..Specials::default()
        };
        special.stop.extend(vocabulary.id("tokenizer.ggml.eot_token_id")?);
        special.stop.extend(vocabulary.id("tokenizer.ggml.eom_token_id")?);
        Ok(Self::assemble(inner, merges, cut, special, rows))
    }
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a Metadata, rows: usize) -> Result<Self> {
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
            Some(numbers) => numbers
                .into_iter()
                .map(|number| match number {
                    1 => Ok(TokenType::Normal),
                    2 => Ok(TokenType::Unknown),
                    3 => Ok(TokenType::Control),
                    4 => Ok(TokenType::UserDefined),
                    5 => Ok(TokenType::Unused),
                    6 => Ok(TokenType::Byte),
                    other => Err(metadata.malformed(TYPES, "types from 1 to 6", other)),
                })
                .collect::<Result<_>>()?,
        };
        Ok(Self { metadata, texts, types, ids })
    }

    /// A token id under `key`, if the file has it.
    fn id(&self, key: &str) -> Result<Option<u32>> {
        let id = self.metadata.integer(key)?;
        id.map(|id| match u32::try_from(id) {
            Ok(small) if (small as usize) < self.texts.len() => Ok(small),
            _ => Err(self.metadata.malformed(key, format!("an id below {}", self.texts.len()), id)),
        })
        .transpose()
    }
}

/// A tokenizer, merges of our own, where texts may be cut, and whether a BOS is put first.
type Built = (tokenizers::Tokenizer, Option<Merges>, Cut, bool);

/// `gpt2`: byte-level BPE with a list of merges.
fn byte_pairs(vocabulary: &Vocabulary<'_>) -> Result<Built> {
    let metadata = vocabulary.metadata;
    let pre = metadata.text(PRE)?.unwrap_or("default");
    let splitter = SPLITTERS.iter().find(|splitter| splitter.names.contains(&pre)).ok_or_else(|| {
        let known: Vec<&str> = SPLITTERS.iter().flat_map(|splitter| splitter.names.iter().copied()).collect();
        let detail = format!("{}: supported are {}", metadata.path().display(), known.join(", "));
        Error::unsupported(format!("tokenizer splitter `{pre}` ({PRE})"), detail)
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
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    if splitter.single_digits {
        steps.push(Digits::new(true).into());
    }
    if let Some(expression) = splitter.expression {
        let pattern = SplitPattern::Regex(expression.to_owned());
        steps.push(Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(bad)?.into());
    }
    steps.push(ByteLevel::new(false, true, splitter.expression.is_none()).into());
    inner.with_pre_tokenizer(Some(Sequence::new(steps)));
    inner.with_decoder(Some(ByteLevel::default()));
    Ok((inner, None, Cut::BeforeSpace, splitter.adds_bos))
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
