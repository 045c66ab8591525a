//! GGUF's `llama` vocabularies: SentencePiece BPE, stored as pieces with scores.
//!
//! SentencePiece merges, at every step, the two neighbours whose union is the piece with the best score, and of several
//! the leftmost (Sennrich et al. 2016, arXiv 1508.07909; Kudo & Richardson 2018, arXiv 1808.06226). A list of ranked
//! pairs, as the `tokenizers` crate has it, cannot say this: one piece has one score, however it is put together, so
//! that two of its pairs tie, and then the place in the text decides. Hence merges of our own here; added tokens,
//! normalizer and decoder are the crate's. Characters without a piece become their UTF-8 bytes, `<0x00>` to `<0xFF>`;
//! spaces are `▁`.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence as NormalizerSequence};
use tokenizers::{DecoderWrapper, NormalizerWrapper};

use super::chunks::Cut;
use crate::digest::Hasher;

/// The character that stands for a space.
const SPACE: char = '▁';

/// Longest piece in bytes; trainers stop at 16 characters, and looking one up costs its length.
pub(super) const LONGEST_PIECE: usize = 1024;

/// A piece that merges can produce.
pub(super) struct Piece<'a> {
    pub text: &'a str,
    pub score: f64,
    /// Merges pass through it, but it is no token: where it is left over, it is taken apart again.
    pub unused: bool,
}

/// A tokenizer without a model, the model, and where texts may be cut.
pub(super) type Built = (tokenizers::Tokenizer, Merges, Cut);

/// Builds the tokenizer. `vocabulary` has all tokens, `pieces` the ordinary ones; `space_prefix`: a space is put in
/// front of every text.
pub(super) fn build(
    vocabulary: &HashMap<&str, u32>,
    pieces: &[Piece<'_>],
    unknown: Option<&str>,
    space_prefix: bool,
) -> tokenizers::Result<Built> {
    let merges = Merges::new(vocabulary, pieces, unknown);
    let owned: Vocab = vocabulary.iter().map(|(text, &id)| ((*text).to_owned(), id)).collect();
    // It knows which id is which text, and is never asked to merge.
    let names = BPE::builder().vocab_and_merges(owned, Vec::new()).build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(names);

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
    Ok((tokenizer, merges, cut))
}

/// Has the piece a space behind something else? Then merges reach across the left edges of words.
pub(super) fn crosses_a_space(piece: &str) -> bool {
    piece.trim_start_matches(SPACE).contains(SPACE)
}

#[derive(Clone, Copy)]
struct Scored {
    id: u32,
    score: f64,
    unused: bool,
}

/// Pieces with scores, and what becomes of the rest.
pub(super) struct Merges {
    pieces: HashMap<String, Scored>,
    /// Bytes of the longest piece.
    longest: usize,
    /// The ids of `<0x00>` to `<0xFF>`, where the vocabulary has all of them.
    bytes: Option<Vec<u32>>,
    unknown: Option<u32>,
}

/// A part of the text between two merges; its neighbours are found by their index.
struct Symbol {
    range: Range<usize>,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours whose union is a piece.
struct Candidate {
    score: f64,
    left: usize,
    right: usize,
    /// Bytes of the union: a candidate one of whose parts has grown meanwhile is out of date.
    bytes: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

impl Merges {
    /// Adds everything that decides which tokens a text becomes.
    pub(super) fn update(&self, hasher: &mut Hasher) {
        let Self { pieces, longest: _, bytes, unknown } = self;
        let mut sorted: Vec<(&String, &Scored)> = pieces.iter().collect();
        sorted.sort_by_key(|(text, _)| *text);
        for (text, Scored { id, score, unused }) in sorted {
            hasher.update(format!("{text:?} {id} {} {unused}\n", score.to_bits()).as_bytes());
        }
        hasher.update(format!("{bytes:?} {unknown:?}\n").as_bytes());
    }

    fn new(vocabulary: &HashMap<&str, u32>, pieces: &[Piece<'_>], unknown: Option<&str>) -> Self {
        let mut scored = HashMap::with_capacity(pieces.len());
        for piece in pieces {
            if let Some(&id) = vocabulary.get(piece.text) {
                // Minus zero is zero: scores are compared by `total_cmp`. The first of equal texts counts, as its id.
                let entry = Scored { id, score: piece.score + 0.0, unused: piece.unused };
                scored.entry(piece.text.to_owned()).or_insert(entry);
            }
        }
        Self {
            longest: pieces.iter().map(|piece| piece.text.len()).max().unwrap_or(0),
            pieces: scored,
            bytes: (0..=255)
                .map(|byte| vocabulary.get(format!("<0x{byte:02X}>").as_str()).copied())
                .collect(),
            unknown: unknown.and_then(|text| vocabulary.get(text).copied()),
        }
    }

    /// The ids of `text`, in which spaces are `▁` already.
    ///
    /// # Errors
    /// A character that is no piece, where the vocabulary has neither bytes nor a token for the unknown.
    pub fn ids(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(at, (from, c))| Symbol {
                range: from..from + c.len_utf8(),
                previous: at.checked_sub(1),
                next: Some(at + 1),
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = None;
        }
        let mut candidates = BinaryHeap::new();
        let mut taken_apart: HashMap<&str, (&str, &str)> = HashMap::new();
        for left in 1..symbols.len() {
            self.consider(text, &symbols, Some(left - 1), Some(left), &mut candidates, &mut taken_apart);
        }
        while let Some(Candidate { left, right, bytes, .. }) = candidates.pop() {
            let (low, high) = (symbols[left].range.clone(), symbols[right].range.clone());
            if low.is_empty() || high.is_empty() || high.end - low.start != bytes {
                continue;
            }
            symbols[left].range = low.start..high.end;
            symbols[right].range = high.end..high.end;
            let (previous, next) = (symbols[left].previous, symbols[right].next);
            symbols[left].next = next;
            if let Some(next) = next {
                symbols[next].previous = Some(left);
            }
            self.consider(text, &symbols, previous, Some(left), &mut candidates, &mut taken_apart);
            self.consider(text, &symbols, Some(left), next, &mut candidates, &mut taken_apart);
        }
        let mut ids = Vec::new();
        let mut at = (!symbols.is_empty()).then_some(0);
        while let Some(index) = at {
            self.push(&text[symbols[index].range.clone()], &taken_apart, &mut ids)?;
            at = symbols[index].next;
        }
        Ok(ids)
    }

    /// Adds `left` and `right` to the candidates, if their union is a piece.
    fn consider<'t>(
        &self,
        text: &'t str,
        symbols: &[Symbol],
        left: Option<usize>,
        right: Option<usize>,
        candidates: &mut BinaryHeap<Candidate>,
        taken_apart: &mut HashMap<&'t str, (&'t str, &'t str)>,
    ) {
        let (Some(left), Some(right)) = (left, right) else { return };
        let (low, high) = (&symbols[left].range, &symbols[right].range);
        let bytes = high.end - low.start;
        if bytes > self.longest {
            return;
        }
        let union = &text[low.start..high.end];
        let Some(piece) = self.pieces.get(union) else { return };
        candidates.push(Candidate { score: piece.score, left, right, bytes });
        if piece.unused {
            taken_apart.insert(union, (&text[low.clone()], &text[high.clone()]));
        }
    }

    /// Writes the ids of a symbol that merges left over.
    fn push(
        &self,
        symbol: &str,
        taken_apart: &HashMap<&str, (&str, &str)>,
        ids: &mut Vec<u32>,
    ) -> std::result::Result<(), String> {
        match (self.pieces.get(symbol), taken_apart.get(symbol)) {
            (Some(piece), _) if !piece.unused => ids.push(piece.id),
            (Some(_), Some(&(left, right))) => {
                self.push(left, taken_apart, ids)?;
                self.push(right, taken_apart, ids)?;
            }
            // A single character that is not in use is a token all the same: there is nothing to take apart.
            (Some(piece), None) => ids.push(piece.id),
            (None, _) => match (&self.bytes, self.unknown) {
                (Some(bytes), _) => ids.extend(symbol.bytes().map(|byte| bytes[usize::from(byte)])),
                // What is unknown in a row is one token.
                (None, Some(unknown)) if ids.last() == Some(&unknown) => {}
                (None, Some(unknown)) => ids.push(unknown),
                (None, None) => {
                    return Err(format!(
                        "the vocabulary has no token for {symbol:?}, and none for the unknown"
                    ));
                }
            },
        }
        Ok(())
    }
}
