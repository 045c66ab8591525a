//! Tokens from a text: its beginning, all of it, and beyond its end documents drawn with replacement.

use lm_infinite::corpus::{self, Sample};
use lm_infinite::text::Text;

use crate::support::{load, tiny};

const TEXT: &str = "the first document\n\n\nthe second one\n\n\na third";

fn sample(text: &str, wanted: Option<u64>, repeat: Option<u64>) -> Sample {
    let text = Text::from_memory("text", text);
    corpus::tokens(&text, &load(&tiny("tied")).tokenizer, wanted, repeat).expect("tokens")
}

fn tokens(text: &str, wanted: Option<u64>, repeat: Option<u64>) -> Vec<u32> {
    sample(text, wanted, repeat).tokens
}

#[test]
fn fewer_tokens_than_the_text_has_are_its_beginning() {
    let all = sample(TEXT, None, None);
    assert_eq!(all.tokens, load(&tiny("tied")).tokenizer.encode(TEXT).expect("tokens"));
    assert!(all.read.whole && all.read.bytes == TEXT.len() as u64 && all.notes.is_empty());
    let all = all.tokens;
    for repeat in [None, Some(0)] {
        assert_eq!(tokens(TEXT, Some(7), repeat), all[..7]);
        let exact = sample(TEXT, Some(all.len() as u64), repeat);
        assert_eq!((&exact.tokens, exact.repeated_from, exact.notes.len()), (&all, None, 0));
        // Long enough that only a part of the text is read.
        let long = sample(&TEXT.repeat(50_000), Some(7), repeat);
        assert_eq!(long.tokens, all[..7]);
        assert!(!long.read.whole && long.read.bytes < 1 << 18, "{:?}", long.read);
    }
}

#[test]
fn a_shorter_text_is_read_to_its_end_and_that_is_said() {
    let all = tokens(TEXT, None, None);
    let short = sample(TEXT, Some(500), None);
    assert_eq!((&short.tokens, short.repeated_from), (&all, None));
    let said = &short.notes[0].said;
    assert!(said.contains(&all.len().to_string()) && said.contains("500") && said.contains("end"), "{said}");
}

#[test]
fn more_tokens_than_the_text_has_are_drawn_from_its_documents_by_the_seed() {
    let all = tokens(TEXT, None, None);
    let repeated = sample(TEXT, Some(500), Some(3));
    let drawn = repeated.tokens;
    assert_eq!((drawn.len(), repeated.repeated_from), (500, Some(all.len() as u64)));
    assert!(repeated.notes[0].said.contains("repeats"), "{:?}", repeated.notes);
    assert_eq!(drawn[..all.len()], all, "the text comes first");
    assert_eq!(drawn, tokens(TEXT, Some(500), Some(3)), "the same seed draws the same");
    assert_ne!(drawn, tokens(TEXT, Some(500), Some(4)), "another seed draws otherwise");
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
    for (text, wanted, reason) in [
        ("a", None, "at least 2"),
        ("", None, "empty"),
        (TEXT, Some(1), "at least 2"),
        (TEXT, Some(0), "at least 2"),
    ] {
        let text = Text::from_memory("text", text);
        let message = corpus::tokens(&text, &tokenizer, wanted, None).expect_err("refused").to_string();
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn documents_start_where_their_first_tokens_stand() {
    let tokenizer = load(std::path::Path::new("tiny-rope")).tokenizer;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text.jsonl");
    let document =
        |at: usize| format!("Document {at} ends é after {} words. {}", at * at, "On it goes. ".repeat(at));
    let line = |at| format!("{}\n", serde_json::json!({ "text": document(at) }));
    std::fs::write(&path, (0..30).map(line).collect::<String>()).expect("written");
    let text = Text::open(&[&path]).expect("it is there");
    for wanted in [None, Some(300), Some(2000)] {
        let sample = corpus::tokens(&text, &tokenizer, wanted, None).expect("tokens");
        let starts = sample.document_starts(&tokenizer).expect("found");
        assert!(wanted.is_some() || starts.len() == 30, "{starts:?}");
        for (at, &start) in starts.iter().enumerate() {
            let behind = &sample.tokens[start as usize..sample.tokens.len().min(start as usize + 12)];
            let behind = tokenizer.decode(behind).expect("text");
            let begins = format!("Document {at} ");
            // A token may hold the end of one and the begin of the next.
            let near = behind.find(&begins).or_else(|| begins.contains(behind.trim()).then_some(0));
            assert!(near.is_some_and(|at| at < 8), "{behind:?} for document {at} at {start}");
        }
    }
    // Drawn again, a document would count twice.
    let repeated = corpus::tokens(&text, &tokenizer, Some(20_000), Some(1)).expect("tokens");
    assert!(repeated.repeated_from.is_some());
    assert_eq!(repeated.document_starts(&tokenizer).expect("none"), [0; 0]);
    // One document has one start; a tokenizer that gives back more than it read has none.
    let one = Text::from_memory("text", "just one");
    let starts = |text: &Text, tokenizer| {
        corpus::tokens(text, tokenizer, None, None)
            .expect("tokens")
            .document_starts(tokenizer)
            .expect("found")
    };
    assert_eq!(starts(&one, &tokenizer), [1], "behind the BOS");
    assert_eq!(starts(&Text::from_memory("text", TEXT), &load(&tiny("tied")).tokenizer), [0; 0]);
}
