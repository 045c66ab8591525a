//! Lines hidden in an irrelevant text of an exact number of tokens.

use lm_infinite_runtime::tokenizer::Tokenizer;
use lm_infinite_train::wording::{FILLER, TASK};

use crate::error::{Error, Result};

/// A line, and where it is hidden: 0 right after the task, 1 right before the question.
#[derive(Clone, Debug, PartialEq)]
pub struct Hidden {
    /// From 0 to 1.
    pub depth: f64,
    /// Without its line break.
    pub line: String,
}

/// A prompt of exactly `length` tokens, a BOS first where the tokenizer adds one: the task, filler with the `hidden` lines in order
/// of depth, and `question`.
///
/// # Errors
/// Where task, lines and question alone are longer.
pub fn prompt(tokenizer: &Tokenizer, length: usize, hidden: &[Hidden], question: &str) -> Result<Vec<u32>> {
    // Lines, each with its line break: cut between a line break and a word, or between a word and a space, a text has
    // the same tokens as in one piece.
    let mut tokens = tokenizer.encode(&format!("{TASK}\n"))?;
    let mut hidden: Vec<&Hidden> = hidden.iter().collect();
    hidden.sort_by(|a, b| a.depth.total_cmp(&b.depth));
    let lines: Vec<Vec<u32>> = hidden
        .iter()
        .map(|hidden| tokenizer.encode_continuation(&format!("{}\n", hidden.line)))
        .collect::<std::result::Result<_, _>>()?;
    let question = tokenizer.encode_continuation(question)?;
    let first = tokenizer.encode_continuation(FILLER)?;
    let again = tokenizer.encode_continuation(&format!(" {FILLER}"))?;
    let line_break = tokenizer.encode_continuation("\n")?;
    let needed = tokens.len() + lines.iter().map(Vec::len).sum::<usize>() + question.len();
    let room = room(length, needed)?;
    // As much filler as there is room for, and the line break behind it.
    let filler = |count: usize| {
        let words = count.saturating_sub(line_break.len());
        let filler = first.iter().chain(again.iter().cycle()).take(words);
        filler.chain(line_break.iter().cycle()).copied().take(count)
    };
    let mut before = 0;
    for (hidden, line) in hidden.iter().zip(lines) {
        let at = ((room as f64 * hidden.depth).round() as usize).min(room);
        tokens.extend(filler(at - before));
        tokens.extend(line);
        before = at;
    }
    tokens.extend(filler(room - before));
    tokens.extend(question);
    Ok(tokens)
}

/// The tokens that are left for filler.
pub fn room(length: usize, needed: usize) -> Result<usize> {
    length.checked_sub(needed).ok_or_else(|| {
        Error::input(
            "prompt",
            format!("{length} tokens; what is to be found and the question alone are {needed}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_where_they_are_hidden_and_the_length_is_exact() {
        let model = crate::testing::tiny();
        let tokenizer = &model.tokenizer;
        let hidden = |depth, line: &str| Hidden { depth, line: line.into() };
        let lines = [hidden(1.0, "The door code is 7."), hidden(0.0, "The pass key is 5.")];
        for length in [100, 101, 150, 999] {
            let tokens = prompt(tokenizer, length, &lines, "What is it?").expect("room");
            assert_eq!(tokens.len(), length);
            let text = tokenizer.decode(&tokens).expect("text");
            let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
            assert!(
                at("pass key") < at("grass")
                    && at("grass") < at("door code")
                    && at("door code") < at("What is")
            );
        }
        let message = prompt(tokenizer, 20, &lines, "What is it?").expect_err("no room").to_string();
        assert!(message.contains("20 tokens") && message.contains("alone are"), "{message}");
    }
}
