//! Snapshots of sessions: they go on bit for bit, write each old key once, belong to one model, and are not believed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use lm_infinite::Result;
use lm_infinite::model::Matrix;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::{Decoder, Session, Storage};
use serde_json::{Value, json};

use crate::fixtures::{GgufFile, TinyConfig, TinyLlama, Value as Field};
use crate::support::{decoder, load, made_up_tokens, score, session, tied_model, tiny};

/// A random model, to be written to files.
fn fixture() -> TinyLlama {
    TinyLlama::random(TinyConfig { tied: true, ..Default::default() }, 3)
}

const POLICIES: [&str; 8] = [
    "vanilla",
    "window:window=5",
    "lambda:start=2,window=5",
    "ceiling:ceiling=5",
    "lm-infinite:start=2,window=5",
    "streaming-llm:start=2,window=5",
    "lm-infinite-topk:start=2,window=5,k=3,from_layer=1",
    "lm-infinite-topk:start=2,window=300,k=3,from_layer=0",
];

const TOPK: &str = POLICIES[6];

fn restore(model: &Arc<Decoder>, policy: &str, path: &Path) -> Result<Session> {
    let meaning = PolicySpec::parse(policy, 16).expect("a policy").policy;
    Ok(Session::restore(model.clone(), meaning, path)?)
}

fn refusal(model: &Arc<Decoder>, policy: &str, path: &Path) -> String {
    restore(model, policy, path).map(|_| ()).expect_err("refused").to_string()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_resumed_session_goes_on_bit_for_bit() {
    let (model, tokens) = (tied_model(), made_up_tokens(1100));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.safetensors");
    for policy in POLICIES {
        for at in [1, 4, 5, 6, 33, 256, 263, 264, 600, 1050] {
            let mut straight = session(&model, policy);
            score(&mut straight, &tokens[..at], 100);
            straight.save(&path).expect("written");
            let mut resumed = restore(&model, policy, &path).expect("a snapshot");
            assert_eq!(resumed.position(), at as u64);
            assert_eq!(resumed.logits(), straight.logits());
            let rest = &tokens[at..(at + 300).min(1100)];
            let (a, b) = (score(&mut straight, rest, 7), score(&mut resumed, rest, 7));
            assert_eq!(a, b, "{policy} resumed at {at}");
            // A second snapshot in the place of the first, from the session that was resumed.
            resumed.save(&path).expect("written");
            assert_eq!(restore(&model, policy, &path).expect("a snapshot").logits(), straight.logits());
            let pages = names(folder.path()).len() - 1;
            assert!(pages <= 1, "what a replaced snapshot needed is gone: {:?}", names(folder.path()));
        }
    }
}

#[test]
fn a_gap_and_old_keys_in_files_survive() {
    let (model, tokens) = (tied_model(), made_up_tokens(700));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.safetensors");
    let policy = "lm-infinite:start=2,window=5";
    for fed in [0, 3, 5, 40] {
        let mut straight = session(&model, policy);
        straight.feed(&tokens[..2], None).expect("known tokens");
        straight.skip_to(1_000_003).expect("a gap");
        straight.feed(&tokens[2..2 + fed], None).expect("known tokens");
        straight.save(&path).expect("written");
        let mut resumed = restore(&model, policy, &path).expect("a snapshot");
        assert_eq!(score(&mut resumed, &tokens[50..99], 9), score(&mut straight, &tokens[50..99], 9));
    }
    let storage = Storage { memory_bytes: 0, folder: folder.path().to_owned() };
    let mut straight = session(&model, TOPK);
    score(&mut straight, &tokens[..600], 100);
    straight.save(&path).expect("written");
    let meaning = PolicySpec::parse(TOPK, 16).expect("a policy").policy;
    let mut resumed =
        Session::restore_with_storage(model.clone(), meaning, &path, &storage).expect("a snapshot");
    assert_eq!(score(&mut resumed, &tokens[600..], 9), score(&mut straight, &tokens[600..], 9));
}

/// A series of snapshots as a long run takes them: every one of them can be gone on from, whatever was written after it.
#[test]
fn checkpoints_write_each_page_once_and_each_can_be_restored() {
    let (model, tokens) = (tied_model(), made_up_tokens(2000));
    for policy in ["vanilla", TOPK] {
        let folder = tempfile::tempdir().expect("a folder");
        let pages = folder.path().join("old.pages");
        let at = |n: usize| folder.path().join(format!("{n}.safetensors"));
        let mut straight = session(&model, policy);
        let (mut before, mut written, mut small) = (Vec::new(), 0, Vec::new());
        for (index, part) in tokens.chunks(130).enumerate() {
            score(&mut straight, part, 130);
            straight.checkpoint(&at(index), "old.pages").expect("written");
            small.push(std::fs::metadata(at(index)).expect("a snapshot").len());
            let now = std::fs::read(&pages).unwrap_or_default();
            assert!(now.starts_with(&before), "{policy}: what was written stays as it is");
            written += now.len() - before.len();
            before = now;
        }
        assert_eq!(written, before.len());
        let (smallest, largest) = (small.iter().min().expect("some"), small.iter().max().expect("some"));
        // At most 255 keys of two layers, two heads, 16 dimensions beside the policy's own.
        assert!(
            largest - smallest < 256 * 2 * 2 * 2 * 2 * 16 * 4,
            "{policy}: snapshots do not grow: {small:?}"
        );
        let last = tokens.chunks(130).count() - 1;
        for index in [0, 3, last] {
            let mut resumed = restore(&model, policy, &at(index)).expect("a snapshot");
            let mut again = session(&model, policy);
            score(&mut again, &tokens[..(130 * (index + 1)).min(2000)], 130);
            assert_eq!(score(&mut resumed, &tokens[..50], 9), score(&mut again, &tokens[..50], 9));
        }
        // Killed in the middle of the next append: something lies behind what the last snapshot names.
        let mut torn = before.clone();
        torn.extend_from_slice(&[7; 12_345]);
        std::fs::write(&pages, &torn).expect("writable");
        let mut resumed = restore(&model, policy, &at(last)).expect("what it names is whole");
        for session in [&mut resumed, &mut straight] {
            score(session, &tokens, 130);
        }
        resumed.checkpoint(&at(last + 1), "old.pages").expect("written");
        let mut third = restore(&model, policy, &at(last + 1)).expect("a snapshot");
        assert_eq!(score(&mut third, &tokens[..50], 9), score(&mut straight, &tokens[..50], 9));
        // And the older one still.
        restore(&model, policy, &at(last)).expect("a snapshot");
    }
}

#[test]
fn files_that_are_not_of_the_session_are_left_alone() {
    let (model, tokens) = (tied_model(), made_up_tokens(600));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    std::fs::write(folder.path().join("mine.pages"), "notes").expect("writable");
    let mut first = session(&model, TOPK);
    score(&mut first, &tokens, 100);
    let message = first.checkpoint(&path, "mine.pages").expect_err("it exists").to_string();
    assert!(message.contains("mine.pages"), "{message}");
    assert!(!path.exists());
    first.checkpoint(&path, "a.pages").expect("written");
    // A copy of a session may go on otherwise, and must not write into the original's file.
    let mut copy = first.clone();
    score(&mut copy, &tokens[..300], 100);
    assert!(copy.checkpoint(&folder.path().join("b.safetensors"), "a.pages").is_err());
    copy.checkpoint(&folder.path().join("b.safetensors"), "b.pages").expect("written");
    first.save(&folder.path().join("c.safetensors")).expect("written");
    assert_eq!(restore(&model, TOPK, &path).expect("a snapshot").position(), 600);
    assert_eq!(std::fs::read(folder.path().join("mine.pages")).expect("there"), b"notes");
    assert_eq!(names(folder.path()).len(), 7, "{:?}", names(folder.path()));
}

#[test]
fn a_snapshot_of_something_else_is_refused_in_words() {
    let (model, tokens) = (tied_model(), made_up_tokens(20));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.safetensors");
    let policy = "lm-infinite:start=2,window=5";
    let mut written = session(&model, policy);
    written.feed(&tokens, None).expect("known tokens");
    written.save(&path).expect("written");
    assert!(refusal(&model, "lm-infinite:start=2,window=6", &path).contains("policy"));
    assert!(refusal(&decoder(&tiny("qwen2")), policy, &path).contains("model"));
    let whole = std::fs::read(&path).expect("readable");
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).expect("writable");
        let message = refusal(&model, policy, &path);
        assert!(message.contains("session.safetensors"), "{length} bytes: {message}");
    }
    std::fs::write(&path, [&[0xff; 8][..], &whole[8..]].concat()).expect("writable");
    assert!(refusal(&model, policy, &path).contains("session.safetensors"));
}

/// Models of one shape: what differs is named, wherever the model came from.
#[test]
fn a_snapshot_belongs_to_one_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.safetensors");
    let policy = "lm-infinite:start=2,window=5";
    let fixture = fixture();
    let write = |name: &str| -> PathBuf {
        let at = folder.path().join(name);
        std::fs::create_dir(&at).expect("a folder");
        fixture.write_folder(&at, "F16");
        at
    };
    let ours = load(&write("ours"));
    let model = Arc::new(ours.decoder().expect("a decoder"));
    let mut written = session(&model, policy);
    written.feed(&[1, 2, 3, 4, 5, 6, 7, 8], None).expect("known tokens");
    written.save(&path).expect("written");
    assert_eq!(model.digest(), ours.digest().expect("a digest"));
    restore(&Arc::new(load(&write("a copy")).decoder().expect("a decoder")), policy, &path)
        .expect("the same");

    let refused = |decoder: Decoder, words: &str| {
        let message = refusal(&Arc::new(decoder), policy, &path);
        assert!(message.contains(&format!("model ({words})")), "{message}");
    };
    // The same tensors in shards.
    let at = folder.path().join("shards");
    std::fs::create_dir(&at).expect("a folder");
    fixture.write_sharded_folder(&at, "F16", 3);
    restore(&Arc::new(load(&at).decoder().expect("a decoder")), policy, &path).expect("the same");
    // One bit of the weights.
    let at = write("weights");
    let file = at.join("model.safetensors");
    let mut bytes = std::fs::read(&file).expect("readable");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&file, bytes).expect("writable");
    refused(load(&at).decoder().expect("a decoder"), "the weights");
    // The base of the angles.
    let at = write("configuration");
    edit(&at.join("config.json"), |json| json["rope_theta"] = json!(12345.0));
    refused(load(&at).decoder().expect("a decoder"), "the configuration");
    // Two tokens change places.
    let at = write("tokenizer");
    edit(&at.join("tokenizer.json"), swap_two_tokens);
    refused(load(&at).decoder().expect("a decoder"), "the tokenizer");
    // Who stops, and who begins.
    let at = write("special tokens");
    edit(&at.join("tokenizer_config.json"), |json| json["add_bos_token"] = json!(false));
    refused(load(&at).decoder().expect("a decoder"), "the tokenizer");
    let at = write("template");
    edit(&at.join("tokenizer_config.json"), |json| json["chat_template"] = json!("{{ messages }}"));
    refused(load(&at).decoder().expect("a decoder"), "the tokenizer");
    // What nothing reads changes nothing.
    let at = write("unread");
    edit(&at.join("config.json"), |json| json["_name_or_path"] = json!("elsewhere"));
    restore(&Arc::new(load(&at).decoder().expect("a decoder")), policy, &path).expect("the same");

    // Put together by hand: known by its tensors, and without a tokenizer.
    let by_hand = || Decoder::new(ours.config.clone(), ours.weights.clone()).expect("a decoder");
    refused(by_hand(), "the tokenizer (one of the two has none)");
    let by_hand = Arc::new(by_hand());
    let mut written = session(&by_hand, policy);
    written.feed(&[1, 2, 3], None).expect("known tokens");
    written.save(&path).expect("written");
    restore(&by_hand, policy, &path).expect("the same");
    let mut weights = ours.weights.clone();
    let mlp = weights.layers[0].feed_forward.dense_mut().expect("one");
    let up = &mlp.up.weight;
    let values = vec![0.5; up.rows() * up.columns()];
    mlp.up.weight = Matrix::from_f32(&values, up.rows(), up.columns()).expect("the same shape");
    refused(Decoder::new(ours.config.clone(), weights).expect("a decoder"), "the weights");
}

/// The GGUF file holds all three in one; they are still told apart.
#[test]
fn parts_of_a_gguf_file_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let digest = |change: &dyn Fn(&mut GgufFile)| {
        let mut file = fixture().gguf(GgmlDType::F16);
        change(&mut file);
        file.write(&path);
        load(&path).digest().expect("a digest")
    };
    let ours = digest(&|_| ());
    assert_eq!(digest(&|_| ()), ours);
    assert_eq!(digest(&|file| file.set("general.name", "another")), ours);
    let differs = |other: &lm_infinite::model::ModelDigest| ours.difference(other).expect("a difference");
    assert_eq!(
        differs(&digest(&|file| file.set("llama.rope.freq_base", Field::F32(12345.0)))),
        "the configuration"
    );
    assert_eq!(differs(&digest(&|file| file.set("tokenizer.ggml.eos_token_id", 5usize))), "the tokenizer");
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut json = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    change(&mut json);
    std::fs::write(path, json.to_string()).expect("writable");
}

/// Two ordinary tokens get each other's ids.
fn swap_two_tokens(json: &mut Value) {
    let vocabulary = json["model"]["vocab"].as_object_mut().expect("a vocabulary");
    let names: Vec<String> = vocabulary.keys().filter(|name| name.len() == 1).take(2).cloned().collect();
    let (a, b) = (vocabulary[&names[0]].clone(), vocabulary[&names[1]].clone());
    (vocabulary[&names[0]], vocabulary[&names[1]]) = (b, a);
}

/// A safetensors file whose session header is changed.
fn with_header(bytes: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let text = header["__metadata__"]["session"].as_str().expect("a session header");
    let mut session: Value = serde_json::from_str(text).expect("JSON");
    change(&mut session);
    header["__metadata__"]["session"] = json!(session.to_string());
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat()
}

/// Paths of all numbers in a value.
fn numbers(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Number(_) => drop(found.insert(path.to_owned(), value.clone())),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, item)| numbers(item, &format!("{path}/{i}"), found));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, item)| numbers(item, &format!("{path}/{key}"), found));
        }
        _ => {}
    }
}

/// Every number of the header is replaced by every hostile one: one that was not there is never taken, and nothing is
/// allocated by it (a terabyte would end this test).
#[test]
fn forged_numbers_are_refused() {
    let (model, tokens) = (tied_model(), made_up_tokens(700));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.safetensors");
    let hostile =
        [0, 1, 2, 255, 256, 257, 1 << 20, 1 << 33, 1 << 40, 1 << 47, 1 << 61, u64::MAX / 2, u64::MAX];
    let mut tried = 0;
    for policy in POLICIES {
        for fed in [1, 700] {
            let mut written = session(&model, policy);
            score(&mut written, &tokens[..fed], 100);
            written.save(&path).expect("written");
            let whole = std::fs::read(&path).expect("readable");
            let mut found = BTreeMap::new();
            let length = u64::from_le_bytes(whole[..8].try_into().expect("8 bytes")) as usize;
            let header: Value = serde_json::from_slice(&whole[8..8 + length]).expect("JSON");
            let session: Value =
                serde_json::from_str(header["__metadata__"]["session"].as_str().expect("text"))
                    .expect("JSON");
            numbers(&session, "", &mut found);
            assert!(found.len() >= 2 * 4, "{found:?}");
            for (place, number) in &found {
                for forged in hostile.iter().map(|&n| json!(n)).chain([json!(-1), json!(0.5), json!(null)]) {
                    if forged == *number || forged.as_f64() == number.as_f64() {
                        continue;
                    }
                    let bytes = with_header(&whole, |session| {
                        *session.pointer_mut(place).expect("it was found there") = forged.clone();
                    });
                    std::fs::write(&path, bytes).expect("writable");
                    let outcome = restore(&model, policy, &path);
                    let what = format!("{policy} fed {fed}: {place} = {forged}, was {number}");
                    tried += 1;
                    match outcome {
                        Err(_) => {}
                        // A window that is full may have slid on from any gap behind it.
                        Ok(mut resumed) => {
                            let after_a_gap =
                                place.ends_with("/origin") && policy.contains("window") && fed > 5;
                            assert!(after_a_gap && !policy.contains("topk"), "{what}");
                            assert!(forged.as_u64().is_some_and(|origin| origin <= 695), "{what}");
                            score(&mut resumed, &tokens[..50], 9);
                        }
                    }
                }
            }
            // Numbers that fit each other: all positions far away, so that a cache without a window would have a slot
            // for each.
            for far in [1u64 << 20, 1 << 40, 1 << 61] {
                let bytes = with_header(&whole, |session| {
                    for layer in session["layers"].as_array_mut().expect("layers") {
                        for end in ["start", "end"] {
                            let position = &mut layer["recent"][end];
                            *position = json!(position.as_u64().expect("a position") + far);
                        }
                    }
                });
                std::fs::write(&path, bytes).expect("writable");
                // A window that slid on is sound; where every earlier key is read, they are missing.
                let bounded = policy.contains("window") && !policy.contains("topk") && fed > 5;
                assert_eq!(restore(&model, policy, &path).is_ok(), bounded, "{policy} fed {fed} far {far}");
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

#[test]
fn damaged_pages_are_refused_in_words() {
    let (model, tokens) = (tied_model(), made_up_tokens(700));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.safetensors");
    let mut written = session(&model, TOPK);
    score(&mut written, &tokens, 100);
    written.checkpoint(&path, "old.pages").expect("written");
    let pages = folder.path().join("old.pages");
    let (whole, snapshot) =
        (std::fs::read(&pages).expect("pages"), std::fs::read(&path).expect("a snapshot"));
    restore(&model, TOPK, &path).expect("a snapshot");
    // Layer, page, a key, the last value.
    for at in [0, 1, 7, 8, 9, 15, 16, 1000, whole.len() / 2, whole.len() - 1] {
        for bit in [0, 7] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(&pages, damaged).expect("writable");
            let message = refusal(&model, TOPK, &path);
            assert!(message.contains("old.pages"), "byte {at}: {message}");
        }
    }
    for length in [0, 15, 16, 17, whole.len() - 1] {
        std::fs::write(&pages, &whole[..length]).expect("writable");
        assert!(refusal(&model, TOPK, &path).contains("old.pages"), "{length} bytes");
    }
    std::fs::remove_file(&pages).expect("there");
    assert!(refusal(&model, TOPK, &path).contains("old.pages"));
    std::fs::create_dir(&pages).expect("a folder in its place");
    assert!(refusal(&model, TOPK, &path).contains("regular file"));
    std::fs::remove_dir(&pages).expect("there");
    std::fs::write(&pages, &whole).expect("writable");
    for name in ["", ".", "..", "/etc/passwd", "../old.pages", "a/b", "./old.pages", "nothing.pages"] {
        let bytes = with_header(&snapshot, |session| session["pages"]["file"] = json!(name));
        std::fs::write(&path, bytes).expect("writable");
        restore(&model, TOPK, &path).map(|_| ()).expect_err(name);
    }
    std::fs::write(&path, with_header(&snapshot, |session| session["pages"] = json!(null)))
        .expect("writable");
    assert!(refusal(&model, TOPK, &path).contains("pages"));
    std::fs::write(&path, &snapshot).expect("writable");
    restore(&model, TOPK, &path).expect("a snapshot");
}
