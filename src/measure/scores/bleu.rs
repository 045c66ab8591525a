//! BLEU (Papineni et al. 2002), over a corpus of (answer, reference) pairs, without smoothing:
//!
//! ```text
//! BLEU = BP · exp(¼ Σ_{n=1..4} ln p_n),     BP = min(1, exp(1 − r/c))
//! ```
//!
//! `p_n` is the share of the answers' n-grams that their references have too, each at most as often as there, over the whole
//! corpus; `c` and `r` are the words of all answers and of all references. Words as in NIST's script mteval-v13a:
//! punctuation stands apart, but for points and commas between digits.

use std::collections::HashMap;

const LONGEST: usize = 4;

/// BLEU of a corpus, from 0 to 1; 0 if no 4-gram is shared, or there is nothing.
pub fn bleu(pairs: &[(String, String)]) -> f64 {
    let (mut shared, mut seen) = ([0usize; LONGEST], [0usize; LONGEST]);
    let (mut answers, mut references) = (0, 0);
    for (answer, reference) in pairs {
        let (answer, reference) = (words(answer), words(reference));
        answers += answer.len();
        references += reference.len();
        for n in 1..=LONGEST {
            let (ours, theirs) = (counts(&answer, n), counts(&reference, n));
            seen[n - 1] += ours.values().sum::<usize>();
            shared[n - 1] += ours
                .iter()
                .map(|(gram, &count)| count.min(theirs.get(gram).copied().unwrap_or(0)))
                .sum::<usize>();
        }
    }
    if shared.contains(&0) {
        return 0.0;
    }
    let logs: f64 = shared.iter().zip(seen).map(|(&shared, seen)| (shared as f64 / seen as f64).ln()).sum();
    let brevity = (1.0 - references as f64 / answers as f64).min(0.0);
    (brevity + logs / LONGEST as f64).exp()
}

fn counts(words: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for gram in words.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}

fn words(text: &str) -> Vec<String> {
    let text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let characters: Vec<char> = text.chars().collect();
    let digit = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(char::is_ascii_digit);
    let mut spaced = String::new();
    for (at, &c) in characters.iter().enumerate() {
        let (before, after) = (at.checked_sub(1), Some(at + 1));
        // ASCII punctuation but ' , - . and the underscore's neighbours that count as letters.
        let apart = match c {
            '.' | ',' => !(digit(before) && digit(after)),
            '-' => digit(before),
            '\'' => false,
            _ => c.is_ascii_punctuation(),
        };
        if apart {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(answer: &str, reference: &str) -> (String, String) {
        (answer.to_owned(), reference.to_owned())
    }

    #[test]
    fn punctuation_stands_apart_but_within_numbers() {
        assert_eq!(
            words("It's 3.5, or 1,000-odd (ok)."),
            ["It's", "3.5", ",", "or", "1,000", "-", "odd", "(", "ok", ")", "."]
        );
        assert_eq!(words("end-\nless well-known"), ["endless", "well-known"]);
    }

    #[test]
    fn equal_texts_score_one_and_clipping_counts() {
        assert!((bleu(&[pair("a b c d e", "a b c d e")]) - 1.0).abs() < 1e-12);
        // Papineni et al.: "the the the the the the the" has 2 of 7 unigrams, and no bigram.
        let the = words("the the the the the the the");
        let reference = words("the cat is on the mat");
        let (ours, theirs) = (counts(&the, 1), counts(&reference, 1));
        let clipped: usize = ours.iter().map(|(gram, &count)| count.min(theirs[gram])).sum();
        assert_eq!(clipped, 2);
        assert_eq!(bleu(&[pair("the the the the the the the", "the cat is on the mat")]), 0.0);
    }

    #[test]
    fn a_value_by_hand() {
        // Answer of 6, reference of 7 words; shared: 5 of 6, 4 of 5, 3 of 4, 2 of 3.
        let score = bleu(&[pair("a b c d e x", "a b c d e f g")]);
        let expected =
            (1.0 - 7.0 / 6.0_f64).exp() * (5.0 / 6.0 * 4.0 / 5.0 * 3.0 / 4.0 * 2.0 / 3.0_f64).powf(0.25);
        assert!((score - expected).abs() < 1e-12, "{score} {expected}");
    }

    #[test]
    fn counts_are_summed_over_the_corpus() {
        // The second pair shares nothing, and alone would be 0.
        let both = bleu(&[pair("a b c d", "a b c d"), pair("x", "y")]);
        let expected = (4.0 / 5.0_f64).powf(0.25);
        assert!((both - expected).abs() < 1e-12, "{both}");
        assert_eq!((bleu(&[]), bleu(&[pair("", "")])), (0.0, 0.0));
    }
}
