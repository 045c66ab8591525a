//! `models inspect` says for what reason a model cannot be run, in the words in which a run refuses it.

use std::path::Path;

use candle_core::quantized::GgmlDType;
use lm_infinite::checkpoint;
use lm_infinite::hub::Cache;

use crate::fixtures::{GgufFile, SafetensorsFile, TinyConfig, TinyLlama, Value, write_json};

fn tiny() -> TinyLlama {
    TinyLlama::random(TinyConfig::default(), 5)
}

/// What inspection says of the reason, which must be what loading says.
#[track_caller]
fn problem(path: &Path, words: &[&str]) {
    let (reference, cache) = (path.to_str().expect("UTF-8"), Cache::at("no-cache"));
    let refusal = checkpoint::load(reference, &cache).expect_err("refused").to_string();
    let inspection = checkpoint::inspect(reference, &cache).expect("described");
    assert_eq!(inspection.problem.as_ref(), Some(&refusal));
    assert!(inspection.to_string().contains(&format!("cannot run        {refusal}")), "{inspection}");
    for word in words {
        assert!(refusal.contains(word), "{word}: {refusal}");
    }
}

#[track_caller]
fn problem_of_gguf(change: impl FnOnce(&mut GgufFile), words: &[&str]) {
    let mut file = tiny().gguf(GgmlDType::F32);
    change(&mut file);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    file.write(&path);
    problem(&path, words);
}

#[test]
fn of_gguf_files() {
    problem_of_gguf(
        |file| file.tensors.retain(|t| t.name != "blk.1.ffn_up.weight"),
        &["blk.1.ffn_up", "none"],
    );
    problem_of_gguf(|file| file.tensor("blk.0.attn_q.weight").type_id = 40, &["blk.0.attn_q", "NVFP4"]);
    problem_of_gguf(
        |file| file.tensor("blk.1.ffn_up.weight").dimensions = vec![96, 64],
        &["blk.1.ffn_up", "[96, 64]"],
    );
    let extra = |file: &mut GgufFile| {
        let mut tensor = file.tensor("blk.0.attn_norm.weight").clone();
        tensor.name = "blk.0.attn_q_norm.weight".into();
        file.tensors.push(tensor);
    };
    problem_of_gguf(extra, &["attn_q_norm", "no such tensor"]);
    problem_of_gguf(|file| file.set("tokenizer.ggml.pre", "unheard-of"), &["unheard-of"]);
    problem_of_gguf(|file| file.set("llama.rope.scaling.type", "odd"), &["odd"]);
    problem_of_gguf(|file| file.set("tokenizer.chat_template", Value::U32(1)), &["chat_template", "string"]);
    problem_of_gguf(|file| file.set("split.count", Value::U16(2)), &["split.count"]);
}

#[track_caller]
fn problem_of_folder(change: impl FnOnce(&mut SafetensorsFile), words: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let tiny = tiny();
    tiny.write_folder(folder.path(), "F32");
    let mut file = tiny.safetensors("F32");
    change(&mut file);
    file.write(&folder.path().join("model.safetensors"));
    problem(folder.path(), words);
}

#[test]
fn of_folders() {
    let push = |name: &'static str, dtype: &'static str, shape: &'static [usize], bytes: usize| {
        move |file: &mut SafetensorsFile| file.push(name, dtype, shape, &vec![0; bytes])
    };
    problem_of_folder(push("score.weight", "F32", &[2, 64], 512), &["score.weight", "no such tensor"]);
    let folder = tempfile::tempdir().expect("a folder");
    let tiny = tiny();
    tiny.write_folder(folder.path(), "F32");
    let mut config = tiny.config_json();
    config["num_hidden_layers"] = 3.into();
    write_json(&folder.path().join("config.json"), &config);
    problem(folder.path(), &["model.layers.2", "none"]);
}

/// Weights that are not finite are found when they are read, which inspection does not do.
#[test]
fn weights_are_not_read() {
    let mut file = tiny().gguf(GgmlDType::F32);
    file.tensor("blk.1.ffn_up.weight").data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    file.write(&path);
    let (reference, cache) = (path.to_str().expect("UTF-8"), Cache::at("no-cache"));
    assert!(checkpoint::load(reference, &cache).expect_err("refused").to_string().contains("finite"));
    assert_eq!(checkpoint::inspect(reference, &cache).expect("described").problem, None);
}
