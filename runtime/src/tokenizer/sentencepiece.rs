//! GGUF's `llama` vocabularies: SentencePiece BPE, stored as pieces with scores.
//!
//! SentencePiece merges, at every step, the two neighbours whose union has the best score. The same with a list of
//! merges: every way to write a piece as two pieces, ordered by the piece's score. Characters without a piece become
//! their UTF-8 bytes, `<0x00>` to `<0xFF>`; spaces are `▁`.

use std::collections::HashMap;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence as NormalizerSequence};
use tokenizers::{DecoderWrapper, NormalizerWrapper};

use super::chunks::Cut;

/// The character that stands for a space.
const SPACE: char = '▁';

/// Longest piece that takes part in merges, in bytes; trainers stop at 16 characters, and the work is its square.
pub(super) const LONGEST_PIECE: usize = 1024;

/// A piece that merges can produce.
pub(super) struct Piece<'a> {
    pub text: &'a str,
    pub score: f64,
}

/// Builds the tokenizer. `vocabulary` has all tokens, `pieces` the ordinary ones; `space_prefix`: a space is put in
/// front of every text.
pub(super) fn build(
    vocabulary: &HashMap<&str, u32>,
    pieces: &[Piece<'_>],
    unknown: Option<&str>,
    space_prefix: bool,
) -> tokenizers::Result<(tokenizers::Tokenizer, Cut)> {
    let ordinary: HashMap<&str, u32> =
        pieces.iter().filter_map(|piece| vocabulary.get(piece.text).map(|&id| (piece.text, id))).collect();
    let merges = merges(&ordinary, pieces);
    let owned: Vocab = vocabulary.iter().map(|(text, &id)| ((*text).to_owned(), id)).collect();
    let mut builder = BPE::builder().vocab_and_merges(owned, merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        builder = builder.unk_token(unknown.to_owned());
    }
    let mut tokenizer = tokenizers::Tokenizer::new(builder.build()?);

    let to_marks: NormalizerWrapper = Replace::new(" ", SPACE.to_string())?.into();
    let normalizer = match space_prefix {
        true => NormalizerSequence::new(vec![Prepend::new(SPACE.to_string()).into(), to_marks]).into(),
        false => to_marks,
    };
    tokenizer.with_normalizer(Some(normalizer))?;
    let mut decoders: Vec<DecoderWrapper> = vec![
        tokenizers::normalizers::replace::Replace::new(SPACE.to_string(), " ")?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    if space_prefix {
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    tokenizer.with_decoder(Some(DecoderSequence::new(decoders)));

    let crosses = pieces.iter().any(|piece| crosses_a_space(piece.text));
    let cut = match (crosses, space_prefix) {
        (true, _) => Cut::Never,
        (false, true) => Cut::InsteadOfSpace,
        (false, false) => Cut::BeforeSpace,
    };
    Ok((tokenizer, cut))
}

/// All merges, best first.
fn merges(ordinary: &HashMap<&str, u32>, pieces: &[Piece<'_>]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.text.len() <= LONGEST_PIECE) {
        for (at, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(at);
            if let (Some(&left_id), Some(&right_id)) = (ordinary.get(left), ordinary.get(right)) {
                found.push((piece.score, left_id, right_id, left, right));
            }
        }
    }
    // Best score first; the ids only make the order of equal scores a definite one.
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    found.into_iter().map(|(.., left, right)| (left.to_owned(), right.to_owned())).collect()
}

/// Has the piece a space behind something else? Then merges reach across the left edges of words.
pub(super) fn crosses_a_space(piece: &str) -> bool {
    piece.trim_start_matches(SPACE).contains(SPACE)
}
