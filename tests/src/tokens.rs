//! Tokenizers against the sentencepiece library, and texts in pieces against the whole, for every kind of tokenizer that
//! is read.

use std::io::Read;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use lm_infinite::passkey::Prompt;
use lm_infinite::tokenizer::Tokenizer;
use lm_infinite::train::wording::{FILLER, TASK};
use serde_json::{Value as Json, json};

use crate::fixtures::{GgufFile, TinyConfig, TinyLlama, Value, Vocabulary, write_json};
use crate::support::{golden, load, program};

/// A vocabulary of `goldens/sentencepiece`.
fn vocabulary(name: &str) -> Json {
    let file = std::fs::File::open(golden(&format!("sentencepiece/{name}.json.gz"))).expect("it is there");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("unpacks");
    serde_json::from_str(&text).expect("JSON")
}

/// Text, score and type of the pieces.
fn pieces(vocabulary: &Json) -> impl Iterator<Item = (&str, f64, i32)> {
    let pieces = vocabulary["pieces"].as_array().expect("a list");
    pieces.iter().map(|piece| {
        let text = piece[0].as_str().expect("a text");
        (text, piece[1].as_f64().expect("a score"), piece[2].as_i64().expect("a type") as i32)
    })
}

/// Puts the vocabulary into a GGUF file.
fn set_vocabulary(file: &mut GgufFile, vocabulary: &Json) {
    let texts = pieces(vocabulary).map(|(text, ..)| text.to_owned()).collect();
    file.set("tokenizer.ggml.model", "llama");
    file.set("tokenizer.ggml.tokens", Value::Texts(texts));
    file.set(
        "tokenizer.ggml.scores",
        Value::Floats(pieces(vocabulary).map(|(_, score, _)| score as f32).collect()),
    );
    file.set("tokenizer.ggml.token_type", Value::Ints(pieces(vocabulary).map(|(.., kind)| kind).collect()));
    file.set("tokenizer.ggml.bos_token_id", 1);
    file.set("tokenizer.ggml.eos_token_id", 2);
    file.set("tokenizer.ggml.add_space_prefix", Value::Bool(vocabulary["space_prefix"] == true));
}

/// A model of no meaning, for a vocabulary of so many tokens.
fn model_of(rows: usize) -> TinyLlama {
    let config = TinyConfig {
        layers: 1,
        hidden: 32,
        intermediate: 32,
        heads: 2,
        kv_heads: 1,
        ..TinyConfig::default()
    };
    let tokens = (0..rows).map(|id| id.to_string()).collect();
    TinyLlama::with_vocabulary(config, Vocabulary { tokens, merges: Vec::new() }, 0)
}

/// The tokenizer of a GGUF file whose vocabulary `set` writes.
fn from_gguf(rows: usize, set: impl FnOnce(&mut GgufFile)) -> Tokenizer {
    let mut file = model_of(rows).gguf(GgmlDType::F16);
    for key in ["merges", "pre", "add_bos_token"] {
        file.remove(&format!("tokenizer.ggml.{key}"));
    }
    set(&mut file);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vocabulary.gguf");
    file.write(&path);
    load(&path).tokenizer
}

fn of_pieces(vocabulary: &Json) -> Tokenizer {
    from_gguf(pieces(vocabulary).count(), |file| set_vocabulary(file, vocabulary))
}

/// The tokenizer of a folder with this `tokenizer.json`.
fn from_json(json: &Json) -> Tokenizer {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = json["model"]["vocab"].as_object().expect("a vocabulary").len();
    model_of(rows).write_folder(folder.path(), "F16");
    std::fs::remove_file(folder.path().join("tokenizer_config.json")).expect("removed");
    write_json(&folder.path().join("tokenizer.json"), json);
    load(folder.path()).tokenizer
}

#[test]
fn sentencepiece_gives_the_same_tokens() {
    for name in ["mistral_v1", "bytes", "unknown"] {
        let vocabulary = vocabulary(name);
        let tokenizer = of_pieces(&vocabulary);
        let texts = vocabulary["texts"].as_array().expect("a list");
        assert!(texts.len() > 300);
        for text in texts {
            let (text, ids) = (text["text"].as_str().expect("a text"), &text["ids"]);
            let got = tokenizer.encode_without_bos(text).expect("encoded");
            assert_eq!(&json!(got), ids, "{name}: {text:?}");
        }
    }
}

/// `tokenizer.json` of a SentencePiece vocabulary as Hugging Face's converters write it.
fn converted(vocabulary: &Json, metaspace: Option<&str>) -> Json {
    let ids: serde_json::Map<String, Json> =
        pieces(vocabulary).enumerate().map(|(id, (text, ..))| (text.to_owned(), json!(id))).collect();
    let mut merges = Vec::new();
    for (text, score, _) in pieces(vocabulary).filter(|(.., kind)| *kind == 1) {
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if ids.contains_key(left) && ids.contains_key(right) {
                let lengths = (left.chars().count(), right.chars().count());
                merges.push((score, lengths, json!([left, right])));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    let merges: Vec<Json> = merges.into_iter().map(|(.., merge)| merge).collect();
    let model = json!({"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                       "vocab": ids, "merges": merges});
    let prefixed = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
    let decoder = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    let marks = |scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "post_processor": null,
           "normalizer": if metaspace.is_some() { Json::Null } else { prefixed },
           "pre_tokenizer": metaspace.map(marks), "decoder": decoder, "model": model})
}

/// One tokenizer of every kind, with its name.
fn every_kind() -> Vec<(String, Tokenizer)> {
    let mut kinds = Vec::new();
    // Not the third one, whose pieces cross spaces.
    let bytes = vocabulary("mistral_v1");
    kinds.push(("GGUF, llama".into(), of_pieces(&bytes)));
    kinds.push(("GGUF, llama, unknown".into(), of_pieces(&vocabulary("unknown"))));
    let mut without_prefix = bytes.clone();
    without_prefix["space_prefix"] = json!(false);
    kinds.push(("GGUF, llama, no prefix".into(), of_pieces(&without_prefix)));
    kinds.push(("Prepend".into(), from_json(&converted(&bytes, None))));
    for scheme in ["first", "always", "never"] {
        kinds.push((format!("Metaspace, {scheme}"), from_json(&converted(&bytes, Some(scheme)))));
    }
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/assets/models/tiny-rope/tokenizer.json");
    let mut tiny: Json = serde_json::from_slice(&std::fs::read(model).expect("read")).expect("JSON");
    kinds.push(("byte-level".into(), from_json(&tiny)));
    let (tokens, merges) = (tiny["model"]["vocab"].clone(), tiny["model"]["merges"].clone());
    tiny["pre_tokenizer"] =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    kinds.push(("byte-level, space in front".into(), from_json(&tiny)));
    tiny["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers":
        [{"type": "Digits", "individual_digits": true}, tiny["pre_tokenizer"]]});
    kinds.push(("byte-level in a sequence, space in front".into(), from_json(&tiny)));
    let mut texts: Vec<(&String, &Json)> = tokens.as_object().expect("an object").iter().collect();
    texts.sort_by_key(|(_, id)| id.as_u64());
    let texts: Vec<String> = texts.into_iter().map(|(text, _)| text.clone()).collect();
    let merge = |merge: &Json| match merge {
        Json::String(text) => text.clone(),
        pair => format!("{} {}", pair[0].as_str().expect("a token"), pair[1].as_str().expect("a token")),
    };
    let merges: Vec<String> = merges.as_array().expect("a list").iter().map(merge).collect();
    for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2"] {
        let tokenizer = from_gguf(texts.len(), |file| {
            file.set("tokenizer.ggml.model", "gpt2");
            file.set("tokenizer.ggml.pre", pre);
            file.set("tokenizer.ggml.tokens", Value::Texts(texts.clone()));
            file.set("tokenizer.ggml.merges", Value::Texts(merges.clone()));
            file.remove("tokenizer.ggml.token_type");
        });
        kinds.push((format!("GGUF, gpt2, {pre}"), tokenizer));
    }
    kinds
}

/// Texts, cut where prompts and documents are cut: before the space of a word, and between a line break and a word.
fn cut_texts() -> Vec<Vec<String>> {
    let sample = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/assets/text/sample.txt"),
    );
    let sample: String = sample.expect("read").chars().take(4000).collect();
    let mut texts = vec![
        vec![
            format!("{TASK}\n"),
            FILLER.into(),
            format!(" {FILLER}"),
            format!(" {FILLER}\n"),
            "What is the key?".into(),
        ],
        vec![
            "One document.".into(),
            " Two words\n".into(),
            "Another\n\n\n".into(),
            "A third".into(),
            " é 日本".into(),
        ],
    ];
    for every in [1, 2, 7, 40] {
        // After a line break, or before a single space with a letter behind it.
        let mut parts = vec![String::new()];
        let mut places = 0;
        for (at, c) in sample.char_indices() {
            let letter = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
            let (before, rest) = sample.split_at(at);
            let word =
                c == ' ' && letter(&rest[1..]) && before.ends_with(|c: char| c.is_ascii_alphanumeric());
            let line = letter(rest) && before.ends_with('\n');
            if word || line {
                places += 1;
                if places % every == 0 {
                    parts.push(String::new());
                }
            }
            parts.last_mut().expect("one at least").push(c);
        }
        texts.push(parts);
    }
    texts
}

/// Kinds whose tokens do not decode to the text: characters without a token, and a space in front of each digit.
const NOT_DECODED: [&str; 2] = ["GGUF, llama, unknown", "byte-level in a sequence, space in front"];

/// Without the BOS token, where the tokenizer puts one in front.
fn behind_bos<'a>(tokenizer: &Tokenizer, ids: &'a [u32]) -> &'a [u32] {
    if tokenizer.adds_bos() { &ids[1..] } else { ids }
}

#[test]
fn tokens_of_pieces_are_those_of_the_whole() {
    for (name, tokenizer) in every_kind() {
        for parts in cut_texts() {
            let text = parts.concat();
            let whole = tokenizer.encode(&text).expect("encoded");
            let mut joined = tokenizer.encode(&parts[0]).expect("encoded");
            for part in &parts[1..] {
                joined.extend(tokenizer.encode_continuation(part).expect("encoded"));
            }
            assert_eq!(joined, whole, "{name}: {parts:?}");
            if !NOT_DECODED.contains(&name.as_str()) {
                let decoded = tokenizer.decode(behind_bos(&tokenizer, &joined)).expect("decoded");
                // A decoder of bytes shows the space that was put in front, if one was.
                assert_eq!(decoded.trim_start_matches(' '), text, "{name}");
            }
        }
    }
}

#[test]
fn a_continuation_begins_with_its_own_first_character() {
    for (name, tokenizer) in every_kind() {
        for text in ["word", "\nword", " word", "  two", "\n\n\nword", "1", ".", "é", ""] {
            let ids = tokenizer.encode_continuation(text).expect("encoded");
            let shown: String = ids.iter().map(|&id| tokenizer.token_text(id).expect("a token")).collect();
            // Line breaks and letters may be bytes; spaces never are.
            let spaces = |text: &str| text.len() - text.trim_start_matches(' ').len();
            assert_eq!(spaces(&shown), spaces(text), "{name}: {text:?} is {shown:?}");
        }
    }
}

#[test]
fn passkey_prompts_hold_no_stray_tokens() {
    for (name, tokenizer) in
        every_kind().into_iter().filter(|(name, _)| !NOT_DECODED.contains(&name.as_str()))
    {
        for (length, depth) in [(700, 0.0), (700, 0.3), (1500, 0.5), (1500, 1.0)] {
            let prompt = Prompt::new(&tokenizer, length, Some(depth), 3, 0).expect("a prompt");
            assert_eq!(prompt.tokens.len(), length, "{name}");
            let text = tokenizer.decode(behind_bos(&tokenizer, &prompt.tokens)).expect("decoded");
            let text = text.trim_start_matches(' ');
            for stray in ["\n ", "  ", " \n", "\n\n"] {
                assert!(!text.contains(stray), "{name}, {depth}: {stray:?} in {text:?}");
            }
            assert!(text.starts_with(&format!("{TASK}\n")), "{name}: {text:?}");
            assert!(text.ends_with("\nWhat is the pass key? The pass key is"), "{name}: {text:?}");
            let told = format!("\nThe pass key is {}. Remember it. {0} is the pass key.\n", prompt.key);
            assert!(text.contains(&told), "{name}: {text:?}");
        }
    }
}

/// A model that answers everything with " a" again and again: blocks that add nothing, and a head that knows one token.
fn always(token: usize, rows: usize) -> TinyLlama {
    let mut tiny = model_of(rows);
    for (name, (shape, values)) in &mut tiny.tensors {
        if name.contains("embed_tokens") || name.contains("lm_head") {
            let columns = shape[1];
            values.fill(if name.contains("embed_tokens") { 1.0 } else { 0.0 });
            if name.contains("lm_head") {
                values[token * columns..][..columns].fill(1.0);
            }
        } else if name.contains("o_proj") || name.contains("down_proj") {
            values.fill(0.0);
        }
    }
    tiny
}

#[test]
fn generate_keeps_the_space_behind_a_prompt() {
    let vocabulary = vocabulary("bytes");
    let find = |text: &str| pieces(&vocabulary).position(|(piece, ..)| piece == text).expect("a piece");
    let mut file = always(find("▁the"), pieces(&vocabulary).count()).gguf(GgmlDType::F32);
    set_vocabulary(&mut file, &vocabulary);
    file.remove("tokenizer.ggml.merges");
    file.set("tokenizer.chat_template", "<s>{{ messages[0].content }}:");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("always.gguf");
    file.write(&path);
    let generated = |chat: bool| {
        let mut command = program();
        command.args(["generate", "--prompt", "over", "--tokens", "3", "--json", "--model"]).arg(&path);
        if chat {
            command.arg("--chat");
        }
        let output = command.output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Json>(&output.stdout).expect("JSON")
    };
    assert_eq!(generated(false)["text"], " the the the");
    assert_eq!(generated(true)["text"], " the the the");
}

/// A BOS is counted everywhere, or two commands say two numbers of one text.
#[test]
fn commands_agree_on_the_number_of_tokens_of_a_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::write(here.join("text.txt"), "The quick brown fox\njumps over it.\n").expect("written");
    let model = here.join("model");
    std::fs::create_dir(&model).expect("made");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(crate::support::tiny("tied").join(file), model.join(file)).expect("copied");
    }
    for (adds_bos, count) in [(false, 35), (true, 36)] {
        let config = json!({"add_bos_token": adds_bos, "bos_token": "!"});
        write_json(&model.join("tokenizer_config.json"), &config);
        let said = |arguments: &[&str]| {
            let all = arguments.iter().chain(&["--model", "model", "--text", "text.txt", "--json"]);
            let output = program().args(all).current_dir(here).output().expect("it starts");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let tokens = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with('{')).expect("JSON");
            serde_json::from_str::<Json>(line).expect("JSON")[key].as_u64()
        };
        assert_eq!(tokens(&said(&["generate", "--tokens", "1"]), "prompt_tokens"), Some(count));
        assert_eq!(tokens(&said(&["perplexity"]), "tokens"), Some(count));
        for (arguments, words) in [
            (vec!["ablation", "--tokens", "300"], "it has"),
            (vec!["sweep", "--key", "start", "--values", "1", "--length", "300"], "it has"),
            (vec!["generation-quality", "--lengths", "300"], "it has"),
            (vec!["perplexity", "--tokens", "300"], "the text has"),
        ] {
            let said = said(&arguments);
            assert!(said.contains(&format!("{words} {count} tokens")), "{arguments:?}: {said}");
        }
    }
}
