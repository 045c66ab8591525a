//! `tokenizer.model` alone: a SentencePiece vocabulary without the `tokenizer.json` that others make of it.

use std::collections::HashMap;
use std::path::Path;

use tokenizers::AddedToken;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};

use super::charsmap::CharsMap;
use super::chunks::Cut;
use super::normalization::{Normalization, Prefix};
use super::segmentation::Segmentation;
use super::sentencepiece::{self, Piece};
use super::side_files::SideFiles;
use super::unigram::{Unigram, UnigramPiece};
use crate::error::{Error, Result};
use crate::formats::folder::{SENTENCEPIECE_FILE, TOKENIZER_CONFIG_FILE};
use crate::formats::sentencepiece_model::{self, SentencePieceModel, TrainerSpec};
use crate::note::Note;

/// Classes of transformers' tokenizers that are SentencePiece and nothing more.
const PLAIN: [&str; 4] = ["LlamaTokenizer", "CodeLlamaTokenizer", "PreTrainedTokenizer", "TokenizersBackend"];

/// A tokenizer that was read from `tokenizer.model`.
pub(super) struct Read {
    /// Added tokens, and what ids mean.
    pub inner: tokenizers::Tokenizer,
    /// What words become.
    pub segmentation: Segmentation,
    /// What becomes of a text before, where `inner` does not do it.
    pub normalization: Option<Normalization>,
    /// Where texts may be cut.
    pub cut: Cut,
    /// Id of the begin of a text.
    pub bos: Option<u32>,
    /// Id of the end of a text.
    pub eos: Option<u32>,
    /// What was assumed.
    pub notes: Vec<Note>,
}

/// The models that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bpe,
    Unigram,
}

/// Reads it, with its control pieces as added tokens; those of the user are added tokens of BPE, and pieces of unigram that are always
/// taken.
///
/// Every text has a space in front where the file says so, unless `add_prefix_space` of `tokenizer_config.json` says
/// otherwise; with `legacy` false, only the first part of a text that added tokens cut has one.
///
/// # Errors
/// Models of words or characters; spaces that are written otherwise; pieces that are none.
pub(super) fn read(folder: &Path, side: &SideFiles) -> Result<Read> {
    let path = folder.join(SENTENCEPIECE_FILE);
    let model = sentencepiece_model::read(&path)?;
    let kind = check(&path, &model)?;
    let pieces = Pieces::of(&path, &model, kind)?;
    let flag =
        |key: &str| side.config.as_ref().map(|config| config.boolean(key)).transpose().map(Option::flatten);
    let stated = model.normalizer.as_ref().and_then(|normalizer| normalizer.dummy_prefix).unwrap_or(true);
    let prefix = flag("add_prefix_space")?.unwrap_or(stated);
    let mut notes = Vec::new();
    if prefix != stated {
        let said = format!(
            "{TOKENIZER_CONFIG_FILE} says {prefix}, {SENTENCEPIECE_FILE} {stated}: the former is taken"
        );
        notes.push(Note::warning("add_prefix_space", said));
    }
    if let Some(class) = side.class().filter(|class| !PLAIN.contains(class)) {
        let said = format!("read as plain SentencePiece; what {class} does besides is not known");
        notes.push(Note::warning(format!("tokenizer class {class}"), said));
    }
    let failed = |e: tokenizers::Error| Error::malformed(&path, "pieces", "pieces that make a vocabulary", e);
    let (mut inner, merges, mut cut) =
        sentencepiece::build(&pieces.ids, &pieces.mergeable, pieces.unknown, prefix).map_err(failed)?;
    let first_alone = flag("legacy")? == Some(false);
    let scheme = match (prefix, first_alone) {
        (false, _) => Prefix::Never,
        (true, true) => Prefix::First,
        (true, false) => Prefix::Always,
    };
    let normalization = normalization(&path, &model, scheme, &pieces)?;
    let normalization = (kind == Kind::Unigram || !normalization.is_plain()).then_some(normalization);
    if normalization.is_some() {
        inner.with_normalizer(None::<tokenizers::NormalizerWrapper>).map_err(failed)?;
        // Sums of scores are rounded by what stands before, and rules may reach over spaces.
        cut = Cut::Never;
    } else if first_alone {
        let scheme = if prefix { PrependScheme::First } else { PrependScheme::Never };
        inner.with_normalizer(None::<tokenizers::NormalizerWrapper>).map_err(failed)?;
        inner.with_pre_tokenizer(Some(Metaspace::new('▁', scheme, false)));
    }
    let trainer = model.trainer.clone().unwrap_or_default();
    let segmentation = match kind {
        Kind::Bpe => Segmentation::Merges(merges),
        Kind::Unigram => Segmentation::Unigram(unigram(&path, &trainer, &pieces)?),
    };
    inner.add_tokens(pieces.added).map_err(failed)?;
    let id = |stated: Option<i32>, default: i32| {
        u32::try_from(stated.unwrap_or(default)).ok().filter(|&id| (id as usize) < model.pieces.len())
    };
    let (bos, eos) = (id(trainer.bos_id, 1), id(trainer.eos_id, 2));
    Ok(Read { inner, segmentation, normalization, cut, bos, eos, notes })
}

/// What the file says of a text before it is cut.
fn normalization(
    path: &Path,
    model: &SentencePieceModel,
    prefix: Prefix,
    pieces: &Pieces<'_>,
) -> Result<Normalization> {
    let spec = model.normalizer.clone().unwrap_or_default();
    let table =
        spec.charsmap.filter(|table| !table.is_empty()).map(|table| CharsMap::read(&table)).transpose();
    let table = table.map_err(|e| {
        Error::malformed(path, "normalizer_spec.precompiled_charsmap", "a table of replacements", e)
    })?;
    let kept = pieces.of_user.iter().map(|(text, _)| (*text).to_owned()).collect();
    Ok(Normalization::new(table, spec.remove_extra_spaces.unwrap_or(true), prefix, kept))
}

/// The model of the best sum of scores.
fn unigram(path: &Path, trainer: &TrainerSpec, pieces: &Pieces<'_>) -> Result<Unigram> {
    let id = |text: &str| pieces.ids.get(text).copied();
    let unknown = pieces.unknown.and_then(id);
    let unknown = unknown
        .ok_or_else(|| Error::malformed(path, "pieces", "one of type 2, for what is unknown", "none"))?;
    let bytes = match trainer.byte_fallback {
        Some(true) => {
            let bytes: Option<Vec<u32>> = (0..=255u8).map(|byte| id(&format!("<0x{byte:02X}>"))).collect();
            let missing =
                || Error::malformed(path, "pieces", "all of <0x00> to <0xFF>, for byte_fallback", "fewer");
            Some(bytes.ok_or_else(missing)?)
        }
        _ => None,
    };
    let used = pieces.mergeable.iter().filter(|piece| !piece.unused);
    let scored = used.filter_map(|piece| {
        Some(UnigramPiece { text: piece.text.to_owned(), id: id(piece.text)?, score: piece.score as f32 })
    });
    let of_user = pieces.of_user.iter().map(|&(text, id)| (text.to_owned(), id));
    Ok(Unigram::new(scored.collect(), of_user, unknown, bytes))
}

/// Refuses what would need another algorithm.
fn check(path: &Path, model: &SentencePieceModel) -> Result<Kind> {
    let refuse = |what: &str, detail: &str| {
        let detail = format!("{}: {detail}; a tokenizer.json would say all of it", path.display());
        Err(Error::unsupported(what, detail))
    };
    let trainer = model.trainer.clone().unwrap_or_default();
    let kind = match trainer.model_type.unwrap_or(1) {
        1 => Kind::Unigram,
        2 => Kind::Bpe,
        3 => return refuse("SentencePiece model type word", "supported are unigram and BPE"),
        4 => return refuse("SentencePiece model type char", "supported are unigram and BPE"),
        other => return Err(Error::malformed(path, "trainer_spec.model_type", "a type from 1 to 4", other)),
    };
    if trainer.whitespace_as_suffix == Some(true) {
        return refuse("treat_whitespace_as_suffix", "spaces are read in front of words");
    }
    let escape_spaces = model.normalizer.as_ref().and_then(|normalizer| normalizer.escape_spaces);
    if escape_spaces == Some(false) {
        return refuse("escape_whitespaces: false", "spaces are written as `▁`");
    }
    let behind = model.denormalizer.as_ref().and_then(|spec| spec.charsmap.as_ref());
    if behind.is_some_and(|map| !map.is_empty()) {
        return refuse("denormalizer_spec", "decoded text is kept as it is");
    }
    Ok(kind)
}

/// The pieces by what they are for.
struct Pieces<'a> {
    ids: HashMap<&'a str, u32>,
    mergeable: Vec<Piece<'a>>,
    unknown: Option<&'a str>,
    /// Pieces of the user, where they are no added tokens.
    of_user: Vec<(&'a str, u32)>,
    added: Vec<AddedToken>,
}

impl<'a> Pieces<'a> {
    fn of(path: &Path, model: &'a SentencePieceModel, kind: Kind) -> Result<Self> {
        let mut pieces = Self {
            ids: HashMap::with_capacity(model.pieces.len()),
            mergeable: Vec::new(),
            unknown: None,
            of_user: Vec::new(),
            added: Vec::new(),
        };
        for (at, stored) in model.pieces.iter().enumerate() {
            let bad = |expected: &str, got: &dyn ToString| {
                Error::malformed(path, format!("pieces[{at}]"), expected, got.to_string())
            };
            let text = stored.piece.as_deref().unwrap_or_default();
            if text.is_empty() || text.len() > sentencepiece::LONGEST_PIECE {
                let expected = format!("a text of 1 to {} bytes", sentencepiece::LONGEST_PIECE);
                return Err(bad(&expected, &text.len()));
            }
            let id = u32::try_from(at).map_err(|_| bad("fewer than 2^32 pieces", &at))?;
            if let Some(other) = pieces.ids.insert(text, id) {
                return Err(bad("a text of its own", &format!("{text:?}, as pieces[{other}]")));
            }
            let score = f64::from(stored.score.unwrap_or(0.0));
            if score.is_nan() {
                return Err(bad("a score that is a number", &"NaN"));
            }
            match stored.kind.unwrap_or(1) {
                1 => pieces.mergeable.push(Piece { text, score, unused: false }),
                5 => pieces.mergeable.push(Piece { text, score, unused: true }),
                2 => {
                    pieces.unknown = Some(text);
                    pieces.added.push(AddedToken::from(text, true).normalized(false));
                }
                3 => pieces.added.push(AddedToken::from(text, true).normalized(false)),
                4 if kind == Kind::Unigram => pieces.of_user.push((text, id)),
                // SentencePiece finds it where a text has spaces, an added token where it has `▁`.
                4 if text.contains('▁') => {
                    let detail = format!("{}: pieces[{at}] is {text:?}", path.display());
                    return Err(Error::unsupported("a user-defined piece with a space", detail));
                }
                4 => pieces.added.push(AddedToken::from(text, false).normalized(false)),
                6 => {}
                other => return Err(bad("a type from 1 to 6", &other)),
            }
        }
        Ok(pieces)
    }
}
