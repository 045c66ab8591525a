//! Tokens from a text: its beginning, and beyond its end documents drawn with replacement.

use lm_infinite::corpus;

use crate::support::{load, tiny};

const TEXT: &str = "the first document\n\n\nthe second one\n\n\na third";

fn tokens(text: &str, wanted: Option<u64>, seed: u64) -> Vec<u32> {
    corpus::tokens(text, &load(&tiny("tied")).tokenizer, wanted, seed).expect("tokens")
}

#[test]
fn fewer_tokens_than_the_text_has_are_its_beginning() {
    let all = tokens(TEXT, None, 0);
    assert_eq!(tokens(TEXT, Some(7), 0), all[..7]);
    assert_eq!(tokens(TEXT, Some(all.len() as u64), 0), all);
    // Long enough that only a part of the text is tokenized.
    let long = TEXT.repeat(50);
    assert_eq!(tokens(&long, Some(7), 0), all[..7]);
}

#[test]
fn more_tokens_than_the_text_has_are_drawn_from_its_documents_by_the_seed() {
    let all = tokens(TEXT, None, 0);
    let drawn = tokens(TEXT, Some(500), 3);
    assert_eq!(drawn.len(), 500);
    assert_eq!(drawn[..all.len()], all, "the text comes first");
    assert_eq!(drawn, tokens(TEXT, Some(500), 3), "the same seed draws the same");
    assert_ne!(drawn, tokens(TEXT, Some(500), 4), "another seed draws otherwise");
    let text = load(&tiny("tied")).tokenizer.decode(&drawn).expect("text");
    for document in ["the first document", "the second one", "a third"] {
        // The tiny model's tokenizer writes its one-letter tokens with spaces between them.
        let spaced: Vec<String> = document.chars().map(String::from).collect();
        assert!(text.matches(&spaced.join(" ")).count() > 2, "{document} in {text}");
    }
}

#[test]
fn a_text_without_a_prediction_is_refused() {
    let tokenizer = load(&tiny("tied")).tokenizer;
    for (text, wanted) in [("a", None), ("", None), (TEXT, Some(1)), (TEXT, Some(0))] {
        let message = corpus::tokens(text, &tokenizer, wanted, 0).expect_err("refused").to_string();
        assert!(message.contains("at least 2"), "{message}");
    }
}
