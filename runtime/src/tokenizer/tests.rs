//! Tokenizers as wholes: against a second implementation, against themselves in pieces, and token by token.

use std::collections::HashMap;

use rand::Rng;
use rand::seq::IndexedRandom;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::pieces::{self, Cutter};
use super::segmentation::Segmentation;
use super::sentencepiece::{self, Piece};
use super::{Cut, Place, Specials, Tokenizer, chunks};
use crate::random::{self, Stream};

/// Byte-level BPE with a few merges.
fn byte_level() -> Tokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("Ã", "©"), ("Ġ", "Ġ"), (",", "Ġ")]
        .map(|(left, right)| (left.to_owned(), right.to_owned()));
    let tokens = alphabet
        .iter()
        .map(char::to_string)
        .chain(merges.iter().map(|(left, right)| format!("{left}{right}")));
    let vocabulary: tokenizers::models::bpe::Vocab = tokens.zip(0..).collect();
    let rows = vocabulary.len();
    let model = BPE::builder().vocab_and_merges(vocabulary, merges.into()).build().expect("BPE");
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    inner.with_decoder(Some(ByteLevel::default()));
    Tokenizer::assemble(inner, None, Cut::BeforeSpace, Specials::default(), rows)
}

const PIECES: [&str; 20] = [
    "▁",
    "a",
    "b",
    "c",
    "ab",
    "bc",
    "▁a",
    "▁ab",
    "abc",
    "▁abc",
    "ca",
    "cab",
    "▁▁",
    "▁▁▁",
    "bb",
    "▁b",
    "é",
    "aé",
    "aa",
    "aaa",
];

/// SentencePiece vocabulary: unknown, bytes, pieces with distinct scores in an order of no meaning.
fn sentence_pieces(space_prefix: bool) -> (Tokenizer, Vec<String>, HashMap<String, f64>) {
    scored_pieces(space_prefix, |i| -((i * 7 % 20) as f64))
}

/// The same with any scores.
fn scored_pieces(
    space_prefix: bool,
    score: impl Fn(usize) -> f64,
) -> (Tokenizer, Vec<String>, HashMap<String, f64>) {
    let mut tokens = vec!["<unk>".to_owned()];
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(PIECES.map(str::to_owned));
    let scores: HashMap<String, f64> =
        PIECES.iter().enumerate().map(|(i, piece)| ((*piece).to_owned(), score(i))).collect();
    let vocabulary: HashMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
    let pieces: Vec<Piece> =
        PIECES.iter().map(|&text| Piece { text, score: scores[text], unused: false }).collect();
    let (inner, merges, cut) =
        sentencepiece::build(&vocabulary, &pieces, Some("<unk>"), space_prefix).expect("a tokenizer");
    let tokenizer = Tokenizer::assemble(
        inner,
        Some(Segmentation::Merges(merges)),
        cut,
        Specials::default(),
        tokens.len(),
    );
    (tokenizer, tokens, scores)
}

/// SentencePiece's rule, word for word: merge the neighbours whose union scores best, the leftmost of equals.
fn merge_by_score(text: &str, space_prefix: bool, scores: &HashMap<String, f64>) -> Vec<String> {
    let marked = format!("{}{}", if space_prefix { "▁" } else { "" }, text.replace(' ', "▁"));
    let mut symbols: Vec<String> = marked.chars().map(String::from).collect();
    loop {
        let candidates = symbols.windows(2).enumerate().filter_map(|(at, pair)| {
            let score = scores.get(&pair.concat())?;
            Some((at, *score))
        });
        let Some((at, _)) = candidates.reduce(|best, next| if next.1 > best.1 { next } else { best }) else {
            break;
        };
        let right = symbols.remove(at + 1);
        symbols[at].push_str(&right);
    }
    let bytes = |symbol: &String| symbol.bytes().map(|byte| format!("<0x{byte:02X}>")).collect::<Vec<_>>();
    symbols.iter().flat_map(|s| if scores.contains_key(s) { vec![s.clone()] } else { bytes(s) }).collect()
}

fn random_text(rng: &mut Stream, alphabet: &[char], length: usize) -> String {
    (0..length).filter_map(|_| alphabet.choose(rng)).collect()
}

#[test]
fn sentencepiece_merges_as_its_rule_says() {
    let mut rng = random::expanded(1);
    // Distinct scores, some that tie, and all equal: then the place in the text decides.
    let scores: [fn(usize) -> f64; 3] = [|i| -((i * 7 % 20) as f64), |i| -((i * 7 % 20 / 4) as f64), |_| 0.0];
    for (space_prefix, score) in
        [true, false].into_iter().flat_map(|prefix| scores.map(|score| (prefix, score)))
    {
        let (tokenizer, tokens, scores) = scored_pieces(space_prefix, score);
        for _ in 0..500 {
            let length = rng.random_range(1..40);
            let text = random_text(&mut rng, &['a', 'b', 'c', ' ', 'é', '日', '\n'], length);
            let ids = tokenizer.encode(&text).expect("encoded");
            let got: Vec<&str> = ids.iter().map(|&id| tokens[id as usize].as_str()).collect();
            assert_eq!(got, merge_by_score(&text, space_prefix, &scores), "{text:?}");
            assert_eq!(tokenizer.decode(&ids).expect("decoded"), text);
        }
    }
}

#[test]
fn pieces_of_a_text_encode_like_the_whole() {
    let mut rng = random::expanded(2);
    let alphabet: Vec<char> = "the inabc,.'1é日 \n\t  ".chars().collect();
    for tokenizer in [byte_level(), sentence_pieces(true).0, sentence_pieces(false).0] {
        assert_ne!(tokenizer.cut, Cut::Never);
        for _ in 0..300 {
            let text = random_text(&mut rng, &alphabet, 200);
            for first in [Place::Start, Place::Behind] {
                let whole = tokenizer.encode_piece(first, &text).expect("encoded");
                let pieces = chunks::split(&text, tokenizer.cut, 10);
                let places = std::iter::once(first).chain(std::iter::repeat(tokenizer.place_of_pieces()));
                let joined: Vec<u32> = pieces
                    .iter()
                    .zip(places)
                    .flat_map(|(piece, place)| tokenizer.encode_piece(place, piece).expect("encoded"))
                    .collect();
                assert_eq!(joined, whole, "{text:?}");
            }
        }
    }
}

#[test]
fn the_steps_are_those_of_the_library() {
    let mut rng = random::expanded(4);
    let tokenizer = byte_level();
    let alphabet: Vec<char> = "the inabc,.'1é日 \n\t  ".chars().collect();
    for _ in 0..200 {
        let text = random_text(&mut rng, &alphabet, 60);
        let library = tokenizer.inner.encode_fast(text.as_str(), false).expect("encoded");
        assert_eq!(tokenizer.encode_by_steps(Place::Start, &text).expect("encoded"), library.get_ids());
    }
}

#[test]
fn a_text_that_arrives_in_parts_is_cut_into_pieces_that_encode_like_the_whole() {
    let mut rng = crate::random::expanded(3);
    let alphabet: Vec<char> = "the inabc,.'1é日 \n\t  ".chars().collect();
    for tokenizer in [byte_level(), sentence_pieces(true).0, sentence_pieces(false).0] {
        for _ in 0..300 {
            let text = random_text(&mut rng, &alphabet, 200);
            let mut cutter = Cutter::with_least(tokenizer.cut, 0, 10);
            let (mut cuts, mut rest) = (Vec::new(), text.as_str());
            while !rest.is_empty() {
                let end = rest.char_indices().nth(rng.random_range(1..30)).map_or(rest.len(), |(at, _)| at);
                cutter.push(&rest[..end], false);
                cuts.extend(std::iter::from_fn(|| cutter.next()));
                rest = &rest[end..];
            }
            cuts.extend(cutter.finish());
            assert_eq!(cuts.iter().map(|piece| piece.raw.as_str()).collect::<String>(), text);
            let texts: Vec<&str> = cuts.iter().map(pieces::Piece::text).collect();
            assert_eq!(texts, chunks::split(&text, tokenizer.cut, 10), "however it arrived");
            let (mut joined, mut at) = (Vec::new(), 0);
            for piece in &cuts {
                assert_eq!(piece.at, at);
                let encode = if at == 0 { Tokenizer::encode } else { Tokenizer::encode_next_piece };
                joined.extend(encode(&tokenizer, piece.text()).expect("encoded"));
                at += piece.raw.len() as u64;
            }
            assert_eq!(joined, tokenizer.encode(&text).expect("encoded"), "{text:?}");
        }
    }
}

#[test]
fn pieces_that_are_not_in_use_are_taken_apart() {
    let tokens = ["<unk>", "a", "b", "c", "ab", "abc", "bc"];
    let vocabulary: HashMap<&str, u32> = tokens.iter().copied().zip(0..).collect();
    let piece = |text, score, unused| Piece { text, score, unused };
    let ids = |pieces: &[Piece<'_>], unknown, text: &str| {
        let (_, merges, _) = sentencepiece::build(&vocabulary, pieces, unknown, false).expect("a tokenizer");
        merges.ids(text)
    };
    let letters = || ["a", "b", "c"].map(|text| piece(text, -9.0, false)).into_iter();
    // "abc" is made of "ab" and "c", and "ab" of "a" and "b".
    let both: Vec<_> = letters()
        .chain([piece("ab", -1.0, true), piece("bc", -2.0, false), piece("abc", -3.0, true)])
        .collect();
    assert_eq!(ids(&both, None, "abc"), Ok(vec![1, 2, 3]));
    let outer: Vec<_> = letters()
        .chain([piece("ab", -1.0, false), piece("bc", -2.0, false), piece("abc", -3.0, true)])
        .collect();
    assert_eq!(ids(&outer, None, "abcbc"), Ok(vec![4, 3, 6]));
    // Characters without a piece: one token for what is unknown in a row, or an error.
    assert_eq!(ids(&outer, Some("<unk>"), "xyaz"), Ok(vec![0, 1, 0]));
    assert!(ids(&outer, None, "ax").is_err_and(|reason| reason.contains("\"x\"")));
}

#[test]
fn where_no_cut_is_known_documents_are_pieces() {
    let mut cutter = Cutter::with_least(Cut::Never, 5, 4);
    let mut cuts = Vec::new();
    for (part, starts_document) in [
        ("a b", true),
        (" c\n\n\n", false),
        ("d\n\n\n", true),
        ("e\n\n\n", true),
        ("f g h i", true),
        (" j", false),
    ] {
        cutter.push(part, starts_document);
        cuts.extend(std::iter::from_fn(|| cutter.next()));
    }
    cuts.extend(cutter.finish());
    let cuts: Vec<_> = cuts.iter().map(|piece| (piece.at, piece.text())).collect();
    assert_eq!(cuts, [(5, "a b c\n\n\n"), (13, "d\n\n\n"), (17, "e\n\n\n"), (21, "f g h i j")]);
    assert!(cutter.finish().is_none());
}

#[test]
fn a_vocabulary_that_merges_across_spaces_is_not_cut() {
    assert!(sentencepiece::crosses_a_space("a▁b") && sentencepiece::crosses_a_space("▁a▁"));
    assert!(!sentencepiece::crosses_a_space("▁▁ab") && !sentencepiece::crosses_a_space("▁▁"));
}

#[test]
fn a_stream_gives_the_text_of_the_whole_and_never_half_a_character() {
    for (tokenizer, text) in [
        (byte_level(), "the thé 日本 🦀 in"),
        (sentence_pieces(true).0, "abc é日🦀 cab  aab"),
        (sentence_pieces(false).0, " abc é日🦀"),
    ] {
        let ids = tokenizer.encode(text).expect("encoded");
        let mut stream = tokenizer.stream();
        let mut out = String::new();
        for &id in &ids {
            let part = stream.push(id).expect("decoded");
            assert!(!part.contains(char::REPLACEMENT_CHARACTER), "{part:?}");
            out.push_str(&part);
        }
        assert_eq!(out + &stream.finish().expect("decoded"), text);
    }
}

#[test]
fn a_stream_shows_bytes_that_never_become_a_character() {
    let tokenizer = byte_level();
    let crab = tokenizer.encode("🦀a").expect("encoded");
    assert_eq!(crab.len(), 5);
    // The first three bytes of four, then a letter: nothing is lost and nothing waits for ever.
    let mut stream = tokenizer.stream();
    let parts: Vec<String> =
        [0, 1, 2, 4, 4].iter().map(|&at| stream.push(crab[at]).expect("decoded")).collect();
    assert_eq!(parts, ["", "", "", "\u{fffd}a", "a"]);
    // First bytes without end.
    let mut stream = tokenizer.stream();
    let out: String = (0..20).map(|_| stream.push(crab[0]).expect("decoded")).collect();
    assert!(out.chars().count() >= 16 && out.chars().all(|c| c == char::REPLACEMENT_CHARACTER), "{out:?}");
    // A character that is cut off by the end.
    let mut stream = tokenizer.stream();
    assert_eq!(stream.push(crab[0]).expect("decoded"), "");
    assert_eq!(stream.finish().expect("decoded"), "\u{fffd}");
}

#[test]
fn a_stream_after_a_prompt_keeps_the_space_of_its_first_word() {
    let (tokenizer, tokens, _) = sentence_pieces(true);
    let id = |text: &str| tokens.iter().position(|token| token == text).expect("a token") as u32;
    let mut alone = tokenizer.stream();
    assert_eq!(alone.push(id("▁abc")).expect("decoded"), "abc");
    let mut after = tokenizer.stream_after(&[id("▁a"), id("b")]);
    assert_eq!(after.push(id("▁abc")).expect("decoded"), " abc");
    // Special tokens before it do not make it the first word.
    let mut inner = tokenizer.inner.clone();
    inner.add_special_tokens([tokenizers::AddedToken::from("<end>", true)]).expect("added");
    let end = inner.token_to_id("<end>").expect("a token");
    let tokenizer = Tokenizer { inner, ..tokenizer };
    let mut after = tokenizer.stream_after(&[&[id("▁a")][..], &[end; 9]].concat());
    assert_eq!(after.push(id("▁abc")).expect("decoded"), " abc");
    let mut after = tokenizer.stream_after(&[end; 9]);
    assert_eq!(after.push(id("▁abc")).expect("decoded"), "abc");
}

#[test]
fn tokens_outside_the_embedding_are_refused() {
    let mut tokenizer = byte_level();
    let last = tokenizer.encode("😀").expect("encoded").into_iter().max().expect("tokens");
    tokenizer.limit = last as usize;
    let message = tokenizer.encode("😀").expect_err("refused").to_string();
    assert!(message.contains("rows only"), "{message}");
}

#[test]
fn tokens_are_shown_as_text() {
    let tokenizer = byte_level();
    let the = tokenizer.encode(" the").expect("encoded");
    assert_eq!(tokenizer.token_text(the[0]).as_deref(), Some(" the"));
    assert_eq!(tokenizer.token_text(u32::MAX), None);
    let (tokenizer, tokens, _) = sentence_pieces(true);
    let id = tokens.iter().position(|token| token == "▁abc").expect("a token") as u32;
    assert_eq!(tokenizer.token_text(id).as_deref(), Some(" abc"));
}
