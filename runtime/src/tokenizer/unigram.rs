//! SentencePiece's unigram model (Kudo 2018, arXiv 1804.10959): of all ways to cut a text into pieces the one whose scores, logarithms of
//! probabilities, have the largest sum; found from left to right (Viterbi).
//!
//! Sums are in single precision, and of equal ones the first counts, as in the SentencePiece library: in long texts other sums would give
//! other pieces.

use std::ops::Range;

use crate::digest::Hasher;

/// What a character costs that is no piece, beside the lowest score of all.
const PENALTY: f32 = 10.0;
/// What a piece of the user costs: next to nothing, so that it is taken.
const OF_USER: f32 = -0.1;

/// A piece that a text can be cut into.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnigramPiece {
    pub text: String,
    pub id: u32,
    pub score: f32,
}

/// The pieces, and what becomes of the rest.
pub(super) struct Unigram {
    /// By their text.
    pieces: Vec<UnigramPiece>,
    unknown: u32,
    /// Score of the unknown.
    unknown_score: f32,
    /// The ids of `<0x00>` to `<0xFF>`, where characters without a piece become them.
    bytes: Option<Vec<u32>>,
}

/// The best way up to one place of the text.
#[derive(Clone, Copy)]
struct Best {
    score: f32,
    /// Where its last piece begins, and which it is; none of both where nothing leads here.
    last: Option<(usize, u32)>,
}

impl Unigram {
    /// Of `pieces` with their scores, `of_user` without, each with its id.
    pub fn new(
        pieces: Vec<UnigramPiece>,
        of_user: impl Iterator<Item = (String, u32)>,
        unknown: u32,
        bytes: Option<Vec<u32>>,
    ) -> Self {
        let lowest = pieces.iter().map(|piece| piece.score).reduce(f32::min).unwrap_or(0.0);
        let of_user = of_user.map(|(text, id)| UnigramPiece { text, id, score: OF_USER });
        let mut pieces: Vec<UnigramPiece> = pieces.into_iter().chain(of_user).collect();
        pieces.sort_by(|a, b| a.text.cmp(&b.text));
        Self { pieces, unknown, unknown_score: lowest - PENALTY, bytes }
    }

    /// Adds everything that decides which tokens a text becomes.
    pub fn update(&self, hasher: &mut Hasher) {
        let Self { pieces, unknown, unknown_score, bytes } = self;
        for UnigramPiece { text, id, score } in pieces {
            hasher.update(format!("{text:?} {id} {}\n", score.to_bits()).as_bytes());
        }
        hasher.update(format!("{unknown} {} {bytes:?}\n", unknown_score.to_bits()).as_bytes());
    }

    /// The ids of `text`, in which spaces are `▁` already.
    pub fn ids(&self, text: &str) -> Vec<u32> {
        let nothing = Best { score: 0.0, last: None };
        let mut best = vec![nothing; text.len() + 1];
        for (at, character) in text.char_indices() {
            let here = best[at].score;
            let mut offer = |end: usize, score: f32, id: u32| {
                let there = &mut best[end];
                let score = score + here;
                if there.last.is_none() || score > there.score {
                    *there = Best { score, last: Some((at, id)) };
                }
            };
            let end_of_character = at + character.len_utf8();
            let mut is_piece = false;
            self.each_prefix(&text[at..], &mut |length, piece| {
                is_piece |= at + length == end_of_character;
                offer(at + length, piece.score, piece.id);
            });
            if !is_piece {
                offer(end_of_character, self.unknown_score, self.unknown);
            }
        }
        let mut ways = Vec::new();
        let mut end = text.len();
        while let Some((begin, id)) = best[end].last {
            ways.push((begin..end, id));
            end = begin;
        }
        let mut ids = Vec::with_capacity(ways.len());
        let mut behind_unknown = false;
        for (range, id) in ways.into_iter().rev() {
            let is_unknown = id == self.unknown;
            match (&self.bytes, is_unknown) {
                (Some(bytes), true) => {
                    ids.extend(text[range].bytes().map(|byte| bytes[usize::from(byte)]));
                }
                // What is unknown in a row is one token.
                (None, true) if behind_unknown => {}
                _ => ids.push(id),
            }
            behind_unknown = is_unknown;
        }
        ids
    }

    /// Calls `found` for each piece that `text` begins with, the shortest first, with its bytes.
    fn each_prefix(&self, text: &str, found: &mut dyn FnMut(usize, &UnigramPiece)) {
        // Those that begin as the text does, up to the byte that is looked at.
        let mut among: Range<usize> = 0..self.pieces.len();
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            let here = &self.pieces[among.clone()];
            let byte_of = |piece: &UnigramPiece| piece.text.as_bytes().get(at).copied();
            let begin = here.partition_point(|piece| byte_of(piece) < Some(byte));
            let end = here.partition_point(|piece| byte_of(piece) <= Some(byte));
            among = among.start + begin..among.start + end;
            let Some(first) = self.pieces.get(among.start).filter(|_| !among.is_empty()) else { return };
            if first.text.len() == at + 1 {
                found(at + 1, first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece((text, id, score): (&str, u32, f32)) -> UnigramPiece {
        UnigramPiece { text: text.into(), id, score }
    }

    fn model(bytes: Option<Vec<u32>>) -> Unigram {
        let pieces = [("a", 1, -1.0), ("b", 2, -2.0), ("ab", 3, -2.5), ("aba", 4, -9.0), ("▁", 5, -3.0)];
        Unigram::new(pieces.map(piece).to_vec(), std::iter::once(("bb".to_owned(), 6)), 0, bytes)
    }

    #[test]
    fn the_best_sum_counts_and_what_is_unknown_in_a_row_is_one() {
        let unigram = model(None);
        assert_eq!(unigram.ids(""), [0u32; 0]);
        assert_eq!(unigram.ids("ab"), [3]);
        assert_eq!(unigram.ids("aba"), [3, 1]);
        assert_eq!(unigram.ids("abb"), [1, 6], "the user's piece");
        assert_eq!(unigram.ids("xéya▁z"), [0, 1, 5, 0]);
        let bytes = model(Some((1000..1256).collect()));
        assert_eq!(bytes.ids("xéa"), [1000 + 0x78, 1000 + 0xc3, 1000 + 0xa9, 1]);
    }

    /// The largest sum of all ways to cut, tried one by one.
    fn best_of_all(unigram: &Unigram, text: &str) -> f32 {
        let Some(first) = text.chars().next() else { return 0.0 };
        let known = unigram.pieces.iter().filter(|piece| text.starts_with(&piece.text));
        let mut ways: Vec<f32> =
            known.map(|piece| piece.score + best_of_all(unigram, &text[piece.text.len()..])).collect();
        if !unigram.pieces.iter().any(|piece| piece.text.chars().eq(std::iter::once(first))) {
            ways.push(unigram.unknown_score + best_of_all(unigram, &text[first.len_utf8()..]));
        }
        ways.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[test]
    fn no_other_way_has_a_larger_sum() {
        let unigram = model(Some((1000..1256).collect()));
        let score = |id: u32| unigram.pieces.iter().find(|piece| piece.id == id).map(|piece| piece.score);
        let mut texts = vec![String::new()];
        for length in 0..7 {
            let longest: Vec<String> =
                texts.iter().filter(|text| text.chars().count() == length).cloned().collect();
            texts.extend(
                longest.iter().flat_map(|text| ['a', 'b', 'x', '▁'].map(|next| format!("{text}{next}"))),
            );
        }
        assert!(texts.len() > 20_000);
        for text in texts {
            // Bytes of one unknown character are one cost: `x` has one byte.
            let ids = unigram.ids(&text).into_iter();
            let sum: f32 = ids.map(|id| score(id).unwrap_or(unigram.unknown_score)).sum();
            assert!((sum - best_of_all(&unigram, &text)).abs() < 1e-3, "{text:?}");
        }
    }
}
