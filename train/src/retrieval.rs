//! Retrieval documents for training: numbers that are told once and asked for later, in the paper's wording and in others, and
//! passages that come twice, so that a small model learns to look things up.

use lm_infinite_runtime::random::Stream;
use lm_infinite_runtime::tokenizer::Tokenizer;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::error::Result;
use crate::wording::{self, NAMES};

/// Sentences to stand between, besides the paper's and segments of the corpus.
const SENTENCES: [&str; 12] = [
    "The river runs to the sea.",
    "A dog sleeps under the table.",
    "Bread is made of flour and water.",
    "It rains in the mountains.",
    "The children play in the yard.",
    "Somebody closed the window.",
    "The road goes up and down.",
    "Birds fly south in autumn.",
    "We wait for the next train.",
    "The lamp stands by the bed.",
    "Snow fell during the night.",
    "The old clock strikes nine.",
];

/// Ways to tell a number: the paper's up to [`SHORT`], shorter ones from there.
const WORDINGS: u32 = 7;
const SHORT: u32 = 4;

/// A number with a name.
struct Fact {
    name: &'static str,
    number: u64,
}

impl Fact {
    fn told(&self, wording: u32) -> String {
        let Self { name, number } = self;
        match wording {
            0..SHORT => wording::needle(name, *number),
            SHORT => format!("The {name} is {number}."),
            5 => format!("Remember this: the {name} is {number}."),
            _ => format!("{number} is the {name}."),
        }
    }

    fn asked(&self) -> String {
        format!("{} {}.", wording::question(self.name), self.number)
    }
}

/// `length` tokens of one of the two kinds of documents: [`facts_and_questions`], or one time in three [`repeated`]; where
/// `only_repeats`, always that. `segment` is a piece of text, as long as the document.
///
/// # Errors
/// Where the tokenizer fails.
pub fn document(
    random: &mut Stream,
    tokenizer: &Tokenizer,
    length: usize,
    segment: &[u32],
    only_repeats: bool,
) -> Result<Vec<u32>> {
    let line_break = tokenizer.encode_continuation("\n")?;
    if only_repeats || random.random_bool(1.0 / 3.0) {
        return Ok(repeated(random, segment, &line_break, length));
    }
    facts_and_questions(random, tokenizer, length, segment, &line_break)
}

/// One to seven numbers told, each asked for and answered at least once after that, and filler in between: the paper's,
/// other sentences, or `segment`. Each piece is a line of its own.
fn facts_and_questions(
    random: &mut Stream,
    tokenizer: &Tokenizer,
    length: usize,
    segment: &[u32],
    line_break: &[u32],
) -> Result<Vec<u32>> {
    let encode = |text: &str| tokenizer.encode_continuation(text);
    // Half of the documents are mostly numbers and questions: a lookup is learned from many of them.
    let dense = random.random_bool(0.5);
    let facts = facts(random, dense);
    let mut pieces = Vec::new();
    for fact in &facts {
        let wording = random.random_range(if dense { SHORT } else { 0 }..WORDINGS);
        pieces.push(encode(&format!("\n{}", fact.told(wording)))?);
    }
    let mut asked: Vec<&Fact> = facts.iter().chain(facts.choose(random)).collect();
    asked.shuffle(random);
    for fact in asked {
        pieces.push(encode(&format!("\n{}", fact.asked()))?);
    }
    let filler = match random.random_range(0..4) {
        0 | 1 => encode(&format!(" {}", wording::FILLER))?,
        2 => {
            let sentences: Vec<&str> = SENTENCES.choose_multiple(random, 6).copied().collect();
            encode(&format!(" {}", sentences.join(" ")))?
        }
        _ => segment.to_vec(),
    };
    let mut out = if !dense && random.random_bool(0.5) { encode(wording::TASK)? } else { Vec::new() };
    let room = length.saturating_sub(out.len());
    out.extend(spread(random, pieces, &filler, line_break, room));
    out.truncate(length);
    Ok(out)
}

/// A passage of `segment` that comes again and again, or twice with the rest of `segment` between and after. Short passages are
/// as frequent as long ones (lengths are uniform in their logarithm): looking up "what came after this, before" is learned on
/// short ones, from where it spreads to long ones.
fn repeated(random: &mut Stream, segment: &[u32], line_break: &[u32], length: usize) -> Vec<u32> {
    let longest = (segment.len() / 2).max(1);
    let passage = (longest as f64).powf(random.random_range(0.3..=1.0)).round() as usize;
    let (passage, rest) = segment.split_at(passage);
    if random.random_bool(0.5) {
        return passage.iter().chain(line_break).copied().cycle().take(length).collect();
    }
    let (between, after) = rest.split_at(random.random_range(0..=rest.len()));
    [passage, line_break, between, line_break, passage, after].concat().into_iter().take(length).collect()
}

fn facts(random: &mut Stream, dense: bool) -> Vec<Fact> {
    let counts = if dense { [4, 5, 6, 7] } else { [1, 1, 2, 3] };
    let count = *counts.choose(random).expect("a list that is not empty");
    let others = NAMES[1..].choose_multiple(random, count).copied();
    let names: Vec<&str> = std::iter::once(NAMES[0]).chain(others).collect();
    let first = usize::from(random.random_bool(0.4));
    names[first..first + count]
        .iter()
        .map(|name| {
            let digits = random.random_range(1..=7);
            Fact { name, number: random.random_range(1..=10u64.pow(digits)) }
        })
        .collect()
}

/// `pieces` in order, with all the filler that `length` leaves room for cut at random places between them, `line_break` before
/// each cut. Half of the time the last piece ends the document. Where pieces alone are too long, the document ends with them.
fn spread(
    random: &mut Stream,
    pieces: Vec<Vec<u32>>,
    filler: &[u32],
    line_break: &[u32],
    length: usize,
) -> Vec<u32> {
    let room = length.saturating_sub(pieces.iter().map(Vec::len).sum());
    let mut cuts: Vec<usize> = pieces.iter().map(|_| random.random_range(0..=room)).collect();
    cuts.sort_unstable();
    if random.random_bool(0.5)
        && let Some(last) = cuts.last_mut()
    {
        *last = room;
    }
    let mut source = filler.iter().copied().cycle();
    let mut gap =
        |count: usize| line_break.iter().copied().chain(source.by_ref()).take(count).collect::<Vec<_>>();
    let mut out = Vec::with_capacity(length);
    let mut used = 0;
    for (piece, cut) in pieces.into_iter().zip(cuts) {
        out.extend(gap(cut - used));
        used = cut;
        out.extend(piece);
    }
    out.extend(gap(room - used));
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use lm_infinite_runtime::random;

    #[test]
    fn pieces_keep_their_order_and_filler_takes_the_rest() {
        let mut random = random::expanded(1);
        for length in [1, 4, 9, 50] {
            let out = spread(&mut random, vec![vec![1, 2], vec![3, 4]], &[7, 8, 9], &[6], length);
            assert_eq!(out.len(), length);
            let told: Vec<u32> = out.iter().copied().filter(|&t| t < 5).collect();
            assert_eq!(told, [1, 2, 3, 4][..told.len()]);
            assert_eq!(told.len(), length.min(4));
        }
    }

    #[test]
    fn a_repeated_passage_comes_again() {
        let mut random = random::expanded(3);
        let segment: Vec<u32> = (10..74).collect();
        let mut seen_again = 0;
        for _ in 0..100 {
            let out = repeated(&mut random, &segment, &[1], 64);
            assert_eq!(out.len(), 64);
            let passage = out.iter().take_while(|&&token| token != 1).count();
            assert!((1..=32).contains(&passage), "{out:?}");
            let again = out.windows(passage).skip(1).any(|window| window == &out[..passage]);
            seen_again += usize::from(again);
        }
        assert!(seen_again > 70, "{seen_again}");
    }

    #[test]
    fn every_told_number_is_asked_for() {
        let mut random = random::expanded(2);
        for _ in 0..100 {
            let (few, many) = (facts(&mut random, false), facts(&mut random, true));
            assert!((1..=3).contains(&few.len()) && (4..=7).contains(&many.len()));
            for fact in few.iter().chain(&many) {
                for wording in 0..WORDINGS {
                    assert!(fact.told(wording).contains(&fact.number.to_string()));
                }
                assert!(fact.asked().ends_with(&format!("The {} is {}.", fact.name, fact.number)));
            }
        }
    }
}
