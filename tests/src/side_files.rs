//! Folders without a `tokenizer.json`, tokens that stand only beside it, and chat templates: as transformers has them. See
//! `tests/goldens/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lm_infinite::tokenizer::{ChatMessage, ChatTemplate, Tokenizer};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::fixtures::write_json;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name)
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let text = fs::read_to_string(golden(name)).expect("a golden");
    serde_json::from_str(&text).expect("JSON")
}

/// A folder with some of the vocabularies of `side_files/` and with other files.
fn folder(base: &[&str], files: &[(&str, Json)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in base {
        fs::copy(golden("side_files").join(name), folder.path().join(name)).expect("copied");
    }
    for (name, content) in files {
        write_json(&folder.path().join(name), content);
    }
    folder
}

const ROWS: usize = 1000;

fn tokenizer(base: &[&str], files: &[(&str, Json)]) -> Tokenizer {
    Tokenizer::from_folder(folder(base, files).path(), ROWS).expect("a tokenizer")
}

#[track_caller]
fn refused(base: &[&str], files: &[(&str, Json)], parts: &[&str]) {
    let error = Tokenizer::from_folder(folder(base, files).path(), ROWS).expect_err("refused").to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} in {error}");
    }
}

fn said(tokenizer: &Tokenizer) -> Vec<String> {
    tokenizer.notes().iter().map(|note| format!("{} {note}", note.label())).collect()
}

#[derive(Deserialize)]
struct Case {
    name: String,
    base: Vec<String>,
    files: BTreeMap<String, Json>,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn texts_have_the_ids_of_transformers() {
    let cases: Vec<Case> = read("side_files/cases.json");
    assert!(cases.len() >= 15);
    for case in cases {
        let base: Vec<&str> = case.base.iter().map(String::as_str).collect();
        let files: Vec<(&str, Json)> =
            case.files.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
        let tokenizer = tokenizer(&base, &files);
        for Text { text, ids } in case.texts {
            assert_eq!(tokenizer.encode(&text).expect("encoded"), ids, "{}: {text:?}", case.name);
        }
    }
}

#[test]
fn what_is_taken_and_what_disagrees_is_said() {
    let plain = |class: &str| json!({"tokenizer_class": class});
    let quiet = tokenizer(&["tokenizer.json", "vocab.json", "merges.txt"], &[]);
    assert_eq!(said(&quiet), Vec::<String>::new());
    let several =
        tokenizer(&["tokenizer.json", "tokenizer.model"], &[("vocab.json", json!({"the": 5, "!": 2}))]);
    assert_eq!(said(&several).len(), 2, "{:?}", said(&several));
    assert!(said(&several)[0].starts_with("note tokenizer: tokenizer.model has 599"), "{:?}", said(&several));
    assert!(
        said(&several)[1].contains("vocab.json has 1 tokens that tokenizer.json"),
        "{:?}",
        said(&several)
    );

    let decoder =
        json!({"added_tokens_decoder": {"450": {"content": "<x>", "special": true}}, "eos_token": "<x>"});
    let files = [
        ("tokenizer_config.json", decoder),
        ("special_tokens_map.json", json!({"eos_token": "</s>"})),
        ("added_tokens.json", json!({"<y>": 401})),
    ];
    let both = tokenizer(&["tokenizer.json"], &files);
    assert_eq!(both.eos(), Some(400));
    let words = said(&both).join("\n");
    for part in [
        "warning eos_token: special_tokens_map.json says \"</s>\", which is not used",
        "warning added tokens: added_tokens.json gives id 401 to \"<y>\", which is not used",
        "note added tokens: 1 that the vocabulary does not have were added, as transformers does: \"<x>\"",
        "warning added token \"<x>\": added_tokens_decoder of tokenizer_config.json gives it id 450; it has 400",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }

    // Without a decoder, the map goes before the configuration.
    let files = [
        ("tokenizer_config.json", json!({"eos_token": "<|endoftext|>"})),
        ("special_tokens_map.json", json!({"eos_token": {"content": "</s>", "lstrip": false}})),
    ];
    let mapped = tokenizer(&["tokenizer.json"], &files);
    assert_eq!((mapped.eos(), mapped.is_stop(1)), (Some(1), true));
    assert!(said(&mapped)[0].contains("warning eos_token"), "{:?}", said(&mapped));

    let unknown = tokenizer(&["vocab.json", "merges.txt"], &[]);
    assert!(said(&unknown)[0].starts_with("warning merges.txt: neither"), "{:?}", said(&unknown));
    let headless = folder(&["vocab.json"], &[("tokenizer_config.json", plain("GPT2TokenizerFast"))]);
    fs::write(headless.path().join("merges.txt"), "h e\n\nĠ t\n").expect("written");
    let headless = Tokenizer::from_folder(headless.path(), ROWS).expect("a tokenizer");
    assert!(said(&headless)[0].contains("its first line is taken as a merge"), "{:?}", said(&headless));
    let other = tokenizer(&["tokenizer.model"], &[("tokenizer_config.json", plain("InternLMTokenizer"))]);
    assert!(said(&other)[0].contains("read as plain SentencePiece"), "{:?}", said(&other));
}

/// What Hugging Face folders may hold and no tokenizer can be made of.
#[test]
fn other_folders_are_refused_in_words() {
    let class = |class: &str| [("tokenizer_config.json", json!({"tokenizer_class": class}))];
    refused(&[], &[], &["tokenizer.json, tokenizer.model, or vocab.json with merges.txt", "none of them"]);
    refused(&["vocab.json"], &[], &["vocab.json without merges.txt"]);
    refused(&["merges.txt"], &[], &["merges.txt without vocab.json"]);
    refused(&[], &[("tekken.json", json!({}))], &["tekken.json, which is not read"]);
    refused(
        &["vocab.json", "merges.txt"],
        &class("BertTokenizer"),
        &["BertTokenizer", "GPT2Tokenizer and Qwen2Tokenizer"],
    );
    let config = |value: Json| [("tokenizer_config.json", value)];
    refused(
        &["tokenizer.json"],
        &config(json!({"added_tokens_decoder": {"x": "a"}})),
        &["added_tokens_decoder.x", "a token id as key"],
    );
    refused(
        &["tokenizer.json"],
        &config(json!({"added_tokens_decoder": {"5": 6}})),
        &["added_tokens_decoder.5", "got 6"],
    );
    refused(
        &["tokenizer.json"],
        &config(json!({"added_tokens_decoder": {"5": {"content": "a", "lstrip": 1}}})),
        &["`lstrip` that is true or false"],
    );
    refused(
        &["tokenizer.json"],
        &[("special_tokens_map.json", json!({"eos_token": 5}))],
        &["special_tokens_map.json: eos_token", "got 5"],
    );
    refused(
        &["tokenizer.json"],
        &config(json!({"additional_special_tokens": "a"})),
        &["additional_special_tokens", "a list"],
    );
    refused(
        &["tokenizer.json"],
        &[("added_tokens.json", json!({"a": -1}))],
        &["added_tokens.json: a", "got -1"],
    );
    refused(&["merges.txt"], &[("vocab.json", json!({"a": -1}))], &["vocab.json: \"a\"", "got -1"]);
    refused(&["merges.txt"], &[("vocab.json", json!({}))], &["vocab.json", "at least one token"]);
    let bad = folder(&["vocab.json"], &[]);
    for (text, part) in [
        ("#version: 0.2\nh\n", "line 2"),
        ("#version: 0.2\nh e e\n", "line 2"),
        ("#version\nh zz\n", "merges[0]"),
    ] {
        fs::write(bad.path().join("merges.txt"), text).expect("written");
        let error = Tokenizer::from_folder(bad.path(), ROWS).expect_err("refused").to_string();
        assert!(error.contains("merges.txt") && error.contains(part), "{error}");
    }
}

/// Fields of Protocol Buffers: number and wire type, then the value.
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes_field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3 | 2, &mut out);
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn number_field(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3, &mut out);
    varint(value, &mut out);
    out
}

#[test]
fn sentencepiece_models_of_other_kinds_are_refused_in_words() {
    let stored = fs::read(golden("side_files/tokenizer.model")).expect("a golden");
    // A later field takes the place of an earlier one, and messages are merged.
    let with = |more: &[u8]| [&stored[..], more].concat();
    let trainer = |field: Vec<u8>| with(&bytes_field(2, &field));
    let normalizer = |field: Vec<u8>| with(&bytes_field(3, &field));
    let piece = |text: &[u8], kind: u64| {
        with(&bytes_field(1, &[bytes_field(1, text), number_field(3, kind)].concat()))
    };
    let empty = tempfile::tempdir().expect("a folder");
    for (bytes, parts) in [
        (trainer(number_field(3, 3)), &["type word", "supported are unigram and BPE"][..]),
        (trainer(number_field(3, 9)), &["trainer_spec.model_type", "got 9"]),
        (trainer(number_field(24, 1)), &["treat_whitespace_as_suffix"]),
        (
            normalizer([bytes_field(1, b"nmt_nfkc"), bytes_field(2, b"\x01")].concat()),
            &["precompiled_charsmap", "a table of replacements", "length"],
        ),
        (normalizer(number_field(5, 0)), &["escape_whitespaces"]),
        (with(&bytes_field(5, &bytes_field(2, b"\x01"))), &["denormalizer_spec"]),
        (piece(b"", 1), &["pieces[600]", "got 0"]),
        (piece("▁the".as_bytes(), 1), &["pieces[600]", "a text of its own"]),
        (piece("▁▁▁".as_bytes(), 4), &["user-defined piece with a space"]),
        (piece(b"zz", 7), &["pieces[600]", "a type from 1 to 6", "got 7"]),
        (piece(b"\xff", 1), &["SentencePiece model", "UTF-8"]),
        (with(b"\x0a\xff\xff\xff\xff\x0f"), &["tokenizer.model: file: expected a SentencePiece model"]),
        (Vec::new(), &["pieces: expected at least one"]),
        (b"IQ== 0\nIg== 1\n".to_vec(), &["as tiktoken writes them"]),
    ] {
        fs::write(empty.path().join("tokenizer.model"), &bytes).expect("written");
        let error = Tokenizer::from_folder(empty.path(), ROWS).expect_err("refused").to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} in {error}");
        }
    }
    // Nothing of it was in the file itself.
    fs::write(empty.path().join("tokenizer.model"), piece(b"zz", 5)).expect("written");
    Tokenizer::from_folder(empty.path(), ROWS).expect("a tokenizer");
}

#[derive(Deserialize)]
struct Templates {
    special: Json,
    conversations: Vec<Vec<ChatMessage>>,
    cases: Vec<Template>,
}

#[derive(Deserialize)]
struct Template {
    template: String,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    conversation: usize,
    generation: bool,
    output: Option<String>,
    error: Option<String>,
}

#[test]
fn prompts_are_those_of_transformers() {
    let Templates { special, conversations, cases } = read("templates/templates.json");
    let folder = tempfile::tempdir().expect("a folder");
    write_json(&folder.path().join("tokenizer_config.json"), &special);
    let mut compared = 0;
    for Template { template, answers } in cases {
        fs::write(folder.path().join("chat_template.jinja"), &template).expect("written");
        let read = ChatTemplate::from_folder(folder.path()).expect("read").expect("a template");
        for Answer { conversation, generation, output, error } in answers {
            let got = read.render(&conversations[conversation], generation);
            match (&got, &output) {
                (Ok(got), Some(expected)) => assert_eq!(got, expected, "{template}"),
                (Err(_), None) => {}
                _ => panic!("{got:?} instead of {output:?} {error:?} of {template}"),
            }
            compared += 1;
        }
    }
    assert!(compared > 250, "{compared}");
}

#[test]
fn templates_stand_in_several_places() {
    let messages = [ChatMessage::new("user", "hi")];
    let read = |files: &[(&str, Json)], jinja: Option<&str>| {
        let folder = folder(&[], files);
        if let Some(text) = jinja {
            fs::write(folder.path().join("chat_template.jinja"), text).expect("written");
        }
        ChatTemplate::from_folder(folder.path())
    };
    let prompt = |files: &[(&str, Json)], jinja: Option<&str>| {
        let template = read(files, jinja).expect("read").expect("a template");
        let notes: Vec<String> = template.notes().iter().map(ToString::to_string).collect();
        template.render(&messages, true).map(|prompt| (prompt, notes)).map_err(|error| error.to_string())
    };
    let config = |value: Json| ("tokenizer_config.json", json!({"chat_template": value}));
    let processor = ("chat_template.json", json!({"chat_template": "P{{ messages[0].content }}"}));
    let fine = |text: &str| Ok((text.to_owned(), Vec::new()));
    assert_eq!(prompt(std::slice::from_ref(&processor), None), fine("Phi"));
    assert_eq!(prompt(&[config(json!("C"))], None), fine("C"));
    assert_eq!(prompt(&[config(json!("J"))], Some("J")), fine("J"));
    let list = json!([{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]);
    assert_eq!(prompt(&[config(list)], None), fine("D"));
    assert_eq!(prompt(&[config(json!({"rag": "R", "default": "D"}))], None), fine("D"));
    // One goes before the other, and a note says so.
    let (text, notes) = prompt(&[config(json!("C")), processor.clone()], Some("J")).expect("a prompt");
    assert_eq!((text.as_str(), notes.len()), ("J", 2));
    assert!(
        notes[0].contains("tokenizer_config.json has another one, which is not used: chat_template.jinja"),
        "{notes:?}"
    );
    assert_eq!(prompt(&[config(json!("C")), processor], None).expect("a prompt").1.len(), 1);
    let (_, notes) = prompt(&[], Some("{{ strftime_now('%Y') }}")).expect("a prompt");
    assert!(notes[0].contains("UTC"), "{notes:?}");
    // Keys of `%` as Python has them, in any letters.
    let keys = "{{ '%(é)s-%(a)04d-%(▁b)r' % {'é': 'x', 'a': 7, '▁b': 'y'} }}";
    assert_eq!(prompt(&[], Some(keys)).expect("a prompt").0, "x-0007-'y'");
    for broken in
        ["{{ '%(é)s' % {'e': 1} }}", "{{ '%(é)s' % 1 }}", "{{ '%(é' % {'é': 1} }}", "{{ '%é' % 1 }}"]
    {
        prompt(&[], Some(broken)).expect_err(broken);
    }
    // None of them is the default: the model runs, its template does not.
    let named = prompt(&[config(json!({"rag": "R"}))], None).expect_err("refused");
    assert!(named.contains("the name `default`, got none of it, but rag"), "{named}");
    for bad in [json!(5), json!([{"name": "default"}]), json!({"default": 1})] {
        let error = read(&[config(bad)], None).expect_err("refused").to_string();
        assert!(error.contains("tokenizer_config.json: chat_template"), "{error}");
    }
}
