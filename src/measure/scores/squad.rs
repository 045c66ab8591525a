//! F1 of a short answer, as the SQuAD evaluation defines it (Rajpurkar et al. 2016): both texts are lowercased, lose ASCII
//! punctuation and the articles *a*, *an*, *the*, and become bags of words; F1 is the harmonic mean of precision and recall
//! of the words they share.

use std::collections::HashMap;

/// Words of a text after normalization.
pub fn normalized(text: &str) -> Vec<String> {
    let plain: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    // An article counts as one between word boundaries; without punctuation those are white space and the rest of
    // Unicode's non-words.
    let words = plain.split_whitespace().map(without_articles);
    words.flat_map(|word| word.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// A run without white space, with the articles in it replaced by blanks: boundaries lie at every change between letters,
/// digits and underscores on one side and anything else on the other.
fn without_articles(run: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = run;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        out.push_str(if ["a", "an", "the"].contains(&piece) { " " } else { piece });
        rest = after;
    }
    out
}

/// F1 of one answer against one reference, from 0 to 1; 0 if they share no word, also if both are empty.
pub fn f1(answer: &str, reference: &str) -> f64 {
    let (answer, reference) = (normalized(answer), normalized(reference));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &reference {
        *left.entry(word).or_default() += 1;
    }
    let mut shared = 0;
    for word in &answer {
        if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if shared == 0 {
        return 0.0;
    }
    let (precision, recall) = (shared as f64 / answer.len() as f64, shared as f64 / reference.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

/// The largest F1 over several references; 0 without any.
pub fn best_f1(answer: &str, references: &[String]) -> f64 {
    references.iter().map(|reference| f1(answer, reference)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn case_punctuation_articles_and_white_space_do_not_count() {
        assert_eq!(normalized("  The cat, a dog -- AN owl!  "), ["cat", "dog", "owl"]);
        assert_eq!(normalized("theatre of an-other_thing"), ["theatre", "of", "anotherthing"]);
        assert!(close(f1("The Eiffel Tower.", "eiffel tower"), 1.0));
    }

    #[test]
    fn words_are_counted_with_their_number() {
        // 2 shared of 3 and of 4: P = 2/3, R = 1/2, F1 = 4/7.
        assert!(close(f1("red red blue", "red blue green white"), 4.0 / 7.0));
        // One `x` of the reference is used once.
        assert!(close(f1("x x", "x"), 2.0 / 3.0));
        assert_eq!((f1("red", "blue"), f1("", "blue"), f1("", ""), f1("the", "a")), (0.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn the_best_reference_counts() {
        let references = ["yes".to_owned(), "unanswerable".to_owned()];
        assert_eq!((best_f1("Unanswerable.", &references), best_f1("no", &references)), (1.0, 0.0));
        assert_eq!(best_f1("yes", &[]), 0.0);
    }
}
