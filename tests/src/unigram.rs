//! SentencePiece's unigram models, read from `tokenizer.model` alone, against the sentencepiece library: `tests/goldens/unigram`.

use std::collections::BTreeMap;
use std::io::Read;

use lm_infinite::tokenizer::Tokenizer;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::fixtures::write_json;
use crate::support::golden;

const ROWS: usize = 1000;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

fn unpacked(name: &str) -> Vec<u8> {
    let file = std::fs::File::open(golden(&format!("unigram/{name}.gz"))).expect("a golden");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("unpacks");
    bytes
}

fn folder(model: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tokenizer.model"), model).expect("written");
    folder
}

fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::from_folder(folder(&unpacked(&format!("{name}.model"))).path(), ROWS).expect("a tokenizer")
}

fn cases() -> BTreeMap<String, Vec<Case>> {
    serde_json::from_slice(&unpacked("cases.json")).expect("JSON")
}

#[test]
fn texts_have_the_ids_of_the_library() {
    let cases = cases();
    assert_eq!(cases.len(), 6);
    for (name, texts) in cases {
        let tokenizer = tokenizer(&name);
        assert!(texts.len() > 300, "{name}");
        for Case { text, ids } in texts {
            let got = tokenizer.encode_without_bos(&text).expect("encoded");
            assert_eq!(got, ids, "{name}: {:?}", text.chars().take(200).collect::<String>());
        }
    }
}

#[test]
fn tokens_become_the_text_again_where_nothing_was_replaced() {
    let tokenizer = tokenizer("bytes");
    for Case { text, ids } in cases()["bytes"].iter().filter(|case| !case.text.contains('▁')) {
        // Of what a text has in front, one space is not its own.
        assert_eq!(&tokenizer.decode(ids).expect("decoded"), text);
    }
}

#[test]
fn a_text_goes_on_without_a_space_in_front() {
    let tokenizer = tokenizer("nmt_nfkc");
    let whole = tokenizer.encode_without_bos("Hello world, again").expect("encoded");
    let mut parts = tokenizer.encode_without_bos("Hello").expect("encoded");
    parts.extend(tokenizer.encode_continuation(" world,").expect("encoded"));
    parts.extend(tokenizer.encode_continuation(" again").expect("encoded"));
    assert_eq!(parts, whole);
    assert_eq!(tokenizer.words("Hello  world").expect("words"), ["▁Hello▁world"]);
}

/// What stands behind a special token begins with a space, unless `legacy` is false.
#[test]
fn special_tokens_are_found_in_a_text() {
    let of = |config: serde_json::Value| {
        let folder = folder(&unpacked("nmt_nfkc.model"));
        write_json(&folder.path().join("tokenizer_config.json"), &config);
        Tokenizer::from_folder(folder.path(), ROWS).expect("a tokenizer")
    };
    let ids = |config: serde_json::Value, text: &str| of(config).encode_without_bos(text).expect("encoded");
    let the = ids(json!({}), "the");
    assert_eq!(ids(json!({}), "the</s>the"), [&the[..], &[2], &the[..]].concat());
    let bare = of(json!({})).encode_continuation("the").expect("encoded");
    assert_ne!(bare, the);
    assert_eq!(ids(json!({"legacy": false}), "the</s>the"), [&the[..], &[2], &bare[..]].concat());
    assert_eq!(ids(json!({"add_prefix_space": false}), "the"), bare);
    let notes: Vec<String> =
        of(json!({"add_prefix_space": false})).notes().iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|note| note.contains("add_prefix_space")), "{notes:?}");
}

#[test]
fn digests_tell_models_apart() {
    let names = ["nmt_nfkc", "bytes", "nfkc_bytes", "folded", "rules", "unused"];
    let mut digests: Vec<String> =
        names.iter().map(|name| tokenizer(name).sha256().expect("a digest")).collect();
    assert_eq!(digests[0], tokenizer("nmt_nfkc").sha256().expect("a digest"));
    // Another score, another space, another rule.
    for (field, bytes) in [(2u8, [0x18u8, 1].as_slice()), (3, &[0x18, 0]), (3, &[0x20, 0])] {
        let more = [&[field << 3 | 2, bytes.len() as u8], bytes].concat();
        let changed = folder(&[unpacked("nmt_nfkc.model"), more].concat());
        digests.push(
            Tokenizer::from_folder(changed.path(), ROWS).expect("a tokenizer").sha256().expect("a digest"),
        );
    }
    // The first change changes nothing: it says unigram, which it is.
    assert_eq!(digests.remove(6), digests[0]);
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 8);
}

/// A message's later fields take the place of earlier ones.
#[test]
fn what_cannot_be_read_is_refused_in_words() {
    let whole = unpacked("bytes.model");
    let with = |name: &str, more: &[u8]| [unpacked(&format!("{name}.model")), more.to_vec()].concat();
    for (bytes, words) in [
        // Bytes where the vocabulary has none.
        (with("nmt_nfkc", &[0x12, 3, 0x98, 2, 1]), &["<0x00>", "byte_fallback"][..]),
        // A table that ends too soon, and one that has no trie.
        (with("bytes", &[0x1a, 4, 0x12, 2, 9, 9]), &["precompiled_charsmap", "length"]),
        (with("bytes", &[0x1a, 6, 0x12, 4, 0, 0, 0, 0]), &["precompiled_charsmap", "0 bytes"]),
        // A model without a piece for what is unknown.
        (b"\x0a\x0a\x0a\x01a\x15\x00\x00\x80\xbf\x18\x01".to_vec(), &["pieces", "unknown"]),
    ] {
        let error = Tokenizer::from_folder(folder(&bytes).path(), ROWS).expect_err("refused").to_string();
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
    assert!(Tokenizer::from_folder(folder(&whole).path(), ROWS).is_ok());
}

/// BPE vocabularies have the same normalizers.
#[test]
fn merges_come_behind_the_rules_too() {
    let model = std::fs::read(golden("side_files/tokenizer.model")).expect("a golden");
    let rules = unpacked("rules.model");
    // Field 3 of the file with the rules, the normalizer.
    let mut rest = &rules[..];
    let mut normalizer = Vec::new();
    while let Some((&key, behind)) = rest.split_first() {
        let (mut length, mut at) = (0usize, 0);
        loop {
            length |= usize::from(behind[at] & 0x7f) << (7 * at);
            at += 1;
            if behind[at - 1] & 0x80 == 0 {
                break;
            }
        }
        assert_eq!(key & 7, 2, "messages alone");
        if key >> 3 == 3 {
            normalizer = rest[..1 + at + length].to_vec();
        }
        rest = &behind[at + length..];
    }
    let plain = Tokenizer::from_folder(folder(&model).path(), ROWS).expect("a tokenizer");
    let removes_spaces = [0x1a, 2, 0x20, 1];
    let changed = [&model[..], &normalizer, &removes_spaces].concat();
    let changed = Tokenizer::from_folder(folder(&changed).path(), ROWS).expect("a tokenizer");
    for (text, normalized) in [("the cab  day", "the cq  q day"), ("b", ""), (" Ab ", "a"), ("ABC", "x")] {
        let want = if normalized.is_empty() { Ok(Vec::new()) } else { plain.encode_without_bos(normalized) };
        assert_eq!(changed.encode_without_bos(text).expect("encoded"), want.expect("encoded"), "{text:?}");
    }
}
