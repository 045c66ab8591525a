//! Words in the text: where they are found, in any case, over the borders of tokens. A thread of its own looks through it.

use std::ops::Range;
use std::sync::Arc;

use crate::inputs::Inputs;
use crate::task::{Task, Wake};
use crate::views::letters::has_bytes;

/// Places that are told, at most.
const MOST: usize = 100_000;
/// Bytes that are looked through at once.
const PIECE: usize = 1 << 16;
/// Tokens that are taken at once.
const TOKENS: usize = 1 << 14;

/// What is looked for, and in how many tokens of which run.
#[derive(Clone)]
struct Question {
    inputs: Arc<Inputs>,
    words: String,
    tokens: usize,
}

impl Question {
    fn is(&self, inputs: &Arc<Inputs>, words: &str, tokens: usize) -> bool {
        Arc::ptr_eq(&self.inputs, inputs) && self.words == words && self.tokens == tokens
    }
}

/// What was found: the tokens of every place, in their order.
pub type Places = Vec<Range<u64>>;

/// Looks for one thing after the other.
pub struct Search(Task<Question, Places>);

impl Default for Search {
    fn default() -> Self {
        Self(Task::newest("search of the text"))
    }
}

impl Search {
    /// Begins to look, unless this is what is looked for already. Nothing is looked for where there are no words.
    pub fn ask(&mut self, inputs: &Arc<Inputs>, words: &str, wake: Wake) {
        let (words, tokens) = (normal(words), inputs.tokens.len());
        if words.is_empty() {
            self.0.forget();
            self.0.keep_answer_if(|_| false);
            return;
        }
        // While a text grows, what was found stays until the next look is over.
        let asked = self.0.request();
        let grows = asked.is_some_and(|asked| asked.is(inputs, &words, asked.tokens)) && self.0.is_running();
        if grows || asked.is_some_and(|asked| asked.is(inputs, &words, tokens)) {
            return;
        }
        self.0.keep_answer_if(|of| of.is(inputs, &words, of.tokens));
        self.0.ask(Question { inputs: inputs.clone(), words, tokens }, wake, |question, worker| {
            let Question { inputs, words, tokens } = question;
            // Of bytes that may be a part of a letter the neighbours tell.
            let mut known: Vec<Option<Option<String>>> = Vec::new();
            let mut found = Finder::new(&words);
            for from in (0..tokens).step_by(TOKENS) {
                if worker.is_cancelled() || found.places.len() >= MOST {
                    break;
                }
                let ids = inputs.tokens.range(from..tokens.min(from + TOKENS));
                let mut letters = None;
                for (place, &id) in ids.iter().enumerate() {
                    let at = id as usize;
                    if known.len() <= at {
                        known.resize(at + 1, None);
                    }
                    let text = known[at].get_or_insert_with(|| {
                        let raw = inputs.tokenizer.token_text(id).unwrap_or_default();
                        (!has_bytes(&raw)).then(|| normal(&raw))
                    });
                    match text {
                        Some(text) => found.push(text),
                        None => {
                            let row = || crate::views::tokens::row(&inputs, from..from + ids.len());
                            found.push(&normal(&letters.get_or_insert_with(row)[place].text));
                        }
                    }
                }
            }
            worker.send(found.finish());
            Ok(())
        });
    }

    /// Takes what came.
    pub fn poll(&mut self) {
        self.0.poll();
    }

    /// Whether it is still looking.
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// What was found.
    pub fn places(&self) -> Option<&Places> {
        self.0.answer().map(|(_, places)| places)
    }
}

/// The next place behind a token, or before it; at the end it goes on from the other end.
pub fn next(places: &[Range<u64>], from: Option<u64>, forward: bool) -> Option<u64> {
    let at = match (from, forward) {
        (None, true) => 0,
        (None, false) => places.len().checked_sub(1)?,
        (Some(from), true) => places.partition_point(|place| place.start <= from) % places.len().max(1),
        (Some(from), false) => places
            .partition_point(|place| place.start < from)
            .checked_sub(1)
            .unwrap_or(places.len().max(1) - 1),
    };
    places.get(at).map(|place| place.start)
}

/// In any case, and white space as blanks.
fn normal(words: &str) -> String {
    words.chars().flat_map(char::to_lowercase).map(|c| if c.is_whitespace() { ' ' } else { c }).collect()
}

/// Words in a row of tokens that come one after the other.
struct Finder<'a> {
    words: &'a str,
    /// What has not been looked through, and where its tokens begin.
    text: String,
    starts: Vec<(usize, u64)>,
    tokens: u64,
    places: Places,
}

impl<'a> Finder<'a> {
    fn new(words: &'a str) -> Self {
        Self { words, text: String::new(), starts: Vec::new(), tokens: 0, places: Vec::new() }
    }

    fn push(&mut self, text: &str) {
        if !text.is_empty() {
            self.starts.push((self.text.len(), self.tokens));
            self.text.push_str(text);
        }
        self.tokens += 1;
        if self.text.len() > PIECE.max(2 * self.words.len()) {
            self.look(false);
        }
    }

    fn finish(mut self) -> Places {
        self.look(true);
        self.places
    }

    /// Looks through what is there; the last letters stay, since words may go on behind them.
    fn look(&mut self, all: bool) {
        let mut keep = if all { self.text.len() } else { self.text.len() + 1 - self.words.len() };
        while !self.text.is_char_boundary(keep) {
            keep -= 1;
        }
        let token = |at: usize| {
            let behind = self.starts.partition_point(|&(start, _)| start <= at);
            behind.checked_sub(1).and_then(|place| self.starts.get(place)).map_or(0, |&(_, token)| token)
        };
        let found = self.text.match_indices(self.words).map(|(at, _)| at).take_while(|&at| at < keep);
        let places = found.map(|at| token(at)..token(at + self.words.len() - 1) + 1);
        let room = MOST.saturating_sub(self.places.len());
        let places: Vec<_> = places.take(room).collect();
        // A place that reaches behind what is dropped has been told.
        let first = self.starts.partition_point(|&(start, _)| start <= keep).saturating_sub(1);
        self.starts.drain(..first);
        for (start, _) in &mut self.starts {
            *start = start.saturating_sub(keep);
        }
        self.text.drain(..keep);
        self.places.extend(places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(tokens: &[&str], words: &str) -> Vec<(u64, u64)> {
        let words = normal(words);
        let mut finder = Finder::new(&words);
        tokens.iter().for_each(|token| finder.push(&normal(token)));
        finder.finish().into_iter().map(|place| (place.start, place.end)).collect()
    }

    #[test]
    fn words_are_found_in_any_case_over_borders_of_tokens() {
        let tokens = ["The", " do", "g", "\n", "and", " THE", "", " d", "og"];
        assert_eq!(find(&tokens, "the dog"), [(0, 3), (5, 9)]);
        assert_eq!(find(&tokens, "dog and"), [(1, 5)]);
        assert_eq!(find(&tokens, "g"), [(2, 3), (8, 9)]);
        assert!(find(&tokens, "cat").is_empty() && find(&[], "a").is_empty());
        assert_eq!(find(&["ä", "ÖÄ"], "öä"), [(1, 2)]);
    }

    #[test]
    fn a_long_text_is_looked_through_in_pieces_and_none_is_lost_at_their_borders() {
        let tokens: Vec<String> = (0..60_000).map(|at| format!("{}ü", at % 1000)).collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let places = find(&tokens, "7ü998ü999ü0");
        let wanted: Vec<_> = (0..59_u64).map(|at| (at * 1000 + 997, at * 1000 + 1001)).collect();
        assert_eq!(places, wanted);
        assert_eq!(find(&tokens, "ü").len(), 60_000);
    }

    #[test]
    fn the_next_place_goes_round() {
        let places = [3..4, 8..10, 20..21];
        let next = |from, forward| super::next(&places, from, forward);
        assert_eq!(
            [next(None, true), next(Some(3), true), next(Some(20), true)],
            [Some(3), Some(8), Some(3)]
        );
        assert_eq!(
            [next(None, false), next(Some(8), false), next(Some(3), false)],
            [Some(20), Some(3), Some(20)]
        );
        assert_eq!((super::next(&[], Some(3), true), super::next(&[], None, false)), (None, None));
    }
}
