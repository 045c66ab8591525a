//! GGUF metadata that nobody needs may be anything: a note at most.

use candle_core::quantized::GgmlDType;
use lm_infinite::checkpoint::{self, LoadedModel};
use lm_infinite::hub::Cache;
use lm_infinite::note::Severity;

use crate::fixtures::{GgufFile, TinyConfig, TinyLlama, Value};
use crate::support::load;

/// The tiny model after `change`; inspection says the same of it.
fn loaded(change: impl FnOnce(&mut GgufFile)) -> LoadedModel {
    let mut file = TinyLlama::random(TinyConfig::default(), 2).gguf(GgmlDType::F32);
    change(&mut file);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    file.write(&path);
    let model = load(&path);
    let inspection = checkpoint::inspect(path.to_str().expect("UTF-8"), &Cache::at("no-cache"));
    let inspection = inspection.expect("described");
    assert_eq!((inspection.problem, inspection.notes), (None, model.notes.clone()));
    model
}

/// The notes on `field`, by severity and words.
fn notes(model: &LoadedModel, field: &str) -> Vec<(Severity, String)> {
    let of_field = model.notes.iter().filter(|note| note.field == field);
    of_field.map(|note| (note.severity, note.said.clone())).collect()
}

#[test]
fn a_plain_file_has_no_notes() {
    assert_eq!(loaded(|_| ()).notes, []);
}

#[test]
fn values_that_are_not_what_they_say_are_passed_over() {
    let text = [&2u64.to_le_bytes()[..], &[b'a', 0xff]].concat();
    for (value, words) in [
        (Value::Raw(8, text.clone()), "UTF-8, got an invalid byte at offset"),
        (Value::Raw(7, vec![9]), "a boolean of 0 or 1, got 9"),
    ] {
        let model = loaded(|file| file.set("general.description", value));
        let found = notes(&model, "general.description");
        assert_eq!((found.len(), found[0].0), (1, Severity::Note));
        assert!(found[0].1.contains("passed over") && found[0].1.contains(words), "{found:?}");
    }
    // A key twice, and a list of texts that nobody reads.
    let model = loaded(|file| {
        file.metadata.push(("general.license".into(), Value::U32(1)));
        file.metadata.push(("general.license".into(), "mit".into()));
        let list = [&8u32.to_le_bytes()[..], &1u64.to_le_bytes(), &text].concat();
        file.set("general.tags", Value::Raw(9, list));
    });
    assert_eq!((notes(&model, "general.license").len(), model.notes.len()), (1, 1));
    // Many of them are counted.
    let model = loaded(|file| {
        for index in 0..20 {
            file.set(&format!("general.x{index}"), Value::Raw(8, text.clone()));
        }
    });
    assert_eq!(model.notes.len(), 9);
    assert!(model.notes[8].said.contains("12 more"), "{:?}", model.notes[8]);
}

#[test]
fn ids_below_zero_are_no_tokens() {
    for none in [Value::I32(-1), Value::U32(u32::MAX)] {
        let model = loaded(|file| {
            for key in ["bos", "eos", "eot", "padding", "unknown"] {
                file.set(&format!("tokenizer.ggml.{key}_token_id"), none.clone());
            }
            file.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
            file.set("tokenizer.chat_template", "{{ bos_token }}x");
        });
        assert_eq!(
            (model.tokenizer.bos(), model.tokenizer.eos(), model.tokenizer.adds_bos()),
            (None, None, false)
        );
        assert_eq!(model.notes, []);
    }
    let model = loaded(|file| file.set("tokenizer.ggml.bos_token_id", Value::I32(-1)));
    assert!(!model.tokenizer.adds_bos());
    assert_eq!(notes(&model, "tokenizer.ggml.add_bos_token").len(), 1);
    let model = loaded(|file| file.set("tokenizer.ggml.eot_token_id", 100_000));
    let found = notes(&model, "tokenizer.ggml.eot_token_id");
    assert!(found[0].1.contains("100000"), "{found:?}");
}

#[test]
fn types_of_tokens_that_gguf_does_not_define_are_normal() {
    let mut types = vec![1; TinyLlama::random(TinyConfig::default(), 2).vocabulary.tokens.len()];
    (types[0], types[1]) = (3, 3);
    let plain = loaded(|file| file.set("tokenizer.ggml.token_type", Value::Ints(types.clone())));
    (types[40], types[41]) = (9, 0);
    let model = loaded(|file| file.set("tokenizer.ggml.token_type", Value::Ints(types)));
    let found = notes(&model, "tokenizer.ggml.token_type");
    assert_eq!((found.len(), found[0].0), (1, Severity::Warning));
    assert!(found[0].1.starts_with("2 tokens") && found[0].1.contains("9 of token 40"), "{found:?}");
    assert_eq!(model.tokenizer.sha256().expect("a digest"), plain.tokenizer.sha256().expect("a digest"));
}

#[test]
fn a_file_that_names_no_splitter_is_split_as_gpt_2_and_says_so() {
    let model = loaded(|file| file.remove("tokenizer.ggml.pre"));
    let found = notes(&model, "tokenizer.ggml.pre");
    assert_eq!((found.len(), found[0].0), (1, Severity::Warning));
    assert!(found[0].1.contains("GPT-2"), "{found:?}");
    assert_eq!(model.tokenizer.words("it's 123").expect("words"), ["it", "'s", "Ġ123"]);
    let found = notes(&loaded(|file| file.set("tokenizer.ggml.pre", "default")), "tokenizer.ggml.pre");
    assert_eq!(found[0].0, Severity::Warning);
}

#[test]
fn an_eos_that_is_asked_for_behind_texts_is_told() {
    let model = loaded(|file| file.set("tokenizer.ggml.add_eos_token", Value::Bool(true)));
    assert_eq!(notes(&model, "tokenizer.ggml.add_eos_token").len(), 1);
}

#[test]
fn a_number_for_each_layer_is_one_where_all_are_equal() {
    let keys = [("attention.head_count", 4), ("attention.head_count_kv", 2), ("feed_forward_length", 96)];
    let model = loaded(|file| {
        for (key, value) in keys {
            file.set(&format!("llama.{key}"), Value::Ints(vec![value; 2]));
        }
    });
    assert_eq!(model.config, loaded(|_| ()).config);
    for array in [vec![], vec![4, 2], vec![-1, -1]] {
        let mut file = TinyLlama::random(TinyConfig::default(), 2).gguf(GgmlDType::F32);
        file.set("llama.attention.head_count", Value::Ints(array.clone()));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tiny.gguf");
        file.write(&path);
        let refused = checkpoint::load(path.to_str().expect("UTF-8"), &Cache::at("no-cache")).err();
        let refused = refused.expect("refused").to_string();
        assert!(refused.contains("head_count") && refused.contains("every layer"), "{array:?}: {refused}");
    }
}
