//! What is hidden, what is asked, and what would be right, for each task.
//!
//! The tasks are those of RULER (Hsieh et al. 2024, arXiv 2404.06654), section 3, in the wording of the paper's passkey task: several keys,
//! several values, several queries, variable tracking, common words.

use std::fmt;

use lm_infinite_runtime::random::{self, Purpose, Stream};
use lm_infinite_runtime::tokenizer::Tokenizer;
use lm_infinite_train::wording::{NAMES, needle, question};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

use super::haystack::{self, Hidden};
use crate::error::Result;

/// Numbers that are hidden at once.
const FACTS: usize = 4;
/// How many of them are asked for at once, where several are.
const ASKED: usize = 2;
/// Values of one name; names of a chain of variables; words that come often.
const SEVERAL: usize = 3;
/// Share of the words of a list that are one of the common ones.
const COMMON: f64 = 0.3;
/// Largest number.
const LARGEST: u64 = 10_000_000;

/// Words of a list in which some come often.
const WORDS: [&str; 48] = [
    "apple", "bridge", "candle", "desert", "engine", "forest", "garden", "hammer", "island", "jacket",
    "kettle", "ladder", "market", "needle", "orange", "pencil", "quartz", "rabbit", "saddle", "tunnel",
    "umbrella", "valley", "window", "yellow", "anchor", "basket", "copper", "dragon", "eagle", "feather",
    "glove", "harbor", "insect", "jungle", "kitchen", "lemon", "mirror", "nest", "ocean", "pepper", "queen",
    "river", "silver", "table", "uncle", "violin", "wagon", "zebra",
];

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Four numbers with names; one is asked for.
    MultiKey,
    /// One name with three numbers; all are asked for.
    MultiValue,
    /// Four numbers with names; two are asked for at once.
    MultiQuery,
    /// A number, a variable that is that number, and two that are the one before them; all three are asked for. Three other
    /// variables are another number.
    VariableTracking,
    /// A list of words; the three that come most often are asked for.
    CommonWords,
}

/// Every task.
pub const TASKS: [Task; 5] =
    [Task::MultiKey, Task::MultiValue, Task::MultiQuery, Task::VariableTracking, Task::CommonWords];

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MultiKey => "multi-key",
            Self::MultiValue => "multi-value",
            Self::MultiQuery => "multi-query",
            Self::VariableTracking => "variable-tracking",
            Self::CommonWords => "common-words",
        })
    }
}

/// Something that the answer must name.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The word or number.
    pub word: String,
    /// Where it is hidden, from 0 to 1; `None` where it is in many places.
    pub depth: Option<f64>,
}

/// A prompt and what is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// The prompt, a BOS first where the tokenizer adds one.
    pub tokens: Vec<u32>,
    /// All that the answer must name.
    pub wanted: Vec<Wanted>,
}

impl Prompt {
    /// A prompt of exactly `length` tokens. Everything in it is of the stream of (`seed`, task, `length`, `sample`).
    ///
    /// # Errors
    /// Where what is hidden and the question alone are longer.
    pub fn new(task: Task, tokenizer: &Tokenizer, length: usize, seed: u64, sample: u64) -> Result<Self> {
        let mut random = random::stream(Purpose::Needles, seed, &[task as u64, length as u64, sample]);
        match task {
            Task::MultiKey => facts(&mut random, tokenizer, length, 1),
            Task::MultiQuery => facts(&mut random, tokenizer, length, ASKED),
            Task::MultiValue => values(&mut random, tokenizer, length),
            Task::VariableTracking => variables(&mut random, tokenizer, length),
            Task::CommonWords => common_words(&mut random, tokenizer, length),
        }
    }

    /// Which of the wanted words the answer names, each as a word of its own.
    pub fn found(&self, answer: &str) -> Vec<bool> {
        let words: Vec<&str> = answer.split(|c: char| !c.is_alphanumeric()).collect();
        let named = |wanted: &Wanted| words.iter().any(|word| word.eq_ignore_ascii_case(&wanted.word));
        self.wanted.iter().map(named).collect()
    }
}

/// Places for `count` lines: one in each of as many parts of the text, so that no two are the same and all depths are as
/// frequent.
fn depths(random: &mut Stream, count: usize) -> Vec<f64> {
    (0..count).map(|part| (part as f64 + random.random_range(0.0..1.0)) / count as f64).collect()
}

fn numbers(random: &mut Stream, count: usize) -> Vec<u64> {
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        let number = random.random_range(1..=LARGEST);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

fn facts(random: &mut Stream, tokenizer: &Tokenizer, length: usize, asked: usize) -> Result<Prompt> {
    let names: Vec<&str> = NAMES.choose_multiple(random, FACTS).copied().collect();
    let numbers = numbers(random, FACTS);
    let depths = depths(random, FACTS);
    let line = |at: usize| Hidden { depth: depths[at], line: needle(names[at], numbers[at]) };
    let hidden: Vec<Hidden> = (0..FACTS).map(line).collect();
    let mut order: Vec<usize> = (0..FACTS).collect();
    order.shuffle(random);
    order.truncate(asked);
    let words = match order[..] {
        [only] => question(names[only]),
        _ => {
            let all: Vec<String> = order.iter().map(|&at| format!("the {}", names[at])).collect();
            format!("What are {0}? In this order, {0} are", all.join(" and "))
        }
    };
    let wanted = |&at: &usize| Wanted { word: numbers[at].to_string(), depth: Some(depths[at]) };
    Ok(Prompt {
        tokens: haystack::prompt(tokenizer, length, &hidden, &words)?,
        wanted: order.iter().map(wanted).collect(),
    })
}

fn values(random: &mut Stream, tokenizer: &Tokenizer, length: usize) -> Result<Prompt> {
    let name = NAMES.choose(random).copied().unwrap_or_default();
    let numbers = numbers(random, SEVERAL);
    let depths = depths(random, SEVERAL);
    let line =
        |at: usize| Hidden { depth: depths[at], line: format!("A {name} is {}. Remember it.", numbers[at]) };
    let hidden: Vec<Hidden> = (0..SEVERAL).map(line).collect();
    let words = format!("What are the {SEVERAL} {name}s? The {SEVERAL} {name}s are");
    let wanted = |at: usize| Wanted { word: numbers[at].to_string(), depth: Some(depths[at]) };
    Ok(Prompt {
        tokens: haystack::prompt(tokenizer, length, &hidden, &words)?,
        wanted: (0..SEVERAL).map(wanted).collect(),
    })
}

fn variables(random: &mut Stream, tokenizer: &Tokenizer, length: usize) -> Result<Prompt> {
    let mut letters: Vec<char> = ('A'..='Z').collect();
    letters.shuffle(random);
    // No letter is in two names, and none of them is a word of the question.
    let names: Vec<String> =
        letters.chunks(3).take(2 * SEVERAL).map(|letters| letters.iter().collect()).collect();
    let numbers = numbers(random, 2);
    let depths = depths(random, 2 * SEVERAL);
    // Two chains, one within the other, each in order.
    let mut turns: Vec<usize> = (0..2 * SEVERAL).map(|at| at % 2).collect();
    turns.shuffle(random);
    let mut told = [0; 2];
    let mut hidden = Vec::new();
    let mut wanted = Vec::new();
    for (depth, chain) in depths.into_iter().zip(turns) {
        let name = |at: usize| &names[chain * SEVERAL + at];
        let at = told[chain];
        told[chain] += 1;
        let line = if at == 0 {
            format!("Variable {} is {}.", name(0), numbers[chain])
        } else {
            format!("Variable {} is the same as variable {}.", name(at), name(at - 1))
        };
        hidden.push(Hidden { depth, line });
        if chain == 0 {
            wanted.push(Wanted { word: name(at).clone(), depth: Some(depth) });
        }
    }
    let words = format!("Which {SEVERAL} variables are {0}? The variables that are {0} are", numbers[0]);
    Ok(Prompt { tokens: haystack::prompt(tokenizer, length, &hidden, &words)?, wanted })
}

fn common_words(random: &mut Stream, tokenizer: &Tokenizer, length: usize) -> Result<Prompt> {
    let mut words = WORDS;
    words.shuffle(random);
    let (common, rare) = words.split_at(SEVERAL);
    let mut tokens = tokenizer.encode("Here is a list of words. Some come more often than others.\n")?;
    let asked = format!(
        "\nWhich {SEVERAL} words come most often in the list? The {SEVERAL} words that come most often are"
    );
    let asked = tokenizer.encode_continuation(&asked)?;
    let room = haystack::room(length, tokens.len() + asked.len())?;
    let mut list = Vec::with_capacity(room);
    // Each common word in turn, so that they come equally often.
    let mut turn = 0;
    while list.len() < room {
        let word = if random.random_bool(COMMON) {
            turn += 1;
            common[turn % SEVERAL]
        } else {
            rare.choose(random).copied().unwrap_or_default()
        };
        list.extend(tokenizer.encode_continuation(&format!(" {word}"))?);
    }
    list.truncate(room);
    tokens.extend(list);
    tokens.extend(asked);
    let wanted = common.iter().map(|&word| Wanted { word: word.into(), depth: None }).collect();
    Ok(Prompt { tokens, wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_exact_repeatable_and_hold_their_answer() {
        let model = crate::testing::tiny();
        for task in TASKS {
            for length in [256, 1000] {
                let of =
                    |seed, sample| Prompt::new(task, &model.tokenizer, length, seed, sample).expect("room");
                let prompt = of(0, 0);
                assert_eq!(prompt.tokens.len(), length, "{task}");
                assert_eq!(prompt, of(0, 0));
                assert!(prompt != of(0, 1) && prompt != of(1, 0), "{task}");
                let text = model.tokenizer.decode(&prompt.tokens).expect("text");
                for wanted in &prompt.wanted {
                    assert!(text.contains(&wanted.word), "{task}: {} in {text}", wanted.word);
                    assert!(wanted.depth.is_none_or(|depth| (0.0..1.0).contains(&depth)));
                }
                // The text itself, as an answer, names everything; nothing names nothing.
                assert!(prompt.found(&text).iter().all(|&found| found), "{task}: {text}");
                assert!(prompt.found("no").iter().all(|&found| !found));
            }
        }
    }

    #[test]
    fn a_number_within_another_is_not_named() {
        let wanted = |word: &str| Wanted { word: word.into(), depth: None };
        let prompt = Prompt { tokens: Vec::new(), wanted: vec![wanted("12"), wanted("Lemon")] };
        assert_eq!(prompt.found("12, lemon."), [true, true]);
        assert_eq!(prompt.found("123 lemons 0012"), [false, false]);
        assert_eq!(prompt.found(""), [false, false]);
    }

    #[test]
    fn common_words_are_the_most_frequent_ones() {
        let model = crate::testing::tiny();
        for sample in 0..5 {
            let prompt = Prompt::new(Task::CommonWords, &model.tokenizer, 2048, 0, sample).expect("room");
            let text = model.tokenizer.decode(&prompt.tokens).expect("text");
            let count = |word: &str| text.split_whitespace().filter(|own| *own == word).count();
            let least = prompt.wanted.iter().map(|wanted| count(&wanted.word)).min();
            let others = WORDS.iter().filter(|word| prompt.wanted.iter().all(|wanted| wanted.word != **word));
            assert!(least > others.map(|word| count(word)).max(), "{text}");
        }
    }

    #[test]
    fn another_chain_of_variables_is_no_answer() {
        let model = crate::testing::tiny();
        let prompt = Prompt::new(Task::VariableTracking, &model.tokenizer, 400, 0, 0).expect("room");
        assert_eq!(prompt.wanted.len(), SEVERAL);
        let text = model.tokenizer.decode(&prompt.tokens).expect("text");
        let first = text.find(&format!("Variable {} is ", prompt.wanted[0].word)).expect("its begin");
        assert!(prompt.wanted[1..].iter().all(|wanted| text.find(&wanted.word).is_some_and(|at| at > first)));
    }
}
