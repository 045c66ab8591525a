//! GGUF files that say the same in other ways, or do not say it.

use serde_json::json;

use super::gguf::gguf;
use super::{LOGITS, Stored, logits};
use crate::compare::{assert_close, line};
use crate::fixtures::Value;
use crate::support::{cache, load, tiny_tokens};

/// Files in which queries, keys and values are one matrix (Phi-2's first converter, ChatGLM's), or three.
#[test]
fn one_matrix_of_queries_keys_and_values_is_the_same_as_three() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    for name in ["phi", "glm"] {
        let stored = Stored::read(name);
        let mut file = gguf(name, &stored).expect("an architecture");
        for layer in 0..2 {
            for end in ["weight", "bias"] {
                let of = |role: &str| format!("blk.{layer}.attn_{role}.{end}");
                let parts = ["q", "k", "v"].map(|role| {
                    let at = file.tensors.iter().position(|tensor| tensor.name == of(role)).expect("it");
                    file.tensors.remove(at)
                });
                let mut whole = parts[0].clone();
                whole.name = of("qkv");
                *whole.dimensions.last_mut().expect("one") =
                    parts.iter().map(|part| part.dimensions.last().expect("one")).sum();
                whole.data = parts.iter().flat_map(|part| part.data.iter().copied()).collect();
                file.tensors.push(whole);
            }
        }
        file.write(&path);
        let want = logits(stored.write().path(), &tiny_tokens());
        assert_close(name, line(&logits(&path, &tiny_tokens())), line(&want), LOGITS);
    }
}

#[test]
fn layers_with_a_window_are_those_that_the_file_lists() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let mut stored = Stored::read("cohere2");
    let whole = gguf("cohere2", &stored).expect("an architecture");
    const KEY: &str = "cohere2.attention.sliding_window_pattern";
    let list = |flags: &[u8]| {
        let count = (flags.len() as u64).to_le_bytes();
        Value::Raw(9, [&7u32.to_le_bytes()[..], &count, flags].concat())
    };
    for (pattern, types) in [(Value::U32(2), [1, 0, 1, 0, 1]), (list(&[0, 1, 1, 0, 1]), [0, 1, 1, 0, 1])] {
        let mut file = whole.clone();
        file.set(KEY, pattern);
        file.write(&path);
        let name = |windowed| if windowed == 1 { "sliding_attention" } else { "full_attention" };
        stored.config["layer_types"] = json!(types.map(name));
        let want = logits(stored.write().path(), &tiny_tokens());
        assert_close("cohere2", line(&logits(&path, &tiny_tokens())), line(&want), LOGITS);
    }
    let refused = |key: &str, value: Value| {
        let mut file = whole.clone();
        file.set(key, value);
        file.write(&path);
        let loaded = lm_infinite::checkpoint::load(path.to_str().expect("UTF-8"), &cache());
        loaded.expect_err("refused").to_string()
    };
    let few = refused(KEY, list(&[1, 0]));
    assert!(few.contains("sliding_window_pattern") && few.contains('5'), "{few}");
    let none = refused("cohere2.attention.sliding_window", Value::U32(0));
    assert!(none.contains("sliding_window"), "{none}");
    let sections = refused("cohere2.rope.dimension_sections", Value::Ints(vec![2, 1, 0, 0]));
    assert!(sections.contains("dimension_sections"), "{sections}");
    let guesses = refused("cohere2.nextn_predict_layers", Value::U32(1));
    assert!(guesses.contains("nextn_predict_layers"), "{guesses}");
}

#[test]
fn a_window_that_old_files_do_not_state_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let mut file = gguf("phi3", &Stored::read("phi3")).expect("an architecture");
    file.metadata.retain(|(key, _)| key != "phi3.attention.sliding_window");
    file.write(&path);
    let loaded = load(&path);
    assert!(loaded.config.sliding_windows.is_empty());
    assert!(
        loaded.notes.iter().any(|note| note.field.contains("sliding_window") && note.said.contains("2047")),
        "{:?}",
        loaded.notes
    );
}
