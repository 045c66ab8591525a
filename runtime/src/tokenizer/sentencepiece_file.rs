//! `tokenizer.model` alone: a SentencePiece vocabulary without the `tokenizer.json` that others make of it.

use std::collections::HashMap;
use std::path::Path;

use tokenizers::AddedToken;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};

use super::sentencepiece::{self, Built, Piece};
use super::side_files::SideFiles;
use crate::error::{Error, Result};
use crate::formats::folder::{SENTENCEPIECE_FILE, TOKENIZER_CONFIG_FILE};
use crate::formats::sentencepiece_model::{self, NormalizerSpec, SentencePieceModel};
use crate::note::Note;

/// Classes of transformers' tokenizers that are SentencePiece and nothing more.
const PLAIN: [&str; 4] = ["LlamaTokenizer", "CodeLlamaTokenizer", "PreTrainedTokenizer", "TokenizersBackend"];

/// A tokenizer that was read from `tokenizer.model`.
pub(super) struct Read {
    /// Tokenizer, merges, cuts.
    pub built: Built,
    /// Id of the begin of a text.
    pub bos: Option<u32>,
    /// Id of the end of a text.
    pub eos: Option<u32>,
    /// What was assumed.
    pub notes: Vec<Note>,
}

/// Reads it, with its control and user-defined pieces as added tokens.
///
/// Every text has a space in front where the file says so, unless `add_prefix_space` of `tokenizer_config.json` says
/// otherwise; with `legacy` false, only the first part of a text that added tokens cut has one.
///
/// # Errors
/// Unigram and other models that are no BPE; normalizers that change characters or spaces; pieces that are none.
pub(super) fn read(folder: &Path, side: &SideFiles) -> Result<Read> {
    let path = folder.join(SENTENCEPIECE_FILE);
    let model = sentencepiece_model::read(&path)?;
    check(&path, &model)?;
    let pieces = Pieces::of(&path, &model)?;
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
    let (mut inner, merges, cut) =
        sentencepiece::build(&pieces.ids, &pieces.mergeable, pieces.unknown, prefix).map_err(failed)?;
    if flag("legacy")? == Some(false) {
        let scheme = if prefix { PrependScheme::First } else { PrependScheme::Never };
        inner.with_normalizer(None::<tokenizers::NormalizerWrapper>).map_err(failed)?;
        inner.with_pre_tokenizer(Some(Metaspace::new('▁', scheme, false)));
    }
    inner.add_tokens(pieces.added).map_err(failed)?;
    let trainer = model.trainer.unwrap_or_default();
    let id = |stated: Option<i32>, default: i32| {
        u32::try_from(stated.unwrap_or(default)).ok().filter(|&id| (id as usize) < model.pieces.len())
    };
    Ok(Read { built: (inner, merges, cut), bos: id(trainer.bos_id, 1), eos: id(trainer.eos_id, 2), notes })
}

/// Refuses what would need another algorithm.
fn check(path: &Path, model: &SentencePieceModel) -> Result<()> {
    let refuse = |what: &str, detail: &str| {
        let detail = format!("{}: {detail}; a tokenizer.json would say all of it", path.display());
        Err(Error::unsupported(what, detail))
    };
    let trainer = model.trainer.clone().unwrap_or_default();
    match trainer.model_type.unwrap_or(1) {
        2 => {}
        1 => return refuse("SentencePiece model type unigram", "supported is BPE"),
        3 => return refuse("SentencePiece model type word", "supported is BPE"),
        4 => return refuse("SentencePiece model type char", "supported is BPE"),
        other => return Err(Error::malformed(path, "trainer_spec.model_type", "a type from 1 to 4", other)),
    }
    if trainer.whitespace_as_suffix == Some(true) {
        return refuse("treat_whitespace_as_suffix", "spaces are read in front of words");
    }
    let NormalizerSpec { name, charsmap, remove_extra_spaces, escape_spaces, .. } =
        model.normalizer.clone().unwrap_or_default();
    if charsmap.is_some_and(|map| !map.is_empty()) {
        let what = format!("SentencePiece normalizer `{}`", name.unwrap_or_default());
        return refuse(&what, "supported is `identity`");
    }
    if remove_extra_spaces.unwrap_or(true) {
        return refuse("remove_extra_whitespaces", "spaces are kept as they are");
    }
    if escape_spaces == Some(false) {
        return refuse("escape_whitespaces: false", "spaces are written as `▁`");
    }
    let behind = model.denormalizer.as_ref().and_then(|spec| spec.charsmap.as_ref());
    if behind.is_some_and(|map| !map.is_empty()) {
        return refuse("denormalizer_spec", "decoded text is kept as it is");
    }
    Ok(())
}

/// The pieces by what they are for.
struct Pieces<'a> {
    ids: HashMap<&'a str, u32>,
    mergeable: Vec<Piece<'a>>,
    unknown: Option<&'a str>,
    added: Vec<AddedToken>,
}

impl<'a> Pieces<'a> {
    fn of(path: &Path, model: &'a SentencePieceModel) -> Result<Self> {
        let mut pieces = Self {
            ids: HashMap::with_capacity(model.pieces.len()),
            mergeable: Vec::new(),
            unknown: None,
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
