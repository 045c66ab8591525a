//! The passkey task in the paper's wording (section 4.4; Mohtashami & Jaggi 2023): a number hidden in a long irrelevant text.

use std::sync::Arc;

use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::tokenizer::Tokenizer;
use lm_infinite_train::wording::{FILLER, TASK, needle, question};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::error::{Error, Result};
use crate::method::{Method, continuation};

/// The paper's name of the number.
pub const NAME: &str = "pass key";

/// Most tokens of an answer: a space, eight digits and what ends them, where each digit is a token.
pub const ANSWER_TOKENS: usize = 10;

/// Largest key.
const LARGEST: u64 = 10_000_000;

/// A prompt and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The prompt, a BOS first where the tokenizer adds one.
    pub tokens: Vec<u32>,
    /// The hidden number.
    pub key: u64,
}

impl Prompt {
    /// A prompt of exactly `length` tokens with a key drawn from 1 to 10^7, hidden at `depth` (0 right after the task, 1
    /// right before the question), or anywhere.
    ///
    /// # Errors
    /// Where task, key and question alone are longer.
    pub fn new(tokenizer: &Tokenizer, length: usize, depth: Option<f64>, seed: u64) -> Result<Self> {
        let mut random = StdRng::seed_from_u64(seed);
        let key = random.random_range(1..=LARGEST);
        let depth = depth.unwrap_or_else(|| random.random_range(0.0..=1.0));
        // Lines, each with its line break: cut between a line break and a word, or between a word and a space, a text has
        // the same tokens as in one piece.
        let mut tokens = tokenizer.encode(&format!("{TASK}\n"))?;
        let needle_line = tokenizer.encode_continuation(&format!("{}\n", needle(NAME, key)))?;
        let question_line = tokenizer.encode_continuation(&question(NAME))?;
        let first = tokenizer.encode_continuation(FILLER)?;
        let again = tokenizer.encode_continuation(&format!(" {FILLER}"))?;
        let line_break = tokenizer.encode_continuation("\n")?;
        let needed = tokens.len() + needle_line.len() + question_line.len();
        let Some(room) = length.checked_sub(needed) else {
            let reason = format!("{length} tokens; task, key and question alone are {needed}");
            return Err(Error::input("passkey prompt", reason));
        };
        let before = ((room as f64 * depth).round() as usize).min(room);
        // As much filler as there is room for, and the line break behind it.
        let filler = |count: usize| {
            let words = count.saturating_sub(line_break.len());
            let filler = first.iter().chain(again.iter().cycle()).take(words);
            filler.chain(line_break.iter().cycle()).copied().take(count)
        };
        tokens.extend(filler(before));
        tokens.extend(needle_line);
        tokens.extend(filler(room - before));
        tokens.extend(question_line);
        Ok(Self { tokens, key })
    }

    /// Is the first number in `answer` the key?
    pub fn is_answered_by(&self, answer: &str) -> bool {
        let digits: String =
            answer.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        digits.parse() == Ok(self.key)
    }
}

/// What the model answers, likeliest token by likeliest token.
///
/// # Errors
/// A policy that does not fit the model; [`lm_infinite_runtime::Error::NotFinite`] where the model has no answer.
pub fn answer(
    decoder: &Arc<Decoder>,
    tokenizer: &Tokenizer,
    method: &Method,
    prompt: &Prompt,
) -> Result<String> {
    let stop: Vec<u32> = tokenizer.stop_tokens().collect();
    let tokens = continuation(decoder, tokenizer, method, &prompt.tokens, ANSWER_TOKENS, &stop)?;
    Ok(tokenizer.decode(&tokens.collect::<Result<Vec<u32>>>()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_of_an_answer_counts() {
        let prompt = Prompt { tokens: Vec::new(), key: 123 };
        for (answer, right) in [
            (" 123.", true),
            (" 123", true),
            ("is 123 4", true),
            (" 1234", false),
            ("12", false),
            ("no", false),
            ("", false),
            ("4 123", false),
        ] {
            assert_eq!(prompt.is_answered_by(answer), right, "{answer:?}");
        }
    }
}
