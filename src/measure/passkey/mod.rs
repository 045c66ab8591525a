//! The passkey task in the paper's wording (section 4.4; Mohtashami & Jaggi 2023): a number hidden in a long irrelevant text.

mod answers;

use std::sync::Arc;

use lm_infinite_runtime::random::{self, Purpose};
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::tokenizer::Tokenizer;
use lm_infinite_train::wording::{needle, question};
use rand::Rng;
use serde::{Deserialize, Serialize};

pub use answers::Answers;

use crate::error::Result;
use crate::method::{Method, continuation, finite};
use crate::needles::haystack::{self, Hidden};

/// The paper's name of the number.
pub const NAME: &str = "pass key";

/// Most tokens of an answer: a space, eight digits and what ends them, where each digit is a token.
pub const ANSWER_TOKENS: usize = 10;

/// Largest key.
const LARGEST: u64 = 10_000_000;

/// Which prompt it is, among those of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Tokens.
    pub length: usize,
    /// [`f64::to_bits`] of the key's depth; those of no number where it is drawn.
    pub depth_bits: u64,
    /// Which of its length and depth.
    pub sample: u64,
}

/// A prompt and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The prompt, a BOS first where the tokenizer adds one.
    pub tokens: Vec<u32>,
    /// The hidden number.
    pub key: u64,
    /// Which one it is.
    pub place: Place,
}

/// What became of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered with its key.
    Found,
    /// It was answered with something else.
    Missed,
    /// It has no answer: logits are not finite.
    NotFinite,
}

impl Prompt {
    /// A prompt of exactly `length` tokens with a key drawn from 1 to 10^7, hidden at `depth` (0 right after the task, 1
    /// right before the question), or anywhere. Key and place are of the stream of (`seed`, `length`, `depth`, `sample`): they
    /// have nothing in common with those of another seed, length, depth or sample.
    ///
    /// # Errors
    /// Where task, key and question alone are longer.
    pub fn new(
        tokenizer: &Tokenizer,
        length: usize,
        depth: Option<f64>,
        seed: u64,
        sample: u64,
    ) -> Result<Self> {
        // No depth has these bits: they are not a number.
        let depth_bits = depth.map_or(u64::MAX, f64::to_bits);
        let mut random = random::stream(Purpose::Passkey, seed, &[length as u64, depth_bits, sample]);
        let key = random.random_range(1..=LARGEST);
        let depth = depth.unwrap_or_else(|| random.random_range(0.0..=1.0));
        let hidden = [Hidden { depth, line: needle(NAME, key) }];
        let tokens = haystack::prompt(tokenizer, length, &hidden, &question(NAME))?;
        Ok(Self { tokens, key, place: Place { length, depth_bits, sample } })
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

/// What becomes of `prompt`.
///
/// # Errors
/// As [`answer`], but for logits that are not finite.
pub fn ask(
    decoder: &Arc<Decoder>,
    tokenizer: &Tokenizer,
    method: &Method,
    prompt: &Prompt,
) -> Result<Outcome> {
    Ok(match finite(answer(decoder, tokenizer, method, prompt))? {
        Some(answer) if prompt.is_answered_by(&answer) => Outcome::Found,
        Some(_) => Outcome::Missed,
        None => Outcome::NotFinite,
    })
}

/// How many of `prompts` are answered with their key, and how many have no answer because logits are not finite. `progress` is told
/// after each.
///
/// # Errors
/// As [`answer`], but for logits that are not finite.
pub fn found(
    decoder: &Arc<Decoder>,
    tokenizer: &Tokenizer,
    method: &Method,
    prompts: &[Prompt],
    progress: &dyn Fn(),
) -> Result<(u64, u64)> {
    let (mut right, mut without_answer) = (0, 0);
    for prompt in prompts {
        match ask(decoder, tokenizer, method, prompt)? {
            Outcome::Found => right += 1,
            Outcome::Missed => {}
            Outcome::NotFinite => without_answer += 1,
        }
        progress();
    }
    Ok((right, without_answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_of_an_answer_counts() {
        let place = Place { length: 0, depth_bits: 0, sample: 0 };
        let prompt = Prompt { tokens: Vec::new(), key: 123, place };
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
