//! Needle tasks beside the passkey: how much of what is hidden in a long text a model finds.

pub mod haystack;
mod tasks;

use std::sync::Arc;

use lm_infinite_analysis::Proportion;
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

pub use tasks::{Prompt, TASKS, Task, Wanted};

use crate::error::{Error, Result};
use crate::method::{Method, continuation, finite};

/// Parts of the text, by depth, that are told apart.
pub const DEPTHS: usize = 5;

/// Tokens of an answer: for each wanted word a number of eight digits with what stands around it, where each digit is a token.
const TOKENS_PER_WORD: usize = 12;

/// What one method found of one task at one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// The task.
    pub task: Task,
    /// The method as written.
    pub policy: String,
    /// Tokens of a prompt.
    pub length: u64,
    /// Mean share of the wanted words that were named, over prompts.
    pub share: Proportion,
    /// The same of the words in each fifth of the text; `None` where none was hidden there. Empty where words have no one place.
    pub by_depth: Vec<Option<Proportion>>,
    /// Prompts without an answer, because the logits after them are not finite. They count as nothing found.
    pub not_finite: u64,
}

/// Sums of shares over prompts.
#[derive(Clone, Copy, Default)]
struct Sum {
    shares: f64,
    prompts: u64,
}

impl Sum {
    fn push(&mut self, found: usize, of: usize) {
        if of > 0 {
            self.shares += found as f64 / of as f64;
            self.prompts += 1;
        }
    }

    /// Rounding may put a sum of shares above the number of prompts.
    fn mean(self) -> Option<Proportion> {
        Proportion::of_share((self.shares / self.prompts as f64).min(1.0), self.prompts)
    }
}

/// Asks `method` every prompt of `prompts`, all of one `task` and length. `progress` is told after each.
///
/// # Errors
/// No prompt; as [`continuation`].
pub fn recall(
    decoder: &Arc<Decoder>,
    tokenizer: &Tokenizer,
    method: &Method,
    (task, prompts): (Task, &[Prompt]),
    progress: &dyn Fn(),
) -> Result<Recall> {
    let stop: Vec<u32> = tokenizer.stop_tokens().collect();
    let (mut whole, mut by_depth, mut not_finite) = (Sum::default(), [Sum::default(); DEPTHS], 0);
    for prompt in prompts {
        let count = TOKENS_PER_WORD * prompt.wanted.len();
        let answer = answer(decoder, tokenizer, method, (&prompt.tokens, count), &stop)?;
        not_finite += u64::from(answer.is_none());
        let found = prompt.found(&answer.unwrap_or_default());
        whole.push(found.iter().filter(|&&found| found).count(), found.len());
        for (part, sum) in by_depth.iter_mut().enumerate() {
            let inside = |wanted: &Wanted| {
                wanted.depth.is_some_and(|depth| ((depth * DEPTHS as f64) as usize).min(DEPTHS - 1) == part)
            };
            let here = || prompt.wanted.iter().zip(&found).filter(|(wanted, _)| inside(wanted));
            sum.push(here().filter(|(_, found)| **found).count(), here().count());
        }
        progress();
    }
    let share = whole.mean().ok_or_else(|| Error::input("needle tasks", "no prompt to ask"))?;
    let by_depth: Vec<Option<Proportion>> = by_depth.iter().map(|sum| sum.mean()).collect();
    Ok(Recall {
        task,
        policy: method.label.clone(),
        length: prompts.first().map_or(0, |prompt| prompt.tokens.len() as u64),
        share,
        by_depth: if by_depth.iter().any(Option::is_some) { by_depth } else { Vec::new() },
        not_finite,
    })
}

/// The likeliest answer of `count` tokens; `None` where logits are not finite.
fn answer(
    decoder: &Arc<Decoder>,
    tokenizer: &Tokenizer,
    method: &Method,
    (prompt, count): (&[u32], usize),
    stop: &[u32],
) -> Result<Option<String>> {
    let tokens = continuation(decoder, tokenizer, method, prompt, count, stop)
        .and_then(|tokens| tokens.collect::<Result<Vec<u32>>>());
    Ok(match finite(tokens)? {
        Some(tokens) => Some(tokenizer.decode(&tokens)?),
        None => None,
    })
}
