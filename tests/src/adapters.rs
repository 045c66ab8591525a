//! LoRA adapters against PEFT: `tests/goldens/config_fields/adapter*`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lm_infinite::checkpoint::LoadedModel;
use lm_infinite::session::Decoder;
use ndarray::ArrayD;
use serde_json::{Value, json};

use crate::compare::{Tolerance, assert_close, line};
use crate::families::gguf::gguf;
use crate::families::{Stored, logits};
use crate::fixtures::{SafetensorsFile, float_bytes};
use crate::support::{golden, load, program, read_npy, session, tiny, tiny_tokens};

const LOGITS: Tolerance = Tolerance { absolute: 2e-4, relative: 1e-5 };

fn adapter(name: &str) -> std::path::PathBuf {
    golden("config_fields").join(name)
}

#[test]
fn an_adapter_gives_the_logits_of_peft() {
    for name in ["adapter", "adapter_rslora"] {
        let model = load(&tiny("tied")).with_adapter(&adapter(name)).expect("it fits");
        assert!(model.notes.len() == 1 && model.notes[0].said.contains("is added to"), "{:?}", model.notes);
        assert_ne!(model.sha256().expect("a digest"), load(&tiny("tied")).sha256().expect("a digest"));
        let decoder = Arc::new(Decoder::new(model.config, model.weights).expect("a whole model"));
        let want = read_npy::<f32>(&format!("config_fields/{name}.logits.npy"));
        let mut session = session(&decoder, "vanilla");
        let mut got = Vec::new();
        for token in tiny_tokens() {
            session.feed(&[token], None).expect("a known token");
            got.extend(session.logits().expect("logits"));
        }
        let got = ArrayD::from_shape_vec(want.raw_dim(), got).expect("one row a token");
        assert_close(name, &got, &want, LOGITS);
    }
}

/// Where a family has RoPE in neighbouring pairs, so has its adapter: nothing stands in another order.
#[test]
fn an_adapter_over_neighbouring_pairs_adds_its_products() {
    const RANK: usize = 3;
    let mut stored = Stored::read("cohere");
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(adapter("adapter").join("adapter_config.json"), folder.path().join("adapter_config.json"))
        .expect("copied");
    let plain = load(stored.write().path());
    let mut file = SafetensorsFile::default();
    let mut seed = 0;
    let mut draw = |len: usize| -> Vec<f32> {
        seed += 1;
        (0..len).map(|at| ((at * 7919 + seed * 104_729) % 1000) as f32 / 2500.0 - 0.2).collect()
    };
    let mut changed = 0;
    for (name, (shape, weights)) in &mut stored.tensors {
        if !["q_proj", "v_proj", "down_proj"].iter().any(|role| name.contains(role)) {
            continue;
        }
        let (rows, columns) = (shape[0], shape[1]);
        let (down, up) = (draw(RANK * columns), draw(rows * RANK));
        let module = format!("base_model.model.{}", name.trim_end_matches(".weight"));
        file.push(&format!("{module}.lora_A.weight"), "F32", &[RANK, columns], &float_bytes(&down, "F32"));
        file.push(&format!("{module}.lora_B.weight"), "F32", &[rows, RANK], &float_bytes(&up, "F32"));
        for (row, weights) in weights.chunks_exact_mut(columns).enumerate() {
            for (column, weight) in weights.iter_mut().enumerate() {
                let product = |at: usize| up[row * RANK + at] * down[at * columns + column];
                // lora_alpha / r.
                *weight += 12.0 / 3.0 * (0..RANK).map(product).sum::<f32>();
            }
        }
        changed += 1;
    }
    file.write(&folder.path().join("adapter_model.safetensors"));
    let model = plain.with_adapter(folder.path()).expect("it fits");
    assert_eq!(changed, 6, "queries, values and the MLP's last matrix in two layers");
    let decoder = Arc::new(Decoder::new(model.config, model.weights).expect("a whole model"));
    let mut session = session(&decoder, "vanilla");
    let mut got = Vec::new();
    for token in tiny_tokens() {
        session.feed(&[token], None).expect("a known token");
        got.extend(session.logits().expect("logits"));
    }
    let want = logits(stored.write().path(), &tiny_tokens());
    assert_close("cohere", line(&got), line(&want), LOGITS);
}

/// A copy of an adapter, whose configuration `change` has changed.
fn changed(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let from = adapter("adapter");
    fs::copy(from.join("adapter_model.safetensors"), folder.path().join("adapter_model.safetensors"))
        .expect("copied");
    let text = fs::read_to_string(from.join("adapter_config.json")).expect("a configuration");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut config);
    fs::write(folder.path().join("adapter_config.json"), config.to_string()).expect("written");
    folder
}

#[track_caller]
fn refused(model: LoadedModel, folder: &Path, part: &str) {
    let error = model.with_adapter(folder).expect_err(part).to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn what_is_no_plain_adapter_is_refused() {
    let tied = || load(&tiny("tied"));
    for (field, value, part) in [
        ("peft_type", json!("IA3"), "IA3"),
        ("use_dora", json!(true), "use_dora"),
        ("fan_in_fan_out", json!(true), "fan_in_fan_out"),
        ("bias", json!("all"), "bias"),
        ("modules_to_save", json!(["lm_head"]), "modules_to_save"),
        ("rank_pattern", json!({"q_proj": 2}), "rank_pattern"),
        ("a_variant_of_tomorrow", json!({"x": 1}), "a_variant_of_tomorrow"),
        ("init_lora_weights", json!("pissa_niter_4"), "init_lora_weights"),
        ("r", json!(4), "shape [4,"),
        ("r", json!(0), "a rank from 1"),
        ("lora_alpha", json!("x"), "lora_alpha"),
    ] {
        refused(tied(), changed(|config| config[field] = value).path(), part);
    }
    let folder = changed(|_| ());
    fs::remove_file(folder.path().join("adapter_model.safetensors")).expect("removed");
    refused(tied(), folder.path(), "adapter_model.safetensors");
    fs::write(folder.path().join("adapter_model.safetensors"), "nothing").expect("written");
    refused(tied(), folder.path(), "header length");
    refused(tied(), folder.path().join("elsewhere").as_path(), "adapter_config.json");
    // Another width.
    refused(load(&golden("../../runtime/assets/models/tiny-rope")), &adapter("adapter"), "shape [3,");
    // Matrices that are no matrix of a block, or of experts.
    let mixtral = |module: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let config = golden("adapters/mixtral/adapter_config.json");
        fs::copy(config, folder.path().join("adapter_config.json")).expect("copied");
        let mut file = SafetensorsFile::default();
        for side in ["A", "B"] {
            let name = format!("base_model.model.{module}.lora_{side}.weight");
            file.push(&name, "F32", &[2, 2], &float_bytes(&[0.1; 4], "F32"));
        }
        file.write(&folder.path().join("adapter_model.safetensors"));
        folder
    };
    for module in [
        "model.layers.0.block_sparse_moe.experts.1.w1",
        "model.layers.0.mlp.gate_proj",
        "model.layers.7.self_attn.q_proj",
        "model.layers.x.self_attn.q_proj",
        "other.layers.0.self_attn.q_proj",
        "lm_head",
    ] {
        let stored = Stored::read("mixtral").write();
        refused(load(stored.path()), mixtral(module).path(), module);
    }
}

/// Adapters as PEFT writes them for families whose matrices have other names, or are several in one.
#[test]
fn adapters_of_other_families_give_the_logits_of_peft() {
    let names = [
        "gpt_neox",
        "falcon_7b",
        "falcon_40b",
        "bloom",
        "mpt",
        "gptj",
        "phi",
        "phi3",
        "glm",
        "granite",
        "mixtral",
    ];
    for name in names {
        let stored = Stored::read(name);
        let folder = stored.write();
        let want = read_npy::<f32>(&format!("adapters/{name}/logits.npy"));
        let adapted = |path: &Path| {
            let model = load(path).with_adapter(&golden(&format!("adapters/{name}"))).expect("it fits");
            let decoder = Arc::new(Decoder::new(model.config, model.weights).expect("a whole model"));
            let mut session = session(&decoder, "vanilla");
            let mut got = Vec::new();
            for token in tiny_tokens() {
                session.feed(&[token], None).expect("a known token");
                got.extend(session.logits().expect("logits"));
            }
            ArrayD::from_shape_vec(want.raw_dim(), got).expect("one row a token")
        };
        assert_close(name, &adapted(folder.path()), &want, LOGITS);
        // The same weights as GGUF, whose rows may lie in another order.
        let Some(file) = gguf(name, &stored) else {
            assert_eq!(name, "gptj", "llama.cpp writes all others");
            continue;
        };
        let path = folder.path().join("model.gguf");
        file.write(&path);
        assert_close(&format!("{name}, GGUF"), &adapted(&path), &want, LOGITS);
    }
}

/// An adapter in the model's own folder is told, and applied when it is asked for.
#[test]
fn an_adapter_that_lies_in_the_folder_is_told_and_applied_when_asked_for() {
    let folder = changed(|_| ());
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(tiny("tied").join(file), folder.path().join(file)).expect("copied");
    }
    let run = |more: &[&str]| {
        let output = program()
            .args(["perplexity", "--json", "--policy", "vanilla", "--tokens", "40", "--model", "."])
            .args(more)
            .current_dir(folder.path())
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice::<Value>(&output.stdout).expect("one JSON object")
    };
    let (without, with) = (run(&[]), run(&["--adapter", "."]));
    assert!(
        without["notes"][0]["said"].as_str().is_some_and(|said| said.contains("`--adapter`")),
        "{without}"
    );
    assert!(
        with["notes"][0]["said"].as_str().is_some_and(|said| said.contains("added to 6 matrices")),
        "{with}"
    );
    assert_ne!(with["runs"][0]["nll"], without["runs"][0]["nll"]);
}
